package verify

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/nnz-dev/nnz/graph"
)

// ReadInputs reads the inputs of data sets from a folder: the folder of a case,
// which has test_data_set_0, test_data_set_1, …, or a data set itself.
func ReadInputs(dir string, m *graph.Model) ([]map[string]*graph.Tensor, error) {
	var sets []map[string]*graph.Tensor
	read := func(dir string) error {
		set, err := readTensors(dir, "input", m.Inputs)
		if err == nil && len(set) < len(m.Inputs) {
			err = fmt.Errorf("%d inputs, the model has %d", len(set), len(m.Inputs))
		}
		sets = append(sets, set)
		return err
	}
	if isFile(filepath.Join(dir, "input_0.pb")) {
		err := read(dir)
		return sets, err
	}
	for {
		set := fmt.Sprintf("test_data_set_%d", len(sets))
		if _, err := os.Stat(filepath.Join(dir, set)); os.IsNotExist(err) && len(sets) > 0 {
			return sets, nil
		}
		if err := read(filepath.Join(dir, set)); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, set), err)
		}
	}
}
