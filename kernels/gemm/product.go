package gemm

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/nnz-dev/nnz/kernels/spmm"
)

// A Geometry has the strides, in bytes, of output and residual.
type Geometry struct {
	YChan, ResChan int // from an output channel, a weight row, to the next
}

// A Tile is one vector of the output. X, Y and Res are where it lies in
// Buffers, in float32, for weight row 0 and a column of offset 0.
type Tile struct {
	X, Y, Res int
	Lanes     Lanes
}

// A Product is a weight bound to tiles. It is immutable and may run in several
// goroutines at once.
type Product struct {
	w       *Weight
	epi     spmm.Epilogue
	bias    []float32 // of each strip, padded as its weights are
	biasOf  []int     // where a strip's begins
	geo     Geometry
	flags   flags
	tiles   []Tile
	kernels [][]Kernel // by the tile's kind and vectors of rows, less one
	kinds   []int      // of tiles
	units   []unit
	strips  int // of a unit, at most
	block   int // columns of a K-block
	need    struct{ x, y, res int }
}

// A unit is strips from to to-1 on tiles lo to hi-1.
type unit struct{ from, to, lo, hi int }

// NewProduct binds a weight to tiles.
func NewProduct(w *Weight, g Geometry, tiles []Tile, epi spmm.Epilogue) (*Product, error) {
	if epi.Bias == nil {
		epi.Bias = make([]float32, w.rows)
	}
	if len(epi.Bias) != w.rows {
		return nil, fmt.Errorf("gemm: %d biases for %d rows", len(epi.Bias), w.rows)
	}
	for _, s := range []int{g.YChan, g.ResChan} {
		if s < 0 || s%4 != 0 || s > math.MaxInt32 {
			return nil, fmt.Errorf("gemm: stride of %d bytes", s)
		}
	}
	p := &Product{w: w, epi: epi, geo: g, tiles: tiles}
	if epi.Residual {
		p.flags |= residual
	}
	if epi.Clamp {
		p.flags |= clamp
	}
	for _, s := range w.strips {
		p.biasOf = append(p.biasOf, len(p.bias))
		p.bias = append(p.bias, epi.Bias[s.row:s.row+s.rows]...)
		p.bias = append(p.bias, make([]float32, s.panels*w.isa.Lanes()-s.rows)...)
	}
	if err := p.measure(); err != nil {
		return nil, err
	}
	if err := p.choose(); err != nil {
		return nil, err
	}
	p.cut()
	return p, nil
}

// choose finds the kernels of every tile.
func (p *Product) choose() error {
	kinds := map[Lanes]int{}
	for _, t := range p.tiles {
		kind, ok := kinds[t.Lanes]
		if !ok {
			kind = len(kinds)
			kinds[t.Lanes] = kind
			var list []Kernel
			for panels := 1; panels <= panelsOf(p.w.isa); panels++ {
				k, ok := lookup(p.w.isa, panels, t.Lanes)
				if !ok {
					return fmt.Errorf("gemm: no %v kernel of %d vectors of rows for lanes %+v in this build", p.w.isa, panels, t.Lanes)
				}
				list = append(list, k)
			}
			p.kernels = append(p.kernels, list)
		}
		p.kinds = append(p.kinds, kind)
	}
	return nil
}

// measure computes what length of buffers the tiles reach.
func (p *Product) measure() error {
	const limit = math.MaxInt32
	lanes := p.w.isa.Lanes()
	for _, t := range p.tiles {
		l := t.Lanes
		if l.Groups < 1 || l.Count < 1 || l.Groups > lanes || l.Stride < l.Count || l.Stride > lanes || (l.Groups-1)*l.Stride+l.Count > lanes {
			return fmt.Errorf("gemm: lanes %+v of a vector of %d", l, lanes)
		}
		for _, n := range []int{t.X, t.Y, t.Res} {
			if n < 0 || n > limit {
				return fmt.Errorf("gemm: tile %+v", t)
			}
		}
		p.need.x = max(p.need.x, t.X+p.w.maxOff/4+lanes)
		p.need.y = max(p.need.y, t.Y+(p.w.rows-1)*p.geo.YChan/4+lanes)
		if p.epi.Residual {
			p.need.res = max(p.need.res, t.Res+(p.w.rows-1)*p.geo.ResChan/4+lanes)
		}
	}
	// int has 64 bits on every platform with assembly; elsewhere sums of
	// products of 31-bit numbers could wrap.
	if p.need.x < 0 || p.need.y < 0 || p.need.res < 0 {
		return errors.New("gemm: geometry overflows")
	}
	return nil
}

const (
	// maxTiles is how many tiles a unit has at most, and maxSums how many sums a
	// strip has on those.
	maxTiles = 8
	maxSums  = maxTiles * 48 * 16
	// maxBlock is how many columns a K-block has at most: its weights, and its
	// activations of one tile and the next, should stay in the L1 cache.
	maxBlock = 96
	// resident is how many columns all strips of a unit go through before the
	// next: their activations for all tiles of the unit should stay in the L2
	// cache. Where there are more, a unit has several strips, maxStrips at most, as
	// long as there are minUnits units for the threads.
	resident  = 768
	maxStrips = 4
	minUnits  = 8
	line      = 16 // float32 of a cache line
)

// cut lists the units, and sets the size of K-blocks. A span of tiles is
// computed for all rows before the next, so that its activations stay in the L2
// cache; the tiles of a strip follow each other, so that its weights do.
func (p *Product) cut() {
	const cache = 512 << 10 // what activations may take of the L2 cache
	span := len(p.tiles)
	if bytes := 4 * p.need.x; bytes > cache {
		spans := (bytes + cache - 1) / cache
		span = max((span+spans-1)/spans, min(maxTiles, span))
	}
	if p.strips = 1; p.w.cols > resident {
		all := len(p.w.strips) * ((len(p.tiles) + maxTiles - 1) / maxTiles)
		p.strips = max(1, min(all/minUnits, maxStrips))
	}
	for lo := 0; lo < len(p.tiles); lo += span {
		end := min(lo+span, len(p.tiles))
		for s := 0; s < len(p.w.strips); s += p.strips {
			for at := lo; at < end; at += maxTiles {
				p.units = append(p.units, unit{s, min(s+p.strips, len(p.w.strips)), at, min(at+maxTiles, end)})
			}
		}
	}
	blocks := (p.w.cols + maxBlock - 1) / maxBlock
	p.block = (p.w.cols + blocks - 1) / blocks
}

// Kernel names the kernel that computes most.
func (p *Product) Kernel() string {
	sums := map[string]int{}
	best := ""
	for _, s := range p.w.strips {
		for _, kind := range p.kinds {
			k := p.kernels[kind][s.panels-1]
			sums[k.Name] += s.rows * k.Lanes.Live()
			if best == "" || sums[k.Name] > sums[best] {
				best = k.Name
			}
		}
	}
	return best
}

// Check reports buffers that tiles would reach out of.
func (p *Product) Check(b spmm.Buffers) error {
	if err := b.Hold(p.need.x, p.need.y, p.need.res); err != nil {
		return fmt.Errorf("gemm: %w", err)
	}
	return nil
}

// Units returns how many pieces of work the product has. Units write disjoint
// parts of Y where tiles are disjoint.
func (p *Product) Units() int { return len(p.units) }

// Run computes units lo to hi-1. The buffers must have passed Check. It
// allocates nothing.
func (p *Product) Run(b spmm.Buffers, lo, hi int) {
	if lo >= hi {
		return
	}
	// Slicing keeps assembly inside of the buffers, Check or not.
	b = spmm.Buffers{X: b.X[:p.need.x], Y: b.Y[:p.need.y], Res: b.Res[:p.need.res]}
	if p.strips == 1 {
		var sums [maxSums + line]float32
		p.run(b, lo, hi, aligned(sums[:]))
		return
	}
	var sums [maxStrips*maxSums + line]float32
	p.run(b, lo, hi, aligned(sums[:]))
}

// run computes units with room for the sums of a unit's strips.
func (p *Product) run(b spmm.Buffers, lo, hi int, sums []float32) {
	columns := p.block * (resident / p.block)
	for _, u := range p.units[lo:hi] {
		for k := 0; k < p.w.cols; k += columns {
			for s := u.from; s < u.to; s++ {
				p.strip(b, s, u, k, min(k+columns, p.w.cols), sums[(s-u.from)*maxSums:])
			}
		}
	}
}

// strip adds up columns from to to-1 of a strip on the tiles of a unit.
func (p *Product) strip(b spmm.Buffers, n int, u unit, from, to int, sums []float32) {
	s, lanes := &p.w.strips[n], p.w.isa.Lanes()
	width := s.panels * lanes
	share := min((width+u.hi-u.lo-1)/(u.hi-u.lo), line) // of a column that is to come, for each tile
	a := args{
		min: p.epi.Min, max: p.epi.Max,
		yChan: uintptr(p.geo.YChan), resChan: uintptr(p.geo.ResChan),
		bias: &p.bias[p.biasOf[n]], rows: uint(s.rows), step: uintptr(4 * share),
	}
	for k := from; k < to; k += p.block {
		a.off, a.w, a.count = &p.w.off[s.off+k], &p.w.val[p.w.at(n, k)], uint(min(p.block, to-k))
		a.flags = p.flags
		if k > 0 {
			a.flags |= resume
		}
		if k+p.block < p.w.cols {
			a.flags |= more
		}
		next := p.w.at(n, k+p.block) // the next K-block, or the next unit
		if last := k+p.block >= to; last && n+1 < u.to {
			next = p.w.at(n+1, from)
		} else if last && to < p.w.cols {
			next = p.w.at(u.from, to)
		}
		for n := u.lo; n < u.hi; n++ {
			t := &p.tiles[n]
			a.x = unsafe.Pointer(&b.X[t.X])
			a.y = unsafe.Pointer(&b.Y[t.Y+s.row*p.geo.YChan/4])
			if p.epi.Residual {
				a.res = unsafe.Pointer(&b.Res[t.Res+s.row*p.geo.ResChan/4])
			}
			// Each tile brings its share of what follows, so that memory has the
			// time of all to deliver.
			a.next = unsafe.Pointer(a.w)
			if at := next + (n-u.lo)*share*int(a.count); at < len(p.w.val) {
				a.next = unsafe.Pointer(&p.w.val[at])
			}
			a.sums = &sums[(n-u.lo)*width*lanes]
			p.kernels[p.kinds[n]][s.panels-1].fn(noescape(&a))
		}
	}
}

// aligned returns the room from where a cache line begins.
func aligned(room []float32) []float32 {
	return room[-uintptr(unsafe.Pointer(unsafe.SliceData(room)))%64/4:]
}

// noescape hides a pointer from escape analysis, so that args stay on the
// stack: kernels keep no pointer.
func noescape(a *args) *args {
	x := uintptr(unsafe.Pointer(a))
	return *(**args)(unsafe.Pointer(&x))
}
