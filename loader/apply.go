package loader

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nnz-dev/nnz/graph"
)

// Apply puts tensors onto the weights of m that have their names, and returns
// those names in order. Weights that no tensor is for stay as they are. Where a
// tensor is for no weight, or for one of another shape or element type, m is
// left as it was and the error lists all of those.
//
// The step counters of batch normalisation that PyTorch saves, named
// num_batches_tracked, are passed over: no exported graph has them.
func Apply(m *graph.Model, weights map[string]*graph.Tensor) (applied []string, err error) {
	var misfits []string
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		have, ok := m.Weights[name]
		got := weights[name]
		switch {
		case ok && have.DType == got.DType && slices.Equal(have.Shape, got.Shape):
			applied = append(applied, name)
		case ok:
			misfits = append(misfits, fmt.Sprintf("%s is %s %v and the graph has %s %v", name, got.DType, got.Shape, have.DType, have.Shape))
		case name == "num_batches_tracked" || strings.HasSuffix(name, ".num_batches_tracked"):
		default:
			misfits = append(misfits, name+" is no weight of the graph")
		}
	}
	if misfits != nil {
		return nil, fmt.Errorf("%d of %d tensors do not fit: %s", len(misfits), len(weights), strings.Join(misfits, "; "))
	}
	for _, name := range applied {
		m.Weights[name] = weights[name]
	}
	return applied, nil
}
