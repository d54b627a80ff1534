package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/bench/mnist"
	"github.com/nnz-dev/nnz/internal/npy"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/runtime"
)

// TestTrainedClassifiers runs the trained networks over all test images of
// MNIST: every image must get the class that the reference runtime gave it,
// and so must their number of correct ones be the same.
func TestTrainedClassifiers(t *testing.T) {
	if testing.Short() {
		t.Skip("many images")
	}
	_, set, err := mnist.Read(testdata.Path(t, "datasets", "mnist"))
	if err != nil {
		t.Fatal(err)
	}
	images := set.Images()
	text, err := os.ReadFile(testdata.Path(t, "trained", "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	var summary map[string]struct {
		Correct int `json:"n_correct"`
	}
	if err := json.Unmarshal(text, &summary); err != nil {
		t.Fatal(err)
	}
	dirs, err := filepath.Glob(testdata.Path(t, "trained", "lenet*.opset17"))
	if err != nil || len(dirs) == 0 {
		t.Fatal(dirs, err)
	}
	for _, dir := range dirs {
		name := filepath.Base(dir)
		t.Run(strings.TrimSuffix(name, ".opset17"), func(t *testing.T) {
			m, err := openModel(t.Context(), filepath.Join(dir, "model.onnx"))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			shape := []int{16, 1, 28, 28}
			r, err := bench.Accuracy(t.Context(), m.Model, images, set.Labels,
				runtime.Config{Shapes: map[string][]int{m.Inputs[0].Name: shape}})
			if err != nil {
				t.Fatal(err)
			}
			want := argmaxes(t, filepath.Join(dir, "argmax_10k.npy"))
			for i, class := range r.Predicted {
				if class != want[i] {
					t.Errorf("image %d is class %d, want %d", i, class, want[i])
				}
			}
			if r.Correct != summary[name].Correct {
				t.Errorf("%d images are correct, want %d", r.Correct, summary[name].Correct)
			}
		})
	}
}

// argmaxes reads a list of classes.
func argmaxes(t *testing.T, path string) []int {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a, err := npy.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	classes := make([]int, a.Shape[0])
	for i := range classes {
		classes[i] = int(a.Data[i*a.Type.Size()]) // little-endian, and below 10
	}
	return classes
}
