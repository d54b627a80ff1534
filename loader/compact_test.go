package loader

import (
	"fmt"
	"os"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/sparse"
)

// pattern is a matrix whose elements are kept in runs of height rows, one of
// ten.
func pattern(rows, cols, height int) *graph.Tensor {
	v := make([]float32, rows*cols)
	for i := range v {
		if row, col := i/cols, i%cols; (7*(row/height)+col)%10 == 0 {
			v[i] = float32(i + 1)
		}
	}
	return graph.FromFloats([]int{rows, cols}, v)
}

func TestCompactWeights(t *testing.T) {
	m := &graph.Model{
		Nodes: []*graph.Node{
			{Op: "Conv", Inputs: []string{"x", "conv"}},
			{Op: "Gemm", Inputs: []string{"x", "gemm", "bias"}},
			{Op: "MatMul", Inputs: []string{"left", "right"}},
			{Op: "MatMul", Inputs: []string{"x", "small"}},
			{Op: "Add", Inputs: []string{"x", "add"}},
			{Op: "Gemm", Domain: "other", Inputs: []string{"x", "custom"}},
		},
		Weights: map[string]*graph.Tensor{
			"conv": pattern(64, 90, 1), "gemm": pattern(64, 90, 4), "bias": pattern(64, 90, 1),
			"left": pattern(64, 90, 1), "right": pattern(90, 64, 1), "small": pattern(10, 90, 1),
			"add": pattern(64, 90, 1), "custom": pattern(64, 90, 1),
		},
	}
	if err := compactWeights(t.Context(), m, func([]byte) {}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]sparse.Matrix{
		"conv": &sparse.CSR{}, "gemm": &sparse.BSR{}, "left": &sparse.CSR{}, "right": &sparse.CSR{},
		"bias": nil, "small": nil, "add": nil, "custom": nil,
	} {
		if got := m.Weights[name].Sparse(); fmt.Sprintf("%T", got) != fmt.Sprintf("%T", want) {
			t.Errorf("%s is held as %T, want %T", name, got, want)
		}
	}
}

// TestPrunedMemory loads a model with 90 % zeros: it takes less memory than its
// file, and little more than a fifth: 8 of 4 bytes for one weight in ten.
func TestPrunedMemory(t *testing.T) {
	path := testdata.Path(t, "trained", "lenet_300_100_pruned90_global.opset17", "model.onnx")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Load(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	bytes := 0
	for _, w := range m.Weights {
		bytes += w.Bytes()
	}
	if share := float64(bytes) / float64(info.Size()); share > 0.25 {
		t.Errorf("%d bytes of weights from a file of %d", bytes, info.Size())
	}
}
