package sparse

import (
	"fmt"
	"math"
	"math/bits"
)

// A BSR is a matrix in block compressed sparse rows: the r x c blocks of each
// row of blocks, block columns strictly ascending, elements row-major inside a
// block. Blocks that reach over the right or bottom edge are padded with
// zeros. It is immutable.
type BSR struct {
	rows, cols int
	r, c       int
	ptr        []int // block row i is blocks ptr[i]:ptr[i+1]
	col        []int32
	val        []float32 // r*c elements a block
}

// NewBSR makes a matrix of blocks of r x c: block row i, which is rows
// i*r:(i+1)*r, holds the blocks ptr[i]:ptr[i+1]; block k covers columns from
// blockCol[k]*c on and has the elements val[k*r*c:(k+1)*r*c], row-major. The
// arrays are not copied and must not change. It is an error where ptr does not
// run from 0 to the number of blocks without falling, where the columns of a
// block row are not strictly ascending and in range, or where an element
// outside the matrix is not zero.
func NewBSR(rows, cols, r, c int, ptr []int, blockCol []int32, val []float32) (*BSR, error) {
	if err := checkDims(rows, cols); err != nil {
		return nil, err
	}
	if r < 1 || c < 1 || r > math.MaxInt32 || c > math.MaxInt32/r {
		return nil, fmt.Errorf("blocks of %d x %d", r, c)
	}
	if len(val)%(r*c) != 0 || len(val)/(r*c) != len(blockCol) {
		return nil, fmt.Errorf("%d blocks of %d x %d, but %d values", len(blockCol), r, c, len(val))
	}
	if err := checkIndex(ceilDiv(rows, r), ceilDiv(cols, c), ptr, blockCol); err != nil {
		return nil, fmt.Errorf("blocks: %w", err)
	}
	m := &BSR{rows, cols, r, c, ptr, blockCol, val}
	for i := range len(ptr) - 1 {
		for k := ptr[i]; k < ptr[i+1]; k++ {
			h, w := m.inside(i, int(blockCol[k]))
			for n, v := range val[k*r*c : (k+1)*r*c] {
				if v != 0 && (n/c >= h || n%c >= w) {
					return nil, fmt.Errorf("block %d has %g outside of the matrix", k, v)
				}
			}
		}
	}
	return m, nil
}

// Dims returns the number of rows and columns.
func (m *BSR) Dims() (rows, cols int) { return m.rows, m.cols }

// NNZ returns how many elements are stored: all those of the stored blocks.
func (m *BSR) NNZ() int { return len(m.val) }

// Bytes returns the memory that indices and values take.
func (m *BSR) Bytes() int { return len(m.ptr)*bits.UintSize/8 + len(m.col)*4 + len(m.val)*4 }

// Block returns the rows and columns of a block.
func (m *BSR) Block() (r, c int) { return m.r, m.c }

// BlockRow returns the block columns and the values of block row i, r*c values
// a block, as views that must not be written to.
func (m *BSR) BlockRow(i int) (blockCol []int32, val []float32) {
	start, end := m.ptr[i], m.ptr[i+1]
	size := m.r * m.c
	return m.col[start:end:end], m.val[start*size : end*size : end*size]
}

// Dense writes the matrix, row-major, into dst, which has rows*cols elements,
// or into a new slice where dst is nil, and returns it.
func (m *BSR) Dense(dst []float32) []float32 {
	dst = denseTarget(dst, m.rows*m.cols)
	for i := range len(m.ptr) - 1 {
		cols, val := m.BlockRow(i)
		for n, j := range cols {
			h, w := m.inside(i, int(j))
			for k := range h {
				copy(dst[(i*m.r+k)*m.cols+int(j)*m.c:][:w], val[(n*m.r+k)*m.c:])
			}
		}
	}
	return dst
}

// CSR returns the nonzeros of the matrix in compressed sparse rows.
func (m *BSR) CSR() *CSR {
	n := 0
	for _, v := range m.val {
		if v != 0 {
			n++
		}
	}
	out := &CSR{m.rows, m.cols, make([]int, m.rows+1), make([]int32, 0, n), make([]float32, 0, n)}
	for row := range m.rows {
		cols, val := m.BlockRow(row / m.r)
		for b, j := range cols {
			for k, v := range val[(b*m.r+row%m.r)*m.c:][:m.c] {
				if v != 0 {
					out.col = append(out.col, int32(int(j)*m.c+k))
					out.val = append(out.val, v)
				}
			}
		}
		out.ptr[row+1] = len(out.col)
	}
	return out
}

// inside returns how many rows and columns of block (i, j) lie in the matrix.
func (m *BSR) inside(i, j int) (h, w int) { return min(m.r, m.rows-i*m.r), min(m.c, m.cols-j*m.c) }
