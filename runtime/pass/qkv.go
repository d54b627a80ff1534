package pass

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/sparse"
)

// qkv makes the linear layers that compute Q, K and V of an nnz.Attention from
// one value into one, whose rows are those of the three.
func qkv(g *Graph) error {
	ix := newIndex(g)
	for _, n := range g.Nodes {
		if !isFused(n, "Attention") || n.Input(1) == "" {
			continue
		}
		var layers [3]*graph.Node
		for i := range layers {
			layers[i] = ix.private(n.Inputs[i])
		}
		if !g.mergeable(layers) {
			continue
		}
		w, b, err := g.stacked(layers)
		if err != nil {
			return err
		}
		first, out := layers[0], g.Types[n.Inputs[0]]
		shape := slices.Clone(out.Shape)
		shape[len(shape)-1] = w.Shape[0]
		y := g.addValue(n.Inputs[0]+".qkv", graph.Type{DType: out.DType, Shape: shape})
		inputs := []string{first.Inputs[0], g.addWeight(first.Inputs[1]+".qkv", w)}
		if b != nil {
			inputs = append(inputs, g.addWeight(first.Inputs[1]+".qkv.bias", b))
		}
		ix.drop(layers[1])
		ix.drop(layers[2])
		ix.setInputs(first, inputs...)
		first.Outputs = []string{y}
		ix.producer[y] = first
		inputs = []string{y}
		if mask := n.Input(3); mask != "" {
			inputs = append(inputs, "", "", mask)
		}
		ix.setInputs(n, inputs...)
	}
	ix.sweep()
	return nil
}

// mergeable reports whether three layers may be one: linear in the same value,
// with nothing after the bias, and K and V of equal width.
func (g *Graph) mergeable(layers [3]*graph.Node) bool {
	for _, l := range layers {
		if !isFused(l, "Linear") || l.Inputs[0] != layers[0].Inputs[0] {
			return false
		}
		if _, ok := g.layerOf(l); !ok {
			return false
		}
	}
	return g.sameShape(layers[1].Outputs[0], layers[2].Outputs[0])
}

// stacked returns the weights and biases of layers above one another. Sparse
// weights make a sparse one.
func (g *Graph) stacked(layers [3]*graph.Node) (w, b *graph.Tensor, err error) {
	var dense, bias []float32
	var csr []*sparse.CSR
	rows, cols := 0, g.constant(layers[0].Inputs[1]).Shape[1]
	biased := slices.ContainsFunc(layers[:], func(l *graph.Node) bool { return l.Input(2) != "" })
	for _, l := range layers {
		t := g.constant(l.Inputs[1])
		rows += t.Shape[0]
		if m := csrOf(t.Sparse()); m != nil {
			csr = append(csr, m)
		}
		if name := l.Input(2); name != "" {
			bias = append(bias, g.constant(name).Floats()...)
		} else {
			bias = append(bias, make([]float32, t.Shape[0])...)
		}
	}
	if biased {
		b = graph.FromFloats([]int{rows}, bias)
	}
	if len(csr) < len(layers) {
		for _, l := range layers {
			dense = append(dense, g.constant(l.Inputs[1]).Floats()...)
		}
		return graph.FromFloats([]int{rows, cols}, dense).Compact(), b, nil
	}
	m, err := stackCSR(csr, cols)
	if err != nil {
		return nil, nil, err
	}
	// Blocks stay blocks where none of the layers cuts one.
	if s, ok := g.constant(layers[0].Inputs[1]).Sparse().(*sparse.BSR); ok {
		if r, c := s.Block(); g.sameBlocks(layers, r, c) {
			w, err = graph.NewSparse([]int{rows, cols}, m.BSR(r, c))
			return w, b, err
		}
	}
	w, err = graph.NewSparse([]int{rows, cols}, m)
	return w, b, err
}

// sameBlocks reports whether the weights are all in whole blocks of r x c.
func (g *Graph) sameBlocks(layers [3]*graph.Node, r, c int) bool {
	for _, l := range layers {
		t := g.constant(l.Inputs[1])
		s, ok := t.Sparse().(*sparse.BSR)
		if !ok || t.Shape[0]%r != 0 {
			return false
		}
		if sr, sc := s.Block(); sr != r || sc != c {
			return false
		}
	}
	return true
}

// stackCSR puts the rows of matrices of cols columns above one another.
func stackCSR(list []*sparse.CSR, cols int) (*sparse.CSR, error) {
	ptr, col, val := []int{0}, []int32{}, []float32{}
	for _, m := range list {
		rows, _ := m.Dims()
		for i := range rows {
			c, v := m.Row(i)
			col, val = append(col, c...), append(val, v...)
			ptr = append(ptr, len(val))
		}
	}
	return sparse.NewCSR(len(ptr)-1, cols, ptr, col, val)
}
