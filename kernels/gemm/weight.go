package gemm

import (
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/kernels/spmm"
)

// A Weight is a matrix packed for the kernels: strips of rows, and of each
// strip column after column. It is immutable.
type Weight struct {
	isa        isa.ISA
	rows, cols int
	strips     []strip
	off        []uint32 // of the columns of each group
	val        []float32
	maxOff     int
}

// A strip is rows that a kernel takes at once, of one group. The last vector of
// them may be part empty.
type strip struct {
	row, rows int
	panels    int
	off, val  int // where its offsets and weights begin
}

// Pack packs a row-major matrix of rows x len(a.Offsets). Rows need not be a
// multiple of anything, but those of a group that do not fill a vector cost as
// much as if they did. a.Block and a.Chunk are not looked at: sums stay in
// registers from the first column to the last. It is an error where the
// addressing does not fit the matrix, or where the instruction set has no
// kernels.
func Pack(i isa.ISA, rows int, w []float32, a spmm.Addressing) (*Weight, error) {
	cols, groups, panels := len(a.Offsets), max(a.Groups, 1), panelsOf(i)
	switch {
	case panels == 0:
		return nil, fmt.Errorf("gemm: no %v kernels in this build", i)
	case rows < 1 || cols < 1 || cols > math.MaxInt32/(rows+panels*i.Lanes()*groups):
		return nil, fmt.Errorf("gemm: weight of %d x %d", rows, cols)
	case len(w) != rows*cols:
		return nil, fmt.Errorf("gemm: %d weights for %d x %d", len(w), rows, cols)
	}
	largest, err := a.Largest(rows)
	if err != nil {
		return nil, fmt.Errorf("gemm: %w", err)
	}
	p := &Weight{isa: i, rows: rows, cols: cols, maxOff: largest}
	size, perGroup := 0, rows/groups
	for g := range groups {
		for _, o := range a.Offsets {
			p.off = append(p.off, o+uint32(g)*a.GroupStride)
		}
		for at := 0; at < perGroup; {
			s := strip{row: g*perGroup + at, rows: min(perGroup-at, panels*i.Lanes()), off: g * cols, val: size}
			s.panels = (s.rows + i.Lanes() - 1) / i.Lanes()
			p.strips = append(p.strips, s)
			at += s.rows
			size += s.panels * i.Lanes() * cols
		}
	}
	const page = 2048 // from so many on, the allocator hands out whole pages
	p.val = make([]float32, size, max(size, page))
	for _, s := range p.strips {
		width := s.panels * i.Lanes()
		for r := range s.rows {
			for k, v := range w[(s.row+r)*cols:][:cols] {
				p.val[s.val+k*width+r] = v
			}
		}
	}
	return p, nil
}

// Bytes returns the memory that the packed weight takes.
func (w *Weight) Bytes() int { return 4 * (len(w.val) + len(w.off)) }
