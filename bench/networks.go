package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nnz-dev/nnz/bench/builtin"
	"github.com/nnz-dev/nnz/bench/reference"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime"
)

// A Network is a model whose variants are compared with each other and with
// other engines.
type Network struct {
	Name string
	// Model is the network as other engines get it, which multiply by zeros.
	Model func() (*graph.Model, error)
	// File holds the model; where it is empty, one is written for other engines.
	File string
	// Variants are what our engine runs. The first is compiled dense, the
	// baseline of the others.
	Variants []NetworkVariant
	// Shapes and Dims bind what the model leaves open, see [runtime.Config].
	Shapes map[string][]int
	Dims   map[string]int
}

// A NetworkVariant is a network with some of its weights zero.
type NetworkVariant struct {
	Name string // such as dense, 0.9, 0.9:4x1 or 2:4
	Load func() (*graph.Model, error)
	Mode runtime.Mode
}

// denseVariant is the name of the network without zeros on dense kernels.
const denseVariant = "dense"

// DefaultSpecs are the zeros that networks are compared with, as they follow
// the @ of a builtin network's name.
var DefaultSpecs = []string{"0", "0.5", "0.7", "0.8", "0.9", "0.95", "0.9:4x1", "2:4"}

// DefaultNetworks are the builtin networks that are compared.
var DefaultNetworks = []string{"resnet50", "mobilenet_v1", "mobilenet_v2", "vgg16", "bert_base_128", "vit_b_16"}

// BuiltinNetwork makes a network of a builtin one: dense, and pruned as each
// of the specs says.
func BuiltinNetwork(name string, specs []string) (Network, error) {
	if !slices.Contains(builtin.Names(), name) {
		return Network{}, fmt.Errorf("builtin:%s: no such network", name)
	}
	load := func(name string) func() (*graph.Model, error) {
		return func() (*graph.Model, error) { return builtin.Load(name) }
	}
	n := Network{Name: name, Model: load(name)}
	n.Variants = append(n.Variants, NetworkVariant{denseVariant, n.Model, runtime.Dense})
	for _, s := range specs {
		if err := builtin.CheckSpec(s); err != nil {
			return Network{}, err
		}
		n.Variants = append(n.Variants, NetworkVariant{s, load(name + "@" + s), runtime.Auto})
	}
	return n, nil
}

// GivenNetwork makes a network of a model that has its own zeros: compiled
// dense, and for its zeros.
func GivenNetwork(name, file string, m *graph.Model) Network {
	given := func() (*graph.Model, error) { return m, nil }
	return Network{Name: name, File: file, Model: given, Variants: []NetworkVariant{
		{denseVariant, given, runtime.Dense}, {"as given", given, runtime.Auto},
	}}
}

// NetworkOptions say how to compare networks.
type NetworkOptions struct {
	ISA     isa.ISA
	Threads []int // numbers of them, each of which every contender runs on
	Runs    int   // see [Options]
	MinTime time.Duration
	Seed    uint64
	// Float64 checks outputs against the network in float64 instead of our
	// dense kernels: it takes some seconds for each billion products. Where
	// package reference lacks an operator, plain Go code in float32 steps in.
	Float64 bool
	// Peers start other engines. The first is the one that ratios are to.
	Peers []NetworkPeer
	// Progress is called between runs with the fraction that is done; nil
	// where nobody looks.
	Progress func(done float64)
}

// A NetworkPeer starts another engine.
type NetworkPeer struct {
	Name  string
	Start func(ctx context.Context, j PeerJob) (Peer, error)
}

// A PeerJob is a model for another engine to load, and on what to run it.
type PeerJob struct {
	Model   string        // path of the ONNX file
	Inputs  []graph.Value // of known shapes
	Files   []string      // of the elements of the inputs, as the CPU has them
	Threads int
}

// A Writer is a peer that can write its first output, elements of float32 as
// the CPU has them, to a file.
type Writer interface {
	Write(ctx context.Context, path string) error
}

// A NetworkReport is the outcome of [CompareNetwork]. Names and meaning of its
// JSON fields stay as they are: charts are drawn from them.
type NetworkReport struct {
	Network   string            `json:"network"`
	ISA       string            `json:"isa"`
	Batch     int               `json:"batch"`
	Reference string            `json:"reference"`       // what outputs were checked against
	Cores     *CoreDistance     `json:"cores,omitempty"` // meanwhile; nil where all ran on one thread
	Cells     []NetworkCell     `json:"cells"`
	Missing   map[string]string `json:"missing,omitempty"` // why an engine was not measured
	// Wrong says which contenders were not measured as their outputs are out
	// of bounds.
	Wrong map[string]string `json:"wrong,omitempty"`
}

// A NetworkCell is one engine on one variant and number of threads. A ratio
// above 1 says that it is faster than what it is compared with, on medians; 0
// that there is nothing to compare with.
type NetworkCell struct {
	Engine   string  `json:"engine"`            // nnz or that of a peer
	Version  string  `json:"version,omitempty"` // of a peer
	Variant  string  `json:"variant"`
	Sparsity float64 `json:"sparsity"` // zeros of all weights of the layers
	Threads  int     `json:"threads"`
	Latency
	RatioPeer  float64 `json:"ratio_peer"`  // to the first peer on as many threads
	RatioDense float64 `json:"ratio_dense"` // to our dense on as many threads
	Scaling    float64 `json:"scaling"`     // to the same on one thread
	Goal       float64 `json:"goal"`        // for RatioPeer; 0 for none
	Floor      float64 `json:"floor"`
	Checked    bool    `json:"checked"`   // the outputs were compared
	MaxError   float64 `json:"max_error"` // largest difference of an output element from the reference
	Bound      float64 `json:"bound"`     // what it may be
}

// ours is the name of our engine in reports.
const ours = "nnz"

// outputTolerance bounds the error of an output element, as a fraction of the
// largest of that output.
const outputTolerance = 1e-4

// CompareNetwork measures every variant and every peer on every number of
// threads in one run: round after round each has its turn, as [Compare] has
// them. Before that, the outputs of each are checked; those of ours against
// the same weights.
func CompareNetwork(ctx context.Context, n Network, o NetworkOptions) (*NetworkReport, error) {
	if len(n.Variants) == 0 || len(o.Threads) == 0 {
		return nil, errors.New("no variant or number of threads to compare")
	}
	dir, err := os.MkdirTemp("", "nnz")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	c := &networkRun{Network: n, o: o, dir: dir, r: &NetworkReport{
		Network: n.Name, Cells: []NetworkCell{}, Missing: make(map[string]string), Wrong: make(map[string]string),
	}}
	defer c.close()
	for _, v := range n.Variants {
		if err := c.addVariant(ctx, v); err != nil {
			return nil, err
		}
		c.progress(0)
	}
	if err := c.addPeers(ctx); err != nil {
		return nil, err
	}
	c.order()
	if err := c.measure(ctx); err != nil {
		return nil, err
	}
	return c.r, nil
}

// networkRun is a comparison under way.
type networkRun struct {
	Network
	o      NetworkOptions
	dir    string // of files for the peers
	r      *NetworkReport
	want   []output // of the first variant
	inputs []graph.Value
	files  []string
	unfit  error // why the inputs are not for peers
	// sparsity is that of the first variant, which peers have too.
	sparsity float64

	contenders []*networkContender
}

// A networkContender takes turns.
type networkContender struct {
	cell  NetworkCell
	run   func(ctx context.Context) (time.Duration, error)
	close func()
}

func (c *networkRun) close() {
	for _, x := range c.contenders {
		x.close()
	}
}

func (c *networkRun) progress(done float64) {
	if c.o.Progress != nil {
		c.o.Progress(done)
	}
}

// options are those of a contender.
func (c *networkRun) options(threads int) Options {
	return Options{Threads: threads, ISA: c.o.ISA, Shapes: c.Shapes, Dims: c.Dims, Runs: c.o.Runs, MinTime: c.o.MinTime, Seed: c.o.Seed, Progress: c.o.Progress}
}

// addVariant compiles a variant for each number of threads and checks it. Only
// the compiled plans stay in memory.
func (c *networkRun) addVariant(ctx context.Context, v NetworkVariant) error {
	m, err := v.Load()
	if err != nil {
		return err
	}
	want, how, err := c.reference(ctx, m)
	if err != nil {
		return err
	}
	if c.r.Reference == "" {
		c.want, c.r.Reference = want, how
	}
	for _, threads := range c.o.Threads {
		x, err := newContender(ctx, m, c.options(threads), v.Mode)
		if err != nil {
			return err
		}
		cell := NetworkCell{Engine: ours, Variant: v.Name, Threads: threads}
		got, err := outputsOf(ctx, x)
		if err == nil {
			err = cell.check(want, got)
		}
		if err != nil {
			x.session.Close()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c.r.Wrong[fmt.Sprintf("%s %s, threads %d", ours, v.Name, threads)] = err.Error()
			continue
		}
		e := x.plan.Explain()
		cell.Sparsity = e.Sparsity()
		if len(c.contenders) == 0 {
			c.sparsity = cell.Sparsity
		}
		c.r.ISA, c.r.Batch = e.ISA, batch(x.plan.Inputs())
		c.contenders = append(c.contenders, &networkContender{cell, x.run, x.session.Close})
	}
	return nil
}

// reference computes what the outputs of a model are held to, and says how.
// The model is compiled in any case, which refuses one that is not valid.
func (c *networkRun) reference(ctx context.Context, m *graph.Model) ([]output, string, error) {
	o, name := c.options(1), "dense kernels"
	if c.o.Float64 {
		o.ISA, name = isa.Generic, "dense generic kernels"
	}
	x, err := newContender(ctx, m, o, runtime.Dense)
	if err != nil {
		return nil, "", err
	}
	defer x.session.Close()
	if c.inputs == nil {
		if err := c.writeInputs(x); err != nil {
			return nil, "", err
		}
	}
	if c.o.Float64 {
		want, err := outputs64(ctx, m, x, o)
		var unsupported *reference.UnsupportedError
		if err == nil || !errors.As(err, &unsupported) {
			return want, "float64", err
		}
	}
	want, err := outputsOf(ctx, x)
	return want, name, err
}

// writeInputs writes the inputs of a contender for the peers, if there are any.
func (c *networkRun) writeInputs(x *contender) error {
	c.inputs = x.plan.Inputs()
	if len(c.o.Peers) == 0 {
		return nil
	}
	for i, v := range c.inputs {
		t, err := x.session.Input(v.Name)
		if err != nil {
			return err
		}
		var raw *graph.Tensor
		switch {
		case t.I != nil:
			raw = graph.FromInts(v.DType, t.Shape, t.I)
		case v.DType == graph.Float32:
			raw = graph.FromFloats(t.Shape, t.F)
		default:
			c.unfit = fmt.Errorf("input %q has elements of type %v, which no other engine is given", v.Name, v.DType)
			return nil
		}
		path := filepath.Join(c.dir, fmt.Sprintf("input_%d", i))
		if err := os.WriteFile(path, raw.Raw(), 0o600); err != nil {
			return err
		}
		c.files = append(c.files, path)
	}
	return nil
}

// addPeers starts the peers on the network and checks them. One that cannot
// be started is missing, no matter why.
func (c *networkRun) addPeers(ctx context.Context) error {
	if len(c.o.Peers) == 0 {
		return nil
	}
	if c.File == "" {
		m, err := c.Model()
		if err != nil {
			return err
		}
		c.File = filepath.Join(c.dir, "model.onnx")
		if err := loader.Save(c.File, m, loader.SaveOptions{}); err != nil {
			return err
		}
	}
	for _, p := range c.o.Peers {
		for _, threads := range c.o.Threads {
			if c.unfit != nil {
				c.r.Missing[p.Name] = c.unfit.Error()
				break
			}
			peer, err := p.Start(ctx, PeerJob{c.File, c.inputs, c.files, threads})
			if ctx.Err() != nil {
				err = ctx.Err()
				if peer != nil {
					peer.Close()
				}
				return err
			}
			if err != nil {
				c.r.Missing[p.Name] = err.Error()
				break
			}
			cell := NetworkCell{Variant: denseVariant, Sparsity: c.sparsity, Threads: threads}
			cell.Engine, cell.Version = peer.Engine()
			if w, ok := peer.(Writer); ok {
				if err := c.checkPeer(ctx, w, &cell); err != nil {
					peer.Close()
					if ctx.Err() != nil {
						return ctx.Err()
					}
					c.r.Wrong[fmt.Sprintf("%s, threads %d", p.Name, threads)] = err.Error()
					continue
				}
			}
			c.contenders = append(c.contenders, &networkContender{cell, peer.Run, func() { peer.Close() }})
		}
	}
	return nil
}

// checkPeer compares a peer's first output, if that is real.
func (c *networkRun) checkPeer(ctx context.Context, w Writer, cell *NetworkCell) error {
	if len(c.want) == 0 || c.want[0].integer {
		return nil
	}
	path := filepath.Join(c.dir, "output")
	if err := w.Write(ctx, path); err != nil {
		return err
	}
	got, err := readFloats(path)
	if err != nil {
		return err
	}
	return cell.check(c.want[:1], []output{{name: c.want[0].name, values: got}})
}

// order puts contenders of as many threads side by side, as those are compared.
func (c *networkRun) order() {
	slices.SortStableFunc(c.contenders, func(a, b *networkContender) int {
		return slices.Index(c.o.Threads, a.cell.Threads) - slices.Index(c.o.Threads, b.cell.Threads)
	})
}

// measure has all contenders take turns, and fills in the report's cells.
func (c *networkRun) measure(ctx context.Context) error {
	turns := make([]turn, len(c.contenders))
	for i, x := range c.contenders {
		turns[i].run = x.run
	}
	if slices.Max(c.o.Threads) > 1 {
		turns = append(turns, turn{run: roundTrip})
	}
	if err := c.options(1).measure(ctx, turns); err != nil {
		return err
	}
	for _, t := range turns[len(c.contenders):] {
		c.r.Cores = distanceOf(t.times)
	}
	find := func(engine, variant string, threads int) Latency {
		for i, x := range c.contenders {
			if x.cell.Engine == engine && x.cell.Variant == variant && x.cell.Threads == threads {
				return summarize(turns[i].times)
			}
		}
		return Latency{}
	}
	first := "" // peer
	if len(c.o.Peers) > 0 {
		first = c.o.Peers[0].Name
	}
	for i, x := range c.contenders {
		l := x.cell
		l.Latency = summarize(turns[i].times)
		l.RatioPeer = ratio(find(first, denseVariant, l.Threads), l.Latency)
		l.RatioDense = ratio(find(ours, denseVariant, l.Threads), l.Latency)
		l.Scaling = ratio(find(l.Engine, l.Variant, 1), l.Latency)
		if l.Engine == ours && l.Threads == 1 && c.r.ISA == isa.AVX512.String() && c.r.Batch == 1 {
			l.Goal, l.Floor = networkGoal(c.Name, l.Variant)
		}
		c.r.Cells = append(c.r.Cells, l)
	}
	return nil
}
