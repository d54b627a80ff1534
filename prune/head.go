package prune

import "github.com/nnz-dev/nnz/graph"

// findHeads finds the outputs of an attention head of each layer that has them:
// its node's output, behind the addition of a constant, is reshaped by a constant
// to batch x length x heads x size.
func findHeads(m *graph.Model, layers []Layer) {
	readers := make(map[string][]*graph.Node)
	for _, n := range m.Nodes {
		for _, in := range n.Inputs {
			readers[in] = append(readers[in], n)
		}
	}
	output := make(map[string]string) // of the node that has the weight
	for _, n := range m.Nodes {
		for _, in := range n.Inputs {
			if output[in] == "" && len(n.Outputs) > 0 {
				output[in] = n.Outputs[0]
			}
		}
	}
	for i := range layers {
		l := &layers[i]
		for _, n := range readers[output[l.Weight]] {
			if n.Op == "Add" && len(n.Outputs) > 0 && len(readers[n.Outputs[0]]) > 0 && hasConstant(m, n) {
				n = readers[n.Outputs[0]][0]
			}
			if n.Op != "Reshape" {
				continue
			}
			t := m.Weights[n.Input(1)]
			if t == nil || t.Len() != 4 {
				continue
			}
			to := t.Ints()
			if to == nil {
				continue
			}
			heads, size := to[2], to[3]
			switch rows := int64(l.at.rows); {
			case size > 0 && rows%size == 0 && (heads < 1 || heads*size == rows):
				l.head = int(size)
			case size == -1 && heads > 0 && rows%heads == 0:
				l.head = int(rows / heads)
			}
		}
	}
}

// hasConstant reports whether one of a node's inputs is a weight.
func hasConstant(m *graph.Model, n *graph.Node) bool {
	for _, in := range n.Inputs {
		if m.Weights[in] != nil {
			return true
		}
	}
	return false
}
