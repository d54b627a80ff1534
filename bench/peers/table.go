package peers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/bench/kernels"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/runtime"
)

// A Class is layers whose speed-up over the best dense engine has a common
// goal at each sparsity.
type Class struct {
	Name     string
	Layers   []kernels.Layer
	Blocks   []int // rows of the blocks of zeros
	Winograd bool  // the dense engines may use it
	Goals    []float64
}

// Sparsities are those that classes have goals for.
var sparsities = [...]float64{0.7, 0.8, 0.9, 0.95}

// Sparsities returns the sparsities that [Class].Goals are for.
func Sparsities() []float64 { return sparsities[:] }

// Classes lists the classes.
func Classes() []Class {
	pointwise := func(in, out, size int) kernels.Layer { return kernels.Layer{In: in, Out: out, Size: size, Kernel: 1} }
	linear := func(in, out, columns int) kernels.Layer { return kernels.Layer{In: in, Out: out, Columns: columns} }
	var square []kernels.Layer
	for i, size := range []int{56, 28, 14, 7} {
		square = append(square, kernels.Layer{In: 64 << i, Out: 64 << i, Size: size, Kernel: 3})
	}
	bert := []kernels.Layer{linear(768, 768, 128), linear(768, 3072, 128), linear(3072, 768, 128)}
	return []Class{
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
}

// A Row compares engines on one layer. Times are medians in microseconds, 0
// where an engine is missing or does not compute the layer.
type Row struct {
	Class    string             `json:"class"`
	Shape    string             `json:"shape"`
	Sparsity float64            `json:"sparsity"`
	Block    int                `json:"block"`
	Threads  int                `json:"threads"`
	Dense    float64            `json:"dense_us"` // of the best dense engine
	Best     string             `json:"best_dense"`
	Ours     map[string]float64 `json:"ours_us"` // by instruction set
	Format   string             `json:"format"`  // of the last of them
	Peers    map[string]float64 `json:"peers_us"`
	Ratio    float64            `json:"ratio"` // of the best dense engine to the best of ours
	Goal     float64            `json:"goal"`
	Missing  map[string]string  `json:"missing,omitempty"` // why a driver gave no time
}

// Bench says how to compare.
type Bench struct {
	Folder  string    // of the drivers' programs
	ISAs    []isa.ISA // of ours, the last of them that of the engines
	Threads int
	kernels.Timing
}

// tolerance is by how much, of the largest element, outputs may differ;
// Winograd's algorithm is less exact.
const tolerance, winogradTolerance = 1e-4, 1e-2

// Compare measures every driver and ours in turns on one layer.
func (b Bench) Compare(ctx context.Context, class Class, c kernels.Case, goal float64) (Row, error) {
	r := Row{
		Class: class.Name, Shape: c.Layer.String(), Sparsity: c.Sparsity, Block: c.Block, Threads: b.Threads, Goal: goal,
		Ours: make(map[string]float64), Peers: make(map[string]float64), Missing: make(map[string]string),
	}
	if len(b.ISAs) == 0 {
		return r, errors.New("no instruction set to compare")
	}
	var ours []*kernels.Contender
	var runners []kernels.Runner
	for _, i := range b.ISAs {
		x, err := kernels.Compile(ctx, c, kernels.Variant{ISA: i, Threads: b.Threads, Mode: runtime.Auto})
		if err != nil {
			return r, err
		}
		defer x.Close()
		if _, err := x.Run(ctx); err != nil {
			return r, err
		}
		ours, runners = append(ours, x), append(runners, x)
		r.Format = x.Step.Format
	}
	x, err := ours[0].Source()
	if err != nil {
		return r, err
	}
	want, err := ours[0].Output()
	if err != nil {
		return r, err
	}
	p, err := NewProblem(c, x, b.Threads)
	if err != nil {
		return r, err
	}
	defer p.Close()
	var started []Driver
	for _, d := range Drivers() {
		if d.Winograd && !class.Winograd || !d.fits(c.Layer) {
			continue
		}
		l, err := b.start(ctx, p, d, want)
		if err != nil {
			r.Missing[d.String()] = err.Error()
			continue
		}
		defer l.Close()
		started, runners = append(started, d), append(runners, l)
	}
	medians, err := b.Medians(ctx, runners)
	if err != nil {
		return r, err
	}
	best := 0.0
	for n, i := range b.ISAs {
		us := float64(max(medians[n], 1)) / 1e3
		r.Ours[i.String()] = us
		if best == 0 || us < best {
			best = us
		}
	}
	for n, d := range started {
		us := float64(max(medians[len(ours)+n], 1)) / 1e3
		r.Peers[d.String()] = us
		if !d.Sparse && (r.Best == "" || us < r.Dense) {
			r.Best, r.Dense = d.String(), us
		}
	}
	r.Ratio = r.Dense / best
	return r, nil
}

// start starts a driver, whose output must be what is wanted.
func (b Bench) start(ctx context.Context, p *Problem, d Driver, want []float32) (*Layer, error) {
	l, err := p.Start(ctx, d, b.Folder, slices.Max(b.ISAs))
	if err != nil {
		return nil, err
	}
	got, err := l.Output()
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
