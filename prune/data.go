package prune

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// Data is what a model is calibrated on: sets of its inputs, by name. Every
// loop over it gives the same sets in the same order, or an error and then
// nothing more. A set may hold a batch of examples.
type Data iter.Seq2[map[string]*graph.Tensor, error]

// Sets is data that is in memory.
func Sets(sets ...map[string]*graph.Tensor) Data {
	return func(yield func(map[string]*graph.Tensor, error) bool) {
		for _, s := range sets {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// Take returns the first n sets of d, or all where there are fewer.
func (d Data) Take(n int) Data {
	return func(yield func(map[string]*graph.Tensor, error) bool) {
		left := n
		if left <= 0 {
			return
		}
		for s, err := range d {
			if left--; !yield(s, err) || left <= 0 {
				return
			}
		}
	}
}

// RandomData makes n sets of inputs of a model: real ones from a standard
// normal distribution, integers and booleans 0 or 1, which are valid wherever a
// token or a mask is expected. An extent is what dims has for its symbol, or 1
// where nothing says how large it is. The same seed gives the same inputs.
//
// It is what there is where nobody has data. What it tells of a model is how
// the weights of each layer differ, and little of what flows on real inputs.
func RandomData(m *graph.Model, dims map[string]int, n int, seed uint64) (Data, error) {
	shapes := make([][]int, len(m.Inputs))
	for i, v := range m.Inputs {
		if v.Shape == nil {
			return nil, fmt.Errorf("input %q has no known rank, so there are no random inputs for the model", v.Name)
		}
		shapes[i] = make([]int, len(v.Shape))
		for j, d := range v.Shape {
			switch size, given := dims[d.Symbol]; {
			case d.Known():
				shapes[i][j] = d.Size
			case given && d.Symbol != "":
				shapes[i][j] = size
			default:
				shapes[i][j] = 1
			}
		}
		if _, err := graph.Elements(shapes[i]); err != nil {
			return nil, fmt.Errorf("input %q: %w", v.Name, err)
		}
	}
	return func(yield func(map[string]*graph.Tensor, error) bool) {
		r := rand.New(rand.NewPCG(seed, 0))
		for range n {
			set := make(map[string]*graph.Tensor)
			for i, v := range m.Inputs {
				t, err := randomTensor(v.DType, shapes[i], r)
				if err != nil {
					yield(nil, fmt.Errorf("input %q: %w", v.Name, err))
					return
				}
				set[v.Name] = t
			}
			if !yield(set, nil) {
				return
			}
		}
	}, nil
}

func randomTensor(dt graph.DType, shape []int, r *rand.Rand) (*graph.Tensor, error) {
	n, err := graph.Elements(shape)
	if err != nil {
		return nil, err
	}
	switch {
	case dt.Float():
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return graph.FromFloats(slices.Clone(shape), v), nil
	case dt.Integer():
		v := make([]int64, n)
		for i := range v {
			v[i] = int64(r.IntN(2))
		}
		return graph.FromInts(dt, slices.Clone(shape), v), nil
	}
	return nil, fmt.Errorf("no random values of type %s", dt)
}
