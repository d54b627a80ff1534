package sweep

import (
	"fmt"

	"github.com/nnz-dev/nnz/bench/report"
)

// Page shows a report in a browser.
func (r *Report) Page() report.Page {
	p := report.Page{Title: "What pruning costs and gains in " + r.Model}
	p.Parts = append(p.Parts, report.Text(r.Summary()))

	var columns []string
	for _, s := range r.Sparsities {
		columns = append(columns, percent(s))
	}
	heat := report.Heat{Title: "Sensitivity: the error where this layer alone is pruned, " + ErrorText(r.Error), Corner: "layer", Columns: columns}
	accuracy := report.Heat{Title: "Accuracy lost where this layer alone is pruned", Corner: "layer", Columns: columns}
	for _, l := range r.Layers {
		errors, lost := report.HeatRow{Name: l.Name}, report.HeatRow{Name: l.Name}
		for _, x := range l.Points {
			errors.Values = append(errors.Values, x.Error)
			errors.Texts = append(errors.Texts, fmt.Sprintf("%.3f", x.Error))
			if x.Accuracy != nil && r.Accuracy != nil {
				drop := *r.Accuracy - *x.Accuracy
				lost.Values = append(lost.Values, drop)
				lost.Texts = append(lost.Texts, fmt.Sprintf("%+.2f %%", 100*drop))
			}
		}
		heat.Rows = append(heat.Rows, errors)
		accuracy.Rows = append(accuracy.Rows, lost)
	}
	p.Parts = append(p.Parts, report.Heading("Error"), heat)
	if r.Accuracy != nil {
		p.Parts = append(p.Parts, accuracy)
	}

	measured := "predicted"
	if r.Measured() {
		measured = "measured"
	}
	stack := report.Chart{Title: "Latency of layers, all at one sparsity, " + measured, Bars: true, Stacks: true, Tall: true,
		X: report.Axis{Name: "sparsity of all layers", Labels: columns}, Y: report.Axis{Name: "ms"}}
	for _, l := range r.Layers {
		s := report.Series{Name: l.Name}
		for _, x := range l.Points {
			s.Y = append(s.Y, x.us()/1e3)
		}
		stack.Series = append(stack.Series, s)
	}
	if r.Measured() {
		rest := report.Series{Name: "(all else)"}
		for k, w := range r.Uniform {
			ms := w.MS
			for _, l := range r.Layers {
				ms -= l.Points[k].us() / 1e3
			}
			rest.Y = append(rest.Y, max(0, ms))
		}
		stack.Series = append(stack.Series, rest)
	}
	p.Parts = append(p.Parts, report.Heading("Latency"), stack)

	uniform, front := line("one sparsity for all layers", r.Uniform), line("best choice for each layer, as expected", r.Front)
	p.Parts = append(p.Parts, report.Heading("Error against latency"),
		report.Chart{Title: "What a latency costs, " + measured, X: report.Axis{Name: "latency, ms, " + measured}, Y: report.Axis{Name: "error, " + ErrorText(r.Error)},
			Series: []report.Series{front, uniform}})
	if r.Error == "outputs" {
		p.Parts = append(p.Parts, report.Text("Errors of one sparsity for all layers are measured. Those of the best choice are the roots of the sums of squares of its layers' errors, as if they were independent."))
	}
	return p
}

// Page shows a choice in a browser.
func (c *Choice) Page() report.Page {
	p := report.Page{Title: c.Model + ", a sparsity for each layer"}
	p.Parts = append(p.Parts, report.Text(c.Summary()))
	before := report.Series{Name: "dense"}
	after := report.Series{Name: "pruned"}
	var names []string
	stack := report.Chart{Title: "Latency of layers before and after, as expected", Bars: true, Stacks: true, Tall: true,
		X: report.Axis{Labels: []string{"dense", "pruned"}}, Y: report.Axis{Name: "ms"}}
	table := report.Table{Header: []string{"layer", "operator", "parameters", "sparsity", "error", "dense µs", "pruned µs"}}
	sum := Outcome{}
	dense := 0.0
	for _, l := range c.Layers {
		names = append(names, l.Name)
		before.Y, after.Y = append(before.Y, l.DenseUS/1e3), append(after.Y, l.US/1e3)
		stack.Series = append(stack.Series, report.Series{Name: l.Name, Y: []float64{l.DenseUS / 1e3, l.US / 1e3}})
		dense, sum.MS = dense+l.DenseUS/1e3, sum.MS+l.US/1e3
		table.Rows = append(table.Rows, []string{l.Name, l.Op, fmt.Sprint(l.Size), percent(l.Sparsity), fmt.Sprintf("%.3f", l.Error),
			fmt.Sprintf("%.1f", l.DenseUS), fmt.Sprintf("%.1f", l.US)})
	}
	rest := max(0, c.Expected.MS-sum.MS)
	stack.Series = append(stack.Series, report.Series{Name: "(all else)", Y: []float64{rest, rest}})
	p.Parts = append(p.Parts,
		report.Heading("Latency"), stack,
		report.Chart{Title: "Latency by layer, as expected", Bars: true, X: report.Axis{Labels: names}, Y: report.Axis{Name: "ms"}, Series: []report.Series{before, after}},
		report.Heading("Error against latency"),
		report.Chart{Title: "What a latency costs, as expected, and what was chosen", X: report.Axis{Name: "latency, ms"}, Y: report.Axis{Name: "error, " + ErrorText(c.ErrorOf)},
			Series: []report.Series{
				line("best choices, as expected", c.Front),
				{Name: "chosen, as expected", Points: true, X: []float64{c.Expected.MS}, Y: []float64{c.Expected.Error}},
				{Name: "chosen, as measured", Points: true, X: []float64{c.Measured.MS}, Y: []float64{c.Measured.Error}},
			}},
		report.Heading("Layers"), table)
	return p
}

func line(name string, list []Whole) report.Series {
	s := report.Series{Name: name}
	for _, w := range list {
		s.X, s.Y = append(s.X, w.MS), append(s.Y, w.Error)
	}
	return s
}

// Measured reports whether the latencies are.
func (r *Report) Measured() bool {
	return len(r.Layers) > 0 && r.Layers[0].Points[0].MeasuredUS > 0
}

func on(isa string, threads int) string {
	if threads == 1 {
		return isa + ", one thread"
	}
	return fmt.Sprintf("%s, %d threads", isa, threads)
}

// Summary says in a sentence or two what was measured.
func (r *Report) Summary() string {
	s := on(r.ISA, r.Threads) + "."
	switch {
	case r.Accuracy != nil:
		s += fmt.Sprintf(" Errors are of the outputs on %d examples, of which the dense model has %.2f %% right.", r.Examples, 100**r.Accuracy)
	case r.Error == "outputs":
		s += fmt.Sprintf(" Errors are of the outputs on %d examples.", r.Examples)
	default:
		s += " Errors are of the weights alone."
	}
	if !r.Measured() {
		s += " Latencies are what the cost model predicts of the layers, for one thread: they compare layers and sparsities, and may be off by a factor of two as a whole."
	}
	return s
}

// Summary says in a sentence or two what was chosen.
func (c *Choice) Summary() string {
	s := on(c.ISA, c.Threads) + ". "
	if c.BudgetMS > 0 {
		s += fmt.Sprintf("Asked for %.4g ms, ", c.BudgetMS)
	} else {
		s += fmt.Sprintf("Asked to lose at most %.3g %%, ", 100*c.MaxDrop)
	}
	s += fmt.Sprintf("expected %.4g ms, measured %.4g ms; the dense model takes %.4g ms. %.1f %% of the weights of all layers that take part are zero.",
		c.Expected.MS, c.Measured.MS, c.Dense.MS, 100*c.Zeros)
	return s
}

// ErrorText says what an error is relative to, given Report.Error.
func ErrorText(of string) string {
	if of == "outputs" {
		return "relative to the outputs"
	}
	return "relative to the weights"
}

func percent(fraction float64) string { return fmt.Sprintf("%.3g %%", 100*fraction) }
