package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime"
	"github.com/nnz-dev/nnz/sparse"
)

// SpMM measures the product of one sparse matrix with a dense one of the given
// number of columns, against the same product with the zeros multiplied. What
// is timed is the step of a compiled model, so it uses the kernels, tiles and
// blocks that a layer of a network would. The zeros are skipped whether that
// pays or not, unless o.Mode says otherwise than [runtime.Auto].
func SpMM(ctx context.Context, w sparse.Matrix, columns int, o Options) (LayerReport, error) {
	m, err := product(w, columns)
	if err != nil {
		return LayerReport{}, err
	}
	if o.Mode == runtime.Auto {
		o.Mode = runtime.Sparse
	}
	r, err := Compare(ctx, m, o)
	if err != nil {
		return LayerReport{}, err
	}
	for _, l := range r.Layers {
		if l.M > 0 {
			return l, nil
		}
	}
	return LayerReport{}, errors.New("the compiled product has no layer")
}

// product makes a model of one product: a convolution of 1 x 1, whose pixels
// are the columns.
func product(w sparse.Matrix, columns int) (*graph.Model, error) {
	rows, inputs := w.Dims()
	if rows < 1 || inputs < 1 || columns < 1 {
		return nil, fmt.Errorf("a product of %d x %d by %d columns", rows, inputs, columns)
	}
	weight, err := graph.NewSparse([]int{rows, inputs, 1, 1}, w)
	if err != nil {
		return nil, err
	}
	x := &graph.Value{Name: "x", DType: graph.Float32, Shape: graph.Dims(1, inputs, 1, columns)}
	y := &graph.Value{Name: "y", DType: graph.Float32, Shape: graph.Dims(1, rows, 1, columns)}
	n := &graph.Node{Name: "product", Op: "Conv", Inputs: []string{x.Name, "w"}, Outputs: []string{y.Name}}
	n.Set("kernel_shape", []int{1, 1})
	return &graph.Model{
		Name:    "product",
		Inputs:  []*graph.Value{x},
		Outputs: []*graph.Value{y},
		Nodes:   []*graph.Node{n},
		Weights: map[string]*graph.Tensor{"w": weight},
		Opset:   map[string]int{"": 17},
		IR:      8,
	}, nil
}
