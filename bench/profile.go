package bench

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/nnz-dev/nnz/bench/kernels"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime"
)

// A Profile says where the time of a plan goes. Names and meaning of its JSON
// fields stay as they are: scripts read them.
type Profile struct {
	Model    string         `json:"model"`
	ISA      string         `json:"isa"`
	Threads  int            `json:"threads"`
	Mode     string         `json:"mode"`
	Batch    int            `json:"batch"`
	Sparsity float64        `json:"sparsity"`
	Limits   kernels.Limits `json:"limits"` // of one core
	Run      Latency        `json:"run"`    // of whole runs without a clock inside
	// ClockUS is what the clocks around the steps add to a run of which every
	// step is timed, in microseconds; the times of the steps contain it.
	ClockUS   float64       `json:"clock_us"`
	Steps     []ProfileStep `json:"steps"` // in order of execution
	Kinds     []KindTotal   `json:"kinds"` // the costliest first
	Waterfall []Part        `json:"waterfall"`
	// Later is how many nodes wait for a run to tell their shapes, and are no
	// steps.
	Later int `json:"later,omitempty"`
}

// A ProfileStep is a step of the plan.
type ProfileStep struct {
	Name     string  `json:"name"`
	Op       string  `json:"op"`
	Kind     string  `json:"kind"`
	Kernel   string  `json:"kernel"`
	Format   string  `json:"format"`
	M        int     `json:"m"`
	K        int     `json:"k"`
	N        int     `json:"n"`
	Sparsity float64 `json:"sparsity"`
	Strips   int     `json:"strips,omitempty"` // in which it takes turns with its neighbours
	US       float64 `json:"us"`               // median, microseconds
	Share    float64 `json:"share"`            // of a whole run
	Moved    int     `json:"moved_bytes"`      // activations read and written
	Weight   int     `json:"weight_bytes"`     // as packed
	GFlops   float64 `json:"gflops"`           // two operations a multiply-add of a nonzero
	// Bound is what the time is held against, see [kernels.Limits.StepBound],
	// and BoundShare that over the time: 1 is as fast as can be.
	Bound      kernels.Bound `json:"bound"`
	BoundShare float64       `json:"bound_share"`
	TrafficUS  float64       `json:"traffic_us"` // what moving the bytes takes, see [kernels.Limits.StepTraffic]

	// For the waterfall, in microseconds at the peak of the step's kernels:
	ideal   float64 // multiply-adds of nonzeros
	padding float64 // those of lanes that hold no pixel
	zeros   float64 // those of zeros that the format stores
}

// A KindTotal adds up the steps of a kind.
type KindTotal struct {
	Kind  string  `json:"kind"`
	Steps int     `json:"steps"`
	US    float64 `json:"us"`
	Share float64 `json:"share"` // of a whole run
	Bytes int     `json:"bytes"` // activations and weights
}

// ProfilePlan compiles a model in the mode of the options and measures every
// step of its plan against limits, those of the options' instruction set.
// Whole runs and runs with a clock around each step take turns.
func ProfilePlan(ctx context.Context, m *graph.Model, limits kernels.Limits, o Options) (*Profile, error) {
	c, err := newContender(ctx, m, o, o.Mode)
	if err != nil {
		return nil, err
	}
	defer c.session.Close()
	p := newProfiler(c)
	turns := []turn{{run: c.run}, {run: p.run}} // those of the warmup do not move a median
	if err := o.measure(ctx, turns); err != nil {
		return nil, err
	}
	plan := p.report
	r := &Profile{
		Model: o.name(m), ISA: plan.ISA, Sparsity: plan.Sparsity(), Threads: plan.Threads, Mode: plan.Mode, Batch: batch(c.plan.Inputs()),
		Limits: limits, Run: summarize(turns[0].times), ClockUS: microseconds(clockTime()) * float64(plan.Turns), Later: len(plan.Later),
	}
	whole := r.Run.P50 * 1e3
	for _, s := range p.steps() {
		r.Steps = append(r.Steps, newProfileStep(s, limits, plan, whole))
	}
	r.Kinds = totals(r.Steps, whole)
	r.Waterfall = waterfall(whole, r.Steps, microseconds(median(p.gaps)), r.Later > 0)
	return r, nil
}

func newProfileStep(s step, limits kernels.Limits, plan runtime.Report, whole float64) ProfileStep {
	l, resident := s.LayerReport, plan.PackedBytes+plan.ArenaBytes
	p := ProfileStep{
		Name: l.Name, Op: l.Op, Kind: kindOf(l), Kernel: l.Kernel, Format: l.Format, M: l.M, K: l.K, N: l.N,
		Sparsity: l.Sparsity, Strips: l.Strips, US: s.us, Moved: l.Moved, Weight: l.Weight,
		Bound:     limits.StepBound(l, resident, plan.Threads),
		TrafficUS: limits.StepTraffic(l, resident, plan.Threads).US,
	}
	if s.us > 0 {
		p.GFlops = 2 * float64(l.FMAs) / s.us / 1e3
		p.BoundShare = p.Bound.US / s.us
	}
	if whole > 0 {
		p.Share = s.us / whole
	}
	if peak := limits.StepPeak(l, plan.Threads); peak > 0 {
		us := func(fmas int) float64 { return 2 * float64(fmas) / peak / 1e3 }
		p.ideal = us(l.FMAs)
		if l.M > 0 {
			p.padding = us((l.Slots - l.N) * l.NNZ)
			p.zeros = us(l.Slots * (l.Stored - l.NNZ))
		}
	}
	return p
}

// Kinds of steps beside the families of kernels.
const (
	kindAttention   = "attention"
	kindNorm        = "norm"
	kindSoftmax     = "softmax"
	kindElementwise = "elementwise"
	kindPool        = "pool"
	kindHalo        = "halo"
	kindRelayout    = "relayout" // moves of data, without arithmetic
	kindOther       = "other"
)

// kinds holds the kinds of operators without a weight.
var kinds = func() map[string]string {
	of := make(map[string]string)
	for kind, ops := range map[string][]string{
		kindAttention: {"Attention"},
		kindNorm: {"LayerNorm", "RMSNorm", "LayerNormalization", "RMSNormalization", "InstanceNormalization",
			"GroupNormalization", "BatchNormalization", "LpNormalization", "MeanVarianceNormalization", "LRN"},
		kindSoftmax: {"Softmax", "LogSoftmax", "Hardmax"},
		kindElementwise: {"Abs", "Add", "Affine", "Ceil", "Celu", "Clamp", "Clip", "Div", "Elu", "Erf", "Exp", "Floor", "Gelu",
			"HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Max", "Min", "Mish", "Mul", "Neg", "PRelu", "Pow", "Reciprocal", "Relu",
			"Round", "Selu", "SiLU", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Tanh", "ThresholdedRelu", "Where",
			"Cast", "QuantizeLinear", "DequantizeLinear", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor", "Not"},
		kindPool: {"MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"},
		kindHalo: {"Halo"},
		kindRelayout: {"Relayout", "Concat", "DepthToSpace", "SpaceToDepth", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze",
			"Identity", "Slice", "Split", "Gather", "GatherElements", "GatherND", "Expand", "Tile", "Pad"},
	} {
		for _, op := range ops {
			of[op] = kind
		}
	}
	return of
}()

// kindOf returns the kind of a step: the family of its kernels where it has a
// weight.
func kindOf(l runtime.LayerReport) string {
	if f := kernels.StepFamily(l); f != "" {
		return f
	}
	if kind, ok := kinds[l.Op]; ok {
		return kind
	}
	return kindOther
}

// totals adds up the steps by kind.
func totals(steps []ProfileStep, whole float64) []KindTotal {
	var all []KindTotal
	for _, s := range steps {
		i := slices.IndexFunc(all, func(t KindTotal) bool { return t.Kind == s.Kind })
		if i < 0 {
			i = len(all)
			all = append(all, KindTotal{Kind: s.Kind})
		}
		t := &all[i]
		t.Steps++
		t.US += s.US
		t.Bytes += s.Moved + s.Weight
	}
	for i := range all {
		if whole > 0 {
			all[i].Share = all[i].US / whole
		}
	}
	slices.SortStableFunc(all, func(a, b KindTotal) int { return cmp.Compare(b.US, a.US) })
	return all
}

// Costliest returns the n steps that take longest, the costliest first.
func (p *Profile) Costliest(n int) []ProfileStep {
	s := slices.Clone(p.Steps)
	slices.SortStableFunc(s, func(a, b ProfileStep) int { return cmp.Compare(b.US, a.US) })
	return s[:min(n, len(s))]
}

// clockTime is what it takes to look at the clock before and after a step.
func clockTime() time.Duration {
	const pairs = 1000
	start := time.Now()
	for range pairs {
		_ = time.Since(time.Now())
	}
	return time.Since(start) / pairs
}

// A profiler collects the times of each step of a plan.
type profiler struct {
	contender *contender
	report    runtime.Report
	last      []time.Duration
	times     [][]time.Duration // by step
	gaps      []time.Duration   // between the steps of a run, together
}

func newProfiler(c *contender) *profiler {
	p := &profiler{contender: c, report: c.plan.Explain()}
	p.last = make([]time.Duration, len(p.report.Steps))
	p.times = make([][]time.Duration, len(p.report.Steps))
	return p
}

// run runs all steps, each timed, and returns the time that it took.
func (p *profiler) run(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	if err := p.contender.session.RunTimed(ctx, 0, p.last); err != nil {
		return 0, err
	}
	whole := time.Since(start)
	gap := whole
	for i, t := range p.last {
		p.times[i] = append(p.times[i], t)
		gap -= t
	}
	p.gaps = append(p.gaps, gap)
	return whole, nil
}

// A step is a step of a plan and the median of its times.
type step struct {
	runtime.LayerReport
	us float64
}

func (p *profiler) steps() []step {
	steps := make([]step, len(p.times))
	for i := range steps {
		steps[i] = step{p.report.Steps[i], microseconds(median(p.times[i]))}
	}
	return steps
}
