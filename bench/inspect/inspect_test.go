package inspect

import (
	"errors"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime"
)

// model is x·w of a 4 x 8 weight by op, which holds zeros in all but its first
// and fifth output.
func model(op string, transB bool) *graph.Model {
	const outputs, inputs = 8, 4
	shape, at := []int{inputs, outputs}, func(o, i int) int { return i*outputs + o }
	if transB {
		shape, at = []int{outputs, inputs}, func(o, i int) int { return o*inputs + i }
	}
	w := make([]float32, outputs*inputs)
	for i := range inputs {
		w[at(0, i)], w[at(4, i)] = 1, 2
	}
	n := &graph.Node{Op: op, Inputs: []string{"x", "w", "b"}, Outputs: []string{"y"}}
	if op == "MatMul" {
		n.Inputs = n.Inputs[:2]
	}
	if transB {
		n.Set("transB", 1)
	}
	return &graph.Model{
		Name:    "model",
		Inputs:  []*graph.Value{{Name: "x", DType: graph.Float32, Shape: graph.Dims(3, inputs)}},
		Outputs: []*graph.Value{{Name: "y", DType: graph.Float32, Shape: graph.Dims(3, outputs)}},
		Nodes:   []*graph.Node{n},
		Weights: map[string]*graph.Tensor{"w": graph.FromFloats(shape, w), "b": graph.FromFloats([]int{outputs}, make([]float32, outputs))},
		Opset:   map[string]int{"": 17},
		IR:      8,
	}
}

func TestModel(t *testing.T) {
	for _, test := range []struct {
		op     string
		transB bool
	}{{"Gemm", false}, {"Gemm", true}, {"MatMul", false}} {
		r, err := Model(t.Context(), model(test.op, test.transB), runtime.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Parameters != 40 || r.Zeros != 24+8 || r.MACs != 3*8*4 || r.PackedBytes == 0 || r.ISA == "" || len(r.Layers) != 1 {
			t.Fatalf("%+v: got %+v", test, r)
		}
		l := r.Layers[0]
		if l.Name != "y" || l.Op != test.op || l.Parameters != 32 || l.Zeros != 24 || l.Sparsity != 0.75 {
			t.Errorf("%+v: got %+v", test, l)
		}
		if l.Plan == nil || l.Plan.M != 8 || l.Plan.K != 4 || l.Plan.N != 3 {
			t.Errorf("%+v: got plan %+v", test, l.Plan)
		}
		// Blocks are of outputs x inputs, however the weight is stored: rows 0
		// and 4 of 8 are full.
		// All four inputs of a full row have weights.
		for i, want := range []Pattern{{1, 4, 0.25, false}, {2, 4, 0.25, false}} {
			if l.Patterns[i] != want {
				t.Errorf("%+v: got %+v, want %+v", test, l.Patterns[i], want)
			}
		}
		for _, b := range l.Blocks {
			switch [2]int{b.R, b.C} {
			case [2]int{4, 1}:
				if b.Empty != 0 || b.Full != 0 || b.Fill != 0.25 {
					t.Errorf("%+v: got %+v", test, b)
				}
			case [2]int{1, 4}:
				if b.Empty != 0.75 || b.Full != 0.25 || b.Fill != 1 {
					t.Errorf("%+v: got %+v", test, b)
				}
			}
		}
	}
}

func TestUnsupported(t *testing.T) {
	m := model("Gemm", true)
	m.Nodes = append(m.Nodes, &graph.Node{Op: "FrobnicateTensor", Inputs: []string{"y"}, Outputs: []string{"z"}})
	r, err := Model(t.Context(), m, runtime.Config{})
	var unsupported *runtime.UnsupportedError
	if !errors.As(err, &unsupported) || len(r.Layers) != 1 || r.Layers[0].Plan != nil {
		t.Errorf("got %+v, %v", r, err)
	}
}
