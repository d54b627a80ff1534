package main

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/bench/mnist"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/atomicfile"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime"
)

// labCmds are experiments.
type labCmds struct {
	DropoutVsPruning dropoutVsPruningCmd `cmd:"" name:"dropout-vs-pruning" help:"Train a small network on MNIST without and with dropout, prune both, and see what either is for."`
}

// dropoutVsPruningCmd sets pruning against dropout, with numbers.
type dropoutVsPruningCmd struct {
	Data    string  `placeholder:"DIR" help:"Folder with the four files of MNIST, train-images-idx3-ubyte.gz and so on. Default: datasets/mnist in $$NNZ_TESTDATA or in ../shared/testdata."`
	Samples int     `default:"10000" help:"Digits to train with, of 60,000. The fewer, the more a network learns by heart."`
	Epochs  int     `default:"40" help:"Times that training goes through them."`
	Dropout float64 `default:"0.3" help:"Fraction of the hidden neurons that each step leaves out. 0.5 is common for layers that are wider than the 300 and 100 of this network."`
	Seed    uint64  `default:"1" help:"Of the weights, the order of digits and what is left out. The same seed gives the same networks on the same instruction set."`
	Threads int     `placeholder:"N" help:"Goroutines that train. Default: physical cores, or what GOMAXPROCS or a quota allows. Latencies are of one."`
	Runs    int     `placeholder:"N" help:"Runs of each network to time it; default: as many as fit into three seconds, and at least 10."`
	Save    string  `placeholder:"DIR" help:"Write the trained networks as plain.onnx and dropout.onnx, to try nnz prune on."`
	HTML    string  `name:"html" placeholder:"FILE" help:"Write the result as a page with charts, too. It needs no network."`
	jsonFlag
}

// dropoutSparsities are what both networks are pruned to.
var dropoutSparsities = []float64{0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98}

func (c *dropoutVsPruningCmd) Run(e *env) error {
	o, err := c.options()
	if err != nil {
		return err
	}
	known, unknown, err := c.read()
	if err != nil {
		return err
	}
	if c.Samples > known.Len() {
		return usagef("--samples %d: expected at most %d, which is all there are", c.Samples, known.Len())
	}
	if c.Save != "" {
		if err := os.MkdirAll(c.Save, 0o777); err != nil {
			return err
		}
	}
	p := newProgress(e, "")
	o.Progress = func(stage string, done float64) {
		if p.label != stage {
			p.end()
			p = newProgress(e, stage)
		}
		p.update(done)
	}
	r, err := bench.DropoutVsPruning(e.ctx, known.First(c.Samples), unknown, o)
	p.end()
	if err != nil {
		return err
	}
	if c.HTML != "" {
		page := dropoutPage(r)
		if err := atomicfile.Write(c.HTML, func(w io.Writer) error { return page.Write(w) }); err != nil {
			return err
		}
	}
	if err := c.write(e, r); err != nil || c.stdout() {
		return err
	}
	return printDropout(e, r)
}

// options turns the flags into options.
func (c *dropoutVsPruningCmd) options() (bench.DropoutOptions, error) {
	o := bench.DropoutOptions{Epochs: c.Epochs, Dropout: c.Dropout, Sparsities: dropoutSparsities, Seed: c.Seed, Threads: c.Threads, Runs: c.Runs}
	switch {
	case c.Samples < 1:
		return o, usagef("--samples %d: expected a positive number", c.Samples)
	case c.Epochs < 1:
		return o, usagef("--epochs %d: expected a positive number", c.Epochs)
	case !(c.Dropout > 0 && c.Dropout < 1):
		return o, usagef("--dropout %g: expected a fraction between 0 and 1, such as 0.3", c.Dropout)
	case c.Runs < 0:
		return o, usagef("--runs %d: expected a positive number", c.Runs)
	case c.Threads < 0:
		return o, usagef("--threads %d: expected a positive number", c.Threads)
	case c.Threads == 0:
		o.Threads = runtime.DefaultThreads()
	}
	var err error
	if o.ISA, err = isa.FromEnv(); err != nil {
		return o, usageError{err}
	}
	if c.Save != "" {
		o.Trained = func(name string, m *graph.Model) error {
			return loader.Save(filepath.Join(c.Save, name+".onnx"), m, loader.SaveOptions{})
		}
	}
	return o, nil
}

// read reads the digits.
func (c *dropoutVsPruningCmd) read() (known, unknown mnist.Set, err error) {
	dir := c.Data
	if dir == "" {
		testdata := cmp.Or(os.Getenv("NNZ_TESTDATA"), filepath.Join("..", "shared", "testdata"))
		dir = filepath.Join(testdata, "datasets", "mnist")
	}
	known, unknown, err = mnist.Read(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return known, unknown, usagef("no MNIST in %s: expected the files %s there; get them from %s and name their folder with --data",
			dir, strings.Join(mnist.Files, ", "), mnist.Source)
	}
	return known, unknown, err
}
