package spmv

import (
	"fmt"
	mathbits "math/bits"
	"unsafe"

	"github.com/nnz-dev/nnz/kernels/isa"
)

// genericKernels returns the kernels in portable Go.
func genericKernels() []Kernel {
	var ks []Kernel
	for _, n := range widths {
		ks = append(ks,
			Kernel{fmt.Sprintf("f32_gemv_1n%d_generic", n), isa.Generic, FormDense, 1, n, func(a args) { denseGeneric(a, n) }},
			Kernel{fmt.Sprintf("f32_spmv_%dx%dn%d_generic", tileRows, TileCols, n), isa.Generic, FormTiles, tileRows, n,
				func(a args) { tilesGeneric(a, n) }})
		for _, r := range Blocks() {
			ks = append(ks, Kernel{fmt.Sprintf("f32_spmv_%dx1n%d_generic", r, n), isa.Generic, FormBlocks, r, n,
				func(a args) { blocksGeneric(a, r, n) }})
		}
	}
	for _, r := range genericPanels {
		ks = append(ks,
			Kernel{fmt.Sprintf("f32_axpy_%d_generic", r), isa.Generic, FormColumns, r, 1, func(a args) { columnsGeneric(a, r) }},
			Kernel{fmt.Sprintf("f32_masked_%d_generic", r), isa.Generic, FormMasked, r, 1, func(a args) { maskedGeneric(a, r) }})
	}
	return ks
}

// genericPanels are the heights of the panels of portable kernels, descending:
// sums are in memory, so runs can be as long as the processor likes to read ahead.
var genericPanels = []int{512, 256, 8}

// clamp is min(max(v, lo), hi) that keeps a NaN.
func clamp(v, lo, hi float32) float32 {
	if v < lo {
		v = lo
	}
	if v > hi {
		v = hi
	}
	return v
}

// column returns n float32 of column c of a matrix of columns stride bytes apart.
func column(p unsafe.Pointer, c int, stride uintptr, n int) []float32 {
	return unsafe.Slice((*float32)(unsafe.Add(p, uintptr(c)*stride)), n)
}

// denseGeneric is a row after the other, four sums each.
func denseGeneric(a args, cols int) {
	rows, k := int(a.count), int(a.xCol/4)
	w, bias := unsafe.Slice(a.val, rows*k), unsafe.Slice(a.bias, rows)
	for c := range cols {
		x, y := column(a.x, c, a.xCol, k), column(a.y, c, a.yCol, rows)
		for m := range y {
			y[m] = clamp(bias[m]+dot(w[m*k:(m+1)*k], x), a.min, a.max)
		}
	}
}

func dot(w, x []float32) float32 {
	var s0, s1, s2, s3 float32
	for len(w) >= 4 && len(x) >= 4 {
		s0 += w[0] * x[0]
		s1 += w[1] * x[1]
		s2 += w[2] * x[2]
		s3 += w[3] * x[3]
		w, x = w[4:], x[4:]
	}
	for i, v := range w {
		s0 += v * x[i]
	}
	return (s0 + s1) + (s2 + s3)
}

// blocksGeneric walks blocks of r x 1.
func blocksGeneric(a args, r, cols int) {
	at := 0 // blocks before the entry
	for _, e := range unsafe.Slice(a.entries, a.count) {
		n, row := int(e.count), int(e.row)
		var col []uint16 // where the last rows are empty, there is nothing to point to
		var val []float32
		if n > 0 {
			col = unsafe.Slice((*uint16)(unsafe.Add(unsafe.Pointer(a.col), 2*at)), n)
			val = unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(a.val), 4*at*r)), n*r)
		}
		bias := unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(a.bias), 4*row)), r)
		for c := range cols {
			x := column(unsafe.Add(a.x, 4*uintptr(e.base)), c, a.xCol, int(min(panel, a.xCol/4-uintptr(e.base))))
			y := column(unsafe.Add(a.y, 4*row), c, a.yCol, r)
			if e.flags&later == 0 {
				copy(y, bias)
			}
			if r == 1 {
				y[0] += sparseDot(col, val, x)
			} else {
				for i, k := range col {
					for j, v := range val[i*r : (i+1)*r] {
						y[j] += v * x[k]
					}
				}
			}
			if e.flags&partial == 0 {
				for j, v := range y {
					y[j] = clamp(v, a.min, a.max)
				}
			}
		}
		at += n
	}
}

func sparseDot(col []uint16, val, x []float32) float32 {
	var s0, s1, s2, s3 float32
	for len(col) >= 4 && len(val) >= 4 {
		s0 += val[0] * x[col[0]]
		s1 += val[1] * x[col[1]]
		s2 += val[2] * x[col[2]]
		s3 += val[3] * x[col[3]]
		col, val = col[4:], val[4:]
	}
	for i, v := range val {
		s0 += v * x[col[i]]
	}
	return (s0 + s1) + (s2 + s3)
}

// tilesGeneric takes a step after the other, one lane at a time.
func tilesGeneric(a args, cols int) {
	at := 0 // values before the entry
	var sums [4][tileRows]float32
	for _, e := range unsafe.Slice(a.entries, a.count) {
		steps := int(e.count)
		n := steps * tileRows
		order := unsafe.Slice((*int32)(unsafe.Add(unsafe.Pointer(a.order), 4*uintptr(e.row))), tileRows)
		for c := range cols {
			sum := &sums[c]
			if n > 0 {
				indices := unsafe.Slice((*uint8)(unsafe.Add(unsafe.Pointer(a.col), at)), n)
				val := unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(a.val), 4*at)), n)
				x := column(unsafe.Add(a.x, 4*uintptr(e.base)), c, a.xCol, TileCols)
				for i, v := range val {
					step, lane := i/tileRows, i%tileRows
					k := indices[indexAt(step, steps, lane)]
					if k&absent != 0 {
						continue
					}
					if k&next != 0 {
						lane = (lane + 1) % tileRows
					}
					sum[lane] += v * x[k&(TileCols-1)]
				}
			}
			if e.flags&partial == 0 {
				for lane, row := range order {
					if row >= 0 {
						y := (*float32)(unsafe.Add(a.y, uintptr(c)*a.yCol+4*uintptr(row)))
						bias := *(*float32)(unsafe.Add(unsafe.Pointer(a.bias), 4*uintptr(row)))
						*y = clamp(bias+sum[lane], a.min, a.max)
					}
				}
				*sum = [tileRows]float32{}
			}
		}
		at += n
	}
}

// columnsGeneric adds a column of a panel after the other.
func columnsGeneric(a args, r int) {
	y, x, order := beginPanel(a)
	for i, v := range x {
		w := unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(a.val), 4*int(order[i])*r)), r)
		for j := range y {
			y[j] += v * w[j]
		}
	}
	endPanel(a, y)
}

// maskedGeneric takes the bits of a column's mask one by one.
func maskedGeneric(a args, r int) {
	y, x, order := beginPanel(a)
	bytes := maskBytes(r)
	for i, v := range x {
		k := uintptr(order[i])
		mask := unsafe.Slice((*uint8)(unsafe.Add(unsafe.Pointer(a.col), k*uintptr(bytes))), bytes)
		at := *(*uint32)(unsafe.Add(unsafe.Pointer(a.starts), 4*k))
		w := (*float32)(unsafe.Add(unsafe.Pointer(a.val), 4*uintptr(at)))
		for j, bits := range mask {
			for ; bits != 0; bits &= bits - 1 {
				y[8*j+mathbits.TrailingZeros8(bits)] += v * *w
				w = (*float32)(unsafe.Add(unsafe.Pointer(w), 4))
			}
		}
	}
	endPanel(a, y)
}

// beginPanel sets a panel's sums to the bias, and returns them and what they are
// to be added to.
func beginPanel(a args) (y, x []float32, order []int32) {
	y = unsafe.Slice((*float32)(a.y), a.rows)
	copy(y, unsafe.Slice(a.bias, a.rows))
	return y, unsafe.Slice((*float32)(a.x), a.count), unsafe.Slice(a.order, a.count)
}

func endPanel(a args, y []float32) {
	for i, v := range y {
		y[i] = clamp(v, a.min, a.max)
	}
}
