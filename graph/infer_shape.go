package graph

import (
	"fmt"
	"math"
	"slices"
)

// view is the rule of operators that change only the shape: a constant stays
// one.
func (c *call) view(shape []int) ([]Type, error) {
	t := Type{DType: c.in[0].DType, Shape: shape}
	if c.in[0].Const != nil {
		var err error
		if t.Const, err = c.in[0].Const.Reshaped(shape); err != nil {
			return nil, err
		}
	}
	return []Type{t}, nil
}

func reshape(c *call) ([]Type, error) {
	x := c.in[0].Shape
	shape, err := c.ints(1, "the shape")
	if err != nil {
		return nil, err
	}
	want := slices.Clone(shape)
	free, rest := -1, 1
	for i, d := range shape {
		switch {
		case d == 0 && c.Int("allowzero", 0) == 0:
			if i >= len(x) {
				return nil, fmt.Errorf("shape %v copies extent %d of %v", want, i, x)
			}
			shape[i] = x[i]
		case d == -1 && free < 0:
			free = i
			continue
		case d < 0:
			return nil, fmt.Errorf("shape %v, expected sizes and at most one -1", want)
		}
		if rest, err = Elements([]int{rest, shape[i]}); err != nil {
			return nil, err
		}
	}
	n, _ := Elements(x) // checked when x was inferred
	if free >= 0 {
		if rest == 0 || n%rest != 0 {
			return nil, fmt.Errorf("shape %v does not fit %v, which has %d elements", want, x, n)
		}
		shape[free] = n / rest
	} else if rest != n {
		return nil, fmt.Errorf("shape %v has %d elements, expected the %d of %v", want, rest, n, x)
	}
	return c.view(shape)
}

func flatten(c *call) ([]Type, error) {
	x := c.in[0].Shape
	a := c.Int("axis", 1)
	if a < -len(x) || a > len(x) {
		return nil, fmt.Errorf("axis %d of rank %d", a, len(x))
	}
	if a < 0 {
		a += len(x)
	}
	rows, err := Elements(x[:a])
	if err != nil {
		return nil, err
	}
	cols, err := Elements(x[a:])
	if err != nil {
		return nil, err
	}
	return c.view([]int{rows, cols})
}

func squeeze(c *call) ([]Type, error) {
	x := c.in[0].Shape
	list, err := c.param("axes", 1, 13)
	if err != nil {
		return nil, err
	}
	drop, err := axisSet(list, len(x))
	if err != nil {
		return nil, err
	}
	all := !c.Has("axes") && !c.has(1)
	shape := []int{}
	for i, d := range x {
		switch {
		case drop[i] && d != 1:
			return nil, fmt.Errorf("axis %d of %v has extent %d, expected 1", i, x, d)
		case !drop[i] && !(all && d == 1):
			shape = append(shape, d)
		}
	}
	return c.view(shape)
}

func unsqueeze(c *call) ([]Type, error) {
	x := c.in[0].Shape
	list, err := c.param("axes", 1, 13)
	if err != nil {
		return nil, err
	}
	if len(list) > maxRank {
		return nil, fmt.Errorf("%d axes, expected at most %d", len(list), maxRank)
	}
	added, err := axisSet(list, len(x)+len(list))
	if err != nil {
		return nil, err
	}
	shape := make([]int, 0, len(added))
	for _, one := range added {
		if one {
			shape = append(shape, 1)
		} else {
			shape = append(shape, x[0])
			x = x[1:]
		}
	}
	return c.view(shape)
}

func transpose(c *call) ([]Type, error) {
	x := c.in[0].Shape
	perm := c.Ints("perm")
	if !c.Has("perm") {
		for i := range x {
			perm = append(perm, len(x)-1-i)
		}
	}
	if len(perm) != len(x) {
		return nil, fmt.Errorf("attribute perm: %v for shape %v", perm, x)
	}
	if _, err := axisSet(perm, len(x)); err != nil {
		return nil, fmt.Errorf("attribute perm: %w", err)
	}
	shape := make([]int, len(x))
	for i, a := range perm {
		if a < 0 { // which other attributes count from the end, but not this one
			return nil, fmt.Errorf("attribute perm: axis %d is negative", a)
		}
		shape[i] = x[a]
	}
	return one(c.in[0].DType, shape)
}

func concat(c *call) ([]Type, error) {
	x := c.in[0]
	if !c.Has("axis") {
		return nil, fmt.Errorf("no attribute axis")
	}
	a, err := axis(c.Int("axis", 0), len(x.Shape))
	if err != nil {
		return nil, err
	}
	shape := slices.Clone(x.Shape)
	for i, t := range c.in[1:] {
		if t.DType != x.DType || len(t.Shape) != len(x.Shape) {
			return nil, fmt.Errorf("input %d is %s %v, expected %s of rank %d", i+1, typeName(t), t.Shape, x.DType, len(x.Shape))
		}
		for j, d := range t.Shape {
			if j != a && d != shape[j] {
				return nil, fmt.Errorf("input %d has shape %v, expected that of %v but for axis %d", i+1, t.Shape, x.Shape, a)
			}
		}
		if shape[a] > math.MaxInt-t.Shape[a] {
			return nil, fmt.Errorf("axis %d overflows", a)
		}
		shape[a] += t.Shape[a]
	}
	return one(x.DType, shape)
}

// split has parts of given sizes, or equal ones; of those the last may be
// smaller where attribute num_outputs gives their number.
func split(c *call) ([]Type, error) {
	x := c.in[0]
	a, err := axis(c.Int("axis", 0), len(x.Shape))
	if err != nil {
		return nil, err
	}
	parts, err := c.param("split", 1, 13)
	if err != nil {
		return nil, err
	}
	size, n := x.Shape[a], len(c.Outputs)
	if n == 0 {
		return nil, fmt.Errorf("no outputs")
	}
	if parts == nil {
		if want := c.Int("num_outputs", n); want != n {
			return nil, fmt.Errorf("%d outputs, attribute num_outputs has %d", n, want)
		}
		part := ceilDiv(size, n)
		parts = slices.Repeat([]int{part}, n)
		parts[n-1] = size - part*(n-1)
		if c.opset < 18 && size%n != 0 || parts[n-1] < 0 {
			return nil, fmt.Errorf("axis %d of %v does not divide into %d parts", a, x.Shape, n)
		}
	}
	if len(parts) != n {
		return nil, fmt.Errorf("%d outputs for parts %v", n, parts)
	}
	out := make([]Type, n)
	for i, part := range parts {
		if part < 0 || part > size {
			return nil, fmt.Errorf("parts %v of axis %d of %v", parts, a, x.Shape)
		}
		size -= part
		out[i] = Type{DType: x.DType, Shape: slices.Clone(x.Shape)}
		out[i].Shape[a] = part
	}
	if size != 0 {
		return nil, fmt.Errorf("parts %v of axis %d of %v", parts, a, x.Shape)
	}
	return out, nil
}

// slice takes every step-th element of axes from start on and before end.
func slice(c *call) ([]Type, error) {
	x := c.in[0].Shape
	starts, err := c.param("starts", 1, 10)
	if err != nil {
		return nil, err
	}
	ends, err := c.param("ends", 2, 10)
	if err != nil {
		return nil, err
	}
	axes, err := c.param("axes", 3, 10)
	if err != nil {
		return nil, err
	}
	steps, err := c.ints(4, "steps")
	if err != nil {
		return nil, err
	}
	if axes == nil {
		for i := range starts {
			axes = append(axes, i)
		}
	}
	if steps == nil {
		steps = slices.Repeat([]int{1}, len(starts))
	}
	if len(ends) != len(starts) || len(axes) != len(starts) || len(steps) != len(starts) {
		return nil, fmt.Errorf("starts %v, ends %v, axes %v and steps %v, expected as many of each", starts, ends, axes, steps)
	}
	if _, err := axisSet(axes, len(x)); err != nil {
		return nil, err
	}
	shape := slices.Clone(x)
	for i, a := range axes {
		if steps[i] == 0 {
			return nil, fmt.Errorf("steps %v, expected none to be 0", steps)
		}
		a, _ = axis(a, len(x)) // checked by axisSet
		shape[a] = sliceLen(x[a], starts[i], ends[i], steps[i])
	}
	return one(c.in[0].DType, shape)
}

// sliceLen counts the elements of an axis of n from start to end. Negative
// bounds count from the end of the axis; those beyond it mean its end.
func sliceLen(n, start, end, step int) int {
	low, high := 0, n // where bounds lie when steps are positive
	if step < 0 {
		low, high = -1, n-1
	}
	bound := func(v int) int {
		if v < 0 {
			v = max(v, -n-1) + n
		}
		return min(max(v, low), high)
	}
	span := bound(end) - bound(start)
	if step < 0 {
		span, step = -span, -max(step, -n-1)
	}
	return ceilDiv(max(span, 0), min(step, n+1))
}

func gather(c *call) ([]Type, error) {
	x, index := c.in[0].Shape, c.in[1]
	if index.DType != Int32 && index.DType != Int64 {
		return nil, fmt.Errorf("the indices are %s, expected int32 or int64", index.DType)
	}
	a, err := axis(c.Int("axis", 0), len(x))
	if err != nil {
		return nil, err
	}
	return one(c.in[0].DType, slices.Concat(x[:a], index.Shape, x[a+1:]))
}

func expand(c *call) ([]Type, error) {
	shape, err := c.ints(1, "the shape")
	if err != nil {
		return nil, err
	}
	if shape, err = Broadcast(c.in[0].Shape, shape); err != nil {
		return nil, err
	}
	return one(c.in[0].DType, shape)
}

func tile(c *call) ([]Type, error) {
	x := c.in[0].Shape
	repeats, err := c.ints(1, "repeats")
	if err != nil {
		return nil, err
	}
	if len(repeats) != len(x) {
		return nil, fmt.Errorf("repeats %v for shape %v", repeats, x)
	}
	shape := make([]int, len(x))
	for i, r := range repeats {
		if shape[i], err = Elements([]int{x[i], r}); err != nil {
			return nil, fmt.Errorf("repeats %v: %w", repeats, err)
		}
	}
	return one(c.in[0].DType, shape)
}

// pad adds to both ends of axes, or takes away where a pad is negative.
func pad(c *call) ([]Type, error) {
	x := c.in[0].Shape
	pads, err := c.param("pads", 1, 11)
	if err != nil {
		return nil, err
	}
	axes := make([]int, len(x))
	for i := range axes {
		axes[i] = i
	}
	if c.has(3) {
		if axes, err = c.ints(3, "axes"); err != nil {
			return nil, err
		}
	}
	if _, err := axisSet(axes, len(x)); err != nil {
		return nil, err
	}
	if len(pads) != 2*len(axes) || slices.ContainsFunc(pads, func(p int) bool { return p < -maxExtent || p > maxExtent }) {
		return nil, fmt.Errorf("pads %v, expected two for each of %d axes", pads, len(axes))
	}
	shape := slices.Clone(x)
	for i, a := range axes {
		a, _ = axis(a, len(x)) // checked by axisSet
		shape[a] += pads[i] + pads[i+len(axes)]
		if shape[a] < 0 {
			return nil, fmt.Errorf("pads %v take away more than axis %d of %v", pads, a, x)
		}
	}
	return one(c.in[0].DType, shape)
}

func depthToSpace(c *call) ([]Type, error) {
	x, b, err := c.blocks()
	if err != nil {
		return nil, err
	}
	if x[1]%(b*b) != 0 {
		return nil, fmt.Errorf("%d channels do not divide into blocks of %d x %d", x[1], b, b)
	}
	return c.scaled(x[1]/(b*b), [2]int{x[2], b}, [2]int{x[3], b})
}

func spaceToDepth(c *call) ([]Type, error) {
	x, b, err := c.blocks()
	if err != nil {
		return nil, err
	}
	if x[2]%b != 0 || x[3]%b != 0 {
		return nil, fmt.Errorf("images of %d x %d do not divide into blocks of %d", x[2], x[3], b)
	}
	channels, err := Elements([]int{x[1], b, b})
	if err != nil {
		return nil, err
	}
	return c.scaled(channels, [2]int{x[2] / b, 1}, [2]int{x[3] / b, 1})
}

// blocks returns the shape of images and the size of a block.
func (c *call) blocks() (shape []int, size int, err error) {
	x, b := c.in[0].Shape, c.Int("blocksize", 0)
	if len(x) != 4 || b < 1 || b > maxExtent {
		return nil, 0, fmt.Errorf("an input of %v and blocks of %d, expected batch, channels, rows and columns", x, b)
	}
	return x, b, nil
}

// scaled is images whose rows and columns are products.
func (c *call) scaled(channels int, rows, cols [2]int) ([]Type, error) {
	h, err := Elements(rows[:])
	if err != nil {
		return nil, err
	}
	w, err := Elements(cols[:])
	if err != nil {
		return nil, err
	}
	return one(c.in[0].DType, []int{c.in[0].Shape[0], channels, h, w})
}
