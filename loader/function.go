package loader

import (
	"context"
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// A function is an operator that the model defines by a graph. Its calls are
// replaced by that graph, so that nothing behind the loader knows of functions.
type function struct {
	body     *graph.Model
	opset    map[string]int
	defaults map[string]*graph.Attr
	refs     map[*graph.Node]map[string]string // attributes that a call gives, by the node's and the call's names
	checked  bool
}

// A functionKey names a function: where there is an overload, it is part of op.
type functionKey struct{ domain, op string }

func (k functionKey) String() string { return fmt.Sprintf("%.80q of domain %.80q", k.op, k.domain) }

// withOverload returns the name of an operator that has overloads.
func withOverload(op, overload string) string {
	if overload == "" {
		return op
	}
	return op + ":" + overload
}

// The bounds of what calls of functions grow a model to, and how deep they
// nest.
const (
	maxInlined   = 1 << 18 // nodes, weights, inputs and outputs
	maxCallDepth = 128
)

// function reads a FunctionProto.
func (d *decoder) function(at span) (functionKey, *function) {
	d.alive()
	f := &function{
		body: newModel(nil), opset: make(map[string]int),
		defaults: make(map[string]*graph.Attr), refs: make(map[*graph.Node]map[string]string),
	}
	d.refs = f.refs
	defer func() { d.refs = nil }()
	var name, dom, overload string
	for field := range d.fields(at) {
		switch field.num {
		case 1:
			name = d.str(field)
		case 4:
			f.body.Inputs = append(f.body.Inputs, &graph.Value{Name: d.str(field)})
		case 5:
			f.body.Outputs = append(f.body.Outputs, &graph.Value{Name: d.str(field)})
		case 7:
			d.addNode(f.body, d.node(d.message(field), f.opset), field.at)
		case 9:
			d.operatorSet(f.opset, d.message(field))
		case 10:
			dom = domain(d.str(field))
		case 11:
			if attr, a, ref := d.attribute(d.message(field), f.opset); ref == "" {
				f.defaults[attr] = a
			}
		case 13:
			overload = d.str(field)
		}
	}
	return functionKey{dom, withOverload(name, overload)}, f
}

// An inliner replaces calls of functions.
type inliner struct {
	ctx       context.Context
	functions map[functionKey]*function
	opset     map[string]int // of the model
	names     *graph.Names
	left      int
}

// inline replaces all calls of functions in a model.
func inline(ctx context.Context, m *graph.Model, functions map[functionKey]*function) error {
	l := &inliner{ctx: ctx, functions: functions, opset: m.Opset, names: graph.NewNames(m), left: maxInlined}
	return l.graph(m, nil)
}

// graph replaces the calls in a graph and in those of its attributes; path is
// the functions that it is being put in for.
func (l *inliner) graph(m *graph.Model, path []functionKey) error {
	var nodes []*graph.Node
	for _, n := range m.Nodes {
		if err := l.ctx.Err(); err != nil {
			return err
		}
		for _, body := range n.Bodies() {
			if err := l.graph(body, path); err != nil {
				return err
			}
		}
		key := functionKey{n.Domain, n.Op}
		f := l.functions[key]
		if f == nil {
			nodes = append(nodes, n)
			continue
		}
		called, err := l.call(n, f, append(path, key))
		if err != nil {
			return fmt.Errorf("node %s: function %s: %w", n, key, err)
		}
		for name, w := range called.Weights {
			m.Weights[name] = w
		}
		nodes = append(nodes, called.Nodes...)
	}
	m.Nodes = nodes
	return nil
}

// call returns what stands for a call: nodes and weights.
func (l *inliner) call(n *graph.Node, f *function, path []functionKey) (*graph.Model, error) {
	key := path[len(path)-1]
	switch {
	case slices.Contains(path[:len(path)-1], key):
		return nil, fmt.Errorf("it calls itself")
	case len(path) > maxCallDepth:
		return nil, fmt.Errorf("calls nest more than %d deep", maxCallDepth)
	case len(n.Inputs) > len(f.body.Inputs) || len(n.Outputs) > len(f.body.Outputs):
		return nil, fmt.Errorf("called with %d inputs and %d outputs, it has %d and %d", len(n.Inputs), len(n.Outputs), len(f.body.Inputs), len(f.body.Outputs))
	}
	if err := l.check(f); err != nil {
		return nil, err
	}
	if l.left -= f.body.Size(); l.left < 0 {
		return nil, fmt.Errorf("calls grow the model to more than %d nodes and values", maxInlined)
	}
	body, err := f.bound(f.body, n.Attrs)
	if err != nil {
		return nil, err
	}
	out := newModel(l.opset)
	out.Nodes, out.Weights = body.Inline(n.Inputs, n.Outputs, l.names)
	for _, inner := range out.Nodes {
		if n.Name != "" {
			inner.Name = fmt.Sprintf("%.120s/%.80s", n.Name, inner.Name)
		}
	}
	return out, l.graph(out, path)
}

// check looks at a function when it is first called: at what it uses without
// defining it, and at the operator sets that it imports, which have to be those
// of the model, as nodes are not told apart by where they come from.
func (l *inliner) check(f *function) error {
	if f.checked {
		return nil
	}
	f.checked = true
	if used := f.body.Captures(); len(used) > 0 {
		return fmt.Errorf("it uses %.80q, which it does not define", used[0])
	}
	return l.checkOpsets(f, f.body)
}

func (l *inliner) checkOpsets(f *function, body *graph.Model) error {
	for _, n := range body.Nodes {
		own, have := f.opset[n.Domain], l.opset[n.Domain]
		switch {
		case l.functions[functionKey{n.Domain, n.Op}] != nil || own == 0:
		case have == 0:
			l.opset[n.Domain] = own
		case own != have:
			return fmt.Errorf("it imports version %d of operator set %.80q, and the model version %d, which is not supported", own, n.Domain, have)
		}
		for _, inner := range n.Bodies() {
			if err := l.checkOpsets(f, inner); err != nil {
				return err
			}
		}
	}
	return nil
}

// bound returns a copy of a graph of the function with the attributes that a
// call gives, or else the function's defaults; what neither gives is absent.
func (f *function) bound(body *graph.Model, given map[string]*graph.Attr) (*graph.Model, error) {
	c := body.Clone()
	nodes := c.Nodes[:0]
	for i, n := range c.Nodes {
		for name, ref := range f.refs[body.Nodes[i]] {
			a := given[ref]
			if a == nil {
				a = f.defaults[ref]
			}
			if a != nil {
				if a.Graph != nil {
					return nil, fmt.Errorf("attribute %.80q is a graph, which is not supported of a call", ref)
				}
				if n.Attrs == nil {
					n.Attrs = make(map[string]*graph.Attr)
				}
				n.Attrs[name] = a
			}
		}
		for name, a := range n.Attrs {
			if a.Graph == nil {
				continue
			}
			inner, err := f.bound(a.Graph, given)
			if err != nil {
				return nil, err
			}
			copied := *a
			copied.Graph = inner
			n.Attrs[name] = &copied
		}
		if n.Op != "Constant" || n.Domain != "" {
			nodes = append(nodes, n)
			continue
		}
		t, err := n.Constant()
		if err != nil || len(n.Outputs) != 1 {
			return nil, fmt.Errorf("node %s: not a constant of one output: %v", n, err)
		}
		c.Weights[n.Outputs[0]] = t
	}
	c.Nodes = nodes
	return c, nil
}
