package prune

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/graph"
)

// rival is one weight in the oracle of scopes that compare layers.
type rival struct {
	layer, index int
	score        float64 // that layers are compared by
	magnitude    float64
}

// oracle sorts all weights and returns how many each layer loses.
func oracle(layers [][]float32, k int, floor float64, compare func(v []float32, order []int) []float64) []int {
	var all []rival
	for l, v := range layers {
		order := make([]int, len(v))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(abs(v[a]), abs(v[b])) })
		scores := compare(v, order)
		stay := int(math.Ceil(floor * float64(len(v))))
		for rank, i := range order[:len(v)-stay] {
			all = append(all, rival{l, rank, scores[rank], float64(abs(v[i]))})
		}
	}
	slices.SortStableFunc(all, func(a, b rival) int {
		return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.layer, b.layer), cmp.Compare(a.index, b.index))
	})
	counts := make([]int, len(layers))
	for _, r := range all[:min(k, len(all))] {
		counts[r.layer]++
	}
	return counts
}

func TestScopesAgainstSorting(t *testing.T) {
	plain := func(v []float32, order []int) []float64 {
		out := make([]float64, len(v))
		for rank, i := range order {
			out[rank] = float64(abs(v[i]))
		}
		return out
	}
	normalized := func(v []float32, order []int) []float64 {
		out := plain(v, order)
		sum := 0.0
		for _, x := range out {
			sum += x
		}
		for i := range out {
			out[i] /= sum / float64(len(out))
		}
		return out
	}
	lamp := func(v []float32, order []int) []float64 {
		out := plain(v, order)
		above := 0.0
		for i, x := range slices.Backward(out) {
			above += x * x
			if x > 0 {
				out[i] = x * x / above
			}
		}
		return out
	}
	r := rand.New(rand.NewPCG(1, 2))
	normal := func(n int, std float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64() * std)
		}
		return v
	}
	few := func(n int) []float32 { // of few magnitudes
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.IntN(5)-2) / 4
		}
		return v
	}
	nets := map[string][][]float32{
		"normal": {normal(3000, 0.1), normal(500, 1), normal(20, 0.01), normal(7000, 0.02)},
		"ties":   {few(300), few(50), few(1000)},
		"one":    {normal(100, 1)},
		"equal":  {slices.Repeat([]float32{0.5}, 40), slices.Repeat([]float32{-0.25}, 60)},
	}
	scopes := []struct {
		scope   func(floor float64) Scope
		compare func([]float32, []int) []float64
	}{
		{func(f float64) Scope { return Global{f} }, plain},
		{func(f float64) Scope { return GlobalNormalized{f} }, normalized},
		{func(f float64) Scope { return LAMP{f} }, lamp},
	}
	for name, net := range nets {
		var layers []testLayer
		n := 0
		for i, v := range net {
			layers = append(layers, gemm(fmt.Sprint("l", i), v...))
			n += len(v)
		}
		m := newModel(layers...)
		for _, s := range scopes {
			for _, floor := range []float64{0, 0.01, 0.3} {
				for _, sparsity := range []float64{0, 0.1, 0.5, 0.9, 0.99, 1} {
					got := zerosIn(t, m, Options{Sparsity: sparsity, Scope: s.scope(floor)})
					want := oracle(net, share(sparsity, n), floor, s.compare)
					for i, v := range net {
						// A weight that is zero is one wherever the cut is.
						if w := max(want[i], countKey(v, 0)); got[i] != w {
							t.Errorf("%s, %v with a floor of %g at %g: layer %d has %d zeros, want %d", name, s.scope(0), floor, sparsity, i, got[i], w)
						}
					}
				}
			}
		}
	}
}

// zerosIn prunes and returns how many zeros each layer has, in order.
func zerosIn(t *testing.T, m *graph.Model, o Options) []int {
	t.Helper()
	_, r, err := Apply(t.Context(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	var zeros []int
	for _, l := range r.Layers {
		zeros = append(zeros, l.ZerosAfter)
	}
	return zeros
}
