package main

import (
	"fmt"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/bench/builtin"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/prune"
	"github.com/nnz-dev/nnz/runtime"
)

// demoCmd shows in under two minutes what pruning costs and what it gains.
type demoCmd struct {
	compileFlags
	jsonFlag
}

// A demoReport is what `nnz demo --json` writes.
type demoReport struct {
	Accuracy []prunedAccuracy `json:"accuracy"`
	Networks []*bench.Report  `json:"networks"`
}

// A prunedAccuracy is what is left of a classifier at one sparsity.
type prunedAccuracy struct {
	Sparsity float64 `json:"sparsity"`
	bench.AccuracyReport
}

var (
	demoSparsities = []float64{0, 0.5, 0.8, 0.9, 0.95}
	demoNetworks   = []string{"resnet50", "mobilenet_v1"}
)

const (
	demoSparsity = 0.9 // of the networks
	demoRounds   = 10  // over the images
)

func (c *demoCmd) Run(e *env) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	say := func(format string, args ...any) {
		if !c.stdout() {
			fmt.Fprintf(e.out, format+"\n", args...)
		}
	}
	cpu := isa.Describe()
	say("%s: %d lanes of float32 a vector (%s), %s", cpu.Name, config.ISA.Lanes(), config.ISA, plural(cpu.Cores, "core"))
	var r demoReport
	if err := c.accuracy(e, config, &r, say); err != nil {
		return err
	}
	for _, network := range demoNetworks {
		if err := c.network(e, config, network, &r, say); err != nil {
			return err
		}
	}
	return c.write(e, r)
}

// accuracy prunes the trained network further and further.
func (c *demoCmd) accuracy(e *env, config runtime.Config, r *demoReport, say func(string, ...any)) error {
	trained, err := builtin.Load("lenet5")
	if err != nil {
		return err
	}
	var pruned []*graph.Model
	for _, sparsity := range demoSparsities {
		m, _, err := prune.Apply(e.ctx, trained, prune.Options{Sparsity: sparsity, Scope: prune.Global{}})
		if err != nil {
			return err
		}
		pruned = append(pruned, m)
		r.Accuracy = append(r.Accuracy, prunedAccuracy{Sparsity: sparsity})
	}
	images, labels := builtin.MNIST()
	if config.Threads == 0 {
		config.Threads = 1 // an image takes less time than waking a thread
	}
	// All take turns, and the best round of each counts: a round is so short
	// that whatever else the machine does shows in it.
	for round := range demoRounds {
		for i, m := range pruned {
			a, err := bench.Accuracy(e.ctx, m, images, labels, config)
			if err != nil {
				return err
			}
			if best := &r.Accuracy[i].AccuracyReport; round == 0 || a.Latency.P50 < best.Latency.P50 {
				*best = a
			}
		}
	}

	say("\nLeNet-5, trained, on %d digits of MNIST, %s. The weights of the smallest magnitude are", len(images), plural(config.Threads, "thread"))
	say("set to zero, over all layers together and without training afterwards:\n")
	t := newTable("zeros", "correct", "accuracy", "median ms an image", "faster by")
	for _, a := range r.Accuracy {
		t.AppendRow(row(percent(a.Sparsity), fmt.Sprintf("%d of %d", a.Correct, a.Examples), percent(a.Accuracy),
			ms(a.Latency.P50), fmt.Sprintf("%.2fx", r.Accuracy[0].Latency.P50/a.Latency.P50)))
	}
	say("%s", t.Render())
	return nil
}

// network compares a network of random weights dense with sparse.
func (c *demoCmd) network(e *env, config runtime.Config, name string, r *demoReport, say func(string, ...any)) error {
	spec := fmt.Sprintf("%s@%g", name, demoSparsity)
	m, err := builtin.Load(spec)
	if err != nil {
		return err
	}
	p := newProgress(e, name)
	defer p.end()
	b, err := bench.Compare(e.ctx, m, bench.Options{Name: builtinPrefix + spec, Threads: config.Threads, ISA: config.ISA, Progress: p.update})
	p.end()
	if err != nil {
		return err
	}
	r.Networks = append(r.Networks, b)
	say("\n%s, %s of the weights zero in every layer but the first convolution and the classifier,\nwhich makes %s of all; %s:\n",
		name, percent(demoSparsity), percent(b.Sparsity), plural(b.Threads, "thread"))
	t := newTable("<", "median ms", "p90 ms", "images a second")
	t.AppendRow(row("dense", ms(b.Dense.P50), ms(b.Dense.P90), fmt.Sprintf("%.1f", 1e3/b.Dense.P50*float64(b.Batch))))
	t.AppendRow(row("sparse", ms(b.Sparse.P50), ms(b.Sparse.P90), fmt.Sprintf("%.1f", 1e3/b.Sparse.P50*float64(b.Batch))))
	say("%s\n\n%s", t.Render(), reason(b))
	return nil
}

// reason says in words where the speed comes from.
func reason(b *bench.Report) string {
	skipping, full, slower := 0, 0, 0 // layers
	all, left := 0.0, 0.0             // multiplications
	for _, l := range b.Layers {
		products := float64(l.M) * float64(l.K) * float64(l.N)
		all += products
		switch {
		case l.M == 0:
		case l.Format != "dense":
			skipping++
			left += products * (1 - l.Sparsity)
		case l.Sparsity == 0:
			full++
			left += products
		default:
			slower++
			left += products
		}
	}
	s := fmt.Sprintf("%.2fx as fast: %s skip their zeros, which leaves %s of the multiplications.",
		b.Speedup, plural(skipping, "layer"), percent(left/max(1, all)))
	s += "\nEach that is left costs more than a dense one, as it brings the position of its weight along."
	if full > 0 {
		s += fmt.Sprintf("\n%s stay dense, as they have no zeros.", plural(full, "layer"))
	}
	if slower > 0 {
		s += fmt.Sprintf("\n%s stay dense, as they have too few zeros for skipping them to pay.", plural(slower, "layer"))
	}
	return s
}
