package ops_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/kernels/vec"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime/ops"
	"github.com/nnz-dev/nnz/runtime/ops/opstest"
)

// notGated are conformance tests whose expectations ONNX Runtime does not meet
// either.
var notGated = []string{
	"node/test_resize_downsample_scales_cubic_align_corners",
	"node/test_resize_downsample_scales_linear_align_corners",
	"node_opset12/test_resize_downsample_scales_cubic_align_corners",
	"node_opset12/test_resize_downsample_scales_linear_align_corners",
}

// tied are averages that lie half-way between two values of the quantised type
// that they are rounded to: which one depends on the order of the sum.
var tied = []string{"quant_generated/qdq_averagepool"}

// leastCases is how many conformance tests must have run, lest the selection
// comes out empty.
const leastCases = 930

// TestConformance runs the tests of the ONNX project whose operators are all
// in the table.
func TestConformance(t *testing.T) {
	dir := testdata.Path(t, "conformance")
	names, ran := ops.Names(), 0
	for _, c := range opstest.ReadManifest(t, dir) {
		if slices.ContainsFunc(c.Ops, func(op string) bool { return !slices.Contains(names, op) }) || slices.Contains(notGated, c.Test) || slices.Contains(tied, c.Test) {
			continue
		}
		ran++
		t.Run(c.Test, func(t *testing.T) { runCase(t, filepath.Join(dir, c.Test), c.RTol, c.ATol) })
	}
	t.Logf("%d tests", ran)
	if ran < leastCases {
		t.Errorf("%d tests ran, expected at least %d", ran, leastCases)
	}
}

func runCase(t *testing.T, dir string, rtol, atol float64) {
	m, err := loader.Load(t.Context(), filepath.Join(dir, "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range opstest.ReadDataSets(t, dir, m) {
		// The tests of one operator give shapes as inputs, for which models have
		// constants; so what depends on them is left open.
		types, err := graph.Infer(m, graph.InferOptions{Shapes: opstest.Shapes(set.Inputs), Fold: ops.Eval, Open: true})
		if err != nil {
			t.Fatal(err)
		}
		got, err := opstest.Run(m, types, set.Inputs, vec.For(isa.Detect()))
		if err != nil {
			t.Fatal(err)
		}
		if len(set.Outputs) == 0 {
			t.Fatal("no outputs to compare with")
		}
		for name, want := range set.Outputs {
			if err := opstest.Compare(got[name], want, rtol, atol); err != nil {
				t.Errorf("output %s: %v", name, err)
			}
		}
	}
}
