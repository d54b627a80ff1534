package graph

import (
	"fmt"
	"slices"
)

// checkIndex checks the type of indices, input i.
func (c *call) checkIndex(i int) error {
	if dt := c.in[i].DType; dt != Int32 && dt != Int64 {
		return fmt.Errorf("the indices are %s, expected int32 or int64", dt)
	}
	return nil
}

// inside checks that indices of a shape stay within the shape x on all axes
// but one.
func inside(index, x []int, a int) error {
	if len(index) != len(x) {
		return fmt.Errorf("indices of %v for shape %v, expected one rank", index, x)
	}
	for i, d := range index {
		if i != a && d > x[i] {
			return fmt.Errorf("indices of %v exceed shape %v but for axis %d", index, x, a)
		}
	}
	return nil
}

func gatherElements(c *call) ([]Type, error) {
	x, index := c.in[0].Shape, c.in[1].Shape
	a, err := axis(c.Int("axis", 0), len(x))
	if err != nil {
		return nil, err
	}
	if err := inside(index, x, a); err != nil {
		return nil, err
	}
	return []Type{{DType: c.in[0].DType, Shape: index}}, c.checkIndex(1)
}

// scatterElements is the rule of ScatterElements and of Scatter before it.
func scatterElements(c *call) ([]Type, error) {
	x, index := c.in[0], c.in[1].Shape
	a, err := axis(c.Int("axis", 0), len(x.Shape))
	if err != nil {
		return nil, err
	}
	if err := inside(index, x.Shape, a); err != nil {
		return nil, err
	}
	if err := c.checkUpdates(index); err != nil {
		return nil, err
	}
	return sameType(c)
}

// checkUpdates checks indices, input 1, and what is written there, input 2.
func (c *call) checkUpdates(shape []int) error {
	if u := c.in[2]; u.DType != c.in[0].DType || !slices.Equal(u.Shape, shape) {
		return fmt.Errorf("updates are %s %v, expected %s %v", u.DType, u.Shape, c.in[0].DType, shape)
	}
	return c.checkIndex(1)
}

// tuples returns the shape of slices that indices, whose last axis holds
// tuples, take out of x behind its first batch axes.
func tuples(x, index []int, batch int) ([]int, error) {
	if len(index) == 0 || batch < 0 || batch >= len(index) || batch >= len(x) {
		return nil, fmt.Errorf("indices of %v for shape %v and %d batch axes", index, x, batch)
	}
	last := len(index) - 1
	if n := index[last]; n > len(x)-batch || !slices.Equal(index[:batch], x[:batch]) {
		return nil, fmt.Errorf("indices of %v for shape %v and %d batch axes", index, x, batch)
	}
	return slices.Concat(index[:last], x[batch+index[last]:]), nil
}

func gatherND(c *call) ([]Type, error) {
	shape, err := tuples(c.in[0].Shape, c.in[1].Shape, c.Int("batch_dims", 0))
	if err != nil {
		return nil, err
	}
	return []Type{{DType: c.in[0].DType, Shape: shape}}, c.checkIndex(1)
}

func scatterND(c *call) ([]Type, error) {
	shape, err := tuples(c.in[0].Shape, c.in[1].Shape, 0)
	if err != nil {
		return nil, err
	}
	if err := c.checkUpdates(shape); err != nil {
		return nil, err
	}
	return sameType(c)
}
