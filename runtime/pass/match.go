package pass

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// A matcher recognises what exporters write as several nodes. Nothing is asked
// of who else reads the values between them: a match is rewritten at its last
// node, and dead then takes what nobody reads any more.
type matcher struct {
	*Graph
	*index
	reader map[string]*graph.Node // some reader of a value
}

func newMatcher(g *Graph) *matcher {
	m := &matcher{Graph: g, index: newIndex(g), reader: make(map[string]*graph.Node, 2*len(g.Nodes))}
	for _, n := range g.Nodes {
		for _, in := range n.Inputs {
			m.reader[in] = n
		}
	}
	return m
}

// made returns the node of the ONNX domain that makes a value, where it is
// operator op; else nil.
func (m *matcher) made(name, op string) *graph.Node {
	if n := m.producer[name]; is(n, op) {
		return n
	}
	return nil
}

// only returns the one node that reads a value, where it is operator op and
// the value is no output of the graph; else nil.
func (m *matcher) only(name, op string) *graph.Node {
	if m.readers[name] != 1 || m.output[name] {
		return nil
	}
	if n := m.reader[name]; is(n, op) {
		return n
	}
	return nil
}

// withScalar returns the operand of a node of two inputs whose other operand is
// a real constant of one element, and that. The constant comes second where
// the operator does not commute.
func (m *matcher) withScalar(n *graph.Node) (x string, c float32, ok bool) {
	if n == nil || len(n.Inputs) != 2 {
		return "", 0, false
	}
	if c, ok := m.scalar(n.Inputs[1]); ok {
		return n.Inputs[0], c, true
	}
	if n.Op == "Add" || n.Op == "Mul" {
		if c, ok := m.scalar(n.Inputs[0]); ok {
			return n.Inputs[1], c, true
		}
	}
	return "", 0, false
}

// peel takes products and quotients with constants off a value: it is the
// returned one times the factor.
func (m *matcher) peel(name string) (x string, factor float64) {
	factor = 1
	for {
		n := m.producer[name]
		if !is(n, "Mul") && !is(n, "Div") {
			return name, factor
		}
		x, c, ok := m.withScalar(n)
		if !ok || c == 0 || !m.sameShape(x, name) {
			return name, factor
		}
		if n.Op == "Mul" {
			factor *= float64(c)
		} else {
			factor /= float64(c)
		}
		name = x
	}
}

// A term is a value and the factor that a product of two has beside it.
type term struct {
	x, y   string
	factor float64
}

// products returns the ways to read a value as the product of two and a
// factor: constants may stand at the product or at either operand.
func (m *matcher) products(name string) []term {
	outer, c := m.peel(name)
	n := m.made(outer, "Mul")
	if n == nil {
		return nil
	}
	var list []term
	for i, x := range n.Inputs {
		y := n.Inputs[1-i]
		px, cx := m.peel(x)
		py, cy := m.peel(y)
		list = append(list, term{x, y, c})
		if px != x {
			list = append(list, term{px, y, c * cx})
		}
		if py != y {
			list = append(list, term{x, py, c * cy})
		}
		if px != x && py != y {
			list = append(list, term{px, py, c * cx * cy})
		}
	}
	return list
}

// plusOne returns what one is added to, or "".
func (m *matcher) plusOne(name string) string {
	if x, c, ok := m.withScalar(m.made(name, "Add")); ok && c == 1 {
		return x
	}
	return ""
}

// isSquare reports whether a value is the square of x.
func (m *matcher) isSquare(name, x string) bool {
	if n := m.made(name, "Pow"); n != nil {
		c, ok := m.scalar(n.Inputs[1])
		return ok && c == 2 && n.Inputs[0] == x
	}
	n := m.made(name, "Mul")
	return n != nil && n.Inputs[0] == x && n.Inputs[1] == x
}

// meanOf returns what a value is the mean of over the last axis, which stays as
// one of extent one; or "".
func (m *matcher) meanOf(name string) string {
	n := m.made(name, "ReduceMean")
	if n == nil || n.Int("keepdims", 1) == 0 {
		return ""
	}
	axes := n.Ints("axes")
	if len(n.Inputs) > 1 {
		t := m.constant(n.Inputs[1])
		if t == nil {
			return ""
		}
		for _, a := range t.Ints() {
			axes = append(axes, int(a))
		}
	}
	rank := len(m.Types[n.Inputs[0]].Shape)
	if len(axes) != 1 || axes[0] != -1 && axes[0] != rank-1 {
		return ""
	}
	return n.Inputs[0]
}

// replace makes n the operator op of the fused domain that reads inputs.
func (m *matcher) replace(n *graph.Node, op string, inputs ...string) {
	for len(inputs) > 0 && inputs[len(inputs)-1] == "" {
		inputs = inputs[:len(inputs)-1]
	}
	m.setInputs(n, slices.Clone(inputs)...)
	n.Op, n.Domain, n.Attrs = op, graph.FusedDomain, nil
}
