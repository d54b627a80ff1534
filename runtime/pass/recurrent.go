package pass

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// recurrent takes the products with the input out of RNN, GRU and LSTM whose
// weights are constants: for all steps and directions they are one nnz.Linear.
// What is left multiplies the hidden state, step by step.
func recurrent(g *Graph) error {
	m := newMatcher(g)
	for _, n := range slices.Clone(g.Nodes) {
		if is(n, "RNN") || is(n, "GRU") || is(n, "LSTM") {
			if err := m.project(n); err != nil {
				return err
			}
		}
	}
	m.sweep()
	return nil
}

// project moves the products with W before n.
func (m *matcher) project(n *graph.Node) error {
	w, r := m.realConstant(n.Input(1)), m.realConstant(n.Input(2))
	if w == nil || r == nil || n.Input(3) != "" && m.realConstant(n.Input(3)) == nil {
		return nil
	}
	x := m.Types[n.Inputs[0]]
	if len(x.Shape) != 3 || len(w.Shape) != 3 || slices.Contains(x.Shape, 0) {
		return nil
	}
	directions, rows := w.Shape[0], w.Shape[1]
	layer := &graph.Node{Name: n.Name, Domain: graph.FusedDomain, Op: "Linear"}
	layer.Outputs = []string{m.addValue(n.Inputs[0]+".gates", graph.Type{DType: x.DType, Shape: []int{x.Shape[0], x.Shape[1], directions * rows}})}
	inputs := []string{n.Inputs[0], m.addWeight(n.Inputs[1]+".gates", graph.FromFloats([]int{directions * rows, w.Shape[2]}, w.Floats()).Compact())}
	rest := slices.Clone(n.Inputs)
	rest[0], rest[1] = layer.Outputs[0], ""
	if name := n.Input(3); name != "" {
		bias := m.constant(name).Floats()
		if len(bias) != directions*2*rows {
			return nil
		}
		var in, hidden []float32
		for d := range directions {
			b := bias[d*2*rows:][:2*rows]
			in, hidden = append(in, b[:rows]...), append(hidden, b[rows:]...)
		}
		inputs = append(inputs, m.addWeight(name+".gates", graph.FromFloats([]int{len(in)}, in)))
		rest[3] = m.addWeight(name+".hidden", graph.FromFloats([]int{directions, rows}, hidden))
	}
	m.before(n, layer, inputs)
	m.setInputs(n, rest...)
	n.Domain = graph.FusedDomain
	return nil
}
