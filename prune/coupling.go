package prune

import (
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// A coupling says which elements of a model can only leave together. Every
// index along every axis of every value, weights included, has a label, and
// rules of operators (see rules.go) tie labels: channel 3 of a convolution's
// output to row 3 of its weight and to element 3 of its bias, to column 3 of the
// weight that reads it, and by way of an addition to channel 3 of another
// convolution. Labels that are tied form a class. A class goes as a whole or
// stays, and what an operator does that no rule understands pins the classes
// that it touches: they stay.
//
// The idea is that of the dependency graph of Fang et al., DepGraph: Towards Any
// Structural Pruning, 2023, at the grain of indices rather than of axes, so that
// concatenations, slices, channel shuffles and flattened images need no rules
// of their own for what is coupled in part.
type coupling struct {
	m        *graph.Model
	types    map[string]graph.Type
	producer map[string]*graph.Node // of each value that a node makes

	parent []label
	why    []string           // reason why a class stays, at its root; empty where it may go
	labels map[string][]index // by value; an index for each axis
	node   *graph.Node        // whose rule runs

	weighted []weighted
	joins    []join
	parts    []Part
	refused  []Group // layers that are not understood

	// With heads unknown, reshapes tie nothing that they split or merge, and
	// axes along which batches of activations are multiplied are marked.
	searching bool
	batched   map[label]bool
	merged    []merging
	heads     map[place]bool // found by searching
}

// A label names an index along an axis, and by find the class of it.
type label int32

// An index is the labels along one axis of a value.
type index []label

// A place is an axis of a value.
type place struct {
	value string
	axis  int
}

// A merging is labels of which a reshape makes those of one axis.
type merging struct {
	to   index
	from []index
}

// A weighted is an input that a node multiplies by a constant weight and sums
// over: the channels of input x along xAxis by the slices of weight w along
// wAxis.
type weighted struct {
	node         *graph.Node
	x, w         string
	xAxis, wAxis int
}

// A join is a product of two values that both depend on the model's input, with
// the axes that it sums over.
type join struct {
	node *graph.Node
	x    [2]place
}

// newCoupling ties the labels of a model, whose nodes in opaque are not to be
// understood. Types are those of all values, with constants.
func newCoupling(m *graph.Model, types map[string]graph.Type, opaque map[*graph.Node]string) *coupling {
	search := tie(m, types, opaque, nil)
	// Keys may be repeated for several heads of queries before they are used.
	for _, mg := range slices.Backward(search.merged) {
		if search.anyBatched(mg.to) {
			for _, ix := range mg.from {
				search.batch(ix)
			}
		}
	}
	heads := make(map[place]bool)
	for value, axes := range search.labels {
		for a, ix := range axes {
			if search.anyBatched(ix) {
				heads[place{value, a}] = true
			}
		}
	}
	return tie(m, types, opaque, heads)
}

// batch marks an axis along which batches of activations are multiplied.
func (c *coupling) batch(ix index) {
	for _, l := range ix {
		c.batched[c.find(l)] = true
	}
}

func (c *coupling) anyBatched(ix index) bool {
	return slices.ContainsFunc(ix, func(l label) bool { return c.batched[c.find(l)] })
}

// tie runs the rules of all nodes. Without heads it searches for them.
func tie(m *graph.Model, types map[string]graph.Type, opaque map[*graph.Node]string, heads map[place]bool) *coupling {
	c := &coupling{
		m: m, types: types, producer: make(map[string]*graph.Node), labels: make(map[string][]index),
		searching: heads == nil, batched: make(map[label]bool), heads: heads,
	}
	for _, n := range m.Nodes {
		for _, name := range n.Outputs {
			c.producer[name] = n
		}
	}
	for _, v := range m.Inputs {
		if t, ok := types[v.Name]; ok {
			c.labels[v.Name] = c.fixed(t.Shape, "it is an input of the model")
		}
	}
	for _, n := range m.Nodes {
		c.node = n
		reason, stop := opaque[n]
		if !stop {
			reason = c.apply(n)
		}
		if reason != "" {
			c.opaque(n, reason)
		}
	}
	for _, v := range m.Outputs {
		for _, ix := range c.of(v.Name) {
			c.pin(ix, fmt.Sprintf("it reaches output %.80q of the model", v.Name))
		}
	}
	return c
}

// apply runs the rule of a node, which returns why it does not understand the
// node, if so.
func (c *coupling) apply(n *graph.Node) string {
	if n.Domain != "" || rules[n.Op] == nil {
		return "the operator is not understood"
	}
	for i, name := range n.Inputs {
		if name != "" && c.of(name) == nil {
			return "the shape of an input depends on what a run computes"
		}
		if name == "" && i == 0 {
			return "its first input is absent"
		}
	}
	for i, name := range n.Outputs {
		if _, ok := c.types[name]; name != "" && !ok {
			return "the shape of an output depends on what a run computes"
		}
		if i > 0 && name != "" && n.Op != "Split" && n.Op != "Dropout" {
			return "it has several outputs"
		}
	}
	if len(n.Outputs) == 0 || n.Outputs[0] == "" && n.Op != "Split" {
		return "its output is absent"
	}
	return rules[n.Op](c, n)
}

// opaque pins all that a node touches.
func (c *coupling) opaque(n *graph.Node, reason string) {
	reason = fmt.Sprintf("%s: %s", n, reason)
	if w, channels := c.layer(n); channels > 0 {
		c.refused = append(c.refused, Group{Name: w, Channels: channels, Width: 1, Reason: reason})
	}
	for _, name := range n.Uses() {
		for _, ix := range c.of(name) {
			c.pin(ix, reason)
		}
	}
	for _, name := range n.Outputs {
		t, ok := c.types[name]
		if name == "" || !ok {
			continue
		}
		for _, ix := range c.labels[name] { // what the rule has set before it gave up
			c.pin(ix, reason)
		}
		c.labels[name] = c.fixed(t.Shape, reason)
	}
}

// layer returns the weight of a node that makes channels of others, and how many
// it makes, 0 for any other node.
func (c *coupling) layer(n *graph.Node) (weight string, channels int) {
	axis := -1
	switch n.Op {
	case "Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "DeformConv":
		axis = 1
	case "Gemm", "MatMul", "MatMulInteger", "QLinearMatMul", "Einsum", "LSTM", "GRU", "RNN":
	default:
		return "", 0
	}
	for _, name := range n.Inputs {
		w := c.types[name].Const
		if w == nil || len(w.Shape) < 2 {
			continue
		}
		for _, out := range n.Outputs {
			y := c.types[out].Shape
			if a, ok := axisOf(axis, len(y)); ok {
				return name, y[a]
			}
		}
	}
	return "", 0
}

// of returns the labels of a value, nil where its type is not known. Those of
// a weight are made when it is first met.
func (c *coupling) of(name string) []index {
	if axes, ok := c.labels[name]; ok {
		return axes
	}
	w, ok := c.m.Weights[name]
	if !ok {
		return nil
	}
	axes := make([]index, len(w.Shape))
	for a, d := range w.Shape {
		axes[a] = c.fresh(d)
		if bits := w.DType.Bits(); bits == 0 || bits%8 != 0 {
			c.pin(axes[a], fmt.Sprintf("%.80q is of type %s", name, w.DType))
		}
	}
	c.labels[name] = axes
	return axes
}

// in returns the labels of an input of the node, nil where it is absent.
func (c *coupling) in(i int) []index {
	if name := c.node.Input(i); name != "" {
		return c.of(name)
	}
	return nil
}

// shape returns the shape of a value.
func (c *coupling) shape(name string) []int { return c.types[name].Shape }

// constant returns the value of an input that is constant, else nil.
func (c *coupling) constant(i int) *graph.Tensor {
	name := c.node.Input(i)
	if name == "" {
		return nil
	}
	return c.types[name].Const
}

// fresh makes an index of n new labels.
func (c *coupling) fresh(n int) index {
	ix := make(index, n)
	for i := range ix {
		ix[i] = label(len(c.parent))
		c.parent = append(c.parent, ix[i])
		c.why = append(c.why, "")
	}
	return ix
}

// stays makes an index of n that stays.
func (c *coupling) stays(n int, reason string) index {
	l := c.fresh(1)[0]
	c.why[l] = reason
	return slices.Repeat(index{l}, n)
}

// fixed makes the labels of a value that stays as it is.
func (c *coupling) fixed(shape []int, reason string) []index {
	axes := make([]index, len(shape))
	for a, d := range shape {
		axes[a] = c.stays(d, reason)
	}
	return axes
}

func (c *coupling) find(l label) label {
	for c.parent[l] != l {
		c.parent[l] = c.parent[c.parent[l]]
		l = c.parent[l]
	}
	return l
}

// free reports whether the class of a label may go.
func (c *coupling) free(l label) bool { return c.why[c.find(l)] == "" }

// tieLabels puts two labels into one class. Where one stays, so does the other;
// two that stay anyway are left apart, as it tells nothing that they belong
// together.
func (c *coupling) tieLabels(a, b label) {
	a, b = c.find(a), c.find(b)
	switch {
	case a == b:
	case c.why[a] != "" && c.why[b] != "":
	case c.why[a] != "":
		c.why[b] = c.why[a]
	case c.why[b] != "":
		c.why[a] = c.why[b]
	default:
		c.parent[max(a, b)] = min(a, b)
		if c.batched[max(a, b)] {
			c.batched[min(a, b)] = true
		}
	}
}

// tie ties two indices of equal length one by one.
func (c *coupling) tie(a, b index) {
	for i := range a {
		c.tieLabels(a[i], b[i])
	}
}

// pin makes an index stay.
func (c *coupling) pin(ix index, reason string) {
	for _, l := range ix {
		if r := c.find(l); c.why[r] == "" {
			c.why[r] = reason
		}
	}
}

// pinHere makes indices stay because of what the node does.
func (c *coupling) pinHere(reason string, ix ...index) {
	reason = fmt.Sprintf("%s %s", c.node, reason)
	for _, ix := range ix {
		c.pin(ix, reason)
	}
}

// part notes an axis of a constant of the node, and the axis of the activation
// that goes with it, if there is one.
func (c *coupling) part(role Role, at, activation place) {
	c.parts = append(c.parts, Part{
		Role: role, Value: at.value, Axis: at.axis, Node: c.node.String(), Op: c.node.Op, name: c.node.Name, Constant: c.types[at.value].Const,
		Activation: activation.value, ActivationAxis: activation.axis,
	})
}
