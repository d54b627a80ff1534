package ops

import (
	"math"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/kernels/vec"
)

// TestFusedTransformer checks that the operators of transformers allocate
// nothing, and attention over several blocks of keys against its formula.
func TestFusedTransformer(t *testing.T) {
	const tokens, heads, depth = 3*attentionBlock - 5, 2, 4
	x := Zeros(graph.Float32, []int{1, tokens, 3 * heads * depth})
	for i := range x.F {
		x.F[i] = 3 * float32(math.Sin(float64(i*i)))
	}
	scale := Zeros(graph.Float32, []int{3 * heads * depth})
	attention := &graph.Node{Op: "Attention", Domain: graph.FusedDomain}
	attention.Set("heads", heads)
	attention.Set("scale", float32(2))
	attention.Set("causal", 1)
	for _, c := range []struct {
		node *graph.Node
		in   []Tensor
		out  []int
	}{
		{attention, []Tensor{x}, []int{1, tokens, heads * depth}},
		{&graph.Node{Op: "LayerNorm", Domain: graph.FusedDomain}, []Tensor{x, scale, scale}, x.Shape},
		{&graph.Node{Op: "RMSNorm", Domain: graph.FusedDomain}, []Tensor{x, scale}, x.Shape},
		{&graph.Node{Op: "Gelu", Domain: graph.FusedDomain}, []Tensor{x}, x.Shape},
		{&graph.Node{Op: "Rotary", Domain: graph.FusedDomain}, []Tensor{x, scale, Zeros(graph.Float32, []int{tokens, len(scale.F) / 2})}, x.Shape},
		{&graph.Node{Op: "SiLU", Domain: graph.FusedDomain}, []Tensor{x}, x.Shape},
	} {
		t.Run(c.node.Op, func(t *testing.T) {
			out := []Tensor{Zeros(graph.Float32, c.out)}
			run, err := Build(c.node, 0, c.in, out, vec.For(isa.Detect()))
			if err != nil {
				t.Fatal(err)
			}
			if n := testing.AllocsPerRun(3, func() { run(c.in, out) }); n != 0 {
				t.Errorf("%g allocations", n)
			}
			if c.node == attention {
				compareAttention(t, out[0].F, x.F, tokens, heads, depth)
			}
		})
	}
}

// compareAttention compares with softmax(2·Q·Kᵀ)·V in float64, where a token sees
// itself and those before it.
func compareAttention(t *testing.T, got, x []float32, tokens, heads, depth int) {
	t.Helper()
	row := 3 * heads * depth
	at := func(token, part, head, i int) float64 { return float64(x[token*row+(part*heads+head)*depth+i]) }
	for q := range tokens {
		for h := range heads {
			sum, want := 0.0, make([]float64, depth)
			for k := range q + 1 {
				s := 0.0
				for i := range depth {
					s += 2 * at(q, 0, h, i) * at(k, 1, h, i)
				}
				e := math.Exp(s)
				sum += e
				for i := range depth {
					want[i] += e * at(k, 2, h, i)
				}
			}
			for i := range depth {
				if g, w := float64(got[(q*heads+h)*depth+i]), want[i]/sum; math.Abs(g-w) > 1e-4 {
					t.Fatalf("token %d, head %d, feature %d is %g, expected %g", q, h, i, g, w)
				}
			}
		}
	}
}
