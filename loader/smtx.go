package loader

import (
	"math"
	"math/rand/v2"

	"github.com/nnz-dev/nnz/sparse"
)

// parseSMTX reads a file of the Deep Learning Matrix Collection, which has
// three lines: the number of rows, columns and nonzeros; where each row starts,
// and the last ends, in the third line; the column of each nonzero, row after
// row and ascending.
func parseSMTX(data []byte) (*sparse.CSR, error) {
	s := &scanner{data: data, sep: ','}
	// Every row pointer and column takes a digit and what separates it.
	limit := min(len(data)/2+1, math.MaxInt32)
	rows, err := s.int("a number of rows", 0, limit)
	if err != nil {
		return nil, err
	}
	cols, err := s.int("a number of columns", 0, math.MaxInt32)
	if err != nil {
		return nil, err
	}
	nnz, err := s.int("a number of nonzeros", 0, limit)
	if err != nil {
		return nil, err
	}
	if err := checkExtents(rows, cols, len(data)); err != nil {
		return nil, formatError(0, "%v", err)
	}
	ptr := make([]int, rows+1)
	for i := range ptr {
		if ptr[i], err = s.int("the start of a row", 0, nnz); err != nil {
			return nil, err
		}
	}
	start := s.pos
	col := make([]int32, nnz)
	for k := range col {
		j, err := s.int("a column", 0, cols-1)
		if err != nil {
			return nil, err
		}
		col[k] = int32(j)
	}
	if err := s.end(); err != nil {
		return nil, err
	}
	m, err := sparse.NewCSR(rows, cols, ptr, col, patternValues(nnz))
	if err != nil {
		return nil, formatError(start, "%v", err)
	}
	return m, nil
}

// patternValues returns n values between -1 and 1, none of them zero, the same
// for every call.
func patternValues(n int) []float32 {
	rng := rand.New(rand.NewPCG(1, 0))
	val := make([]float32, n)
	for i := range val {
		val[i] = float32(int32(rng.Uint32()>>8)*2+1-1<<24) / (1 << 24) // odd multiples of 2^-24
	}
	return val
}
