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

// affineGrid is positions, of as many coordinates as matrices have rows, for
// images of a constant size.
func affineGrid(c *call) ([]Type, error) {
	theta := c.in[0].Shape
	if err := c.checkReal(); err != nil {
		return nil, err
	}
	size, err := c.ints(1, "the size")
	if err != nil {
		return nil, err
	}
	axes := len(size) - 2
	if axes != 2 && axes != 3 || !slices.Equal(theta, []int{size[0], axes, axes + 1}) {
		return nil, fmt.Errorf("matrices of %v for images of %v, expected one for each of a batch of images of two or three spatial axes", theta, size)
	}
	return one(c.in[0].DType, slices.Concat(size[:1], size[2:], []int{axes}))
}

// col2Im adds up columns, each a block of channels, in images of a constant
// size.
func col2Im(c *call) ([]Type, error) {
	x := c.in[0].Shape
	if err := c.checkReal(); err != nil {
		return nil, err
	}
	image, err := c.ints(1, "the size of images")
	if err != nil {
		return nil, err
	}
	block, err := c.ints(2, "the size of blocks")
	if err != nil {
		return nil, err
	}
	win, err := NewWindow(c.Node, image, block)
	if err != nil {
		return nil, err
	}
	taps, err := Elements(block)
	if err != nil {
		return nil, err
	}
	columns, err := Elements(win.Out)
	if err != nil {
		return nil, err
	}
	if len(x) != 3 || x[1]%taps != 0 || x[2] != columns {
		return nil, fmt.Errorf("an input of %v, expected batch, a multiple of %d rows, and %d columns", x, taps, columns)
	}
	return one(c.in[0].DType, slices.Concat([]int{x[0], x[1] / taps}, image))
}
