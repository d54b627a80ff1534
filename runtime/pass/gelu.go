package pass

import (
	"math"

	"github.com/nnz-dev/nnz/graph"
)

// gelu recognises the Gaussian error linear unit, x/2·(1 + erf(x/√2)), and its
// approximation by tanh, in the orders in which exporters write them, as
// nnz.Gelu.
//
// Source: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.
func gelu(g *Graph) error {
	m := newMatcher(g)
	for _, n := range g.Nodes {
		if is(n, "Gelu") {
			m.setGelu(n, n.Inputs[0], n.Str("approximate", "none"))
			continue
		}
		if !is(n, "Mul") && !is(n, "Div") {
			continue
		}
		for _, t := range m.products(n.Outputs[0]) {
			arg := m.plusOne(t.y)
			if arg == "" || !near(float32(t.factor), 0.5) || !m.sameShape(t.x, n.Outputs[0]) {
				continue
			}
			if e := m.made(arg, "Erf"); e != nil {
				if x, c := m.peel(e.Inputs[0]); x == t.x && near(float32(c), 1/math.Sqrt2) {
					m.setGelu(n, x, "none")
					break
				}
			}
			if e := m.made(arg, "Tanh"); e != nil && m.isGeluCubic(e.Inputs[0], t.x) {
				m.setGelu(n, t.x, "tanh")
				break
			}
		}
	}
	return dead(g)
}

func (m *matcher) setGelu(n *graph.Node, x, approximate string) {
	m.replace(n, "Gelu", x)
	n.Set("approximate", approximate)
}

// Constants of the approximation, sqrt(2/π)·(x + 0.044715·x³).
const (
	geluSlope = 0.7978845608028654
	geluCubic = 0.044715
)

// isGeluCubic reports whether a value is the argument of the approximation's
// tanh: slope times x + cubic·x³, or slope·x times 1 + cubic·x².
func (m *matcher) isGeluCubic(name, x string) bool {
	sum, c := m.peel(name)
	if n := m.made(sum, "Add"); n != nil && near(float32(c), geluSlope) {
		for i, in := range n.Inputs {
			if in == x && m.isCubic(n.Inputs[1-i], x) {
				return true
			}
		}
	}
	for _, t := range m.products(name) {
		if t.x != x || !near(float32(t.factor), geluSlope) {
			continue
		}
		if square, c := m.peel(m.plusOne(t.y)); near(float32(c), geluCubic) && m.isSquare(square, x) {
			return true
		}
	}
	return false
}

// isCubic reports whether a value is geluCubic times the cube of x.
func (m *matcher) isCubic(name, x string) bool {
	p, c := m.peel(name)
	if n := m.made(p, "Pow"); n != nil {
		e, ok := m.scalar(n.Inputs[1])
		return ok && e == 3 && n.Inputs[0] == x && near(float32(c), geluCubic)
	}
	for _, t := range m.products(name) {
		if t.x == x && near(float32(t.factor), geluCubic) && m.isSquare(t.y, x) {
			return true
		}
	}
	return false
}
