package pass

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// arith moves a constant for each channel, or one for all, that is added to,
// subtracted from, multiplied with or divided into the output of a layer into
// its weight and bias.
func arith(g *Graph) error {
	ix := newIndex(g)
	for _, n := range g.Nodes {
		if len(n.Inputs) != 2 || n.Domain != "" {
			continue
		}
		for i, x := range n.Inputs {
			l, ok := g.layerOf(ix.private(x))
			if !ok || !g.sameShape(x, n.Outputs[0]) {
				continue
			}
			c := g.perChannel(n.Inputs[1-i], g.Types[x].Shape, l.axis)
			scale, shift := affine(n, c, i == 0)
			if scale == nil {
				continue
			}
			if err := g.apply(ix, l, scale, shift); err != nil {
				return err
			}
			ix.absorb(l.node, n)
			break
		}
	}
	ix.sweep()
	return nil
}

// affine returns the factors and terms that a node applies to its other operand
// given its constant one; first is whether that other one comes first. They are
// nil where the node is none of that.
func affine(n *graph.Node, c []float64, first bool) (scale, shift []float64) {
	if c == nil {
		return nil, nil
	}
	ones, zeros := slices.Repeat([]float64{1}, len(c)), make([]float64, len(c))
	switch {
	case n.Op == "Add":
		return ones, c
	case n.Op == "Sub" && first:
		return ones, negated(c)
	case n.Op == "Sub":
		return negated(ones), c
	case n.Op == "Mul":
		return c, zeros
	case n.Op == "Div" && first && !slices.Contains(c, 0):
		for i, v := range c {
			c[i] = 1 / v
		}
		return c, zeros
	}
	return nil, nil
}

func negated(v []float64) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = -x
	}
	return out
}
