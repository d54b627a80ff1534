package graph

import (
	"fmt"
	"slices"
)

func conv(c *call) ([]Type, error) {
	x, w := c.in[0].Shape, c.in[1].Shape
	if err := c.checkWeight(); err != nil {
		return nil, err
	}
	groups := c.Int("group", 1)
	if groups < 1 || x[1]%groups != 0 || x[1]/groups != w[1] || w[0]%groups != 0 {
		return nil, fmt.Errorf("an input of %v, a weight of %v and %d groups do not agree on channels", x, w, groups)
	}
	if err := c.checkBias(w[0]); err != nil {
		return nil, err
	}
	win, err := NewWindow(c.Node, x[2:], w[2:])
	if err != nil {
		return nil, err
	}
	return one(c.in[0].DType, slices.Concat([]int{x[0], w[0]}, win.Out))
}

func convTranspose(c *call) ([]Type, error) {
	x, w := c.in[0].Shape, c.in[1].Shape
	if err := c.checkWeight(); err != nil {
		return nil, err
	}
	groups := c.Int("group", 1)
	if groups < 1 || groups > maxExtent || w[1] > maxExtent || x[1]%groups != 0 || x[1] != w[0] {
		return nil, fmt.Errorf("an input of %v, a weight of %v and %d groups do not agree on channels", x, w, groups)
	}
	channels := w[1] * groups
	if err := c.checkBias(channels); err != nil {
		return nil, err
	}
	win, err := NewTransposeWindow(c.Node, x[2:], w[2:])
	if err != nil {
		return nil, err
	}
	return one(c.in[0].DType, slices.Concat([]int{x[0], channels}, win.Out))
}

// checkWeight compares the ranks of input and weight of a convolution, and the
// weight with attribute kernel_shape.
func (c *call) checkWeight() error {
	x, w := c.in[0], c.in[1]
	if len(x.Shape) < 3 || len(x.Shape) != len(w.Shape) {
		return fmt.Errorf("an input of %v and a weight of %v, expected batch, channels and images, and as many extents of the weight", x.Shape, w.Shape)
	}
	if x.DType != w.DType {
		return fmt.Errorf("the weight is %s, expected %s", w.DType, x.DType)
	}
	if k := c.Ints("kernel_shape"); k != nil && !slices.Equal(k, w.Shape[2:]) {
		return fmt.Errorf("attribute kernel_shape: %v for a weight of %v", k, w.Shape)
	}
	return nil
}

func (c *call) checkBias(channels int) error {
	if c.has(2) && !slices.Equal(c.in[2].Shape, []int{channels}) {
		return fmt.Errorf("a bias of %v, expected [%d]", c.in[2].Shape, channels)
	}
	return nil
}

// pool is the rule of MaxPool, AveragePool and LpPool.
func pool(c *call) ([]Type, error) {
	x := c.in[0].Shape
	if len(x) < 3 {
		return nil, fmt.Errorf("an input of %v, expected batch, channels and images", x)
	}
	win, err := NewWindow(c.Node, x[2:], c.Ints("kernel_shape"))
	if err != nil {
		return nil, err
	}
	out := Type{DType: c.in[0].DType, Shape: slices.Concat(x[:2], win.Out)}
	if c.Op != "MaxPool" {
		return []Type{out}, nil
	}
	return []Type{out, {DType: Int64, Shape: out.Shape}}, nil // where the maxima were
}

func globalPool(c *call) ([]Type, error) {
	x := c.in[0].Shape
	if len(x) < 2 {
		return nil, fmt.Errorf("an input of %v, expected batch, channels and images", x)
	}
	return one(c.in[0].DType, slices.Concat(x[:2], slices.Repeat([]int{1}, len(x)-2)))
}

func gemm(c *call) ([]Type, error) {
	a, b := c.in[0], c.in[1]
	if len(a.Shape) != 2 || len(b.Shape) != 2 || a.DType != b.DType {
		return nil, fmt.Errorf("inputs %s %v and %s %v, expected two matrices of one type", a.DType, a.Shape, b.DType, b.Shape)
	}
	m, k := a.Shape[0], a.Shape[1]
	if c.Int("transA", 0) != 0 {
		m, k = k, m
	}
	rows, n := b.Shape[0], b.Shape[1]
	if c.Int("transB", 0) != 0 {
		rows, n = n, rows
	}
	if k != rows {
		return nil, fmt.Errorf("matrices of %v and %v do not multiply (transA %d, transB %d)", a.Shape, b.Shape, c.Int("transA", 0), c.Int("transB", 0))
	}
	if c.has(2) {
		if err := stretches(c.in[2].Shape, []int{m, n}); err != nil {
			return nil, fmt.Errorf("input C: %w", err)
		}
	}
	return one(a.DType, []int{m, n})
}

// matMul multiplies as NumPy does: stacks of matrices broadcast, and a vector
// is a matrix of one row, or of one column on the right.
func matMul(c *call) ([]Type, error) {
	a, b := c.in[0].Shape, c.in[1].Shape
	if len(a) == 0 || len(b) == 0 || c.in[0].DType != c.in[1].DType {
		return nil, fmt.Errorf("inputs %s %v and %s %v, expected vectors or matrices of one type", c.in[0].DType, a, c.in[1].DType, b)
	}
	var tail []int
	k, rows := a[len(a)-1], b[0]
	if len(a) > 1 {
		tail = append(tail, a[len(a)-2])
	}
	if len(b) > 1 {
		rows = b[len(b)-2]
		tail = append(tail, b[len(b)-1])
	}
	if k != rows {
		return nil, fmt.Errorf("shapes %v and %v do not multiply", a, b)
	}
	stack, err := Broadcast(a[:max(len(a)-2, 0)], b[:max(len(b)-2, 0)])
	if err != nil {
		return nil, err
	}
	return one(c.in[0].DType, slices.Concat(stack, tail))
}
