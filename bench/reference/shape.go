package reference

import (
	"fmt"
	"math"
)

// same keeps the elements; the shape is the inferred one.
func same(c *call) error {
	copy(c.out.Values, c.in[0].Values)
	return nil
}

func cast(c *call) error {
	for i, x := range c.in[0].Values {
		if c.dtype.Integer() {
			x = math.Trunc(x)
		}
		c.out.Values[i] = x
	}
	return nil
}

// pick fills the output with the elements of the input at the offsets.
func (c *call) pick(offset func(at []int) int) error {
	x := c.in[0].Values
	var err error
	each(c.out.Shape, func(i int, at []int) {
		o := offset(at)
		if o < 0 || o >= len(x) {
			err = fmt.Errorf("element %d of %d", o, len(x))
			return
		}
		c.out.Values[i] = x[o]
	})
	return err
}

func transpose(c *call) error {
	s := strides(c.in[0].Shape)
	perm := c.Ints("perm")
	return c.pick(func(at []int) int {
		o := 0
		for i, a := range at {
			axis := len(at) - 1 - i
			if perm != nil {
				axis = perm[i]
			}
			o += a * s[axis]
		}
		return o
	})
}

func expand(c *call) error {
	in := c.in[0].Shape
	s := strides(in)
	return c.pick(func(at []int) int { return broadcast(at, in, s) })
}

// broadcast returns the offset of an index in an operand that may have fewer
// axes, and extents of 1.
func broadcast(at, shape, strides []int) int {
	o := 0
	for i := range shape {
		if shape[i] > 1 {
			o += at[len(at)-len(shape)+i] * strides[i]
		}
	}
	return o
}

// wrap counts a negative axis or index from the end.
func wrap(i, n int) int {
	if i < 0 {
		return i + n
	}
	return i
}

func gather(c *call) error {
	x, indices := c.in[0].Shape, c.in[1]
	axis := wrap(c.Int("axis", 0), len(x))
	for _, i := range indices.Values {
		if k := wrap(int(i), x[axis]); k < 0 || k >= x[axis] {
			return fmt.Errorf("index %g of %d", i, x[axis])
		}
	}
	s, si := strides(x), strides(indices.Shape)
	return c.pick(func(at []int) int {
		o := 0
		for i, a := range at[:axis] {
			o += a * s[i]
		}
		k := 0
		for i, a := range at[axis : axis+len(si)] {
			k += a * si[i]
		}
		o += wrap(int(indices.Values[k]), x[axis]) * s[axis]
		for i, a := range at[axis+len(si):] {
			o += a * s[axis+1+i]
		}
		return o
	})
}

// slice takes starts, axes and steps as inputs, as from opset 10 on; the ends
// are in the inferred shape.
func slice(c *call) error {
	if len(c.in) < 3 {
		return fmt.Errorf("%d inputs, expected those of opset 10", len(c.in))
	}
	x := c.in[0].Shape
	s := strides(x)
	begin, step := make([]int, len(x)), make([]int, len(x))
	for i := range step {
		step[i] = 1
	}
	for i, v := range c.in[1].Values {
		axis := i
		if len(c.in) > 3 && c.in[3] != nil {
			axis = wrap(int(c.in[3].Values[i]), len(x))
		}
		if len(c.in) > 4 && c.in[4] != nil {
			step[axis] = int(c.in[4].Values[i])
		}
		last := x[axis]
		if step[axis] < 0 {
			last--
		}
		begin[axis] = max(0, min(wrap(int(v), x[axis]), last))
	}
	return c.pick(func(at []int) int {
		o := 0
		for i, a := range at {
			o += (begin[i] + a*step[i]) * s[i]
		}
		return o
	})
}

func concat(c *call) error {
	axis := wrap(c.Int("axis", 0), len(c.out.Shape))
	inner := product(c.out.Shape[axis+1:])
	row := c.out.Shape[axis] * inner
	at := 0
	for _, x := range c.in {
		n := x.Shape[axis] * inner
		for o := range product(c.out.Shape[:axis]) {
			copy(c.out.Values[o*row+at:o*row+at+n], x.Values[o*n:(o+1)*n])
		}
		at += n
	}
	return nil
}
