package sweep

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/prune"
)

// A Choice is a sparsity for each layer, made for a budget: what is expected of
// it and, after [Choice.Measure], what came of it. Names and meaning of its JSON
// fields stay as they are: scripts read them.
type Choice struct {
	Model     string  `json:"model"`
	ISA       string  `json:"isa"`
	Threads   int     `json:"threads"`
	BudgetMS  float64 `json:"budget_ms,omitempty"` // of latency
	MaxDrop   float64 `json:"max_drop,omitempty"`  // of accuracy where labels are known, else the error
	ErrorOf   string  `json:"error_of"`            // "outputs" or "weights", see Report.Error
	Examples  int     `json:"examples,omitempty"`  // that errors were measured on
	Tried     int     `json:"tried"`               // choices that were measured on the way
	Zeros     float64 `json:"zeros"`               // of the weights of all layers that take part
	Kept      bool    `json:"kept_ends"`           // the first convolution and the last layer took no part
	FastestMS float64 `json:"fastest_ms"`          // that the sparsities tried come to
	Expected  Outcome `json:"expected"`
	Measured  Outcome `json:"measured"`
	Dense     Outcome `json:"dense"` // measured in turns with the pruned model
	// Sparsity is what each weight is pruned to; those that are not here stay.
	Sparsity prune.Layerwise `json:"sparsity"`
	Layers   []ChosenLayer   `json:"layers"`
	Front    []Whole         `json:"front"` // see Report.Front
}

// An Outcome is a latency and an error.
type Outcome struct {
	MS       float64  `json:"ms"`
	Error    float64  `json:"error"`
	Accuracy *float64 `json:"accuracy,omitempty"`
}

// A ChosenLayer is a layer and the sparsity chosen for it.
type ChosenLayer struct {
	Name     string   `json:"name"`
	Op       string   `json:"op"`
	Weights  []string `json:"weights"`
	Size     int      `json:"parameters"`
	Sparsity float64  `json:"sparsity"`
	Error    float64  `json:"error"`    // see Report.Error
	DenseUS  float64  `json:"dense_us"` // expected
	US       float64  `json:"us"`       // expected
}

// An UnreachableError says that no sparsities tried come to a budget.
type UnreachableError struct {
	BudgetMS, FastestMS, DenseMS float64
	Sparsity                     float64 // the highest that was tried
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("a latency of %.4g ms cannot be reached: with %g of the weights of every layer zero the model takes about %.4g ms, dense %.4g ms",
		e.BudgetMS, e.Sparsity, e.FastestMS, e.DenseMS)
}

const (
	minTries = 3    // choices that are measured for a budget
	maxTries = 6    // and how many at most
	nearby   = 0.01 // how near to the budget is near enough, as a share of it
	drops    = 10   // choices that are judged for a drop, about
)

// ForLatency chooses the sparsities of the least error that bring the latency
// of a model to a budget. What layers take is measured at each sparsity; whole
// models of the choice then correct what the sum of layers leaves out.
//
// An *UnreachableError says that the budget is too small. A model that is within
// it as it is loses nothing.
func ForLatency(ctx context.Context, m *graph.Model, budget time.Duration, o Options) (*Choice, error) {
	if budget <= 0 {
		return nil, fmt.Errorf("a latency of %v: expected a positive one", budget)
	}
	progress := o.Bench.Progress
	t, c, j, err := o.prepare(ctx, m, progress)
	if err != nil {
		return nil, err
	}
	c.BudgetMS = float64(budget) / 1e6
	var picks []int
	var scales []float64
	for c.Tried = 0; c.Tried < maxTries; c.Tried++ {
		if picks, err = t.within(c.BudgetMS); err != nil {
			return nil, err
		}
		o.Bench.Progress = part(progress, .7+.3*float64(c.Tried)/maxTries, .7+.3*float64(c.Tried+1)/maxTries)
		timed, err := bench.TimeInTurns(ctx, []*graph.Model{t.model(picks)}, false, o.Bench)
		if err != nil {
			return nil, err
		}
		scales = append(scales, t.scale*timed[0].Run.P50/t.whole(picks).MS)
		// Choices for one budget are alike, and what each tells of the machine is
		// noisy.
		t.scale = median(scales)
		dense := !slices.ContainsFunc(picks, func(k int) bool { return k > 0 })
		if dense || len(scales) >= minTries && math.Abs(t.whole(picks).MS/c.BudgetMS-1) <= nearby {
			c.Tried++
			break
		}
	}
	c.take(t, picks, j)
	return c, nil
}

// within chooses the least error for a latency in milliseconds, as far as the
// table knows.
func (t *table) within(budget float64) ([]int, error) {
	options := t.options(func(p Point) option { return option{p.us(), p.Error * p.Error} })
	picks, ok := choose(options, budget*1e3/t.scale-t.rest)
	if !ok {
		fastest := make([]int, len(options))
		for i := range options {
			fastest[i] = cheapest(options[i])
		}
		return nil, &UnreachableError{
			BudgetMS: budget, FastestMS: t.whole(fastest).MS, DenseMS: t.whole(make([]int, len(options))).MS,
			Sparsity: t.sparsities[len(t.sparsities)-1],
		}
	}
	return picks, nil
}

// ForDrop chooses the sparsities of the least latency at which a model loses no
// more than drop of its accuracy where labels are known, else at which its
// outputs have no larger error. Errors of layers only say which choices to try:
// what a choice loses is measured on the data.
func ForDrop(ctx context.Context, m *graph.Model, drop float64, o Options) (*Choice, error) {
	if !(drop > 0 && drop < 1) {
		return nil, fmt.Errorf("a drop of %v: expected a fraction above 0 and below 1", drop)
	}
	if o.Data == nil {
		return nil, errors.New("a drop is measured on data, and there is none")
	}
	progress := o.Bench.Progress
	t, c, j, err := o.prepare(ctx, m, progress)
	if err != nil {
		return nil, err
	}
	c.MaxDrop = drop
	results := make(map[string]Found) // by picks
	picks, err := t.search(drop, func(picks []int) (float64, error) {
		key := fmt.Sprint(picks)
		if _, known := results[key]; !known {
			found, err := j.judge(ctx, t.model(picks))
			if err != nil {
				return 0, err
			}
			results[key] = found
			part(progress, .7, 1)(min(1, float64(len(results))/drops))
		}
		return j.lost(results[key]), nil
	})
	if err != nil {
		return nil, err
	}
	c.Tried = len(results)
	c.take(t, picks, j)
	found, ok := results[fmt.Sprint(picks)]
	if !ok { // nothing holds but the dense model
		found.Accuracy = j.accuracy
	}
	c.Expected.Error, c.Expected.Accuracy = found.Error, found.Accuracy
	return c, nil
}

// search finds the fastest choice that loses at most drop. It bisects the
// logarithm of the sum of squares that the errors of layers may come to, from
// where errors of outputs would be as large as drop if those of layers were
// independent.
func (t *table) search(drop float64, lost func(picks []int) (float64, error)) ([]int, error) {
	options := t.options(func(p Point) option { return option{p.Error * p.Error, p.us()} })
	most := 0.0
	for _, list := range options {
		top := 0.0
		for _, o := range list {
			top = max(top, o.cost)
		}
		most += top
	}
	best := make([]int, len(t.layers)) // dense
	if most == 0 {
		return best, nil
	}
	high := math.Log(most) + .05 // which rounding to the grid takes less than
	low := high - 20
	for at := min(max(2*math.Log(drop), low), high); high-low > .05; at = (low + high) / 2 {
		picks, _ := choose(options, math.Exp(at)) // dense layers have no error
		l, err := lost(picks)
		if err != nil {
			return nil, err
		}
		if l > drop {
			high = at
			continue
		}
		if low = at; t.whole(picks).MS < t.whole(best).MS {
			best = picks
		}
	}
	return best, nil
}

// lost is what a model loses of accuracy where labels are known, else its error.
func (j *judge) lost(f Found) float64 {
	if f.Accuracy != nil {
		return *j.accuracy - *f.Accuracy
	}
	return f.Error
}

// prepare measures the table for a choice. The last third of the progress is
// left for making it.
func (o Options) prepare(ctx context.Context, m *graph.Model, progress func(float64)) (*table, *Choice, *judge, error) {
	o.Measure = true
	timing := .7
	if o.Data != nil {
		timing = .3
	}
	o.Bench.Progress = part(progress, 0, timing)
	t, err := newTable(ctx, m, o)
	if err != nil {
		return nil, nil, nil, err
	}
	j, err := o.judge(ctx, t.base)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := t.errors(ctx, j, part(progress, timing, .7)); err != nil {
		return nil, nil, nil, err
	}
	c := &Choice{Model: o.Bench.Name, ISA: t.plan.ISA, Threads: t.plan.Threads, ErrorOf: "weights"}
	if o.Data != nil {
		c.ErrorOf, c.Examples = "outputs", o.Data.Examples()
	}
	return t, c, j, nil
}

// take fills in what was chosen, and what is expected of it.
func (c *Choice) take(t *table, picks []int, j *judge) {
	w := t.whole(picks)
	c.Zeros, c.Expected = w.Zeros, Outcome{MS: w.MS, Error: w.Error}
	c.Sparsity = t.sparsity(picks)
	for i, l := range t.layers {
		p := l.Points[picks[i]]
		c.Layers = append(c.Layers, ChosenLayer{
			Name: l.Name, Op: l.Op, Weights: l.Weights, Size: l.Size, Sparsity: p.Sparsity, Error: p.Error,
			DenseUS: l.Points[0].us() * t.scale, US: p.us() * t.scale,
		})
	}
	c.Front = t.front()
	if len(c.Front) > 0 {
		c.FastestMS = c.Front[0].MS
	}
	c.Dense.Accuracy = j.accuracy
}

// Measure measures a model that was pruned as chosen, in turns with the dense
// one, and what it loses.
func (c *Choice) Measure(ctx context.Context, dense, pruned *graph.Model, o Options) error {
	timed, err := bench.TimeInTurns(ctx, []*graph.Model{dense, pruned}, false, o.Bench)
	if err != nil {
		return err
	}
	c.Dense.MS, c.Measured.MS = timed[0].Run.P50, timed[1].Run.P50
	j, err := o.judge(ctx, dense)
	if err != nil {
		return err
	}
	if o.Data == nil {
		squares := 0.0
		for _, l := range c.Layers {
			e := weightError(dense, pruned, l.Weights)
			squares += e * e
		}
		c.Measured.Error = math.Sqrt(squares / float64(len(c.Layers)))
		return nil
	}
	found, err := j.judge(ctx, pruned)
	c.Measured.Error, c.Measured.Accuracy = found.Error, found.Accuracy
	return err
}
