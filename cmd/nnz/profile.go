package main

import (
	"fmt"
	"strings"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/bench/kernels"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/atomicfile"
)

// profile shows where the time of one plan goes.
func (c *benchCmd) profile(e *env, m *graph.Model, o bench.Options, p *progress) error {
	r, err := bench.ProfilePlan(e.ctx, m, kernels.Measure(o.ISA), o)
	p.end()
	if err != nil {
		return err
	}
	if c.Trace != "" {
		if err := atomicfile.Write(c.Trace, r.WriteTrace); err != nil {
			return err
		}
	}
	if err := c.write(e, r); err != nil || c.stdout() {
		return err
	}
	return printProfile(e, r)
}

// costliest is how many steps are shown once more, the slowest first.
const costliest = 10

// printProfile prints the steps in order, then what they come to.
func printProfile(e *env, r *bench.Profile) error {
	whole := r.Run.P50 * 1e3
	steps := func(list []bench.ProfileStep) error {
		t := newTable("step<", "op<", "kind<", "M x K x N", "zeros", "format<", "kernel<", "strips", "µs", "of run", "activations", "weight", "GF/s", "bound µs", "by<", "of bound")
		for _, s := range list {
			product, zeros, gflops, weight, strips := "", "", "", "", ""
			if s.Strips > 0 {
				strips = count(s.Strips)
			}
			if s.M > 0 {
				product, zeros, weight = fmt.Sprintf("%d x %d x %d", s.M, s.K, s.N), percent(s.Sparsity), size(int64(s.Weight))
			}
			if s.GFlops > 0 {
				gflops = fmt.Sprintf("%.1f", s.GFlops)
			}
			t.AppendRow(row(shorten(s.Name, maxName), s.Op, s.Kind, product, zeros, s.Format, s.Kernel, strips, micros(s.US), percent(s.Share),
				size(int64(s.Moved)), weight, gflops, micros(s.Bound.US), s.Bound.Name, percent(s.BoundShare)))
		}
		return e.print(t)
	}
	if err := steps(r.Steps); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "\nthe costliest:\n")
	if err := steps(r.Costliest(costliest)); err != nil {
		return err
	}
	fmt.Fprintln(e.out)
	kinds := newTable("kind<", "steps", "µs", "of run", "moved")
	for _, k := range r.Kinds {
		kinds.AppendRow(row(k.Kind, count(k.Steps), micros(k.US), percent(k.Share), size(int64(k.Bytes))))
	}
	if err := e.print(kinds); err != nil {
		return err
	}
	fmt.Fprintln(e.out)
	if err := printWaterfall(e, r); err != nil {
		return err
	}
	var rates []string
	if r.Limits.Peak > 0 {
		rates = append(rates, fmt.Sprintf("%.0f GF/s", r.Limits.Peak))
	}
	for _, l := range r.Limits.Levels {
		rates = append(rates, fmt.Sprintf("%s %.0f GB/s", l.Name, l.Read))
	}
	fmt.Fprintf(e.out, "\n%s: %s, %s, batch %d, %s, %s zeros; this core: %s\n", r.Model, r.ISA, plural(r.Threads, "thread"),
		r.Batch, r.Mode, percent(r.Sparsity), strings.Join(rates, ", "))
	_, err := fmt.Fprintf(e.out, "a whole run takes %s ms (median of %d; p90 %s, min %s); clocks around the steps add %s µs (%s) to their times\n",
		ms(r.Run.P50), r.Run.Runs, ms(r.Run.P90), ms(r.Run.Min), micros(r.ClockUS), percent(r.ClockUS/max(whole, 1e-9)))
	if r.Later > 0 && err == nil {
		_, err = fmt.Fprintf(e.out, "%s only a run tells the shapes of are no steps\n", plural(r.Later, "node"))
	}
	return err
}

// partTexts say what the parts of a waterfall are; the others are what steps of
// a kind take beyond their multiply-adds.
var partTexts = map[string]string{
	"ideal":        "multiply-adds of nonzeros at the peak of their kernels",
	"padding":      "lanes that hold no pixel",
	"stored_zeros": "zeros that are stored and multiplied",
	"traffic":      "products that wait for bytes from caches or memory",
	"kernels":      "products below their bound",
	"dispatch":     "between the steps",
	"scatter":      "whole runs, without clocks, against the medians of steps",
	"later":        "nodes that are no steps, and scatter",
}

// barWidth is how many characters stand for a whole run.
const barWidth = 40

// printWaterfall prints the parts of a run, each beginning where the one before
// ended.
func printWaterfall(e *env, r *bench.Profile) error {
	t := newTable("waterfall<", "what it is<", "µs", "of run", "so far", "<")
	sum := 0.0
	for _, p := range r.Waterfall {
		text, ok := partTexts[p.Name]
		if !ok {
			text = p.Name + " steps beyond multiply-adds"
		}
		from := sum
		sum += p.Share
		t.AppendRow(row(p.Name, text, micros(p.US), percent(p.Share), percent(sum), bar(min(from, sum), max(from, sum))))
	}
	t.AppendRow(row("run", "a whole run", micros(r.Run.P50*1e3), percent(1), "", bar(0, 1)))
	return e.print(t)
}

// bar draws the span between two fractions of a whole.
func bar(from, to float64) string {
	at := func(f float64) int { return int(min(max(f, 0), 1)*barWidth + 0.5) }
	return strings.Repeat("·", at(from)) + strings.Repeat("█", at(to)-at(from))
}

// micros writes microseconds.
func micros(v float64) string { return fmt.Sprintf("%.1f", v) }
