package mnist

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/internal/testdata"
)

func TestRead(t *testing.T) {
	train, test, err := Read(testdata.Path(t, "datasets", "mnist"))
	if err != nil {
		t.Fatal(err)
	}
	if train.Len() != 60000 || test.Len() != 10000 {
		t.Errorf("%d and %d images", train.Len(), test.Len())
	}
	if got, want := test.Labels[:5], []uint8{7, 2, 1, 0, 4}; !slices.Equal(got, want) {
		t.Errorf("the first test images show %v, want %v", got, want)
	}
	few := train.First(1000)
	if images := few.Images(); len(images) != 1000 || few.Len() != 1000 {
		t.Errorf("%d images of %d", len(images), few.Len())
	}
	sum, squares := 0.0, 0.0
	for _, image := range few.Images() {
		for _, p := range image {
			sum += float64(p)
			squares += float64(p) * float64(p)
		}
	}
	n := float64(1000 * Pixels)
	if mean, square := sum/n, squares/n; mean < -.02 || mean > .02 || square < .97 || square > 1.03 {
		t.Errorf("pixels have a mean of %.3f and a mean square of %.3f", mean, square)
	}
}

// idx makes a file in IDX form.
func idx(magic uint32, extents []uint32, elements int) []byte {
	var b bytes.Buffer
	binary.Write(&b, binary.BigEndian, append([]uint32{magic}, extents...))
	b.Write(make([]byte, elements))
	return b.Bytes()
}

// TestFaults reads damaged sets.
func TestFaults(t *testing.T) {
	sound := map[string][]byte{
		"train-images-idx3-ubyte": idx(0x803, []uint32{2, Size, Size}, 2*Pixels),
		"train-labels-idx1-ubyte": idx(0x801, []uint32{2}, 2),
		"t10k-images-idx3-ubyte":  idx(0x803, []uint32{1, Size, Size}, Pixels),
		"t10k-labels-idx1-ubyte":  idx(0x801, []uint32{1}, 1),
	}
	eleven := idx(0x801, []uint32{2}, 2)
	eleven[9] = 11
	tests := []struct {
		name, file string
		content    []byte // nil removes the file
		says       string // empty for no fault
	}{
		{"sound", "train-labels-idx1-ubyte", sound["train-labels-idx1-ubyte"], ""},
		{"missing", "t10k-images-idx3-ubyte", nil, "t10k-images-idx3-ubyte.gz"},
		{"empty", "t10k-images-idx3-ubyte", []byte{}, "t10k-images-idx3-ubyte: header"},
		{"labels for images", "t10k-images-idx3-ubyte", sound["t10k-labels-idx1-ubyte"], "header"},
		{"images for labels", "t10k-labels-idx1-ubyte", sound["t10k-images-idx3-ubyte"], "0x00000801"},
		{"cut", "t10k-images-idx3-ubyte", sound["t10k-images-idx3-ubyte"][:500], "promises 784"},
		{"too long", "t10k-images-idx3-ubyte", idx(0x803, []uint32{1, Size, Size}, 2*Pixels), "promises 784"},
		{"other size", "t10k-images-idx3-ubyte", idx(0x803, []uint32{1, 32, 32}, 32*32), "[32 32]"},
		{"absurd", "t10k-images-idx3-ubyte", idx(0x803, []uint32{1 << 31, Size, Size}, Pixels), "at most"},
		{"more images than labels", "train-images-idx3-ubyte", idx(0x803, []uint32{3, Size, Size}, 3*Pixels), "3 images"},
		{"eleven", "train-labels-idx1-ubyte", eleven, "label 1 is 11"},
		{"damaged gzip", "train-labels-idx1-ubyte", []byte{0x1f, 0x8b, 1, 2}, "train-labels"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range sound {
				if name == test.file {
					content = test.content
				}
				if content == nil {
					continue
				}
				if err := os.WriteFile(filepath.Join(dir, name), content, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			_, _, err := Read(dir)
			if test.says == "" {
				if err != nil {
					t.Error(err)
				}
			} else if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one with %q", err, test.says)
			}
		})
	}
}

// TestBomb reads a file that inflates to more than its header promises.
func TestBomb(t *testing.T) {
	dir := t.TempDir()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(idx(0x803, []uint32{1, Size, Size}, 1<<24))
	z.Close()
	if err := os.WriteFile(filepath.Join(dir, Files[0]), b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Read(dir); err == nil || !strings.Contains(err.Error(), "has 785 bytes or more, its header promises 784") {
		t.Error(err)
	}
}
