package runtime

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nnz-dev/nnz/graph"
)

// varying is a model of a symbolic batch and a symbolic length.
func varying() *graph.Model {
	n := newNet()
	n.m.Inputs[0].Shape = []graph.Dim{{Symbol: "batch"}, {Symbol: "length"}, {Size: 4}}
	n.node("Relu", []string{n.node("MatMul", []string{"x", n.weight(0.5, 1, 4, 3)})})
	return n.model()
}

func TestPlans(t *testing.T) {
	ctx := context.Background()
	p := NewPlans(varying(), Config{Threads: 1})
	defer p.Close()
	plan := func(batch, length int) *Plan {
		t.Helper()
		q, err := p.For(ctx, map[string][]int{"x": {batch, length, 4}})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := q.Outputs()[0].Shape, graph.Dims(batch, length, 3); !slices.Equal(got, want) {
			t.Fatalf("the output has shape %v, want %v", got, want)
		}
		return q
	}
	first, second := plan(1, 1), plan(1, 2)
	if plan(1, 1) != first || first == second {
		t.Error("a shape is not told from another, or compiled twice")
	}
	for length := 3; length <= CachedPlans+1; length++ { // the first was used after the second
		plan(1, length)
	}
	if n := len(p.cache.entries); n != CachedPlans {
		t.Errorf("%d plans are kept, want %d", n, CachedPlans)
	}
	if plan(1, 1) != first {
		t.Error("a plan was dropped that was used after another")
	}
	if plan(1, 2) == second {
		t.Error("more plans are kept than the bound")
	}
	for _, c := range []struct {
		shapes map[string][]int
		want   string
	}{
		{nil, "leaves the shapes of inputs open"},
		{map[string][]int{"x": {1, 4}}, "expected 3 extents"},
		{map[string][]int{"x": {1, 2, 4}, "nonesuch": {1}}, `"nonesuch"`},
		{map[string][]int{"x": {1, -2, 4}}, "negative"},
	} {
		if _, err := p.For(ctx, c.shapes); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.shapes, err, c.want)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := p.For(ended, map[string][]int{"x": {7, 7, 4}}); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
	plan(7, 7) // is not spoilt by it
}

// TestPlansConcurrently takes sessions of more shapes than are kept from many
// goroutines, and compares what they compute with a plan made for it.
func TestPlansConcurrently(t *testing.T) {
	ctx := context.Background()
	p := NewPlans(varying(), Config{Threads: 1})
	defer p.Close()
	fill := func(s *Session) []float32 {
		in, _ := s.Input("x")
		for i := range in.F {
			in.F[i] = float32(i%7) - 3
		}
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		out, _ := s.Output("v1")
		return slices.Clone(out.F)
	}
	shapes := func(i int) map[string][]int { return map[string][]int{"x": {1 + i%2, 1 + i, 4}} }
	want := make([][]float32, CachedPlans+3)
	for i := range want {
		q, err := Compile(ctx, varying(), Config{Threads: 1, Shapes: shapes(i)})
		if err != nil {
			t.Fatal(err)
		}
		s := q.NewSession()
		want[i] = fill(s)
		s.Close()
	}
	var group sync.WaitGroup
	for g := range 6 {
		group.Go(func() {
			for k := range 40 {
				i := (g + k) % len(want)
				s, err := p.Session(ctx, shapes(i))
				if err != nil {
					t.Error(err)
					return
				}
				if got := fill(s); !slices.Equal(got, want[i]) {
					t.Errorf("shape %d: %v, want %v", i, got, want[i])
				}
				p.Release(s)
			}
		})
	}
	group.Wait()
}
