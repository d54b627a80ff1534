package pass

import (
	"math"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// layerNorm turns normalisation over the last axis, as one node or as the
// means, differences and roots that exporters write before version 17, into
// nnz.LayerNorm.
func layerNorm(g *Graph) error {
	m := newMatcher(g)
	for _, n := range g.Nodes {
		if is(n, "LayerNormalization") {
			m.fuseNormOp(n, "LayerNorm")
			continue
		}
		d, eps, ok := m.overDeviation(n)
		if !ok {
			continue
		}
		if x := m.centred(d); x != "" {
			m.fuseNorm(n, "LayerNorm", x, eps)
		}
	}
	m.sweep()
	return dead(g)
}

// rmsNorm turns division by the root of the mean square over the last axis into
// nnz.RMSNorm. It runs after layerNorm, which does the same to differences from
// the mean.
func rmsNorm(g *Graph) error {
	m := newMatcher(g)
	for _, n := range g.Nodes {
		if is(n, "RMSNormalization") || is(n, "SimplifiedLayerNormalization") {
			m.fuseNormOp(n, "RMSNorm")
			continue
		}
		if x, eps, ok := m.overDeviation(n); ok {
			m.fuseNorm(n, "RMSNorm", x, eps)
		}
	}
	m.sweep()
	return dead(g)
}

// fuseNormOp rewrites an ONNX node that normalises over the last axis alone.
func (m *matcher) fuseNormOp(n *graph.Node, op string) {
	x := m.Types[n.Inputs[0]].Shape
	axis := n.Int("axis", -1)
	if len(n.Outputs) > 1 || len(x) == 0 || axis != -1 && axis != len(x)-1 || n.Int("stash_type", 1) != 1 {
		return
	}
	for _, in := range n.Inputs[1:] {
		if in != "" && !slices.Equal(m.Types[in].Shape, x[len(x)-1:]) {
			return
		}
	}
	eps := n.Float("epsilon", 1e-5)
	m.replace(n, op, n.Inputs...)
	n.Set("epsilon", eps)
}

// fuseNorm rewrites n, which divides x, or its difference from its mean, by
// its deviation, with the constants that are multiplied and added after it.
func (m *matcher) fuseNorm(n *graph.Node, op, x string, eps float32) {
	shape := m.Types[x].Shape
	if !m.Types[x].DType.Float() || !slices.Equal(shape, m.Types[n.Outputs[0]].Shape) {
		return
	}
	inputs := []string{x, "", ""}
	if c, next := m.vectorOperand(n, "Mul"); next != nil {
		inputs[1] = m.addWeight(n.Outputs[0]+".scale", floats(c))
		m.follow(n, next)
	}
	if c, next := m.vectorOperand(n, "Add"); next != nil && op == "LayerNorm" {
		inputs[2] = m.addWeight(n.Outputs[0]+".bias", floats(c))
		m.follow(n, next)
	}
	m.replace(n, op, inputs...)
	n.Set("epsilon", eps)
}

// vectorOperand returns the constant for each index of the last axis that the
// one reader of n's output, of operator op, takes beside it, and that reader.
func (m *matcher) vectorOperand(n *graph.Node, op string) ([]float64, *graph.Node) {
	y := n.Outputs[0]
	next := m.only(y, op)
	if next == nil || len(next.Inputs) != 2 || !m.sameShape(y, next.Outputs[0]) {
		return nil, nil
	}
	other := next.Inputs[1-slices.Index(next.Inputs, y)]
	shape := m.Types[y].Shape
	if c := m.perChannel(other, shape, len(shape)-1); c != nil {
		return c, next
	}
	return nil, nil
}

// follow gives n the output of the node that reads it, which goes.
func (m *matcher) follow(n, next *graph.Node) {
	y := next.Outputs[0]
	m.drop(next)
	delete(m.producer, n.Outputs[0])
	n.Outputs = []string{y}
	m.producer[y] = n
}

// overDeviation returns d where n is d over the root of its mean square, plus
// epsilon, over the last axis.
func (m *matcher) overDeviation(n *graph.Node) (d string, eps float32, ok bool) {
	switch {
	case is(n, "Div"):
		eps, ok = m.isDeviation(n.Inputs[1], n.Inputs[0])
		return n.Inputs[0], eps, ok
	case is(n, "Mul"):
		for i, d := range n.Inputs {
			root := ""
			switch p := m.producer[n.Inputs[1-i]]; {
			case is(p, "Reciprocal"):
				root = p.Inputs[0]
			case is(p, "Div"):
				if c, ok := m.scalar(p.Inputs[0]); ok && c == 1 {
					root = p.Inputs[1]
				}
			case is(p, "Pow"):
				if c, ok := m.scalar(p.Inputs[1]); ok && c == -0.5 {
					if eps, ok := m.isVariance(p.Inputs[0], d); ok {
						return d, eps, true
					}
				}
			}
			if eps, ok := m.isDeviation(root, d); ok {
				return d, eps, true
			}
		}
	}
	return "", 0, false
}

// isDeviation reports whether a value is the root of the mean square of d plus
// epsilon.
func (m *matcher) isDeviation(name, d string) (eps float32, ok bool) {
	switch n := m.producer[name]; {
	case is(n, "Sqrt"):
		return m.isVariance(n.Inputs[0], d)
	case is(n, "Pow"):
		if c, ok := m.scalar(n.Inputs[1]); ok && c == 0.5 {
			return m.isVariance(n.Inputs[0], d)
		}
	}
	return 0, false
}

// isVariance reports whether a value is the mean square of d plus epsilon. The
// square may be of another node that makes the same difference.
func (m *matcher) isVariance(name, d string) (eps float32, ok bool) {
	v, eps, ok := m.withScalar(m.made(name, "Add"))
	if !ok || math.IsNaN(float64(eps)) {
		return 0, false
	}
	square := m.meanOf(v)
	if square == "" {
		return 0, false
	}
	if m.isSquare(square, d) {
		return eps, true
	}
	if x := m.centred(d); x != "" {
		for _, in := range m.producer[square].Inputs {
			if m.centred(in) == x && m.isSquare(square, in) {
				return eps, true
			}
		}
	}
	return 0, false
}

// centred returns x where d is x less its mean over the last axis, or "".
func (m *matcher) centred(d string) string {
	n := m.made(d, "Sub")
	if n != nil && m.meanOf(n.Inputs[1]) == n.Inputs[0] {
		return n.Inputs[0]
	}
	return ""
}
