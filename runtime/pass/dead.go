package pass

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// dead drops what no output of the graph depends on: nodes, optional outputs
// of nodes, weights, and the types of values that are gone.
func dead(g *Graph) error {
	live := make(map[string]bool, 2*len(g.Nodes))
	for _, out := range g.Outputs {
		live[out.Name] = true
	}
	var kept []*graph.Node
	for _, n := range slices.Backward(g.Nodes) {
		if !slices.ContainsFunc(n.Outputs, func(o string) bool { return live[o] }) {
			continue
		}
		trimOutputs(n, live)
		for _, in := range n.Inputs {
			if in != "" {
				live[in] = true
			}
		}
		kept = append(kept, n)
	}
	slices.Reverse(kept)
	g.Nodes = kept
	for name := range g.Weights {
		if !live[name] {
			delete(g.Weights, name)
		}
	}
	for _, in := range g.Inputs {
		live[in.Name] = true
	}
	for _, n := range g.Nodes {
		for _, out := range n.Outputs {
			live[out] = true // Split has outputs that it cannot do without
		}
	}
	for name := range g.Types {
		if !live[name] {
			delete(g.Types, name)
		}
	}
	return nil
}

// trimOutputs drops the outputs that an operator can leave out and nobody
// reads.
func trimOutputs(n *graph.Node, live map[string]bool) {
	if !is(n, "MaxPool") && !is(n, "Dropout") {
		return
	}
	for len(n.Outputs) > 1 && !live[n.Outputs[len(n.Outputs)-1]] {
		n.Outputs = n.Outputs[:len(n.Outputs)-1]
	}
}
