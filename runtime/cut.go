package runtime

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime/pass"
)

// A tail is the part of a model that cannot be compiled with the rest, as only
// a run tells its shapes: nodes whose outputs have extents that depend on
// data, and what reads those.
//
// A run computes the static part, then these nodes one by one on row-major
// tensors, and then the rest, which is compiled for the shapes that have come;
// it may have a tail in turn.
type tail struct {
	early  []*early
	rest   *part             // nil where nothing reads what the early nodes put out
	consts map[string]Tensor // operands of the early nodes that are constant
	held   int64             // bytes of those that are in another form than in the model
	limit  int64             // bytes that values whose extents depend on data may take together
}

// An early node is evaluated as soon as the static part has run.
type early struct {
	node   *graph.Node
	opset  int
	bodies []*part // of the graphs in its attributes, in the attributes' order
}

// A part is a graph that is compiled when a run tells the types of its inputs:
// the rest behind early nodes, or a body of one. Its captured inputs follow the
// graph's own.
type part struct {
	model    *graph.Model
	captured []string // names in the graph around it
	site     site
	parent   *Plan
	config   Config
}

// typed copies the model, takes the branches whose conditions are constant, and
// infers the types of values. What has none before a run is cut off.
func typed(ctx context.Context, m *graph.Model, c Config, s site) (*pass.Graph, *tail, error) {
	g := &pass.Graph{Model: m.Clone()}
	o := graph.InferOptions{Shapes: c.Shapes, Dims: c.Dims, Open: true}
	for again := true; again; {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		var err error
		o.Fold = newFolder(ctx, g.Model, c).fold
		if g.Types, err = graph.Infer(g.Model, o); err != nil {
			return nil, nil, err
		}
		again = !slices.Contains(c.SkipPasses, pass.Branch) && pass.Branches(g)
	}
	t, err := cut(g, s)
	if err == nil {
		err = pass.Thresholds(g)
	}
	return g, t, err
}

// cut takes what has no types out of g, which becomes the static part, and
// returns it as a tail; nil where all has types. The outputs of the static part
// then include what the tail reads.
func cut(g *pass.Graph, s site) (*tail, error) {
	if !slices.ContainsFunc(g.Nodes, func(n *graph.Node) bool { return open(g, n) }) {
		return nil, nil
	}
	live := make(map[string]bool)
	for _, out := range g.Outputs {
		live[out.Name] = true
	}
	var static, late []*graph.Node
	for _, n := range slices.Backward(g.Nodes) {
		if !slices.ContainsFunc(n.Outputs, func(o string) bool { return live[o] && o != "" }) {
			continue
		}
		for _, name := range n.Uses() {
			live[name] = true
		}
		if open(g, n) {
			late = append(late, n)
		} else {
			static = append(static, n)
		}
	}
	slices.Reverse(static)
	slices.Reverse(late)
	g.Nodes = static
	if late == nil {
		return nil, nil // what is open, nobody needs
	}
	t := &tail{consts: make(map[string]Tensor)}
	known := func(name string) bool { _, ok := g.Types[name]; return ok }
	rest := &graph.Model{Name: g.Name, Opset: g.Opset, Packed: g.Packed, Weights: make(map[string]*graph.Tensor)}
	made := make(map[string]bool) // by the rest
	crossing := make(map[string]bool)
	read := func(name string, weights map[string]*graph.Tensor) {
		if w := constant(g, name); w == nil {
			crossing[name] = true
		} else if weights != nil {
			weights[name] = w
		}
	}
	for _, n := range late {
		uses := n.Uses()
		if slices.ContainsFunc(uses, func(name string) bool { return !known(name) }) {
			rest.Nodes = append(rest.Nodes, n)
			for _, name := range uses {
				read(name, rest.Weights)
			}
			for _, name := range n.Outputs {
				made[name] = true
			}
			continue
		}
		e := &early{node: n, opset: g.Opset[n.Domain]}
		for i, body := range n.Bodies() {
			e.bodies = append(e.bodies, newBody(g, body, s.within(fmt.Sprintf("%s:%d", n.Outputs, i))))
		}
		for _, name := range uses {
			read(name, nil)
			if w := constant(g, name); w != nil && slices.Contains(n.Inputs, name) {
				if _, ok := t.consts[name]; !ok {
					var bytes int64
					t.consts[name], bytes = load(w)
					t.held += bytes
				}
			}
		}
		t.early = append(t.early, e)
	}
	outputs := slices.Clone(g.Outputs)
	g.Outputs = slices.DeleteFunc(g.Outputs, func(v *graph.Value) bool { return !known(v.Name) })
	for _, name := range slices.Sorted(maps.Keys(crossing)) {
		if known(name) && !slices.ContainsFunc(g.Outputs, func(v *graph.Value) bool { return v.Name == name }) {
			typ := g.Types[name]
			g.Outputs = append(g.Outputs, &graph.Value{Name: name, DType: typ.DType, Shape: graph.Dims(typ.Shape...)})
		}
	}
	if rest.Nodes == nil {
		return t, nil
	}
	for _, v := range outputs {
		if made[v.Name] {
			rest.Outputs = append(rest.Outputs, v)
		}
	}
	reads := make(map[string]bool)
	for _, n := range rest.Nodes {
		for _, name := range n.Uses() {
			if !made[name] && rest.Weights[name] == nil && !reads[name] {
				reads[name] = true
				rest.Inputs = append(rest.Inputs, &graph.Value{Name: name})
			}
		}
	}
	behind, err := s.behind()
	if err != nil {
		return nil, err
	}
	t.rest = &part{model: rest, site: behind}
	for _, v := range rest.Inputs {
		t.rest.captured = append(t.rest.captured, v.Name)
	}
	return t, nil
}

// open reports whether a node has an output whose type is not known.
func open(g *pass.Graph, n *graph.Node) bool {
	return slices.ContainsFunc(n.Outputs, func(name string) bool {
		_, ok := g.Types[name]
		return !ok && name != ""
	})
}

// constant returns the value of name where it is constant, else nil.
func constant(g *pass.Graph, name string) *graph.Tensor {
	if w := g.Weights[name]; w != nil {
		return w
	}
	return g.Types[name].Const
}

// newBody makes a model of a graph in an attribute: what it captures becomes
// weights and further inputs.
func newBody(g *pass.Graph, body *graph.Model, s site) *part {
	m := *body
	m.Opset, m.Packed = g.Opset, g.Packed
	m.Inputs = slices.Clone(body.Inputs)
	m.Weights = maps.Clone(body.Weights)
	if m.Weights == nil {
		m.Weights = make(map[string]*graph.Tensor)
	}
	p := &part{model: &m, site: s}
	for _, name := range body.Captures() {
		if w := constant(g, name); w != nil {
			m.Weights[name] = w
			continue
		}
		m.Inputs = append(m.Inputs, &graph.Value{Name: name})
		p.captured = append(p.captured, name)
	}
	return p
}

// parts returns what is compiled when a run comes to it.
func (t *tail) parts() []*part {
	var list []*part
	for _, e := range t.early {
		list = append(list, e.bodies...)
	}
	if t.rest != nil {
		list = append(list, t.rest)
	}
	return list
}

// report lists the nodes of a tail.
func (t *tail) report() []LayerReport {
	var list []LayerReport
	for _, e := range t.early {
		list = append(list, LayerReport{Name: label(e.node), Op: e.node.Op, Why: "only a run tells the extents of its outputs"})
	}
	if t.rest != nil {
		for _, n := range t.rest.model.Nodes {
			list = append(list, LayerReport{Name: label(n), Op: n.Op, Why: "compiled when a run has told the shapes"})
		}
	}
	return list
}
