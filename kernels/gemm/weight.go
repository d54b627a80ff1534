package gemm

import (
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/internal/huge"
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

// at returns where the weights of a strip begin from a column on; past its last,
// where the next strip does.
func (w *Weight) at(strip, col int) int {
	s := &w.strips[strip]
	return s.val + col*s.panels*w.isa.Lanes()
}

// layOut returns the weight but for its elements, and how many of those it has.
func layOut(i isa.ISA, rows int, a spmm.Addressing) (p *Weight, size int, err error) {
	cols, groups, panels := len(a.Offsets), max(a.Groups, 1), panelsOf(i)
	switch {
	case panels == 0:
		return nil, 0, fmt.Errorf("gemm: no %v kernels in this build", i)
	case rows < 1 || cols < 1 || cols > math.MaxInt32/(rows+panels*i.Lanes()*groups):
		return nil, 0, fmt.Errorf("gemm: weight of %d x %d", rows, cols)
	}
	largest, err := a.Largest(rows)
	if err != nil {
		return nil, 0, fmt.Errorf("gemm: %w", err)
	}
	p = &Weight{isa: i, rows: rows, cols: cols, maxOff: largest}
	perGroup := rows / groups
	for g := range groups {
		for _, o := range a.Offsets {
			p.off = append(p.off, o+uint32(g)*a.GroupStride)
		}
		// Strips of like size: a single vector of rows would share activations
		// with no other.
		vectors := (perGroup + i.Lanes() - 1) / i.Lanes()
		strips := (vectors + panels - 1) / panels
		for n := range strips {
			at, end := n*vectors/strips, (n+1)*vectors/strips
			p.strips = append(p.strips, strip{
				row: g*perGroup + at*i.Lanes(), rows: min(perGroup, end*i.Lanes()) - at*i.Lanes(),
				panels: end - at, off: g * cols, val: size,
			})
			size += (end - at) * i.Lanes() * cols
		}
	}
	return p, size, nil
}

// Pack packs a row-major matrix of rows x len(a.Offsets). Rows need not be a
// multiple of anything, but those of a group that do not fill a vector cost as
// much as if they did. a.Block and a.Chunk are not looked at: products cut columns
// and rows for the caches themselves. It is an error where the
// addressing does not fit the matrix, or where the instruction set has no
// kernels.
func Pack(i isa.ISA, rows int, w []float32, a spmm.Addressing) (*Weight, error) {
	p, size, err := layOut(i, rows, a)
	if err != nil {
		return nil, err
	}
	cols := p.cols
	if len(w) != rows*cols {
		return nil, fmt.Errorf("gemm: %d weights for %d x %d", len(w), rows, cols)
	}
	const page = 2048 // from so many on, the allocator hands out whole pages
	p.val = huge.Make[float32](max(size, page))[:size]
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

// Store returns the elements in the order of [Restore], which are not to be
// changed.
func (w *Weight) Store() []float32 { return w.val }

// Restore makes a weight of rows rows of what [Weight.Store] returned, for the
// same instruction set. It uses the elements where they lie. It is an error
// where they are too few or too many for the addressing.
func Restore(i isa.ISA, rows int, val []float32, a spmm.Addressing) (*Weight, error) {
	p, size, err := layOut(i, rows, a)
	if err == nil && len(val) != size {
		err = fmt.Errorf("gemm: stored weight of %d elements, expected %d", len(val), size)
	}
	if err != nil {
		return nil, err
	}
	p.val = val
	return p, nil
}

// Bytes returns the memory that the packed weight takes.
func (w *Weight) Bytes() int { return 4 * (len(w.val) + len(w.off)) }
