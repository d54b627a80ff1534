package runtime

import (
	"fmt"
	"math"
	"slices"

	"github.com/nnz-dev/nnz/kernels/gemm"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/kernels/spmm"
)

// A format is how the weight of a product is packed: dense, the nonzeros in
// blocks of r rows by one column, or in N:M form.
type format struct {
	dense bool
	r     int // rows of a block that share a list of columns, or alongLanes
	// least, where it is not 0, is how many nonzeros a block has to have: those
	// in other ones are kept apart, as single elements.
	least int
	nm    [2]int // N and M, where M is not 0
	// columns is for one vector, of which only some elements count: the weight
	// lies by columns, dense or, with r 1, its nonzeros under masks.
	columns bool
}

// alongLanes, in place of the rows of a block, is a dense weight whose rows lie
// along the lanes of vectors.
const alongLanes = 0

func (f format) String() string {
	switch {
	case f.columns && f.dense:
		return "columns"
	case f.columns:
		return "masked"
	case f.dense:
		return "dense"
	case f.least > 0:
		return fmt.Sprintf("mixed%dx1", f.r)
	case f.nm[1] > 0:
		return fmt.Sprintf("nm%d:%d", f.nm[0], f.nm[1])
	case f.r == 1:
		return "csr"
	}
	return fmt.Sprintf("bsr%dx1", f.r)
}

// A choice is the format of a layer, and why.
type choice struct {
	format    format
	why       string
	predicted map[string]float64 // microseconds on one thread, by format
}

// costs is what the kernels take on one instruction set, in units of one
// multiply-add of a vector: calibrated with BenchmarkLayer of kernels/spmm.
type costs struct {
	column map[int]float64 // of walking to one column of a list, by rows of the block
	row    float64         // of beginning and ending an accumulator in a K-block
	entry  float64         // of beginning and ending a list of columns
	lane   float64         // of a lane and a vector of rows of a column, where rows lie along lanes,
	taps   float64         // a factor on that in windows, whose taps tiles reuse,
	turn   float64         // and of turning the sums of a vector of rows
	perUS  float64         // units in a microsecond, to give times
}

func costsOf(i isa.ISA) costs {
	switch i {
	case isa.AVX512:
		return costs{column: map[int]float64{1: 2, 2: 2.5, 4: 3, 8: 5}, row: 2.5, entry: 14, lane: 1, taps: 1.15, turn: 220, perUS: 3500}
	case isa.AVX2:
		return costs{column: map[int]float64{1: 3, 2: 4, 4: 5, 8: 12}, row: 2.5, entry: 14, lane: 1.35, taps: 1, turn: 150, perUS: 7000}
	case isa.NEON:
		return costs{column: map[int]float64{1: 4, 2: 4, 4: 4, 8: 8}, row: 2.5, entry: 12, perUS: 5000}
	}
	return costs{column: map[int]float64{1: 4, 2: 6, 4: 8, 8: 16}, row: 4, entry: 20, perUS: 300}
}

// usualTile is how many vectors a tile has where there is no better reason.
const usualTile = 7

// worth returns how many single nonzeros take as long as a block of r rows, in
// a tile of common size.
func (k costs) worth(r int) int {
	return int(math.Ceil((float64(usualTile*r) + k.column[r]) / (usualTile + k.column[1])))
}

// margin is how much faster than dense a sparse format must promise to be:
// what the model may be wrong by near break-even, where little is at stake.
const margin = 1.05

// handicap is the factor on what a format is predicted to take before it is
// compared with simpler ones.
func (f format) handicap() float64 {
	if f.least > 0 {
		return margin
	}
	return 1
}

// choose picks the format of a product. It depends on the weight, the shape and the instruction set only, so that a
// model compiles to the same plan every time.
func (c *compiler) choose(b *binding) choice {
	w := b.w
	candidates := []format{c.denseFormat(b)}
	if c.sparse(w) {
		candidates = append(candidates, format{r: 1})
		if p, ok := w.pattern(); ok {
			candidates = append(candidates, format{r: 1, nm: p})
		}
		var mixed []format
		for _, r := range spmm.Blocks() {
			if r == 1 || w.rows/w.groups%r > 0 {
				continue
			}
			candidates = append(candidates, format{r: r})
			if r == 2 {
				continue // what two rows have in common, pairs share
			}
			f := format{r: r, least: costsOf(c.cfg.ISA).worth(r)}
			if blocks, rest := w.split(f); blocks > 0 && rest > 0 {
				mixed = append(mixed, f)
			}
		}
		candidates = append(candidates, mixed...)
	}
	return c.pick(w, candidates, func(f format) float64 { return c.cost(b, f) })
}

// sparse reports whether sparse formats are candidates for a weight.
func (c *compiler) sparse(w *weight) bool {
	return c.cfg.Mode == Sparse || c.cfg.Mode == Auto && w.nnz < w.rows*w.cols
}

// pick chooses among formats, dense the first of them, by what a cost function
// predicts in microseconds.
func (c *compiler) pick(w *weight, formats []format, cost func(format) float64) choice {
	out := choice{predicted: make(map[string]float64)}
	best := 0.0
	for i, f := range formats {
		us := cost(f)
		out.predicted[f.String()] = us
		switch {
		case i == 0:
			out.format, best = f, us/margin
		case us*f.handicap() < best || i == 1 && c.cfg.Mode == Sparse:
			out.format, best = f, us*f.handicap()
		}
	}
	asked := slices.IndexFunc(formats, func(f format) bool { return f.String() == c.cfg.Format })
	if asked >= 0 {
		out.format = formats[asked]
	}
	switch {
	case asked >= 0:
		out.why = c.cfg.Format + " was asked for"
	case c.cfg.Mode == Sparse:
		out.why = "sparse was asked for"
	case w.nnz == w.rows*w.cols:
		out.why = "no weight is zero"
	case c.cfg.Mode == Dense:
		out.why = "dense was asked for"
	case out.format.dense:
		out.why = fmt.Sprintf("%.0f %% zeros are below break-even", 100*w.sparsity())
	default:
		out.why = fmt.Sprintf("predicted %.1f times as fast as dense", out.predicted["dense"]/out.predicted[out.format.String()])
	}
	return out
}

// denseFormat picks how a dense weight is packed: in blocks of as many rows as
// share their activations, or with its rows along the lanes.
func (c *compiler) denseFormat(b *binding) format {
	blocks := format{dense: true, r: denseRows(b.w)}
	lanes := format{dense: true, r: alongLanes}
	if gemm.Supports(c.cfg.ISA) && c.cost(b, lanes) < c.cost(b, blocks) {
		return lanes
	}
	return blocks
}

// denseRows is how many rows a dense kernel of package spmm takes at once: as
// many as share their activations.
func denseRows(w *weight) int {
	for _, r := range []int{4, 2} {
		if w.rows/w.groups >= r {
			return r
		}
	}
	return 1
}

// cost predicts the microseconds that a format takes on one thread.
func (c *compiler) cost(b *binding, f format) float64 {
	k := costsOf(c.cfg.ISA)
	units := 0.0
	if f.r == alongLanes {
		units = c.vectorUnits(b, k)
	} else {
		units = c.tileUnits(b, f, k)
	}
	return units * float64(b.images) / k.perUS
}

// vectorUnits predicts what an image takes with the rows of a dense weight along
// the lanes.
func (c *compiler) vectorUnits(b *binding, k costs) float64 {
	vectors := make(map[gemm.Lanes]int) // few kinds, of many
	for row := range b.grid.Rows {
		for col := range b.grid.Cols {
			vectors[b.lanes(row, col)]++
		}
	}
	computed := 0
	for lanes, n := range vectors {
		computed += n * gemm.Computed(c.cfg.ISA, lanes)
	}
	lane := k.lane
	if b.src.window.taps() > 1 {
		lane *= k.taps
	}
	panels := float64(ceilDiv(b.w.rows/b.w.groups, c.lanes) * b.w.groups)
	return panels * (float64(b.w.cols*computed)*lane + float64(b.grid.Vectors())*k.turn)
}

// tileUnits predicts what an image takes on tiles of vectors.
func (c *compiler) tileUnits(b *binding, f format, k costs) float64 {
	w, win := b.w, b.src.window
	inBlocks, rest := w.split(f)
	columns := float64(inBlocks) / float64(f.r) // walked to, in all rows
	shapes := c.fit(w, f, win).Cover(b.grid)
	entries := float64(ceilDiv(w.rows, f.r) * ceilDiv(w.cols, c.blockColumns(w, f, shapes, win)))
	restEntries := 0.0
	if rest > 0 {
		// K-blocks of a size for blocks cost single rows as much in reads from the
		// L2 cache as they save in entries.
		single := c.blockColumns(w, format{r: 1}, shapes, win)
		restEntries = float64(min(w.rows*ceilDiv(w.cols, single), rest))
	}
	if !f.dense && f.r == 1 {
		columns *= 1 - paired*w.stored(f)*w.stored(f)
	}
	units := 0.0
	for _, s := range shapes {
		vectors := float64(s.Vectors() * f.r)
		units += columns*(vectors+k.column[f.r]) + entries*(k.entry+vectors*k.row)
		vectors = float64(s.Vectors())
		units += float64(rest)*(vectors+k.column[1]) + restEntries*resident*(k.entry+vectors*k.row)
	}
	return units
}

// paired is what is saved where two rows share all of their columns: single
// rows go in pairs, and in dense ones each finds more in its partner.
const paired = 0.4

// resident is the part of the cost of an entry that is left where its
// accumulators are in the L1 cache: the rest of a mixed weight finds most of
// them where the blocks left them.
const resident = 0.8

// fit describes a product in a format, for tiles and K-blocks to be fitted.
func (c *compiler) fit(w *weight, f format, win window) spmm.Fit {
	return spmm.Fit{
		ISA: c.cfg.ISA, R: f.r, Pairs: !f.dense && f.r == 1 && w.rows > w.groups,
		Step: win.sw, Columns: w.cols, Density: w.stored(f),
		Taps: win.taps(), Footprint: win.footprint,
	}
}

// blockColumns returns how many columns of a weight make a K-block.
func (c *compiler) blockColumns(w *weight, f format, shapes []spmm.Placed, win window) int {
	fit, least := c.fit(w, f, win), w.cols
	for _, s := range shapes {
		least = min(least, fit.Block(s.Shape))
	}
	return least
}
