package loader

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/nnz-dev/nnz/graph"
)

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
// does so in graphs of attributes, too, for the weights that are theirs, on all
// processors. The memory of elements that are not needed any more is given to
// release. Where ctx ends before it is done, m is as it was.
func compactWeights(ctx context.Context, m *graph.Model, release func(elements []byte)) error {
	list := productWeights(m, nil)
	err := parallel(ctx, len(list), func(i int) {
		w := list[i].m.Weights[list[i].name]
		if list[i].compact = w.Compact(); list[i].compact != w {
			release(w.Raw())
		}
	})
	if err != nil {
		return err
	}
	for _, w := range list {
		w.m.Weights[w.name] = w.compact
	}
	return nil
}

// A productWeight is a weight of a model, or of a graph in an attribute.
type productWeight struct {
	m       *graph.Model
	name    string
	compact *graph.Tensor
}

// productWeights appends the weights that may become sparse, each once.
func productWeights(m *graph.Model, list []productWeight) []productWeight {
	seen := make(map[string]bool)
	for _, n := range m.Nodes {
		for _, body := range n.Bodies() {
			list = productWeights(body, list)
		}
		if n.Domain != "" {
			continue
		}
		for _, i := range weightInputs[n.Op] {
			name := n.Input(i)
			if w := m.Weights[name]; w != nil && w.Len() >= minCompact && !seen[name] {
				seen[name] = true
				list = append(list, productWeight{m: m, name: name})
			}
		}
	}
	return list
}

// parallel calls do for 0 to n-1, on all processors, or stops with ctx's error.
func parallel(ctx context.Context, n int, do func(i int)) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}
