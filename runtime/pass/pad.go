package pass

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// pad moves zero padding of images into the convolution or average pooling
// that reads them.
func pad(g *Graph) error {
	ix := newIndex(g)
	for _, n := range g.Nodes {
		if !isFused(n, "Conv") && !is(n, "AveragePool") {
			continue
		}
		p := ix.producer[n.Inputs[0]]
		if !is(p, "Pad") {
			continue
		}
		extra := g.spatialPads(p)
		if extra == nil {
			continue
		}
		own := n.Ints("pads")
		if own == nil {
			own = make([]int, len(extra))
		}
		if is(n, "AveragePool") && !takesPads(n, own) {
			continue
		}
		for i := range extra {
			extra[i] += own[i]
		}
		n.Set("pads", extra)
		if is(n, "AveragePool") {
			n.Set("count_include_pad", 1) // what was padded before counted
		}
		ix.setInputs(n, append([]string{p.Inputs[0]}, n.Inputs[1:]...)...)
	}
	return nil
}

// takesPads reports whether an average pooling may be given padding that
// counts as elements: where it has none of its own, or counts that too.
func takesPads(n *graph.Node, own []int) bool {
	if n.Int("ceil_mode", 0) != 0 || n.Str("auto_pad", "NOTSET") != "NOTSET" {
		return false
	}
	return n.Int("count_include_pad", 0) != 0 || !slices.ContainsFunc(own, func(p int) bool { return p != 0 })
}

// spatialPads returns the pads of a Pad node as a convolution takes them, or
// nil where it does not pad the spatial axes, and only those, with zeros.
func (g *Graph) spatialPads(n *graph.Node) []int {
	rank := len(g.Types[n.Inputs[0]].Shape)
	if n.Str("mode", "constant") != "constant" || rank < 3 || n.Float("value", 0) != 0 {
		return nil
	}
	pads := n.Ints("pads")
	if len(n.Inputs) > 1 {
		t := g.constant(n.Inputs[1])
		if t == nil {
			return nil
		}
		pads = nil
		for _, p := range t.Ints() {
			pads = append(pads, int(p))
		}
	}
	if name := n.Input(2); name != "" {
		if v, ok := g.scalar(name); !ok || v != 0 {
			return nil
		}
	}
	if n.Input(3) != "" {
		return nil // some axes only: rare enough
	}
	if len(pads) != 2*rank || slices.Min(pads) < 0 || pads[0]|pads[1]|pads[rank]|pads[rank+1] != 0 {
		return nil
	}
	return slices.Concat(pads[2:rank], pads[rank+2:])
}
