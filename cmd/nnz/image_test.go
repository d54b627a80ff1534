package main

import (
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/nnz-dev/nnz/graph"
)

// writePNG writes a picture whose pixels are given by row and column.
func writePNG(t *testing.T, width, height int, at func(y, x int) color.Color) string {
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
