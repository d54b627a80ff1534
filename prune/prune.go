// Package prune removes weights from a model: it turns a Model into another
// Model whose weights hold zeros where the removed ones were.
//
// What goes is decided by independent things: a criterion that scores weights, a
// granularity (single weights or blocks), a scope (each layer by itself or all
// layers together) and which layers take part.
package prune

import (
	"context"
	"fmt"

	"github.com/nnz-dev/nnz/graph"
)

// Norm is how a block of several weights is measured. For single weights every
// norm is the absolute value.
type Norm uint8

// The norms.
const (
	L1 Norm = iota // sum of absolute values
	L2             // root of the sum of squares
)

func (n Norm) String() string {
	if n == L2 {
		return "l2"
	}
	return "l1"
}

// ParseNorm reads what Norm.String writes.
func ParseNorm(s string) (Norm, error) {
	for _, v := range []Norm{L1, L2} {
		if s == v.String() {
			return v, nil
		}
	}
	return L1, fmt.Errorf("norm %q: expected l1 or l2", s)
}

// Options say what to prune.
type Options struct {
	// Sparsity is the fraction of weights, or of blocks, that are zero
	// afterwards, counted within the scope: round(Sparsity·n) of n, halves to
	// even. Zeros that are there already count, as they are the smallest.
	Sparsity float64
	// Criterion scores the weights; nil is [Magnitude].
	Criterion Criterion
	// Scope says which weights compete; nil is [Local].
	Scope Scope
	// Granularity is what goes or stays as a whole; the zero value is single
	// weights.
	Granularity Granularity
	Norm        Norm
	// Pattern, where it is not zero, says of itself what goes: Sparsity, Scope,
	// Granularity and Norm must be zero beside it.
	Pattern Pattern
	// Include and Exclude select layers by patterns in which * stands for any
	// run of characters and ? for one. A pattern is matched against a layer's
	// weight name, its node name and its kind (see [Layer]). An empty Include
	// takes every layer; Exclude wins over Include.
	Include, Exclude []string
}

// A Report says what was pruned.
type Report struct {
	Sparsity    float64       `json:"sparsity"` // zeros of all weights that took part
	Weights     int           `json:"weights"`
	ZerosBefore int           `json:"zeros_before"`
	ZerosAfter  int           `json:"zeros_after"`
	Layers      []LayerReport `json:"layers"`
}

// A LayerReport says what one layer lost.
type LayerReport struct {
	Layer
	Weights     int     `json:"weights"`
	ZerosBefore int     `json:"zeros_before"`
	ZerosAfter  int     `json:"zeros_after"`
	Threshold   float32 `json:"threshold"` // largest score, of a weight or of a unit, that went; 0 where none did
}

// Apply sets to zero the weights, or units of weights, that matter least, and
// returns the result as a new model: m is left as it is. Float32 weights that
// became sparse enough are stored so (see [graph.Tensor.Compact]).
//
// Among equal scores the one with the lower index goes first, where the index
// runs through the layers in node order and through the elements of a layer in
// memory order. A NaN counts as larger than any number.
func Apply(ctx context.Context, m *graph.Model, o Options) (*graph.Model, Report, error) {
	layers, err := o.layers(m)
	if err != nil {
		return nil, Report{}, err
	}
	scores, err := o.saliencies(ctx, m, layers)
	if err != nil {
		return nil, Report{}, err
	}
	erase, err := o.eraser(layers, scores)
	if err != nil {
		return nil, Report{}, err
	}
	out := m.Clone()
	var r Report
	for i, l := range layers {
		t, lr := l.prune(m.Weights[l.Weight], func(values []float32) float32 { return erase(i, values) })
		out.Weights[l.Weight] = t
		r.Layers = append(r.Layers, lr)
		r.Weights += lr.Weights
		r.ZerosBefore += lr.ZerosBefore
		r.ZerosAfter += lr.ZerosAfter
	}
	if r.Weights > 0 {
		r.Sparsity = float64(r.ZerosAfter) / float64(r.Weights)
	}
	return out, r, nil
}

// eraser returns what sets values of the i-th layer to zero, once for each
// layer, and returns the largest score that went.
func (o Options) eraser(layers []Layer, scores [][]float32) (func(i int, values []float32) float32, error) {
	if o.Pattern != (Pattern{}) {
		return func(i int, values []float32) float32 { return o.Pattern.erase(layers[i].at, values, scores[i]) }, nil
	}
	for i, l := range layers {
		scores[i] = o.Granularity.scores(l.at, scores[i], o.Norm)
	}
	counts, err := o.scope().counts(layers, scores, o.Sparsity)
	if err != nil {
		return nil, err
	}
	return func(i int, values []float32) float32 {
		s := scores[i]
		scores[i] = nil // a view of a large weight, or as large as one
		return o.Granularity.erase(layers[i].at, values, s, cutAt([][]float32{s}, counts[i]))
	}, nil
}

func (o Options) scope() Scope {
	if o.Scope == nil {
		return Local{}
	}
	return o.Scope
}

// layers checks the options and selects the layers they name.
func (o Options) layers(m *graph.Model) ([]Layer, error) {
	if !(o.Sparsity >= 0 && o.Sparsity <= 1) {
		return nil, fmt.Errorf("sparsity %v: expected a fraction between 0 and 1", o.Sparsity)
	}
	if err := o.scope().check(o); err != nil {
		return nil, err
	}
	if err := o.Granularity.check(); err != nil {
		return nil, err
	}
	if err := o.Pattern.check(); err != nil {
		return nil, err
	}
	if o.Pattern != (Pattern{}) && (o.Sparsity != 0 || o.scope() != Scope(Local{}) || o.Granularity != Granularity{} || o.Norm != L1) {
		return nil, fmt.Errorf("the pattern %v decides what goes, beside it there is no sparsity, scope, granularity or norm", o.Pattern)
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
	return chosen, nil
}
