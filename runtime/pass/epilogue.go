package pass

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// epilogue moves the addition of a value of the same shape and a clamp into
// the nnz.Conv or nnz.Linear before them, in that order: after a clamp nothing
// more is added.
func epilogue(g *Graph) error {
	ix := newIndex(g)
	for _, n := range g.Nodes {
		switch {
		case is(n, "Add"):
			g.fuseResidual(ix, n)
		case isFused(n, "Clamp"):
			p := ix.private(n.Inputs[0])
			if !isProduct(p) {
				continue
			}
			b := boundsOf(p, "clamp_min", "clamp_max").then(boundsOf(n, "min", "max"))
			p.Attrs = cloneWithout(p.Attrs, "clamp_min", "clamp_max")
			b.set(p, "clamp_min", "clamp_max")
			ix.absorb(p, n)
		}
	}
	ix.sweep()
	return nil
}

// fuseResidual gives one operand of an addition to the other as its residual.
// Of two that could take it, the one that stands later in the graph does. No
// cycle can come of it: only the addition read what takes the residual.
func (g *Graph) fuseResidual(ix *index, n *graph.Node) {
	var taker *graph.Node
	var residual string
	for i, x := range n.Inputs {
		p, other := ix.private(x), n.Inputs[1-i]
		if !isProduct(p) || p.Input(3) != "" || p.Has("clamp_min") || p.Has("clamp_max") {
			continue
		}
		if !g.sameShape(x, other) || g.constant(other) != nil {
			continue
		}
		if taker == nil || ix.position[p] > ix.position[taker] {
			taker, residual = p, other
		}
	}
	if taker == nil {
		return
	}
	inputs := slices.Clone(taker.Inputs)
	for len(inputs) < 3 {
		inputs = append(inputs, "")
	}
	ix.absorb(taker, n)
	ix.setInputs(n, append(inputs[:3], residual)...)
}

// isProduct reports whether n is a layer with an epilogue.
func isProduct(n *graph.Node) bool { return isFused(n, "Conv") || isFused(n, "Linear") }

func cloneWithout(attrs map[string]*graph.Attr, names ...string) map[string]*graph.Attr {
	out := make(map[string]*graph.Attr, len(attrs))
	for k, v := range attrs {
		if !slices.Contains(names, k) {
			out[k] = v
		}
	}
	return out
}
