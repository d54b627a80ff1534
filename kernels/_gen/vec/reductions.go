package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// sums is how many sums a reduction keeps, so as not to wait for additions.
const sums = 4

// reductions writes the functions that return a number.
func (g gen) reductions() {
	g.reduce("sum", "the sum of x.", 0, func(acc, x, _ Register) { VADDPS(x, acc, acc) })
	g.reduce("max", "the largest of x, NaN where x holds one.", float32(math.Inf(-1)), maxOf)
	g.reduceTwo("dot", "a", "b", "float32", "the sum of a[i] * b[i]", func(acc, x, y Register) { VFMADD231PS(x, y, acc) })
	g.reduceTwo("sumWhere", "x", "where", "uint32", "the sum of x[i] & where[i]", func(acc, x, y Register) {
		VANDPS(y, x, x)
		VADDPS(x, acc, acc)
	})
}

// maxOf sets a to the larger of a and b, lane by lane, NaN where one of them
// is. MAXPS returns its second source there, so do it both ways: the two
// results are alike otherwise, and a NaN stays one whatever is or'ed to it.
func maxOf(a, b, t Register) {
	VMAXPS(a, b, t)
	VMAXPS(b, a, a)
	VORPS(t, a, a)
}

// reduce writes a function of all elements.
func (g gen) reduce(name, doc string, empty float32, f func(acc, x, t Register)) {
	g.text(name, "(x []float32) float32", doc)
	n := Load(Param("x").Len(), GP64())
	src := Load(Param("x").Base(), GP64())
	none := g.splat(empty)
	var acc [sums]VecVirtual
	for i := range acc {
		acc[i] = g.vec()
		VMOVAPS(none, acc[i])
	}
	t := g.vec()
	g.loop(n.(GPVirtual), sums, func(i int, p place) {
		x := p.load(src)
		p.keep(x, none)
		f(acc[i], x, t)
	})
	f(acc[0], acc[1], t)
	f(acc[2], acc[3], t)
	f(acc[0], acc[2], t)
	result := g.fold(acc[0], f)
	Store(result, ReturnIndex(0))
	g.ret()
}

// reduceTwo writes a sum over all elements of two operands: f adds those of a
// vector of each to acc.
func (g gen) reduceTwo(name, a, b, bType, doc string, f func(acc, x, y Register)) {
	g.text(name, "("+a+" []float32, "+b+" []"+bType+") float32", doc+" over the length of "+a+".")
	n := Load(Param(a).Len(), GP64())
	x, y := Load(Param(a).Base(), GP64()), Load(Param(b).Base(), GP64())
	acc := g.accumulators()
	g.loop(n.(GPVirtual), sums, func(i int, p place) {
		v := p.load(x)
		f(acc[i], v, p.load(y))
	})
	g.storeSum(acc, 0)
	g.ret()
}

// accumulators returns registers of zeros.
func (g gen) accumulators() (acc [sums]VecVirtual) {
	for i := range acc {
		acc[i] = g.splat(0)
	}
	return acc
}

// storeSum stores the sum of all lanes as a result.
func (g gen) storeSum(acc [sums]VecVirtual, result int) {
	VADDPS(acc[1], acc[0], acc[0])
	VADDPS(acc[3], acc[2], acc[2])
	VADDPS(acc[2], acc[0], acc[0])
	Store(g.fold(acc[0], func(a, b, _ Register) { VADDPS(b, a, a) }), ReturnIndex(result))
}

// foldDouble returns the sum of all lanes of two vectors, rounded once.
func (g gen) foldDouble(a, b VecVirtual) Register {
	sum, t := g.vec(), g.vec()
	if g.wide {
		high := YMM()
		VCVTPS2PD(a.AsY(), sum)
		VEXTRACTF64X4(U8(1), a, high)
		VCVTPS2PD(high, t)
		VADDPD(t, sum, sum)
		VCVTPS2PD(b.AsY(), t)
		VADDPD(t, sum, sum)
		VEXTRACTF64X4(U8(1), b, high)
		VCVTPS2PD(high, t)
		VADDPD(t, sum, sum)
		VEXTRACTF64X4(U8(1), sum, high)
		VADDPD(high, sum.AsY(), sum.AsY())
	} else {
		high := XMM()
		VCVTPS2PD(a.AsX(), sum)
		VEXTRACTF128(U8(1), a, high)
		VCVTPS2PD(high, t)
		VADDPD(t, sum, sum)
		VCVTPS2PD(b.AsX(), t)
		VADDPD(t, sum, sum)
		VEXTRACTF128(U8(1), b, high)
		VCVTPS2PD(high, t)
		VADDPD(t, sum, sum)
	}
	high, x := XMM(), sum.AsX()
	if g.wide { // reaches all registers
		VEXTRACTF64X2(U8(1), sum.AsY(), high)
	} else {
		VEXTRACTF128(U8(1), sum, high)
	}
	VADDPD(high, x, x)
	VPERMILPD(U8(1), x, high)
	VADDSD(high, x, x)
	VCVTSD2SS(x, x, x)
	return x
}
