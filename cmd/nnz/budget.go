package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/bench/builtin"
	"github.com/nnz-dev/nnz/bench/sweep"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/prune"
)

// budgetFlags have the sparsity of each layer chosen, in place of one for all.
type budgetFlags struct {
	Budget  time.Duration `group:"How much" placeholder:"10ms" help:"Choose a sparsity for each layer so that an inference takes this long and errors are least. Without --calibrate errors are those of the weights, and the first convolution and the last layer stay as they are."`
	MaxDrop string        `group:"How much" placeholder:"1%" help:"Choose the fastest sparsities that lose at most this share of accuracy, where labels are known, or make at most this error relative to the outputs."`
	Runs    int           `placeholder:"N" help:"Runs of each measurement for a budget. Default: as many as fit into three seconds, and at least 10."`
	HTML    htmlFlag      `embed:""`
	Labels  string        `placeholder:"FILE" help:"Classes of the --calibrate data, an .npy file of whole numbers: errors are then of accuracy, too."`
	compileFlags
}

// asked reports whether sparsities are to be chosen.
func (f *budgetFlags) asked() bool { return f.Budget != 0 || f.MaxDrop != "" }

// A planned is a choice for a model, and what it was made with.
type planned struct {
	*sweep.Choice
	options sweep.Options
}

func (p *planned) choice() *sweep.Choice {
	if p == nil {
		return nil
	}
	return p.Choice
}

// choose chooses the sparsities of the layers of a model, of which o says how
// they are pruned otherwise.
func (f *budgetFlags) choose(e *env, name string, m *graph.Model, o prune.Options, data dataFlags) (*planned, error) {
	examples := exampleFlags{Data: data.Calibrate, Labels: f.Labels, imageFlags: data.imageFlags}
	if data.Calibrate != "" {
		examples.Examples = data.CalibrateSamples
	}
	drop, err := f.drop()
	if err != nil {
		return nil, err
	}
	switch {
	case f.Budget < 0:
		return nil, usagef("--budget %v: expected a positive time", f.Budget)
	case f.Runs < 0:
		return nil, usagef("--runs %d: expected a positive number", f.Runs)
	}
	if err := examples.check(); err != nil {
		return nil, err
	}
	config, err := f.config()
	if err != nil {
		return nil, err
	}
	bind(&config, m)
	p := &planned{options: sweep.Options{Prune: o}}
	measured := drop > 0 || examples.given(name) // errors are
	kept := false
	if ends := builtin.Kept(m); !measured && len(o.Include) == 0 && len(ends) > 0 {
		p.options.Prune.Exclude = append(slices.Clone(o.Exclude), ends...)
		kept = true
	}
	if _, _, err := prune.Apply(e.ctx, m, p.options.Prune); err != nil { // to nothing
		return nil, usagef("%s: %w", name, err)
	}
	if measured {
		random := false
		if p.options.Data, random, err = examples.read(name, m, config); err != nil {
			return nil, err
		}
		if random {
			warnRandom(e, p.options.Data.Examples())
		}
	} else {
		fmt.Fprintln(e.err, "nnz: warning: no --calibrate, errors are taken to be those of the weights")
	}
	bar := newProgress(e, name)
	defer bar.end()
	p.options.Bench = bench.Options{
		Name: name, Threads: config.Threads, ISA: config.ISA, Shapes: config.Shapes, Dims: config.Dims,
		SkipPasses: config.SkipPasses, Runs: f.Runs, Progress: bar.update,
	}
	if f.Budget > 0 {
		p.Choice, err = sweep.ForLatency(e.ctx, m, f.Budget, p.options)
	} else {
		p.Choice, err = sweep.ForDrop(e.ctx, m, drop, p.options)
	}
	var unreachable *sweep.UnreachableError
	if errors.As(err, &unreachable) {
		return nil, usagef("--budget %v: %w", f.Budget, err)
	}
	if err != nil {
		return nil, err
	}
	p.Kept = kept
	return p, nil
}

// drop reads --max-drop: 1% or 0.01.
func (f *budgetFlags) drop() (float64, error) {
	if f.MaxDrop == "" {
		return 0, nil
	}
	text, percent := strings.CutSuffix(f.MaxDrop, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v > 0 && v < 1) {
		return 0, usagef("--max-drop %s: expected a share such as 1%% or 0.01", f.MaxDrop)
	}
	return v, nil
}

// measure measures a model that was pruned as chosen beside the dense one.
func (p *planned) measure(e *env, dense, pruned *graph.Model) error {
	bar := newProgress(e, p.Model)
	defer bar.end()
	p.options.Bench.Progress = bar.update
	return p.Measure(e.ctx, dense, pruned, p.options)
}

// print says what was asked for, what was expected and what was measured.
func (p *planned) print(e *env) error {
	t := newTable("<", "ms", "error "+sweep.ErrorText(p.ErrorOf), "accuracy")
	add := func(name string, o sweep.Outcome) {
		accuracy := ""
		if o.Accuracy != nil {
			accuracy = fmt.Sprintf("%.2f %%", 100**o.Accuracy)
		}
		t.AppendRow(row(name, ms(o.MS), number(o.Error), accuracy))
	}
	add("dense", p.Dense)
	add("expected", p.Expected)
	add("measured", p.Measured)
	fmt.Fprintln(e.out)
	if err := e.print(t); err != nil {
		return err
	}
	if p.Kept {
		fmt.Fprintln(e.out, "\nthe first convolution and the last layer stay as they are, since without data nothing says how much they matter")
	}
	asked := fmt.Sprintf("asked for %v", time.Duration(p.BudgetMS*1e6))
	if p.MaxDrop > 0 {
		asked = fmt.Sprintf("asked to lose at most %.3g %%", 100*p.MaxDrop)
	}
	_, err := fmt.Fprintf(e.out, "\n%s: %s, %s, %s; measured %+.1f %% beside what was expected, %.2fx as fast as dense; %s tried on the way\n",
		p.Model, asked, p.ISA, plural(p.Threads, "thread"), 100*(p.Measured.MS/p.Expected.MS-1), p.Dense.MS/p.Measured.MS, plural(p.Tried, "choice"))
	return err
}
