package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/bench/report"
)

// A labTable is a table of a comparison, for a terminal and for a page.
type labTable struct {
	title  string
	note   string   // on what the title says, or empty
	header []string // as newTable takes it
	rows   [][]string
}

// printDropout prints what was measured, then what follows from it.
func printDropout(e *env, r *bench.DropoutReport) error {
	fmt.Fprintln(e.out, trainingWords(r))
	for _, t := range dropoutTables(r) {
		title := t.title
		if t.note != "" {
			title += ": " + t.note
		}
		fmt.Fprintf(e.out, "\n%s\n\n", title)
		table := newTable(t.header...)
		for _, cells := range t.rows {
			table.AppendRow(row(cells...))
		}
		if err := e.print(table); err != nil {
			return err
		}
	}
	return nil
}

// trainingWords says what was trained, and how.
func trainingWords(r *bench.DropoutReport) string {
	return fmt.Sprintf("Two networks of %s neurons, from the same weights, trained on the same %s digits of MNIST: %s, batches of %d,\n"+
		"SGD with momentum %g, learning rate %g falling to 0, seed %d; in %.1f s without and %.1f s with dropout of %s. Accuracies are of the runtime of nnz, on %s other digits as the test.",
		strings.ReplaceAll(shape(r.Widths), "x", "-"), count(r.Samples), plural(r.Epochs, "epoch"), r.Batch,
		r.Momentum, r.Rate, r.Seed, r.Plain.Seconds, r.Dropout.Seconds, percent(r.Dropout.Dropout), count(r.Tests))
}

// dropoutTables are those of the comparison.
func dropoutTables(r *bench.DropoutReport) []labTable {
	trained := labTable{
		title:  "Trained, and nothing pruned",
		note:   "the gap is train accuracy less test accuracy, in points",
		header: []string{"<", "train accuracy", "test accuracy", "gap", "train loss", "test loss", "parameters alive", ".nnz file", "median µs"},
	}
	tables := []labTable{trained}
	for _, n := range []*bench.TrainedNetwork{&r.Plain, &r.Dropout} {
		t := labTable{
			title: fmt.Sprintf("Trained %s, then pruned", withDropout(n)),
			note:  "the smallest weights of all layers together, and no training afterwards",
			header: []string{"zeros", "train accuracy", "test accuracy", "gap", "parameters alive", "of", "median µs", "faster by",
				"ONNX", "sparse ONNX", ".nnz"},
		}
		for i, p := range n.Pruned {
			if i == 0 {
				tables[0].rows = append(tables[0].rows, []string{withDropout(n), points(p.Train.Accuracy), points(p.Test.Accuracy), gap(p.Fit),
					number(p.Train.Loss), number(p.Test.Loss), count(p.Alive), size(p.NNZ), micros(1e3 * p.Latency.P50)})
			}
			t.rows = append(t.rows, []string{percent(p.Sparsity), points(p.Train.Accuracy), points(p.Test.Accuracy), gap(p.Fit),
				count(p.Alive), count(p.Parameters), micros(1e3 * p.Latency.P50), fmt.Sprintf("%.2fx", p.Speedup),
				size(p.DenseONNX), size(p.SparseONNX), size(p.NNZ)})
		}
		tables = append(tables, t)
	}
	return append(tables, conceptTable(r))
}

// conceptTable sets pruning against dropout, each with the numbers that show
// it: the network without dropout pruned, and the other one whole.
func conceptTable(r *bench.DropoutReport) labTable {
	whole, pruned, dropout := r.Plain.Pruned[0], prunedTo(&r.Plain, 0.9), r.Dropout.Pruned[0]
	t := labTable{
		title:  "What either is, beside the same network without any",
		header: []string{"<", fmt.Sprintf("pruning, to %s zeros<", percent(pruned.Sparsity)), fmt.Sprintf("dropout, of %s<", percent(r.Dropout.Dropout))},
	}
	add := func(what, pruning, dropout string) { t.rows = append(t.rows, []string{what, pruning, dropout}) }
	alive := func(p bench.PrunedNetwork) string {
		return fmt.Sprintf("%s of %s parameters alive", count(p.Alive), count(p.Parameters))
	}
	light := func(p bench.PrunedNetwork) string {
		return fmt.Sprintf("%s instead of %s, %.2fx as fast", size(p.NNZ), size(whole.NNZ), r.Plain.Dense.P50/p.Latency.P50)
	}
	overfits := func(p bench.PrunedNetwork) string {
		return fmt.Sprintf("gap of %s points instead of %s", gap(p.Fit), gap(whole.Fit))
	}
	accurate := func(p bench.PrunedNetwork) string {
		return fmt.Sprintf("%s instead of %s", points(p.Test.Accuracy), points(whole.Test.Accuracy))
	}
	add("does", "removes weights for good: "+alive(pruned), "deactivates neurons for a step: "+alive(dropout))
	add("makes light", "yes: "+light(pruned), "no: "+light(dropout))
	add("prevents overfitting", "not its purpose: "+overfits(pruned), "its purpose: "+overfits(dropout))
	add("test accuracy", accurate(pruned), accurate(dropout))
	add("when", fmt.Sprintf("after training: in %.1f ms, after %s", pruned.PruneMS, plural(r.Plain.Steps, "step")),
		fmt.Sprintf("during training: a new mask in each of %s", plural(r.Dropout.Steps, "step")))
	add("picks", fmt.Sprintf("small weights: of magnitude %s on average, others %s", number(pruned.MeanRemoved), number(pruned.MeanKept)),
		fmt.Sprintf("random neurons: each of %s for %s to %s of the examples", count(r.Dropout.Hidden), percent(r.Dropout.LeastDropped), percent(r.Dropout.MostDropped)))
	add("afterwards", fmt.Sprintf("parameters are gone: %s", count(pruned.Parameters-pruned.Alive)),
		fmt.Sprintf("parameters are used again: %s gone", count(dropout.Parameters-dropout.Alive)))
	return t
}

// prunedTo returns what is nearest to a sparsity.
func prunedTo(n *bench.TrainedNetwork, sparsity float64) bench.PrunedNetwork {
	best := n.Pruned[0]
	for _, p := range n.Pruned {
		if math.Abs(p.Sparsity-sparsity) < math.Abs(best.Sparsity-sparsity) {
			best = p
		}
	}
	return best
}

// dropoutPage is the comparison with charts.
func dropoutPage(r *bench.DropoutReport) report.Page {
	both := []*bench.TrainedNetwork{&r.Plain, &r.Dropout}
	page := report.Page{Title: "Dropout against pruning", Parts: []report.Part{report.Text(trainingWords(r))}}
	tables := dropoutTables(r)
	table := func(i int) {
		t := tables[i]
		header := make([]string, len(t.header))
		for i, h := range t.header {
			header[i] = strings.TrimSuffix(h, "<")
		}
		page.Parts = append(page.Parts, report.Heading(t.title))
		if t.note != "" {
			page.Parts = append(page.Parts, report.Text(strings.ToUpper(t.note[:1])+t.note[1:]+"."))
		}
		page.Parts = append(page.Parts, report.Table{Header: header, Rows: t.rows, Words: i == len(tables)-1})
	}
	table(len(tables) - 1)
	table(0)

	curve := report.Chart{Title: "Accuracy by epoch: what opens between the two lines of a network is overfitting",
		X: report.Axis{Name: "epoch"}, Y: report.Axis{Name: "accuracy, %"}}
	loss := report.Chart{Title: "Loss by epoch", X: report.Axis{Name: "epoch"}, Y: report.Axis{Name: "cross-entropy", Log: true}}
	for _, n := range both {
		var epochs, known, unknown, knownLoss, unknownLoss []float64
		for _, e := range n.Curve {
			epochs = append(epochs, float64(e.Epoch))
			known, unknown = append(known, 100*e.Train.Accuracy), append(unknown, 100*e.Test.Accuracy)
			knownLoss, unknownLoss = append(knownLoss, e.Train.Loss), append(unknownLoss, e.Test.Loss)
		}
		name := withDropout(n)
		curve.Series = append(curve.Series,
			report.Series{Name: name + ", test", X: epochs, Y: unknown},
			report.Series{Name: name + ", train", X: epochs, Y: known, Paired: true})
		loss.Series = append(loss.Series,
			report.Series{Name: name + ", test", X: epochs, Y: unknownLoss},
			report.Series{Name: name + ", train", X: epochs, Y: knownLoss, Paired: true})
	}

	var labels []string
	for _, p := range r.Plain.Pruned {
		labels = append(labels, percent(p.Sparsity))
	}
	zeros := report.Axis{Name: "zeros", Labels: labels}
	of := func(title, y string, bars bool, value func(n *bench.TrainedNetwork, p bench.PrunedNetwork) float64) report.Chart {
		c := report.Chart{Title: title, X: zeros, Y: report.Axis{Name: y}, Bars: bars}
		for _, n := range both {
			s := report.Series{Name: withDropout(n)}
			for _, p := range n.Pruned {
				s.Y = append(s.Y, value(n, p))
			}
			c.Series = append(c.Series, s)
		}
		return c
	}
	page.Parts = append(page.Parts, curve, loss)
	table(1)
	table(2)
	page.Parts = append(page.Parts,
		of("Test accuracy, as weights go", "accuracy, %", false, func(_ *bench.TrainedNetwork, p bench.PrunedNetwork) float64 { return 100 * p.Test.Accuracy }),
		of("Gap, as weights go", "points", false, func(_ *bench.TrainedNetwork, p bench.PrunedNetwork) float64 { return 100 * p.Gap() }),
		of("Time of one digit, one thread", "median µs", true, func(_ *bench.TrainedNetwork, p bench.PrunedNetwork) float64 { return 1e3 * p.Latency.P50 }),
		of("Size of the .nnz file", "KiB", true, func(_ *bench.TrainedNetwork, p bench.PrunedNetwork) float64 { return float64(p.NNZ) / (1 << 10) }),
		of("Parameters alive", "thousands", true, func(_ *bench.TrainedNetwork, p bench.PrunedNetwork) float64 { return float64(p.Alive) / 1e3 }),
	)
	return page
}

// withDropout says how a network was trained.
func withDropout(n *bench.TrainedNetwork) string {
	if n.Dropout > 0 {
		return "with dropout"
	}
	return "without dropout"
}

// points writes an accuracy to a hundredth of a per cent.
func points(accuracy float64) string { return fmt.Sprintf("%.2f %%", 100*accuracy) }

// gap writes the gap of a network in points.
func gap(f bench.Fit) string { return fmt.Sprintf("%.2f", 100*f.Gap()) }
