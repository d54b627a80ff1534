package graph

import (
	"fmt"
	"math"
)

func constant(c *call) ([]Type, error) {
	t, err := c.Constant()
	if err != nil {
		return nil, err
	}
	return []Type{{t.DType, t.Shape, t}}, nil
}

// shapeOf is always constant; attributes start and end select extents as a
// slice does.
func shapeOf(c *call) ([]Type, error) {
	x := c.in[0].Shape
	bound := func(v int) int {
		if v < 0 {
			v = max(v, -len(x)) + len(x)
		}
		return min(v, len(x))
	}
	start, end := bound(c.Int("start", 0)), bound(c.Int("end", len(x)))
	list := []int64{}
	for i := start; i < end; i++ {
		list = append(list, int64(x[i]))
	}
	t := FromInts(Int64, []int{len(list)}, list)
	return []Type{{t.DType, t.Shape, t}}, nil
}

func sizeOf(c *call) ([]Type, error) {
	n, err := Elements(c.in[0].Shape)
	if err != nil {
		return nil, err
	}
	t := FromInts(Int64, []int{}, []int64{int64(n)})
	return []Type{{t.DType, t.Shape, t}}, nil
}

func constantOfShape(c *call) ([]Type, error) {
	shape, err := c.ints(0, "the shape")
	if err != nil {
		return nil, err
	}
	dt := Float32
	if a := c.Attrs["value"]; a != nil {
		if a.Tensor == nil || a.Tensor.Len() != 1 {
			return nil, fmt.Errorf("attribute value is not a tensor of one element")
		}
		dt = a.Tensor.DType
	}
	return one(dt, shape)
}

// rangeOf counts from start on by delta, and ends before limit.
func rangeOf(c *call) ([]Type, error) {
	dt := c.in[0].DType
	var v [3]float64
	for i, name := range []string{"start", "limit", "delta"} {
		t, err := c.value(i, name)
		if err != nil {
			return nil, err
		}
		if t.Len() != 1 || t.DType != dt || !dt.Float() && !dt.Integer() {
			return nil, fmt.Errorf("%s is %s %v, expected one number of the type of start", name, t.DType, t.Shape)
		}
		if dt.Float() {
			v[i] = float64(t.Floats()[0])
		} else {
			v[i] = float64(t.Ints()[0])
		}
	}
	n := math.Ceil((v[1] - v[0]) / v[2])
	if v[2] == 0 || math.IsNaN(n) || n > maxExtent {
		return nil, fmt.Errorf("range from %g to %g by %g", v[0], v[1], v[2])
	}
	return one(dt, []int{int(max(n, 0))})
}
