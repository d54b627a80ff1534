package nnz_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nnz-dev/nnz"
	"github.com/nnz-dev/nnz/graph"
)

// A service loads a model with nnz.Load; this one is made by hand to be small:
// y = relu(x·W + b).
func tinyModel() *nnz.Model {
	return &nnz.Model{
		Inputs:  []*graph.Value{{Name: "x", DType: graph.Float32, Shape: graph.Dims(1, 3)}},
		Outputs: []*graph.Value{{Name: "y", DType: graph.Float32, Shape: graph.Dims(1, 2)}},
		Nodes: []*graph.Node{
			{Name: "linear", Op: "Gemm", Inputs: []string{"x", "w", "b"}, Outputs: []string{"h"}},
			{Name: "relu", Op: "Relu", Inputs: []string{"h"}, Outputs: []string{"y"}},
		},
		Weights: map[string]*graph.Tensor{
			"w": graph.FromFloats([]int{3, 2}, []float32{1, 0, 0, -2, 0, 1}),
			"b": graph.FromFloats([]int{2}, []float32{0.5, 0.5}),
		},
		Opset: map[string]int{"": 17},
		IR:    8,
	}
}

func Example() {
	ctx := context.Background()
	model := tinyModel() // or nnz.Load("model.onnx")

	plan, err := nnz.Compile(ctx, model, nnz.Config{})
	if err != nil {
		log.Fatal(err)
	}
	session := plan.NewSession()
	defer session.Close()

	x, err := session.Input("x")
	if err != nil {
		log.Fatal(err)
	}
	copy(x.F, []float32{1, 2, 3})
	if err := session.Run(ctx); err != nil {
		log.Fatal(err)
	}
	y, err := session.Output("y")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(y.Shape, y.F)
	// Output: [1 2] [1.5 0]
}
