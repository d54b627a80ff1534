// Package bench measures what sparsity pays: the same model compiled dense and
// compiled for its zeros, run in turns in one process, with what each layer
// took; and other engines beside it.
//
// Comparisons are made inside one run only. A machine drifts by several per
// cent within the hour, so latencies from two runs say little about each other.
package bench

import (
	"cmp"
	"context"
	"io"
	"time"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/runtime"
)

// Options say how to measure. The zero value is right for most uses.
type Options struct {
	Name    string  // of the model in the report; empty takes the model's own
	Threads int     // see [runtime.Config]
	ISA     isa.ISA // see [runtime.Config]
	// Shapes and Dims bind what the model leaves open, see [runtime.Config].
	Shapes map[string][]int
	Dims   map[string]int
	// SkipPasses leaves rewritings of the model out, see [runtime.Config].
	SkipPasses []string
	// Mode is that of the sparse contender; [runtime.Sparse] keeps it from
	// leaving layers dense.
	Mode runtime.Mode
	// Runs is how many runs of each contender count; 0 goes on for MinTime,
	// and for at least 10 runs.
	Runs    int
	MinTime time.Duration // of all runs together; 0 is three seconds
	Warmup  int           // runs of each contender that do not count; 0 is three
	Seed    uint64        // of the random inputs
	// Peers start other engines, which then take their turn in every round.
	// They are given the inputs with the shapes that the plan has.
	Peers []func(ctx context.Context, inputs []graph.Value) (Peer, error)
	// Progress is called between runs with the fraction that is done; nil
	// where nobody looks.
	Progress func(done float64)
}

// name is what reports call a model.
func (o Options) name(m *graph.Model) string { return cmp.Or(o.Name, m.Name) }

// A Peer is another engine that has loaded the same model.
type Peer interface {
	// Engine names the engine and its version.
	Engine() (name, version string)
	// Run runs one inference and returns the time that it took.
	Run(ctx context.Context) (time.Duration, error)
	io.Closer
}

// A Report is the outcome of [Compare]. Names and meaning of its JSON fields
// stay as they are: scripts read them.
type Report struct {
	Model    string  `json:"model"`
	ISA      string  `json:"isa"`
	Threads  int     `json:"threads"`
	Batch    int     `json:"batch"`
	Sparsity float64 `json:"sparsity"` // zeros of all weights of the layers
	// Imposed says how the model was pruned only to be measured; empty where it
	// is as it came.
	Imposed string  `json:"imposed,omitempty"`
	Dense   Latency `json:"dense"`
	Sparse  Latency `json:"sparse"`
	Speedup float64 `json:"speedup"` // median of dense over median of sparse
	// MaxAbsDiff is the largest difference of an output element between the
	// two plans on the same inputs.
	MaxAbsDiff  float64       `json:"max_abs_diff"`
	ModelBytes  int           `json:"model_bytes"`  // weights as the model holds them
	PackedBytes int           `json:"packed_bytes"` // weights as the sparse plan holds them
	PeakBytes   int           `json:"peak_bytes"`   // those and the memory of one session
	Layers      []LayerReport `json:"layers"`
	Peers       []PeerReport  `json:"peers,omitempty"`
}

// A LayerReport compares one step of the two plans. A step that only one of
// them has, such as a change of layout, took 0 in the other.
type LayerReport struct {
	Name     string  `json:"name"`
	Op       string  `json:"op"`
	M        int     `json:"m"`
	K        int     `json:"k"`
	N        int     `json:"n"`
	KernelH  int     `json:"kernel_h"`
	KernelW  int     `json:"kernel_w"`
	Stride   int     `json:"stride"`
	Sparsity float64 `json:"sparsity"`
	Format   string  `json:"format"` // of the sparse plan
	Kernel   string  `json:"kernel"`
	Why      string  `json:"why,omitempty"`
	DenseUS  float64 `json:"dense_us"`  // median, microseconds
	SparseUS float64 `json:"sparse_us"` // median, microseconds
	GFlops   float64 `json:"gflops"`    // of the sparse plan, two operations a nonzero weight and column
}

// A PeerReport says how another engine did. A ratio above 1 says that we were
// faster than it.
type PeerReport struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Latency
	RatioDense  float64 `json:"ratio_dense"`  // its median over that of our dense plan
	RatioSparse float64 `json:"ratio_sparse"` // its median over that of our sparse plan
}

const (
	minRuns        = 10
	defaultMinTime = 3 * time.Second
	defaultWarmup  = 3
	minProfileRuns = 25
	maxProfileRuns = 1000
)

// Compare measures a model dense against sparse: compiled with
// [runtime.Dense] and with [runtime.Auto], which leaves layers dense that are
// faster so. The two take turns on the same random inputs. Then the steps of
// both are timed, which needs more looks at the clock.
func Compare(ctx context.Context, m *graph.Model, o Options) (*Report, error) {
	dense, err := newContender(ctx, m, o, runtime.Dense)
	if err != nil {
		return nil, err
	}
	defer dense.session.Close()
	sparse, err := newContender(ctx, m, o, o.Mode)
	if err != nil {
		return nil, err
	}
	defer sparse.session.Close()

	turns := []turn{{run: dense.run}, {run: sparse.run}}
	var peers []Peer
	for _, start := range o.Peers {
		p, err := start(ctx, sparse.plan.Inputs())
		if err != nil {
			return nil, err
		}
		defer p.Close()
		peers = append(peers, p)
		turns = append(turns, turn{run: p.Run})
	}
	if err := o.measure(ctx, turns); err != nil {
		return nil, err
	}
	diff, err := maxAbsDiff(dense, sparse)
	if err != nil {
		return nil, err
	}

	explained := sparse.plan.Explain()
	r := &Report{
		Model:       o.name(m),
		ISA:         explained.ISA,
		Threads:     explained.Threads,
		Sparsity:    explained.Sparsity(),
		Batch:       batch(sparse.plan.Inputs()),
		Dense:       summarize(turns[0].times),
		Sparse:      summarize(turns[1].times),
		MaxAbsDiff:  diff,
		ModelBytes:  modelBytes(m),
		PackedBytes: explained.PackedBytes,
		PeakBytes:   explained.PackedBytes + explained.ArenaBytes,
	}
	r.Speedup = ratio(r.Dense, r.Sparse)
	for i, p := range peers {
		pr := PeerReport{Latency: summarize(turns[2+i].times)}
		pr.Name, pr.Version = p.Engine()
		pr.RatioDense, pr.RatioSparse = ratio(pr.Latency, r.Dense), ratio(pr.Latency, r.Sparse)
		r.Peers = append(r.Peers, pr)
	}
	runs := len(turns[0].times)
	r.Layers, err = timeSteps(ctx, dense, sparse, max(min(minProfileRuns, runs), min(maxProfileRuns, runs/5)))
	return r, err
}

// A contender is a model compiled in one mode, with its inputs filled in.
type contender struct {
	plan    *runtime.Plan
	session *runtime.Session
}

// Config is how the model that the options are of is compiled.
func (o Options) Config() runtime.Config { return o.configIn(o.Mode) }

func (o Options) configIn(mode runtime.Mode) runtime.Config {
	return runtime.Config{
		Threads: o.Threads, ISA: o.ISA, Mode: mode, Shapes: o.Shapes, Dims: o.Dims, SkipPasses: o.SkipPasses,
	}
}

func newContender(ctx context.Context, m *graph.Model, o Options, mode runtime.Mode) (*contender, error) {
	plan, err := runtime.Compile(ctx, m, o.configIn(mode))
	if err != nil {
		return nil, err
	}
	c := &contender{plan, plan.NewSession()}
	if err := randomInputs(c, o.Seed); err != nil {
		c.session.Close()
		return nil, err
	}
	return c, nil
}

func (c *contender) run(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	err := c.session.Run(ctx)
	return time.Since(start), err
}

// A turn is one contender of a measurement and the times of its runs.
type turn struct {
	run   func(ctx context.Context) (time.Duration, error)
	times []time.Duration
}

// measure runs all contenders in turns, round after round. A turn is two runs,
// of which the second counts: it finds the caches and the clock of the CPU as
// a run of its own left them, whoever was before.
func (o Options) measure(ctx context.Context, turns []turn) error {
	minTime := cmp.Or(o.MinTime, defaultMinTime)
	for range cmp.Or(o.Warmup, defaultWarmup) {
		for i := range turns {
			if _, err := turns[i].run(ctx); err != nil {
				return err
			}
		}
	}
	start := time.Now()
	for round := 0; ; round++ {
		done := float64(round) / float64(max(1, o.Runs))
		if o.Runs == 0 {
			done = min(float64(time.Since(start))/float64(minTime), float64(round)/minRuns)
		}
		if o.Progress != nil {
			o.Progress(min(1, done))
		}
		if done >= 1 {
			return nil
		}
		for i := range turns {
			if _, err := turns[i].run(ctx); err != nil {
				return err
			}
			d, err := turns[i].run(ctx)
			if err != nil {
				return err
			}
			turns[i].times = append(turns[i].times, d)
		}
	}
}

// modelBytes returns the memory of a model's weights.
func modelBytes(m *graph.Model) int {
	n := 0
	for _, t := range m.Weights {
		n += t.Bytes()
	}
	return n
}

// batch returns the first extent of the first input that has one, if that
// input is more than a vector.
func batch(inputs []graph.Value) int {
	if len(inputs) > 0 && len(inputs[0].Shape) > 1 {
		return inputs[0].Shape[0].Size
	}
	return 1
}
