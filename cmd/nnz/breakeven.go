package main

import (
	"fmt"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/graph"
)

// breakEven shows from which sparsity on a model is faster for it.
func (c *benchCmd) breakEven(e *env, m *graph.Model, o bench.Options, p *progress) error {
	r, err := bench.FindBreakEven(e.ctx, m, bench.Ladder(), o)
	p.end()
	if err != nil {
		return err
	}
	if err := c.write(e, r); err != nil || c.stdout() {
		return err
	}
	return printBreakEven(e, r)
}

func printBreakEven(e *env, r *bench.BreakEven) error {
	t := newTable("sparsity", "zeros of all", "dense ms", "sparse ms", "auto ms", "sparse is faster by", "auto against the better", "runs")
	for _, rung := range r.Rungs {
		t.AppendRow(row(percent(rung.Sparsity), percent(rung.Zeros), ms(rung.Dense.Min), ms(rung.Sparse.Min), ms(rung.Auto.Min),
			fmt.Sprintf("%.2fx", rung.Speedup), fmt.Sprintf("%+.1f %%", 100*rung.AutoExcess), count(rung.Auto.Runs)))
	}
	if err := e.print(t); err != nil {
		return err
	}
	even := "sparse is slower than dense at all of them, or at the last"
	if r.Sparsity != nil {
		even = "sparse breaks even with dense at " + percent(*r.Sparsity)
	}
	_, err := fmt.Fprintf(e.out, "\n%s: %s, %s, batch %d; least times; %s; auto at worst %+.1f %% against the better\n",
		r.Model, r.ISA, plural(r.Threads, "thread"), r.Batch, even, 100*r.AutoExcess)
	return err
}
