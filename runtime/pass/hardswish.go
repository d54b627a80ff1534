package pass

import (
	"math"

	"github.com/nnz-dev/nnz/graph"
)

// hardSwish recognises min(max(x+3, 0), 6)/6 as HardSigmoid and x times that
// as nnz.HardSwish, in the orders in which exporters write them.
func hardSwish(g *Graph) error {
	ix := newIndex(g)
	for _, n := range g.Nodes {
		if !is(n, "Mul") && !is(n, "Div") {
			continue
		}
		if g.overSix(n) == "" {
			g.matchHardSwish(ix, n)
			continue
		}
		inner := g.overSix(n)
		if x := g.relu6Of(ix, inner); x != "" && g.sameShape(x, n.Outputs[0]) {
			ix.setInputs(n, x)
			n.Op, n.Attrs = "HardSigmoid", nil
			n.Set("alpha", float32(1)/6)
			n.Set("beta", float32(0.5))
			continue
		}
		// x times relu6(x+3), over six.
		if p := ix.producer[inner]; is(p, "Mul") {
			for i, x := range p.Inputs {
				if x == g.relu6Of(ix, p.Inputs[1-i]) {
					g.setHardSwish(ix, n, x)
				}
			}
		}
	}
	return nil
}

// matchHardSwish rewrites x times HardSigmoid(x).
func (g *Graph) matchHardSwish(ix *index, n *graph.Node) {
	if !is(n, "Mul") {
		return
	}
	for i, x := range n.Inputs {
		p := ix.producer[n.Inputs[1-i]]
		if is(p, "HardSigmoid") && p.Inputs[0] == x && near(p.Float("alpha", 0.2), 1./6) && near(p.Float("beta", 0.5), 0.5) {
			g.setHardSwish(ix, n, x)
			return
		}
	}
}

func (g *Graph) setHardSwish(ix *index, n *graph.Node, x string) {
	if g.sameShape(x, n.Outputs[0]) {
		ix.setInputs(n, x)
		n.Op, n.Domain, n.Attrs = "HardSwish", graph.FusedDomain, nil
	}
}

// overSix returns what a node divides by six, or "".
func (g *Graph) overSix(n *graph.Node) string {
	if v, ok := g.scalar(n.Inputs[1]); ok && (is(n, "Div") && v == 6 || is(n, "Mul") && near(v, 1./6)) {
		return n.Inputs[0]
	}
	if v, ok := g.scalar(n.Inputs[0]); ok && is(n, "Mul") && near(v, 1./6) {
		return n.Inputs[1]
	}
	return ""
}

// relu6Of returns x where the value is x+3 clamped to 0 and 6, or "".
func (g *Graph) relu6Of(ix *index, name string) string {
	c := ix.producer[name]
	if !isFused(c, "Clamp") || boundsOf(c, "min", "max") != (limits{0, 6}) {
		return ""
	}
	add := ix.producer[c.Inputs[0]]
	if !is(add, "Add") {
		return ""
	}
	for i, x := range add.Inputs {
		if v, ok := g.scalar(add.Inputs[1-i]); ok && v == 3 {
			return x
		}
	}
	return ""
}

// near reports whether a constant is v up to rounding.
func near(a float32, v float64) bool { return math.Abs(float64(a)-v) < 1e-6 }
