package bench

import (
	"context"
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/bench/builtin"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/prune"
	"github.com/nnz-dev/nnz/runtime"
)

// Ladder lists the sparsities that a search for the break-even imposes.
func Ladder() []float64 { return []float64{0, .3, .4, .5, .6, .7, .8, .9, .95} }

// A BreakEven says from which sparsity on a network is faster for it. Names and
// meaning of its JSON fields stay as they are: scripts read them.
type BreakEven struct {
	Model   string `json:"model"`
	ISA     string `json:"isa"`
	Threads int    `json:"threads"`
	Batch   int    `json:"batch"`
	// Sparsity is where sparse begins to be no slower than dense for good,
	// interpolated between rungs; nil where it is slower on the last.
	Sparsity *float64 `json:"break_even"`
	// AutoExcess is the worst of the rungs.
	AutoExcess float64 `json:"auto_excess"`
	Rungs      []Rung  `json:"rungs"`
}

// A Rung is a network pruned by magnitude, the same share of every layer but
// the first convolution and the last layer. Its ratios are of the least times:
// a few per cent matter, and other processes make medians differ by more.
type Rung struct {
	Sparsity float64 `json:"sparsity"` // of the layers that are pruned
	Zeros    float64 `json:"zeros"`    // of the weights of all layers
	Dense    Latency `json:"dense"`    // every layer on dense kernels
	Sparse   Latency `json:"sparse"`   // every layer with zeros on sparse ones
	Auto     Latency `json:"auto"`     // what the plan chooses
	Speedup  float64 `json:"speedup"`  // time of dense over that of sparse
	// AutoExcess is by which share the time of auto is above the lesser one of
	// dense and sparse; below 0 where the two mixed are faster than each.
	AutoExcess float64 `json:"auto_excess"`
}

// FindBreakEven prunes a model to each sparsity of a ladder, which rises, and
// measures it dense, sparse and as the plan chooses, in turns. Rungs that prune
// no more than the one before, as the model has more zeros, are left out.
func FindBreakEven(ctx context.Context, m *graph.Model, ladder []float64, o Options) (*BreakEven, error) {
	r := &BreakEven{Model: o.name(m)}
	exclude := builtin.Kept(m)
	progress := o.Progress
	for i, sparsity := range ladder {
		pruned, done, err := prune.Apply(ctx, m, prune.Options{Sparsity: sparsity, Exclude: exclude})
		if err != nil {
			return nil, fmt.Errorf("pruning to %g: %w", sparsity, err)
		}
		if n := len(r.Rungs); n > 0 && done.Sparsity <= r.Rungs[n-1].Sparsity {
			continue
		}
		if progress != nil {
			o.Progress = func(f float64) { progress((float64(i) + f) / float64(len(ladder))) }
		}
		rung, plan, err := measureRung(ctx, pruned, o)
		if err != nil {
			return nil, err
		}
		rung.Sparsity = done.Sparsity
		r.Rungs = append(r.Rungs, rung)
		explained := plan.Explain()
		r.ISA, r.Threads, r.Batch = explained.ISA, explained.Threads, batch(plan.Inputs())
	}
	r.Sparsity = crossing(r.Rungs)
	for i, rung := range r.Rungs {
		if i == 0 || rung.AutoExcess > r.AutoExcess {
			r.AutoExcess = rung.AutoExcess
		}
	}
	return r, nil
}

// measureRung measures a model in each mode, and returns one of the plans.
func measureRung(ctx context.Context, m *graph.Model, o Options) (Rung, *runtime.Plan, error) {
	var rung Rung
	var turns []turn
	var plan *runtime.Plan
	for _, mode := range []runtime.Mode{runtime.Dense, runtime.Sparse, runtime.Auto} {
		c, err := newContender(ctx, m, o, mode)
		if err != nil {
			return rung, nil, err
		}
		defer c.session.Close()
		plan = c.plan
		turns = append(turns, turn{run: c.run})
	}
	if err := o.measure(ctx, turns); err != nil {
		return rung, nil, err
	}
	rung.Zeros = plan.Explain().Sparsity()
	rung.Dense, rung.Sparse, rung.Auto = summarize(turns[0].times), summarize(turns[1].times), summarize(turns[2].times)
	if best := min(rung.Dense.Min, rung.Sparse.Min); best > 0 {
		rung.Speedup = rung.Dense.Min / rung.Sparse.Min
		rung.AutoExcess = rung.Auto.Min/best - 1
	}
	return rung, plan, nil
}

// crossing returns the sparsity from which on sparse is no slower than dense:
// between the last rung where it is slower and the next one, where a line
// through the logarithms of their speedups comes to 1. It is that of the first
// rung where sparse is never slower, nil where it is slower on the last.
func crossing(rungs []Rung) *float64 {
	for i := len(rungs) - 1; i >= 0; i-- {
		if rungs[i].Speedup >= 1 {
			continue
		}
		if i == len(rungs)-1 {
			return nil
		}
		a, b := rungs[i], rungs[i+1]
		la, lb := math.Log(a.Speedup), math.Log(b.Speedup)
		at := a.Sparsity + (b.Sparsity-a.Sparsity)*la/(la-lb)
		return &at
	}
	if len(rungs) == 0 {
		return nil
	}
	return &rungs[0].Sparsity
}
