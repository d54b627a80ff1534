package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/bench/builtin"
	"github.com/nnz-dev/nnz/bench/peers"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime"
)

// benchCmds are the benchmarks: of a model where nothing else is named.
type benchCmds struct {
	Model    benchCmd    `cmd:"" default:"withargs" help:"Compare dense with sparse."`
	Kernels  kernelsCmd  `cmd:"" help:"Measure single layers against the limits of this CPU."`
	Peers    peersCmd    `cmd:"" help:"Measure single layers against other engines, whose drivers make peers builds."`
	Networks networksCmd `cmd:"" help:"Measure whole networks against ONNX Runtime, which make peers installs."`
	Pruning  pruningCmd  `cmd:"" help:"Compare methods of pruning by what they keep of a model."`
}

// benchCmd compares dense with sparse.
type benchCmd struct {
	Model     []string `arg:"" help:"ONNX or .nnz file, or builtin:NAME; or .smtx and .mtx files and folders of them, to multiply sparse matrices alone."`
	Columns   int      `default:"128" help:"Columns that sparse matrices are multiplied with."`
	Runs      int      `placeholder:"N" help:"Runs of each; default: as many as fit into three seconds, and at least 10."`
	Peer      []string `enum:"ort" placeholder:"NAME" help:"Another engine that takes its turn in every round: ort (ONNX Runtime, by way of Node.js and the package onnxruntime-node)."`
	Mode      string   `default:"auto" enum:"auto,dense,sparse" help:"What dense is compared with, or what is profiled: sparse kernels where they are faster (auto), nowhere (dense) or everywhere (sparse)."`
	Profile   bool     `help:"Show instead where the time goes: each step against its bound on this CPU, and what keeps the network from its ideal time."`
	BreakEven bool     `help:"Prune by magnitude to rising sparsities instead, and show from where on sparse kernels are faster than dense ones."`
	Impose    string   `placeholder:"0.9" help:"Prune in memory first, to see what speed that would give: a sparsity, in blocks as 0.9:4x1, or a pattern such as 2:4. By magnitude, in all layers but the first convolution and the last; what it does to accuracy is not considered."`
	Trace     string   `placeholder:"FILE" help:"Write the profile for chrome://tracing and Perfetto to FILE, too."`
	compileFlags
	jsonFlag
}

func (c *benchCmd) Run(e *env) error {
	config, err := c.configIn(c.Mode)
	if err != nil {
		return err
	}
	if c.Runs < 0 {
		return usagef("--runs %d: expected a positive number", c.Runs)
	}
	o := bench.Options{Threads: config.Threads, ISA: config.ISA, Runs: c.Runs, Mode: config.Mode}
	switch {
	case c.Trace != "" && !c.Profile:
		return usagef("--trace %s: expected --profile, too", c.Trace)
	case c.Profile && c.BreakEven:
		return usagef("--break-even: expected no --profile beside it")
	case c.BreakEven && c.Impose != "":
		return usagef("--break-even: prunes by itself, expected no --impose")
	case c.BreakEven && o.Mode != runtime.Auto:
		return usagef("--break-even: measures all modes, expected no --mode")
	case (c.Profile || c.BreakEven) && len(c.Peer) > 0:
		return usagef("--peer: takes part in comparisons only")
	}
	if c.Impose != "" {
		if err := builtin.CheckSpec(c.Impose); err != nil {
			return usagef("--impose %s: %w", c.Impose, err)
		}
	}
	files, matrices, err := matrixFiles(c.Model)
	switch {
	case err != nil:
		return err
	case matrices && (c.Profile || c.BreakEven || c.Impose != ""):
		return usagef("--profile, --break-even, --impose: expected a model, got matrices")
	case matrices:
		return c.products(e, files, o)
	case len(c.Model) > 1:
		return usagef("%s: expected one model, got %d", strings.Join(c.Model, " "), len(c.Model))
	}
	return c.model(e, c.Model[0], config, o)
}

// model compares one model, profiles it or finds its break-even.
func (c *benchCmd) model(e *env, name string, config runtime.Config, o bench.Options) error {
	m, err := c.open(e.ctx, name)
	if err != nil {
		return err
	}
	defer m.Close()
	bound := bind(&config, m.Model)
	if c.Impose != "" {
		if m.Model, err = builtin.Impose(e.ctx, m.Model, c.Impose); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	p := newProgress(e, name)
	defer p.end()
	o.Name, o.Shapes, o.Dims, o.Progress = name, config.Shapes, config.Dims, p.update
	o.SkipPasses = config.SkipPasses
	if c.Impose != "" && !c.stdout() {
		defer fmt.Fprintf(e.out, "\n%s was imposed by magnitude to measure the speed: accuracy is not considered, and nothing is written\n", c.Impose)
	}
	if len(bound) > 0 && !c.stdout() {
		defer fmt.Fprintf(e.out, "\nopen extents taken as 1: %s\n", strings.Join(bound, ", "))
	}
	if c.Profile {
		return m.named(c.profile(e, m.Model, o, p))
	}
	if c.BreakEven {
		return m.named(c.breakEven(e, m.Model, o, p))
	}
	if len(c.Peer) > 0 {
		file := name
		if c.Impose != "" {
			file = "" // what is measured is in no file
		}
		path, remove, err := modelFile(file, m.Model)
		if err != nil {
			return err
		}
		defer remove()
		ort := peers.ORT{Model: path, Threads: c.threads()}
		o.Peers = append(o.Peers, ort.Start)
	}
	r, err := bench.Compare(e.ctx, m.Model, o)
	p.end()
	if err != nil {
		return m.named(err)
	}
	r.Imposed = c.Impose
	if err := c.write(e, r); err != nil || c.stdout() {
		return err
	}
	return printBench(e, r)
}

// modelFile returns the path of a file of the model for another engine to
// load, and what removes it where it was made for that; name is empty where the
// model came from no file.
func modelFile(name string, m *graph.Model) (path string, remove func(), err error) {
	if name != "" && !strings.HasPrefix(name, builtinPrefix) && m.Packed == nil { // .nnz has it
		return name, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "nnz")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	path = filepath.Join(dir, "model.onnx")
	if err := loader.Save(path, m, loader.SaveOptions{}); err != nil {
		remove()
		return "", nil, err
	}
	return path, remove, nil
}

// maxName is how many characters of a layer's name the tables show.
const maxName = 36

// printBench prints the table of layers, then the networks as a whole.
func printBench(e *env, r *bench.Report) error {
	layers := newTable("layer<", "op<", "M x K x N", "window", "zeros", "format<", "kernel<", "dense µs", "sparse µs", "speedup", "GF/s")
	for _, l := range r.Layers {
		product, window, zeros, speed, gflops := "", "", "", "", ""
		if l.M > 0 {
			product = fmt.Sprintf("%d x %d x %d", l.M, l.K, l.N)
			zeros = percent(l.Sparsity)
			gflops = fmt.Sprintf("%.1f", l.GFlops)
		}
		if l.KernelH > 0 {
			window = fmt.Sprintf("%dx%d/%d", l.KernelH, l.KernelW, max(1, l.Stride))
		}
		if l.DenseUS > 0 && l.SparseUS > 0 {
			speed = fmt.Sprintf("%.2f", l.DenseUS/l.SparseUS)
		}
		layers.AppendRow(row(shorten(l.Name, maxName), l.Op, product, window, zeros, l.Format, l.Kernel,
			fmt.Sprintf("%.1f", l.DenseUS), fmt.Sprintf("%.1f", l.SparseUS), speed, gflops))
	}
	if err := e.print(layers); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "\n%s: %s, %s, batch %d, %s zeros\n", r.Model, r.ISA, plural(r.Threads, "thread"), r.Batch, percent(r.Sparsity))
	total := newTable("<", "median ms", "p90 ms", "p99 ms", "min ms", "mean ms", "runs", "sparse is faster by")
	add := func(name string, l bench.Latency, faster float64) {
		times := ""
		if faster > 0 {
			times = fmt.Sprintf("%.2fx", faster)
		}
		total.AppendRow(row(name, ms(l.P50), ms(l.P90), ms(l.P99), ms(l.Min), ms(l.Mean), strconv.Itoa(l.Runs), times))
	}
	add("dense", r.Dense, r.Speedup)
	add("sparse", r.Sparse, 0)
	for _, p := range r.Peers {
		add(p.Name+" "+p.Version, p.Latency, p.RatioSparse)
	}
	if err := e.print(total); err != nil {
		return err
	}
	_, err := fmt.Fprintf(e.out, "\nlargest difference of an output %s; weights %s in the model, %s packed; memory of a session and its plan %s\n",
		number(r.MaxAbsDiff), size(int64(r.ModelBytes)), size(int64(r.PackedBytes)), size(int64(r.PeakBytes)))
	return err
}

// ms writes milliseconds to the microsecond.
func ms(v float64) string { return strconv.FormatFloat(v, 'f', 3, 64) }

// shorten cuts long names in the middle, as their ends tell them apart.
func shorten(name string, limit int) string {
	r := []rune(name)
	if len(r) <= limit {
		return name
	}
	head := limit / 2
	return string(r[:head]) + "…" + string(r[len(r)-(limit-head-1):])
}
