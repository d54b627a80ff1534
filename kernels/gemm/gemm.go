// Package gemm multiplies a dense weight by activations that lie in vectors:
//
//	Y[m] = clamp(Bias[m] + sum over k of W[m][k] * X[k] + Res[m], Min, Max)
//
// on the operands of package spmm, whose dense kernels compute the same. Those
// have activations along the lanes, so that lanes that hold none cost as much
// as others: an eighth of all in images of 14 pixels, a quarter in such of 7.
// Here the rows of the weight run along the lanes. A kernel takes a few vectors
// of rows, broadcasts the activation of one lane after the other, and turns the
// sums at the end. It computes no lane that it need not, and each column takes
// one cache line of activations rather than one for each vector of a tile.
//
// Numbers: products are accumulated in float32 from the bias on, column by
// column, whatever the number of threads. NaN and Inf propagate as IEEE 754
// says, clamp included. Lanes that hold nothing are written, too: anything.
package gemm

import (
	"slices"
	"unsafe"

	"github.com/nnz-dev/nnz/kernels/isa"
)

// Lanes are those of a vector that hold activations: Count of each of Groups,
// which begin Stride lanes apart. They begin at lane 0.
type Lanes struct{ Groups, Count, Stride int }

// Live returns how many they are.
func (l Lanes) Live() int { return l.Groups * l.Count }

// has reports whether a lane is one of them.
func (l Lanes) has(lane int) bool {
	if l.Groups == 1 {
		return lane < l.Count
	}
	return lane/l.Stride < l.Groups && lane%l.Stride < l.Count
}

// covers reports whether all of other are among them.
func (l Lanes) covers(other Lanes) bool {
	for n := range other.Live() {
		if !l.has(n/other.Count*other.Stride + n%other.Count) {
			return false
		}
	}
	return true
}

// A Kernel is one micro-kernel: some vectors of weight rows x some lanes of
// activations.
type Kernel struct {
	Name   string // f32_gemm_32x14_avx512: rows x lanes; f32_gemm_32x4x3_avx512: x groups x lanes
	ISA    isa.ISA
	Panels int // vectors of rows
	Lanes  Lanes
	fn     func(*args)
}

// args is what a kernel is called with: one K-block of some weight rows for one
// vector of activations. Assembly knows the byte offsets of its fields.
type args struct {
	off     *uint32        //  0 byte offsets into x of weight columns
	count   uint           //  8 columns, at least one
	w       *float32       // 16 weights: of each column, those of all rows
	bias    *float32       // 24 one a row
	x       unsafe.Pointer // 32 the vector's place in the activations,
	y       unsafe.Pointer // 40 in the first row of the output,
	res     unsafe.Pointer // 48 and of the residual
	yChan   uintptr        // 56 bytes from an output row to the next
	resChan uintptr        // 64
	rows    uint           // 72 rows to store, at least one
	min     float32        // 80
	max     float32        // 84
	flags   flags          // 88
	sums    *float32       // 96 a vector of rows for each lane, then for the next vector of rows
	next    unsafe.Pointer // 104 what to prefetch, in the buffer or past its end;
	step    uintptr        // 112 it moves on by so many bytes with each column
}

// flags tell a kernel how sums begin and end.
type flags uint32

const (
	residual flags = 1 << iota // res is added
	clamp                      // the results are limited to [min, max]
	resume                     // sums are as they were left, else they begin at the bias
	more                       // they are left for the next K-block, and nothing is stored
)

// kernels is the table of all micro-kernels.
var kernels = nativeKernels()

// Kernels returns every micro-kernel of this build, those included that this
// processor cannot run.
func Kernels() []Kernel { return slices.Clone(kernels) }

// Supports reports whether an instruction set has kernels in this build.
func Supports(i isa.ISA) bool { return panelsOf(i) > 0 }

// panelsOf returns how many vectors of rows a kernel takes at most; 0 where
// there is none.
func panelsOf(i isa.ISA) int {
	most := 0
	for _, k := range kernels {
		if k.ISA == i {
			most = max(most, k.Panels)
		}
	}
	return most
}

// lookup returns the micro-kernel that computes the fewest lanes besides those
// that are wanted.
func lookup(i isa.ISA, panels int, lanes Lanes) (best Kernel, ok bool) {
	for _, k := range kernels {
		if k.ISA == i && k.Panels == panels && k.Lanes.covers(lanes) && (!ok || k.Lanes.Live() < best.Lanes.Live()) {
			best, ok = k, true
		}
	}
	return best, ok
}

// Computed returns how many lanes are computed where some hold activations.
func Computed(i isa.ISA, lanes Lanes) int {
	k, _ := lookup(i, 1, lanes)
	return k.Lanes.Live()
}
