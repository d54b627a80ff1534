package pass

import "github.com/nnz-dev/nnz/graph"

// Branch is the name of the pass that Branches is. It is not in All: it comes
// before types are known, as it decides which nodes there are.
const Branch = "branch"

// Branches puts the branch that is taken in the place of each If whose
// condition is constant, and reports whether there was one. Types then miss
// what the branch computes, so inference has to be done again, which may find
// further conditions.
func Branches(g *Graph) bool {
	var names *graph.Names
	var nodes []*graph.Node
	for i, n := range g.Nodes {
		branch := g.taken(n)
		if branch == nil {
			if names != nil {
				nodes = append(nodes, n)
			}
			continue
		}
		if names == nil {
			names = graph.NewNames(g.Model)
			nodes = append(nodes, g.Nodes[:i]...)
			if g.Weights == nil {
				g.Weights = make(map[string]*graph.Tensor)
			}
		}
		body, weights := branch.Inline(nil, n.Outputs, names)
		nodes = append(nodes, body...)
		for name, w := range weights {
			g.Weights[name] = w
		}
	}
	if names == nil {
		return false
	}
	g.Nodes = nodes
	return true
}

// taken returns the branch of an If that a constant condition takes, nil for
// any other node.
func (g *Graph) taken(n *graph.Node) *graph.Model {
	if !is(n, "If") || len(n.Inputs) != 1 {
		return nil
	}
	condition := g.constant(n.Inputs[0])
	if condition == nil || condition.DType != graph.Bool || condition.Len() != 1 {
		return nil
	}
	name := "else_branch"
	if condition.Ints()[0] != 0 {
		name = "then_branch"
	}
	return n.Attrs[name].Graph // checked by ops.Supported
}
