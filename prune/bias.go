package prune

import (
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// biasable returns why a node of the layer in the dense model cannot get one bias
// an output, nil where all can.
func (p *pair) biasable(m *graph.Model) error {
	for _, u := range p.denseUses {
		if u.node.Op == "MatMul" {
			continue // an Add follows
		}
		if u.node.Op == "Gemm" && (u.node.Float("beta", 1) == 0 || u.node.Float("alpha", 1) == 0 || m.Opset[""] < 7) {
			return fmt.Errorf("node %s: it has no place for a bias", u.node)
		}
		if _, err := p.biasOf(m, u); err != nil {
			return err
		}
	}
	return nil
}

// biasOf returns the bias of a Conv or a Gemm, an element an output; zeros where
// it has none.
func (p *pair) biasOf(m *graph.Model, u use) ([]float32, error) {
	n := p.layer.at.groups * p.layer.at.rows
	name := u.node.Input(2)
	if name == "" {
		return make([]float32, n), nil
	}
	t := m.Weights[resolve(identities(m), name)]
	if t == nil || t.DType != graph.Float32 {
		return nil, fmt.Errorf("node %s: its bias is no float32 constant", u.node)
	}
	shape := t.Shape
	if t.Len() == 1 && u.node.Op == "Gemm" {
		return slices.Repeat(t.Floats(), n), nil
	}
	ok := slices.Equal(shape, []int{n}) || slices.Equal(shape, []int{1, n})
	if u.left {
		ok = slices.Equal(shape, []int{n, 1})
	}
	if !ok {
		return nil, fmt.Errorf("node %s: its bias of shape %v does not have one element for each of %d outputs", u.node, shape, n)
	}
	return slices.Clone(t.Floats()), nil
}

// addBias gives the nodes of the layer in m the biases that they have in the
// dense model with delta, an element an output, added.
func (p *pair) addBias(dense, m *graph.Model, delta []float64) error {
	for i, u := range p.uses {
		n := u.node
		if n.Op == "MatMul" {
			p.addAfter(dense, m, p.denseUses[i], u, delta)
			continue
		}
		bias, err := p.biasOf(dense, p.denseUses[i])
		if err != nil {
			return err
		}
		scale, shape := 1.0, []int{len(bias)}
		if n.Op == "Gemm" {
			scale = float64(n.Float("alpha", 1)) / float64(n.Float("beta", 1))
		}
		if u.left {
			shape = []int{len(bias), 1}
		}
		for i := range bias {
			bias[i] += float32(delta[i] * scale)
		}
		for len(n.Inputs) < 3 {
			n.Inputs = append(n.Inputs, "")
		}
		p.setConstant(m, n, 2, graph.FromFloats(shape, bias))
	}
	return nil
}

// setConstant makes an input of a node a constant: under the name that it has,
// where no other node reads that.
func (p *pair) setConstant(m *graph.Model, n *graph.Node, input int, t *graph.Tensor) {
	name := n.Inputs[input]
	if name == "" || m.Weights[name] == nil || soleReader(m, name) != n {
		name = unusedName(m, p.layer.Weight+".bias")
	}
	m.Weights[name], n.Inputs[input] = t, name
}

// addAfter has a constant added to what a MatMul computes: the one that is
// added already where there is one, else by an Add of its own.
func (p *pair) addAfter(dense, m *graph.Model, before, u use, delta []float64) {
	values := make([]float32, len(delta))
	for i, d := range delta {
		values[i] = float32(d)
	}
	// Outputs run along the last axis; those of a weight on the left along the
	// last but one, unless it is multiplied with a vector.
	shape := slices.Clone(p.layer.Shape[:len(p.layer.Shape)-2])
	switch {
	case p.vector || len(shape) == 0 && !u.left:
		shape = append(shape, p.layer.at.rows)
	case u.left:
		shape = append(shape, p.layer.at.rows, 1)
	default:
		shape = append(shape, 1, p.layer.at.rows)
	}
	if add, input := addedConstant(dense, before, shape); add != nil {
		for i, x := range dense.Weights[add.Inputs[input]].Floats() {
			values[i] += x
		}
	}
	t := graph.FromFloats(shape, values)
	if add, input := addedConstant(m, u, shape); add != nil {
		p.setConstant(m, add, input, t)
		return
	}
	product := unusedName(m, u.out+".unbiased")
	add := &graph.Node{Op: "Add", Inputs: []string{product, ""}, Outputs: []string{u.out}}
	u.node.Outputs[0] = product
	m.Nodes = slices.Insert(m.Nodes, slices.Index(m.Nodes, u.node)+1, add)
	p.setConstant(m, add, 1, t)
	add.Name = add.Inputs[1]
}

// addedConstant returns the Add that alone reads what a node computes, and which
// of its inputs is a float32 constant of the given shape; nil where there is
// none.
func addedConstant(m *graph.Model, u use, shape []int) (add *graph.Node, input int) {
	if add = soleReader(m, u.out); add == nil || add.Op != "Add" || add.Domain != "" {
		return nil, 0
	}
	for i, name := range add.Inputs {
		if t := m.Weights[name]; t != nil && t.DType == graph.Float32 && slices.Equal(t.Shape, shape) {
			return add, i
		}
	}
	return nil, 0
}

// unusedName returns a name for a value, made from the given one, that no value
// of the model has.
func unusedName(m *graph.Model, name string) string {
	used := make(map[string]bool)
	for _, v := range m.Inputs {
		used[v.Name] = true
	}
	for w := range m.Weights {
		used[w] = true
	}
	for _, n := range m.Nodes {
		for _, o := range n.Outputs {
			used[o] = true
		}
	}
	for used[name] {
		name += "_"
	}
	return name
}
