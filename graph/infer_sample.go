package graph

import (
	"fmt"
	"slices"
)

// checkReal checks that the inputs of the given numbers, where they are there,
// are of the first input's type, a real one.
func (c *call) checkReal(inputs ...int) error {
	dt := c.in[0].DType
	if !dt.Float() {
		return fmt.Errorf("input 0 is %s, expected a real type", dt)
	}
	for _, i := range inputs {
		if c.has(i) && c.in[i].DType != dt {
			return fmt.Errorf("input %d is %s, expected %s", i, c.in[i].DType, dt)
		}
	}
	return nil
}

// gridSample reads images at the positions of a grid, whose last axis holds a
// coordinate for each spatial axis.
func gridSample(c *call) ([]Type, error) {
	x, grid := c.in[0].Shape, c.in[1]
	if !c.in[0].DType.Float() || !grid.DType.Float() {
		return nil, fmt.Errorf("inputs of %s and %s, expected real types", c.in[0].DType, grid.DType)
	}
	last := len(x) - 1
	if len(x) < 3 || len(grid.Shape) != len(x) || grid.Shape[0] != x[0] || grid.Shape[last] != len(x)-2 {
		return nil, fmt.Errorf("an input of %v and a grid of %v, expected batch, channels and images, and batch, positions and coordinates", x, grid.Shape)
	}
	return one(c.in[0].DType, slices.Concat(x[:2], grid.Shape[1:last]))
}
