package pass

import (
	"math"

	"github.com/nnz-dev/nnz/graph"
)

var inf = float32(math.Inf(1))

// clamp turns Relu, Clip, Min and Max with constant bounds into nnz.Clamp, and
// a clamp of a clamp into one.
func clamp(g *Graph) error {
	ix := newIndex(g)
	for _, n := range g.Nodes {
		x, b, ok := g.bounds(n)
		if !ok {
			continue
		}
		if p := ix.producer[x]; isFused(p, "Clamp") {
			x, b = p.Inputs[0], boundsOf(p, "min", "max").then(b)
		}
		ix.setInputs(n, x)
		n.Op, n.Domain, n.Attrs = "Clamp", graph.FusedDomain, nil
		b.set(n, "min", "max")
	}
	return nil
}

// limits are what values are clamped to: min(max(x, lo), hi).
type limits struct{ lo, hi float32 }

// then returns the limits that clamp to l and then to b.
func (l limits) then(b limits) limits {
	return limits{lo: min(max(l.lo, b.lo), b.hi), hi: min(max(l.hi, b.lo), b.hi)}
}

// set writes finite limits as attributes.
func (l limits) set(n *graph.Node, lo, hi string) {
	if l.lo > -inf {
		n.Set(lo, l.lo)
	}
	if l.hi < inf {
		n.Set(hi, l.hi)
	}
}

// boundsOf reads limits from attributes.
func boundsOf(n *graph.Node, lo, hi string) limits {
	return limits{n.Float(lo, -inf), n.Float(hi, inf)}
}

// bounds returns the operand and the limits of an ONNX node that clamps reals
// to constants.
func (g *Graph) bounds(n *graph.Node) (x string, b limits, ok bool) {
	b = limits{-inf, inf}
	if len(n.Inputs) == 0 || n.Domain != "" || !g.Types[n.Inputs[0]].DType.Float() {
		return "", b, false
	}
	x = n.Inputs[0]
	switch n.Op {
	case "Relu":
		b.lo = 0
		return x, b, true
	case "Clip":
		if g.Opset[n.Domain] < 11 {
			b = limits{n.Float("min", -math.MaxFloat32), n.Float("max", math.MaxFloat32)}
			return x, b, true
		}
		if name := n.Input(1); name != "" {
			if b.lo, ok = g.scalar(name); !ok {
				return "", b, false
			}
		}
		if name := n.Input(2); name != "" {
			if b.hi, ok = g.scalar(name); !ok {
				return "", b, false
			}
		}
		return x, b, b.lo <= b.hi // neither bound is NaN
	case "Min", "Max":
		if len(n.Inputs) != 2 {
			return "", b, false
		}
		v, ok := g.scalar(n.Inputs[1])
		if !ok {
			x = n.Inputs[1]
			v, ok = g.scalar(n.Inputs[0])
		}
		if n.Op == "Min" {
			b.hi = v
		} else {
			b.lo = v
		}
		return x, b, ok && v == v && g.sameShape(x, n.Outputs[0])
	}
	return "", b, false
}
