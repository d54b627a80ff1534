package main

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
)

// writePNG writes a picture whose pixels are given by row and column.
func writePNG(t testing.TB, width, height int, at func(y, x int) color.Color) string {
	t.Helper()
	p := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			p.Set(x, y, at(y, x))
		}
	}
	path := filepath.Join(t.TempDir(), "picture.png")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, p); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestImageLayouts(t *testing.T) {
	path := writePNG(t, 3, 2, func(y, x int) color.Color {
		return color.RGBA{R: uint8(51 * x), G: uint8(102 * y), B: 255, A: 255}
	})
	flags := imageFlags{ImageMean: []float32{0, 0, 0.5}, ImageStd: []float32{1, 1, 0.25}}
	want := func(c, y, x int) float32 {
		return []float32{0.2 * float32(x), 0.4 * float32(y), 2}[c]
	}
	for _, test := range []struct {
		name  string
		shape []int
		at    func(c, y, x int) int
	}{
		{"NCHW", []int{1, 3, 2, 3}, func(c, y, x int) int { return (c*2+y)*3 + x }},
		{"NHWC", []int{1, 2, 3, 3}, func(c, y, x int) int { return (y*3+x)*3 + c }},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := flags.read(path, &graph.Value{Name: "x", DType: graph.Float32, Shape: graph.Dims(test.shape...)})
			if err != nil {
				t.Fatal(err)
			}
			for c := range 3 {
				for y := range 2 {
					for x := range 3 {
						if v := got.Floats()[test.at(c, y, x)]; math.Abs(float64(v-want(c, y, x))) > 1e-5 {
							t.Errorf("channel %d, row %d, column %d: got %v, want %v", c, y, x, v, want(c, y, x))
						}
					}
				}
			}
		})
	}
}

func TestImageRefused(t *testing.T) {
	path := writePNG(t, 2, 2, func(y, x int) color.Color { return color.White })
	open := graph.Dims(1, 3, 2, 2)
	open[2] = graph.Dim{Symbol: "height"}
	for name, test := range map[string]struct {
		flags imageFlags
		shape []graph.Dim
	}{
		"rank":             {imageFlags{}, graph.Dims(3, 2, 2)},
		"channels":         {imageFlags{}, graph.Dims(1, 2, 2, 2)},
		"size of nothing":  {imageFlags{}, graph.Dims(1, 3, 0, 2)},
		"huge input":       {imageFlags{}, graph.Dims(1, 3, 1<<32, 1<<32)},
		"huge size":        {imageFlags{Size: "4294967296x4294967296"}, open},
		"batch":            {imageFlags{}, graph.Dims(2, 3, 2, 2)},
		"open size":        {imageFlags{}, open},
		"size":             {imageFlags{Size: "224"}, open},
		"numbers for mean": {imageFlags{ImageMean: []float32{1, 2}}, graph.Dims(1, 3, 2, 2)},
	} {
		_, err := test.flags.read(path, &graph.Value{Name: "x", DType: graph.Float32, Shape: test.shape})
		if exitCode(err) != exitUsage {
			t.Errorf("%s: got error %v, want one of usage", name, err)
		}
	}
}

func TestScale(t *testing.T) {
	tests := []struct {
		name     string
		src      []float32
		from     image.Point
		width, h int
		want     []float32
	}{
		{"same size", []float32{1, 2, 3, 4}, image.Pt(2, 2), 2, 2, []float32{1, 2, 3, 4}},
		// Of PIL: Image.resize((4, 1), BILINEAR) of 0 and 1.
		{"twice as wide", []float32{0, 1}, image.Pt(2, 1), 4, 1, []float32{0, 0.25, 0.75, 1}},
		// The triangle reaches over both neighbours: weights 1/8, 3/8, 3/8, 1/8
		// inside, cut and normalised at the edges.
		{"half as wide", []float32{0, 0, 1, 1}, image.Pt(4, 1), 2, 1, []float32{1. / 7, 6. / 7}},
		{"half as high", []float32{0, 0, 1, 1}, image.Pt(1, 4), 1, 2, []float32{1. / 7, 6. / 7}},
	}
	for _, test := range tests {
		got := scale([][]float32{test.src}, test.from, test.width, test.h)[0]
		for i := range test.want {
			if math.Abs(float64(got[i]-test.want[i])) > 1e-6 {
				t.Errorf("%s: got %v, want %v", test.name, got, test.want)
				break
			}
		}
	}
}

// TestImageLimits: a header that promises more pixels than are allowed gets no
// memory for them.
func TestImageLimits(t *testing.T) {
	file, err := os.ReadFile(writePNG(t, 2, 2, func(y, x int) color.Color { return color.White }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeImage(bytes.NewReader(file), 4); err != nil {
		t.Error(err)
	}
	if _, err := decodeImage(bytes.NewReader(file), 3); err == nil || !strings.Contains(err.Error(), "2 x 2 pixels, the limit is 3") {
		t.Errorf("error %v", err)
	}
	for _, at := range []int{16, 20} { // width and height, in a chunk with a checksum
		binary.BigEndian.PutUint32(file[at:], 1<<20)
	}
	binary.BigEndian.PutUint32(file[29:], crc32.ChecksumIEEE(file[12:29]))
	if _, err := decodeImage(bytes.NewReader(file), maxPixels); err == nil || !strings.Contains(err.Error(), "the limit is") {
		t.Errorf("error %v", err)
	}
}

// FuzzImage decodes pictures and scales them, as nnz run does.
func FuzzImage(f *testing.F) {
	file, err := os.ReadFile(writePNG(f, 5, 3, func(y, x int) color.Color { return color.Gray{uint8(40*y + x)} }))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, image.NewRGBA(image.Rect(0, 0, 9, 6)), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(photo.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		picture, err := decodeImage(bytes.NewReader(data), 1<<14)
		if err != nil {
			return
		}
		for _, channels := range []int{1, 3} {
			for _, plane := range scale(planesOf(picture, channels), picture.Bounds().Size(), 7, 5) {
				if len(plane) != 35 {
					t.Errorf("%d pixels", len(plane))
				}
				for _, v := range plane {
					if !(v >= -1e-3 && v <= 1.001) {
						t.Errorf("a pixel of %v", v)
					}
				}
			}
		}
	})
}
