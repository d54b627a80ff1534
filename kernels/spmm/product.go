package spmm

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unsafe"

	"github.com/nnz-dev/nnz/kernels/isa"
)

// A Geometry has the strides, in bytes, of activations, output and residual.
type Geometry struct {
	XRow, YRow, ResRow int // from a tile row to the next; XRow counts the row step
	YChan, ResChan     int // from an output channel, a weight row, to the next
}

// A Tile is a rectangle of vectors of the output. X, Y and Res are where it
// begins in Buffers, in float32, for weight row 0 and a column of offset 0.
type Tile struct {
	Shape
	X, Y, Res int
}

// An Epilogue says how results begin and end.
type Epilogue struct {
	Bias     []float32 // one a weight row, or nil for none
	Residual bool      // add Buffers.Res
	Clamp    bool      // limit results to [Min, Max]; NaN stays NaN
	Min, Max float32
}

// Buffers are what a product works on. Res may be Y, with tiles at the same
// place, and is not looked at without Epilogue.Residual.
type Buffers struct{ X, Y, Res []float32 }

// A Product is a weight bound to a grid of tiles. It is immutable and may run
// in several goroutines at once.
type Product struct {
	w       *Weight
	epi     Epilogue
	geo     Geometry
	flags   flags // of those that a run may have, the ones that apply
	tiles   []Tile
	cover   [][]call // by class and tile: see coverOf
	classes []int    // of each chunk: index of its class
	need    struct{ x, y, res int }
}

// A call is a kernel at a place: float32 from the product's origin.
type call struct {
	kernels   *[kinds]Kernel // those that the class has
	x, y, res int
}

// NewProduct binds a weight to tiles of activations whose columns are step
// vectors apart, 1 or 2. Every tile shape will do; one that has no kernel is
// covered with smaller ones, as [Fit.Cover] says.
func NewProduct(i isa.ISA, w *Weight, step int, g Geometry, tiles []Tile, epi Epilogue) (*Product, error) {
	if step != 1 && step != 2 {
		return nil, fmt.Errorf("spmm: step of %d vectors: want 1 or 2", step)
	}
	if epi.Bias == nil {
		epi.Bias = make([]float32, w.rows)
	}
	if len(epi.Bias) != w.rows {
		return nil, fmt.Errorf("spmm: %d biases for %d rows", len(epi.Bias), w.rows)
	}
	for _, s := range []int{g.XRow, g.YRow, g.ResRow, g.YChan, g.ResChan} {
		if s < 0 || s%4 != 0 || s > math.MaxInt32 {
			return nil, fmt.Errorf("spmm: stride of %d bytes", s)
		}
	}
	p := &Product{w: w, epi: epi, geo: g, tiles: tiles, flags: first}
	if prefetches() {
		p.flags |= prefetch
	}
	if epi.Residual {
		p.flags |= residual
	}
	if epi.Clamp {
		p.flags |= clamp
	}
	if err := p.measure(i.Lanes()*4, step); err != nil {
		return nil, err
	}
	byClass := map[class]int{}
	for _, c := range w.chunks {
		class, ok := byClass[c.class]
		if !ok {
			class = len(byClass)
			byClass[c.class] = class
			calls, err := coverOf(w.fit(i, c.class, step), c.class, g, tiles)
			if err != nil {
				return nil, err
			}
			p.cover = append(p.cover, calls...)
		}
		p.classes = append(p.classes, class)
	}
	return p, nil
}

// prefetches reports whether kernels should prefetch output rows in the first
// K-block. On Intel's cores that saves 2 to 4 % of a network, on Zen 4 it costs 3 %.
func prefetches() bool { return strings.HasPrefix(isa.Describe().Name, "Intel") }

// coverOf returns, for each tile, the calls that compute rows of it.
func coverOf(f Fit, rows class, g Geometry, tiles []Tile) ([][]call, error) {
	vector := f.ISA.Lanes() * 4
	shapes := map[Shape][]call{} // calls of a tile at the origin
	all := make([][]call, len(tiles))
	for n, t := range tiles {
		calls, ok := shapes[t.Shape]
		if !ok {
			cover := []Placed{{Shape: t.Shape}}
			if _, err := kernelsOf(rows, f, t.Shape); err != nil {
				cover = f.Cover(t.Shape)
			}
			if len(cover) == 0 {
				return nil, fmt.Errorf("spmm: no %v kernels for %d rows and step %d in this build", f.ISA, f.R, f.Step)
			}
			for _, c := range cover {
				kernels, err := kernelsOf(rows, f, c.Shape)
				if err != nil {
					return nil, err
				}
				calls = append(calls, call{
					kernels: &kernels,
					x:       (c.Row*g.XRow + c.Col*vector*f.Step) / 4,
					y:       (c.Row*g.YRow + c.Col*vector) / 4,
					res:     (c.Row*g.ResRow + c.Col*vector) / 4,
				})
			}
			shapes[t.Shape] = calls
		}
		for _, c := range calls {
			all[n] = append(all[n], call{c.kernels, c.x + t.X, c.y + t.Y, c.res + t.Res})
		}
	}
	return all, nil
}

// kernelsOf returns the kernels of a class for a tile.
func kernelsOf(rows class, f Fit, tile Shape) (list [kinds]Kernel, err error) {
	need := func(k kind, r int, pair bool) {
		var ok bool
		if list[k], ok = lookup(f.ISA, r, pair, tile, f.Step); !ok {
			err = fmt.Errorf("spmm: no %v kernel of %d rows, in pairs %t, for tiles of %v in this build", f.ISA, r, pair, tile)
		}
	}
	need(blockRows, rows.r, false)
	if rows.rest {
		need(singleRows, 1, false)
	}
	if rows.pairs {
		need(pairRows, 1, true)
	}
	return list, err
}

// measure computes what length of buffers the tiles reach.
func (p *Product) measure(vector, step int) error {
	const limit = math.MaxInt32
	for _, t := range p.tiles {
		for _, n := range []int{t.Rows - 1, t.Cols - 1, t.X, t.Y, t.Res} {
			if n < 0 || n > limit {
				return fmt.Errorf("spmm: tile %+v", t)
			}
		}
		reach := func(start, base, row, col int) int {
			return start + (base+(t.Rows-1)*row+(t.Cols-1)*col+vector)/4
		}
		p.need.x = max(p.need.x, reach(t.X, p.w.maxOff, p.geo.XRow, vector*step))
		p.need.y = max(p.need.y, reach(t.Y, (p.w.rows-1)*p.geo.YChan, p.geo.YRow, vector))
		if p.epi.Residual {
			p.need.res = max(p.need.res, reach(t.Res, (p.w.rows-1)*p.geo.ResChan, p.geo.ResRow, vector))
		}
	}
	// int has 64 bits on every platform with assembly; elsewhere sums of
	// products of 31-bit numbers could wrap.
	if p.need.x < 0 || p.need.y < 0 || p.need.res < 0 {
		return errors.New("spmm: geometry overflows")
	}
	return nil
}

// Kernel names the kernel that computes most weights of the first chunk on the
// largest tile.
func (p *Product) Kernel() string {
	most := [kinds]int{}
	for _, r := range p.w.chunks[0].runs {
		most[r.kind] += r.hi - r.lo
	}
	best, name := 0, ""
	for _, calls := range p.cover[p.classes[0]*len(p.tiles):][:len(p.tiles)] {
		for _, c := range calls {
			for n, k := range c.kernels {
				if v := most[n] * k.Tile.Vectors(); v > best {
					best, name = v, k.Name
				}
			}
		}
	}
	return name
}

// Check reports buffers that tiles would reach out of.
func (p *Product) Check(b Buffers) error {
	if err := b.Hold(p.need.x, p.need.y, p.need.res); err != nil {
		return fmt.Errorf("spmm: %w", err)
	}
	return nil
}

// Hold reports a buffer that has fewer float32 than tiles reach in it.
func (b Buffers) Hold(x, y, res int) error {
	for _, s := range []struct {
		name       string
		have, need int
	}{
		{"activations", len(b.X), x},
		{"output", len(b.Y), y},
		{"residual", len(b.Res), res},
	} {
		if s.have < s.need {
			return fmt.Errorf("%s have %d float32, tiles reach %d", s.name, s.have, s.need)
		}
	}
	return nil
}

// Units returns how many pieces of work the product has, one a tile and chunk
// of the weight: all tiles of a chunk, then those of the next. Units write
// disjoint parts of Y where tiles are disjoint.
func (p *Product) Units() int { return len(p.tiles) * len(p.w.chunks) }

// Run computes units lo to hi-1. The buffers must have passed Check. It
// allocates nothing.
func (p *Product) Run(b Buffers, lo, hi int) {
	if lo >= hi {
		return
	}
	// Slicing keeps assembly inside of the buffers, Check or not.
	b = Buffers{b.X[:p.need.x], b.Y[:p.need.y], b.Res[:p.need.res]}
	a := args{
		bias: unsafe.SliceData(p.epi.Bias),
		xRow: uintptr(p.geo.XRow), yRow: uintptr(p.geo.YRow), resRow: uintptr(p.geo.ResRow),
		yChan: uintptr(p.geo.YChan), resChan: uintptr(p.geo.ResChan),
		min: p.epi.Min, max: p.epi.Max,
	}
	for unit := lo; unit < hi; unit++ {
		n, tile := unit/len(p.tiles), unit%len(p.tiles)
		from := far
		if tile > 0 && unit > lo {
			from = 0
		}
		for _, c := range p.cover[p.classes[n]*len(p.tiles)+tile] {
			a.x = unsafe.Pointer(&b.X[c.x])
			a.y = unsafe.Pointer(&b.Y[c.y])
			if p.epi.Residual {
				a.res = unsafe.Pointer(&b.Res[c.res])
			}
			for _, r := range p.w.chunks[n].runs {
				if r.kind == pairRows {
					a.entries, a.off, a.val = unsafe.Pointer(&p.w.pairs[r.lo]), &p.w.off[r.off], &p.w.val[r.val]
				} else {
					a.entries, a.off, a.val = unsafe.Pointer(&p.w.entries[r.lo]), &p.w.off[0], &p.w.val[0]
				}
				a.count = uint(r.hi - r.lo)
				a.flags = r.flags&p.flags | from
				c.kernels[r.kind].fn(noescape(&a))
			}
			from = 0
		}
	}
}

// noescape hides a pointer from escape analysis, so that args stay on the
// stack: kernels keep no pointer.
func noescape(a *args) *args {
	x := uintptr(unsafe.Pointer(a))
	return *(**args)(unsafe.Pointer(&x))
}
