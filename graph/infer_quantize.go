package graph

import (
	"fmt"
	"slices"
)

// checkScale checks the scale of a quantisation, input 1, and the zero point,
// input 2: one number, a list along attribute axis, or one of each block of
// attribute block_size elements along it.
func (c *call) checkScale() error {
	x, scale := c.in[0].Shape, c.in[1].Shape
	if c.has(2) && !slices.Equal(c.in[2].Shape, scale) && !(isOne(scale) && isOne(c.in[2].Shape)) {
		return fmt.Errorf("the zero point has shape %v, expected %v of the scale", c.in[2].Shape, scale)
	}
	block := c.Int("block_size", 0)
	if block == 0 && isOne(scale) {
		return nil
	}
	a, err := axis(c.Int("axis", 1), len(x))
	if err != nil {
		return err
	}
	if block == 0 {
		if !slices.Equal(scale, x[a:a+1]) {
			return fmt.Errorf("the scale has shape %v, expected one number or [%d]", scale, x[a])
		}
		return nil
	}
	if block < 0 || block > maxExtent || len(scale) != len(x) {
		return fmt.Errorf("blocks of %d and a scale of %v for shape %v", block, scale, x)
	}
	want := slices.Clone(x)
	want[a] = ceilDiv(min(x[a], maxExtent), block)
	if !slices.Equal(scale, want) {
		return fmt.Errorf("the scale has shape %v, expected %v for blocks of %d", scale, want, block)
	}
	return nil
}

// isOne reports whether a shape has one element.
func isOne(shape []int) bool {
	n, err := Elements(shape)
	return err == nil && n == 1 && len(shape) <= 1
}

func quantizeLinear(c *call) ([]Type, error) {
	dt := DType(c.Int("output_dtype", int(Uint8)))
	if c.has(2) {
		dt = c.in[2].DType
	}
	if !dt.Valid() {
		return nil, fmt.Errorf("attribute output_dtype: element type %d is not known", dt)
	}
	return []Type{{DType: dt, Shape: c.in[0].Shape}}, c.checkScale()
}

func dequantizeLinear(c *call) ([]Type, error) {
	dt := c.in[1].DType
	if to := c.Int("output_dtype", 0); to > 0 && to < len(dtypes) {
		dt = DType(to)
	}
	return []Type{{DType: dt, Shape: c.in[0].Shape}}, c.checkScale()
}

func dynamicQuantizeLinear(c *call) ([]Type, error) {
	return []Type{{DType: Uint8, Shape: c.in[0].Shape}, {DType: Float32, Shape: []int{}}, {DType: Uint8, Shape: []int{}}}, nil
}

// product applies a rule to the operands of a quantised product as though they
// were of one type, and returns its shape with another type.
func (c *call) product(rule func(*call) ([]Type, error), dt DType, operands ...int) ([]Type, error) {
	plain := &call{Node: c.Node, opset: c.opset}
	for _, i := range operands {
		t := Type{}
		if c.has(i) {
			t = Type{DType: dt, Shape: c.in[i].Shape}
		}
		plain.in = append(plain.in, t)
	}
	return rule(plain)
}

func convInteger(c *call) ([]Type, error)   { return c.product(conv, Int32, 0, 1) }
func matMulInteger(c *call) ([]Type, error) { return c.product(matMul, Int32, 0, 1) }

func qLinearConv(c *call) ([]Type, error)   { return c.product(conv, c.in[7].DType, 0, 3, 8) }
func qLinearMatMul(c *call) ([]Type, error) { return c.product(matMul, c.in[7].DType, 0, 3) }
