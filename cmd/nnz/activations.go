package main

import (
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/prune"
)

// activationFlags are the flags of prune that have layers take small activations
// for zero while they run.
type activationFlags struct {
	ActivationSparsity *float64 `placeholder:"0.5" help:"Have each Gemm and MatMul take this fraction of its inputs, those of the smallest magnitude, for zero while it runs; 0 for zeros alone."`
}

// sparsify returns the model with thresholds for the activations of the layers
// that o selects, and what they are: nil where nobody asked for any.
func (f activationFlags) sparsify(e *env, m *graph.Model, data prune.Calibration, o prune.Options) (*graph.Model, *prune.ActivationReport, error) {
	if f.ActivationSparsity == nil {
		return m, nil, nil
	}
	s := *f.ActivationSparsity
	if !(s >= 0 && s <= 1) {
		return nil, nil, usagef("--activation-sparsity %g: expected a fraction between 0 and 1, such as 0.5", s)
	}
	out, r, err := prune.SparsifyActivations(e.ctx, m, prune.ActivationOptions{
		Sparsity: s, Data: data.Data, Config: data.Config, Include: o.Include, Exclude: o.Exclude,
	})
	return out, &r, err
}

// printActivations prints the thresholds of the layers.
func printActivations(e *env, r *prune.ActivationReport) error {
	t := newTable("layer<", "op<", "input<", "seen", "threshold", "taken for zero")
	for _, l := range r.Layers {
		t.AppendRow(row(l.Weight, l.Kind, l.Input, count(l.Count), number(float64(l.Threshold)), percent(l.Sparsity)))
	}
	t.AppendFooter(row("mean by weights", "", "", "", "", percent(r.Sparsity)))
	return e.print(t)
}
