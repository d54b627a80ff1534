package bench

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/bench/builtin"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime"
)

// TestNetworksRunWithoutAllocating runs whole networks: no run allocates, and
// the bits of the output do not depend on the number of threads or on what ran
// before in the same memory.
func TestNetworksRunWithoutAllocating(t *testing.T) {
	for _, c := range []struct {
		name string
		load func(t *testing.T, name string) *graph.Model
	}{
		{"squeezenet", func(t *testing.T, _ string) *graph.Model {
			m, err := loader.Load(t.Context(), testdata.Path(t, "models", "squeezenet10_fp32", "model.onnx"))
			if err != nil {
				t.Fatal(err)
			}
			return m
		}},
		{"resnet50@0.9", loadBuiltin},
		{"resnet50@0.9:4x1", loadBuiltin},
		{"mobilenet_v2@0.9", loadBuiltin},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := c.load(t, c.name)
			var first []uint32
			for _, threads := range []int{1, 2, 4} {
				plan, err := runtime.Compile(context.Background(), m, runtime.Config{Threads: threads})
				if err != nil {
					t.Fatal(err)
				}
				s := plan.NewSession()
				defer s.Close()
				in, err := s.Input(plan.Inputs()[0].Name)
				if err != nil {
					t.Fatal(err)
				}
				rng := rand.New(rand.NewPCG(1, 1))
				for i := range in.F {
					in.F[i] = rng.Float32()
				}
				out, err := s.Output(plan.Outputs()[0].Name)
				if err != nil {
					t.Fatal(err)
				}
				ctx := context.Background()
				const runs = 30 // many, as the scheduler may start a thread in the first ones
				if n := testing.AllocsPerRun(runs, func() {
					if err := s.Run(ctx); err != nil {
						t.Fatal(err)
					}
				}); n != 0 {
					t.Errorf("%d threads: %v allocations a run, want 0", threads, n)
				}
				bits := make([]uint32, len(out.F))
				for i, v := range out.F {
					bits[i] = math.Float32bits(v)
				}
				if first == nil {
					first = bits
				}
				if !slices.Equal(bits, first) {
					t.Errorf("%d threads give other bits than 1", threads)
				}
			}
		})
	}
}

func loadBuiltin(t *testing.T, name string) *graph.Model {
	m, err := builtin.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
