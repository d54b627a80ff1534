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

// roiAlign is a sample of attributes' rows and columns for every region.
func roiAlign(c *call) ([]Type, error) {
	x, rois, batch := c.in[0].Shape, c.in[1].Shape, c.in[2]
	if err := c.checkReal(1); err != nil {
		return nil, err
	}
	if batch.DType != Int64 {
		return nil, fmt.Errorf("the images of regions are %s, expected int64", batch.DType)
	}
	if len(x) != 4 || len(rois) != 2 || rois[1] != 4 || !slices.Equal(batch.Shape, rois[:1]) {
		return nil, fmt.Errorf("an input of %v, regions of %v and their images of %v, expected batch, channels, rows and columns, and four ends for each region", x, rois, batch.Shape)
	}
	h, w := c.Int("output_height", 1), c.Int("output_width", 1)
	if h < 1 || w < 1 || h > maxExtent || w > maxExtent {
		return nil, fmt.Errorf("attributes output_height %d and output_width %d", h, w)
	}
	return one(c.in[0].DType, []int{rois[0], x[1], h, w})
}

// deformConv is a convolution whose taps have offsets of their own, and masks.
func deformConv(c *call) ([]Type, error) {
	x, w := c.in[0].Shape, c.in[1].Shape
	if err := c.checkReal(1, 2, 3, 4); err != nil {
		return nil, err
	}
	if err := c.checkWeight(); err != nil {
		return nil, err
	}
	groups, moved := c.Int("group", 1), c.Int("offset_group", 1)
	if groups < 1 || x[1]%groups != 0 || x[1]/groups != w[1] || w[0]%groups != 0 || moved < 1 || x[1]%moved != 0 {
		return nil, fmt.Errorf("an input of %v, a weight of %v, %d groups and %d of offsets do not agree on channels", x, w, groups, moved)
	}
	if c.has(3) && !slices.Equal(c.in[3].Shape, w[:1]) {
		return nil, fmt.Errorf("a bias of %v, expected %v", c.in[3].Shape, w[:1])
	}
	win, err := NewWindow(c.Node, x[2:], w[2:])
	if err != nil {
		return nil, err
	}
	masks, err := Elements(append([]int{moved}, w[2:]...))
	if err != nil {
		return nil, err
	}
	offsets, err := Elements([]int{masks, len(x) - 2})
	if err != nil {
		return nil, err
	}
	for _, moves := range [][2]int{{2, offsets}, {4, masks}} {
		i, want := moves[0], slices.Concat([]int{x[0], moves[1]}, win.Out)
		if c.has(i) && !slices.Equal(c.in[i].Shape, want) {
			return nil, fmt.Errorf("input %d has shape %v, expected %v", i, c.in[i].Shape, want)
		}
	}
	return one(c.in[0].DType, slices.Concat([]int{x[0], w[0]}, win.Out))
}
