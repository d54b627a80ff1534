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
	// Norm measures a unit of several weights. For [Random] units are as likely
	// to go whatever it says, and for [Channels] L1 is Max.
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
// Besides the two models it takes the memory of the largest weight where the
// criterion makes scores, and of units of several weights one number each.
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
	// A sum over the weights of a unit would count how many there are.
	switch o.Criterion.(type) {
	case Random:
		o.Norm = first
	case *Channels:
		if o.Norm == L1 {
			o.Norm = Max
		}
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
	if p, ok := o.Granularity.(Pattern); ok && (o.Sparsity != 0 || o.Count != 0 || o.OfLeft || o.Scope != Scope(Local{}) || o.Norm != L1 && o.Norm != first || o.Schedule.steps() > 1) {
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
	units  []int // of each layer
	empty  []int // units of zeros before the first step
	// Memory that the layers use one after the other: elements of weights that are
	// not stored as dense float32, before and after the steps so far; scores; and
	// what stays.
	first, dense, scores workspace
	keep                 bitset
}

// cut cuts the weights into units.
func (p *pruning) cut(m *graph.Model) error {
	largest := 0
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
			empty = g.empty(valuesOf(m, *l, &p.dense))
		}
		p.empty = append(p.empty, empty)
		largest = max(largest, l.size())
	}
	for _, w := range []*workspace{&p.first, &p.dense, &p.scores} {
		w.most = largest
	}
	p.keep = make(bitset, (largest+63)/64)
	return nil
}

// valuesOf returns the elements of a layer's weight, which may be in w.
func valuesOf(m *graph.Model, l Layer, w *workspace) []float32 {
	t := m.Weights[l.Weight]
	if s := t.Sparse(); s != nil {
		return s.Dense(w.take(t.Len()))
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
	counts := make([]int, len(p.layers))
	if _, ok := p.Granularity.(Pattern); !ok {
		var err error
		counts, err = p.Scope.counts(&contest{
			layers: p.layers, units: p.units, empty: p.empty,
			amount: amount{p.Sparsity, p.Count, p.OfLeft, p.Schedule, step},
			scores: func(i int, visit func([]float32)) error {
				return p.unitScores(ctx, i, valuesOf(model, p.layers[i], &p.dense), visit)
			},
		})
		if err != nil {
			return nil, nil, err
		}
	}
	out := model.Clone()
	out.Packed = nil // of the weights before
	reports := make([]LayerReport, len(p.layers))
	for i, l := range p.layers {
		values := valuesOf(model, l, &p.dense)
		keep := p.keep[:(len(values)+63)/64]
		threshold, err := p.choose(ctx, i, values, keep, counts[i])
		if err != nil {
			return nil, nil, err
		}
		out.Weights[l.Weight] = masked(model.Weights[l.Weight], values, keep)
		before := values
		if step > 1 {
			before = valuesOf(m, l, &p.first)
		}
		reports[i] = reportOf(l, before, keep, threshold)
	}
	return out, reports, nil
}

// choose sets the bits of the elements that stay, where count units go, and
// returns the largest score that goes.
func (p *pruning) choose(ctx context.Context, i int, values []float32, keep bitset, count int) (float32, error) {
	keep.fill(values)
	if n, ok := p.Granularity.(Pattern); ok {
		scores, err := p.weightScores(ctx, i, values)
		if err != nil {
			return 0, err
		}
		return n.erase(p.grids[i], keep, scores), nil
	}
	each := func(visit func([]float32)) error { return p.unitScores(ctx, i, values, visit) }
	if !p.grids[i].single() {
		var units []float32
		if err := each(func(scores []float32) { units = scores }); err != nil {
			return 0, err
		}
		c, _ := cutAt(func(visit func([]float32)) error { visit(units); return nil }, count)
		return p.grids[i].erase(keep, units, c), nil
	}
	c, err := cutAt(each, count)
	if err != nil {
		return 0, err
	}
	var largest uint32
	at := 0
	err = each(func(scores []float32) {
		for _, x := range scores {
			if key := scoreKey(x); c.takes(key) {
				largest = max(largest, key)
				keep.remove(at)
			}
			at++
		}
	})
	return math.Float32frombits(largest), err
}

// unitScores visits the scores of a layer's units.
func (p *pruning) unitScores(ctx context.Context, i int, values []float32, visit func([]float32)) error {
	part, ok := p.Criterion.(pointwise)
	if !p.grids[i].single() || !ok {
		scores, err := p.weightScores(ctx, i, values)
		if err != nil {
			return err
		}
		if !p.grids[i].single() {
			scores = p.grids[i].scores(scores, p.Norm)
		}
		visit(scores)
		return nil
	}
	scores := p.scores.part()
	for from := 0; from < len(values); from += len(scores) {
		if err := ctx.Err(); err != nil {
			return err
		}
		values := values[from:min(len(values), from+len(scores))]
		scores := scores[:len(values)]
		part.score(p.layers[i], from, scores)
		zerosFirst(values, scores)
		visit(scores)
	}
	return nil
}

// weightScores returns the scores of a layer's weights.
func (p *pruning) weightScores(ctx context.Context, i int, values []float32) ([]float32, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l := p.layers[i]
	scores, err := p.Criterion.Saliency(l, values)
	if err != nil {
		return nil, fmt.Errorf("weight %q: %w", l.Weight, err)
	}
	if len(scores) != len(values) {
		return nil, fmt.Errorf("weight %q: %d scores, expected one for each of its %d weights", l.Weight, len(scores), len(values))
	}
	if &scores[0] != &values[0] {
		zerosFirst(values, scores)
	}
	return scores, nil
}

// masked returns a weight in place of t, whose elements values are, with those
// that stay and zeros for the others, and with the type of t.
func masked(t *graph.Tensor, values []float32, keep bitset) *graph.Tensor {
	if t.DType == graph.Float32 {
		return graph.Masked(t.Shape, values, keep)
	}
	// What stays of another type is not rounded twice.
	raw, size := slices.Clone(t.Raw()), t.DType.Bits()/8
	for i := range values {
		if !keep.has(i) {
			clear(raw[i*size : (i+1)*size])
		}
	}
	out, err := graph.NewTensor(t.DType, t.Shape, raw)
	if err != nil {
		panic("prune: " + err.Error()) // same type, shape and bytes as t
	}
	return out
}

// reportOf says what became of a weight, of whose elements some stay.
func reportOf(l Layer, before []float32, keep bitset, threshold float32) LayerReport {
	r := LayerReport{Layer: l, Weights: len(before), ZerosAfter: len(before) - keep.count(), Threshold: threshold}
	gone, norm := 0.0, 0.0
	for i, x := range before {
		square := float64(x) * float64(x)
		if x == 0 {
			r.ZerosBefore++
		}
		norm += square
		if !keep.has(i) {
			gone += square
		}
	}
	if e := math.Sqrt(gone / norm); e >= 0 && !math.IsInf(e, 1) {
		r.Error = e
	}
	if !(r.Threshold <= math.MaxFloat32) {
		r.Threshold = math.MaxFloat32
	}
	return r
}
