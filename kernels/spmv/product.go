package spmv

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/nnz-dev/nnz/kernels/isa"
)

// An Epilogue is what is done to sums of products: the bias is added, then the
// result limited to [Min, Max] where Clamp is set.
type Epilogue struct {
	Bias     []float32 // one a row, or nil
	Clamp    bool
	Min, Max float32
}

// A Product is a weight bound to an epilogue and to the kernels of an
// instruction set. It is immutable.
type Product struct {
	w        *Weight
	bias     []float32
	min, max float32
	kernels  [][len(widths)]Kernel // of the parts, or the dense one, then by width
	all      []int32               // of weights by columns: the number of each
}

// NewProduct binds a weight to the kernels of an instruction set, the portable
// ones where it has none of a size. It is an error where the bias does not fit
// the weight or where a limit of the clamp is NaN.
func NewProduct(i isa.ISA, w *Weight, e Epilogue) (*Product, error) {
	p := &Product{w: w, bias: e.Bias, min: float32(math.Inf(-1)), max: float32(math.Inf(1))}
	if e.Bias == nil {
		p.bias = make([]float32, w.rows)
	}
	if len(p.bias) != w.rows {
		return nil, fmt.Errorf("spmv: bias of %d for %d rows", len(p.bias), w.rows)
	}
	if e.Clamp {
		if e.Min != e.Min || e.Max != e.Max {
			return nil, errors.New("spmv: clamp to NaN")
		}
		p.min, p.max = e.Min, e.Max
	}
	all := Kernels()
	if w.dense != nil {
		p.kernels = append(p.kernels, choose(all, i, FormDense, 0))
	}
	for _, part := range w.parts {
		p.kernels = append(p.kernels, choose(all, i, part.form, part.r))
	}
	if w.byColumn() {
		p.all = allColumns(w.cols)
	}
	return p, nil
}

// choose returns the kernels of each width. Dense ones may be of any R.
func choose(all []Kernel, i isa.ISA, form Form, r int) (ks [len(widths)]Kernel) {
	for n, width := range widths {
		for _, k := range all {
			if (k.ISA == i || k.ISA == isa.Generic && ks[n].fn == nil) && k.Form == form && (form == FormDense || k.R == r) && k.Cols == width {
				ks[n] = k
			}
		}
	}
	return ks
}

// Kernel returns the name of the kernel that does most of the work for one
// column of x.
func (p *Product) Kernel() string {
	most := 0
	for i := range p.w.parts {
		if len(p.w.parts[i].val) > len(p.w.parts[most].val) {
			most = i
		}
	}
	return p.kernels[most][len(widths)-1].Name
}

// Run computes share number share of shares of y for cols columns: x holds
// cols times the weight's columns, y cols times its rows. Every share computes
// rows of its own; all of them together compute y. It panics where x or y is
// too short.
func (p *Product) Run(y, x []float32, cols, share, shares int) {
	if cols < 1 {
		return
	}
	x, y = x[:cols*p.w.cols], y[:cols*p.w.rows]
	if p.w.byColumn() {
		for c := range cols {
			p.runColumns(y[c*p.w.rows:][:p.w.rows], p.all, x[c*p.w.cols:][:p.w.cols], share, shares)
		}
		return
	}
	a := args{
		xCol: uintptr(p.w.cols) * 4,
		yCol: uintptr(p.w.rows) * 4,
		min:  p.min,
		max:  p.max,
	}
	for done := 0; done < cols; {
		n := 0
		for widths[n] > cols-done {
			n++
		}
		a.x = unsafe.Pointer(&x[done*p.w.cols])
		a.y = unsafe.Pointer(&y[done*p.w.rows])
		a.bias = &p.bias[0]
		if p.w.dense != nil {
			p.runDense(a, p.kernels[0][n], share, shares)
		}
		for i := range p.w.parts {
			runPart(a, &p.w.parts[i], p.kernels[i][n], share, shares)
		}
		done += widths[n]
	}
}

// callChunks is how many chunks one kernel call takes at most: some 20
// microseconds, as a goroutine cannot be stopped inside.
const callChunks = 16

// runPart runs a share of a part's chunks.
func runPart(a args, w *part, k Kernel, share, shares int) {
	n := len(w.chunks) - 1
	if w.form == FormTiles {
		a.order = &w.order[0]
	}
	end := (share + 1) * n / shares
	for c := share * n / shares; c < end; c += callChunks {
		from, to := w.chunks[c], w.chunks[min(c+callChunks, end)]
		a.entries = &w.entries[from.entry]
		a.count = uintptr(to.entry - from.entry)
		if from.val < len(w.val) { // else all entries of the chunk are empty
			a.val = &w.val[from.val]
			if w.form == FormTiles {
				a.col = (*uint16)(unsafe.Pointer(&w.index[from.val]))
			} else {
				a.col = &w.col[from.val/w.r]
			}
		}
		k.fn(a)
	}
}

// denseRows is what shares of a dense weight are multiples of: the R of every
// dense kernel divides it.
const denseRows = 4

// denseBytes bounds the weights of one dense kernel call: 50 microseconds at
// 20 GB/s.
const denseBytes = 1 << 20

// runDense runs a share of the rows of a dense weight, in groups of denseRows
// that do not depend on the shares, then what is left over.
func (p *Product) runDense(a args, k Kernel, share, shares int) {
	groups := (p.w.rows + denseRows - 1) / denseRows
	y, end := a.y, min((share+1)*groups/shares*denseRows, p.w.rows)
	step := max(denseBytes/(denseRows*4*p.w.cols), 1) * denseRows
	for row := share * groups / shares * denseRows; row < end; row += step {
		a.count = uintptr(min(step, end-row))
		a.val = &p.w.dense[row*p.w.cols]
		a.bias = &p.bias[row]
		a.y = unsafe.Add(y, 4*row)
		k.fn(a)
	}
}
