package ops

import (
	"errors"

	"github.com/nnz-dev/nnz/graph"
)

// A deformConv is a convolution of images whose taps move by offsets.
type deformConv struct {
	win                  graph.Window
	batch, channels      int
	rows, cols           int // of an image
	out                  int // channels
	groups, offsetGroups int
	bias, mask           bool
}

// buildDeformConv binds DeformConv on images of two spatial axes. A tap outside
// the image reads zero.
func buildDeformConv(s *site) (Compute, error) {
	x, w := s.in[0].Shape, s.in[1].Shape
	if len(x) != 4 {
		return nil, errors.New("images of two spatial axes are supported")
	}
	win, err := graph.NewWindow(s.Node, x[2:], w[2:])
	if err != nil {
		return nil, err
	}
	d := deformConv{
		win: win, batch: x[0], channels: x[1], rows: x[2], cols: x[3], out: w[0],
		groups: s.Int("group", 1), offsetGroups: s.Int("offset_group", 1), bias: s.has(3), mask: s.has(4),
	}
	return d.run, nil
}

func (d *deformConv) run(in, out []Tensor) {
	points := product(d.win.Out)
	for i := range d.batch * d.out {
		bias := float32(0)
		if d.bias {
			bias = in[3].F[i%d.out]
		}
		fill(out[0].F[i*points:(i+1)*points], bias)
	}
	taps := product(d.win.Kernel)
	for n := range d.batch {
		for g := range d.offsetGroups {
			for tap := range taps {
				at := (n*d.offsetGroups+g)*taps + tap
				down, right := in[2].F[2*at*points:][:points], in[2].F[(2*at+1)*points:][:points]
				for p := range points {
					row, col := d.position(tap, p)
					c := newCorners(d.rows, d.cols, row+down[p], col+right[p])
					scale := float32(1)
					if d.mask {
						scale = in[4].F[at*points+p]
					}
					d.add(out[0].F[n*d.out*points+p:], in, c, [3]int{n, g, tap}, scale)
				}
			}
		}
	}
}

// position returns where a tap of output p lies without an offset.
func (d *deformConv) position(tap, p int) (row, col float32) {
	w := &d.win
	r := p/w.Out[1]*w.Stride[0] - w.Begin[0] + tap/w.Kernel[1]*w.Dilation[0]
	c := p%w.Out[1]*w.Stride[1] - w.Begin[1] + tap%w.Kernel[1]*w.Dilation[1]
	return float32(r), float32(c)
}

// add adds one tap, times scale, to an element of all output channels, for the
// input channels of an image and group of offsets.
func (d *deformConv) add(y []float32, in []Tensor, c corners, at [3]int, scale float32) {
	n, g, tap := at[0], at[1], at[2]
	points, taps, pixels := product(d.win.Out), product(d.win.Kernel), d.rows*d.cols
	moved, inGroup, outGroup := d.channels/d.offsetGroups, d.channels/d.groups, d.out/d.groups
	for ch := g * moved; ch < (g+1)*moved; ch++ {
		image := in[0].F[(n*d.channels+ch)*pixels:][:pixels]
		v := scale * c.sample(image)
		for o := ch / inGroup * outGroup; o < (ch/inGroup+1)*outGroup; o++ {
			y[o*points] += v * in[1].F[(o*inGroup+ch%inGroup)*taps+tap]
		}
	}
}
