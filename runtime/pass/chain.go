package pass

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// A chain is nodes that take the place of one. Each reads what the one before
// it makes; the last makes what the replaced node made.
type chain struct {
	m      *matcher
	n      *graph.Node // that is replaced
	at     string      // what the last node so far makes
	nodes  []*graph.Node
	inputs [][]string
}

// chainFrom begins a chain in place of n with what x holds.
func (m *matcher) chainFrom(n *graph.Node, x string) *chain { return &chain{m: m, n: n, at: x} }

// shape returns the shape of what the chain has made so far.
func (c *chain) shape() []int { return c.m.Types[c.at].Shape }

// then appends a node that makes a value of a shape from what the chain has
// made and other inputs.
func (c *chain) then(domain, op string, shape []int, inputs ...string) *graph.Node {
	y := c.m.addValue(c.n.Outputs[0]+"."+op, graph.Type{DType: c.m.Types[c.n.Outputs[0]].DType, Shape: shape})
	node := &graph.Node{Name: c.n.Name, Domain: domain, Op: op, Outputs: []string{y}}
	c.nodes = append(c.nodes, node)
	c.inputs = append(c.inputs, append([]string{c.at}, inputs...))
	c.at = y
	return node
}

// reshape gives what has been made another shape.
func (c *chain) reshape(shape ...int) {
	if slices.Equal(c.shape(), shape) {
		return
	}
	dims := make([]int64, len(shape))
	for i, d := range shape {
		dims[i] = int64(d)
	}
	to := c.m.addWeight(c.at+".shape", graph.FromInts(graph.Int64, []int{len(dims)}, dims))
	c.then("", "Reshape", shape, to)
}

// swap exchanges the last two axes.
func (c *chain) swap() {
	shape := slices.Clone(c.shape())
	perm := make([]int, len(shape))
	for i := range perm {
		perm[i] = i
	}
	i, j := len(shape)-2, len(shape)-1
	shape[i], shape[j] = shape[j], shape[i]
	if shape[i] == 1 || shape[j] == 1 {
		c.reshape(shape...)
		return
	}
	perm[i], perm[j] = j, i
	c.then("", "Transpose", shape).Set("perm", perm)
}

// finish puts the chain in the place of its node.
func (c *chain) finish() {
	last := len(c.nodes) - 1
	for i, node := range c.nodes[:last] {
		c.m.before(c.n, node, c.inputs[i])
	}
	end := c.nodes[last]
	c.n.Domain, c.n.Op, c.n.Attrs = end.Domain, end.Op, end.Attrs
	c.m.setInputs(c.n, c.inputs[last]...)
}
