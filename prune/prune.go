// Package prune removes weights from a model: it turns a Model into another
// Model whose weights hold zeros where the removed ones were.
//
// What goes is decided by independent things: a [Criterion] scores weights, a
// [Granularity] says what goes as a whole, a [Scope] how much each layer loses,
// a [Schedule] in how many steps; and patterns say which layers take part.
package prune

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// Options say what to prune.
type Options struct {
	// Sparsity is the fraction of units that are gone afterwards, counted within
	// the scope: round(Sparsity·n) of n, halves to even. Units of zeros that are
	// there already count, as they go first.
	Sparsity float64
	// Count is a number of units instead of the fraction.
	Count int
	// OfLeft makes Sparsity or Count one of what is not zero yet, as pruning again
	// does in torch.nn.utils.prune.
	OfLeft bool
	// Criterion scores the weights; nil is [Magnitude].
	Criterion Criterion
	// Granularity is what goes or stays as a whole; nil is [Weight]. A [Pattern]
	// says of itself how much goes: what is said of that must be zero beside it.
	Granularity Granularity
	// Norm measures a unit of several weights.
	Norm Norm
	// Scope says which weights compete; nil is [Local].
	Scope Scope
	// Schedule says in how many steps.
	Schedule Schedule
	// Include and Exclude select layers by patterns in which * stands for any
	// run of characters and ? for one. A pattern is matched against a layer's
	// weight name, its node name and its kind (see [Layer]). An empty Include
	// takes every layer; Exclude wins over Include.
	Include, Exclude []string
}

// A Report says what was pruned, and how.
type Report struct {
	Criterion   string        `json:"criterion"`
	Granularity string        `json:"granularity"`
	Scope       string        `json:"scope"`
	Schedule    string        `json:"schedule"`
	Sparsity    float64       `json:"sparsity"` // zeros of all weights that took part
	Weights     int           `json:"weights"`
	ZerosBefore int           `json:"zeros_before"`
	ZerosAfter  int           `json:"zeros_after"`
	Layers      []LayerReport `json:"layers"`
}

// A LayerReport says what one layer lost.
type LayerReport struct {
	Layer
	Weights     int `json:"weights"`
	ZerosBefore int `json:"zeros_before"`
	ZerosAfter  int `json:"zeros_after"`
	// Threshold is the largest score, of a weight or of a unit, that went in the
	// last step; 0 where none did. What is not finite is the largest number.
	Threshold float32 `json:"threshold"`
	// Error is the norm of the difference of the weight before and after, over
	// that of the weight before: 0 to 1 where nothing but zeros came.
	Error float64 `json:"error"`
}

// Apply sets to zero the weights, or units of weights, that matter least, and
// returns the result as a new model: m is left as it is. Float32 weights that
// became sparse enough are stored so (see [graph.Tensor.Compact]).
//
// Among equal scores the one with the lower index goes first, where the index
// runs through the layers in node order and through the elements of a layer in
// memory order. A NaN counts as larger than any number.
//
// Besides the two models it takes the memory of the largest weight, of units
// that are not single weights one number each, and what the criterion needs.
func Apply(ctx context.Context, m *graph.Model, o Options) (*graph.Model, Report, error) {
	o.setDefaults()
	layers, err := o.layers(m)
	if err != nil {
		return nil, Report{}, err
	}
	p := &pruning{Options: o, layers: layers}
	if err := p.cut(m); err != nil {
		return nil, Report{}, err
	}
	r := Report{
		Criterion: nameOf(o.Criterion), Granularity: o.Granularity.String(),
		Scope: o.Scope.String(), Schedule: o.Schedule.String(),
	}
	out := m
	for step := 1; step <= o.Schedule.steps(); step++ {
		if out, r.Layers, err = p.step(ctx, m, out, step); err != nil {
			return nil, Report{}, err
		}
	}
	for _, l := range r.Layers {
		r.Weights += l.Weights
		r.ZerosBefore += l.ZerosBefore
		r.ZerosAfter += l.ZerosAfter
	}
	if r.Weights > 0 {
		r.Sparsity = float64(r.ZerosAfter) / float64(r.Weights)
	}
	return out, r, nil
}

func (o *Options) setDefaults() {
	if o.Criterion == nil {
		o.Criterion = Magnitude{}
	}
	if o.Granularity == nil {
		o.Granularity = Weight{}
	}
	if o.Scope == nil {
		o.Scope = Local{}
	}
}

// layers checks the options and selects the layers they name.
func (o Options) layers(m *graph.Model) ([]Layer, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	all := Layers(m)
	if len(all) == 0 {
		return nil, fmt.Errorf("the model has no constant floating-point weight of a Conv, Gemm or MatMul")
	}
	chosen, err := choose(all, o.Include, o.Exclude)
	if err != nil {
		return nil, err
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("none of the %d layers matches include %q without exclude %q", len(all), o.Include, o.Exclude)
	}
	if o.Granularity == Granularity(Head{}) {
		findHeads(m, chosen)
		chosen = slices.DeleteFunc(chosen, func(l Layer) bool { return l.head == 0 })
		if len(chosen) == 0 {
			return nil, fmt.Errorf("no layer has attention heads that show in the graph: expected their size, as in head:64")
		}
	}
	return chosen, nil
}

func (o Options) check() error {
	if !(o.Sparsity >= 0 && o.Sparsity <= 1) {
		return fmt.Errorf("sparsity %v: expected a fraction between 0 and 1", o.Sparsity)
	}
	if o.Count < 0 || o.Count > 0 && o.Sparsity != 0 {
		return fmt.Errorf("a count of %d beside a sparsity of %v: expected one of them", o.Count, o.Sparsity)
	}
	if err := o.Schedule.check(); err != nil {
		return err
	}
	if err := o.Scope.check(o); err != nil {
		return err
	}
	if p, ok := o.Granularity.(Pattern); ok && (o.Sparsity != 0 || o.Count != 0 || o.OfLeft || o.Scope != Scope(Local{}) || o.Norm != L1 || o.Schedule.steps() > 1) {
		return fmt.Errorf("the pattern %v decides what goes, beside it there is no sparsity, scope, schedule or norm", p)
	}
	if c, ok := o.Criterion.(interface{ checkUnits(Granularity) error }); ok {
		return c.checkUnits(o.Granularity)
	}
	return nil
}

// A pruning is one call of Apply.
type pruning struct {
	Options
	layers []Layer
	grids  []grid
	units  []int     // of each layer
	empty  []int     // units of zeros before the first step
	dense  workspace // of weights that are not stored as dense float32
	scores workspace
}

// cut cuts the weights into units.
func (p *pruning) cut(m *graph.Model) error {
	for i := range p.layers {
		l := &p.layers[i]
		l.work = &p.scores
		g, err := p.Granularity.grid(*l)
		if err != nil {
			return err
		}
		p.grids = append(p.grids, g)
		p.units = append(p.units, g.units())
		empty := 0
		if p.OfLeft || p.Schedule.steps() > 1 {
			empty = g.empty(p.values(m, *l))
		}
		p.empty = append(p.empty, empty)
	}
	return nil
}

// values returns the elements of a layer's weight, until the next call.
func (p *pruning) values(m *graph.Model, l Layer) []float32 {
	t := m.Weights[l.Weight]
	if s := t.Sparse(); s != nil {
		return s.Dense(p.dense.take(t.Len()))
	}
	return t.Floats()
}

// step prunes a model of the schedule, of which m was the first, further.
func (p *pruning) step(ctx context.Context, m, model *graph.Model, step int) (*graph.Model, []LayerReport, error) {
	if c, ok := p.Criterion.(Calibrated); ok {
		if err := c.Calibrate(ctx, model, p.layers); err != nil {
			return nil, nil, err
		}
	}
	weightScores := func(i int) (values, scores []float32, err error) {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		l := p.layers[i]
		values = p.values(model, l)
		if scores, err = p.Criterion.Saliency(l, values); err != nil {
			return nil, nil, fmt.Errorf("weight %q: %w", l.Weight, err)
		}
		if len(scores) != len(values) {
			return nil, nil, fmt.Errorf("weight %q: %d scores, expected one for each of its %d weights", l.Weight, len(scores), len(values))
		}
		if &scores[0] != &values[0] {
			zerosFirst(values, scores)
		}
		return values, scores, nil
	}
	_, pattern := p.Granularity.(Pattern)
	counts := make([]int, len(p.layers))
	if !pattern {
		var err error
		counts, err = p.Scope.counts(&contest{
			layers: p.layers, units: p.units, empty: p.empty,
			amount: amount{p.Sparsity, p.Count, p.OfLeft, p.Schedule, step},
			scores: func(i int) ([]float32, error) {
				_, scores, err := weightScores(i)
				if err != nil {
					return nil, err
				}
				return p.grids[i].scores(scores, p.Norm), nil
			},
		})
		if err != nil {
			return nil, nil, err
		}
	}
	out := model.Clone()
	reports := make([]LayerReport, len(p.layers))
	for i, l := range p.layers {
		values, scores, err := weightScores(i)
		if err != nil {
			return nil, nil, err
		}
		pruned := p.scores.take(len(values))
		if n, ok := p.Granularity.(Pattern); ok {
			reports[i].Threshold = n.erase(p.grids[i], pruned, values, scores)
		} else {
			units := p.grids[i].scores(scores, p.Norm)
			reports[i].Threshold = p.grids[i].erase(pruned, values, units, cutAt(units, counts[i]))
		}
		out.Weights[l.Weight] = p.weight(model.Weights[l.Weight], pruned)
		reports[i].compare(l, p.values(m, l), pruned)
	}
	return out, reports, nil
}

// weight returns a weight that replaces t, with its type and with the elements
// of t or zeros.
func (p *pruning) weight(t *graph.Tensor, pruned []float32) *graph.Tensor {
	if t.DType == graph.Float32 {
		out := graph.FromFloats(t.Shape, pruned).Compact()
		if out.Sparse() != nil {
			return out
		}
		if cap(pruned) > 2*len(pruned) {
			return graph.FromFloats(t.Shape, slices.Clone(pruned))
		}
		p.scores.buffer = nil // it is the weight's from now on
		return out
	}
	// A weight of another type keeps it: what stays is not rounded twice.
	raw, size := slices.Clone(t.Raw()), t.DType.Bits()/8
	for i, x := range pruned {
		if x == 0 {
			clear(raw[i*size : (i+1)*size])
		}
	}
	out, err := graph.NewTensor(t.DType, t.Shape, raw)
	if err != nil {
		panic("prune: " + err.Error()) // same type, shape and bytes as t
	}
	return out
}

// compare fills in what became of a weight. The threshold is there.
func (r *LayerReport) compare(l Layer, before, after []float32) {
	r.Layer, r.Weights = l, len(before)
	r.ZerosBefore, r.ZerosAfter = countKey(before, 0), countKey(after, 0)
	gone, norm := 0.0, 0.0
	for i, x := range before {
		norm += float64(x) * float64(x)
		if d := float64(x) - float64(after[i]); x != after[i] {
			gone += d * d
		}
	}
	if e := math.Sqrt(gone / norm); e >= 0 && !math.IsInf(e, 1) {
		r.Error = e
	}
	if !(r.Threshold <= math.MaxFloat32) {
		r.Threshold = math.MaxFloat32
	}
}
