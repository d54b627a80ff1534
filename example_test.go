package nnz_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/nnz-dev/nnz"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/loader"
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

// batches is tinyModel with a batch that each request decides.
func batches() *nnz.Model {
	m := tinyModel()
	m.Inputs[0].Shape[0] = graph.Dim{Symbol: "batch"}
	m.Outputs[0].Shape[0] = graph.Dim{Symbol: "batch"}
	return m
}

// tinyFile is an ONNX file of tinyModel.
func tinyFile(dir string) string {
	path := filepath.Join(dir, "model.onnx")
	if err := loader.Save(path, tinyModel(), loader.SaveOptions{}); err != nil {
		log.Fatal(err)
	}
	return path
}

func Example() {
	ctx := context.Background()
	model := tinyModel() // or nnz.Load(ctx, "model.onnx")

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

func ExampleLoad() {
	dir, err := os.MkdirTemp("", "nnz")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	ctx := context.Background()
	model, err := nnz.Load(ctx, tinyFile(dir))
	if err != nil {
		log.Fatal(err)
	}
	for _, in := range model.Inputs {
		fmt.Println(in.Name, in.DType, len(in.Shape), "extents")
	}

	// A file that is no model says so, and what it is where that is known.
	page := filepath.Join(dir, "page.onnx")
	if err := os.WriteFile(page, []byte("<!DOCTYPE html>…"), 0o644); err != nil {
		log.Fatal(err)
	}
	_, err = nnz.Load(ctx, page)
	var format *nnz.FormatError
	if errors.As(err, &format) {
		fmt.Println(filepath.Base(format.File)+":", format.Msg)
	}
	// Output:
	// x float32 2 extents
	// page.onnx: expected an ONNX or .nnz model, got a web page: download the file itself, such as by the link named raw
}

// A model from an upload: it may take so much memory and no more.
func ExampleLoadReader() {
	dir, err := os.MkdirTemp("", "nnz")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	upload, err := os.ReadFile(tinyFile(dir))
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	model, err := nnz.LoadReader(ctx, "upload", bytes.NewReader(upload), nnz.LoadOptions{MaxBytes: 1 << 20})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(model.Nodes), "nodes")

	_, err = nnz.LoadReader(ctx, "upload", bytes.NewReader(upload), nnz.LoadOptions{MaxBytes: 100})
	fmt.Println(err)
	// Output:
	// 2 nodes
	// upload: at byte 100: expected a model of at most 100 bytes
}

// A batch of two where the model leaves the size open, on one thread, in a
// bounded memory.
func ExampleCompile() {
	ctx := context.Background()
	plan, err := nnz.Compile(ctx, batches(), nnz.Config{
		Threads:  1,
		Dims:     map[string]int{"batch": 2},
		MaxBytes: 1 << 20,
	})
	if err != nil {
		log.Fatal(err)
	}
	session := plan.NewSession()
	defer session.Close()
	x, err := session.Input("x")
	if err != nil {
		log.Fatal(err)
	}
	copy(x.F, []float32{1, 2, 3 /* and */, 4, 0, 6})
	if err := session.Run(ctx); err != nil {
		log.Fatal(err)
	}
	y, err := session.Output("y")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(y.Shape, y.F)
	// Output: [2 2] [1.5 0 4.5 6.5]
}

// A model with nodes that cannot be run says which, all at once.
func ExampleUnsupportedError() {
	model := tinyModel()
	model.Nodes[1].Op = "Frobnicate"
	_, err := nnz.Compile(context.Background(), model, nnz.Config{})
	var unsupported *nnz.UnsupportedError
	if errors.As(err, &unsupported) {
		for _, n := range unsupported.Nodes {
			fmt.Printf("%s: %s, %s\n", n.Node, n.Op, n.Reason)
		}
	}
	// Output: relu: Frobnicate, operator Frobnicate is not supported
}

// Requests of different lengths: each length is compiled once.
func ExampleNewPlans() {
	ctx := context.Background()
	plans := nnz.NewPlans(batches(), nnz.Config{Threads: 1})
	defer plans.Close()
	for _, request := range [][]float32{{1, 2, 3}, {4, 0, 6, 1, 2, 3}, {0, 0, 0}} {
		session, err := plans.Session(ctx, map[string][]int{"x": {len(request) / 3, 3}})
		if err != nil {
			log.Fatal(err)
		}
		x, err := session.Input("x")
		if err != nil {
			log.Fatal(err)
		}
		copy(x.F, request)
		if err := session.Run(ctx); err != nil {
			log.Fatal(err)
		}
		y, err := session.Output("y")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(y.Shape, y.F) // before the session goes back
		plans.Release(session)
	}
	// Output:
	// [1 2] [1.5 0]
	// [2 2] [4.5 6.5 1.5 0]
	// [1 2] [0.5 0.5]
}

// What was chosen for each layer, and why.
func ExamplePlan_Explain() {
	plan, err := nnz.Compile(context.Background(), tinyModel(), nnz.Config{Mode: nnz.Sparse})
	if err != nil {
		log.Fatal(err)
	}
	r := plan.Explain()
	for _, s := range r.Steps {
		if s.M > 0 {
			fmt.Printf("%s: %d x %d x %d, %.0f %% zeros, %s\n", s.Name, s.M, s.K, s.N, 100*s.Sparsity, s.Format)
		}
	}
	// Output: linear: 2 x 3 x 1, 50 % zeros, csr
}

// Integer and bool inputs are in I, whatever their width.
func ExampleTensor() {
	model := &nnz.Model{
		Inputs:  []*graph.Value{{Name: "ids", DType: graph.Int32, Shape: graph.Dims(4)}},
		Outputs: []*graph.Value{{Name: "rows", DType: graph.Float32, Shape: graph.Dims(4, 2)}},
		Nodes:   []*graph.Node{{Name: "embed", Op: "Gather", Inputs: []string{"table", "ids"}, Outputs: []string{"rows"}}},
		Weights: map[string]*graph.Tensor{"table": graph.FromFloats([]int{3, 2}, []float32{0, 0.5, 1, 1.5, 2, 2.5})},
		Opset:   map[string]int{"": 17},
		IR:      8,
	}
	ctx := context.Background()
	plan, err := nnz.Compile(ctx, model, nnz.Config{})
	if err != nil {
		log.Fatal(err)
	}
	session := plan.NewSession()
	defer session.Close()
	ids, err := session.Input("ids")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ids.DType, ids.Shape)
	copy(ids.I, []int64{2, 0, 1, 1})
	if err := session.Run(ctx); err != nil {
		log.Fatal(err)
	}
	rows, err := session.Output("rows")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(rows.F)
	// Output:
	// int32 [4]
	// [2 2.5 0 0.5 1 1.5 1 1.5]
}

// A request whose client has gone: the run ends before its next step.
func ExampleSession_Run_cancelled() {
	plan, err := nnz.Compile(context.Background(), tinyModel(), nnz.Config{})
	if err != nil {
		log.Fatal(err)
	}
	session := plan.NewSession()
	defer session.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	fmt.Println(errors.Is(session.Run(ctx), context.Canceled))
	fmt.Println(session.Run(context.Background())) // the session is as good as before
	// Output:
	// true
	// <nil>
}
