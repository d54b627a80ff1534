package pass

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// maxMoves bounds how many nodes that move elements are seen as one.
const maxMoves = 16

// transpose makes a row of nodes that move elements one Reshape or Transpose,
// or nothing where they cancel. It also lets linear layers change places with
// what stands before them, where that leaves the features of each column
// together: a Reshape, or the exchange of batch and tokens.
func transpose(g *Graph) error {
	for range maxMoves {
		newMatcher(g).joinMoves()
		if err := noop(g); err != nil {
			return err
		}
		if err := dead(g); err != nil {
			return err
		}
		m := newMatcher(g)
		moved := false
		for _, n := range slices.Clone(g.Nodes) {
			if isFused(n, "Linear") && m.sink(n) {
				moved = true
			}
		}
		m.sweep()
		if !moved {
			break
		}
	}
	return nil
}

// joinMoves gives each node at the end of a row of moves the source of the row.
func (m *matcher) joinMoves() {
	for _, n := range m.Nodes {
		if !moves(n) || n.Op == "Identity" {
			continue
		}
		y := n.Outputs[0]
		v := m.viewOf(y, maxMoves, false)
		if v.source == y || v.source == n.Inputs[0] {
			continue
		}
		switch {
		case v.contiguous() && m.sameShape(v.source, y):
			m.setInputs(n, v.source)
			n.Op, n.Attrs = "Identity", nil
		case v.contiguous():
			m.setReshape(n, v.source)
		default:
			if perm := m.permutationOf(v, y); perm != nil {
				m.setInputs(n, v.source)
				n.Op, n.Attrs = "Transpose", nil
				n.Set("perm", perm)
			}
		}
	}
}

// setReshape makes n the Reshape of x to the shape of n's output.
func (m *matcher) setReshape(n *graph.Node, x string) {
	shape := m.Types[n.Outputs[0]].Shape
	dims := make([]int64, len(shape))
	for i, d := range shape {
		dims[i] = int64(d)
	}
	name := m.addWeight(n.Outputs[0]+".shape", graph.FromInts(graph.Int64, []int{len(dims)}, dims))
	m.setInputs(n, x, name)
	n.Op, n.Attrs = "Reshape", nil
}

// permutationOf returns the axes in which a view takes those of its source, nil
// where it is no transpose.
func (m *matcher) permutationOf(v view, y string) []int {
	source := m.wholeOf(v.source).axes
	if len(source) != len(v.axes) || v.offset != 0 || v.scale != 1 {
		return nil
	}
	perm := make([]int, 0, len(source))
	for _, axis := range v.axes {
		f := flat(axis)
		i := slices.IndexFunc(source, func(s []factor) bool {
			return slices.Equal(flat(s), f) && !slices.Contains(perm, slices.IndexFunc(source, func(t []factor) bool { return &t[0] == &s[0] }))
		})
		if i < 0 {
			return nil
		}
		perm = append(perm, i)
	}
	return perm
}

// sink lets a linear layer read what the node before it moves, and moves its
// output instead.
func (m *matcher) sink(layer *graph.Node) bool {
	move := m.producer[layer.Inputs[0]]
	if layer.Input(3) != "" || !is(move, "Transpose") && !is(move, "Reshape") || m.dropped[move] {
		return false
	}
	x, y := move.Inputs[0], layer.Outputs[0]
	from, to := m.Types[x].Shape, m.Types[y].Shape
	last := len(from) - 1
	if last < 0 || len(to) == 0 || m.constant(x) != nil {
		return false
	}
	perm := []int{1, 0, 2}
	if is(move, "Transpose") && !slices.Equal(permutation(move, len(from)), perm) {
		return false
	}
	if moved := m.Types[layer.Inputs[0]].Shape; from[last] != moved[len(moved)-1] || slices.Contains(from, 0) {
		return false
	}
	shape := slices.Clone(from)
	shape[last] = to[len(to)-1]
	early := &graph.Node{Name: layer.Name, Op: layer.Op, Domain: layer.Domain, Attrs: layer.Attrs}
	early.Outputs = []string{m.addValue(y+".moved", graph.Type{DType: m.Types[y].DType, Shape: shape})}
	inputs := append([]string{x}, layer.Inputs[1:]...)
	transposes := is(move, "Transpose")
	m.before(layer, early, inputs)
	layer.Name, layer.Domain, layer.Attrs = move.Name, "", nil
	if transposes {
		m.setInputs(layer, early.Outputs[0])
		layer.Op = "Transpose"
		layer.Set("perm", perm)
	} else {
		m.setReshape(layer, early.Outputs[0])
	}
	return true
}
