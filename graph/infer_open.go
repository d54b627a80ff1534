package graph

import (
	"fmt"
	"slices"
)

// dataDependent is the rule of operators whose outputs have extents that only
// their inputs' elements tell.
func dataDependent(c *call) ([]Type, error) {
	return nil, &OpenError{"the extents of its outputs depend on what it is given to compute"}
}

// maxUnpool undoes a MaxPool of the same attributes, up to what output_shape
// adds at the ends.
func maxUnpool(c *call) ([]Type, error) {
	x := c.in[0]
	if !slices.Equal(x.Shape, c.in[1].Shape) || c.in[1].DType != Int64 {
		return nil, fmt.Errorf("indices are %s %v, expected int64 %v", c.in[1].DType, c.in[1].Shape, x.Shape)
	}
	shape, err := UnpoolShape(c.Node, x.Shape)
	if err != nil {
		return nil, err
	}
	if c.has(2) {
		want, err := c.ints(2, "the shape of the output")
		if err != nil {
			return nil, err
		}
		fits := len(want) == len(shape)
		for i := range want {
			fits = fits && want[i] >= shape[i] && (i >= 2 || want[i] == shape[i])
		}
		if !fits {
			return nil, fmt.Errorf("an output of %v, expected at least %v", want, shape)
		}
		shape = want
	}
	return one(x.DType, shape)
}

// UnpoolShape returns the shape that MaxUnpool spreads an input of shape x to
// before output_shape adds to it; indices count its elements.
func UnpoolShape(n *Node, x []int) ([]int, error) {
	kernel := n.Ints("kernel_shape")
	if len(x) < 3 || len(kernel) != len(x)-2 {
		return nil, fmt.Errorf("X %v and kernel_shape %v, expected [N, C, …] and an extent for each spatial axis", x, kernel)
	}
	w, err := newWindow(n, x[2:], kernel)
	if err != nil {
		return nil, err
	}
	shape := slices.Clone(x)
	for i, d := range x[2:] {
		shape[2+i] = max(0, (d-1)*w.Stride[i]+w.Kernel[i]-w.Begin[i]-w.End[i])
	}
	return shape, nil
}
