package loader

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/npy"
)

// npyFile returns a .npy file of zeros.
func npyFile(t testing.TB, typ npy.Type, shape ...int) []byte {
	t.Helper()
	n := typ.Size()
	for _, d := range shape {
		n *= d
	}
	var buf bytes.Buffer
	if err := npy.Encode(&buf, npy.Array{Type: typ, Shape: shape, Data: make([]byte, n)}); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// archive returns a .npz file of the given names and contents.
func archive(t testing.TB, method uint16, files ...any) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for i := 0; i < len(files); i += 2 {
		f, err := w.CreateHeader(&zip.FileHeader{Name: files[i].(string), Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(files[i+1].([]byte)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestReadArrays(t *testing.T) {
	for typ, dt := range npyTypes {
		if typ.Size() != dt.Size(1) {
			t.Errorf("NumPy's %s of %d bytes is read as %s", typ, typ.Size(), dt)
		}
	}
	f, err := ReadArrays(writeTemp(t, "a.npz", archive(t, zip.Deflate,
		"x.npy", npyFile(t, npy.Float16, 2, 3), "a/b.npy", npyFile(t, npy.Uint64), "s.npy", npyFile(t, "S3", 2))), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		dt    graph.DType
		shape []int
	}{{"x", graph.Float16, []int{2, 3}}, {"a/b", graph.Uint64, []int{}}, {"s", graph.String, []int{2}}} {
		if got := f.Tensors[tt.name]; got == nil || got.DType != tt.dt || !slices.Equal(got.Shape, tt.shape) {
			t.Errorf("%s: got %+v", tt.name, got)
		}
	}
	if len(f.Tensors) != 3 {
		t.Errorf("%d arrays, want 3", len(f.Tensors))
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestReadArraysRefuses(t *testing.T) {
	sound := archive(t, zip.Store, "x.npy", npyFile(t, npy.Uint8, 100))
	flipped := slices.Clone(sound)
	flipped[bytes.Index(flipped, []byte("shape"))+40]++ // inside of the array, which has a checksum
	lie := archive(t, zip.Deflate, "x.npy", npyFile(t, npy.Uint8, 100))
	size := bytes.LastIndex(lie, []byte("PK\x01\x02")) + 24 // in the directory
	binary.LittleEndian.PutUint32(lie[size:], 200<<20)
	less := slices.Clone(lie)
	binary.LittleEndian.PutUint32(less[size:], 100)
	for _, tt := range []struct {
		name     string
		file     []byte
		maxBytes int64
		want     string
	}{
		{"no archive", []byte("PK"), 0, "at byte 0: expected an archive of arrays"},
		{"truncated", sound[:len(sound)-30], 0, "expected an archive of arrays"},
		{"other entry", archive(t, zip.Store, "x.txt", []byte{}), 0, `entry "x.txt" is no .npy file`},
		{"entry twice", archive(t, zip.Store, "x.npy", npyFile(t, npy.Uint8), "x.npy", npyFile(t, npy.Uint8)), 0, `entry "x.npy" is no .npy file or occurs twice`},
		{"bad array", archive(t, zip.Deflate, "x.npy", []byte("nothing")), 0, `entry "x.npy": at byte 0: expected a .npy file`},
		{"checksum", flipped, 0, "checksum error"},
		{"bomb", archive(t, zip.Deflate, "x.npy", npyFile(t, npy.Uint8, 1<<20)), 1 << 19, "where 524288 are allowed"},
		{"bomb of two", archive(t, zip.Deflate, "x.npy", npyFile(t, npy.Uint8, 1<<18), "y.npy", npyFile(t, npy.Uint8, 1<<18)), 1 << 19, `entry "y.npy"`},
		{"size is a lie", lie, 0, "209715200 bytes unpacked"},
		{"size is less", less, 0, `entry "x.npy": `},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := writeTemp(t, "a.npz", tt.file)
			_, err := ReadArrays(path, tt.maxBytes)
			wantFormatError(t, err, path, tt.want)
		})
	}
}

func FuzzNPZ(f *testing.F) {
	for _, name := range []string{"bsr.npz", "coo_duplicates.npz", "csr_stored.npz", "dia.npz", "dense.npz"} {
		data, err := os.ReadFile(filepath.Join("testdata", "matrix", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tensors, err := parseNPZ(data, 1<<20)
		if err != nil {
			var e *FormatError
			if !errors.As(err, &e) {
				t.Error(err)
			}
			return
		}
		bytes := 0
		for _, tensor := range tensors {
			bytes += tensor.Bytes()
		}
		if bytes > 1<<20 {
			t.Errorf("%d bytes unpacked", bytes)
		}
		if m, err := arrayMatrix(tensors); err == nil {
			m.Stats()
		}
	})
}

// FuzzSciPy changes the arrays rather than the archive, whose checksums stop
// most changes.
func FuzzSciPy(f *testing.F) {
	f.Add("csr", int64(2), int64(3), []byte{0, 1, 2}, []byte{0, 2}, uint8(1), uint8(1))
	f.Add("bsr", int64(4), int64(3), []byte{0, 1, 1}, []byte{2}, uint8(2), uint8(1))
	f.Add("csc", int64(4), int64(2), []byte{0, 1, 1}, []byte{2}, uint8(1), uint8(1))
	f.Add("coo", int64(4), int64(4), []byte{0, 1, 3}, []byte{2, 2, 1}, uint8(1), uint8(1))
	f.Add("dia", int64(4), int64(4), []byte{0, 255}, []byte{2, 2, 1}, uint8(4), uint8(1))
	f.Fuzz(func(t *testing.T, format string, rows, cols int64, first, second []byte, r, c uint8) {
		ints := func(b []byte) *graph.Tensor {
			v := make([]int64, len(b))
			for i, x := range b {
				v[i] = int64(int8(x))
			}
			return graph.FromInts(graph.Int64, []int{len(v)}, v)
		}
		name, err := graph.NewStrings([]int{1}, []string{format})
		if err != nil {
			t.Fatal(err)
		}
		shape := []int{len(second)}
		switch {
		case format == "dia":
			shape = []int{len(first), int(r)}
		case r != 1 || c != 1:
			shape = append(shape, int(r), int(c))
		}
		n, err := graph.Elements(shape)
		if err != nil || n > 1<<20 {
			return
		}
		m, err := arrayMatrix(map[string]*graph.Tensor{
			"format": name, "shape": graph.FromInts(graph.Int64, []int{2}, []int64{rows, cols}),
			"data":   graph.FromFloats(shape, slices.Repeat([]float32{1}, n)),
			"indptr": ints(first), "indices": ints(second),
			"row": ints(first), "col": ints(second), "offsets": ints(first),
		})
		if err == nil && (m.NNZ() > n) {
			t.Errorf("%d nonzeros of %d elements", m.NNZ(), n)
		}
	})
}

func TestWriteArrays(t *testing.T) {
	rare, err := graph.NewTensor(graph.Bool, []int{2, 2}, []byte{1, 0, 0, 1})
	if err != nil {
		t.Fatal(err)
	}
	dense := make([]float32, 200)
	dense[7] = -1.5
	want := map[string]*graph.Tensor{
		"layer/weight": rare,
		"sparse":       graph.FromFloats([]int{10, 20}, dense).Compact(),
		"scalar":       graph.FromFloats(nil, []float32{3}),
	}
	if want["sparse"].Sparse() == nil {
		t.Fatal("the sparse tensor is dense")
	}
	path := filepath.Join(t.TempDir(), "a.npz")
	if err := WriteArrays(path, want); err != nil {
		t.Fatal(err)
	}
	f, err := ReadArrays(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Tensors) != len(want) {
		t.Errorf("%d arrays, want %d", len(f.Tensors), len(want))
	}
	for name, w := range want {
		got := f.Tensors[name]
		if got == nil || got.DType != w.DType || !slices.Equal(got.Shape, w.Shape) || !slices.Equal(got.Floats(), w.Floats()) || !slices.Equal(got.Ints(), w.Ints()) {
			t.Errorf("%s is %v, want %v", name, got, w)
		}
	}
	strings, err := graph.NewStrings([]int{1}, []string{"x"})
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "b.npz")
	if err := WriteArrays(path, map[string]*graph.Tensor{"s": strings}); err == nil {
		t.Error("strings were written")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file that failed is there")
	}
}
