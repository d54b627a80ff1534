package pass

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// noop drops nodes whose output is their first input. It also turns transposes
// that only move axes of extent one into reshapes, which move nothing, and sums
// of two into additions. An output of
// the graph keeps its name: the value behind it takes that name, or where it
// has to keep its own, the node stays.
func noop(g *Graph) error {
	ix := newIndex(g)
	readers := make(map[string][]*graph.Node)
	for _, n := range g.Nodes {
		for _, in := range n.Inputs {
			readers[in] = append(readers[in], n)
		}
	}
	// rename makes all who read one value read another.
	rename := func(from, to string) {
		for _, r := range readers[from] {
			inputs := slices.Clone(r.Inputs)
			for i, in := range inputs {
				if in == from {
					inputs[i] = to
				}
			}
			ix.setInputs(r, inputs...)
		}
		readers[to] = append(readers[to], readers[from]...)
		delete(readers, from)
	}
	for _, n := range g.Nodes {
		g.relax(ix, n)
		if !g.changesNothing(ix, n) {
			continue
		}
		x, y := n.Inputs[0], n.Outputs[0]
		if !ix.output[y] {
			ix.drop(n)
			rename(y, x)
			continue
		}
		from := ix.producer[x]
		if from == nil || ix.output[x] {
			continue
		}
		ix.drop(n)
		from.Outputs[slices.Index(from.Outputs, x)] = y
		ix.producer[y] = from
		delete(ix.producer, x)
		rename(x, y)
	}
	ix.sweep()
	return nil
}

// changesNothing reports whether the one used output of a node is its first
// input.
func (g *Graph) changesNothing(ix *index, n *graph.Node) bool {
	if n.Domain != "" || len(n.Inputs) == 0 || len(n.Outputs) == 0 {
		return false
	}
	for _, out := range n.Outputs[1:] {
		if out != "" && ix.readers[out] > 0 {
			return false
		}
	}
	x, y := g.Types[n.Inputs[0]], g.Types[n.Outputs[0]]
	if x.DType != y.DType || !slices.Equal(x.Shape, y.Shape) {
		return false
	}
	switch n.Op {
	case "Identity", "Dropout", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Tile":
		return true
	case "Concat", "Max", "Mean", "Min", "Sum":
		return len(n.Inputs) == 1
	case "Split":
		return len(n.Outputs) == 1
	case "Transpose":
		return movesNothing(permutation(n, len(x.Shape)), x.Shape)
	case "Pad":
		return g.padsNothing(n)
	case "Slice":
		return g.slicesForward(n)
	}
	return false
}

// relax gives a node that does the work of a simpler operator that operator: a
// transpose that leaves the elements where they are is a reshape.
func (g *Graph) relax(ix *index, n *graph.Node) {
	if is(n, "Sum") && len(n.Inputs) == 2 {
		n.Op = "Add"
	}
	if !is(n, "Transpose") {
		return
	}
	x, y := g.Types[n.Inputs[0]], g.Types[n.Outputs[0]]
	if slices.Equal(x.Shape, y.Shape) || !movesNothing(permutation(n, len(x.Shape)), x.Shape) {
		return
	}
	shape := make([]int64, len(y.Shape))
	for i, d := range y.Shape {
		if d == 0 {
			return // to Reshape, 0 means something else
		}
		shape[i] = int64(d)
	}
	name := g.addWeight(n.Outputs[0]+".shape", graph.FromInts(graph.Int64, []int{len(shape)}, shape))
	ix.setInputs(n, n.Inputs[0], name)
	n.Op, n.Attrs = "Reshape", nil
}

// permutation returns the axes of a transpose; by default they are reversed.
func permutation(n *graph.Node, rank int) []int {
	if p := n.Ints("perm"); p != nil {
		return p
	}
	p := make([]int, rank)
	for i := range p {
		p[i] = rank - 1 - i
	}
	return p
}

// movesNothing reports whether a permutation of axes keeps the order of those
// that have more than one element.
func movesNothing(perm, shape []int) bool {
	last := -1
	for _, p := range perm {
		if p < 0 || p >= len(shape) {
			return false
		}
		if shape[p] == 1 {
			continue
		}
		if p < last {
			return false
		}
		last = p
	}
	return true
}

// padsNothing reports whether all pads are known and zero: equal shapes alone
// allow a crop on one side and padding on the other.
func (g *Graph) padsNothing(n *graph.Node) bool {
	pads := n.Ints("pads")
	if len(n.Inputs) > 1 {
		t := g.constant(n.Inputs[1])
		if t == nil {
			return false
		}
		for _, p := range t.Ints() {
			pads = append(pads, int(p))
		}
	}
	return len(pads) > 0 && !slices.ContainsFunc(pads, func(p int) bool { return p != 0 })
}

// slicesForward reports whether no step of a slice is negative: such a slice
// that keeps the shape keeps the elements.
func (g *Graph) slicesForward(n *graph.Node) bool {
	name := n.Input(4)
	if name == "" {
		return true
	}
	t := g.constant(name)
	return t != nil && !slices.ContainsFunc(t.Ints(), func(s int64) bool { return s < 0 })
}
