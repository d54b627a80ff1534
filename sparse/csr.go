package sparse

import (
	"fmt"
	"math"
	"math/bits"
)

// A CSR is a matrix in compressed sparse rows: the columns and values of the
// elements of each row, columns strictly ascending. It is immutable.
//
// Elements may be stored zeros where [NewCSR] was given some; conversions and
// statistics treat those as absent.
type CSR struct {
	rows, cols int
	ptr        []int // row i is elements ptr[i]:ptr[i+1]; len rows+1
	col        []int32
	val        []float32
}

// NewCSR makes a matrix of its three arrays: row i holds the elements
// ptr[i]:ptr[i+1] of col and val. The arrays are not copied and must not
// change. It is an error where ptr does not run from 0 to the number of
// elements without falling, or where the columns of a row are not strictly
// ascending and in range.
func NewCSR(rows, cols int, ptr []int, col []int32, val []float32) (*CSR, error) {
	if err := checkDims(rows, cols); err != nil {
		return nil, err
	}
	if len(col) != len(val) {
		return nil, fmt.Errorf("%d columns for %d values", len(col), len(val))
	}
	if err := checkIndex(rows, cols, ptr, col); err != nil {
		return nil, err
	}
	return &CSR{rows, cols, ptr, col, val}, nil
}

// FromDense makes a matrix of the nonzero elements of a row-major one. Negative
// zero is a zero; NaN is not.
func FromDense(rows, cols int, dense []float32) (*CSR, error) {
	if err := checkDims(rows, cols); err != nil {
		return nil, err
	}
	if len(dense) != rows*cols {
		return nil, fmt.Errorf("a %d x %d matrix has %d elements, got %d", rows, cols, rows*cols, len(dense))
	}
	n := 0
	for _, v := range dense {
		if v != 0 {
			n++
		}
	}
	m := &CSR{rows, cols, make([]int, rows+1), make([]int32, 0, n), make([]float32, 0, n)}
	for i := range rows {
		for j, v := range dense[i*cols : (i+1)*cols] {
			if v != 0 {
				m.col = append(m.col, int32(j))
				m.val = append(m.val, v)
			}
		}
		m.ptr[i+1] = len(m.col)
	}
	return m, nil
}

// Dims returns the number of rows and columns.
func (m *CSR) Dims() (rows, cols int) { return m.rows, m.cols }

// NNZ returns how many elements are stored.
func (m *CSR) NNZ() int { return len(m.val) }

// Bytes returns the memory that indices and values take.
func (m *CSR) Bytes() int { return len(m.ptr)*bits.UintSize/8 + len(m.col)*4 + len(m.val)*4 }

// Row returns the columns and the values of row i, as views that must not be
// written to.
func (m *CSR) Row(i int) (col []int32, val []float32) {
	start, end := m.ptr[i], m.ptr[i+1]
	return m.col[start:end:end], m.val[start:end:end]
}

// Dense writes the matrix, row-major, into dst, which has rows*cols elements,
// or into a new slice where dst is nil, and returns it.
func (m *CSR) Dense(dst []float32) []float32 {
	dst = denseTarget(dst, m.rows*m.cols)
	for i := range m.rows {
		out := dst[i*m.cols : (i+1)*m.cols]
		col, val := m.Row(i)
		for k, j := range col {
			out[j] = val[k]
		}
	}
	return dst
}

// Transpose returns the matrix with rows and columns exchanged. Stored zeros
// stay stored.
func (m *CSR) Transpose() *CSR {
	row := make([]int32, len(m.col))
	for i := range m.rows {
		for k := m.ptr[i]; k < m.ptr[i+1]; k++ {
			row[k] = int32(i)
		}
	}
	return bucket(m.rows, m.cols, row, m.col, m.val)
}

// BSR returns the matrix in blocks of r x c: every block that holds a nonzero,
// with zeros for the rest of it. It panics where r or c is less than 1.
func (m *CSR) BSR(r, c int) *BSR {
	blocks, _ := m.Split(r, c, 1)
	return blocks
}

// Split divides the nonzeros of the matrix: those of r x c blocks that hold at
// least so many go into blocks, the rest into compressed sparse rows. The two
// add up to the matrix. It panics where r or c is less than 1.
func (m *CSR) Split(r, c, least int) (*BSR, *CSR) {
	if r < 1 || c < 1 {
		panic(fmt.Sprintf("sparse: blocks of %d x %d", r, c))
	}
	b := &BSR{rows: m.rows, cols: m.cols, r: r, c: c, ptr: make([]int, ceilDiv(m.rows, r)+1)}
	rest := &CSR{rows: m.rows, cols: m.cols, ptr: make([]int, m.rows+1)}
	blocks, scattered := 0, 0
	m.eachBlock(r, c, func(i, _, nonzeros int) {
		if nonzeros >= least {
			blocks++
			b.ptr[i+1] = blocks
		} else {
			scattered += nonzeros
		}
	})
	b.col = make([]int32, 0, blocks)
	m.eachBlock(r, c, func(_, j, nonzeros int) {
		if nonzeros >= least {
			b.col = append(b.col, int32(j))
		}
	})
	b.val = make([]float32, blocks*r*c)
	rest.col, rest.val = make([]int32, 0, scattered), make([]float32, 0, scattered)
	for i := range len(b.ptr) - 1 {
		b.ptr[i+1] = max(b.ptr[i+1], b.ptr[i]) // rows of blocks that hold none
		for k := i * r; k < min((i+1)*r, m.rows); k++ {
			at := b.ptr[i] // moves along with the columns: both ascend
			col, val := m.Row(k)
			for n, j := range col {
				if val[n] == 0 {
					continue
				}
				for at < b.ptr[i+1] && int(b.col[at]) < int(j)/c {
					at++
				}
				if at < b.ptr[i+1] && int(b.col[at]) == int(j)/c {
					b.val[(at*r+k-i*r)*c+int(j)%c] = val[n]
					continue
				}
				rest.col, rest.val = append(rest.col, j), append(rest.val, val[n])
			}
			rest.ptr[k+1] = len(rest.col)
		}
	}
	return b, rest
}

// eachBlock calls visit for every r x c block that holds nonzeros, in
// row-major order: row and column of the block, and how many it holds.
func (m *CSR) eachBlock(r, c int, visit func(i, j, nonzeros int)) {
	next := make([]int, min(r, m.rows)) // the first element of each row not yet visited
	for i := range ceilDiv(m.rows, r) {
		rows := next[:min(r, m.rows-i*r)]
		copy(rows, m.ptr[i*r:])
		for {
			// The leftmost column that any of the rows has still to visit.
			first := m.cols
			for k := range rows {
				end := m.ptr[i*r+k+1]
				for rows[k] < end && m.val[rows[k]] == 0 {
					rows[k]++
				}
				if rows[k] < end {
					first = min(first, int(m.col[rows[k]]))
				}
			}
			if first == m.cols {
				break
			}
			j := first / c
			limit := (j + 1) * c
			nonzeros := 0
			for k := range rows {
				end := m.ptr[i*r+k+1]
				for rows[k] < end && int(m.col[rows[k]]) < limit {
					if m.val[rows[k]] != 0 {
						nonzeros++
					}
					rows[k]++
				}
			}
			visit(i, j, nonzeros)
		}
	}
}

// checkDims bounds the extents so that an index fits an int32 and the dense
// matrix an int of bytes.
func checkDims(rows, cols int) error {
	if rows < 0 || cols < 0 {
		return fmt.Errorf("a matrix of %d x %d", rows, cols)
	}
	if rows > math.MaxInt32 || cols > math.MaxInt32 || rows > 0 && cols > math.MaxInt/8/rows {
		return fmt.Errorf("a matrix of %d x %d is too large", rows, cols)
	}
	return nil
}

// checkIndex reports whether ptr and col are the index of a matrix of rows x
// cols elements, or blocks.
func checkIndex(rows, cols int, ptr []int, col []int32) error {
	if len(ptr) != rows+1 {
		return fmt.Errorf("%d rows need %d row pointers, got %d", rows, rows+1, len(ptr))
	}
	if ptr[0] != 0 || ptr[rows] != len(col) {
		return fmt.Errorf("row pointers run from %d to %d, not from 0 to %d", ptr[0], ptr[rows], len(col))
	}
	for i := range rows {
		if ptr[i+1] < ptr[i] || ptr[i+1] > len(col) {
			return fmt.Errorf("row %d ends at element %d of %d and starts at %d", i, ptr[i+1], len(col), ptr[i])
		}
		last := int32(-1)
		for _, j := range col[ptr[i]:ptr[i+1]] {
			if j <= last {
				return fmt.Errorf("row %d has column %d after %d", i, j, last)
			}
			if int(j) >= cols {
				return fmt.Errorf("row %d has column %d of %d", i, j, cols)
			}
			last = j
		}
	}
	return nil
}

// denseTarget returns n zeros: in dst, which has that length, or new where dst
// is nil.
func denseTarget(dst []float32, n int) []float32 {
	if dst == nil {
		return make([]float32, n)
	}
	dst = dst[:n:n]
	clear(dst)
	return dst
}

// ceilDiv returns a/b rounded up, for a >= 0 and b > 0.
func ceilDiv(a, b int) int {
	if a == 0 {
		return 0
	}
	return (a-1)/b + 1
}
