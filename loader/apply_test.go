package loader

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
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
	want := `4 of 5 tensors do not fit: "bn.steps" is int64 [] and the graph has float32 []; "fc.num_batches_tracked_" is no weight of the graph; ` +
		`"fc.weight" is float32 [3 2] and the graph has float32 [2 3]; "x" is no weight of the graph`
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if !maps.Equal(model.Weights, before) {
		t.Error("the model changed in spite of the error")
	}

	// A second name of a weight becomes a weight of its own.
	model.Nodes = []*graph.Node{
		{Op: "Identity", Inputs: []string{"fc.bias"}, Outputs: []string{"bn.bias"}},
		{Op: "Identity", Inputs: []string{"bn.bias"}, Outputs: []string{"other.bias"}},
		{Op: "Identity", Inputs: []string{"x"}, Outputs: []string{"y"}},
	}
	bias := zeros(2)
	if applied, err := Apply(model, map[string]*graph.Tensor{"bn.bias": bias}); err != nil || !slices.Equal(applied, []string{"bn.bias"}) {
		t.Errorf("applied %v, %v", applied, err)
	}
	if model.Weights["bn.bias"] != bias || model.Weights["other.bias"] != before["fc.bias"] || len(model.Nodes) != 1 {
		t.Errorf("the other name of fc.bias was not exchanged alone: %v, %d nodes", model.Weights, len(model.Nodes))
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

// The state dict of a trained network holds what its exported graph does.
func TestApplyReference(t *testing.T) {
	for _, tt := range []struct{ dict, onnx string }{
		{"lenet_300_100_dense", "lenet_300_100_dense.opset13"},
		{"lenet5_dense", "lenet5_dense.opset17"},
		{"lenet5_pruned90_global", "lenet5_pruned90_global.opset17"},
		{"resnet8_pruned80_global", "resnet8_pruned80_global.bn.opset17"},
	} {
		t.Run(tt.dict, func(t *testing.T) {
			m, err := Load(t.Context(), testdata.Path(t, "trained", tt.onnx, "model.onnx"))
			if err != nil {
				t.Fatal(err)
			}
			exported := maps.Clone(m.Weights)
			f, err := ReadSafetensors(testdata.Path(t, "trained", tt.dict+".safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			applied, err := Apply(m, f.Tensors)
			if err != nil {
				t.Fatal(err)
			}
			if len(applied) < 6 {
				t.Errorf("%d tensors applied", len(applied))
			}
			for _, name := range applied {
				if have := exported[name]; have != nil && !slices.Equal(m.Weights[name].Floats(), have.Floats()) {
					t.Errorf("%s differs from the exported weight", name)
				}
			}
		})
	}
}

// A graph with folded batch normalisation has other weights than its state
// dict: the error lists them all.
func TestApplyFolded(t *testing.T) {
	m, err := Load(t.Context(), testdata.Path(t, "trained", "resnet8_dense.opset17", "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := ReadSafetensors(testdata.Path(t, "trained", "resnet8_dense.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = Apply(m, f.Tensors)
	misfits := 0
	for name := range f.Tensors {
		if m.Weights[name] == nil && !strings.HasSuffix(name, ".num_batches_tracked") {
			misfits++
			if !strings.Contains(fmt.Sprint(err), fmt.Sprintf("%q is no weight of the graph", name)) {
				t.Errorf("the error does not list %s", name)
			}
		}
	}
	if !strings.HasPrefix(fmt.Sprint(err), fmt.Sprintf("%d of %d tensors do not fit", misfits, len(f.Tensors))) {
		t.Errorf("error %v, want %d misfits", err, misfits)
	}
}
