package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// exponentials writes exp and what is made of it.
func (g gen) exponentials() {
	g.map1("exp", "(dst, x []float32)", "dst[i] = e**x[i].", 1, g.exp)
	g.expSum()
	g.map1("sigmoid", "(dst, x []float32)", "dst[i] = 1 / (1 + e**-x[i]).", 1, g.sigmoid)
	g.map1("tanh", "(dst, x []float32)", "dst[i] = tanh x[i].", 1, g.tanh)
}

const (
	log2e = math.Log2E
	// ln2Hi has so few bits that its product with any exponent is exact.
	ln2Hi = 0.693359375
	ln2Lo = math.Ln2 - ln2Hi
	signs = 1 << 31
)

// expTail are coefficients of a polynomial for (e**r - 1 - r) / r**2 where
// |r| <= ln(2)/2, from degree 4 down: minimax of the error that it leaves in
// e**r, which is 2**-28.3.
var expTail = [...]float32{0x1.6a23dp-10, 0x1.123a2p-7, 0x1.5558f2p-5, 0x1.555492p-3, 0x1.fffffcp-2}

// A reduction is the shared part of exponentials: with n = round(x / ln 2) and
// r = x - n ln 2, a polynomial p of r so that e**r = 1 + r + r*r*p.
type reduction struct {
	log2e, hi, lo Op
	coef          [len(expTail)]Op
}

func (g gen) reduction() reduction {
	q := reduction{log2e: g.constant(log2e), hi: g.constant(ln2Hi), lo: g.constant(ln2Lo)}
	for i, c := range expTail {
		q.coef[i] = g.constant(c)
	}
	return q
}

// apply returns n, r and p of x.
func (q reduction) apply(g gen, x VecVirtual) (n, r, p VecVirtual) {
	n, r, p = g.vec(), g.vec(), g.vec()
	VMULPS(q.log2e, x, n)
	g.round(n, n)
	VMOVAPS(x, r)
	VFNMADD231PS(q.hi, n, r)
	VFNMADD231PS(q.lo, n, r)
	VMOVUPS(q.coef[0], p)
	for _, c := range q.coef[1:] {
		VFMADD213PS(c, r, p)
	}
	return n, r, p
}

// exp prepares x = e**x.
func (g gen) exp() func(x VecVirtual) {
	// Past these e**x is Inf, or 0 even as a subnormal.
	lo, hi := g.splat(-104), g.splat(89)
	e := g.expWithin()
	return func(x VecVirtual) {
		clamp(x, lo, hi)
		e(x)
	}
}

// expWithin prepares x = e**x for -104 <= x <= 89.
func (g gen) expWithin() func(x VecVirtual) {
	q, one := g.reduction(), g.constant(1)
	scale := g.scaler()
	return func(x VecVirtual) {
		n, r, p := q.apply(g, x)
		VFMADD213PS(one, r, p)
		VFMADD213PS(one, r, p)
		scale(p, n)
		VMOVAPS(p, x)
	}
}

// scaler prepares x *= 2**n, rounded once, for integers -151 <= n <= 129.
func (g gen) scaler() func(x, n VecVirtual) {
	if g.wide {
		return func(x, n VecVirtual) { VSCALEFPS(n, x, x) }
	}
	bias := g.constant(bits(127))
	return func(x, n VecVirtual) {
		// Two factors, each of which has an exponent in range.
		half := g.vec()
		VCVTPS2DQ(n, n)
		VPSRAD(U8(1), n, half)
		VPSUBD(half, n, n)
		for _, e := range []VecVirtual{half, n} {
			VPADDD(bias, e, e)
			VPSLLD(U8(23), e, e)
			VMULPS(e, x, x)
		}
	}
}

// sigmoid prepares x = e**x / (1 + e**x) where x is negative, 1 / (1 + e**-x)
// elsewhere: the power is at most 1 and a small result keeps its digits.
func (g gen) sigmoid() func(x VecVirtual) {
	sign, lo, one := g.constant(bits(signs)), g.splat(-104), g.splat(1)
	e := g.expWithin()
	return func(x VecVirtual) {
		power, sum := g.vec(), g.vec()
		VORPS(sign, x, power)
		VMAXPS(power, lo, power)
		e(power)
		VADDPS(power, one, sum)
		g.negative(x, power, one, x)
		VDIVPS(sum, x, x)
	}
}

// tanh prepares x = -m / (m + 2) with m = e**(-2|x|) - 1, and x's sign.
func (g gen) tanh() func(x VecVirtual) {
	// From -20 on the result is 1.
	sign, lo, two := g.constant(bits(signs)), g.splat(-20), g.splat(2)
	q, one, bias := g.reduction(), g.splat(1), g.constant(bits(127))
	return func(x VecVirtual) {
		y, m, s, positive := g.vec(), g.vec(), g.vec(), g.vec()
		VANDNPS(sign, x, positive)
		VORPS(sign, x, y)
		VADDPS(y, y, y)
		VMAXPS(y, lo, y)
		n, r, p := q.apply(g, y)
		// e**r - 1 without losing the digits of a small r.
		VMULPS(r, r, m)
		VFMADD213PS(r, p, m)
		// times 2**n, less what the 1 is more than its share: s*m + (s - 1).
		VCVTPS2DQ(n, s)
		VPADDD(bias, s, s)
		VPSLLD(U8(23), s, s)
		VSUBPS(one, s, y)
		VFMADD213PS(y, s, m)
		VADDPS(m, two, y)
		VDIVPS(y, m, x)
		// The result has no sign of its own, for m <= 0: give it x's.
		VORPS(sign, x, x)
		VXORPS(positive, x, x)
	}
}

// expSum is softmax's middle: powers and their sum.
func (g gen) expSum() {
	g.text("expSum", "(dst, x []float32, max float32) float32", "dst[i] = e**(x[i] - max), and returns the sum of dst.")
	n := Load(Param("dst").Len(), GP64())
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("x").Base(), GP64())
	largest, zero, sum := g.param("max"), g.splat(0), g.splat(0)
	exp := g.exp()
	g.loop(n.(GPVirtual), 1, func(_ int, p place) {
		x := p.load(src)
		VSUBPS(largest, x, x)
		exp(x)
		p.store(x, dst)
		p.keep(x, zero)
		VADDPS(x, sum, sum)
	})
	g.retSum(sum)
}
