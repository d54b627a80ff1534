package main

import (
	"fmt"
	"image"
	"io"
	"math"
	"os"

	_ "image/jpeg" // formats that image.Decode reads
	_ "image/png"

	"github.com/nnz-dev/nnz/graph"
)

// imageFlags say how a picture becomes a tensor: value = (pixel/255 - mean) / std.
type imageFlags struct {
	ImageMean []float32 `placeholder:"M,…" help:"Mean of each channel, of pixels from 0 to 1; default 0. ImageNet: 0.485,0.456,0.406."`
	ImageStd  []float32 `placeholder:"S,…" help:"Standard deviation of each channel; default 1. ImageNet: 0.229,0.224,0.225. 0.00392157 keeps pixels from 0 to 255."`
	Size      string    `placeholder:"HxW" help:"Size that pictures are scaled to, where the model leaves it open."`
}

// maxPixels bounds the pictures that are decoded: 8 bytes of memory each.
const maxPixels = 1 << 27

// read decodes a picture, scales it to the size that the input v has and lays
// its channels out as v does.
func (f imageFlags) read(path string, v *graph.Value) (*graph.Tensor, error) {
	layout, err := f.layout(v)
	if err != nil {
		return nil, usagef("%s: %w", path, err)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	picture, err := decodeImage(file, maxPixels)
	if err != nil {
		return nil, fmt.Errorf("%s: expected a PNG or JPEG picture: %w", path, err)
	}
	planes := scale(planesOf(picture, layout.channels), picture.Bounds().Size(), layout.width, layout.height)
	return layout.tensor(planes, f.ImageMean, f.ImageStd), nil
}

// decodeImage decodes a picture of at most so many pixels: its header is looked
// at before there is memory for them.
func decodeImage(file io.ReadSeeker, pixels int) (image.Image, error) {
	head, _, err := image.DecodeConfig(file)
	if err != nil {
		return nil, err
	}
	if !within(head.Width, head.Height, pixels) {
		return nil, fmt.Errorf("%d x %d pixels, the limit is %d", head.Width, head.Height, pixels)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	picture, _, err := image.Decode(file)
	return picture, err
}

// within reports whether a picture has pixels, and at most so many.
func within(width, height, pixels int) bool {
	return width > 0 && height > 0 && width <= pixels/height
}

// An imageLayout is how an input holds one picture.
type imageLayout struct {
	channels, height, width int
	last                    bool // channels run fastest: NHWC rather than NCHW
}

// layout reads how the input holds a picture from its shape.
func (f imageFlags) layout(v *graph.Value) (imageLayout, error) {
	fail := func(reason string) (imageLayout, error) {
		return imageLayout{}, usagef("a picture does not fit input %s: %s", describeInput(v), reason)
	}
	if len(v.Shape) != 4 || v.DType != graph.Float32 {
		return fail("it takes a float32 tensor of four extents")
	}
	isChannels := func(d graph.Dim) bool { return d.Known() && (d.Size == 1 || d.Size == 3) }
	l := imageLayout{}
	h, w := v.Shape[2], v.Shape[3]
	switch {
	case isChannels(v.Shape[1]):
		l.channels = v.Shape[1].Size
	case isChannels(v.Shape[3]):
		l.channels, l.last = v.Shape[3].Size, true
		h, w = v.Shape[1], v.Shape[2]
	default:
		return fail("it has neither one nor three channels")
	}
	if d := v.Shape[0]; d.Known() && d.Size != 1 {
		return fail("it takes several pictures at a time")
	}
	if f.Size != "" {
		size, err := parseShape(f.Size)
		if err != nil || len(size) != 2 || !within(size[1], size[0], maxPixels) {
			return fail(fmt.Sprintf("--size %q is not of the form 224x224", f.Size))
		}
		l.height, l.width = size[0], size[1]
	} else if h.Known() && w.Known() {
		if l.height, l.width = h.Size, w.Size; !within(l.width, l.height, maxPixels) {
			return fail("its size is none of a picture")
		}
	} else {
		return fail("it leaves the size open, which --size gives")
	}
	for _, list := range [][]float32{f.ImageMean, f.ImageStd} {
		if n := len(list); n > 1 && n != l.channels {
			return fail(fmt.Sprintf("%d numbers for %d channels", n, l.channels))
		}
	}
	return l, nil
}

// planesOf splits a picture into channels of values from 0 to 1: red, green
// and blue, or the luminance.
func planesOf(p image.Image, channels int) [][]float32 {
	b := p.Bounds()
	planes := make([][]float32, channels)
	for c := range planes {
		planes[c] = make([]float32, b.Dx()*b.Dy())
	}
	i := 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, bl, _ := p.At(x, y).RGBA()
			if channels == 1 {
				// ITU-R BT.601, as the JPEG and PIL conversions.
				planes[0][i] = (0.299*float32(r) + 0.587*float32(g) + 0.114*float32(bl)) / 0xffff
			} else {
				planes[0][i], planes[1][i], planes[2][i] = float32(r)/0xffff, float32(g)/0xffff, float32(bl)/0xffff
			}
			i++
		}
	}
	return planes
}

// scale resizes every plane to width x height with a triangle filter that is
// widened when shrinking, as PIL's and torchvision's antialiased bilinear.
func scale(planes [][]float32, from image.Point, width, height int) [][]float32 {
	columns, rows := filter(from.X, width), filter(from.Y, height)
	for c, src := range planes {
		wide := make([]float32, width*from.Y)
		for y := range from.Y {
			for x, taps := range columns {
				wide[y*width+x] = taps.sum(src[y*from.X:], 1)
			}
		}
		out := make([]float32, width*height)
		for y, taps := range rows {
			for x := range width {
				out[y*width+x] = taps.sum(wide[x:], width)
			}
		}
		planes[c] = out
	}
	return planes
}

// taps weigh a run of source elements for one that is scaled.
type taps struct {
	first   int
	weights []float32
}

func (t taps) sum(src []float32, stride int) float32 {
	sum := float32(0)
	for i, w := range t.weights {
		sum += w * src[(t.first+i)*stride]
	}
	return sum
}

// filter makes the taps of every element when from elements are scaled to to.
func filter(from, to int) []taps {
	ratio := float64(from) / float64(to)
	radius := max(1, ratio)
	all := make([]taps, to)
	for i := range all {
		center := (float64(i) + 0.5) * ratio
		first := max(0, int(math.Floor(center-radius)))
		last := min(from, int(math.Ceil(center+radius)))
		t := taps{first: first}
		total := 0.0
		for j := first; j < last; j++ {
			w := max(0, 1-math.Abs(float64(j)+0.5-center)/radius)
			t.weights = append(t.weights, float32(w))
			total += w
		}
		for j := range t.weights {
			t.weights[j] /= float32(total)
		}
		all[i] = t
	}
	return all
}

// tensor normalises planes of values from 0 to 1 and lays them out.
func (l imageLayout) tensor(planes [][]float32, mean, std []float32) *graph.Tensor {
	pixels := l.height * l.width
	out := make([]float32, l.channels*pixels)
	for c, plane := range planes {
		m, s := channel(mean, c, 0), channel(std, c, 1)
		for i, v := range plane {
			at := c*pixels + i
			if l.last {
				at = i*l.channels + c
			}
			out[at] = (v - m) / s
		}
	}
	if l.last {
		return graph.FromFloats([]int{1, l.height, l.width, l.channels}, out)
	}
	return graph.FromFloats([]int{1, l.channels, l.height, l.width}, out)
}

// channel returns the number of a channel from a list of one for all or one
// for each, or def where there is none.
func channel(list []float32, c int, def float32) float32 {
	switch len(list) {
	case 0:
		return def
	case 1:
		return list[0]
	}
	return list[c]
}
