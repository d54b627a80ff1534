package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/bench/sweep"
	"github.com/nnz-dev/nnz/internal/atomicfile"
	"github.com/nnz-dev/nnz/prune"
)

// sweepCmd shows what each layer would lose and gain.
type sweepCmd struct {
	Model       string    `arg:"" help:"ONNX or .nnz file, or builtin:NAME."`
	Sparsities  []float64 `placeholder:"LIST" default:"0.5,0.7,0.8,0.9,0.95" help:"Fractions of a layer's weights that are zero, rising. Default: ${default}."`
	Granularity string    `default:"weight" help:"What goes as a whole: weight, or a block of outputs x inputs such as 4x1."`
	Norm        string    `default:"l1" enum:"l1,l2" help:"How a block is measured: l1 or l2."`
	Include     []string  `placeholder:"PATTERN" help:"Only layers whose weight, node or operator matches; * stands for anything."`
	Exclude     []string  `placeholder:"PATTERN" help:"Not the layers that match."`
	Measure     bool      `help:"Time the layers at each sparsity, in turns, instead of only predicting it."`
	Runs        int       `placeholder:"N" help:"Runs of each with --measure. Default: as many as fit into three seconds, and at least 10."`
	HTML        htmlFlag  `embed:""`
	exampleFlags
	compileFlags
	jsonFlag
}

// htmlFlag is the flag --html of a command.
type htmlFlag struct {
	HTML string `name:"html" placeholder:"FILE" help:"Write a page with charts to FILE, which needs no network."`
}

// write writes a page where --html says, if it was given.
func (f htmlFlag) write(p interface{ Write(io.Writer) error }) error {
	if f.HTML == "" {
		return nil
	}
	return atomicfile.Write(f.HTML, p.Write)
}

func (c *sweepCmd) Run(e *env) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	if c.Runs < 0 {
		return usagef("--runs %d: expected a positive number", c.Runs)
	}
	o := sweep.Options{Sparsities: c.Sparsities, Measure: c.Measure, Prune: prune.Options{Include: c.Include, Exclude: c.Exclude}}
	if err := sweep.CheckSparsities(c.Sparsities); err != nil {
		return usagef("--sparsities: %w", err)
	}
	if o.Prune.Granularity, err = prune.ParseGranularity(c.Granularity); err != nil {
		return usageError{err}
	}
	if o.Prune.Norm, err = prune.ParseNorm(c.Norm); err != nil {
		return usageError{err}
	}
	m, err := openModel(e.ctx, c.Model)
	if err != nil {
		return err
	}
	defer m.Close()
	bound := bind(&config, m.Model)
	if _, _, err := prune.Apply(e.ctx, m.Model, o.Prune); err != nil { // to nothing
		return usagef("%s: %w", c.Model, err) // patterns that match nothing, a model without weights
	}
	var random bool
	if o.Data, random, err = c.read(c.Model, m.Model, config); err != nil {
		return err
	}
	if random {
		warnRandom(e, o.Data.Examples())
	}
	p := newProgress(e, c.Model)
	defer p.end()
	o.Bench = bench.Options{
		Name: c.Model, Threads: config.Threads, ISA: config.ISA, Shapes: config.Shapes, Dims: config.Dims,
		SkipPasses: config.SkipPasses, Runs: c.Runs, Progress: p.update,
	}
	r, err := sweep.Run(e.ctx, m.Model, o)
	p.end()
	if err != nil {
		return err
	}
	if err := c.HTML.write(r.Page()); err != nil {
		return err
	}
	if err := c.write(e, r); err != nil || c.stdout() {
		return err
	}
	if err := printSweep(e, r); err != nil {
		return err
	}
	if len(bound) > 0 {
		_, err = fmt.Fprintf(e.out, "open extents taken as 1: %s\n", strings.Join(bound, ", "))
	}
	return err
}

// warnRandom says that inputs are made up.
func warnRandom(e *env, n int) {
	fmt.Fprintf(e.err, "nnz: warning: no --data, errors are measured on %s at random, which say little about real ones\n", plural(n, "set")+" of inputs")
}

// printSweep prints a table of errors, one of times and the whole models.
func printSweep(e *env, r *sweep.Report) error {
	header := []string{"layer<", "op<", "M x K x N", "parameters"}
	for _, s := range r.Sparsities[1:] {
		header = append(header, percent(s))
	}
	errors := newTable(header...)
	lost := newTable(header...)
	times := newTable(append(append([]string{}, header[:4]...), append([]string{"dense"}, header[4:]...)...)...)
	for _, l := range r.Layers {
		cells := []string{shorten(l.Name, maxName), l.Op, fmt.Sprintf("%d x %d x %d", l.M, l.K, l.N), count(l.Size)}
		byError, byLoss, byTime := cells, cells[:4:4], cells[:4:4]
		for k, p := range l.Points {
			us, format := p.PredictedUS, " "+p.Format
			if p.MeasuredUS > 0 {
				us = p.MeasuredUS
			}
			byTime = append(byTime, micros(us)+format)
			if k == 0 {
				continue
			}
			byError = append(byError, number(p.Error))
			if p.Accuracy != nil {
				byLoss = append(byLoss, fmt.Sprintf("%+.2f %%", 100*(*r.Accuracy-*p.Accuracy)))
			}
		}
		errors.AppendRow(row(byError...))
		lost.AppendRow(row(byLoss...))
		times.AppendRow(row(byTime...))
	}
	fmt.Fprintf(e.out, "error %s, where one layer alone is pruned to\n\n", sweep.ErrorText(r.Error))
	if err := e.print(errors); err != nil {
		return err
	}
	if r.Accuracy != nil {
		fmt.Fprintf(e.out, "\naccuracy lost, where one layer alone is pruned to\n\n")
		if err := e.print(lost); err != nil {
			return err
		}
	}
	how := "predicted by the cost model for one thread, which compares well and may be off by a factor of two as a whole"
	if r.Measured() {
		how = "measured in turns, all layers pruned"
	}
	fmt.Fprintf(e.out, "\nmicroseconds of a layer and the format of its weight, %s\n\n", how)
	if err := e.print(times); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "\nall layers at one sparsity\n\n")
	whole := newTable("sparsity", "ms", "error", "accuracy")
	for k, w := range r.Uniform {
		accuracy := ""
		if w.Accuracy != nil {
			accuracy = fmt.Sprintf("%.2f %%", 100**w.Accuracy)
		}
		whole.AppendRow(row(percent(r.Sparsities[k]), ms(w.MS), number(w.Error), accuracy))
	}
	if err := e.print(whole); err != nil {
		return err
	}
	_, err := fmt.Fprintf(e.out, "\n%s: %s\n", r.Model, r.Summary())
	return err
}
