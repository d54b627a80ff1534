package runtime

import (
	"fmt"
	mathbits "math/bits"
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/spmm"
	"github.com/nnz-dev/nnz/sparse"
)

// A weight is the constant of a product as a matrix, out x in: a row for each
// output, a column for each tap of each input feature of the row's group.
type weight struct {
	tensor     *graph.Tensor
	rows, cols int
	groups     int
	nnz        int
	bias       []float32
	key        string        // in Packed, empty where nothing is looked up or recorded
	csr        *sparse.CSR   // made when it is asked for
	held       map[int][]int // blocks that hold so many nonzeros, by their rows
	nm         *[2]int       // see pattern; nil where nobody has looked
}

// weightOf reads the weight and bias of a convolution or linear layer.
func (c *compiler) weightOf(n *graph.Node) (*weight, error) {
	t := c.values[n.Inputs[1]].typ.Const
	if t == nil || len(t.Shape) < 2 || t.Len() == 0 {
		return nil, fmt.Errorf("weight %q: expected a constant of two or more dimensions", n.Inputs[1])
	}
	if !t.DType.Float() {
		return nil, fmt.Errorf("weight %q: expected a real type, got %s", n.Inputs[1], t.DType)
	}
	if t.DType != graph.Float32 && t.Sparse() == nil {
		t = graph.FromFloats(t.Shape, t.Floats()) // once, for all that read it here
	}
	w := &weight{tensor: t, rows: t.Shape[0], cols: t.Len() / t.Shape[0], groups: n.Int("group", 1), held: make(map[int][]int)}
	if b := n.Input(2); b != "" {
		bias := c.values[b].typ.Const
		if bias == nil || bias.Len() != w.rows {
			return nil, fmt.Errorf("bias %q: expected a constant of %d elements", b, w.rows)
		}
		w.bias = bias.Floats()
	}
	return w, c.measure(w)
}

// count counts the nonzeros.
func (w *weight) count() error {
	if w.tensor.Sparse() != nil {
		csr, err := w.sparse()
		if err != nil {
			return err
		}
		w.nnz = csr.NNZ()
		return nil
	}
	for _, v := range w.tensor.Floats() {
		if v != 0 {
			w.nnz++
		}
	}
	return nil
}

func (w *weight) sparsity() float64 { return 1 - float64(w.nnz)/float64(w.rows*w.cols) }

// sparse returns the weight as CSR, without stored zeros.
func (w *weight) sparse() (*sparse.CSR, error) {
	if w.csr != nil {
		return w.csr, nil
	}
	var err error
	switch m := w.tensor.Sparse().(type) {
	case *sparse.CSR:
		w.csr = m
	case *sparse.BSR:
		w.csr = m.CSR()
	default:
		w.csr, err = sparse.FromDense(w.rows, w.cols, w.tensor.Floats())
	}
	return w.csr, err
}

// occupancy counts the blocks of r x 1 by how many nonzeros they hold.
func (w *weight) occupancy(r int) []int {
	if held, ok := w.held[r]; ok {
		return held
	}
	csr, err := w.sparse()
	if err != nil {
		held := make([]int, r+1)
		held[r] = ceilDiv(w.rows, r) * w.cols
		w.held[r] = held
		return held
	}
	if r <= 8 && 8%r == 0 {
		w.countBlocks(csr)
	} else {
		w.held[r] = heldBy(csr, r, make([]int, r+1), func(held []int, nonzero uint) { held[mathbits.OnesCount(nonzero)]++ })
	}
	return w.held[r]
}

// countBlocks counts the blocks of 2, 4 and 8 rows, which is done at once: by
// which of 8 rows have a nonzero in a column.
func (w *weight) countBlocks(csr *sparse.CSR) {
	kinds := heldBy(csr, 8, make([]int, 256), func(kinds []int, nonzero uint) { kinds[nonzero]++ })
	for r := 2; r <= 8; r *= 2 {
		held := make([]int, r+1)
		for nonzero, n := range kinds {
			for i := 0; i < 8; i += r {
				held[mathbits.OnesCount(uint(nonzero)>>i&(1<<r-1))] += n
			}
		}
		// Rows past the last are in no block, unless some of the block exist.
		held[0] -= (ceilDiv(w.rows, 8)*8/r - ceilDiv(w.rows, r)) * w.cols
		w.held[r] = held
	}
}

// heldBy gives to add, for every r rows and column, which of the rows have a
// nonzero there, a bit each, and returns into.
func heldBy(csr *sparse.CSR, r int, into []int, add func(into []int, nonzero uint)) []int {
	rows, cols := csr.Dims()
	in := make([]uint, cols)
	for first := 0; first < rows; first += r {
		clear(in)
		for i := range min(r, rows-first) {
			col, _ := csr.Row(first + i)
			for _, k := range col {
				in[k] |= 1 << i
			}
		}
		for _, nonzero := range in {
			add(into, nonzero)
		}
	}
	return into
}

// pattern returns the sparsest N:M that the weight satisfies.
func (w *weight) pattern() (p [2]int, ok bool) {
	if w.nm == nil {
		w.nm = &[2]int{}
		if csr, err := w.sparse(); err == nil {
			for _, p := range slices.Backward(sparse.Patterns()) {
				if csr.Holds(p[0], p[1]) {
					*w.nm = p
				}
			}
		}
	}
	return *w.nm, w.nm[1] > 0
}

// split returns how many elements a format stores in blocks of its size, and
// how many besides.
func (w *weight) split(f format) (inBlocks, rest int) {
	switch {
	case f.dense:
		return w.rows * w.cols, 0
	case f.nm[1] > 0:
		n, m := f.nm[0], f.nm[1]
		return w.rows * (w.cols/m*n + min(w.cols%m, n)), 0
	case f.r == 1:
		return w.nnz, 0
	}
	for n, blocks := range w.occupancy(f.r) {
		if n >= max(f.least, 1) {
			inBlocks += blocks * f.r
		} else {
			rest += blocks * n
		}
	}
	return inBlocks, rest
}

// stored returns the share of the elements that a format stores.
func (w *weight) stored(f format) float64 {
	inBlocks, rest := w.split(f)
	return float64(inBlocks+rest) / float64(w.rows*w.cols)
}

// pack packs the weight for the kernels in a format.
func (w *weight) pack(f format, a spmm.Addressing) (*spmm.Weight, error) {
	if f.dense {
		return spmm.PackDense(w.rows, w.tensor.Floats(), f.r, a)
	}
	csr, err := w.sparse()
	if err != nil {
		return nil, err
	}
	switch {
	case f.nm[1] > 0:
		nm, err := csr.NM(f.nm[0], f.nm[1])
		if err != nil {
			return nil, err
		}
		return spmm.PackNM(nm, a)
	case f.least > 0:
		blocks, rest := csr.Split(f.r, 1, f.least)
		return spmm.PackMixed(blocks, rest, a)
	case f.r == 1:
		return spmm.PackCSR(csr, a)
	}
	return spmm.PackBSR(csr.BSR(f.r, 1), a)
}
