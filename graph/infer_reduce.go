package graph

import "fmt"

// reduceSince18 is the rule of reductions whose axes are an input from version
// 18 on.
func reduceSince18(c *call) ([]Type, error) { return c.reduce(18) }

func reduceSince13(c *call) ([]Type, error) { return c.reduce(13) }

// reduce is the rule of reductions whose axes are an input from a version on,
// and an attribute before.
func (c *call) reduce(since int) ([]Type, error) {
	list, err := c.param("axes", 1, since)
	if err != nil {
		return nil, err
	}
	x := c.in[0]
	reduced, err := axisSet(list, len(x.Shape))
	if err != nil {
		return nil, err
	}
	all := len(list) == 0
	if all && c.opset >= since && c.Int("noop_with_empty_axes", 0) != 0 {
		return one(x.DType, x.Shape)
	}
	for i := range reduced {
		reduced[i] = reduced[i] || all
	}
	return one(x.DType, c.reducedShape(x.Shape, reduced))
}

// reducedShape drops the reduced extents, or makes them 1 where attribute
// keepdims says so, as it does by default.
func (c *call) reducedShape(shape []int, reduced []bool) []int {
	keep := c.Int("keepdims", 1) != 0
	out := []int{}
	for i, d := range shape {
		switch {
		case !reduced[i]:
			out = append(out, d)
		case keep:
			out = append(out, 1)
		}
	}
	return out
}

func argMax(c *call) ([]Type, error) {
	x := c.in[0].Shape
	if len(x) == 0 {
		return nil, fmt.Errorf("the input is a scalar, expected an axis")
	}
	reduced, err := axisSet([]int{c.Int("axis", 0)}, len(x))
	if err != nil {
		return nil, err
	}
	return one(Int64, c.reducedShape(x, reduced))
}
