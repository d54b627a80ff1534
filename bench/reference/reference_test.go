package reference

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime/ops"
	"github.com/nnz-dev/nnz/runtime/ops/opstest"
)

// leastCases is how many conformance tests must have run.
const leastCases = 100

// TestConformance runs the tests of the ONNX project that have only operators
// and types that are here.
func TestConformance(t *testing.T) {
	dir := testdata.Path(t, "conformance")
	ran := 0
	for _, c := range opstest.ReadManifest(t, dir) {
		if slices.ContainsFunc(c.Ops, func(op string) bool { return operators[op] == nil }) {
			continue
		}
		t.Run(c.Test, func(t *testing.T) {
			if compare(t, filepath.Join(dir, c.Test), c.RTol, c.ATol) {
				ran++
			}
		})
	}
	t.Logf("%d tests", ran)
	if ran < leastCases {
		t.Errorf("%d tests ran, expected at least %d", ran, leastCases)
	}
}

// TestNetworks runs networks whose outputs others have computed.
func TestNetworks(t *testing.T) {
	for _, c := range []struct{ group, glob string }{
		{"trained", "lenet*.opset17"}, {"trained", "resnet8*.opset17"}, {"models", "squeezenet10_fp32"},
		{"mlperf_tiny", "*"}, {"exported", "bert_tiny_opset17"}, {"exported", "vit_tiny_opset17"}, {"exported", "resnet_b*"},
	} {
		dirs, err := filepath.Glob(testdata.Path(t, c.group, c.glob))
		if err != nil || len(dirs) == 0 {
			t.Fatalf("%s: %v, error %v", c.glob, dirs, err)
		}
		for _, dir := range dirs {
			if _, err := os.Stat(filepath.Join(dir, "model.onnx")); err != nil {
				continue
			}
			t.Run(filepath.Base(dir), func(t *testing.T) {
				if !compare(t, dir, 1e-3, 1e-4) {
					t.Error("an operator is missing")
				}
			})
		}
	}
}

// compare runs a test, and reports whether it could.
func compare(t *testing.T, dir string, rtol, atol float64) bool {
	m, err := loader.Load(t.Context(), filepath.Join(dir, "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	ran := false
	for _, set := range opstest.ReadDataSets(t, dir, m) {
		inputs := make(map[string]Tensor)
		for name, x := range set.Inputs {
			if x.DType != graph.Float32 && !x.DType.Integer() {
				return false
			}
			inputs[name] = *converted(x)
		}
		got, err := Run(context.Background(), m, graph.InferOptions{Shapes: opstest.Shapes(set.Inputs), Fold: ops.Eval}, inputs)
		if err != nil {
			// Shapes that are inputs, three axes, or another thing of no network.
			t.Log(err)
			return false
		}
		for name, want := range set.Outputs {
			w := converted(want)
			g, ok := got[name]
			if !ok || !slices.Equal(g.Shape, w.Shape) {
				t.Fatalf("output %s has shape %v, want %v", name, g.Shape, w.Shape)
			}
			for i, x := range w.Values {
				if y := g.Values[i]; x != y && !(math.Abs(x-y) <= atol+rtol*math.Abs(x)) && !(x != x && y != y) {
					t.Fatalf("output %s: element %d is %g, want %g", name, i, y, x)
				}
			}
			ran = true
		}
	}
	return ran
}

func TestRefuses(t *testing.T) {
	model := func(op string, set ...any) *graph.Model {
		n := &graph.Node{Name: "node", Op: op, Inputs: []string{"x", "w"}, Outputs: []string{"y"}}
		for i := 0; i < len(set); i += 2 {
			n.Set(set[i].(string), set[i+1])
		}
		return &graph.Model{
			Inputs:  []*graph.Value{{Name: "x", DType: graph.Float32, Shape: graph.Dims(2, 3)}},
			Outputs: []*graph.Value{{Name: "y", DType: graph.Float32}},
			Nodes:   []*graph.Node{n},
			Weights: map[string]*graph.Tensor{"w": graph.FromInts(graph.Int64, []int{1}, []int64{7})},
			Opset:   map[string]int{"": 17},
		}
	}
	x := map[string]Tensor{"x": {[]int{2, 3}, make([]float64, 6)}}
	_, err := Run(context.Background(), model("Trilu"), graph.InferOptions{}, x)
	var unsupported *UnsupportedError
	if !errors.As(err, &unsupported) || unsupported.Op != "Trilu" || !strings.Contains(err.Error(), "node") {
		t.Errorf("an unknown operator: error %v", err)
	}
	if _, err := Run(context.Background(), model("Gather"), graph.InferOptions{}, x); err == nil || !strings.Contains(err.Error(), "index 7 of 2") {
		t.Errorf("an index beyond the end: error %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, model("Gather"), graph.InferOptions{}, x); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: error %v", err)
	}
}
