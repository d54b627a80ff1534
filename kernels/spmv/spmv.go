// Package spmv multiplies a weight by a few vectors:
//
//	y[c][m] = clamp(bias[m] + sum over k of W[m][k] * x[c][k], Min, Max)
//
// for columns c of 1 to 4 or so. Each x[c] is contiguous and holds the
// weight's columns, each y[c] its rows. A weight is packed once ([PackCSR],
// [PackBSR]) or used where it lies ([PackDense]), then bound to an epilogue
// ([NewProduct]), then run.
//
// Each weight is used once a column, so memory is the limit and bytes a
// nonzero are what counts: 4 for the value and 2 for its column, which a block
// of R x 1 shares. One family of micro-kernels walks rows of such blocks: load
// R values, broadcast x at the column, multiply, add to one of several
// accumulators. Unstructured sparsity is R = 1. The dense kernels keep the x
// vectors of four rows in registers instead.
//
// Numbers: products are accumulated in float32 in an order that the weight,
// the kernel and the number of columns decide, never the number of shares, so
// results are bit-identical from run to run on one instruction set. NaN and
// Inf propagate as IEEE 754 says, clamp included, except through weights that
// are absent: they multiply nothing.
package spmv

import (
	"unsafe"

	"github.com/nnz-dev/nnz/kernels/isa"
)

// A Kernel is one micro-kernel: blocks of R rows x 1 column, or R dense rows,
// times Cols columns of x.
type Kernel struct {
	Name  string // f32_spmv_4x1n2_avx512: R = 4, Cols = 2; f32_gemv_4n1_avx512: dense
	ISA   isa.ISA
	Dense bool
	R     int
	Cols  int
	fn    func(args)
}

// args is what a kernel is called with, by value so that it stays on the
// stack. Assembly knows the byte offsets of its fields.
type args struct {
	entries *entry         //  0 sparse only
	count   uintptr        //  8 entries, or dense rows
	col     *uint16        // 16 columns of the blocks, counted from the entry's base; sparse only
	val     *float32       // 24 R values a block, or the first dense row
	x       unsafe.Pointer // 32
	y       unsafe.Pointer // 40 dense: of the first row
	bias    *float32       // 48 likewise
	xCol    uintptr        // 56 bytes from a column of x to the next; dense: also those of a row of W
	yCol    uintptr        // 64
	min     float32        // 72
	max     float32        // 76
}

// An entry is the blocks of R rows in one panel of up to 65536 columns.
type entry struct {
	row   uint32 // the first row
	count uint32 // blocks
	base  uint32 // the panel's first column
	flags flags
}

// flags tell where in a row's panels an entry stands.
type flags uint32

const (
	// later: accumulators begin at what y holds, not at the bias.
	later flags = 1 << iota
	// partial: more panels follow, so that the result is not clamped yet.
	partial
)

// panel is how many columns a 16-bit column number reaches.
const panel = 1 << 16

// Kernels returns every micro-kernel of this build, those included that this
// processor cannot run.
func Kernels() []Kernel { return append(genericKernels(), nativeKernels()...) }

// Blocks lists the row block sizes that kernels exist for, ascending.
func Blocks() []int { return []int{1, 2, 4, 8, 16} }

// widths are the column counts that kernels exist for, descending.
var widths = [...]int{4, 2, 1}
