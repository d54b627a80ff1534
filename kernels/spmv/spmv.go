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
// nonzero are what counts, and how its element of x is found. In blocks of R x 1
// the R values share a column of 2 bytes: load them, broadcast x, multiply, add
// to one of several accumulators. Unstructured weights are blocks of R = 1, or,
// where a register can be looked up by lanes ([Pack]), tiles.
//
// Where many elements of x are zero, or so small that they are taken for zero,
// a weight by columns ([PackColumns], [PackMasked]) reads only those of the
// others, which are picked first ([Active.Pick], [Product.RunActive]).
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

// A Form is how a weight lies in memory.
type Form uint8

const (
	// FormDense is rows one after the other, zeros included.
	FormDense Form = iota
	// FormBlocks is rows of blocks of R x 1 with their columns; R = 1 is
	// unstructured.
	FormBlocks
	// FormTiles is unstructured weights by tiles of R rows x [TileCols]
	// columns. A step of a tile is one weight a lane, whose element of x is
	// looked up in the tile's part of it, which stays in registers. A lane has
	// weights of its own row and of the next one's, in a ring, so that tiles need
	// hardly more steps than R rows have weights in them on average.
	FormTiles
	// FormColumns is panels of R rows, each column by column, zeros included. It
	// lets whole columns of a panel be left out.
	FormColumns
	// FormMasked is the same without the zeros: R bits a column, those of the
	// rows that have a weight there, and the weights.
	FormMasked
)

// A Kernel is one micro-kernel: R rows times Cols columns of x.
type Kernel struct {
	// f32_gemv_4n1_avx512, f32_spmv_4x1n2_avx512, f32_spmv_16x64n1_avx512: R x
	// block or tile columns, n Cols; f32_axpy_128_avx512, f32_masked_128_avx512: R.
	Name string
	ISA  isa.ISA
	Form Form
	R    int
	Cols int
	fn   func(args)
}

// args is what a kernel is called with, by value so that it stays on the
// stack. Assembly knows the byte offsets of its fields.
type args struct {
	entries *entry         //  0 not of dense weights
	count   uintptr        //  8 entries, or dense rows; by columns: elements of x
	col     *uint16        // 16 columns of blocks, counted from the entry's base; of tiles, R indices a step, a byte each (see tiles.go); masked, R bits a column
	val     *float32       // 24 R values a block or step, or the first dense row
	x       unsafe.Pointer // 32
	y       unsafe.Pointer // 40 dense: of the first row
	bias    *float32       // 48 likewise
	xCol    uintptr        // 56 bytes from a column of x to the next; dense: also those of a row of W
	yCol    uintptr        // 64
	min     float32        // 72
	max     float32        // 76
	order   *int32         // 80 of tiles: the row of each lane; by columns: which column each x is of, and columnsAhead more
	starts  *uint32        // 88 masked: where each column's values start, and where the last one's end
	rows    uintptr        // 96 by columns: up to R, less only where R is the smallest there is
}

// An entry is the blocks of R rows in one panel of up to 65536 columns, or a
// tile.
type entry struct {
	row   uint32 // the first row, or where in the order the tile's rows are
	count uint32 // blocks, or steps
	base  uint32 // the first column of the panel or tile
	flags flags
}

// flags tell where in its rows an entry stands.
type flags uint32

const (
	// later: accumulators begin at what y holds, not at the bias. Tiles never
	// do, those of the same rows follow each other.
	later flags = 1 << iota
	// partial: more entries of these rows follow, so that the result is not
	// clamped yet.
	partial
)

// panel is how many columns a 16-bit column number reaches.
const panel = 1 << 16

// Tiles have tileRows x TileCols elements.
const (
	TileCols = 64
	tileRows = 16
)

// Kernels returns every micro-kernel of this build, those included that this
// processor cannot run.
func Kernels() []Kernel { return append(genericKernels(), nativeKernels()...) }

// Blocks lists the row block sizes that kernels exist for, ascending.
func Blocks() []int { return []int{1, 2, 4, 8, 16} }

// widths are the column counts that kernels exist for, descending.
var widths = [...]int{4, 2, 1}
