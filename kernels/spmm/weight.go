package spmm

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/nnz-dev/nnz/internal/huge"
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
	// run at once. It is rounded up to whole blocks of R rows, and where single
	// rows are paired to whole bands of [Band].
	Chunk int
}

// Largest returns the largest offset of the columns of all groups of a weight
// of so many rows. It is an error where the addressing does not fit them, or
// where an offset does not fit 32 bits or is not one of a float32.
func (a Addressing) Largest(rows int) (int, error) {
	groups := max(a.Groups, 1)
	switch {
	case a.Groups < 0 || a.Block < 0 || a.Chunk < 0:
		return 0, errors.New("negative addressing")
	case rows%groups != 0:
		return 0, fmt.Errorf("%d rows in %d groups", rows, groups)
	}
	largest := uint64(slices.Max(a.Offsets)) + uint64(groups-1)*uint64(a.GroupStride)
	if largest > math.MaxUint32 {
		return 0, fmt.Errorf("offset %d needs more than 32 bits", largest)
	}
	odd := func(o uint32) bool { return o%4 != 0 }
	if odd(a.GroupStride) || slices.ContainsFunc(a.Offsets, odd) {
		return 0, errors.New("an offset is not a multiple of 4 bytes")
	}
	return int(largest), nil
}

// A Weight is a matrix packed for the kernels: K-blocks of rows, in each block
// ordered by how much they hold, so that a kernel's loop count is easy to
// predict. It is immutable.
type Weight struct {
	rows, cols, nnz int
	chunks          []chunk
	entries         []entry     // lookahead more than the runs have,
	pairs           []pairEntry // here, too
	off             []uint32
	val             []float32
	maxOff          int // largest of off
}

// A chunk is some rows of a weight, all in blocks of r rows, and a rest of
// single ones where rest says so. Single rows may be paired.
type chunk struct {
	class
	runs []run
}

// A class is what kernels a chunk runs on: those of r rows, and where there is
// a rest besides the blocks, those of one row too; and those of pairs.
type class struct {
	r           int
	rest, pairs bool
}

// A run is the entries of one kernel call.
type run struct {
	kind   kind
	lo, hi int   // entries[lo:hi], or pairs
	off    int   // of pairs, where their offsets
	val    int   // and values begin
	flags  flags // all that may be set
}

// A kind says on which of a class's kernels a run goes.
type kind uint8

const (
	blockRows  kind = iota // R rows, the chunk's
	singleRows             // one row of the rest
	pairRows               // two rows with lists of their own
	kinds
)

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
func (w *Weight) fit(i isa.ISA, c class, step int) Fit {
	return Fit{ISA: i, R: c.r, Pairs: c.r == 1 && c.pairs, Step: step, Columns: w.cols, Density: float64(w.nnz) / float64(w.rows*w.cols)}
}

// Bytes returns the memory that the packed weight takes.
func (w *Weight) Bytes() int {
	n := len(w.entries)*int(unsafe.Sizeof(entry{})) + len(w.pairs)*int(unsafe.Sizeof(pairEntry{})) + len(w.off)*4 + len(w.val)*4
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
// Blocks. Rows past the last whole block are packed for R = 1. It is an error
// where blocks are of another shape or reach from one group into the next.
func PackBSR(m *sparse.BSR, a Addressing) (*Weight, error) { return packBlocks(m, nil, a) }

// packBlocks packs blocks, and where there is one a rest.
func packBlocks(m *sparse.BSR, rest *sparse.CSR, a Addressing) (*Weight, error) {
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
		for n := range p.split(rows-i*r, r) {
			s := strip{row: i*r + n.at, r: n.r, col: col, val: val[min(n.at, len(val)):], valRow: 1, valCol: r}
			for row := s.row; rest != nil && row < s.row+s.r; row++ {
				col, val := rest.Row(row)
				s.rest = append(s.rest, strip{row: row, r: 1, col: col, val: val, valCol: 1})
			}
			p.add(s)
		}
	}
	return p.pack()
}

// PackNM packs a matrix in N:M form for kernels of R = 1, the zeros that it
// stores included. K-blocks have whole groups, so that all rows of one hold
// as much. It is an error where the addressing does not fit the matrix.
func PackNM(m *sparse.NM, a Addressing) (*Weight, error) {
	rows, cols := m.Dims()
	p, err := newPacker(rows, cols, 1, a)
	if err != nil {
		return nil, err
	}
	_, of := m.Pattern()
	if p.Block < cols {
		p.Block = max(p.Block/of, 1) * of
	}
	for i := range rows {
		col := make([]int32, m.RowLen())
		val := m.Row(i, col)
		p.add(strip{row: i, r: 1, col: col, val: val, valCol: 1})
	}
	return p.pack()
}

// PackMixed packs the sum of a matrix in blocks of R x 1, as [PackBSR] does,
// and of one of scattered elements, which run on kernels of R = 1: in each
// K-block after the blocks, whose accumulators they take up. It is an error
// where the two have other dimensions.
func PackMixed(m *sparse.BSR, rest *sparse.CSR, a Addressing) (*Weight, error) {
	rows, cols := m.Dims()
	if r, c := rest.Dims(); r != rows || c != cols {
		return nil, fmt.Errorf("spmm: blocks of %d x %d with a rest of %d x %d", rows, cols, r, c)
	}
	return packBlocks(m, rest, a)
}

// PackDense packs a row-major matrix of rows x len(a.Offsets), zeros included,
// for kernels of r rows, one of Blocks. Rows past the last whole block are packed
// for r = 1, those of a group for smaller r.
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
			for n := range p.split(p.groupRows-i, r) {
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
// that kernels exist for: r itself, or smaller ones that add up to n. Those are
// single rows, which add up in the same order whatever their tile, but in groups,
// where they may be many.
func (p *packer) split(n, r int) func(yield func(piece) bool) {
	return func(yield func(piece) bool) {
		n := min(n, r)
		for at := 0; at < n; at += r {
			for r > n-at {
				if p.groups == 1 {
					r = 1
				} else {
					r /= 2
				}
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
	rest           []strip // of each row, what follows in each K-block; or none
}

// A packer collects the strips of a weight and cuts them into runs.
type packer struct {
	Addressing
	rows, groups, groupRows int
	shared                  bool // strips of a group have all columns: one list of offsets serves them
	strips                  []strip
	parts                   []part // of the last K-block, for the next to use again
	matcher                 matcher
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
	}
	largest, err := a.Largest(rows)
	if err != nil {
		return nil, fmt.Errorf("spmm: %w", err)
	}
	p.groupRows = rows / p.groups
	if p.Block == 0 {
		p.Block = cols
	}
	p.Block = min(p.Block, cols, maxRun/r)
	if p.Chunk == 0 {
		p.Chunk = rows
	}
	p.w.rows, p.w.cols, p.w.maxOff = rows, cols, largest
	return p, nil
}

func (p *packer) add(s strip) {
	if p.strips == nil {
		p.strips = make([]strip, 0, (p.rows+s.r-1)/s.r)
	}
	p.strips = append(p.strips, s)
}

// elements returns how many weights a strip and its rest have.
func (s strip) elements() int {
	n := len(s.col) * s.r
	for _, s := range s.rest {
		n += len(s.col)
	}
	return n
}

// pack cuts the strips into chunks, each of strips of one r and, where there
// are several K-blocks, of one group.
func (p *packer) pack() (*Weight, error) {
	nnz := 0
	for _, s := range p.strips {
		nnz += s.elements()
	}
	if nnz > math.MaxInt32 {
		return nil, fmt.Errorf("spmm: %d weights are too many", nnz)
	}
	p.w.nnz = nnz
	p.w.val = huge.Make[float32](nnz + 1)[:0]
	if !p.shared {
		columns := 0 // pairs share some, which then is room for nothing
		for _, s := range p.strips {
			columns += len(s.col)
			for _, s := range s.rest {
				columns += len(s.col)
			}
		}
		p.w.off = huge.Make[uint32](columns + lookahead)[:0]
	}
	// Whole blocks first, then the smaller ones of every group.
	slices.SortStableFunc(p.strips, func(a, b strip) int { return cmp.Compare(b.r, a.r) })
	for len(p.strips) > 0 {
		n, rows := 0, 0
		for _, s := range p.strips {
			if s.r != p.strips[0].r || rows >= p.Chunk && (s.row%Band == 0 || !p.pairs(s) && s.rest == nil) || (p.Block < len(p.Offsets) && p.group(s) != p.group(p.strips[0])) {
				break
			}
			n, rows = n+1, rows+s.r
		}
		p.chunk(p.strips[:n])
		p.strips = p.strips[n:]
	}
	p.w.off, p.w.val = append(p.w.off, make([]uint32, lookahead)...), append(p.w.val, 0)
	for range lookahead {
		if n := len(p.w.entries); n > 0 {
			p.w.entries = append(p.w.entries, entry{row: p.w.entries[n-1].row})
		}
		if n := len(p.w.pairs); n > 0 {
			p.w.pairs = append(p.w.pairs, pairEntry{row: p.w.pairs[n-1].row})
		}
	}
	w := p.w
	return &w, nil
}

func (p *packer) group(s strip) int { return s.row / p.groupRows }

// A part is what a strip, or a row of its rest, has in one K-block.
type part struct {
	strip
	stage int   // 0, or 1 for the rest
	flags flags // how its accumulators begin and end
}

// take cuts off the columns before end.
func (s *strip) take(end int32, stage int) part {
	n, _ := slices.BinarySearch(s.col, end)
	p := part{strip: *s, stage: stage}
	p.col = s.col[:n]
	s.col, s.val = s.col[n:], s.val[min(n*s.valCol, len(s.val)):]
	return p
}

// takeAll cuts off what the strip and its rest have before column end, and
// appends it to parts. In a
// K-block that begins or ends accumulators, as f says, each row has to be
// there, whether or not it holds weights: what comes first begins it, what
// comes last ends it.
func (s *strip) takeAll(parts []part, end int32, f flags) []part {
	n := len(parts)
	parts = append(parts, s.take(end, 0))
	scattered := 0
	for i := range s.rest {
		parts = append(parts, s.rest[i].take(end, 1))
		scattered += len(parts[len(parts)-1].col)
	}
	all := parts[n:]
	switch {
	case scattered == 0:
		all = all[:1]
	case len(all[0].col) == 0:
		all = all[1:]
	}
	at := n
	for i, p := range all {
		p.flags = f
		if len(all) > 1 && all[0].stage == 0 {
			p.flags &^= []flags{clamp, begin}[min(i, 1)]
		}
		if len(p.col) > 0 || p.flags != 0 {
			parts[at] = p
			at++
		}
	}
	return parts[:at]
}

// chunk packs one chunk: K-block by K-block, in each the blocks before the
// rest, and of either those that hold most first.
func (p *packer) chunk(strips []strip) {
	c := chunk{class: class{r: strips[0].r, rest: len(strips[0].rest) > 0}}
	cols := len(p.Offsets)
	parts := p.parts
	defer func() { p.parts = parts }()
	for k := 0; k < cols; k += p.Block {
		var f flags
		if k == 0 {
			f |= begin
		}
		if k+p.Block >= cols {
			f |= clamp
		}
		parts = parts[:0]
		for i := range strips {
			parts = strips[i].takeAll(parts, int32(min(k+p.Block, cols)), f)
		}
		slices.SortStableFunc(parts, func(a, b part) int {
			return cmp.Or(cmp.Compare(a.stage, b.stage), cmp.Compare(a.flags, b.flags), cmp.Compare(len(b.col), len(a.col)))
		})
		for rest := parts; len(rest) > 0; {
			n := 1
			for n < len(rest) && rest[n].stage == rest[0].stage && rest[n].flags == rest[0].flags {
				n++
			}
			single := rest[:n]
			if p.pairs(single[0].strip) {
				var pairs []pair
				pairs, single = p.match(single, int32(k))
				c.runs = p.cutPairs(c.runs, pairs)
				c.pairs = c.pairs || len(pairs) > 0
			}
			c.runs = p.cut(c.runs, single)
			rest = rest[n:]
		}
	}
	p.w.chunks = append(p.w.chunks, c)
}

// pairs reports whether a strip is a row that may be paired with another.
func (p *packer) pairs(s strip) bool { return s.r == 1 && p.groupRows > 1 && !p.shared }

// cut packs parts of a K-block, of one stage and with the same flags, into
// runs.
func (p *packer) cut(runs []run, parts []part) []run {
	weights, group, off := 0, -1, 0
	for i, s := range parts {
		if g := p.group(s.strip); !p.shared || s.r == 1 || g != group {
			group, off = g, len(p.w.off)
			for _, k := range s.col {
				p.w.off = append(p.w.off, p.Offsets[k]+uint32(g)*p.GroupStride)
			}
		}
		n := len(p.w.entries)
		if i == 0 || weights > 0 && weights+len(s.col)*s.r > maxRun {
			runs = append(runs, run{kind: []kind{blockRows, singleRows}[s.stage], lo: n, flags: s.flags})
			weights = 0
		}
		weights += len(s.col) * s.r
		p.w.entries = append(p.w.entries, entry{uint32(s.row), uint32(len(s.col)), uint32(off), uint32(len(p.w.val))})
		runs[len(runs)-1].hi = n + 1
		for n := range s.col {
			for i := range s.r {
				p.w.val = append(p.w.val, s.val[i*s.valRow+n*s.valCol])
			}
		}
	}
	return runs
}
