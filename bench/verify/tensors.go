package verify

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime"
)

// readTensors reads kind_0.pb, kind_1.pb, … of a data set and returns them by
// the value that each belongs to: the one of the name in the file, else the
// one of the file's number.
func readTensors(dir, kind string, values []*graph.Value) (map[string]*graph.Tensor, error) {
	tensors := make(map[string]*graph.Tensor)
	for i := 0; ; i++ {
		base := fmt.Sprintf("%s_%d.pb", kind, i)
		path := filepath.Join(dir, base)
		if _, err := os.Stat(path); err != nil {
			if os.IsNotExist(err) {
				return tensors, nil
			}
			return nil, err
		}
		name, t, err := loader.ReadTensor(path)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(values, func(v *graph.Value) bool { return v.Name == name }) {
			if i >= len(values) {
				return nil, fmt.Errorf("%s: the model has only %d %ss, none named %q", base, len(values), kind, name)
			}
			name = values[i].Name
		}
		if tensors[name] != nil {
			return nil, fmt.Errorf("%s: a second file for %s %q", base, kind, name)
		}
		tensors[name] = t
	}
}

// Fill copies a tensor into an input of a session, which must have the same
// element type and shape.
func Fill(in runtime.Tensor, t *graph.Tensor) error {
	if in.DType != t.DType {
		return fmt.Errorf("element type %s, expected %s", t.DType, in.DType)
	}
	if !slices.Equal(in.Shape, t.Shape) {
		return fmt.Errorf("shape %v, expected %v", t.Shape, in.Shape)
	}
	switch {
	case t.DType.Float():
		copy(in.F, t.Floats())
	case t.DType.Integer():
		copy(in.I, t.Ints())
	default:
		return fmt.Errorf("element type %s cannot be run", t.DType)
	}
	return nil
}
