package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/reg"
)

// sums is how many sums a reduction keeps, so as not to wait for additions.
const sums = 4

// reductions writes the functions that return a number.
func (g gen) reductions() {
	g.reduce("sum", "the sum of x.", 0, func(acc, x, _ Register) { VADDPS(x, acc, acc) })
	g.reduce("max", "the largest of x, NaN where x holds one.", float32(math.Inf(-1)), maxOf)
	g.dot()
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

// dot writes the scalar product.
func (g gen) dot() {
	g.text("dot", "(a, b []float32) float32", "the sum of a[i] * b[i] over the length of a.")
	n := Load(Param("a").Len(), GP64())
	a, b := Load(Param("a").Base(), GP64()), Load(Param("b").Base(), GP64())
	var acc [sums]VecVirtual
	for i := range acc {
		acc[i] = g.splat(0)
	}
	g.loop(n.(GPVirtual), sums, func(i int, p place) {
		VFMADD231PS(p.load(a), p.load(b), acc[i])
	})
	VADDPS(acc[1], acc[0], acc[0])
	VADDPS(acc[3], acc[2], acc[2])
	VADDPS(acc[2], acc[0], acc[0])
	g.retSum(acc[0])
}

// retSum returns the sum of the lanes of v.
func (g gen) retSum(v VecVirtual) {
	Store(g.fold(v, func(a, b, _ Register) { VADDPS(b, a, a) }), ReturnIndex(0))
	g.ret()
}
