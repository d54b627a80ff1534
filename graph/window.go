package graph

import (
	"fmt"
	"slices"
)

// A Window is how a kernel moves over an image: an entry for each spatial
// axis, in elements.
type Window struct {
	Kernel   []int // taps
	Stride   []int
	Dilation []int // distance between taps
	Begin    []int // padding before the first element
	End      []int // padding after the last
	Out      []int // spatial extents of the output
}

// maxExtent bounds spatial extents and what windows are made of, so that sums
// of products of two do not overflow.
const maxExtent = 1 << 30

// NewWindow resolves the attributes strides, dilations, pads, auto_pad and
// ceil_mode of a convolution or pooling node for an image of the given spatial
// extents.
func NewWindow(n *Node, image, kernel []int) (Window, error) {
	w, err := newWindow(n, image, kernel)
	if err != nil {
		return w, err
	}
	upper := n.Str("auto_pad", "") == "SAME_UPPER"
	if upper || n.Str("auto_pad", "") == "SAME_LOWER" {
		for i, d := range image {
			w.Out[i] = ceilDiv(d, w.Stride[i])
			w.split(i, (w.Out[i]-1)*w.Stride[i]+w.reach(i)-d, upper)
		}
		return w, nil
	}
	for i, d := range image {
		room := d + w.Begin[i] + w.End[i] - w.reach(i)
		if room < 0 {
			return w, fmt.Errorf("a kernel of %v with dilations %v does not fit images of %v with pads %v and %v", kernel, w.Dilation, image, w.Begin, w.End)
		}
		w.Out[i] = room/w.Stride[i] + 1
		// With ceil_mode windows may reach beyond the padding; they start
		// before its end, in the image or what precedes it.
		if n.Int("ceil_mode", 0) != 0 && room%w.Stride[i] != 0 && w.Out[i]*w.Stride[i] < d+w.Begin[i] {
			w.Out[i]++
		}
	}
	return w, nil
}

// NewTransposeWindow resolves the attributes of a ConvTranspose node: those of
// [NewWindow], output_padding and output_shape. The window moves over the
// output, whose extents are Out; Begin and End are what is cut off there.
func NewTransposeWindow(n *Node, image, kernel []int) (Window, error) {
	w, err := newWindow(n, image, kernel)
	if err != nil {
		return w, err
	}
	rank := len(kernel)
	extra, err := windowParam(n, "output_padding", rank, 0, 0)
	if err != nil {
		return w, err
	}
	wanted := n.Ints("output_shape")
	if len(wanted) == rank+2 {
		wanted = wanted[2:] // some exporters add batch and channels
	}
	if wanted != nil && (len(wanted) != rank || slices.ContainsFunc(wanted, func(d int) bool { return d < 0 || d > maxExtent })) {
		return w, fmt.Errorf("attribute output_shape: %v, expected %d extents", wanted, rank)
	}
	mode := n.Str("auto_pad", "")
	same := mode == "SAME_UPPER" || mode == "SAME_LOWER"
	for i, d := range image {
		full := (d-1)*w.Stride[i] + w.reach(i) + extra[i]
		switch {
		case wanted != nil:
			w.Out[i] = wanted[i]
			w.split(i, full-w.Out[i], mode == "SAME_UPPER")
		case same:
			w.Out[i] = d * w.Stride[i]
			w.split(i, full-w.Out[i], mode == "SAME_UPPER")
		default:
			w.Out[i] = full - w.Begin[i] - w.End[i]
		}
		if w.Out[i] < 0 {
			return w, fmt.Errorf("pads %v and %v exceed the output of an image of %v", w.Begin, w.End, image)
		}
	}
	return w, nil
}

// newWindow reads what does not depend on the kind of window.
func newWindow(n *Node, image, kernel []int) (Window, error) {
	rank := len(kernel)
	w := Window{Kernel: kernel, Out: make([]int, rank)}
	if len(image) != rank || rank == 0 {
		return w, fmt.Errorf("a kernel of %v for images of %v", kernel, image)
	}
	if slices.ContainsFunc(kernel, func(d int) bool { return d < 1 || d > maxExtent }) {
		return w, fmt.Errorf("a kernel of %v", kernel)
	}
	if slices.ContainsFunc(image, func(d int) bool { return d < 0 || d > maxExtent }) {
		return w, fmt.Errorf("images of %v", image)
	}
	var err error
	if w.Stride, err = windowParam(n, "strides", rank, 1, 1); err != nil {
		return w, err
	}
	if w.Dilation, err = windowParam(n, "dilations", rank, 1, 1); err != nil {
		return w, err
	}
	pads, err := windowParam(n, "pads", 2*rank, 0, 0)
	if err != nil {
		return w, err
	}
	switch mode := n.Str("auto_pad", ""); mode {
	case "", "NOTSET":
	case "VALID", "SAME_UPPER", "SAME_LOWER":
		clear(pads)
	default:
		return w, fmt.Errorf("attribute auto_pad: %.80q", mode)
	}
	w.Begin, w.End = pads[:rank:rank], pads[rank:]
	return w, nil
}

// windowParam returns a list attribute of n numbers from low on, which where
// it is absent are def.
func windowParam(n *Node, name string, count, low, def int) ([]int, error) {
	if !n.Has(name) {
		return slices.Repeat([]int{def}, count), nil
	}
	v := n.Ints(name)
	if len(v) != count || slices.ContainsFunc(v, func(x int) bool { return x < low || x > maxExtent }) {
		return nil, fmt.Errorf("attribute %s: %v, expected %d numbers from %d on", name, v, count, low)
	}
	return v, nil
}

// split pads axis i by total in halves; of an odd number the end gets more
// where upper is set.
func (w *Window) split(i, total int, upper bool) {
	total = max(total, 0)
	w.Begin[i] = total / 2
	if !upper {
		w.Begin[i] = total - total/2
	}
	w.End[i] = total - w.Begin[i]
}

// reach is how many elements the kernel spans along axis i.
func (w *Window) reach(i int) int { return (w.Kernel[i]-1)*w.Dilation[i] + 1 }

func ceilDiv(a, b int) int { return (a + b - 1) / b }
