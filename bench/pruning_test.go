package bench

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/bench/mnist"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime"
)

// TestPruningOfDigits compares methods on a trained network: SparseGPT and a
// refit keep what magnitude alone loses.
func TestPruningOfDigits(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a network on many images")
	}
	train, test, err := mnist.Read(testdata.Path(t, "datasets", "mnist"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := loader.Load(t.Context(), testdata.Path(t, "trained", "resnet8_dense.opset17", "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	task := DigitsTask("resnet8", m, train, test.First(500), 64, runtime.Config{})
	task.Calibration.Columns = 64
	cells := 0
	r, err := Pruning(t.Context(), task, []string{"weight", "2:4"}, []float64{0.8}, []string{"magnitude", "magnitude+refit", "sparsegpt"}, func(PruningCell) { cells++ })
	if err != nil {
		t.Fatal(err)
	}
	if r.Dense < 0.97 || len(r.Cells) != 6 || cells != 6 {
		t.Fatalf("dense %g, %d cells, of which %d were told", r.Dense, len(r.Cells), cells)
	}
	magnitude := r.Cells[0]
	for i, c := range r.Cells {
		want := map[string]float64{"weight": 0.8, "2:4": 0.5}[c.Units]
		if math.Abs(c.Sparsity-want) > 1e-9 || c.Zeros < want-0.02 || c.Zeros > want+0.02 {
			t.Errorf("%+v has not the zeros that it should have", c)
		}
		if (i == 1 || i == 2) && !(c.Value > magnitude.Value+0.05) {
			t.Errorf("an accuracy of %.3f by %s, of %.3f by magnitude", c.Value, c.Method, magnitude.Value)
		}
	}
}

func TestPruningMethods(t *testing.T) {
	for _, name := range append([]string{"obs+bias", "wanda+sparsegpt"}, PruningMethods...) {
		if err := CheckPruningMethod(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "best", "magnitude+", "refit"} {
		if err := CheckPruningMethod(name); err == nil {
			t.Errorf("%q is a method", name)
		}
	}
	_, err := Pruning(t.Context(), PruningTask{Judge: func(context.Context, *graph.Model) (float64, error) { return 0, nil }}, []string{"cube"}, nil, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "cube") {
		t.Errorf("error %v", err)
	}
}

func TestCrops(t *testing.T) {
	ramp := make([]float32, 2*8*8)
	for i := range ramp {
		ramp[i] = float32(i % 8)
	}
	set := map[string]*graph.Tensor{
		"image": graph.FromFloats([]int{1, 2, 8, 8}, ramp),
		"other": graph.FromInts(graph.Int64, []int{2}, []int64{3, 4}),
	}
	crops := Crops([]map[string]*graph.Tensor{set}, 6, 1)
	again := Crops([]map[string]*graph.Tensor{set}, 6, 1)
	if len(crops) != 6 {
		t.Fatalf("%d crops", len(crops))
	}
	rising, falling := 0, 0
	for i, c := range crops {
		if c["other"] != set["other"] {
			t.Error("an input that is no image was changed")
		}
		x, y := c["image"].Floats(), again[i]["image"].Floats()
		step := x[1] - x[0]
		if step > 0 {
			rising++
		} else {
			falling++
		}
		for j, v := range x {
			// A piece of a ramp, scaled up, is a ramp of a smaller slope.
			if v != y[j] || v < 0 || v > 7*1.2 || j%8 > 0 && math.Abs(float64(v-x[j-1]-step)) > 1e-4 || math.Abs(float64(step)) > 1.2 {
				t.Fatalf("crop %d has %v", i, x)
			}
		}
	}
	if rising == 0 || falling == 0 {
		t.Errorf("%d crops as they were and %d mirrored", rising, falling)
	}
}
