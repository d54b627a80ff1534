package runtime

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime/ops"
)

// A folder computes nodes of constants while a model is compiled, within bounds
// of memory and time. What goes beyond is left for the run.
type folder struct {
	ctx  context.Context
	left int64 // bytes that folded values may still take
}

// newFolder makes the folder of a model: its values may take what the
// configuration allows a plan, or a few times what the weights are.
func newFolder(ctx context.Context, m *graph.Model, c Config) *folder {
	weights := int64(0)
	for _, w := range m.Weights {
		weights += int64(w.Len())
	}
	left := max(512<<20, 16*weights)
	if c.MaxBytes > 0 {
		left = min(left, c.MaxBytes+16*weights)
	}
	return &folder{ctx, left}
}

// fold implements [graph.InferOptions.Fold].
func (f *folder) fold(n *graph.Node, opset int, in []*graph.Tensor) ([]*graph.Tensor, error) {
	if err := f.ctx.Err(); err != nil {
		return nil, err
	}
	if foldWork(n, in) > maxFoldWork {
		return nil, nil
	}
	out, bytes, err := ops.EvalWithin(n, opset, in, f.left)
	if errors.Is(err, ops.ErrLimit) {
		return nil, nil
	}
	f.left -= bytes
	return out, err
}

// maxFoldWork bounds the multiply-adds of a node that is folded, as nothing
// interrupts it: about a second of portable code.
const maxFoldWork = 1 << 30

// quadratic are the operators whose work may grow faster than what they read
// and write.
var quadratic = []string{
	"Attention", "AveragePool", "Conv", "ConvInteger", "ConvTranspose", "DeformConv", "Det", "Einsum", "Gemm", "GRU",
	"LpPool", "LRN", "LSTM", "MatMul", "MatMulInteger", "MaxPool", "NonMaxSuppression", "QLinearConv", "QLinearMatMul",
	"Resize", "RNN", "RoiAlign", "Upsample",
}

// foldWork is the most multiply-adds that a node of quadratic work may take, 0
// for any other.
func foldWork(n *graph.Node, in []*graph.Tensor) float64 {
	if n.Domain != "" || !slices.Contains(quadratic, n.Op) {
		return 0
	}
	var lens []float64
	for _, t := range in {
		if t != nil {
			lens = append(lens, float64(t.Len()))
		}
	}
	slices.Sort(lens)
	slices.Reverse(lens)
	switch most := lens[0]; {
	case n.Op == "Einsum":
		all := 1.0
		for _, l := range lens {
			all *= l
		}
		return all
	case n.Op == "RoiAlign":
		return most * most * math.Pow(2, 10)
	case len(lens) == 1 || n.Op == "Det" || n.Op == "LRN" || n.Op == "Resize" || n.Op == "Upsample" || n.Op == "NonMaxSuppression":
		return most * most
	case n.Op == "MatMul" && len(in[1].Shape) > 1:
		return most * lens[1] / float64(max(1, in[1].Shape[len(in[1].Shape)-2]))
	default:
		return most * lens[1]
	}
}
