package prune

import (
	"math"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
)

// zerosOf prunes and returns how many zeros each layer has, by weight.
func zerosOf(t *testing.T, m *graph.Model, o Options) map[string]int {
	t.Helper()
	_, r, err := Apply(t.Context(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make(map[string]int)
	for _, l := range r.Layers {
		zeros[l.Weight] = l.ZerosAfter
	}
	return zeros
}

func TestScopes(t *testing.T) {
	small, large := gemm("a", 1, 2, 3, 4), gemm("b", 10, 20, 30, 40)
	fc := func(name string, out, in int) testLayer {
		return testLayer{node: graph.Node{Name: name, Op: "MatMul"}, weight: random(3, in, out)}
	}
	cases := []struct {
		name   string
		layers []testLayer
		o      Options
		want   map[string]int
	}{
		{"global empties a layer", []testLayer{small, large}, Options{Sparsity: 0.5, Scope: Global{}}, map[string]int{"a.weight": 4, "b.weight": 0}},
		{"a floor of a quarter", []testLayer{small, large}, Options{Sparsity: 0.5, Scope: Global{Floor: 0.25}}, map[string]int{"a.weight": 3, "b.weight": 1}},
		{"a floor of at least one", []testLayer{small, large}, Options{Sparsity: 0.5, Scope: Global{Floor: 1e-9}}, map[string]int{"a.weight": 3, "b.weight": 1}},
		{"a floor under a third layer", []testLayer{small, gemm("c", 5, 6), large}, Options{Sparsity: 0.6, Scope: Global{Floor: 0.5}},
			map[string]int{"a.weight": 2, "b.weight": 2, "c.weight": 1}},
		{"a floor above the sparsity", []testLayer{small, large}, Options{Sparsity: 1, Scope: Global{Floor: 0.5}}, map[string]int{"a.weight": 2, "b.weight": 2}},
		{"normalised", []testLayer{small, large}, Options{Sparsity: 0.5, Scope: GlobalNormalized{}}, map[string]int{"a.weight": 2, "b.weight": 2}},
		{"normalised, a layer of zeros", []testLayer{gemm("a", 0, 0), large}, Options{Sparsity: 0.5, Scope: GlobalNormalized{}}, map[string]int{"a.weight": 2, "b.weight": 1}},
		// Densities e·30/200 and e·60/800 of 200 and 800 weights: e = 100/(30+60).
		{"erk", []testLayer{fc("a", 10, 20), fc("b", 20, 40)}, Options{Sparsity: 0.9, Scope: ERK{}}, map[string]int{"a.weight": 167, "b.weight": 733}},
		// At a density of one half the first would have 0.83 e, more than it has.
		{"erk, one layer dense", []testLayer{fc("a", 2, 2), fc("b", 20, 40)}, Options{Sparsity: 0.5, Scope: ERK{}}, map[string]int{"a.weight": 0, "b.weight": 402}},
		{"erk, nothing left", []testLayer{small, large}, Options{Sparsity: 1, Scope: ERK{}}, map[string]int{"a.weight": 4, "b.weight": 4}},
		{"layerwise", []testLayer{small, large}, Options{Scope: Layerwise{"b.weight": 0.75}}, map[string]int{"a.weight": 0, "b.weight": 3}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := zerosOf(t, newModel(c.layers...), c.o)
			for name, want := range c.want {
				if got[name] != want {
					t.Errorf("%s has %d zeros, want %d", name, got[name], want)
				}
			}
		})
	}
}

func TestScopesRefuse(t *testing.T) {
	m := newModel(gemm("a", 1, 2))
	cases := []struct {
		name string
		o    Options
		want string
	}{
		{"floor of all", Options{Sparsity: 0.5, Scope: Global{Floor: 1}}, "below 1"},
		{"NaN as floor", Options{Sparsity: 0.5, Scope: GlobalNormalized{Floor: math.NaN()}}, "floor"},
		{"two sparsities", Options{Sparsity: 0.5, Scope: Layerwise{"a.weight": 0.5}}, "each layer"},
		{"sparsity in percent", Options{Scope: Layerwise{"a.weight": 50}}, "fraction"},
		{"a weight that is not there", Options{Scope: Layerwise{"b.weight": 0.5}}, `"b.weight"`},
	}
	for _, c := range cases {
		if _, _, err := Apply(t.Context(), m, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %q", c.name, err, c.want)
		}
	}
	if _, err := ParseScope("local", 0.1); err == nil {
		t.Error("a local floor was accepted")
	}
}
