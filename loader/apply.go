package loader

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nnz-dev/nnz/graph"
)

// Apply puts tensors onto the weights of m that have their names, and returns
// those names in order. Weights that no tensor is for stay as they are. Where a
// tensor is for no weight, or for one of another shape or element type, m is
// left as it was and the error lists all of those. As when a model is loaded,
// weights of mostly zeros become sparse.
//
// The step counters of batch normalisation that PyTorch saves, named
// num_batches_tracked, are passed over: no exported graph has them.
func Apply(m *graph.Model, weights map[string]*graph.Tensor) (applied []string, err error) {
	all, nodes := separate(m)
	var misfits []string
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		have, ok := all[name]
		got := weights[name]
		switch {
		case ok && have.DType == got.DType && slices.Equal(have.Shape, got.Shape):
			applied = append(applied, name)
		case ok:
			misfits = append(misfits, fmt.Sprintf("%q is %s %v and the graph has %s %v", name, got.DType, got.Shape, have.DType, have.Shape))
		case name == "num_batches_tracked" || strings.HasSuffix(name, ".num_batches_tracked"):
		default:
			misfits = append(misfits, fmt.Sprintf("%q is no weight of the graph", name))
		}
	}
	if misfits != nil {
		return nil, fmt.Errorf("%d of %d tensors do not fit: %s", len(misfits), len(weights), strings.Join(misfits, "; "))
	}
	for _, name := range applied {
		all[name] = weights[name]
	}
	m.Weights, m.Nodes = all, nodes
	return applied, compactWeights(context.Background(), m, func([]byte) {})
}

// separate returns the weights and the nodes of m without the Identity nodes by
// which PyTorch gives a second name to a weight that equals another: each name
// is a weight of its own.
func separate(m *graph.Model) (map[string]*graph.Tensor, []*graph.Node) {
	weights := maps.Clone(m.Weights)
	nodes := make([]*graph.Node, 0, len(m.Nodes))
	for _, n := range m.Nodes {
		if w := weights[n.Input(0)]; w != nil && n.Op == "Identity" && n.Domain == "" && len(n.Outputs) == 1 {
			weights[n.Outputs[0]] = w
		} else {
			nodes = append(nodes, n)
		}
	}
	return weights, nodes
}
