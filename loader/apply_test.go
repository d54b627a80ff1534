package loader

import (
	"maps"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/graph"
)

func TestApply(t *testing.T) {
	zeros := func(shape ...int) *graph.Tensor {
		n, err := graph.Elements(shape)
		if err != nil {
			t.Fatal(err)
		}
		return graph.FromFloats(shape, make([]float32, n))
	}
	model := &graph.Model{Weights: map[string]*graph.Tensor{
		"fc.weight": zeros(2, 3), "fc.bias": zeros(2), "Constant_1": zeros(1), "bn.steps": zeros(),
	}}
	before := maps.Clone(model.Weights)
	counter := graph.FromInts(graph.Int64, nil, []int64{7})

	_, err := Apply(model, map[string]*graph.Tensor{
		"fc.weight": zeros(3, 2), "fc.bias": zeros(2), "x": zeros(1), "bn.steps": counter, "fc.num_batches_tracked_": counter,
	})
	want := "4 of 5 tensors do not fit: bn.steps is int64 [] and the graph has float32 []; fc.num_batches_tracked_ is no weight of the graph; " +
		"fc.weight is float32 [3 2] and the graph has float32 [2 3]; x is no weight of the graph"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if !maps.Equal(model.Weights, before) {
		t.Error("the model changed in spite of the error")
	}

	weight := zeros(2, 3)
	applied, err := Apply(model, map[string]*graph.Tensor{"fc.weight": weight, "fc.bias": zeros(2), "bn.num_batches_tracked": counter})
	if err != nil || !slices.Equal(applied, []string{"fc.bias", "fc.weight"}) {
		t.Errorf("applied %v, %v", applied, err)
	}
	if model.Weights["fc.weight"] != weight || model.Weights["Constant_1"] != before["Constant_1"] {
		t.Error("the wrong weights were exchanged")
	}
}
