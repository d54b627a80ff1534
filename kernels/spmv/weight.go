package spmv

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/nnz-dev/nnz/internal/huge"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/sparse"
)

// A Weight is a matrix in the form that kernels read. It is immutable.
type Weight struct {
	rows, cols int
	nnz        int
	dense      []float32 // row-major; nil where sparse
	parts      []part    // sparse; of different rows
}

// A part is entries of one form and the columns and values of each, one after
// the other.
type part struct {
	form    Form
	r       int
	entries []entry
	col     []uint16 // one a block
	index   []uint8  // one a value of tiles
	order   []int32  // of tiles: the row of each lane, -1 for none
	starts  []uint32 // masked: for each entry, which is a panel, where each column's values start, and the last one's end
	val     []float32
	chunks  []chunk // where each chunk starts, and where the last one ends
}

// A chunk is the entries from entry up to the next chunk's, whose values start
// at val. Shares are whole chunks; rows are not divided.
type chunk struct{ entry, val int }

// chunkValues is how many values a chunk has at least, but for the last one of
// a part: about a microsecond.
const chunkValues = 4096

// Dims returns the number of rows and columns.
func (w *Weight) Dims() (rows, cols int) { return w.rows, w.cols }

// NNZ returns how many elements are stored, the zeros of blocks included.
func (w *Weight) NNZ() int { return w.nnz }

// Bytes returns the memory that the weight takes: of a dense one, that of the
// caller's slice.
func (w *Weight) Bytes() int {
	n := len(w.dense) * 4
	for _, p := range w.parts {
		n += len(p.entries)*int(unsafe.Sizeof(entry{})) + len(p.col)*2 + len(p.index) + len(p.order)*4 + len(p.starts)*4 + len(p.val)*4 +
			len(p.chunks)*int(unsafe.Sizeof(chunk{}))
	}
	return n
}

// PackDense makes a weight of a row-major matrix, which is used where it lies
// and must not change.
func PackDense(rows, cols int, w []float32) (*Weight, error) {
	if err := checkDims(rows, cols); err != nil {
		return nil, err
	}
	if len(w) != rows*cols {
		return nil, fmt.Errorf("spmv: %d weights for %d x %d", len(w), rows, cols)
	}
	return &Weight{rows: rows, cols: cols, nnz: rows * cols, dense: w}, nil
}

// Pack packs an unstructured matrix in the form that an instruction set has
// the fastest kernels for: tiles on AVX-512, or rows where tiles would be mostly
// empty, else rows.
func Pack(i isa.ISA, m *sparse.CSR) (*Weight, error) {
	rows, cols := m.Dims()
	tiles := i != isa.Generic && cols >= TileCols &&
		slices.ContainsFunc(Kernels(), func(k Kernel) bool { return k.ISA == i && k.Form == FormTiles })
	if tiles {
		if w, cost, err := packTiles(m); err != nil || cost < float64(m.NNZ()+rows*rowCost) {
			return w, err
		}
	}
	return PackCSR(m)
}

// PackCSR packs a matrix as blocks of R = 1.
func PackCSR(m *sparse.CSR) (*Weight, error) {
	rows, cols := m.Dims()
	if err := checkDims(rows, cols); err != nil {
		return nil, err
	}
	p := newPacker(1, m.NNZ())
	for i := range rows {
		col, val := m.Row(i)
		p.add(blockRow{row: i, col: col, val: val})
	}
	p.flush()
	return newWeight(rows, cols, m.NNZ(), p.part), nil
}

// PackBSR packs a matrix of blocks of R x 1, R one of Blocks. Rows past the
// last whole block are packed as blocks of R = 1. It is an error where blocks
// are of another shape.
func PackBSR(m *sparse.BSR) (*Weight, error) {
	rows, cols := m.Dims()
	if err := checkDims(rows, cols); err != nil {
		return nil, err
	}
	r, c := m.Block()
	if c != 1 || !slices.Contains(Blocks(), r) {
		return nil, fmt.Errorf("spmv: blocks of %d x %d: want one column and one of %v rows", r, c, Blocks())
	}
	whole, rest := newPacker(r, m.NNZ()), newPacker(1, 0)
	for i := range rows / r {
		col, val := m.BlockRow(i)
		whole.add(blockRow{row: i * r, col: col, val: val})
	}
	for i := rows / r * r; i < rows; i++ {
		row := blockRow{row: i}
		col, val := m.BlockRow(i / r)
		for k := range col {
			if v := val[k*r+i%r]; v != 0 {
				row.col, row.val = append(row.col, col[k]), append(row.val, v)
			}
		}
		rest.add(row)
	}
	whole.flush()
	rest.flush()
	return newWeight(rows, cols, len(whole.part.val)+len(rest.part.val), whole.part, rest.part), nil
}

// newWeight drops parts without entries.
func newWeight(rows, cols, nnz int, parts ...part) *Weight {
	w := &Weight{rows: rows, cols: cols, nnz: nnz}
	for _, p := range parts {
		if len(p.entries) > 0 {
			p.chunks = append(p.chunks, p.end())
			w.parts = append(w.parts, p)
		}
	}
	return w
}

// end is where the next chunk would start.
func (p *part) end() chunk { return chunk{len(p.entries), len(p.val)} }

func checkDims(rows, cols int) error {
	if rows < 1 || cols < 1 || rows > math.MaxInt32 || cols > math.MaxInt32/rows {
		return fmt.Errorf("spmv: weight of %d x %d", rows, cols)
	}
	return nil
}

// A packer makes a part of blocks. Rows are added, then flushed.
type packer struct {
	part part
	rows []blockRow
}

// A blockRow is the blocks of the R rows from row on.
type blockRow struct {
	row int
	col []int32
	val []float32
}

func newPacker(r, values int) *packer {
	return &packer{part: part{
		form: FormBlocks,
		r:    r,
		col:  make([]uint16, 0, values/r),
		val:  aligned(values),
	}}
}

// aligned returns an empty slice of a capacity that starts at a cache line, so
// that no vector in it crosses one.
func aligned(capacity int) []float32 {
	const line = 64
	s := huge.Make[float32](capacity + line/4)
	skip := (line - int(uintptr(unsafe.Pointer(&s[0]))%line)) % line / 4
	return s[skip : skip : skip+capacity]
}

func (p *packer) add(row blockRow) { p.rows = append(p.rows, row) }

// flush writes the rows added so far, ordered by how many blocks they have, so
// that loop counts are easy to predict.
func (p *packer) flush() {
	slices.SortStableFunc(p.rows, func(a, b blockRow) int { return cmp.Compare(len(b.col), len(a.col)) })
	out := &p.part
	for i, row := range p.rows {
		if i == 0 || len(out.val)-out.chunks[len(out.chunks)-1].val >= chunkValues {
			out.chunks = append(out.chunks, out.end())
		}
		p.write(row)
	}
	p.rows = p.rows[:0]
}

// write appends an entry for each panel of columns that the row has blocks in,
// or one without any.
func (p *packer) write(row blockRow) {
	out := &p.part
	out.val = append(out.val, row.val...)
	for fl := flags(0); ; fl = later {
		n, base := 0, 0
		if len(row.col) > 0 {
			base = int(row.col[0]) / panel * panel
		}
		for n < len(row.col) && int(row.col[n]) < base+panel {
			out.col = append(out.col, uint16(int(row.col[n])-base))
			n++
		}
		row.col = row.col[n:]
		if len(row.col) > 0 {
			fl |= partial
		}
		out.entries = append(out.entries, entry{uint32(row.row), uint32(n), uint32(base), fl})
		if len(row.col) == 0 {
			return
		}
	}
}
