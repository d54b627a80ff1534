package kernels

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/runtime"
)

// A Result says how a layer did on one instruction set and number of threads.
type Result struct {
	Family   string  `json:"family"`
	Name     string  `json:"name"`
	Shape    string  `json:"shape"`
	M        int     `json:"m"`
	K        int     `json:"k"`
	N        int     `json:"n"`
	Sparsity float64 `json:"sparsity"`
	Block    int     `json:"block,omitempty"` // rows of the blocks of zeros
	ISA      string  `json:"isa"`
	Threads  int     `json:"threads"`
	Format   string  `json:"format,omitempty"`
	Kernel   string  `json:"kernel"`
	US       float64 `json:"us"`       // median, microseconds
	DenseUS  float64 `json:"dense_us"` // of the same layer with the zeros multiplied
	Speedup  float64 `json:"speedup"`  // over that
	// GFlops counts two operations a nonzero weight and column, Effective two
	// for a zero, too.
	GFlops    float64 `json:"gflops"`
	Effective float64 `json:"effective_gflops"`
	// FMA is GFlops over the peak of all threads; 0 where that is unknown.
	FMA float64 `json:"fma"`
	// Bound is what limits the layer, BoundShare its time over ours.
	Bound      Bound   `json:"bound"`
	BoundShare float64 `json:"bound_share"`

	turns     []time.Duration // that US is the median of
	benchmark string          // name of the Go benchmark of the same
}

// Options say on what to measure.
type Options struct {
	ISAs    []isa.ISA
	Threads []int
	Limits  map[isa.ISA]Limits // of ISAs
	Timing
}

// tolerance is by how much, of the largest element, outputs may differ that
// were summed in different orders.
const tolerance = 1e-4

// Run measures a case on every instruction set and number of threads, the
// dense layer and the one compiled for its zeros in turns. Without zeros there
// is only the dense one.
func (o Options) Run(ctx context.Context, c Case) ([]Result, error) {
	var all []*Contender
	defer func() {
		for _, x := range all {
			x.Close()
		}
	}()
	modes := []runtime.Mode{runtime.Dense, runtime.Auto}
	if c.Sparsity == 0 {
		modes = modes[:1]
	}
	for _, i := range o.ISAs {
		for _, threads := range o.Threads {
			for _, mode := range modes {
				x, err := Compile(ctx, c, Variant{ISA: i, Threads: threads, Mode: mode})
				if err != nil {
					return nil, fmt.Errorf("layer %v: %w", c.Layer, err)
				}
				all = append(all, x)
			}
		}
	}
	turns, err := o.contend(ctx, all)
	if err != nil {
		return nil, fmt.Errorf("layer %v: %w", c.Layer, err)
	}
	var results []Result
	for i := 0; i < len(all); i += len(modes) {
		last := i + len(modes) - 1
		results = append(results, o.result(c, all[last], turns[last], turns[i]))
	}
	return results, nil
}

// contend measures contenders whose outputs must agree, and returns the turns
// of each.
func (o Options) contend(ctx context.Context, all []*Contender) ([][]time.Duration, error) {
	if len(all) == 0 {
		return nil, errors.New("nothing to measure")
	}
	runners := make([]Runner, len(all))
	for i, x := range all {
		runners[i] = x
	}
	turns, err := o.Measure(ctx, runners)
	if err != nil {
		return nil, err
	}
	want, err := all[0].Output(ctx)
	if err != nil {
		return nil, err
	}
	for _, x := range all[1:] {
		got, err := x.Output(ctx)
		if err != nil {
			return nil, err
		}
		if d, err := Differ(want, got); err != nil || d > tolerance {
			return nil, fmt.Errorf("%v in format %s differs by %g of the largest output from %v in format %s: %v",
				x.ISA, x.Step.Format, d, all[0].ISA, all[0].Step.Format, err)
		}
	}
	return turns, nil
}

// result puts a measurement into figures.
func (o Options) result(c Case, x *Contender, turns, dense []time.Duration) Result {
	m, k, n := c.Dims()
	limits := o.Limits[x.ISA]
	r := Result{
		Family: c.Family(c.Sparsity), Name: c.Name, Shape: c.Layer.String(), M: m, K: k, N: n,
		Sparsity: c.Sparsity, Block: c.Block, ISA: x.ISA.String(), Threads: x.Threads,
		Format: x.Step.Format, Kernel: x.Step.Kernel,
		US: MedianUS(turns), DenseUS: MedianUS(dense), Speedup: MedianUS(dense) / MedianUS(turns),
		turns: turns, benchmark: "Layer/" + c.benchmark() + "/" + benchmarkPart("kernel", x.Step.Kernel),
	}
	columns := float64(n)
	r.GFlops = 2 * float64(x.Step.NNZ) * columns / r.US / 1e3
	r.Effective = 2 * float64(m*k) * columns / r.US / 1e3
	if limits.Peak > 0 {
		r.FMA = r.GFlops / (limits.Peak * float64(x.Threads))
	}
	if len(limits.Levels) > 0 {
		r.Bound = limits.bound(c.work(x))
		r.BoundShare = r.Bound.US / r.US
	}
	return r
}

// work returns what a contender has to do. A multiply-add of a column takes an
// activation from L1, which the rows of a block share, and a weight is loaded
// once at least.
func (c Case) work(x *Contender) work {
	m, k, n := c.Dims()
	stored, rows := m*k, 1
	if x.Step.Format != "dense" {
		rows = blockRows(x.Step.Format)
		stored = storedIn(c.Weight, m, k, rows)
		if strings.HasPrefix(x.Step.Format, "mixed") {
			stored = x.Step.NNZ // at least, as if all of it shared activations
		}
	} else if c.groups() == 1 {
		rows = denseRows
	}
	inputs := c.In * max(c.Size*c.Size, c.Columns)
	return work{
		flops:   2 * float64(stored) * float64(n),
		loads:   float64(stored*n) * loads(n, rows),
		touched: x.Packed + 4*(inputs+m*n),
		threads: x.Threads,
	}
}

// denseRows is how many rows share their activations in dense kernels.
const denseRows = 4

// loads returns the bytes that a multiply-add of one column takes from L1 where
// there are n columns, and rows of the weight share their activations.
func loads(n, rows int) float64 { return 4/float64(n) + 4/float64(rows) }
