package graph

import (
	"fmt"
	"slices"
)

// Validate checks what every user of a model takes for granted, and puts the
// nodes in topological order, which the format demands but some exporters
// neglect: an order that is right is kept, else a node moves behind the
// producers of its inputs. Values have one producer each (an input, a weight
// or a node), every value that is used has one, outputs exist, and no value
// depends on itself. Graphs in attributes are checked likewise; they may use
// the values around them.
func (m *Model) Validate() error {
	if len(m.Outputs) == 0 {
		return fmt.Errorf("the graph has no outputs")
	}
	return m.validate(nil)
}

// A scope is the names that a graph in an attribute sees around it.
type scope struct {
	names  map[string]int
	parent *scope
}

func (s *scope) has(name string) bool {
	for ; s != nil; s = s.parent {
		if _, ok := s.names[name]; ok {
			return true
		}
	}
	return false
}

// given marks a value that no node of the graph produces.
const given = -1

func (m *Model) validate(outer *scope) error {
	producer, err := m.producers()
	if err != nil {
		return err
	}
	inner := &scope{producer, outer}
	needs := make([][]int, len(m.Nodes)) // nodes that must come before, by node
	for i, n := range m.Nodes {
		for _, name := range n.Uses() {
			p, ok := producer[name]
			if !ok && !outer.has(name) {
				return fmt.Errorf("node %s: input %.80q has no producer", n, name)
			}
			if ok && p != given {
				needs[i] = append(needs[i], p)
			}
		}
		for _, a := range n.Attrs {
			if a.Graph == nil {
				continue
			}
			if err := a.Graph.validate(inner); err != nil {
				return fmt.Errorf("node %s: %w", n, err)
			}
		}
	}
	seen := make(map[string]bool)
	for _, v := range m.Outputs {
		if !inner.has(v.Name) {
			return fmt.Errorf("output %.80q has no producer", v.Name)
		}
		if seen[v.Name] && outer == nil {
			return fmt.Errorf("output %.80q is listed twice", v.Name)
		}
		seen[v.Name] = true
	}
	return m.sort(needs)
}

// producers returns the index of the node that makes each value, or given.
func (m *Model) producers() (map[string]int, error) {
	producer := make(map[string]int)
	for name, w := range m.Weights {
		if name == "" || w == nil {
			return nil, fmt.Errorf("weight %.80q has no name or no value", name)
		}
		producer[name] = given
	}
	add := func(name string, p int) error {
		if _, ok := producer[name]; ok {
			return fmt.Errorf("value %.80q has two producers", name)
		}
		producer[name] = p
		return nil
	}
	for _, v := range m.Inputs {
		if err := add(v.Name, given); err != nil {
			return nil, err
		}
	}
	for i, n := range m.Nodes {
		for _, name := range n.Outputs {
			if name == "" {
				continue
			}
			if err := add(name, i); err != nil {
				return nil, fmt.Errorf("node %s: %w", n, err)
			}
		}
	}
	return producer, nil
}

// Uses returns the names that a node reads: its inputs, and what the graphs in
// its attributes read of the values around them.
func (n *Node) Uses() []string {
	var names []string
	for _, name := range n.Inputs {
		if name != "" {
			names = append(names, name)
		}
	}
	for _, a := range n.Attrs {
		if a.Graph != nil {
			names = append(names, a.Graph.Captures()...)
		}
	}
	return names
}

// Captures returns the names that a graph uses and does not define, sorted.
func (m *Model) Captures() []string {
	defined := make(map[string]bool)
	for name := range m.Weights {
		defined[name] = true
	}
	for _, v := range m.Inputs {
		defined[v.Name] = true
	}
	var used []string
	for _, n := range m.Nodes {
		used = append(used, n.Uses()...)
		for _, name := range n.Outputs {
			defined[name] = true
		}
	}
	for _, v := range m.Outputs {
		used = append(used, v.Name)
	}
	slices.Sort(used)
	used = slices.Compact(used)
	return slices.DeleteFunc(used, func(name string) bool { return defined[name] })
}

// sort puts every node behind those that it needs, and otherwise leaves the
// order alone: a depth-first walk in the present order.
func (m *Model) sort(needs [][]int) error {
	const (
		waiting = iota
		open    // on the path
		done
	)
	type step struct{ node, next int } // the next of its needs to look at
	state := make([]uint8, len(m.Nodes))
	order := make([]*Node, 0, len(m.Nodes))
	var path []step
	for i := range m.Nodes {
		if state[i] == waiting {
			path = append(path, step{node: i})
		}
		for len(path) > 0 {
			top := &path[len(path)-1]
			state[top.node] = open
			if top.next == len(needs[top.node]) {
				state[top.node] = done
				order = append(order, m.Nodes[top.node])
				path = path[:len(path)-1]
				continue
			}
			need := needs[top.node][top.next]
			top.next++
			switch state[need] {
			case open:
				return fmt.Errorf("node %s: depends on its own output", m.Nodes[need])
			case waiting:
				path = append(path, step{node: need})
			}
		}
	}
	m.Nodes = order
	return nil
}
