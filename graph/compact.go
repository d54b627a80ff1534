package graph

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/nnz-dev/nnz/internal/huge"
	"github.com/nnz-dev/nnz/sparse"
)

// Compact returns the tensor in the form that takes the least memory: as it
// is, as CSR, or in blocks of 2, 4 or 8 rows by one column, where the first
// dimension is the rows. All are exact but for negative zeros, which become
// absent. Only dense float32 tensors of at least two dimensions change form, of
// which the elements are there.
//
// This is the one rule by which a weight counts as sparse: loaders apply it to
// what they read, and prune to what it makes.
func (t *Tensor) Compact() *Tensor {
	if t.later != nil || t.matrix != nil || t.DType != Float32 || len(t.Shape) < 2 || t.Len() == 0 {
		return t
	}
	if m := newMask(t.Shape[0], t.Len()/t.Shape[0], t.raw).compact(t.raw); m != nil {
		c := *t
		c.raw, c.matrix = nil, m
		return &c
	}
	return t
}

// Masked returns the float32 tensor of at least two dimensions that has the
// values whose bit is set, of bits of 64 in each word, and zeros for all others:
// what [Tensor.Compact] makes of it, without a dense copy where that is sparse.
// Bits of values that are zero must not be set.
func Masked(shape []int, values []float32, set []uint64) *Tensor {
	raw := floatBytes(values)
	rows, cols := shape[0], len(values)/max(1, shape[0])
	if m := newMaskOf(rows, cols, set).compact(raw); m != nil {
		t, err := NewSparse(shape, m)
		if err != nil {
			panic("graph: " + err.Error())
		}
		return t
	}
	dense := huge.Make[float32](len(values))
	for w, word := range set {
		for ; word != 0; word &= word - 1 {
			i := w*64 + bits.TrailingZeros64(word)
			dense[i] = values[i]
		}
	}
	return FromFloats(shape, dense)
}

// compact returns the elements of the mask as the matrix that takes the least
// memory, nil where it is not less than that of all elements.
func (nonzero *mask) compact(raw []byte) sparse.Matrix {
	rows := nonzero.rows
	height, size := 0, len(raw) // 0 is dense
	units := nonzero.units()
	for i, h := range unitHeights {
		// A unit has a column index and its values, a row of units an offset.
		if b := units[i]*(4+4*h) + ((rows+h-1)/h+1)*bits.UintSize/8; b < size {
			height, size = h, b
		}
	}
	if height == 0 {
		return nil
	}
	csr, err := nonzero.csr(raw, units[0])
	if err != nil {
		return nil // more columns than an index can name
	}
	if height > 1 {
		return csr.BSR(height, 1)
	}
	return csr
}

// unitHeights are the rows of the units that [Tensor.Compact] chooses from:
// single elements and blocks.
var unitHeights = [...]int{1, 2, 4, 8}

// A mask has a bit for each element of a row-major matrix that is not zero, so
// that the elements are read once: where they are mapped from a file, and for a
// pruned weight, that is most of the time that it takes to compact it.
type mask struct {
	rows, cols int
	words      int      // of a row
	bits       []uint64 // bit j of a row's words is column j
}

// newMask reads float32 in the byte order of files, at any alignment. Negative
// zero is a zero; NaN is not.
func newMask(rows, cols int, raw []byte) *mask {
	m := &mask{rows: rows, cols: cols, words: (cols + 63) / 64}
	m.bits = make([]uint64, rows*m.words)
	for i := range rows {
		row, out := raw[4*i*cols:4*(i+1)*cols], m.bits[i*m.words:(i+1)*m.words]
		for w := range out {
			chunk := row[4*64*w : min(4*64*(w+1), len(row))]
			for j := 0; len(chunk) >= 8; j, chunk = j+2, chunk[8:] {
				// Adding to what is left of two elements without their signs
				// carries into those bits where it is not zero.
				const rest = 0x7fffffff_7fffffff
				x := binary.LittleEndian.Uint64(chunk)&rest + rest
				out[w] |= (x>>31&1 | x>>62&2) << j
			}
			if len(chunk) > 0 && binary.LittleEndian.Uint32(chunk)<<1 != 0 {
				out[w] |= 1 << ((cols - 1) % 64)
			}
		}
	}
	return m
}

// newMaskOf takes bits without gaps between the rows.
func newMaskOf(rows, cols int, set []uint64) *mask {
	m := &mask{rows: rows, cols: cols, words: (cols + 63) / 64}
	if cols%64 == 0 {
		m.bits = set
		return m
	}
	m.bits = make([]uint64, rows*m.words)
	for i := range rows {
		out := m.bits[i*m.words : (i+1)*m.words]
		for w := range out {
			at := i*cols + 64*w
			word := set[at/64] >> (at % 64)
			if at%64 != 0 && at/64+1 < len(set) {
				word |= set[at/64+1] << (64 - at%64)
			}
			out[w] = word
		}
		out[len(out)-1] &= 1<<(cols%64) - 1
	}
	return m
}

// units returns for each height how many units hold a nonzero.
func (m *mask) units() (n [len(unitHeights)]int) {
	for first := 0; first < m.rows; first += 8 {
		for w := range m.words {
			var rows [8]uint64
			for i := range min(8, m.rows-first) {
				rows[i] = m.bits[(first+i)*m.words+w]
			}
			// Each step folds the lower row of a unit onto the upper one.
			for h := range n {
				for i := 0; i < 8; i += 1 << h {
					if h > 0 {
						rows[i] |= rows[i+1<<(h-1)]
					}
					n[h] += bits.OnesCount64(rows[i])
				}
			}
		}
	}
	return n
}

// csr returns the nonzeros, of which there are n.
func (m *mask) csr(raw []byte, n int) (*sparse.CSR, error) {
	ptr, col, val := make([]int, m.rows+1), huge.Make[int32](n), huge.Make[float32](n)
	at := 0
	for i := range m.rows {
		for w, set := range m.bits[i*m.words : (i+1)*m.words] {
			for ; set != 0; set &= set - 1 {
				j := w*64 + bits.TrailingZeros64(set)
				col[at], val[at] = int32(j), math.Float32frombits(binary.LittleEndian.Uint32(raw[4*(i*m.cols+j):]))
				at++
			}
		}
		ptr[i+1] = at
	}
	return sparse.NewCSR(m.rows, m.cols, ptr, col, val)
}
