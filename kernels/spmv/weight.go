package spmv

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/nnz-dev/nnz/sparse"
)

// A Weight is a matrix in the form that kernels read. It is immutable.
type Weight struct {
	rows, cols int
	nnz        int
	dense      []float32 // row-major; nil where sparse
	parts      []part    // sparse
}

// A part is rows of a weight in blocks of r x 1: of each entry the column
// numbers and values of its blocks, one after the other.
type part struct {
	r       int
	entries []entry
	col     []uint16
	val     []float32
	chunks  []chunk // where each chunk starts, and where the last one ends
}

// A chunk is what one kernel call computes: the entries from entry up to the
// next chunk's, whose blocks start at block. Rows are not divided.
type chunk struct{ entry, block int }

// chunkValues is how many values a chunk has at least, but for the last one of
// a part: one or two microseconds, against 10 nanoseconds that a call costs.
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
		n += len(p.entries)*int(unsafe.Sizeof(entry{})) + len(p.col)*2 + len(p.val)*4 +
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

// PackCSR packs a matrix for kernels of R = 1.
func PackCSR(m *sparse.CSR) (*Weight, error) {
	rows, cols := m.Dims()
	if err := checkDims(rows, cols); err != nil {
		return nil, err
	}
	p := packer{r: 1}
	for i := range rows {
		col, val := m.Row(i)
		p.add(i, col, val)
	}
	return newWeight(rows, cols, p.pack()), nil
}

// PackBSR packs a matrix of blocks of R x 1 for kernels of that R, one of
// Blocks. Rows past the last whole block are packed for R = 1. It is an error
// where blocks are of another shape.
func PackBSR(m *sparse.BSR) (*Weight, error) {
	rows, cols := m.Dims()
	if err := checkDims(rows, cols); err != nil {
		return nil, err
	}
	r, c := m.Block()
	if c != 1 || !slices.Contains(Blocks(), r) {
		return nil, fmt.Errorf("spmv: blocks of %d x %d: want one column and one of %v rows", r, c, Blocks())
	}
	whole, rest := packer{r: r}, packer{r: 1}
	for i := range rows / r {
		col, val := m.BlockRow(i)
		whole.add(i*r, col, val)
	}
	for i := rows / r * r; i < rows; i++ {
		var c []int32
		var v []float32
		col, val := m.BlockRow(i / r)
		for k := range col {
			if e := val[k*r+i%r]; e != 0 {
				c, v = append(c, col[k]), append(v, e)
			}
		}
		rest.add(i, c, v)
	}
	return newWeight(rows, cols, whole.pack(), rest.pack()), nil
}

func newWeight(rows, cols int, parts ...part) *Weight {
	w := &Weight{rows: rows, cols: cols}
	for _, p := range parts {
		if len(p.entries) > 0 {
			w.parts = append(w.parts, p)
			w.nnz += len(p.val)
		}
	}
	return w
}

func checkDims(rows, cols int) error {
	if rows < 1 || cols < 1 || rows > math.MaxInt32 || cols > math.MaxInt32/rows {
		return fmt.Errorf("spmv: weight of %d x %d", rows, cols)
	}
	return nil
}

// A packer collects the block rows of a part.
type packer struct {
	r    int
	rows []blockRow
}

type blockRow struct {
	row int
	col []int32
	val []float32
}

func (p *packer) add(row int, col []int32, val []float32) {
	p.rows = append(p.rows, blockRow{row, col, val})
}

// pack orders block rows by how many blocks they have, so that loop counts are
// easy to predict, cuts them into panels and the list into chunks.
func (p *packer) pack() part {
	slices.SortStableFunc(p.rows, func(a, b blockRow) int { return cmp.Compare(len(b.col), len(a.col)) })
	blocks := 0
	for _, row := range p.rows {
		blocks += len(row.col)
	}
	out := part{
		r:       p.r,
		entries: make([]entry, 0, len(p.rows)),
		col:     make([]uint16, 0, blocks),
		val:     make([]float32, 0, blocks*p.r),
	}
	for _, row := range p.rows {
		if start := (chunk{len(out.entries), len(out.col)}); len(out.chunks) == 0 ||
			(start.block-out.chunks[len(out.chunks)-1].block)*p.r >= chunkValues {
			out.chunks = append(out.chunks, start)
		}
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
				break
			}
		}
	}
	out.chunks = append(out.chunks, chunk{len(out.entries), len(out.col)})
	return out
}
