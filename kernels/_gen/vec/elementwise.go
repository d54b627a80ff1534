package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// elementwise writes the functions that need but some instructions.
func (g gen) elementwise() {
	for _, op := range []struct {
		name, doc string
		f         func(b, a, dst Op)
	}{
		{"add", "dst[i] = a[i] + b[i].", func(b, a, dst Op) { VADDPS(b, a, dst) }},
		{"sub", "dst[i] = a[i] - b[i].", func(b, a, dst Op) { VSUBPS(b, a, dst) }},
		{"mul", "dst[i] = a[i] * b[i].", func(b, a, dst Op) { VMULPS(b, a, dst) }},
		{"div", "dst[i] = a[i] / b[i].", func(b, a, dst Op) { VDIVPS(b, a, dst) }},
	} {
		g.text(op.name, "(dst, a, b []float32)", op.doc)
		n := Load(Param("dst").Len(), GP64())
		dst, a, b := Load(Param("dst").Base(), GP64()), Load(Param("a").Base(), GP64()), Load(Param("b").Base(), GP64())
		g.loop(n.(GPVirtual), 4, func(_ int, p place) {
			x, y := p.load(a), p.load(b)
			op.f(y, x, x)
			p.store(x, dst)
		})
		g.ret()
	}
	g.map1("affine", "(dst, x []float32, scale, shift float32)", "dst[i] = x[i]*scale + shift, rounded once.", 4,
		func() func(x VecVirtual) {
			scale, shift := g.param("scale"), g.param("shift")
			return func(x VecVirtual) { VFMADD213PS(shift, scale, x) }
		})
	g.map1("divScalar", "(dst, x []float32, c float32)", "dst[i] = x[i] / c.", 2, func() func(x VecVirtual) {
		c := g.param("c")
		return func(x VecVirtual) { VDIVPS(c, x, x) }
	})
	g.map1("scalarDiv", "(dst, x []float32, c float32)", "dst[i] = c / x[i].", 2, func() func(x VecVirtual) {
		c := g.param("c")
		return func(x VecVirtual) { VDIVPS(x, c, x) }
	})
	g.map1("clamp", "(dst, x []float32, lo, hi float32)", "dst[i] = min(max(x[i], lo), hi).", 4, func() func(x VecVirtual) {
		lo, hi := g.param("lo"), g.param("hi")
		return func(x VecVirtual) { clamp(x, lo, hi) }
	})
	g.map1("leakyRelu", "(dst, x []float32, alpha float32)", "dst[i] = x[i], times alpha where negative.", 4, func() func(x VecVirtual) {
		alpha := g.param("alpha")
		return func(x VecVirtual) {
			t := g.vec()
			VMULPS(alpha, x, t)
			g.negative(x, t, x, x)
		}
	})
	g.map1("threshold", "(dst, x []float32, limit float32)", "dst[i] = 0 where |x[i]| <= limit, x[i] elsewhere.", 4, func() func(x VecVirtual) {
		limit, magnitude := g.param("limit"), g.constant(bits(signs-1))
		return func(x VecVirtual) {
			t := g.vec()
			VANDPS(magnitude, x, t)
			g.where(notLessOrEqual, limit, t)(x)
		}
	})
	g.map1("hardSigmoid", "(dst, x []float32, alpha, beta float32)", "dst[i] = min(max(alpha*x[i] + beta, 0), 1).", 4,
		func() func(x VecVirtual) {
			alpha, beta, zero, one := g.param("alpha"), g.param("beta"), g.splat(0), g.splat(1)
			return func(x VecVirtual) {
				VFMADD213PS(beta, alpha, x)
				clamp(x, zero, one)
			}
		})
	g.map1("hardSwish", "(dst, x []float32)", "dst[i] = x[i] * min(max(x[i]/6 + 1/2, 0), 1).", 4, func() func(x VecVirtual) {
		sixth, half, zero, one := g.splat(1.0/6), g.constant(0.5), g.splat(0), g.splat(1)
		return func(x VecVirtual) {
			t := g.vec()
			VMOVAPS(x, t)
			VFMADD213PS(half, sixth, t)
			clamp(t, zero, one)
			VMULPS(t, x, x)
		}
	})
}

// Predicates of VCMPPS, which hold for NaN.
const notLess, notLessOrEqual = 5, 6

// where compares x with limit, and returns what sets the lanes of a vector to
// zero for which the predicate does not hold.
func (g gen) where(predicate uint8, limit, x VecVirtual) func(v VecVirtual) {
	if g.wide {
		k := K()
		VCMPPS(U8(predicate), limit, x, k)
		return func(v VecVirtual) { VMOVAPS_Z(v, k, v) }
	}
	mask := g.vec()
	VCMPPS(U8(predicate), limit, x, mask)
	return func(v VecVirtual) { VANDPS(mask, v, v) }
}

// map1 writes a function of one input. prepare loads what the loop needs and
// returns what is done to a vector.
func (g gen) map1(name, signature, doc string, unroll int, prepare func() func(x VecVirtual)) {
	g.text(name, signature, doc)
	n := Load(Param("dst").Len(), GP64())
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("x").Base(), GP64())
	f := prepare()
	g.loop(n.(GPVirtual), unroll, func(_ int, p place) {
		x := p.load(src)
		f(x)
		p.store(x, dst)
	})
	g.ret()
}

// mapPairs is map1 of a function that takes one vector or two, and turns from
// one to the other with each operation: a single long chain of operations, each
// of which waits for the one before, leaves a processor idle.
func (g gen) mapPairs(name, signature, doc string, prepare func() func(x []VecVirtual)) {
	g.text(name, signature, doc)
	n := Load(Param("dst").Len(), GP64())
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("x").Base(), GP64())
	f := prepare()
	g.turns(n.(GPVirtual), 2, func(places []place) {
		x := make([]VecVirtual, len(places))
		for i, p := range places {
			x[i] = p.load(src)
		}
		f(x)
		for i, p := range places {
			p.store(x[i], dst)
		}
	})
	g.ret()
}

// clamp limits x. Of two operands of which one is NaN, MAXPS and MINPS return
// the second source, which Go writes first.
func clamp(x, lo, hi VecVirtual) {
	VMAXPS(x, lo, x)
	VMINPS(x, hi, x)
}
