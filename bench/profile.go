package bench

import (
	"context"
	"time"

	"github.com/nnz-dev/nnz/runtime"
)

// profile times every step of both plans, in turns, and pairs the steps.
func profile(ctx context.Context, dense, sparse *contender, runs int) ([]LayerReport, error) {
	d, s := newProfiler(dense), newProfiler(sparse)
	for range runs {
		if err := d.run(ctx); err != nil {
			return nil, err
		}
		if err := s.run(ctx); err != nil {
			return nil, err
		}
	}
	return pair(d.steps(), s.steps()), nil
}

// A profiler collects the times of each step of a plan.
type profiler struct {
	contender *contender
	report    runtime.Report
	last      []time.Duration
	times     [][]time.Duration // by step
}

func newProfiler(c *contender) *profiler {
	p := &profiler{contender: c, report: c.plan.Explain()}
	p.last = make([]time.Duration, len(p.report.Steps))
	p.times = make([][]time.Duration, len(p.report.Steps))
	return p
}

// run times the steps of a run that follows another, as in measure.
func (p *profiler) run(ctx context.Context) error {
	if err := p.contender.session.Run(ctx); err != nil {
		return err
	}
	if err := p.contender.session.RunTimed(ctx, 0, p.last); err != nil {
		return err
	}
	for i, t := range p.last {
		p.times[i] = append(p.times[i], t)
	}
	return nil
}

// A step is a step of a plan and the median of its times.
type step struct {
	runtime.LayerReport
	us float64
}

func (p *profiler) steps() []step {
	steps := make([]step, len(p.times))
	for i := range steps {
		steps[i] = step{p.report.Steps[i], microseconds(median(p.times[i]))}
	}
	return steps
}

// pair joins the steps of two plans of one model by name and operator. Both
// are in topological order; what only one plan has stands before the next step
// that both have.
func pair(dense, sparse []step) []LayerReport {
	type key struct{ name, op string }
	places := make(map[key][]int) // in the sparse plan
	for i, s := range sparse {
		k := key{s.Name, s.Op}
		places[k] = append(places[k], i)
	}
	var layers []LayerReport
	at := 0 // steps of the sparse plan before this one are reported
	for _, d := range dense {
		k := key{d.Name, d.Op}
		for len(places[k]) > 0 && places[k][0] < at {
			places[k] = places[k][1:]
		}
		if len(places[k]) == 0 {
			layers = append(layers, layer(d, d.us, 0))
			continue
		}
		for ; at < places[k][0]; at++ {
			layers = append(layers, layer(sparse[at], 0, sparse[at].us))
		}
		layers = append(layers, layer(sparse[at], d.us, sparse[at].us))
		at++
	}
	for ; at < len(sparse); at++ {
		layers = append(layers, layer(sparse[at], 0, sparse[at].us))
	}
	return layers
}

func layer(s step, denseUS, sparseUS float64) LayerReport {
	l := LayerReport{
		Name: s.Name, Op: s.Op, M: s.M, K: s.K, N: s.N,
		KernelH: s.KernelH, KernelW: s.KernelW, Stride: s.Stride,
		Sparsity: s.Sparsity, Format: s.Format, Kernel: s.Kernel, Why: s.Why,
		DenseUS: denseUS, SparseUS: sparseUS,
	}
	if sparseUS > 0 {
		l.GFlops = 2 * float64(s.NNZ) * float64(s.N) / sparseUS / 1e3
	}
	return l
}
