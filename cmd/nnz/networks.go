package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/bench/peers"
	"github.com/nnz-dev/nnz/internal/atomicfile"
	"github.com/nnz-dev/nnz/kernels/isa"
)

// networksCmd compares whole networks with other engines.
type networksCmd struct {
	Model    []string      `arg:"" optional:"" help:"ONNX files, run dense and for the zeros that they have."`
	Network  []string      `placeholder:"NAME" help:"Builtin networks, or all: resnet50, mobilenet_v1, mobilenet_v2, vgg16, bert_base_128 and vit_b_16. Default: all where there is no file."`
	Sparsity []string      `placeholder:"SPEC" help:"Zeros of builtin networks, as after their @; always beside dense. Default: 0,0.5,0.7,0.8,0.9,0.95,0.9:4x1,2:4."`
	Threads  []int         `placeholder:"N" help:"Numbers of threads of each engine. Default: 1, and 2 where there are so many CPUs."`
	Runs     int           `placeholder:"N" help:"Rounds of turns; default: as many as fit into the time."`
	Time     time.Duration `default:"110s" help:"Time of all rounds of a network, of which there are at least 10."`
	Check    bool          `help:"Check outputs against a run in float64 rather than our dense kernels; seconds for each billion products."`
	Peer     []string      `default:"onnxruntime" enum:"onnxruntime,gomlx" placeholder:"NAME" help:"Other engines: onnxruntime, gomlx (takes seconds a run). Ratios are to the first. Default: onnxruntime."`
	Drivers  string        `default:"bin/peers" placeholder:"DIR" help:"Folder of the engines, as make peers installs them."`
	From     string        `placeholder:"FILE" help:"Take results that --json wrote, and measure nothing."`
	Chart    string        `placeholder:"FILE" help:"Draw the results of one thread as SVG."`
	jsonFlag
}

func (c *networksCmd) Run(e *env) error {
	reports, err := c.results(e)
	if err != nil {
		return err
	}
	if c.Chart != "" {
		if err := atomicfile.Write(c.Chart, func(w io.Writer) error { return bench.DrawNetworks(w, reports) }); err != nil {
			return err
		}
	}
	if err := c.write(e, reports); err != nil {
		return err
	}
	if !c.stdout() {
		for _, r := range reports {
			if err := printNetwork(e.out, r); err != nil {
				return err
			}
		}
	}
	for _, r := range reports {
		if len(r.Wrong) > 0 {
			return errFailed
		}
	}
	return nil
}

// results measures, or reads what was measured.
func (c *networksCmd) results(e *env) ([]*bench.NetworkReport, error) {
	if c.From != "" {
		if len(c.Model)+len(c.Network)+len(c.Sparsity)+len(c.Threads)+c.Runs > 0 || c.Check {
			return nil, usagef("--from %s measures nothing: expected no model and no flag of a measurement beside it", c.From)
		}
		data, err := os.ReadFile(c.From)
		if err != nil {
			return nil, err
		}
		var reports []*bench.NetworkReport
		if err := json.Unmarshal(data, &reports); err != nil {
			return nil, fmt.Errorf("%s: expected what --json writes: %w", c.From, err)
		}
		if slices.Contains(reports, nil) {
			return nil, fmt.Errorf("%s: expected what --json writes, got a network that is null", c.From)
		}
		return reports, nil
	}
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	networks, err := c.networks()
	if err != nil {
		return nil, err
	}
	reports := []*bench.NetworkReport{}
	for n, open := range networks {
		r, err := c.measure(e, open, o, n, len(networks))
		if err != nil {
			return nil, err
		}
		reports = append(reports, r)
		// What is measured so far outlives whatever ends the rest.
		if !c.stdout() {
			if err := c.write(e, reports); err != nil {
				return nil, err
			}
		}
	}
	return reports, nil
}

// options turns the flags into options.
func (c *networksCmd) options() (bench.NetworkOptions, error) {
	o := bench.NetworkOptions{Threads: c.Threads, Runs: c.Runs, MinTime: c.Time, Float64: c.Check, Seed: 1}
	if c.Runs < 0 {
		return o, usagef("--runs %d: expected a positive number", c.Runs)
	}
	if c.Time <= 0 {
		return o, usagef("--time %v: expected a positive time, such as 60s", c.Time)
	}
	if o.Threads == nil {
		o.Threads = []int{1, 2}[:min(2, runtime.NumCPU())]
	}
	for i, n := range o.Threads {
		if n < 1 || slices.Contains(o.Threads[:i], n) {
			return o, usagef("--threads %d: expected positive numbers, each once", n)
		}
	}
	var err error
	if o.ISA, err = isa.FromEnv(); err != nil {
		return o, usageError{err}
	}
	for _, name := range c.Peer {
		o.Peers = append(o.Peers, bench.NetworkPeer{Name: name, Start: func(ctx context.Context, j bench.PeerJob) (bench.Peer, error) {
			if name == peers.GoMLXName {
				return peers.GoMLX{Folder: c.Drivers, Model: j.Model, Threads: j.Threads, Files: j.Files}.Start(ctx, j.Inputs)
			}
			return peers.ORT{Model: j.Model, Threads: j.Threads, Modules: c.Drivers, Files: j.Files}.Start(ctx, j.Inputs)
		}})
	}
	return o, nil
}

// An openNetwork makes a network when its turn comes, and returns what closes
// it.
type openNetwork struct {
	name string
	open func(ctx context.Context) (n bench.Network, close func() error, err error)
}

// networks lists what to compare.
func (c *networksCmd) networks() ([]openNetwork, error) {
	names := c.Network
	if len(names) == 0 && len(c.Model) == 0 || slices.Equal(names, []string{"all"}) {
		names = bench.DefaultNetworks
	}
	specs := c.Sparsity
	if len(specs) == 0 {
		specs = bench.DefaultSpecs
	}
	for i, s := range specs {
		if slices.Contains(specs[:i], s) {
			return nil, usagef("--sparsity %s is given twice", s)
		}
	}
	var list []openNetwork
	for _, name := range names {
		n, err := bench.BuiltinNetwork(strings.TrimPrefix(name, builtinPrefix), specs)
		if err != nil {
			return nil, usageError{err}
		}
		list = append(list, openNetwork{name, func(context.Context) (bench.Network, func() error, error) { return n, func() error { return nil }, nil }})
	}
	for _, file := range c.Model {
		if strings.HasPrefix(file, builtinPrefix) {
			return nil, usagef("%s: expected a file, builtin networks are named by --network", file)
		}
		list = append(list, openNetwork{file, func(ctx context.Context) (bench.Network, func() error, error) { return givenNetwork(ctx, file) }})
	}
	return list, nil
}

// givenNetwork opens a file. Its name in the table is that of its folder too,
// as many are called model.onnx.
func givenNetwork(ctx context.Context, file string) (bench.Network, func() error, error) {
	m, err := openModel(ctx, file)
	if err != nil {
		return bench.Network{}, nil, err
	}
	name := filepath.Join(filepath.Base(filepath.Dir(file)), filepath.Base(file))
	n := bench.GivenNetwork(filepath.ToSlash(name), file, m.Model)
	config, err := compileFlags{Passes: "all"}.config()
	if err != nil {
		m.Close()
		return bench.Network{}, nil, err
	}
	bind(&config, m.Model)
	n.Shapes, n.Dims = config.Shapes, config.Dims
	return n, m.Close, nil
}

// measure compares the i-th of count networks.
func (c *networksCmd) measure(e *env, open openNetwork, o bench.NetworkOptions, i, count int) (*bench.NetworkReport, error) {
	n, closeModel, err := open.open(e.ctx)
	if err != nil {
		return nil, err
	}
	defer closeModel()
	p := newProgress(e, fmt.Sprintf("%s (%d of %d)", n.Name, i+1, count))
	defer p.end()
	o.Progress = p.update
	r, err := bench.CompareNetwork(e.ctx, n, o)
	if err != nil && !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%s: %w", open.name, err)
	}
	return r, err
}

// printNetwork prints the table of a network.
func printNetwork(w io.Writer, r *bench.NetworkReport) error {
	fmt.Fprintf(w, "%s: %s, batch %d; ms, ratios of medians\n", r.Network, r.ISA, r.Batch)
	t := newTable("engine<", "variant<", "zeros", "threads", "p50", "p99", "runs", "of ORT", "goal", "floor", "<", "of dense", "of 1 thread", "error", "bound")
	times := func(v float64) string {
		if v == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f", v)
	}
	least := 0.0 // scaling of ours to two threads
	for _, c := range r.Cells {
		goal, floor, err, bound := "", "", "-", "-"
		if c.Goal > 0 {
			goal = number(c.Goal)
		}
		if c.Floor > 0 {
			floor = number(c.Floor)
		}
		if c.Checked {
			err, bound = fmt.Sprintf("%.1e", c.MaxError), fmt.Sprintf("%.1e", c.Bound)
		}
		if c.Version == "" && c.Threads == 2 && c.Scaling > 0 && (least == 0 || c.Scaling < least) {
			least = c.Scaling
		}
		t.AppendRow(row(strings.TrimSpace(c.Engine+" "+c.Version), c.Variant, percent(c.Sparsity), fmt.Sprint(c.Threads), ms(c.P50), ms(c.P99),
			fmt.Sprint(c.Runs), times(c.RatioPeer), goal, floor, c.Verdict(), times(c.RatioDense), times(c.Scaling), err, bound))
	}
	if _, err := fmt.Fprintln(w, t.Render()); err != nil {
		return err
	}
	if least > 0 {
		met := "below"
		if least >= bench.ScalingGoal {
			met = "met"
		}
		fmt.Fprintf(w, "two threads are at least %.2f times as fast as one, goal %.1f: %s\n", least, bench.ScalingGoal, met)
	}
	if d := r.Cores; d != nil {
		fmt.Fprintf(w, "a cache line took %.0f ns from one core to another and back (%.0f to %.0f): about 100 where they share a cache\n", d.Median, d.Least, d.Most)
	}
	fmt.Fprintf(w, "outputs of ours are within their bounds of %s on the same weights, others of the dense network's\n", r.Reference)
	for _, name := range slices.Sorted(maps.Keys(r.Missing)) {
		fmt.Fprintf(w, "not measured: %s: %s\n", name, oneLine(r.Missing[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Wrong)) {
		fmt.Fprintf(w, "WRONG, not measured: %s: %s\n", name, oneLine(r.Wrong[name]))
	}
	_, err := fmt.Fprintln(w)
	return err
}
