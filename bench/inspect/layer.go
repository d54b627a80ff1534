package inspect

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/prune"
	"github.com/nnz-dev/nnz/sparse"
)

// describe measures the weight of a layer.
func describe(m *graph.Model, l prune.Layer) (Layer, error) {
	t := m.Weights[l.Weight]
	out := Layer{Name: l.Node, Op: l.Kind, Weight: l.Weight, Shape: l.Shape, Parameters: t.Len(), Zeros: zeros(t)}
	out.Sparsity = float64(out.Zeros) / float64(max(1, out.Parameters))
	n := node(m, l)
	if n == nil {
		return out, nil
	}
	if out.Name == "" && len(n.Outputs) > 0 {
		out.Name = n.Outputs[0] // as the runtime names a step
	}
	w, err := matrix(n, l.Weight, t)
	if err != nil || w == nil {
		return out, err
	}
	stats := w.Stats()
	for _, b := range stats.Blocks {
		total := float64(max(1, b.Total))
		out.Blocks = append(out.Blocks, Blocks{R: b.R, C: b.C, Empty: float64(b.Empty) / total, Full: float64(b.Full) / total, Fill: b.Fill})
	}
	for _, p := range stats.Patterns {
		out.Patterns = append(out.Patterns, Pattern{N: p.N, M: p.M, Over: float64(p.Over) / float64(max(1, p.Total)), Holds: p.Holds()})
	}
	return out, nil
}

// node finds the node of a layer, nil where an Identity stands between the two.
func node(m *graph.Model, l prune.Layer) *graph.Node {
	i := slices.IndexFunc(m.Nodes, func(n *graph.Node) bool {
		return n.Name == l.Node && slices.Contains(n.Inputs, l.Weight)
	})
	if i < 0 {
		return nil
	}
	return m.Nodes[i]
}

// matrix returns a weight as outputs x inputs, nil for a batch of matrices.
func matrix(n *graph.Node, weight string, t *graph.Tensor) (*sparse.CSR, error) {
	rows := t.Shape[0]
	if n.Op != "Conv" && len(t.Shape) != 2 || rows == 0 {
		return nil, nil
	}
	w, err := sparse.FromDense(rows, t.Len()/rows, t.Floats())
	if err != nil {
		return nil, err
	}
	// X·W has its outputs along the columns of W, W·X along the rows.
	right := n.Input(1) == weight
	byColumns := n.Op == "MatMul" && right ||
		n.Op == "Gemm" && right && n.Int("transB", 0) == 0 ||
		n.Op == "Gemm" && !right && n.Int("transA", 0) != 0
	if byColumns {
		w = w.Transpose()
	}
	return w, nil
}

// zeros counts the zeros of a tensor of real type.
func zeros(t *graph.Tensor) int {
	if s := t.Sparse(); s != nil {
		return t.Len() - s.NNZ()
	}
	n := 0
	for _, v := range t.Floats() {
		if v == 0 {
			n++
		}
	}
	return n
}

func values(vs []*graph.Value) []Value {
	out := make([]Value, len(vs))
	for i, v := range vs {
		out[i] = Value{Name: v.Name, DType: v.DType.String(), Shape: extents(v.Shape)}
	}
	return out
}

// extents are numbers, symbols, or "?" where nothing is known.
func extents(shape []graph.Dim) []any {
	if shape == nil {
		return nil
	}
	out := make([]any, len(shape))
	for i, d := range shape {
		switch {
		case d.Known():
			out[i] = d.Size
		case d.Symbol != "":
			out[i] = d.Symbol
		default:
			out[i] = "?"
		}
	}
	return out
}
