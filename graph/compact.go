package graph

import (
	"math/bits"

	"github.com/nnz-dev/nnz/sparse"
)

// Compact returns the tensor in the form that takes the least memory: as it
// is, as CSR, or in blocks of 2, 4 or 8 rows by one column, where the first
// dimension is the rows. All are exact but for negative zeros, which become
// absent. Only dense float32 tensors of at least two dimensions change form.
//
// This is the one rule by which a weight counts as sparse: loaders apply it to
// what they read, and prune to what it makes.
func (t *Tensor) Compact() *Tensor {
	if t.matrix != nil || t.DType != Float32 || len(t.Shape) < 2 || t.Len() == 0 {
		return t
	}
	rows, cols := t.Shape[0], t.Len()/t.Shape[0]
	values := t.Floats()
	height, size := 0, t.Bytes() // 0 is dense
	for i, units := range countUnits(rows, cols, values) {
		// A unit has a column index and its values, a row of units an offset.
		h := unitHeights[i]
		if b := units*(4+4*h) + ((rows+h-1)/h+1)*bits.UintSize/8; b < size {
			height, size = h, b
		}
	}
	if height == 0 {
		return t
	}
	csr, err := sparse.FromDense(rows, cols, values)
	if err != nil {
		return t // more columns than an index can name
	}
	c := *t
	c.raw, c.matrix = nil, csr
	if height > 1 {
		c.matrix = csr.BSR(height, 1)
	}
	return &c
}

// unitHeights are the rows of the units that [Tensor.Compact] chooses from:
// single elements and blocks.
var unitHeights = [...]int{1, 2, 4, 8}

// countUnits returns for each height how many units of a row-major matrix hold
// a nonzero.
func countUnits(rows, cols int, values []float32) (n [len(unitHeights)]int) {
	nonzero := make([]uint8, cols) // of eight rows, bit i is row i
	for first := 0; first < rows; first += 8 {
		clear(nonzero)
		for i := range min(8, rows-first) {
			for j, v := range values[(first+i)*cols : (first+i+1)*cols] {
				if v != 0 {
					nonzero[j] |= 1 << i
				}
			}
		}
		for _, m := range nonzero {
			// Each step folds a unit's upper half onto its lower one.
			n[0] += bits.OnesCount8(m)
			m = (m | m>>1) & 0x55
			n[1] += bits.OnesCount8(m)
			m = (m | m>>2) & 0x11
			n[2] += bits.OnesCount8(m)
			m = (m | m>>4) & 0x01
			n[3] += int(m)
		}
	}
	return n
}
