package graph

import (
	"fmt"
	"slices"
)

// one wraps the type of the only output.
func one(dt DType, shape []int) ([]Type, error) {
	return []Type{{DType: dt, Shape: shape}}, nil
}

// sameType is the rule of functions that keep type and shape.
func sameType(c *call) ([]Type, error) { return one(c.in[0].DType, c.in[0].Shape) }

func identity(c *call) ([]Type, error) { return []Type{c.in[0]}, nil }

func cast(c *call) ([]Type, error) {
	to := c.Int("to", 0)
	if to < 1 || to >= len(dtypes) {
		return nil, fmt.Errorf("attribute to: element type %d is not known", to)
	}
	return one(DType(to), c.in[0].Shape)
}

// broadcast returns the shape that the inputs from number first on broadcast
// to. They must all be present and of one type.
func (c *call) broadcast(first int) ([]int, error) {
	shape := []int{}
	for i := first; i < len(c.in); i++ {
		t := c.in[i]
		if t.DType != c.in[first].DType {
			return nil, fmt.Errorf("input %d is %s, expected %s", i, typeName(t), c.in[first].DType)
		}
		var err error
		if shape, err = Broadcast(shape, t.Shape); err != nil {
			return nil, err
		}
	}
	return shape, nil
}

func typeName(t Type) string {
	if t.DType == Undefined {
		return "absent"
	}
	return t.DType.String()
}

func arithmetic(c *call) ([]Type, error) {
	shape, err := c.broadcast(0)
	if err != nil {
		return nil, err
	}
	return one(c.in[0].DType, shape)
}

func comparison(c *call) ([]Type, error) {
	shape, err := c.broadcast(0)
	if err != nil {
		return nil, err
	}
	return one(Bool, shape)
}

func logic(c *call) ([]Type, error) {
	if c.in[0].DType != Bool {
		return nil, fmt.Errorf("input 0 is %s, expected bool", c.in[0].DType)
	}
	return comparison(c)
}

// pow takes the type of the base; that of the exponent may differ.
func pow(c *call) ([]Type, error) {
	shape, err := Broadcast(c.in[0].Shape, c.in[1].Shape)
	if err != nil {
		return nil, err
	}
	return one(c.in[0].DType, shape)
}

func where(c *call) ([]Type, error) {
	if c.in[0].DType != Bool {
		return nil, fmt.Errorf("the condition is %s, expected bool", c.in[0].DType)
	}
	shape, err := c.broadcast(1)
	if err != nil {
		return nil, err
	}
	if shape, err = Broadcast(c.in[0].Shape, shape); err != nil {
		return nil, err
	}
	return one(c.in[1].DType, shape)
}

func prelu(c *call) ([]Type, error) {
	if err := stretches(c.in[1].Shape, c.in[0].Shape); err != nil {
		return nil, fmt.Errorf("slope: %w", err)
	}
	return sameType(c)
}

// stretches checks that shape a broadcasts to b, and b stays as it is.
func stretches(a, b []int) error {
	if shape, err := Broadcast(a, b); err != nil || !slices.Equal(shape, b) {
		return fmt.Errorf("shape %v does not broadcast to %v", a, b)
	}
	return nil
}

func softmax(c *call) ([]Type, error) {
	def := -1
	if c.opset < 13 {
		def = 1
	}
	rank := len(c.in[0].Shape)
	a := c.Int("axis", def)
	// Before version 13 the axis only splits the shape in two.
	if c.opset < 13 && a == rank {
		return sameType(c)
	}
	if _, err := axis(a, rank); err != nil {
		return nil, err
	}
	return sameType(c)
}

// batchNormalization may also have outputs that only training needs.
func batchNormalization(c *call) ([]Type, error) {
	x := c.in[0].Shape
	if len(x) < 1 {
		return nil, fmt.Errorf("the input is a scalar, expected channels")
	}
	channels := 1
	if len(x) > 1 {
		channels = x[1]
	}
	for i, name := range []string{"scale", "B", "mean", "var"} {
		if got := c.in[i+1].Shape; !slices.Equal(got, []int{channels}) {
			return nil, fmt.Errorf("%s has shape %v, expected [%d]", name, got, channels)
		}
	}
	stats := Type{DType: c.in[3].DType, Shape: []int{channels}}
	return []Type{{DType: c.in[0].DType, Shape: x}, stats, stats, stats, stats}, nil
}

// dropout does nothing when a model runs: the mask keeps all.
func dropout(c *call) ([]Type, error) {
	mask := Type{DType: Bool, Shape: c.in[0].Shape}
	if c.opset < 10 {
		mask.DType = c.in[0].DType
	}
	return []Type{c.in[0], mask}, nil
}

func castLike(c *call) ([]Type, error) { return one(c.in[1].DType, c.in[0].Shape) }

// isBool is the rule of questions about single elements.
func isBool(c *call) ([]Type, error) { return one(Bool, c.in[0].Shape) }
