package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// A Window is how a kernel moves over an image, an entry for each spatial
// axis.
type Window struct {
	Kernel   []int // taps
	Stride   []int
	Dilation []int // distance between taps
	Begin    []int // padding before the first element
	End      []int // padding after the last
}

// NewWindow resolves the attributes strides, dilations, pads and auto_pad of a
// convolution or pooling node for an image of the given spatial extents.
func NewWindow(n *graph.Node, image, kernel []int) (Window, error) {
	w, err := newWindow(n, kernel)
	if err != nil {
		return w, err
	}
	if len(image) != len(kernel) {
		return w, fmt.Errorf("%d spatial axes for a kernel of %v", len(image), kernel)
	}
	mode := n.Str("auto_pad", "NOTSET")
	for i, d := range image {
		if mode == "SAME_UPPER" || mode == "SAME_LOWER" {
			out := (d + w.Stride[i] - 1) / w.Stride[i]
			w.Begin[i], w.End[i] = splitPad((out-1)*w.Stride[i]+w.reach(i)-d, mode == "SAME_UPPER")
		}
	}
	return w, nil
}

// splitPad halves padding; the odd one goes to the end where upper is set.
func splitPad(total int, upper bool) (begin, end int) {
	total = max(total, 0)
	if upper {
		return total / 2, total - total/2
	}
	return total - total/2, total / 2
}

// limit bounds the parameters of a window, so that sums of their products do
// not overflow.
const limit = 1 << 30

// newWindow reads what does not depend on the image.
func newWindow(n *graph.Node, kernel []int) (Window, error) {
	w := Window{Kernel: kernel}
	rank := len(kernel)
	if err := checkAutoPad(n, 0); err != nil {
		return w, err
	}
	for _, list := range []struct {
		name string
		dst  *[]int
		def  int
	}{{"strides", &w.Stride, 1}, {"dilations", &w.Dilation, 1}} {
		v := n.Ints(list.name)
		if v == nil {
			v = slices.Repeat([]int{list.def}, rank)
		}
		if len(v) != rank || slices.ContainsFunc(v, func(x int) bool { return x < 1 || x > limit }) {
			return w, fmt.Errorf("attribute %s: %v, expected %d positive numbers", list.name, v, rank)
		}
		*list.dst = v
	}
	if slices.ContainsFunc(kernel, func(x int) bool { return x < 1 || x > limit }) {
		return w, fmt.Errorf("kernel of %v, expected positive extents", kernel)
	}
	pads := n.Ints("pads")
	if pads == nil || n.Str("auto_pad", "NOTSET") != "NOTSET" {
		pads = make([]int, 2*rank)
	}
	if len(pads) != 2*rank || slices.ContainsFunc(pads, func(x int) bool { return x < 0 || x > limit }) {
		return w, fmt.Errorf("attribute pads: %v, expected %d numbers that are not negative", pads, 2*rank)
	}
	w.Begin, w.End = pads[:rank], pads[rank:]
	return w, nil
}

func checkAutoPad(n *graph.Node, _ int) error {
	switch mode := n.Str("auto_pad", "NOTSET"); mode {
	case "", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER":
		return nil
	default:
		return fmt.Errorf("attribute auto_pad: %q", mode)
	}
}

// reach is how many elements the kernel spans along axis i.
func (w *Window) reach(i int) int { return (w.Kernel[i]-1)*w.Dilation[i] + 1 }

// Out returns the spatial extents of the output. With ceil, windows may end
// beyond the padding after the image, but none starts there.
func (w *Window) Out(image []int, ceil bool) ([]int, error) {
	out := make([]int, len(image))
	for i, d := range image {
		room := d + w.Begin[i] + w.End[i] - w.reach(i)
		if room < 0 {
			return nil, fmt.Errorf("a kernel of %v does not fit an image of %v", w.Kernel, image)
		}
		out[i] = room/w.Stride[i] + 1
		if ceil {
			out[i] = (room+w.Stride[i]-1)/w.Stride[i] + 1
			if (out[i]-1)*w.Stride[i] >= d+w.Begin[i] {
				out[i]--
			}
		}
	}
	return out, nil
}

// A box is a window in three dimensions: images of fewer get leading axes of
// extent 1.
type box struct {
	in, out                       [3]int
	kernel, stride, dilation, pad [3]int // pad is that before the first element
	end                           [3]int // padding after the last
}

var errRank = errors.New("images of one to three spatial axes are supported")

// newBox pads a window over images of the given extents to three dimensions.
func newBox(w Window, in, out []int) (box, error) {
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
	if b.kernel == [3]int{1, 1, 1} && b.stride == b.kernel && b.pad == [3]int{} && b.in == b.out {
		// A pointwise window sees no rows.
		plane := b.inLen()
		b.in, b.out = [3]int{1, 1, plane}, [3]int{1, 1, plane}
	}
	return b, nil
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
