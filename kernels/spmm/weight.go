package spmm

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/sparse"
)

// Addressing says where the activations of a weight's columns lie, and how the
// weight is cut.
type Addressing struct {
	// Offsets has, for each weight column, the bytes from a tile's origin to
	// the column's first vector. With groups, those of the first group.
	Offsets []uint32
	// Groups is how many groups of rows multiply activations of their own:
	// group g has rows g*rows/Groups and on. 0 means 1.
	Groups int
	// GroupStride is what a group adds to the offsets of the one before.
	GroupStride uint32
	// Block is how many columns a K-block has, 0 for all: the activations of
	// a block for one tile should stay in the L1 cache. See [Fit.Block].
	Block int
	// Chunk is how many rows a chunk has, 0 for all. Chunks of one tile may
	// run at once. It is rounded up to whole blocks of R rows.
	Chunk int
}

// A Weight is a matrix packed for the kernels: K-blocks of rows, in each block
// ordered by how much they hold, so that a kernel's loop count is easy to
// predict. It is immutable.
type Weight struct {
	rows, cols, nnz int
	chunks          []chunk
	entries         []entry // lookahead more than the runs have
	off             []uint32
	val             []float32
	maxOff          int // largest of off
}

// A chunk is some rows of a weight, all in blocks of r rows.
type chunk struct {
	r    int
	runs []run
}

// A run is the entries of one kernel call.
type run struct {
	lo, hi int   // entries[lo:hi]
	flags  flags // all that may be set in this K-block
}

// maxRun bounds the weights of one run, and with them the time of one kernel
// call, which the Go scheduler cannot interrupt: 28 vectors of 16 lanes at a
// tenth of a teraflop a second take 75 us for 8192 weights, more where they wait
// for memory.
const maxRun = 8192

// Rows returns the number of rows.
func (w *Weight) Rows() int { return w.rows }

// NNZ returns how many elements are stored, the zeros of blocks included.
func (w *Weight) NNZ() int { return w.nnz }

// fit describes products with the weight, for tiles that the caller left to
// be cut.
func (w *Weight) fit(i isa.ISA, r, step int) Fit {
	return Fit{ISA: i, R: r, Step: step, Columns: w.cols, Density: float64(w.nnz) / float64(w.rows*w.cols)}
}

// Bytes returns the memory that the packed weight takes.
func (w *Weight) Bytes() int {
	n := len(w.entries)*int(unsafe.Sizeof(entry{})) + len(w.off)*4 + len(w.val)*4
	for _, c := range w.chunks {
		n += len(c.runs) * int(unsafe.Sizeof(run{}))
	}
	return n
}

// Blocks lists the row block sizes that kernels exist for, descending.
func Blocks() []int { return []int{8, 4, 2, 1} }

// PackCSR packs a matrix of rows x len(a.Offsets) for kernels of R = 1. It is
// an error where the addressing does not fit the matrix.
func PackCSR(m *sparse.CSR, a Addressing) (*Weight, error) {
	rows, cols := m.Dims()
	p, err := newPacker(rows, cols, 1, a)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		col, val := m.Row(i)
		p.add(strip{row: i, r: 1, col: col, val: val, valCol: 1})
	}
	return p.pack()
}

// PackBSR packs a matrix in blocks of R x 1 for kernels of that R, one of
// Blocks. Rows past the last whole block are packed for smaller R. It is an
// error where blocks are of another shape or reach from one group into the
// next.
func PackBSR(m *sparse.BSR, a Addressing) (*Weight, error) {
	rows, cols := m.Dims()
	r, c := m.Block()
	if c != 1 {
		return nil, fmt.Errorf("spmm: blocks of %d x %d: want one column", r, c)
	}
	p, err := newPacker(rows, cols, r, a)
	if err != nil {
		return nil, err
	}
	if p.groups > 1 && p.groupRows%r != 0 {
		return nil, fmt.Errorf("spmm: groups of %d rows in blocks of %d", p.groupRows, r)
	}
	for i := range (rows + r - 1) / r {
		col, val := m.BlockRow(i)
		for n := range split(rows-i*r, r) {
			p.add(strip{row: i*r + n.at, r: n.r, col: col, val: val[min(n.at, len(val)):], valRow: 1, valCol: r})
		}
	}
	return p.pack()
}

// PackDense packs a row-major matrix of rows x len(a.Offsets), zeros included,
// for kernels of r rows, one of Blocks. Rows of a group past the last whole
// block are packed for smaller r.
func PackDense(rows int, w []float32, r int, a Addressing) (*Weight, error) {
	cols := len(a.Offsets)
	p, err := newPacker(rows, cols, r, a)
	if err != nil {
		return nil, err
	}
	if len(w) != rows*cols {
		return nil, fmt.Errorf("spmm: %d weights for %d x %d", len(w), rows, cols)
	}
	all := make([]int32, cols)
	for k := range all {
		all[k] = int32(k)
	}
	p.shared = true
	for g := range p.groups {
		for i := 0; i < p.groupRows; i += r {
			for n := range split(p.groupRows-i, r) {
				row := g*p.groupRows + i + n.at
				p.add(strip{row: row, r: n.r, col: all, val: w[row*cols:], valRow: cols, valCol: 1})
			}
		}
	}
	return p.pack()
}

// piece is a run of r rows from row at on.
type piece struct{ at, r int }

// split cuts the first r of n rows, or all n where they are fewer, into blocks
// that kernels exist for: r itself, or smaller ones that add up to n.
func split(n, r int) func(yield func(piece) bool) {
	return func(yield func(piece) bool) {
		n := min(n, r)
		for at := 0; at < n; at += r {
			for r > n-at {
				r /= 2
			}
			if !yield(piece{at, r}) {
				return
			}
		}
	}
}

// A strip is r rows that have the same columns present. Element i of column
// col[k] is val[i*valRow+k*valCol].
type strip struct {
	row, r         int
	col            []int32
	val            []float32
	valRow, valCol int
}

// A packer collects the strips of a weight and cuts them into runs.
type packer struct {
	Addressing
	rows, groups, groupRows int
	shared                  bool // strips of a group have all columns: one list of offsets serves them
	strips                  []strip
	w                       Weight
}

func newPacker(rows, cols, r int, a Addressing) (*packer, error) {
	p := &packer{Addressing: a, rows: rows, groups: max(a.Groups, 1)}
	switch {
	case rows < 1 || cols < 1:
		return nil, fmt.Errorf("spmm: weight of %d x %d", rows, cols)
	case rows > math.MaxInt32 || cols > math.MaxInt32/rows:
		return nil, fmt.Errorf("spmm: weight of %d x %d is too large", rows, cols)
	case !slices.Contains(Blocks(), r):
		return nil, fmt.Errorf("spmm: blocks of %d rows: want one of %v", r, Blocks())
	case len(a.Offsets) != cols:
		return nil, fmt.Errorf("spmm: %d offsets for %d columns", len(a.Offsets), cols)
	case a.Groups < 0 || a.Block < 0 || a.Chunk < 0:
		return nil, errors.New("spmm: negative addressing")
	case rows%p.groups != 0:
		return nil, fmt.Errorf("spmm: %d rows in %d groups", rows, p.groups)
	}
	p.groupRows = rows / p.groups
	largest := uint64(slices.Max(a.Offsets)) + uint64(p.groups-1)*uint64(a.GroupStride)
	if largest > math.MaxUint32 {
		return nil, fmt.Errorf("spmm: offset %d needs more than 32 bits", largest)
	}
	for _, o := range append([]uint32{a.GroupStride}, a.Offsets...) {
		if o%4 != 0 {
			return nil, fmt.Errorf("spmm: offset %d is not a multiple of 4 bytes", o)
		}
	}
	if p.Block == 0 {
		p.Block = cols
	}
	p.Block = min(p.Block, cols, maxRun/r)
	if p.Chunk == 0 {
		p.Chunk = rows
	}
	p.w.rows, p.w.cols, p.w.maxOff = rows, cols, int(largest)
	return p, nil
}

func (p *packer) add(s strip) { p.strips = append(p.strips, s) }

// pack cuts the strips into chunks, each of strips of one r and, where there
// are several K-blocks, of one group.
func (p *packer) pack() (*Weight, error) {
	nnz := 0
	for _, s := range p.strips {
		nnz += len(s.col) * s.r
	}
	if nnz > math.MaxInt32 {
		return nil, fmt.Errorf("spmm: %d weights are too many", nnz)
	}
	p.w.nnz = nnz
	p.w.val = make([]float32, 0, nnz)
	// Whole blocks first, then the smaller ones of every group.
	slices.SortStableFunc(p.strips, func(a, b strip) int { return cmp.Compare(b.r, a.r) })
	for len(p.strips) > 0 {
		n, rows := 0, 0
		for _, s := range p.strips {
			if s.r != p.strips[0].r || rows >= p.Chunk || (p.Block < len(p.Offsets) && p.group(s) != p.group(p.strips[0])) {
				break
			}
			n, rows = n+1, rows+s.r
		}
		p.chunk(p.strips[:n])
		p.strips = p.strips[n:]
	}
	p.w.off = append(p.w.off, make([]uint32, lookahead)...)
	for range lookahead {
		p.w.entries = append(p.w.entries, entry{row: p.w.entries[len(p.w.entries)-1].row})
	}
	w := p.w
	return &w, nil
}

func (p *packer) group(s strip) int { return s.row / p.groupRows }

// chunk packs one chunk: K-block by K-block, in each the strips that hold most
// first.
func (p *packer) chunk(strips []strip) {
	c := chunk{r: strips[0].r}
	cols := len(p.Offsets)
	done := make([]int, len(strips)) // columns of each strip that are packed
	type part struct {
		strip
		col []int32
		at  int // of col in strip.col
	}
	parts := make([]part, 0, len(strips))
	for k := 0; k < cols; k += p.Block {
		begins, ends := k == 0, k+p.Block >= cols
		f := prefetch
		if begins {
			f |= first | residual
		}
		if ends {
			f |= clamp
		}
		parts = parts[:0]
		for i, s := range strips {
			n, _ := slices.BinarySearch(s.col[done[i]:], int32(min(k+p.Block, cols)))
			// The first K-block begins every row and the last ends it.
			if n > 0 || begins || ends {
				parts = append(parts, part{s, s.col[done[i] : done[i]+n], done[i]})
			}
			done[i] += n
		}
		slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(len(b.col), len(a.col)) })
		weights, lo, group, off := 0, len(p.w.entries), -1, 0
		for _, s := range parts {
			if g := p.group(s.strip); !p.shared || s.r == 1 || g != group {
				group, off = g, len(p.w.off)
				for _, k := range s.col {
					p.w.off = append(p.w.off, p.Offsets[k]+uint32(g)*p.GroupStride)
				}
			}
			if n := len(p.w.entries); weights > 0 && weights+len(s.col)*s.r > maxRun {
				c.runs = append(c.runs, run{lo, n, f})
				weights, lo = 0, n
			}
			weights += len(s.col) * s.r
			p.w.entries = append(p.w.entries, entry{uint32(s.row), uint32(len(s.col)), uint32(off), uint32(len(p.w.val))})
			for n := range s.col {
				for i := range s.r {
					p.w.val = append(p.w.val, s.val[i*s.valRow+(s.at+n)*s.valCol])
				}
			}
		}
		if n := len(p.w.entries); n > lo {
			c.runs = append(c.runs, run{lo, n, f})
		}
	}
	p.w.chunks = append(p.w.chunks, c)
}
