package main

import (
	"fmt"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/prune"
	"github.com/nnz-dev/nnz/runtime"
)

// activationFlags are the flags of prune that have layers take small activations
// for zero while they run.
type activationFlags struct {
	ActivationSparsity *float64 `placeholder:"0.5" help:"Have each Gemm and MatMul take this fraction of its inputs, those of the smallest magnitude, for zero while it runs; 0 for zeros alone."`
}

// randomSets is how many sets of random inputs stand in for data.
const randomSets = 16

// sparsify returns the model with thresholds for the activations, and what they
// are: nil where nobody asked for any. Without data, inputs are random.
func (f activationFlags) sparsify(e *env, m *graph.Model, data prune.Data, o prune.ActivationOptions) (*graph.Model, *prune.ActivationReport, error) {
	if f.ActivationSparsity == nil {
		return m, nil, nil
	}
	o.Sparsity = *f.ActivationSparsity
	if !(o.Sparsity >= 0 && o.Sparsity <= 1) {
		return nil, nil, usagef("--activation-sparsity %g: expected a fraction between 0 and 1, such as 0.5", o.Sparsity)
	}
	if o.Data = data; data == nil {
		var err error
		if o.Data, err = prune.RandomData(m, o.Config.Dims, randomSets, 1); err != nil {
			return nil, nil, usageError{err}
		}
		fmt.Fprintln(e.err, "nnz: thresholds of activations come from random inputs, and may be far off on real ones")
	}
	out, r, err := prune.SparsifyActivations(e.ctx, m, o)
	return out, &r, err
}

// calibrationConfig is what models are calibrated with.
func calibrationConfig() (runtime.Config, error) {
	i, err := isa.FromEnv()
	return runtime.Config{ISA: i}, err
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
