package main

import (
	"fmt"

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

// calibration reads the data, or makes some by chance and says so.
func (f calibrateFlags) calibration(e *env, m *graph.Model) (prune.Calibration, error) {
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
	fmt.Fprintln(e.err, "nnz: warning: the model runs on random numbers, which are not what it is for: give data with --calibrate")
	return c, nil
}

// recover makes up for what a method has pruned.
func (f calibrateFlags) recover(e *env, method string, dense, pruned *graph.Model, c prune.Calibration, o prune.Options) (*graph.Model, error) {
	if method == "sparsegpt" {
		var err error
		pruned, err = prune.Recover(e.ctx, dense, pruned, prune.Recovery{
			Method: prune.SparseGPT, Calibration: c, Damping: f.Damping,
			Choose: true, Granularity: o.Granularity,
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
