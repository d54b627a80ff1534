package runtime

import (
	"fmt"

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
	csr        *sparse.CSR // made when it is asked for
	counts     map[int]int // blocks that hold a nonzero, by their rows
}

// weightOf reads the weight and bias of a convolution or linear layer.
func (c *compiler) weightOf(n *graph.Node) (*weight, error) {
	t := c.values[n.Inputs[1]].typ.Const
	if t == nil || len(t.Shape) < 2 || t.Len() == 0 {
		return nil, fmt.Errorf("weight %q: expected a constant of two or more dimensions", n.Inputs[1])
	}
	w := &weight{tensor: t, rows: t.Shape[0], cols: t.Len() / t.Shape[0], groups: n.Int("group", 1), counts: make(map[int]int)}
	if b := n.Input(2); b != "" {
		bias := c.values[b].typ.Const
		if bias == nil || bias.Len() != w.rows {
			return nil, fmt.Errorf("bias %q: expected a constant of %d elements", b, w.rows)
		}
		w.bias = bias.Floats()
	}
	if m := t.Sparse(); m != nil {
		csr, err := w.sparse()
		if err != nil {
			return nil, err
		}
		w.nnz = csr.NNZ()
		return w, nil
	}
	values := t.Floats()
	if values == nil {
		return nil, fmt.Errorf("weight %q: expected a real type, got %s", n.Inputs[1], t.DType)
	}
	for _, v := range values {
		if v != 0 {
			w.nnz++
		}
	}
	return w, nil
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

// blocks counts the blocks of r x 1 that hold a nonzero.
func (w *weight) blocks(r int) int {
	if r == 1 {
		return w.nnz
	}
	if n, ok := w.counts[r]; ok {
		return n
	}
	csr, err := w.sparse()
	if err != nil {
		return w.rows * w.cols
	}
	last := make([]int, w.cols) // the block row that a column was last seen in, plus one
	n := 0
	for i := range w.rows {
		cols, _ := csr.Row(i)
		for _, k := range cols {
			if last[k] != i/r+1 {
				last[k] = i/r + 1
				n++
			}
		}
	}
	w.counts[r] = n
	return n
}

// stored returns the share of the elements that a format stores.
func (w *weight) stored(f format) float64 {
	if f.dense {
		return 1
	}
	return float64(w.blocks(f.r)*f.r) / float64(w.rows*w.cols)
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
	if f.r == 1 {
		return spmm.PackCSR(csr, a)
	}
	return spmm.PackBSR(csr.BSR(f.r, 1), a)
}
