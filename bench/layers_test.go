package bench

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/runtime"
)

func TestPair(t *testing.T) {
	// steps makes steps of the given names, which take 1, 2, 3 … us.
	steps := func(names string) []step {
		var out []step
		for i, n := range strings.Fields(names) {
			out = append(out, step{runtime.LayerReport{Name: n, Op: "Conv"}, float64(i + 1)})
		}
		return out
	}
	cases := []struct {
		dense, sparse string
		want          string // name:dense us/sparse us
	}{
		{"", "", ""},
		{"a b", "a b", "a:1/1 b:2/2"},
		{"a b", "a x b", "a:1/1 x:0/2 b:2/3"},
		{"a x b", "a b", "a:1/1 x:2/0 b:3/2"},
		{"a x b", "a y b", "a:1/1 x:2/0 y:0/2 b:3/3"},
		{"a r r", "a r r", "a:1/1 r:2/2 r:3/3"},
		{"a", "r a r", "r:0/1 a:1/2 r:0/3"},
		{"a b", "b a", "b:0/1 a:1/2 b:2/0"}, // no two plans differ so, but nothing may get lost
	}
	for _, c := range cases {
		var got []string
		for _, l := range pair(steps(c.dense), steps(c.sparse)) {
			got = append(got, fmt.Sprintf("%s:%v/%v", l.Name, l.DenseUS, l.SparseUS))
		}
		if !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("pair(%q, %q) = %q, want %q", c.dense, c.sparse, got, c.want)
		}
	}
}

func TestLayer(t *testing.T) {
	s := step{LayerReport: runtime.LayerReport{NNZ: 1000, N: 50}}
	if got := layer(s, 40, 10).GFlops; got != 10 {
		t.Errorf("100,000 operations in 10 us are %v GF/s, want 10", got)
	}
	if got := layer(s, 40, 0).GFlops; got != 0 {
		t.Errorf("a step that did not run has %v GF/s", got)
	}
}
