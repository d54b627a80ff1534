package main

import (
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/prune"
)

// calibrateFlags are the flags of methods that look at data, and of what makes up
// for pruned weights.
type calibrateFlags struct {
	dataFlags
	Recover string  `default:"none" enum:"none,bias,refit,sparsegpt" help:"Make up for pruned weights, without training: correct the mean of each output (bias), give the weights that are left the values that fit best (refit), or SparseGPT's update of them (sparsegpt). Default: none."`
	Damping float64 `default:"0.01" placeholder:"D" help:"Of obs, refit and sparsegpt: what is added to the diagonal of Hessians, as a fraction of its mean. More holds weights where they are. Default: ${default}."`
}

// calibratedMethods are the methods that look at data.
var calibratedMethods = []string{"wanda", "obd", "obs", "sparsegpt"}

// calibrated reports whether a method, or what comes after it, needs data.
func (f calibrateFlags) calibrated(method string) bool {
	return f.Recover != "none" || slices.Contains(calibratedMethods, method)
}

// calibration reads the data, or makes some by chance and says so.
func (f calibrateFlags) calibration(e *env, m *graph.Model, method string) (prune.Calibration, error) {
	c := prune.Calibration{Seed: 1}
	if !(f.Damping > 0) {
		return c, usagef("--damping %g: expected a positive number", f.Damping)
	}
	var err error
	if c.Config.ISA, err = isa.FromEnv(); err != nil {
		return c, usageError{err}
	}
	if f.Calibrate != "" {
		sets, err := f.read(m)
		if err != nil {
			return c, err
		}
		c.Data = prune.Sets(sets...)
		return c, nil
	}
	if c.Data, err = prune.RandomData(m, nil, f.CalibrateSamples, c.Seed); err != nil {
		return c, usageError{err}
	}
	what := "--method " + method
	if f.Recover != "none" {
		what = "--recover " + f.Recover
	}
	fmt.Fprintf(e.err, "nnz: warning: %s looks at what flows through the model, and runs it on random numbers, which are not what it is for: give data with --calibrate\n", what)
	return c, nil
}

// criterion makes the criterion of a calibrated method, for options that have all
// else; nil for other methods. SparseGPT chooses weights itself, but not how many
// of each layer.
func (f calibrateFlags) criterion(method string, c prune.Calibration, o prune.Options) prune.Criterion {
	local := o.Scope == prune.Local && o.Pattern == prune.Pattern{}
	switch {
	case method == "wanda":
		return &prune.Wanda{Calibration: c, Rows: local && o.Granularity == prune.Granularity{}}
	case method == "obd":
		return &prune.OBD{Calibration: c}
	case method == "obs", method == "sparsegpt" && !local:
		return &prune.OBS{Calibration: c, Damping: f.Damping}
	}
	return nil
}

// recover makes up for what a method has pruned.
func (f calibrateFlags) recover(e *env, method string, dense, pruned *graph.Model, c prune.Calibration, o prune.Options) (*graph.Model, error) {
	if method == "sparsegpt" {
		var err error
		pruned, err = prune.Recover(e.ctx, dense, pruned, prune.Recovery{
			Method: prune.SparseGPT, Calibration: c, Damping: f.Damping,
			Choose: true, Granularity: o.Granularity, Pattern: o.Pattern,
		})
		if err != nil {
			return nil, err
		}
	}
	if f.Recover == "none" || method == f.Recover {
		return pruned, nil
	}
	how, err := prune.ParseMethod(f.Recover)
	if err != nil {
		return nil, usageError{err}
	}
	return prune.Recover(e.ctx, dense, pruned, prune.Recovery{Method: how, Calibration: c, Damping: f.Damping})
}
