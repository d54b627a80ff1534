package kernels

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/runtime"
)

// A Variant is a way to compile a layer.
type Variant struct {
	ISA     isa.ISA
	Threads int
	Mode    runtime.Mode
	Format  string // see [runtime.Config]
}

// A Contender is a layer compiled in one way, with random activations.
type Contender struct {
	Variant
	Step   runtime.LayerReport // of the layer
	Packed int                 // bytes of its weight
	layer  Layer

	session     *runtime.Session
	first, last int // the steps that the layer is
	times       []time.Duration
}

// Compile compiles a case. The session must be closed after use.
func Compile(ctx context.Context, c Case, v Variant) (*Contender, error) {
	m, err := c.Model(c.Weight)
	if err != nil {
		return nil, err
	}
	plan, err := runtime.Compile(ctx, m, runtime.Config{ISA: v.ISA, Threads: v.Threads, Mode: v.Mode, Format: v.Format})
	if err != nil {
		return nil, err
	}
	report := plan.Explain()
	product := func(s runtime.LayerReport) bool { return s.M > 0 }
	out := &Contender{Variant: v, Packed: report.PackedBytes, layer: c.Layer, times: make([]time.Duration, len(report.Steps))}
	out.first = slices.IndexFunc(report.Steps, product)
	if out.first < 0 {
		return nil, errors.New("the compiled layer has no product")
	}
	out.last = out.first
	if c.fed() {
		// What comes between the feeder's product and the layer's is its own:
		// filling the halo, and where needed another layout.
		next := slices.IndexFunc(report.Steps[out.first+1:], product)
		if next < 0 {
			return nil, errors.New("the compiled layer has no product")
		}
		out.first, out.last = out.first+1, out.first+1+next
	}
	out.Step = report.Steps[out.last]
	out.session = plan.NewSession()
	x, err := out.session.Input(inputName)
	if err != nil {
		out.Close()
		return nil, err
	}
	copy(x.F, normals(len(x.F), 2))
	return out, nil
}

// Close ends the contender.
func (c *Contender) Close() error { c.session.Close(); return nil }

// Run runs the layer and returns the time that it took, without what is only
// there to begin and end a model.
func (c *Contender) Run(ctx context.Context) (time.Duration, error) {
	if err := c.session.RunTimed(ctx, c.times); err != nil {
		return 0, err
	}
	sum := time.Duration(0)
	for _, t := range c.times[c.first : c.last+1] {
		sum += t
	}
	return sum, nil
}

// Source returns a copy of what the layer read in the last run: a row of
// columns for each feature.
func (c *Contender) Source() ([]float32, error) {
	if c.layer.fed() {
		t, err := c.session.Output(sourceName)
		return slices.Clone(t.F), err
	}
	t, err := c.session.Input(inputName)
	return c.features(t.F, c.layer.In), err
}

// Output returns a copy of the layer's output in the last run: a row of
// columns for each feature.
func (c *Contender) Output() ([]float32, error) {
	t, err := c.session.Output(outputName)
	return c.features(t.F, c.layer.Out), err
}

// features copies a value as a row for each feature: a linear layer has them
// along the rows.
func (c *Contender) features(v []float32, n int) []float32 {
	if c.layer.Size > 0 {
		return slices.Clone(v)
	}
	t := make([]float32, len(v))
	for i := range v {
		t[i%n*c.layer.Columns+i/n] = v[i]
	}
	return t
}

// A Runner is anything that takes turns in a measurement: it runs once and
// returns the time that it took.
type Runner interface {
	Run(ctx context.Context) (time.Duration, error)
}

// Timing says how long to measure. The zero value is right for most uses.
type Timing struct {
	Runs    int           // of each runner; 0 goes on for MinTime
	MinTime time.Duration // of all runs together; 0 is 150 ms
}

const (
	minRuns, maxRuns = 7, 400
	defaultMinTime   = 150 * time.Millisecond
)

// Medians runs all runners in turns, round after round, and returns the median
// time of each. A turn is two runs, of which the second counts: it finds the
// caches as a run of its own left them.
func (t Timing) Medians(ctx context.Context, runners []Runner) ([]time.Duration, error) {
	limit := t.MinTime
	if limit == 0 {
		limit = defaultMinTime
	}
	times := make([][]time.Duration, len(runners))
	start := time.Now()
	for round := 0; ; round++ {
		enough := round == t.Runs
		if t.Runs == 0 {
			enough = round >= minRuns && time.Since(start) >= limit || round == maxRuns
		}
		if enough {
			break
		}
		for i, r := range runners {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if _, err := r.Run(ctx); err != nil {
				return nil, err
			}
			d, err := r.Run(ctx)
			if err != nil {
				return nil, err
			}
			times[i] = append(times[i], d)
		}
	}
	medians := make([]time.Duration, len(runners))
	for i, all := range times {
		slices.Sort(all)
		medians[i] = all[len(all)/2]
	}
	return medians, nil
}

// Differ compares an output with that of the first contender: the largest
// difference of an element over the largest element.
func Differ(want, got []float32) (float64, error) {
	if len(want) != len(got) {
		return 0, fmt.Errorf("%d elements, expected %d", len(got), len(want))
	}
	largest, worst := 0.0, 0.0
	for i, w := range want {
		d := float64(got[i]) - float64(w)
		if d != d {
			return 0, fmt.Errorf("element %d is %v, expected %v", i, got[i], w)
		}
		worst, largest = max(worst, d, -d), max(largest, float64(w), -float64(w))
	}
	if worst == 0 {
		return 0, nil
	}
	return worst / largest, nil
}
