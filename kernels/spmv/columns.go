package spmv

import (
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/sparse"
)

// An Active is the elements of a vector x that are not taken for zero. It has
// room for vectors of one length and belongs to one goroutine.
type Active struct {
	columns []int32 // numbers of the elements, and columnsAhead more that are valid
	x       []float32
	n       int
}

// columnsAhead is how many columns before they are multiplied kernels ask for
// the weights of one.
const columnsAhead = 8

// NewActive returns room for vectors of a length.
func NewActive(length int) *Active {
	return &Active{columns: make([]int32, length+1+columnsAhead), x: make([]float32, length+1)}
}

// Len returns how many elements were picked.
func (a *Active) Len() int { return a.n }

// Pick takes the elements of x whose magnitude is above the threshold, which is
// not negative: with 0, all but zeros. A NaN is above every threshold. It panics
// where x is longer than there is room for.
//
// Nothing is branched on, as activations are as good as random.
func (a *Active) Pick(x []float32, threshold float32) {
	columns, values := a.columns[:len(x)+1], a.x[:len(x)+1]
	limit := magnitude(threshold)
	n := 0
	for i, v := range x {
		columns[n], values[n] = int32(i), v
		n += int((limit - magnitude(v)) >> 31)
	}
	a.n = n
	last := int32(0)
	if n > 0 {
		last = columns[n-1]
	}
	for i := range columnsAhead {
		a.columns[n+i] = last
	}
}

// magnitude returns a number of 31 bits that is larger the farther v is from
// zero, and larger than that of Inf for NaN.
func magnitude(v float32) uint32 { return math.Float32bits(v) &^ (1 << 31) }

// PackColumns packs a row-major matrix by columns for the kernels of an
// instruction set.
func PackColumns(i isa.ISA, rows, cols int, w []float32) (*Weight, error) {
	if err := checkDims(rows, cols); err != nil {
		return nil, err
	}
	if len(w) != rows*cols {
		return nil, fmt.Errorf("spmv: %d weights for %d x %d", len(w), rows, cols)
	}
	return packColumns(panelHeights(i, FormColumns, rows), rows, cols, w), nil
}

// packColumns packs panels of the given heights, descending.
func packColumns(heights []int, rows, cols int, w []float32) *Weight {
	return newWeight(rows, cols, rows*cols, panels(FormColumns, heights, rows, func(p *part) {
		if p.val == nil {
			p.val = aligned(cap(p.entries) * p.r * cols)
		}
		e := p.entries[len(p.entries)-1]
		p.val = p.val[:len(p.entries)*p.r*cols]
		panel := p.val[len(p.val)-p.r*cols:]
		const line = 16 // columns at a time, which are a cache line of a row
		for k := 0; k < cols; k += line {
			for j := range int(e.count) {
				for i, v := range w[(int(e.row)+j)*cols:][k:min(k+line, cols)] {
					panel[(k+i)*p.r+j] = v
				}
			}
		}
	})...)
}

// PackMasked packs an unstructured matrix by columns for the kernels of an
// instruction set.
func PackMasked(i isa.ISA, m *sparse.CSR) (*Weight, error) {
	rows, cols := m.Dims()
	if err := checkDims(rows, cols); err != nil {
		return nil, err
	}
	return packMasked(panelHeights(i, FormMasked, rows), m), nil
}

// packMasked packs panels of the given heights, descending.
func packMasked(heights []int, m *sparse.CSR) *Weight {
	rows, cols := m.Dims()
	at := make([]int, heights[0]) // the next weight of each row of a panel
	parts := panels(FormMasked, heights, rows, func(p *part) {
		e := p.entries[len(p.entries)-1]
		clear(at)
		for k := range cols {
			p.starts = append(p.starts, uint32(len(p.val)))
			p.index = append(p.index, make([]uint8, maskBytes(p.r))...)
			mask := p.index[len(p.index)-maskBytes(p.r):]
			for j := range int(e.count) {
				if col, val := m.Row(int(e.row) + j); at[j] < len(col) && int(col[at[j]]) == k {
					mask[j/8] |= 1 << (j % 8)
					p.val = append(p.val, val[at[j]])
					at[j]++
				}
			}
		}
		p.starts = append(p.starts, uint32(len(p.val)))
	})
	for i := range parts {
		p := &parts[i]
		p.val = append(append(aligned(len(p.val)+maskedSlack), p.val...), make([]float32, maskedSlack)...)
	}
	return newWeight(rows, cols, m.NNZ(), parts...)
}

// maskedSlack is how many values there are behind the last one, as kernels load
// whole vectors.
const maskedSlack = 16

// maskBytes is how long the mask of a column of r rows is.
func maskBytes(r int) int { return (r + 7) / 8 }

// panelHeights lists the heights of panels that an instruction set has kernels
// for, descending, those of the portable kernels where it has none. The highest
// is left out where rows are too few for it.
func panelHeights(i isa.ISA, form Form, rows int) []int {
	var list []int
	for _, set := range []isa.ISA{i, isa.Generic} {
		for _, k := range Kernels() {
			if k.ISA == set && k.Form == form {
				list = append(list, k.R)
			}
		}
		if list != nil {
			break
		}
	}
	slices.SortFunc(list, func(a, b int) int { return b - a })
	if rows/list[0] < minPanels {
		list = list[1:]
	}
	return list
}

// minPanels is how many of the highest panels there have to be: they read longer
// runs of memory than those of half their height, but threads share panels.
const minPanels = 4

// panels cuts rows into panels, the highest first, a part for each height. fill
// is called for each panel when its entry is the last of the part: it appends
// what the panel holds.
func panels(form Form, heights []int, rows int, fill func(*part)) []part {
	var parts []part
	row := 0
	for n, r := range heights {
		count := (rows - row) / r
		if n == len(heights)-1 {
			count = (rows - row + r - 1) / r
		}
		p := part{form: form, r: r, entries: make([]entry, 0, count)}
		for range count {
			p.chunks = append(p.chunks, chunk{len(p.entries), len(p.val)})
			p.entries = append(p.entries, entry{row: uint32(row), count: uint32(min(r, rows-row))})
			row += r
			fill(&p)
		}
		parts = append(parts, p)
	}
	return parts
}

// byColumn reports whether columns of the weight can be left out.
func (w *Weight) byColumn() bool {
	return len(w.parts) > 0 && (w.parts[0].form == FormColumns || w.parts[0].form == FormMasked)
}

// allColumns lists the columns of a weight, for kernels to read.
func allColumns(cols int) []int32 {
	all := make([]int32, cols+columnsAhead)
	for k := range all {
		all[k] = int32(min(k, cols-1))
	}
	return all
}

// RunActive computes share number share of shares of y from the elements of one
// column of x that were picked. What is not picked multiplies nothing: not even
// an infinite weight. The weight must be one by columns. As with [Product.Run],
// each row is summed in an order that nothing but x decides: that of its elements.
// It panics where y is too short, and where x was of another length.
func (p *Product) RunActive(y []float32, a *Active, share, shares int) {
	if len(a.x) != p.w.cols+1 || !p.w.byColumn() {
		panic(fmt.Sprintf("spmv: %d activations for %d columns", len(a.x)-1, p.w.cols))
	}
	p.runColumns(y[:p.w.rows], a.columns, a.x[:a.n], share, shares)
}

// runColumns runs a share of the panels of every part, for the columns that x
// has an element each of.
func (p *Product) runColumns(y []float32, columns []int32, x []float32, share, shares int) {
	for i := range p.w.parts {
		w := &p.w.parts[i]
		n := len(w.entries)
		for c := share * n / shares; c < (share+1)*n/shares; c++ {
			p.runPanel(y, columns, x, w, c, p.kernels[i][len(widths)-1])
		}
	}
}

// runPanel computes the rows of panel number c, some columns a call, as a
// goroutine cannot be stopped inside. All calls but the first begin with y in
// the place of the bias, and all but the last do not limit it.
func (p *Product) runPanel(y []float32, columns []int32, x []float32, w *part, c int, k Kernel) {
	e := w.entries[c]
	a := args{y: unsafe.Pointer(&y[e.row]), bias: &p.bias[e.row], rows: uintptr(e.count)}
	if w.form == FormMasked {
		a.val = &w.val[0]
		a.starts = &w.starts[c*(p.w.cols+1)]
		a.col = (*uint16)(unsafe.Pointer(&w.index[c*p.w.cols*maskBytes(w.r)]))
	} else {
		a.val = &w.val[c*p.w.cols*w.r]
	}
	step := denseBytes / (4 * w.r)
	for from := 0; from == 0 || from < len(x); from += step {
		to := min(from+step, len(x))
		if a.count = uintptr(to - from); a.count > 0 {
			a.x = unsafe.Pointer(&x[from])
		}
		a.order = &columns[from]
		a.min, a.max = float32(math.Inf(-1)), float32(math.Inf(1))
		if to == len(x) {
			a.min, a.max = p.min, p.max
		}
		k.fn(a)
		a.bias = (*float32)(a.y)
	}
}
