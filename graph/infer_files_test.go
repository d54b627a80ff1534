package graph_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime/ops"
)

// TestInferFiles compares the inferred types of outputs with those of the
// reference outputs. Models may have an operator without a rule, or sizes that
// need one that is not folded; how many are inferred has a floor, so that a
// rule that no longer applies shows.
func TestInferFiles(t *testing.T) {
	for _, tt := range []struct {
		folder string
		floor  int
	}{
		{"conformance/*", 512},
		{"exported", 9},
		{"mlperf_tiny", 4},
		{"models", 13},
		{"trained", 15},
	} {
		t.Run(tt.folder, func(t *testing.T) {
			sets, err := filepath.Glob(testdata.Path(t, tt.folder, "*", "test_data_set_0"))
			if err != nil {
				t.Fatal(err)
			}
			inferred := 0
			for _, set := range sets {
				err := inferSet(t.Context(), set)
				var op *graph.UnknownOpError
				switch {
				case err == nil:
					inferred++
				case errors.As(err, &op), isOpen(err):
				default:
					t.Errorf("%s: %v", set, err)
				}
			}
			if inferred < tt.floor {
				t.Errorf("%d of %d models inferred, want %d at least", inferred, len(sets), tt.floor)
			}
		})
	}
}

// isOpen reports whether inference ended at a size that only a run tells.
func isOpen(err error) bool { return errors.As(err, new(*graph.OpenError)) }

// inferSet infers the types of a model for the shapes of the inputs in folder
// set and compares its outputs with those in there.
func inferSet(ctx context.Context, set string) error {
	m, err := loader.Load(ctx, filepath.Join(filepath.Dir(set), "model.onnx"))
	if err != nil {
		return err
	}
	inputs, err := tensors(set, "input", m.Inputs)
	if err != nil {
		return err
	}
	outputs, err := tensors(set, "output", m.Outputs)
	if err != nil {
		return err
	}
	o := graph.InferOptions{Shapes: make(map[string][]int), Fold: ops.Eval}
	for name, t := range inputs {
		o.Shapes[name] = t.Shape
	}
	types, err := graph.Infer(m, o)
	if err != nil && isOpen(err) {
		// Many tests of the suite have shapes, axes and the like as inputs.
		m.Inputs = slices.DeleteFunc(m.Inputs, func(v *graph.Value) bool {
			t := inputs[v.Name]
			small := len(t.Shape) < 2
			if small {
				m.Weights[v.Name] = t
				delete(o.Shapes, v.Name)
			}
			return small
		})
		types, err = graph.Infer(m, o)
	}
	if err != nil {
		return err
	}
	for _, v := range m.Outputs {
		got, want := types[v.Name], outputs[v.Name]
		if want == nil {
			return fmt.Errorf("no reference for output %q", v.Name)
		}
		if got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) {
			return fmt.Errorf("output %q is %s %v, expected %s %v", v.Name, got.DType, got.Shape, want.DType, want.Shape)
		}
	}
	return nil
}

// tensors reads the files kind_0.pb, kind_1.pb, … and returns them by the name
// in the file or else that of the value at their place.
func tensors(dir, kind string, values []*graph.Value) (map[string]*graph.Tensor, error) {
	byName := make(map[string]*graph.Tensor)
	for i, v := range values {
		name, t, err := loader.ReadTensor(filepath.Join(dir, fmt.Sprintf("%s_%d.pb", kind, i)))
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(values, func(v *graph.Value) bool { return v.Name == name }) {
			name = v.Name
		}
		byName[name] = t
	}
	return byName, nil
}
