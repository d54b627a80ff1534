package kernels

import (
	"cmp"
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

	session *runtime.Session
	first   int             // the steps that the layer is begin there,
	times   []time.Duration // and are as many as these
}

// Compile compiles a case. The session must be closed after use.
func Compile(ctx context.Context, c Case, v Variant) (*Contender, error) {
	m, err := c.Model(c.Weight)
	if err != nil {
		return nil, err
	}
	if c.fed() {
		c.feed(m)
	}
	plan, err := runtime.Compile(ctx, m, runtime.Config{ISA: v.ISA, Threads: v.Threads, Mode: v.Mode, Format: v.Format})
	if err != nil {
		return nil, err
	}
	report := plan.Explain()
	product := func(s runtime.LayerReport) bool { return s.M > 0 }
	out := &Contender{Variant: v, Packed: report.PackedBytes, layer: c.Layer}
	out.first = slices.IndexFunc(report.Steps, product)
	if out.first < 0 {
		return nil, errors.New("the compiled layer has no product")
	}
	last := out.first
	if c.fed() {
		// What comes between the feeder's product and the layer's is its own:
		// filling the halo, and where needed another layout.
		out.first++
		next := slices.IndexFunc(report.Steps[out.first:], product)
		if next < 0 {
			return nil, errors.New("the compiled layer has no product")
		}
		last = out.first + next
	}
	out.Step = report.Steps[last]
	out.times = make([]time.Duration, last-out.first+1)
	out.session = plan.NewSession()
	x, err := out.session.Input(inputName)
	if err != nil {
		out.Close()
		return nil, err
	}
	copy(x.F, normals(len(x.F), 2))
	if err := out.session.Run(ctx); err != nil {
		out.Close()
		return nil, err
	}
	return out, nil
}

// Close ends the contender.
func (c *Contender) Close() error { c.session.Close(); return nil }

// Turn implements [Runner]. The layer alone runs over and over, on activations
// that stay in the caches where it left them: so do the engines that it is
// compared with.
func (c *Contender) Turn(ctx context.Context) (time.Duration, error) { return turn(ctx, c.run) }

// run runs the layer and returns the time that it took.
func (c *Contender) run(ctx context.Context) (sum time.Duration, err error) {
	err = c.session.RunTimed(ctx, c.first, c.times)
	for _, t := range c.times {
		sum += t
	}
	return sum, err
}

// Source returns a copy of what the layer reads: a row of columns for each
// feature.
func (c *Contender) Source() ([]float32, error) {
	if c.layer.fed() {
		t, err := c.session.Output(sourceName)
		return slices.Clone(t.F), err
	}
	t, err := c.session.Input(inputName)
	return c.features(t.F, c.layer.In), err
}

// Output runs the whole model and returns a copy of the layer's output: a row
// of columns for each feature.
func (c *Contender) Output(ctx context.Context) ([]float32, error) {
	if err := c.session.Run(ctx); err != nil {
		return nil, err
	}
	t, err := c.session.Output(outputName)
	return c.features(t.F, c.layer.Out), err
}

// features copies a value as a row for each feature: a linear layer has them
// along the rows.
func (c *Contender) features(v []float32, n int) []float32 {
	if c.layer.Size > 0 {
		return slices.Clone(v)
	}
	return Transposed(v, c.layer.Columns, n)
}

// Transposed returns a matrix of so many rows and columns with the two
// exchanged.
func Transposed(x []float32, rows, cols int) []float32 {
	t := make([]float32, len(x))
	for i, v := range x {
		t[i%cols*rows+i/cols] = v
	}
	return t
}

// A Runner is anything that takes turns in a measurement.
type Runner interface {
	// Turn runs back to back for [TurnTime], at least twice, and returns the
	// median time of the second half of these runs.
	Turn(ctx context.Context) (time.Duration, error)
}

// TurnTime is how long a turn takes at least. Between its turns a runner was
// idle, and others had its core: a process needs up to three milliseconds until
// it has the caches and the clock of the CPU as in a network that runs.
const TurnTime = 8 * time.Millisecond

// turn makes a turn of single runs, whose times it is given.
func turn(ctx context.Context, run func(context.Context) (time.Duration, error)) (time.Duration, error) {
	var times []time.Duration
	for start := time.Now(); len(times) < 2 || time.Since(start) < TurnTime; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		d, err := run(ctx)
		if err != nil {
			return 0, err
		}
		times = append(times, d)
	}
	return Median(times[len(times)/2:]), nil
}

// Median returns the middle one of some times: of two, the smaller. Without any
// it is 0.
func Median(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[(len(sorted)-1)/2]
}

// MedianUS returns the median in microseconds, above 0.
func MedianUS(times []time.Duration) float64 { return float64(max(Median(times), 1)) / 1e3 }

// Timing says how long to measure. The zero value is right for most uses.
type Timing struct {
	Turns   int           // of each runner; 0 goes on for MinTime
	MinTime time.Duration // of all turns together; 0 is 150 ms
}

const (
	minTurns, maxTurns = 7, 400
	defaultMinTime     = 150 * time.Millisecond
)

// Measure lets all runners take turns, round after round, and returns what
// each turn of each runner measured.
func (t Timing) Measure(ctx context.Context, runners []Runner) ([][]time.Duration, error) {
	limit := cmp.Or(t.MinTime, defaultMinTime)
	times := make([][]time.Duration, len(runners))
	start := time.Now()
	for round := 0; ; round++ {
		enough := round == t.Turns
		if t.Turns == 0 {
			enough = round >= minTurns && time.Since(start) >= limit || round == maxTurns
		}
		if enough {
			return times, nil
		}
		for i, r := range runners {
			d, err := r.Turn(ctx)
			if err != nil {
				return nil, err
			}
			times[i] = append(times[i], d)
		}
	}
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
