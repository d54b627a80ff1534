package spmm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/sparse"
)

// BenchmarkKernel runs each kernel on data in the L1 cache: 16 of 24 columns
// present in every row.
func BenchmarkKernel(b *testing.B) {
	const rows, cols, present = 256, 24, 16
	peak := map[isa.ISA]float64{}
	for _, i := range isas() {
		peak[i] = Peak(i)
	}
	for _, k := range runnable() {
		b.Run(k.Name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			vector := k.ISA.Lanes() * 4
			column := k.Tile.Vectors() * k.Step * vector
			c := testCase{isa: k.ISA, packing: packing{r: k.R}, step: k.Step, rows: rows, w: make([]float32, rows*cols), tiles: []Tile{{Shape: k.Tile}}}
			for n := range cols {
				c.addr.Offsets = append(c.addr.Offsets, uint32(n*column))
			}
			for row := range rows / k.R {
				for _, col := range rng.Perm(cols)[:present] {
					for i := range k.R {
						c.w[(row*k.R+i)*cols+col] = rng.Float32() - 0.5
					}
				}
			}
			if !k.Pair && k.R == 1 {
				c.addr.Groups = rows // of the same activations: rows of one group would be paired
			}
			line := k.Tile.Cols * vector
			c.geo = Geometry{XRow: line * k.Step, YRow: line, YChan: 0}
			w, err := c.pack()
			if err != nil {
				b.Fatal(err)
			}
			p, err := NewProduct(k.ISA, w, k.Step, c.geo, c.tiles, c.epi)
			if err != nil {
				b.Fatal(err)
			}
			buf := p.buffers(rng)
			for b.Loop() {
				p.Run(buf, 0, p.Units())
			}
			rate := 2 * float64(rows*present*k.Tile.Vectors()*k.ISA.Lanes()) * float64(b.N) / float64(b.Elapsed().Nanoseconds())
			b.ReportMetric(rate, "GF/s")
			if peak[k.ISA] > 0 {
				b.ReportMetric(100*rate/peak[k.ISA], "%peak")
			}
		})
	}
}

// bench runs the product, of so many operations.
func (p *Product) bench(b *testing.B, flops float64) {
	buf := p.buffers(rand.New(rand.NewPCG(3, 4)))
	for b.Loop() {
		p.Run(buf, 0, p.Units())
	}
	b.ReportMetric(flops*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GF/s")
}

// buffers returns random buffers of the size that the product needs, from 8
// KiB on, where the allocator hands out whole pages.
func (p *Product) buffers(rng *rand.Rand) Buffers {
	b := Buffers{X: make([]float32, max(p.need.x, 2048)), Y: make([]float32, max(p.need.y, 2048))}
	for i := range b.X {
		b.X[i] = rng.Float32() - 0.5
	}
	return b
}

// BenchmarkLayer runs the shapes of ResNet-50's convolutions, dense and with
// 90 % zeros, on one thread. GF/s count the weights that are present, and real
// pixels only: lanes that a grid of sub-images leaves over do not count.
func BenchmarkLayer(b *testing.B) {
	for _, l := range resnet50 {
		for _, i := range isas() {
			if i == isa.Generic {
				continue
			}
			for _, f := range []struct {
				name     string
				sparsity float64
				r        int
			}{{"dense", 0, 4}, {"csr_90", 0.9, 1}, {"4x1_90", 0.9, 4}} {
				b.Run(fmt.Sprintf("%v/%v/%s", l, i, f.name), func(b *testing.B) {
					p, flops, err := l.bind(i, f.sparsity, f.r, residence{})
					if err != nil {
						b.Fatal(err)
					}
					p.bench(b, flops)
				})
			}
		}
	}
}

var resnet50 = []layer{
	{3, 64, 112, 7, 2, 0},
	{64, 64, 56, 3, 1, 0}, {128, 128, 28, 3, 1, 0}, {256, 256, 14, 3, 1, 0}, {512, 512, 7, 3, 1, 0},
	{64, 64, 56, 1, 1, 0}, {256, 64, 56, 1, 1, 0}, {64, 256, 56, 1, 1, 0},
	{512, 128, 28, 1, 1, 0}, {128, 512, 28, 1, 1, 0},
	{1024, 256, 14, 1, 1, 0}, {256, 1024, 14, 1, 1, 0},
	{2048, 512, 7, 1, 1, 0}, {512, 2048, 7, 1, 1, 0},
}

// BenchmarkTraffic tells what caches cost: each layer as it is; with the
// activations of every K-block in the place of the first one's; with all outputs
// in the place of a few; and with both in the L1 cache. The kernels do the same
// in all four.
func BenchmarkTraffic(b *testing.B) {
	for _, l := range append(resnet50, layer{in: 768, out: 768, columns: 128}, layer{in: 768, out: 3072, columns: 128}, layer{in: 3072, out: 768, columns: 128}) {
		for _, sparsity := range []float64{0.7, 0.8, 0.9, 0.95} {
			for _, r := range []residence{{}, {x: true}, {y: true}, {true, true}} {
				b.Run(fmt.Sprintf("%v/%g/%v", l, 100*sparsity, r), func(b *testing.B) {
					p, flops, err := l.bind(isa.Detect(), sparsity, 1, r)
					if err != nil {
						b.Fatal(err)
					}
					p.bench(b, flops)
				})
			}
		}
	}
}

// BenchmarkFar tells what it costs that weights come from memory, as in a network:
// layers alone, with their own weight in each run, and with one of so many copies
// of it that no cache holds them.
func BenchmarkFar(b *testing.B) {
	const memory = 128 << 20
	for _, l := range append(resnet50, layer{in: 768, out: 768, columns: 128}, layer{in: 768, out: 3072, columns: 128}, layer{in: 3072, out: 768, columns: 128}) {
		for _, sparsity := range []float64{0.8, 0.9, 0.95} {
			p, flops, err := l.bind(isa.Detect(), sparsity, 1, residence{})
			if err != nil {
				b.Fatal(err)
			}
			far := []*Product{p}
			for n := p.w.Bytes(); n < memory; n += p.w.Bytes() {
				far = append(far, p.copied())
			}
			for name, of := range map[string][]*Product{"near": {p}, "far": far} {
				b.Run(fmt.Sprintf("%v/%g/%s", l, 100*sparsity, name), func(b *testing.B) {
					buf, n := p.buffers(rand.New(rand.NewPCG(3, 4))), 0
					for b.Loop() {
						of[n%len(of)].Run(buf, 0, p.Units())
						n++
					}
					b.ReportMetric(flops*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GF/s")
				})
			}
		}
	}
}

// copied returns the product with a weight of its own.
func (p *Product) copied() *Product {
	w, q := *p.w, *p
	w.off, w.val = slices.Clone(w.off), slices.Clone(w.val)
	w.pairs, w.entries = slices.Clone(w.pairs), slices.Clone(w.entries)
	q.w = &w
	return &q
}

// A residence says what stays in the L1 cache whatever the layer's size.
type residence struct{ x, y bool }

func (r residence) String() string {
	switch r {
	case residence{x: true}:
		return "x"
	case residence{y: true}:
		return "y"
	case residence{true, true}:
		return "xy"
	}
	return "real"
}

// A layer is a square convolution whose image is cut into a grid of
// sub-images, one a lane, each with a halo of its own; or, of some columns, a
// matrix product.
type layer struct{ in, out, size, kernel, stride, columns int }

func (l layer) String() string {
	if l.columns > 0 {
		return fmt.Sprintf("%dx%dx%d", l.out, l.in, l.columns)
	}
	return fmt.Sprintf("%dx%ds%d_%d-%d@%d", l.kernel, l.kernel, l.stride, l.in, l.out, l.size)
}

// grid returns the shape of a sub-image of the output.
func (l layer) grid(lanes int) Shape {
	rows, cols := 2, 2
	switch {
	case l.columns > 0:
		return Shape{1, (l.columns + lanes - 1) / lanes}
	case lanes == 16 && l.size == 14:
		rows, cols = 8, 2
	case lanes == 16:
		rows, cols = 4, 4
	case lanes == 8 && l.size == 7:
		rows, cols = 1, 8
	case lanes == 8:
		rows, cols = 4, 2
	}
	return Shape{(l.size + rows - 1) / rows, (l.size + cols - 1) / cols}
}

// bind packs random weights in blocks of r x 1, all of them where none are
// zero, and binds them. It also returns the operations of a run.
func (l layer) bind(i isa.ISA, sparsity float64, r int, where residence) (*Product, float64, error) {
	if l.columns > 0 {
		l.kernel, l.stride = 1, 1
	}
	vector, area := i.Lanes()*4, l.grid(i.Lanes())
	reach := func(n int) int { return (n-1)*l.stride + l.kernel } // pixels under n outputs
	xRow := reach(area.Cols)
	xChan := xRow*reach(area.Rows) | 1
	grid := area
	if l.kernel == 1 {
		grid = Shape{1, area.Vectors()}
	}
	taps := l.kernel * l.kernel
	f := Fit{
		ISA: i, R: r, Pairs: r == 1, Step: l.stride, Columns: l.in * taps, Density: 1 - sparsity, Taps: taps,
		Footprint: func(t Shape) int { return reach(t.Rows) * reach(t.Cols) },
	}
	places := f.Cover(grid)
	a := Addressing{Block: f.Block(places[0].Shape)}
	for c := range l.in {
		for t := range taps {
			a.Offsets = append(a.Offsets, uint32((c*xChan+t/l.kernel*xRow+t%l.kernel)*vector))
		}
	}
	for k := range a.Offsets {
		if where.x {
			a.Offsets[k] = a.Offsets[k%a.Block]
		}
	}
	w, err := l.pack(sparsity, r, a)
	if err != nil {
		return nil, 0, err
	}
	if where.y {
		w.fold(8)
	}
	var tiles []Tile
	for _, p := range places {
		tiles = append(tiles, Tile{
			Shape: p.Shape,
			X:     (p.Row*xRow + p.Col) * l.stride * i.Lanes(),
			Y:     (p.Row*area.Cols + p.Col) * i.Lanes(),
		})
	}
	g := Geometry{XRow: xRow * l.stride * vector, YRow: area.Cols * vector, YChan: (area.Vectors() | 1) * vector}
	p, err := NewProduct(i, w, l.stride, g, tiles, Epilogue{Clamp: true, Max: float32(math.Inf(1))})
	return p, 2 * float64(w.NNZ()) * float64(max(l.size*l.size, l.columns)), err
}

// fold puts all rows of the output into the first few.
func (w *Weight) fold(rows uint32) {
	for i := range w.entries {
		w.entries[i].row %= rows
	}
	for i := range w.pairs {
		for j := range w.pairs[i].row {
			w.pairs[i].row[j] %= rows
		}
	}
}

func (l layer) pack(sparsity float64, r int, a Addressing) (*Weight, error) {
	rng := rand.New(rand.NewPCG(uint64(l.in), uint64(l.out)))
	cols := len(a.Offsets)
	w := make([]float32, l.out*cols)
	for row := 0; row < l.out; row += r {
		for k := range cols {
			if rng.Float64() >= sparsity {
				for i := range r {
					w[(row+i)*cols+k] = rng.Float32() + 0.1
				}
			}
		}
	}
	if sparsity == 0 {
		return PackDense(l.out, w, r, a)
	}
	m, err := sparse.FromDense(l.out, cols, w)
	if err != nil {
		return nil, err
	}
	if r == 1 {
		return PackCSR(m, a)
	}
	return PackBSR(m.BSR(r, 1), a)
}
