package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nnz-dev/nnz/bench/inspect"
	"github.com/nnz-dev/nnz/runtime"
	"github.com/nnz-dev/nnz/sparse"
)

// inspectCmd shows what a model is made of.
type inspectCmd struct {
	Model string   `arg:"" optional:"" help:"ONNX or .nnz file, or builtin:NAME."`
	Ops   bool     `help:"List the operators that run, their versions, and what is refused, instead of a model."`
	Block []string `default:"4x1,1x4" help:"Blocks of outputs x inputs to show the share of full ones of: 2x1, 4x1, 8x1, 16x1, 1x4, 1x8, 1x16, 4x4 or 8x8."`
	Why   bool     `help:"Show why each format was chosen."`
	compileFlags
	jsonFlag
}

func (c *inspectCmd) Run(e *env) error {
	switch {
	case c.Ops && c.Model != "":
		return usagef("--ops %s: expected no model", c.Model)
	case c.Ops:
		return c.operators(e)
	case c.Model == "":
		return usagef("expected a model, or --ops")
	}
	config, err := c.config()
	if err != nil {
		return err
	}
	m, err := c.open(e.ctx, c.Model)
	if err != nil {
		return err
	}
	defer m.Close()
	bind(&config, m.Model)
	r, modelErr := inspect.Model(e.ctx, m.Model, config)
	if e.ctx.Err() != nil {
		return e.ctx.Err()
	}
	// A model that cannot be run can still be looked at.
	if err := c.write(e, r); err != nil {
		return err
	}
	if !c.stdout() {
		if err := c.print(e, r, m.bytes); err != nil {
			return err
		}
	}
	return m.named(modelErr)
}

// operators lists what is supported.
func (c *inspectCmd) operators(e *env) error {
	list := runtime.Operators()
	if err := c.write(e, list); err != nil || c.stdout() {
		return err
	}
	t := newTable("operator<", "domain<", "since", "until", "refused<")
	for _, op := range list {
		since, until, refused := "", "", op.Refused
		if op.Runs {
			since = strconv.Itoa(op.Since)
		} else {
			refused = "all: " + refused
		}
		if op.Until > 0 {
			until = strconv.Itoa(op.Until)
		}
		t.AppendRow(row(op.Name, op.Domain, since, until, refused))
	}
	return e.print(t)
}

func (c *inspectCmd) print(e *env, r *inspect.Report, bytes int64) error {
	header := []string{"layer<", "op<", "shape", "parameters", "zeros"}
	for _, b := range c.Block {
		header = append(header, "full "+b)
	}
	header = append(header, "M x K x N", "format<", "kernel<")
	if c.Why {
		header = append(header, "why<")
	}
	t := newTable(header...)
	for _, l := range r.Layers {
		cells := []string{shorten(l.Name, maxName), l.Op, shape(l.Shape), count(l.Parameters), percent(l.Sparsity)}
		for _, b := range c.Block {
			cells = append(cells, full(l, b))
		}
		p := l.Plan
		if p == nil {
			p = &runtime.LayerReport{}
			cells = append(cells, "", "", "")
		} else {
			cells = append(cells, fmt.Sprintf("%d x %d x %d", p.M, p.K, p.N), p.Format, p.Kernel)
		}
		if c.Why {
			cells = append(cells, p.Why)
		}
		t.AppendRow(row(cells...))
	}
	if err := e.print(t); err != nil {
		return err
	}

	fmt.Fprintln(e.out)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(e.out, "%-11s %s\n", name, fmt.Sprintf(format, args...))
	}
	var opsets []string
	for domain, v := range r.Opset {
		opsets = append(opsets, strings.TrimSpace(fmt.Sprintf("%s %d", domain, v)))
	}
	slices.Sort(opsets)
	line("model", "%s; %s; IR %d, opset %s%s", c.Model, plural(r.Nodes, "node"), r.IR, strings.Join(opsets, ", "), by(r.Producer))
	line("inputs", "%s", describeValues(r.Inputs))
	line("outputs", "%s", describeValues(r.Outputs))
	line("parameters", "%s, %s of them zero (%s)", count(r.Parameters), count(r.Zeros), percent(ratio(r.Zeros, r.Parameters)))
	line("N:M", "%s", describePatterns(r.Layers))
	if bytes > 0 {
		line("file", "%s", size(bytes))
	}
	if r.Later > 0 {
		line("later", "%s, as shapes depend on data", plural(r.Later, "node"))
	}
	line("weights", "%s in memory", size(int64(r.WeightBytes)))
	if r.ISA != "" {
		line("plan", "%s, %s multiplications if dense; weights %s packed, session %s",
			r.ISA, count(r.MACs), size(int64(r.PackedBytes)), size(int64(r.ArenaBytes)))
		line("fusion", "%s become %s", plural(r.Nodes, "node"), count(r.FusedNodes))
	}
	return c.printPasses(e, r.Passes)
}

// printPasses shows what each pass did, and names those that had nothing to do.
func (c *inspectCmd) printPasses(e *env, passes []runtime.PassReport) error {
	t := newTable("pass<", "nodes", "change<")
	var idle []string
	for _, p := range passes {
		if len(p.Change) == 0 {
			idle = append(idle, p.Name)
			continue
		}
		t.AppendRow(row(p.Name, fmt.Sprintf("%d to %d", p.Before, p.After), describeChange(p.Change)))
	}
	if t.Length() > 0 {
		fmt.Fprintln(e.out)
		if err := e.print(t); err != nil {
			return err
		}
	}
	if len(idle) > 0 {
		fmt.Fprintf(e.out, "\n%-11s %s\n", "no change", strings.Join(idle, ", "))
	}
	return nil
}

// describeChange lists what became more before what became less.
func describeChange(change map[string]int) string {
	ops := slices.SortedFunc(maps.Keys(change), func(a, b string) int {
		return cmp.Or(-cmp.Compare(change[a], change[b]), cmp.Compare(a, b))
	})
	for i, op := range ops {
		ops[i] = fmt.Sprintf("%+d %s", change[op], op)
	}
	return strings.Join(ops, ", ")
}

// full writes the share of a layer's blocks of a size such as 4x1 that are
// full.
func full(l inspect.Layer, block string) string {
	for _, b := range l.Blocks {
		if block == fmt.Sprintf("%dx%d", b.R, b.C) {
			return percent(b.Full)
		}
	}
	return ""
}

// describePatterns counts the layers that are N:M sparse.
func describePatterns(layers []inspect.Layer) string {
	var parts []string
	for i, p := range sparse.Patterns() {
		n := 0
		for _, l := range layers {
			if i < len(l.Patterns) && l.Patterns[i].Holds {
				n++
			}
		}
		parts = append(parts, fmt.Sprintf("%d:%d in %d", p[0], p[1], n))
	}
	return fmt.Sprintf("%s of %s", strings.Join(parts, ", "), plural(len(layers), "layer"))
}

func by(producer string) string {
	if producer == "" {
		return ""
	}
	return "; by " + producer
}

func describeValues(vs []inspect.Value) string {
	parts := make([]string, len(vs))
	for i, v := range vs {
		parts[i] = v.Name + " " + v.DType + " " + strings.ReplaceAll(strings.Trim(fmt.Sprint(v.Shape), "[]"), " ", "x")
	}
	return strings.Join(parts, ", ")
}
