// Package spmm multiplies a weight by activations that lie in vectors:
//
//	Y[m] = clamp(Bias[m] + Res[m] + sum over k of W[m][k] * X[k], Min, Max)
//
// where X[k], Y[m] and Res[m] are rows of vectors of float32, as many lanes a
// vector as the instruction set has. A weight is packed once ([PackCSR],
// [PackNM], [PackBSR], [PackMixed], [PackDense]), then bound to a grid of tiles
// of vectors ([NewProduct]), then run. Columns of Y do not mix, so what a lane
// holds is the caller's affair: a column of a matrix, a pixel, an image of a
// batch.
//
// One family of micro-kernels does all of it. A kernel keeps R weight rows x
// (tile rows x tile columns) vectors of accumulators in registers and walks a
// list of weight columns, each a byte offset into X and R values: broadcast a
// value, multiply it with the tile's vectors there, add. Unstructured sparsity
// is R = 1, N:M is that with lists of one length; blocks of R x 1 are R = 2, 4,
// 8, and a mixed weight has in each K-block such and then R = 1; dense is R = 4
// with every column in the list; a convolution has a column for each tap of each
// channel; depthwise and grouped convolution have a list of offsets a group.
//
// Numbers: products are accumulated in float32 in an order that the weight,
// Addressing.Block and the kernel decide, never the number of threads or
// chunks, so results are bit-identical from run to run on one instruction set.
// NaN and Inf propagate as IEEE 754 says, clamp included, except through
// weights that are absent: they multiply nothing. The zeros that blocks and N:M
// store are not absent.
package spmm

import (
	"slices"
	"unsafe"

	"github.com/nnz-dev/nnz/kernels/isa"
)

// A Shape is a rectangle of vectors.
type Shape struct{ Rows, Cols int }

// Vectors returns how many vectors the rectangle holds.
func (s Shape) Vectors() int { return s.Rows * s.Cols }

// A Kernel is one micro-kernel: R weight rows x a tile of vectors of
// accumulators, for activations whose tile columns are Step vectors apart.
type Kernel struct {
	Name string // f32_spmm_4x1x7s2_avx512: R x tile rows x tile columns, step 2; f32_spmm_pair_1x7s1_avx512
	ISA  isa.ISA
	R    int
	Pair bool // of two rows that have lists of their own beside a shared one; R is 1
	Tile Shape
	Step int
	// turns is set where every other column is added up by itself, and both sums
	// at the end: of few accumulators one sum would wait for itself. All others
	// add up column after column, and so in the same order.
	turns bool
	fn    func(*args)
}

// args is what a kernel is called with: one K-block of some weight rows for one
// tile. Assembly knows the byte offsets of its fields.
type args struct {
	entries unsafe.Pointer //   0 entry or pairEntry
	count   uint           //   8 entries, at least one
	off     *uint32        //  16 byte offsets into x of weight columns; of pairs, those of the first entry on
	val     *float32       //  24 weights; likewise
	bias    *float32       //  32 one a weight row
	x       unsafe.Pointer //  40 the tile's origin in the activations
	y       unsafe.Pointer //  48 the tile's origin in the output
	res     unsafe.Pointer //  56 the tile's origin in the residual
	xRow    uintptr        //  64 bytes from a tile row to the next
	yRow    uintptr        //  72
	resRow  uintptr        //  80
	yChan   uintptr        //  88 bytes from an output channel to the next
	resChan uintptr        //  96
	flags   flags          // 104
	min     float32        // 108
	max     float32        // 112
	_       [12]byte       // to 128
}

// flags tell a kernel how accumulators begin and end.
type flags uint32

const (
	// first: accumulators begin at the bias, else at what y holds.
	first flags = 1 << iota
	// residual, only with first: and res is added.
	residual
	// clamp: the results are limited to [min, max].
	clamp
	// prefetch: output rows are prefetched before they are needed.
	prefetch
	// far: weights have not been read for another tile just before.
	far

	// begin is what a row's first kernel does. In the K-blocks that follow, output
	// rows are in the L2 cache, where a prefetch only takes the place of a load.
	begin = first | residual | prefetch
)

// An entry is R weight rows in one K-block. The values of the entries of one
// call follow each other, and where R is 1 the offsets too. The lists of a
// weight are padded so that a kernel may read lookahead entries and offsets
// past its last.
type entry struct {
	row   uint32 // the first weight row
	count uint32 // columns that are present
	off   uint32 // index of the first one's offset
	val   uint32 // index of the first one's R values
}

// lookahead is how many entries and offsets past its last a kernel may read.
const lookahead = 4

// kernels is the table of all micro-kernels.
var kernels = append(genericKernels(), nativeKernels()...)

// Kernels returns every micro-kernel of this build, those included that this
// processor cannot run.
func Kernels() []Kernel { return slices.Clone(kernels) }

// lookup returns the micro-kernel of a shape.
func lookup(i isa.ISA, r int, pair bool, tile Shape, step int) (Kernel, bool) {
	n := slices.IndexFunc(kernels, func(k Kernel) bool {
		return k.ISA == i && k.R == r && k.Pair == pair && k.Tile == tile && k.Step == step
	})
	if n < 0 {
		return Kernel{}, false
	}
	return kernels[n], true
}
