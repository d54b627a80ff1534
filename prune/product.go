package prune

import (
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// A use is a node that multiplies with the weight of a layer.
type use struct {
	node *graph.Node
	left bool   // the weight is the first input of a Gemm or MatMul
	in   string // the other operand
	out  string
}

// usesOf finds for each layer the nodes that multiply with its weight as the
// layer's own does.
func usesOf(m *graph.Model, layers []Layer) [][]use {
	index := make(map[string]int)
	for i, l := range layers {
		index[l.Weight] = i
	}
	uses := make([][]use, len(layers))
	alias := make(map[string]string)
	for _, n := range m.Nodes {
		if n.Op == "Identity" && n.Domain == "" && len(n.Outputs) > 0 {
			alias[n.Outputs[0]] = resolve(alias, n.Input(0))
			continue
		}
		l, ok := layerOf(m, n, alias)
		if !ok {
			continue
		}
		i, ok := index[l.Weight]
		if !ok || l.Kind != layers[i].Kind || l.at != layers[i].at {
			continue
		}
		u := use{node: n, out: n.Outputs[0], left: resolve(alias, n.Input(1)) != l.Weight}
		if u.in = n.Input(0); u.left {
			u.in = n.Input(1)
		}
		uses[i] = append(uses[i], u)
	}
	return uses
}

// A product is a layer's matrix products with an activation of known shape:
// groups of outputs = weight · inputs, column by column. Columns are the pixels
// of images or the rows of matrices, of all examples of a batch.
type product struct {
	at      placement
	columns int // of each group
	// input copies the inputs of a column out of the activation x.
	input func(x []float32, group, column int, dst []float32)
	// output is where the first output of a column lies in what the node
	// computes, and how far from each other they lie.
	output func(group, column int) (first, stride int)
}

// productOf describes the products of a use with an activation of shape x.
func productOf(l Layer, u use, x []int) (product, error) {
	if u.node.Op == "Conv" {
		return convolution(l, u.node, x)
	}
	return matrices(l, u, x)
}

// convolution takes images apart into the columns that im2col makes of them.
func convolution(l Layer, n *graph.Node, x []int) (product, error) {
	kernel := l.Shape[2:]
	if len(x) != len(l.Shape) || len(kernel) == 0 || x[1] != l.at.groups*l.Shape[1] {
		return product{}, fmt.Errorf("an input of shape %v for a weight of %v in %d groups", x, l.Shape, l.at.groups)
	}
	image := x[2:]
	w, err := graph.NewWindow(n, image, kernel)
	if err != nil {
		return product{}, err
	}
	pixels, outs, taps := volume(image), volume(w.Out), volume(kernel)
	channels := l.Shape[1]
	pos, tap, places := make([]int, len(kernel)), make([]int, len(kernel)), make([]int, taps)
	last := -1 // output pixel whose taps lie at places
	locate := func(pixel int) {
		unravel(pixel, w.Out, pos)
		for t := range places {
			unravel(t, kernel, tap)
			at := 0
			for i, d := range image {
				c := pos[i]*w.Stride[i] + tap[i]*w.Dilation[i] - w.Begin[i]
				if c < 0 || c >= d {
					at = -1
					break
				}
				at = at*d + c
			}
			places[t] = at
		}
		last = pixel
	}
	return product{
		at:      l.at,
		columns: x[0] * outs,
		input: func(x []float32, group, column int, dst []float32) {
			if pixel := column % outs; pixel != last {
				locate(pixel)
			}
			first := (column/outs*l.at.groups + group) * channels
			for c := range channels {
				plane := x[(first+c)*pixels:][:pixels]
				for t, at := range places {
					dst[c*taps+t] = 0
					if at >= 0 {
						dst[c*taps+t] = plane[at]
					}
				}
			}
		},
		output: func(group, column int) (first, stride int) {
			image, pixel := column/outs, column%outs
			return ((image*l.at.groups+group)*l.at.rows)*outs + pixel, outs
		},
	}, nil
}

// matrices describes a Gemm or a MatMul with broadcasting.
func matrices(l Layer, u use, x []int) (product, error) {
	fail := func() (product, error) {
		return product{}, fmt.Errorf("an input of shape %v for a weight of %v", x, l.Shape)
	}
	if len(x) == 1 && u.node.Op == "MatMul" {
		// A vector is a matrix of one row, or of one column on the right.
		if x = []int{1, x[0]}; u.left {
			x = []int{x[1], 1}
		}
	}
	if len(x) < 2 {
		return fail()
	}
	// Inputs run along one axis of x, columns along the other.
	inputAxis, columnAxis := len(x)-1, len(x)-2
	columnStride, inputStride := x[inputAxis], 1
	transposed := u.node.Int("transA", 0) != 0
	if u.left {
		transposed = u.node.Int("transB", 0) == 0
	}
	if transposed {
		inputAxis, columnAxis = columnAxis, inputAxis
		columnStride, inputStride = inputStride, columnStride
	}
	if x[inputAxis] != l.at.cols {
		return fail()
	}
	positions := x[columnAxis]
	batch, err := graph.Broadcast(x[:len(x)-2], l.Shape[:len(l.Shape)-2])
	if err != nil {
		return fail()
	}
	// matrix numbers the matrices of the batch by those of the weight that they
	// are products with, and has the one of x for each.
	type pair struct{ x, y int }
	matrix := make([][]pair, l.at.groups)
	pos := make([]int, len(batch))
	for y := range volume(batch) {
		unravel(y, batch, pos)
		group := ravel(pos, l.Shape[:len(l.Shape)-2])
		matrix[group] = append(matrix[group], pair{ravel(pos, x[:len(x)-2]), y})
	}
	// A weight on the left leaves its outputs along the rows of the result.
	outputStride, step := 1, l.at.rows
	if u.left {
		outputStride, step = positions, 1
	}
	return product{
		at:      l.at,
		columns: len(matrix[0]) * positions,
		input: func(x []float32, group, column int, dst []float32) {
			at := matrix[group][column/positions].x*positions*l.at.cols + column%positions*columnStride
			for i := range dst {
				dst[i] = x[at+i*inputStride]
			}
		},
		output: func(group, column int) (first, stride int) {
			return matrix[group][column/positions].y*positions*l.at.rows + column%positions*step, outputStride
		},
	}, nil
}

func volume(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// unravel stores the position of element i of a shape.
func unravel(i int, shape, pos []int) {
	for axis, d := range slices.Backward(shape) {
		pos[axis] = i % d
		i /= d
	}
}

// ravel returns the element at a position of a shape that is broadcast: axes
// that it lacks come first, and those of one element stretch.
func ravel(pos, shape []int) int {
	i := 0
	for axis, d := range shape {
		i *= d
		if d > 1 {
			i += pos[len(pos)-len(shape)+axis]
		}
	}
	return i
}
