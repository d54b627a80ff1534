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

// stacked returns the weights and biases of layers above one another.
func (g *Graph) stacked(layers [3]*graph.Node) (w, b *graph.Tensor, err error) {
	var list [3]*graph.Tensor
	var bias []float32
	how := "stacked"
	rows, cols := 0, g.constant(layers[0].Inputs[1]).Shape[1]
	biased := slices.ContainsFunc(layers[:], func(l *graph.Node) bool { return l.Input(2) != "" })
	for i, l := range layers {
		t := g.constant(l.Inputs[1])
		list[i] = t
		rows += t.Shape[0]
		if t.Deferred() && i > 0 {
			how += " " + t.Key()
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
	shape := []int{rows, cols}
	stacked := func(*graph.Tensor) (*graph.Tensor, error) { return stackedNow(list, shape) }
	if !list[1].Deferred() || !list[2].Deferred() {
		w, err = stacked(nil)
		return w, b, err
	}
	w, err = list[0].Derived(shape, how, stacked)
	return w, b, err
}

// stackedNow puts weights above one another. Sparse ones make a sparse one.
func stackedNow(list [3]*graph.Tensor, shape []int) (*graph.Tensor, error) {
	var csr []*sparse.CSR
	for _, t := range list {
		if m := csrOf(t.Sparse()); m != nil {
			csr = append(csr, m)
		}
	}
	if len(csr) < len(list) {
		var dense []float32
		for _, t := range list {
			dense = append(dense, t.Floats()...)
		}
		return graph.FromFloats(shape, dense).Compact(), nil
	}
	m, err := stackCSR(csr, shape[1])
	if err != nil {
		return nil, err
	}
	// Blocks stay blocks where none of the layers cuts one.
	if s, ok := list[0].Sparse().(*sparse.BSR); ok {
		if r, c := s.Block(); sameBlocks(list, r, c) {
			return graph.NewSparse(shape, m.BSR(r, c))
		}
	}
	return graph.NewSparse(shape, m)
}

// sameBlocks reports whether the weights are all in whole blocks of r x c.
func sameBlocks(list [3]*graph.Tensor, r, c int) bool {
	for _, t := range list {
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
