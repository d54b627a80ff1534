package loader

import "github.com/nnz-dev/nnz/graph"

// minCompact is the number of elements from which a weight may become sparse:
// below it there is no memory to save and nothing to speed up.
const minCompact = 1024

// weightInputs says which inputs of an operator multiply as a matrix and may
// so be a sparse weight.
var weightInputs = map[string][]int{
	"Conv":          {1},
	"ConvTranspose": {1},
	"Gemm":          {0, 1},
	"MatMul":        {0, 1},
}

// compactWeights stores the weights of products in the form that takes the
// least memory; see [graph.Tensor.Compact] for when that is a sparse one. It
// does so in graphs of attributes, too, for the weights that are theirs. The
// memory of elements that are not needed any more is given to release.
func compactWeights(m *graph.Model, release func(elements []byte)) {
	for _, n := range m.Nodes {
		for _, body := range n.Bodies() {
			compactWeights(body, release)
		}
		if n.Domain != "" {
			continue
		}
		for _, i := range weightInputs[n.Op] {
			name := n.Input(i)
			if w := m.Weights[name]; w != nil && w.Len() >= minCompact {
				if m.Weights[name] = w.Compact(); m.Weights[name] != w {
					release(w.Raw())
				}
			}
		}
	}
}
