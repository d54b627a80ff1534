package ops

import (
	"errors"
	"fmt"

	"github.com/nnz-dev/nnz/graph"
)

func checkAutoPad(n *graph.Node, _ int) error {
	switch mode := n.Str("auto_pad", "NOTSET"); mode {
	case "", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER":
		return nil
	default:
		return fmt.Errorf("attribute auto_pad: %q", mode)
	}
}

// A box is a window in three dimensions: images of fewer get leading axes of
// extent 1.
type box struct {
	in, out                       [3]int
	kernel, stride, dilation, pad [3]int // pad is that before the first element
	end                           [3]int // padding after the last
	columns                       bool   // MaxPool numbers the elements of a plane column by column
}

var errRank = errors.New("images of one to three spatial axes are supported")

// newBox pads a window that maps images of extents in to images of extents out
// to three dimensions.
func newBox(w graph.Window, in, out []int) (box, error) {
	b := box{
		in: [3]int{1, 1, 1}, out: [3]int{1, 1, 1},
		kernel: [3]int{1, 1, 1}, stride: [3]int{1, 1, 1}, dilation: [3]int{1, 1, 1},
	}
	lead := 3 - len(in)
	if lead < 0 || lead > 2 {
		return b, errRank
	}
	for i := range in {
		j := lead + i
		b.in[j], b.out[j] = in[i], out[i]
		b.kernel[j], b.stride[j], b.dilation[j] = w.Kernel[i], w.Stride[i], w.Dilation[i]
		b.pad[j], b.end[j] = w.Begin[i], w.End[i]
	}
	return b, nil
}

// flatten makes one row of images that a pointwise window maps to images of
// the same extents.
func (b *box) flatten() {
	one := [3]int{1, 1, 1}
	if b.kernel == one && b.stride == one && b.pad == [3]int{} && b.in == b.out {
		b.in = [3]int{1, 1, b.inLen()}
		b.out = b.in
	}
}

func (b *box) inLen() int  { return b.in[0] * b.in[1] * b.in[2] }
func (b *box) outLen() int { return b.out[0] * b.out[1] * b.out[2] }
func (b *box) taps() int   { return b.kernel[0] * b.kernel[1] * b.kernel[2] }

// span returns the outputs [lo, hi) along axis for which tap k falls inside the
// image, and the distance from stride times output to that element.
func (b *box) span(axis, k int) (lo, hi, shift int) {
	shift = k*b.dilation[axis] - b.pad[axis]
	s := b.stride[axis]
	if shift < 0 {
		lo = (-shift + s - 1) / s
	}
	if last := b.in[axis] - 1 - shift; last >= 0 {
		hi = min(last/s+1, b.out[axis])
	}
	return min(lo, hi), hi, shift
}

// reach returns the taps [lo, hi) of output o along axis that fall inside the
// image, and the first tap's position in it.
func (b *box) reach(axis, o int) (lo, hi, start int) {
	start = o*b.stride[axis] - b.pad[axis]
	d := b.dilation[axis]
	if start < 0 {
		lo = (-start + d - 1) / d
	}
	if last := b.in[axis] - 1 - start; last >= 0 {
		hi = min(last/d+1, b.kernel[axis])
	}
	lo = min(lo, hi)
	return lo, hi, start + lo*d
}
