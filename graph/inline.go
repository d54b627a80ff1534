package graph

import (
	"fmt"
	"maps"
	"slices"
)

// Names gives out names of values that a model does not use yet.
type Names struct {
	taken map[string]bool
	next  int
}

// NewNames returns the names that m leaves free, graphs in attributes
// included.
func NewNames(m *Model) *Names {
	s := &Names{taken: make(map[string]bool)}
	s.take(m)
	return s
}

// take marks the names of a graph.
func (s *Names) take(m *Model) {
	for name := range m.Weights {
		s.taken[name] = true
	}
	for _, list := range [][]*Value{m.Inputs, m.Outputs} {
		for _, v := range list {
			s.taken[v.Name] = true
		}
	}
	for _, n := range m.Nodes {
		for _, list := range [][]string{n.Inputs, n.Outputs} {
			for _, name := range list {
				s.taken[name] = true
			}
		}
		for _, a := range n.Attrs {
			if a.Graph != nil {
				s.take(a.Graph)
			}
		}
	}
}

// Fresh returns a new name that begins like hint.
func (s *Names) Fresh(hint string) string {
	for {
		s.next++
		if name := fmt.Sprintf("%.60s.%d", hint, s.next); !s.taken[name] {
			s.taken[name] = true
			return name
		}
	}
}

// Inline puts the nodes and weights of body into nodes and weights that can
// stand in another graph. Its inputs become the values that in names, "" for
// one that is absent; its outputs come out under the names of out, of which
// later ones and empty ones may be left out. What body defines gets fresh
// names, what it takes from around it keeps its own. body stays as it is.
func (body *Model) Inline(in, out []string, names *Names) (nodes []*Node, weights map[string]*Tensor) {
	to := make(map[string]string)
	for i, v := range body.Inputs {
		to[v.Name] = ""
		if i < len(in) {
			to[v.Name] = in[i]
		}
	}
	given := make(map[string]bool) // outputs that a node writes under its final name
	made := make(map[string]bool)
	for _, n := range body.Nodes {
		for _, name := range n.Outputs {
			made[name] = name != ""
		}
	}
	for i, v := range body.Outputs {
		if i < len(out) && out[i] != "" && made[v.Name] && !given[v.Name] {
			given[v.Name] = true
			to[v.Name] = out[i]
		}
	}
	weights = make(map[string]*Tensor, len(body.Weights))
	for name, w := range body.Weights {
		to[name] = names.Fresh(name)
		weights[to[name]] = w
	}
	for _, n := range body.Nodes {
		for _, name := range n.Outputs {
			if name != "" && !given[name] {
				to[name] = names.Fresh(name)
			}
		}
	}
	for _, n := range body.Nodes {
		nodes = append(nodes, n.renamed(to, names))
	}
	// What is an output under two names, or comes from elsewhere, is copied.
	for i, v := range body.Outputs {
		if i >= len(out) || out[i] == "" {
			continue
		}
		from := rename(to, v.Name)
		if from != out[i] {
			nodes = append(nodes, &Node{Name: out[i], Op: "Identity", Inputs: []string{from}, Outputs: []string{out[i]}})
		}
	}
	return nodes, weights
}

func rename(to map[string]string, name string) string {
	if name == "" {
		return ""
	}
	if n, ok := to[name]; ok {
		return n
	}
	return name
}

// renamed returns a copy of a node with other names for values; what graphs in
// its attributes define gets fresh ones.
func (n *Node) renamed(to map[string]string, names *Names) *Node {
	c := n.Clone()
	for i, name := range c.Inputs {
		c.Inputs[i] = rename(to, name)
	}
	for i, name := range c.Outputs {
		c.Outputs[i] = rename(to, name)
	}
	for key, a := range c.Attrs {
		if a.Graph != nil {
			inner := *a
			inner.Graph = a.Graph.renamed(to, names)
			c.Attrs[key] = &inner
		}
	}
	return c
}

// renamed returns a copy of a graph in an attribute: what it takes from around
// it has other names, and what it defines fresh ones.
func (m *Model) renamed(outer map[string]string, names *Names) *Model {
	to := maps.Clone(outer)
	c := m.Clone()
	c.Values = make(map[string]*Value) // hints by names that are gone
	c.Weights = make(map[string]*Tensor, len(m.Weights))
	for name, w := range m.Weights {
		to[name] = names.Fresh(name)
		c.Weights[to[name]] = w
	}
	for _, v := range c.Inputs {
		to[v.Name] = names.Fresh(v.Name)
		v.Name = to[v.Name]
	}
	for _, n := range m.Nodes {
		for _, name := range n.Outputs {
			if name != "" {
				to[name] = names.Fresh(name)
			}
		}
	}
	for i, n := range m.Nodes {
		c.Nodes[i] = n.renamed(to, names)
	}
	for _, v := range c.Outputs {
		v.Name = rename(to, v.Name)
	}
	return c
}

// Size counts what a graph is made of: nodes, weights, inputs and outputs,
// those of nodes and of graphs in attributes included.
func (m *Model) Size() int {
	total := len(m.Nodes) + len(m.Weights) + len(m.Inputs) + len(m.Outputs)
	for _, n := range m.Nodes {
		total += len(n.Inputs) + len(n.Outputs)
		for _, a := range n.Attrs {
			if a.Graph != nil {
				total += a.Graph.Size()
			}
		}
	}
	return total
}

// Bodies returns the graphs in a node's attributes by the attributes' names,
// in their order.
func (n *Node) Bodies() []*Model {
	var keys []string
	for key, a := range n.Attrs {
		if a.Graph != nil {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	bodies := make([]*Model, len(keys))
	for i, key := range keys {
		bodies[i] = n.Attrs[key].Graph
	}
	return bodies
}
