package pass

import "github.com/nnz-dev/nnz/graph"

// fold makes weights of the values that shape inference found to be constant,
// and drops the nodes that compute them.
func fold(g *Graph) error {
	ix := newIndex(g)
	for _, n := range g.Nodes {
		if !g.folds(n) {
			continue
		}
		for _, out := range n.Outputs {
			if out != "" {
				if g.Weights == nil {
					g.Weights = make(map[string]*graph.Tensor)
				}
				g.Weights[out] = g.Types[out].Const
			}
		}
		ix.drop(n)
	}
	ix.sweep()
	return nil
}

// folds reports whether every output of a node is a constant.
func (g *Graph) folds(n *graph.Node) bool {
	for _, out := range n.Outputs {
		if out != "" && g.Types[out].Const == nil {
			return false
		}
	}
	return true
}
