package peers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/nnz-dev/nnz/bench/kernels"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/runtime"
)

// A Class is layers whose speed-up over the best dense engine has a common
// goal at each sparsity.
type Class struct {
	Name     string
	Layers   []kernels.Layer
	Blocks   []int     // rows of the blocks of zeros; nil for single zeros
	Winograd bool      // the dense engines may use it
	Goals    []float64 // of AVX-512, at each of Sparsities; nil for none
	Dense    bool      // no weight is zero: our dense kernels against theirs
}

// sparsities are those that there are goals for, of classes that are not dense.
var sparsities = [...]float64{0.7, 0.8, 0.9, 0.95}

// Sparsities returns the fractions of zeros of the class's weights.
func (c Class) Sparsities() []float64 {
	if c.Dense {
		return []float64{0}
	}
	return sparsities[:]
}

// avx2Goals are those of every class that is not dense where all engines are
// held to AVX2.
var avx2Goals = [len(sparsities)]float64{0, 4, 7, 12}

// Goal returns the goal at a sparsity, where the best instruction set of all
// engines is i; 0 where there is none.
func (c Class) Goal(i isa.ISA, sparsity float64) float64 {
	n := slices.Index(c.Sparsities(), sparsity)
	switch {
	case n < 0 || c.Goals == nil:
		return 0
	case i == isa.AVX512 || c.Dense && i == isa.AVX2:
		return c.Goals[n]
	case i == isa.AVX2:
		return avx2Goals[n]
	}
	return 0
}

// Masks returns a class for real masks, without goals.
func Masks(columns int) Class { return Class{Name: fmt.Sprintf("real masks, N = %d", columns)} }

// Classes lists the classes.
func Classes() []Class {
	pointwise := func(in, out, size int) kernels.Layer { return kernels.Layer{In: in, Out: out, Size: size, Kernel: 1} }
	linear := func(in, out, columns int) kernels.Layer { return kernels.Layer{In: in, Out: out, Columns: columns} }
	var square []kernels.Layer
	for i, size := range []int{56, 28, 14, 7} {
		square = append(square, kernels.Layer{In: 64 << i, Out: 64 << i, Size: size, Kernel: 3})
	}
	bert := []kernels.Layer{linear(768, 768, 128), linear(768, 3072, 128), linear(3072, 768, 128)}
	classes := []Class{
		{Name: "transformer, N = 128", Layers: bert, Goals: []float64{2.3, 3.3, 5.7, 9}},
		{Name: "1x1, N = 196, 784", Goals: []float64{2.2, 3.2, 5.5, 9}, Layers: []kernels.Layer{
			pointwise(1024, 256, 14), pointwise(256, 1024, 14), pointwise(512, 128, 28), pointwise(128, 512, 28)}},
		{Name: "1x1, N = 49", Goals: []float64{2.1, 3.2, 5.7, 9.5}, Layers: []kernels.Layer{pointwise(2048, 512, 7), pointwise(512, 2048, 7)}},
		{Name: "1x1, N = 3136", Goals: []float64{2.2, 3, 4.8, 6}, Layers: []kernels.Layer{pointwise(256, 64, 56), pointwise(64, 256, 56)}},
		{Name: "3x3 against direct", Goals: []float64{2.2, 3.3, 6, 11}, Layers: square},
		{Name: "3x3 against Winograd", Goals: []float64{1.4, 2.1, 4, 7}, Layers: square, Winograd: true},
		{Name: "matrix-vector, in L3", Goals: []float64{2.1, 3.2, 6.4, 12}, Layers: []kernels.Layer{linear(2048, 1000, 1)}},
		{Name: "matrix-vector, from DRAM", Goals: []float64{2.5, 4, 8.5, 16}, Layers: []kernels.Layer{linear(4096, 4096, 1)}},
		{Name: "blocks of R x 1", Goals: []float64{2.9, 4.3, 8.7, 16.5}, Blocks: []int{4, 8}, Layers: []kernels.Layer{
			linear(768, 3072, 128), pointwise(1024, 256, 14), square[2]}},
	}
	dense := Class{Name: "dense", Dense: true, Goals: []float64{0.9}}
	for _, c := range classes {
		for _, l := range c.Layers {
			if !slices.Contains(dense.Layers, l) {
				dense.Layers = append(dense.Layers, l)
			}
		}
	}
	return append(classes, dense)
}

// A Row compares engines on one layer and number of threads. Times are medians
// in microseconds, 0 where an engine is missing or does not compute the layer.
type Row struct {
	Class    string             `json:"class"`
	Name     string             `json:"name,omitempty"` // of a mask
	Shape    string             `json:"shape"`
	Sparsity float64            `json:"sparsity"`
	Block    int                `json:"block,omitempty"` // rows of the blocks of zeros; 0 for a mask
	Threads  int                `json:"threads"`
	Dense    float64            `json:"dense_us"` // of the best dense engine
	Best     string             `json:"best_dense"`
	Ours     map[string]float64 `json:"ours_us"` // by instruction set
	Format   string             `json:"format"`  // of the last of them
	Peers    map[string]float64 `json:"peers_us"`
	Ratio    float64            `json:"ratio"`             // of the best dense engine to the best of ours
	Goal     float64            `json:"goal"`              // for Ratio, on one thread where zeros are skipped; 0 for none
	Missing  map[string]string  `json:"missing,omitempty"` // why a driver gave no time
}

// Bench says how to compare.
type Bench struct {
	Folder  string    // of the drivers' programs, and of node_modules
	ISAs    []isa.ISA // of ours, the last of them that of the engines
	Threads []int     // numbers of them
	kernels.Timing
}

// tolerance is by how much, of the largest element, outputs may differ;
// Winograd's algorithm is less exact.
const tolerance, winogradTolerance = 1e-4, 1e-2

// Compare measures every driver and ours, on every number of threads, in turns
// on one layer. It returns a row for each number of threads.
func (b Bench) Compare(ctx context.Context, class Class, c kernels.Case) ([]Row, error) {
	if len(b.ISAs) == 0 || len(b.Threads) == 0 {
		return nil, errors.New("no instruction set or number of threads to compare")
	}
	var all []*contenders
	defer func() {
		for _, x := range all {
			x.Close()
		}
	}()
	for _, threads := range b.Threads {
		x, err := b.ours(ctx, c, threads)
		all = append(all, x)
		if err != nil {
			return nil, err
		}
	}
	source, err := all[0].ours[0].Source()
	if err != nil {
		return nil, err
	}
	want, err := all[0].ours[0].Output(ctx)
	if err != nil {
		return nil, err
	}
	p, err := NewProblem(c, source)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	for _, x := range all {
		if err := b.startDrivers(ctx, x, p, class, want); err != nil {
			return nil, err
		}
	}
	// All of ours, then all the others: see rouse.
	runners := []kernels.Runner{rouse{}}
	for _, x := range all {
		for _, k := range x.ours {
			runners = append(runners, k)
		}
	}
	for _, x := range all {
		for _, l := range x.layers {
			runners = append(runners, l)
		}
	}
	turns, err := b.Measure(ctx, runners)
	if err != nil {
		return nil, err
	}
	rows := make([]Row, len(all))
	ours := turns[1:]
	others := ours[len(all)*len(b.ISAs):]
	for i, x := range all {
		r := x.row(ours[:len(x.ours)], others[:len(x.layers)])
		ours, others = ours[len(x.ours):], others[len(x.layers):]
		r.Class, r.Shape, r.Sparsity, r.Block = class.Name, c.Layer.String(), c.Sparsity, c.Block
		if c.Block == 0 {
			r.Name = c.Name
		}
		if x.threads == 1 || class.Dense {
			r.Goal = class.Goal(slices.Max(b.ISAs), c.Sparsity)
		}
		rows[i] = r
	}
	return rows, nil
}

// A rouse wakes our process, which was idle during the others' turns, before
// our own. Go's runtime then has a thread look at all others every 20 us for
// some milliseconds, to calm down after 50 looks. On a virtual machine, where
// an interrupt takes tens of microseconds, that doubles the time of a layer.
type rouse struct{}

// Turn implements [kernels.Runner].
func (rouse) Turn(context.Context) (time.Duration, error) {
	start := time.Now()
	for time.Since(start) < 12*time.Millisecond {
	}
	return time.Since(start), nil
}

// contenders are who takes turns on one number of threads.
type contenders struct {
	threads int
	ours    []*kernels.Contender
	drivers []Driver
	layers  []*Layer          // of the drivers
	missing map[string]string // why a driver does not run
}

// ours compiles a case for every instruction set.
func (b Bench) ours(ctx context.Context, c kernels.Case, threads int) (*contenders, error) {
	x := &contenders{threads: threads, missing: make(map[string]string)}
	for _, i := range b.ISAs {
		k, err := kernels.Compile(ctx, c, kernels.Variant{ISA: i, Threads: threads, Mode: runtime.Auto})
		if err != nil {
			return x, err
		}
		x.ours = append(x.ours, k)
	}
	return x, nil
}

// Close ends all of them.
func (x *contenders) Close() error {
	for _, k := range x.ours {
		k.Close()
	}
	for _, l := range x.layers {
		l.Close()
	}
	return nil
}

// row puts the turns of ours and of the layers into figures.
func (x *contenders) row(ours, layers [][]time.Duration) Row {
	r := Row{Threads: x.threads, Ours: make(map[string]float64), Peers: make(map[string]float64), Missing: x.missing}
	best := math.Inf(1)
	for n, k := range x.ours {
		us := kernels.MedianUS(ours[n])
		r.Ours[k.ISA.String()], r.Format = us, k.Step.Format
		best = min(best, us)
	}
	for n, d := range x.drivers {
		us := kernels.MedianUS(layers[n])
		r.Peers[d.String()] = us
		if !d.Sparse && (r.Best == "" || us < r.Dense) {
			r.Best, r.Dense = d.String(), us
		}
	}
	r.Ratio = r.Dense / best
	return r
}

// startDrivers starts the drivers that a layer may be computed with.
func (b Bench) startDrivers(ctx context.Context, x *contenders, p *Problem, class Class, want []float32) error {
	for _, d := range Drivers() {
		if d.Winograd && !class.Winograd || !d.fits(p.layer) {
			continue
		}
		l, err := b.start(ctx, p, d, x.threads, want)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			x.missing[d.String()] = err.Error()
			continue
		}
		x.drivers, x.layers = append(x.drivers, d), append(x.layers, l)
	}
	return nil
}

// start starts a driver, whose output must be what is wanted.
func (b Bench) start(ctx context.Context, p *Problem, d Driver, threads int, want []float32) (*Layer, error) {
	l, err := p.Start(ctx, d, b.Folder, slices.Max(b.ISAs), threads)
	if err != nil {
		return nil, err
	}
	got, err := l.Output(ctx)
	if err == nil {
		var diff float64
		limit := tolerance
		if d.Winograd {
			limit = winogradTolerance
		}
		if diff, err = kernels.Differ(want, got); err == nil && diff > limit {
			err = fmt.Errorf("%v: its output differs by %.2g of the largest element", d, diff)
		}
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
