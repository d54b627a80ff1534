// Package opstest runs models node by node with the plain operators, for tests
// to compare with: reference outputs with files, compiled plans with this.
package opstest

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/vec"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime/ops"
)

// A Case is a test of the ONNX project.
type Case struct {
	Test       string // folder of the model and its data sets
	Ops        []string
	RTol, ATol float64
}

// ReadManifest lists the tests that dir/manifest.json names.
func ReadManifest(t testing.TB, dir string) []Case {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []Case
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

// A DataSet is inputs of a model and the outputs that another runtime computed
// from them, by name.
type DataSet struct {
	Inputs, Outputs map[string]*graph.Tensor
}

// ReadDataSets reads the folders test_data_set_0, test_data_set_1, … beside a
// model. A tensor belongs to the value that it is named after, else to the one
// of its file's number.
func ReadDataSets(t testing.TB, dir string, m *graph.Model) []DataSet {
	t.Helper()
	var sets []DataSet
	for i := 0; ; i++ {
		set := filepath.Join(dir, fmt.Sprintf("test_data_set_%d", i))
		if _, err := os.Stat(set); err != nil {
			return sets
		}
		sets = append(sets, DataSet{readTensors(t, set, "input", m.Inputs), readTensors(t, set, "output", m.Outputs)})
	}
}

func readTensors(t testing.TB, dir, kind string, values []*graph.Value) map[string]*graph.Tensor {
	t.Helper()
	tensors := make(map[string]*graph.Tensor)
	for i := range values {
		path := filepath.Join(dir, fmt.Sprintf("%s_%d.pb", kind, i))
		if _, err := os.Stat(path); err != nil {
			break
		}
		name, v, err := loader.ReadTensor(path)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(values, func(v *graph.Value) bool { return v.Name == name }) {
			name = values[i].Name
		}
		tensors[name] = v
	}
	return tensors
}

// Shapes returns the shapes of tensors, to bind a model's inputs to.
func Shapes(tensors map[string]*graph.Tensor) map[string][]int {
	shapes := make(map[string][]int)
	for name, t := range tensors {
		shapes[name] = t.Shape
	}
	return shapes
}

// Run computes the outputs of a model from its inputs. types are those of its
// values, as far as they are known before.
func Run(m *graph.Model, types map[string]graph.Type, inputs map[string]*graph.Tensor, k *vec.Kernels) (map[string]ops.Tensor, error) {
	values := make(map[string]ops.Tensor)
	for name, w := range m.Weights {
		values[name] = ops.Load(w)
	}
	for _, in := range m.Inputs {
		if inputs[in.Name] == nil {
			return nil, fmt.Errorf("input %q is missing", in.Name)
		}
		values[in.Name] = ops.Load(inputs[in.Name])
	}
	for _, n := range m.Nodes {
		in, out := make([]ops.Tensor, len(n.Inputs)), make([]ops.Tensor, len(n.Outputs))
		for i, name := range n.Inputs {
			v, ok := values[name]
			if !ok && name != "" {
				return nil, fmt.Errorf("node %v: input %q has no value", n, name)
			}
			in[i] = v
		}
		known := true
		for i, name := range n.Outputs {
			if name == "" {
				continue
			}
			t, ok := types[name]
			if known = known && ok; ok {
				out[i] = ops.Zeros(t.DType, t.Shape)
			}
		}
		if known {
			run, err := ops.Build(n, m.Opset[n.Domain], in, out, k)
			if err != nil {
				return nil, err
			}
			run(in, out)
		} else {
			var err error
			if out, err = ops.Run(n, m.Opset[n.Domain], in, k, math.MaxInt64); err != nil {
				return nil, err
			}
		}
		for i, name := range n.Outputs {
			values[name] = out[i]
		}
	}
	outputs := make(map[string]ops.Tensor)
	for _, o := range m.Outputs {
		v, ok := values[o.Name]
		if !ok {
			return nil, fmt.Errorf("output %q has no value", o.Name)
		}
		outputs[o.Name] = v
	}
	return outputs, nil
}

// Compare returns an error that names the worst element where got differs from
// want by more than atol plus rtol times its size. NaN equals NaN.
func Compare(got ops.Tensor, want *graph.Tensor, rtol, atol float64) error {
	w := ops.Load(want)
	if got.DType != w.DType || !slices.Equal(got.Shape, w.Shape) {
		return fmt.Errorf("got %s %v, expected %s %v", got.DType, got.Shape, w.DType, w.Shape)
	}
	worst, at := 0.0, 0
	for i, v := range w.F {
		a, b := float64(got.F[i]), float64(v)
		d := (math.Abs(a-b) - atol) / max(rtol*math.Abs(b), math.SmallestNonzeroFloat32)
		switch {
		case a == b || a != a && b != b:
			continue
		case d != d:
			d = math.Inf(1)
		}
		if d > worst {
			worst, at = d, i
		}
	}
	if worst > 1 {
		return fmt.Errorf("element %d of %v is %g, expected %g", at, w.Shape, got.F[at], w.F[at])
	}
	for i, v := range w.I {
		if got.I[i] != v {
			return fmt.Errorf("element %d of %v is %d, expected %d", i, w.Shape, got.I[i], v)
		}
	}
	return nil
}
