package graph

import (
	"fmt"
	"slices"
)

// scalar returns the integer of input i, called name, which must be a constant
// of one element; def where it is absent.
func (c *call) scalar(i int, name string, def int) (int, error) {
	if !c.has(i) {
		return def, nil
	}
	t, err := c.value(i, name)
	if err != nil {
		return 0, err
	}
	if t.Len() != 1 {
		return 0, fmt.Errorf("%s has shape %v, expected one element", name, t.Shape)
	}
	if t.DType.Float() { // OneHot takes any type of number
		return int(t.Floats()[0]), nil
	}
	v := t.Ints()
	if v == nil {
		return 0, fmt.Errorf("%s is %s, expected a number", name, t.DType)
	}
	return int(v[0]), nil
}

// topK keeps k elements of an axis: an attribute before version 10.
func topK(c *call) ([]Type, error) {
	x := c.in[0].Shape
	a, err := axis(c.Int("axis", -1), len(x))
	if err != nil {
		return nil, err
	}
	k := c.Int("k", -1)
	if c.opset >= 10 {
		if k, err = c.scalar(1, "k", -1); err != nil {
			return nil, err
		}
	}
	if k < 0 || k > x[a] {
		return nil, fmt.Errorf("the largest %d of axis %d of %v", k, a, x)
	}
	shape := slices.Clone(x)
	shape[a] = k
	return []Type{{DType: c.in[0].DType, Shape: shape}, {DType: Int64, Shape: shape}}, nil
}

func oneHot(c *call) ([]Type, error) {
	depth, err := c.scalar(1, "depth", 0)
	if err != nil {
		return nil, err
	}
	if depth < 1 || !slices.Equal(c.in[2].Shape, []int{2}) {
		return nil, fmt.Errorf("depth %d and values of %v, expected a positive number and two", depth, c.in[2].Shape)
	}
	index := c.in[0].Shape
	a, err := axis(c.Int("axis", -1), len(index)+1)
	if err != nil {
		return nil, err
	}
	return one(c.in[2].DType, slices.Insert(slices.Clone(index), a, depth))
}

func trilu(c *call) ([]Type, error) {
	if x := c.in[0].Shape; len(x) < 2 {
		return nil, fmt.Errorf("an input of %v, expected matrices", x)
	}
	if c.has(1) {
		if n, err := Elements(c.in[1].Shape); err != nil || n != 1 || c.in[1].DType != Int64 {
			return nil, fmt.Errorf("k is %s %v, expected an int64", c.in[1].DType, c.in[1].Shape)
		}
	}
	return sameType(c)
}

func eyeLike(c *call) ([]Type, error) {
	if x := c.in[0].Shape; len(x) != 2 {
		return nil, fmt.Errorf("an input of %v, expected a matrix", x)
	}
	if !c.Has("dtype") {
		return sameType(c)
	}
	dt := c.Int("dtype", 0)
	if dt < 1 || dt >= len(dtypes) {
		return nil, fmt.Errorf("attribute dtype: element type %d is not known", dt)
	}
	return one(DType(dt), c.in[0].Shape)
}

// cumulate is the rule of running sums and products along an axis.
func cumulate(c *call) ([]Type, error) {
	a, err := c.scalar(1, "axis", 0)
	if err != nil {
		return nil, err
	}
	if _, err := axis(a, len(c.in[0].Shape)); err != nil {
		return nil, err
	}
	return sameType(c)
}

func reverseSequence(c *call) ([]Type, error) {
	x := c.in[0].Shape
	time, batch := c.Int("time_axis", 0), c.Int("batch_axis", 1)
	if len(x) < 2 || min(time, batch) != 0 || max(time, batch) != 1 {
		return nil, fmt.Errorf("time_axis %d and batch_axis %d of %v, expected the first two axes", time, batch, x)
	}
	if got := c.in[1]; got.DType != Int64 || !slices.Equal(got.Shape, x[batch:batch+1]) {
		return nil, fmt.Errorf("sequence_lens is %s %v, expected int64 [%d]", got.DType, got.Shape, x[batch])
	}
	return sameType(c)
}

func centerCropPad(c *call) ([]Type, error) {
	x := c.in[0].Shape
	want, err := c.ints(1, "the shape")
	if err != nil {
		return nil, err
	}
	axes := c.Ints("axes")
	if !c.Has("axes") {
		for i := range x {
			axes = append(axes, i)
		}
	}
	if _, err := axisSet(axes, len(x)); err != nil {
		return nil, err
	}
	if len(want) != len(axes) || slices.ContainsFunc(want, func(d int) bool { return d < 0 || d > maxExtent }) {
		return nil, fmt.Errorf("shape %v for %d axes", want, len(axes))
	}
	shape := slices.Clone(x)
	for i, a := range axes {
		a, _ = axis(a, len(x)) // checked by axisSet
		shape[a] = want[i]
	}
	return one(c.in[0].DType, shape)
}
