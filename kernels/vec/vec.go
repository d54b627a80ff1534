// Package vec holds elementwise functions, reductions, pooling and data
// movement over []float32: one table of functions for each instruction set.
//
// Every function is defined by a loop in its comment and matches it up to the
// stated rounding. None allocates, none reads or writes outside the slices it
// is given, and none wants any alignment. dst may be the same slice as an
// input but may not overlap one otherwise.
//
// NaNs propagate everywhere. A function gives an element the same value
// wherever in the slice it stands; sums are taken in an order that depends on
// the instruction set and the length only.
package vec

import (
	"sync"

	"github.com/nnz-dev/nnz/kernels/isa"
)

// Kernels are the functions for one instruction set. An input is at least as
// long as dst and only its first len(dst) elements count; the call panics, as
// slicing does, where that is beyond its capacity.
type Kernels struct {
	ISA isa.ISA

	// dst[i] = a[i] op b[i]
	Add, Sub, Mul, Div func(dst, a, b []float32)

	// Affine is dst[i] = x[i]*scale + shift, rounded once or twice. It is exact
	// where one of the steps is: x+c is (1, c), c-x is (-1, c) and x*c is (c, -0)
	// with minus zero, which keeps the sign of a zero product.
	Affine func(dst, x []float32, scale, shift float32)
	// DivScalar is dst[i] = x[i] / c.
	DivScalar func(dst, x []float32, c float32)
	// ScalarDiv is dst[i] = c / x[i].
	ScalarDiv func(dst, x []float32, c float32)

	// Clamp is dst[i] = min(max(x[i], lo), hi): hi where lo > hi.
	// Relu is (0, +Inf).
	Clamp func(dst, x []float32, lo, hi float32)
	// LeakyRelu is dst[i] = x[i] where x[i] >= 0, alpha*x[i] elsewhere.
	LeakyRelu func(dst, x []float32, alpha float32)
	// Threshold is dst[i] = 0 where |x[i]| <= limit, x[i] elsewhere: a NaN stays.
	// limit is not negative.
	Threshold func(dst, x []float32, limit float32)
	// HardSigmoid is dst[i] = min(max(alpha*x[i] + beta, 0), 1).
	HardSigmoid func(dst, x []float32, alpha, beta float32)
	// HardSwish is dst[i] = x[i] * min(max(x[i]/6 + 1/2, 0), 1).
	HardSwish func(dst, x []float32)

	// Exp is dst[i] = e**x[i] to 2 ulp, subnormal results included.
	Exp func(dst, x []float32)
	// Sigmoid is dst[i] = 1 / (1 + e**-x[i]) to 3 ulp, subnormal results included.
	Sigmoid func(dst, x []float32)
	// Tanh is dst[i] = tanh x[i] to 3 ulp.
	Tanh func(dst, x []float32)

	// Erf is the error function, dst[i] = 2/√π ∫ e**-t² dt from 0 to x[i], to 2 ulp.
	Erf func(dst, x []float32)
	// Gelu is dst[i] = x[i] * (1 + erf(x[i]/√2)) / 2, to 4 ulp or 2**-25 |x[i]|,
	// what the definition itself loses when 1 + erf is rounded to float32; and
	// its limit 0 at -Inf.
	Gelu func(dst, x []float32)
	// GeluTanh is Gelu's approximation by tanh, dst[i] =
	// x[i] * (1 + tanh(√(2/π) * (x[i] + 0.044715*x[i]**3))) / 2, to 4 ulp or
	// 2**-25 |x[i]|, and its limit 0 at -Inf.
	GeluTanh func(dst, x []float32)
	// Silu is dst[i] = x[i] / (1 + e**-x[i]), to 4 ulp or 2**-149 |x[i]|, and
	// its limit 0 at -Inf.
	Silu func(dst, x []float32)

	// Sum is the sum of x: 0 where x is empty.
	Sum func(x []float32) float32
	// Max is the largest of x: -Inf where x is empty, NaN where x holds one.
	Max func(x []float32) float32
	// Dot is the sum of a[i]*b[i] over the length of a.
	Dot func(a, b []float32) float32
	// SumWhere is the sum of those x[i] whose where[i] has all bits set; the
	// others are zero, and what x holds there does not matter.
	SumWhere func(x []float32, where []uint32) float32
	// ExpSum is dst[i] = e**(x[i] - max), and returns the sum of dst: softmax
	// is Max, ExpSum and a division by the sum. A power that is subnormal may be
	// 0 instead. The sum is rounded about once where no element is above max, and
	// may be NaN where a power is Inf.
	ExpSum func(dst, x []float32, max float32) float32

	// Softmax is dst[i] = e**(x[i]-m) / Σ e**(x[j]-m), m the largest of x, to 4
	// ulp beside the rounding of x[i]-m to float32, or 0 where the power is
	// subnormal. All is NaN where x holds a NaN or Inf, or nothing but -Inf.
	Softmax func(dst, x []float32)
	// LayerNorm is dst[i] = (x[i]-mean) / √(variance+eps) * scale[i] + bias[i]
	// and returns the mean and the reciprocal of the root; the variance is the
	// mean of the squares of x[i]-mean. A nil scale is ones, a nil bias zeros.
	// A result is within 4 ulp of itself or its larger term, and 2**-24 scale[i].
	LayerNorm func(dst, x, scale, bias []float32, eps float32) (mean, inv float32)
	// RMSNorm is LayerNorm about 0 in place of the mean. An Inf leaves 0 or NaN.
	RMSNorm func(dst, x, scale []float32, eps float32) (inv float32)

	// SoftmaxColumns is Softmax of x * scale + bias down each column; bias has
	// an element for each row, a nil one is zeros.
	SoftmaxColumns func(dst, x, bias []float32, scale float32, c Columns)
	// LayerNormColumns is LayerNorm down each column; scale and bias have an
	// element for each row.
	LayerNormColumns func(dst, x, scale, bias []float32, c Columns, eps float32)
	// RMSNormColumns is RMSNorm down each column.
	RMSNormColumns func(dst, x, scale []float32, c Columns, eps float32)

	// MaxPool and SumPool reduce vectors of L = ISA.Lanes() elements lane by
	// lane: vector i of dst is the largest, or the sum, of the vectors of src
	// that stand taps[0], taps[1] … bytes after its vector i*step:
	//
	//	for i := range len(dst) / L {
	//		for l := range L {
	//			dst[i*L+l] = reduce over t of src[i*step*L+taps[t]/4+l]
	//		}
	//	}
	//
	// Without taps dst becomes -Inf, or 0. len(dst) is a multiple of L, a tap a
	// multiple of 4 and step not negative. dst and src may not overlap.
	MaxPool, SumPool func(dst, src []float32, taps []uint32, step int)

	// Gather is dst[i] = src[index[i]], or fill where index[i] is outside src;
	// a negative index is how a table asks for the fill. dst and src may not
	// overlap. index is at least as long as dst.
	Gather func(dst, src []float32, index []int32, fill float32)
	// Transpose makes vectors of L = ISA.Lanes() rows of src, an element of each
	// in every vector:
	//
	//	for v := range vectors {
	//		for l := range L {
	//			dst[L*v+l] = src[rows[l]+v]
	//		}
	//	}
	//
	// No row begins before src. dst and src may not overlap.
	Transpose func(dst, src []float32, rows []int32, vectors int)
	// Interleave puts the elements of four rows of src, stride apart, beside one
	// another. Of each row it takes so many vectors of L = ISA.Lanes() elements,
	// and of each of those the first live:
	//
	//	for v := range vectors {
	//		for i := range live {
	//			for j := range 4 {
	//				dst[4*(live*v+i)+j] = src[stride*j+L*v+i]
	//			}
	//		}
	//	}
	//
	// live is from 1 to L. The 4*(L-live) elements of dst that follow may become
	// anything. dst and src may not overlap.
	Interleave func(dst, src []float32, vectors, live, stride int)
	// Fours puts rows of src, stride apart, below one another, four elements of
	// each, then the next four:
	//
	//	for n := range groups {
	//		for r := range rows {
	//			copy(dst[4*(rows*n+r):][:4], src[stride*r+4*n:])
	//		}
	//	}
	//
	// dst and src may not overlap.
	Fours func(dst, src []float32, groups, rows, stride int)
	// Permute makes vectors of planes of dst as the table says, from planes of
	// src, which may be the same memory.
	Permute func(dst, src []float32, t *PermuteTable, p Planes, fill float32)

	// deviations is the sum of x[i] - mean and that of the squares.
	deviations func(x []float32, mean float32) (sum, square float64)
	// centre is dst[i] = (x[i]-mean)*factor + shift.
	centre func(dst, x []float32, mean, factor, shift float32)
	// centreScale is dst[i] = ((x[i]-mean)*factor + shift)*scale[i] + bias[i].
	centreScale func(dst, x, scale, bias []float32, mean, factor, shift float32)
}

// For returns the functions for an instruction set, nil where it cannot run
// here.
func For(i isa.ISA) *Kernels {
	for _, k := range All() {
		if k.ISA == i {
			return k
		}
	}
	return nil
}

// All returns the functions for every instruction set that can run here,
// isa.Generic first.
func All() []*Kernels { return tables() }

var tables = sync.OnceValue(func() []*Kernels {
	var all []*Kernels
	for _, i := range isa.Supported() {
		k := generic(i)
		archKernels(&k)
		k.rowFunctions()
		all = append(all, &k)
	}
	return all
})

// chunk is how many elements one call into assembly takes: some ten
// microseconds, as a goroutine cannot be stopped inside.
const chunk = 1 << 15
