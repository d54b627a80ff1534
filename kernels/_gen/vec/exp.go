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
	hi, lo Op
	coef   [len(expTail)]Op
	split  func(x VecVirtual) (n, e VecVirtual)
}

func (g gen) reduction() reduction {
	q := reduction{hi: g.constant(ln2Hi), lo: g.constant(ln2Lo), split: g.splitter(log2e)}
	for i, c := range expTail {
		q.coef[i] = g.constant(c)
	}
	return q
}

// apply returns n as an exponent, r and p of x.
func (q reduction) apply(g gen, x VecVirtual) (e, r, p VecVirtual) {
	n, e := q.split(x)
	r, p = g.vec(), g.vec()
	VMOVAPS(x, r)
	VFNMADD231PS(q.hi, n, r)
	VFNMADD231PS(q.lo, n, r)
	VMOVUPS(q.coef[0], p)
	for _, c := range q.coef[1:] {
		VFMADD213PS(c, r, p)
	}
	return e, r, p
}

// exponentBias is what the low bits of an exponent have added: twice that of
// float32, so that each half has its own.
const exponentBias = 2 * 127

// splitter prepares n = round(factor * x), as a number and as an exponent for
// power: the number itself where there is SCALEF, else one near 3<<22, whose
// low bits are n + exponentBias. Next to 3<<22 numbers are integers, which
// rounds with fewer operations than RNDSCALE, as long as |n| < 1<<22.
func (g gen) splitter(factor float32) func(x VecVirtual) (n, e VecVirtual) {
	times, integers := g.constant(factor), g.constant(3<<22+exponentBias)
	return func(x VecVirtual) (n, e VecVirtual) {
		n, e = g.vec(), g.vec()
		VMOVUPS(integers, e)
		VFMADD231PS(times, x, e)
		VSUBPS(integers, e, n)
		if g.wide {
			return n, n
		}
		return n, e
	}
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

// leastNormal is the smallest number whose power is not subnormal.
const leastNormal = -87.33654

// expNormal prepares x = e**x for x <= 89, and 0 where that would be subnormal:
// Intel's cores take some 150 cycles for a vector that has such a result.
func (g gen) expNormal() func(x VecVirtual) {
	least := g.splat(leastNormal)
	if g.wide {
		unscaled := g.expUnscaled()
		return func(x VecVirtual) {
			// What is computed of smaller numbers is nonsense, and masked.
			normal := K()
			VCMPPS(U8(notLess), least, x, normal)
			p, e := unscaled(x)
			VSCALEFPS_Z(e, p, normal, x)
		}
	}
	e := g.expWithin()
	return func(x VecVirtual) {
		keep := g.where(notLess, least, x)
		VMAXPS(x, least, x)
		e(x)
		keep(x)
	}
}

// expWithin prepares x = e**x for -104 <= x <= 89.
func (g gen) expWithin() func(x VecVirtual) {
	unscaled, scale := g.expUnscaled(), g.scaler()
	return func(x VecVirtual) {
		p, e := unscaled(x)
		scale(p, e)
		VMOVAPS(p, x)
	}
}

// expUnscaled prepares p and an exponent e so that e**x is p * 2**e.
func (g gen) expUnscaled() func(x VecVirtual) (p, e VecVirtual) {
	q, one := g.reduction(), g.constant(1)
	return func(x VecVirtual) (p, e VecVirtual) {
		e, r, p := q.apply(g, x)
		VFMADD213PS(one, r, p)
		VFMADD213PS(one, r, p)
		return p, e
	}
}

// scaler prepares x *= 2**n for an exponent -151 <= n <= 129, rounded once.
func (g gen) scaler() func(x, e VecVirtual) {
	if g.wide {
		return func(x, e VecVirtual) { VSCALEFPS(e, x, x) }
	}
	return func(x, e VecVirtual) {
		// Two factors, each of which has an exponent in range.
		half := g.vec()
		VPSRLD(U8(1), e, half)
		VPSUBD(half, e, e)
		for _, f := range []VecVirtual{half, e} {
			VPSLLD(U8(23), f, f)
			VMULPS(f, x, x)
		}
	}
}

// power prepares e = 2**n for an exponent -126 <= n <= 127.
func (g gen) power() func(e VecVirtual) {
	if g.wide {
		one := g.splat(1)
		return func(e VecVirtual) { VSCALEFPS(e, one, e) }
	}
	bias := g.constant(bits(exponentBias - 127))
	return func(e VecVirtual) {
		VPSUBD(bias, e, e)
		VPSLLD(U8(23), e, e)
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
	q, one, power := g.reduction(), g.splat(1), g.power()
	return func(x VecVirtual) {
		y, m := g.vec(), g.vec()
		VORPS(sign, x, y)
		VADDPS(y, y, y)
		VMAXPS(y, lo, y)
		s, r, p := q.apply(g, y)
		// e**r - 1 without losing the digits of a small r.
		VMULPS(r, r, m)
		VFMADD213PS(r, p, m)
		// times 2**n, less what the 1 is more than its share: s*m + (s - 1).
		power(s)
		VSUBPS(one, s, y)
		VFMADD213PS(y, s, m)
		VADDPS(m, two, y)
		VDIVPS(y, m, m)
		g.copySign(sign, x, m)
	}
}

// copySign sets x to the magnitude of y under x's sign; sign has sign bits.
func (g gen) copySign(sign Op, x, y VecVirtual) {
	if g.wide {
		const third, first, second = 0b10101010, 0b11110000, 0b11001100
		VPTERNLOGD(U8(third&first|(third^0xff)&second), sign, y, x)
		return
	}
	positive := g.vec()
	VANDNPS(sign, x, positive)
	VORPS(sign, y, y)
	VXORPS(positive, y, x)
}

// expSum is softmax's middle: powers and their sum.
func (g gen) expSum() {
	g.text("expSum", "(dst, x []float32, max float32) float32", "dst[i] = e**(x[i] - max), 0 for a subnormal, and returns the sum of dst.")
	n := Load(Param("dst").Len(), GP64())
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("x").Base(), GP64())
	largest, zero := g.param("max"), g.splat(0)
	hi, exp := g.splat(89), g.expNormal()
	sum := g.newPowerSum(1)
	g.loop(n.(GPVirtual), 1, func(_ int, p place) {
		x := p.load(src)
		VSUBPS(largest, x, x)
		VMINPS(x, hi, x)
		exp(x)
		p.store(x, dst)
		p.keep(x, zero)
		sum.add(x)
	})
	sum.end()
	Store(g.foldDouble(sum.high, sum.low), ReturnIndex(0))
	g.ret()
}

// A powerSum adds up numbers of at most most, which is positive, without loss.
// It begins with most, so that none is larger: then what the subtractions find is
// exactly the error of each addition.
//
// Source: Dekker, A floating-point technique for extending the available
// precision, 1971.
type powerSum struct {
	g         gen
	most      float32
	high, low VecVirtual
}

func (g gen) newPowerSum(most float32) powerSum {
	return powerSum{g, most, g.splat(most), g.splat(0)}
}

// add adds x, which it spends.
func (s powerSum) add(x VecVirtual) {
	t := s.g.vec()
	VADDPS(s.high, x, t)
	VSUBPS(s.high, t, s.high)
	VSUBPS(s.high, x, x)
	VADDPS(x, s.low, s.low)
	VMOVAPS(t, s.high)
}

// end leaves the sum as high + low.
func (s powerSum) end() { VSUBPS(s.g.splat(s.most), s.high, s.high) }
