package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// activations writes the error function and the smooth activations.
func (g gen) activations() {
	const signature = "(dst, x []float32)"
	g.map1("erf", signature, "dst[i] = erf x[i].", 1, g.erf)
	gelu := g.gelu
	if g.wide {
		gelu = g.geluTable
	}
	g.mapPairs("gelu", signature, "dst[i] = x[i]/2 * (1 + erf(x[i]/√2)).", gelu)
	g.map1("geluTanh", signature, "dst[i] = x[i]/2 * (1 + tanh(√(2/π) * (x[i] + 0.044715*x[i]**3))).", 1, func() func(x VecVirtual) {
		// (1 + tanh u) / 2 is the sigmoid of 2u.
		linear, cubic := g.constant(2*sqrt2OverPi), g.constant(2*sqrt2OverPi*0.044715)
		return g.gated(func(x VecVirtual) VecVirtual {
			u := g.vec()
			VMULPS(x, x, u)
			VMULPS(cubic, u, u)
			VADDPS(linear, u, u)
			VMULPS(x, u, u)
			return u
		})
	})
	g.map1("silu", signature, "dst[i] = x[i] / (1 + e**-x[i]).", 1, func() func(x VecVirtual) {
		return g.gated(func(x VecVirtual) VecVirtual { return x })
	})
}

const sqrt2OverPi = math.Sqrt2 / math.SqrtPi

// gated prepares x *= sigmoid(u(x)), 0 at -Inf.
func (g gen) gated(u func(x VecVirtual) VecVirtual) func(x VecVirtual) {
	sign, lo, one := g.constant(bits(signs)), g.splat(-104), g.splat(1)
	e := g.expWithin()
	return func(x VecVirtual) {
		power, sum := g.vec(), g.vec()
		// From here on the sigmoid is 0: it must not meet an Inf.
		VMAXPS(x, lo, x)
		v := u(x)
		VORPS(sign, v, power)
		VMAXPS(power, lo, power)
		e(power)
		VADDPS(power, one, sum)
		g.negative(v, power, one, power)
		VMULPS(power, x, x)
		VDIVPS(sum, x, x)
	}
}

// geluExponent are coefficients of a polynomial q for which 2**-(1 + t*q(t))
// is the normal distribution's share beyond t, t >= 0, from degree 7 down:
// minimax of the error that they leave in the share, which is 2**-26.2, for
// t <= 6. From there on 1 + t*q(t) still grows.
var geluExponent = [...]float32{0x1.7c7ebep-19, -0x1.4a52dep-15, 0x1.8672aap-13, 0x1.1f2d56p-13,
	-0x1.cee888p-8, 0x1.ae0c78p-5, 0x1.d63aacp-2, 0x1.26aed4p+0}

// gelu prepares x = max(x, 0) - |x| times the normal distribution's share
// beyond |x|: it is not a difference of nearly equal numbers, for any x.
func (g gen) gelu() func(x []VecVirtual) {
	// The share is 0 from the limit on, and must not meet an Inf.
	magnitude, limit, zero, least := g.constant(bits(signs-1)), g.splat(14), g.splat(0), g.splat(-150)
	var share []Op
	for _, c := range geluExponent {
		share = append(share, g.constant(-c))
	}
	share = append(share, g.constant(-1))
	// 2**f is e**(f ln 2).
	var power []Op
	for i, c := range expTail {
		power = append(power, g.constant(float32(float64(c)*math.Pow(math.Ln2, float64(len(expTail)+1-i)))))
	}
	power = append(power, g.constant(math.Ln2), g.constant(1))
	split, scale := g.splitter(1), g.scaler()
	return func(x []VecVirtual) {
		var t, y, p, n, e [2]VecVirtual
		for i := range x {
			t[i], y[i], p[i] = g.vec(), g.vec(), g.vec()
			VANDPS(magnitude, x[i], t[i])
			VMINPS(t[i], limit, t[i])
			VMOVUPS(share[0], y[i])
		}
		for _, c := range share[1:] {
			for i := range x {
				VFMADD213PS(c, t[i], y[i])
			}
		}
		for i := range x {
			VMAXPS(y[i], least, y[i])
			n[i], e[i] = split(y[i])
			VSUBPS(n[i], y[i], y[i])
			VMOVUPS(power[0], p[i])
		}
		for _, c := range power[1:] {
			for i := range x {
				VFMADD213PS(c, y[i], p[i])
			}
		}
		for i := range x {
			scale(p[i], e[i])
			VMAXPS(x[i], zero, x[i])
			VFNMADD231PS(p[i], t[i], x[i])
		}
	}
}

// The normal distribution's share beyond t in pieces of a width of
// 1/geluPieces: as many as two registers hold.
const geluPieces, geluTableSize = 5.5, 32

// geluPiece returns the coefficients of a polynomial of degree 4 for the share in
// piece i, from degree 0 up, in its middle's distance in widths: that through
// the zeros of a Chebyshev polynomial, which leaves 2**-27.9. In the last one,
// where shares are below 2**-26, they are 0: beyond, there is nothing.
func geluPiece(i int) (c [5]float64) {
	if i == geluTableSize-1 {
		return c
	}
	var node [5]float64
	for k := range node {
		node[k] = math.Cos(float64(2*k+1)*math.Pi/10) / 2
		c[k] = math.Erfc((float64(i)+node[k])/geluPieces/math.Sqrt2) / 2
	}
	for k := 1; k < len(c); k++ { // Newton's divided differences,
		for j := len(c) - 1; j >= k; j-- {
			c[j] = (c[j] - c[j-1]) / (node[j] - node[j-k])
		}
	}
	for k := len(c) - 2; k >= 0; k-- { // multiplied out
		for j := k; j < len(c)-1; j++ {
			c[j] -= node[k] * c[j+1]
		}
	}
	return c
}

// geluTable prepares what gelu does, with coefficients out of registers.
func (g gen) geluTable() func(x []VecVirtual) {
	const round = 3 << 22 // adds up to an integer in the low bits
	magnitude, zero := g.splat(bits(signs-1)), g.splat(0)
	limit, pieces, integer := g.splat((geluTableSize-1)/geluPieces), g.splat(geluPieces), g.splat(round)
	var table [5][2]VecVirtual
	for k := range table {
		m := GLOBL(fmt.Sprintf("gelu%d", k), RODATA|NOPTR)
		for i := range geluTableSize {
			DATA(4*i, U32(math.Float32bits(float32(geluPiece(i)[k]))))
		}
		for h := range table[k] {
			table[k][h] = g.vec()
			VMOVUPS(m.Offset(h*g.bytes(1)), table[k][h])
		}
	}
	return func(x []VecVirtual) {
		var t, piece, at, y [2]VecVirtual
		for i := range x {
			t[i], piece[i], at[i], y[i] = g.vec(), g.vec(), g.vec(), g.vec()
			VANDPS(magnitude, x[i], t[i])
			VMINPS(t[i], limit, t[i])
			VMOVAPS(integer, piece[i])
			VFMADD231PS(pieces, t[i], piece[i])
			VSUBPS(integer, piece[i], at[i])
			VFMSUB231PS(pieces, t[i], at[i])
		}
		for k := len(table) - 1; k >= 0; k-- {
			for i := range x {
				c := g.vec()
				VMOVAPS(piece[i], c)
				VPERMI2PS(table[k][1], table[k][0], c)
				if k == len(table)-1 {
					VMOVAPS(c, y[i])
				} else {
					VFMADD213PS(c, at[i], y[i])
				}
			}
		}
		for i := range x {
			VMAXPS(x[i], zero, x[i])
			VFNMADD231PS(y[i], t[i], x[i])
		}
	}
}

// horner sets y to the polynomial of the coefficients, highest first, at t.
func (g gen) horner(coef []Op, t, y VecVirtual) {
	VMOVUPS(coef[0], y)
	for _, c := range coef[1:] {
		VFMADD213PS(c, t, y)
	}
}

// erfNear are coefficients of (erf(x)/x - 1) in x*x where |x| is below erfFar,
// from degree 5 down, and erfExponent those of q for which erf(x) is
// 1 - e**-(x + x*q(x)) beyond, from degree 6 down. They are N. Juffa's, of
// https://stackoverflow.com/questions/35148198, and leave less than 1 ulp.
var (
	erfNear = [...]float32{-0x1.3a1a82p-11, 0x1.473f48p-8, -0x1.b68bd2p-6, 0x1.ce1a46p-4, -0x1.8126e0p-2, 0x1.06eba6p-3}
	erfFar  = float32(0.921875)

	erfExponent = [...]float32{0x1.222900p-16, -0x1.91d2ccp-12, 0x1.fd1336p-9, -0x1.8d6300p-6, 0x1.b55cb0p-4,
		0x1.450aa0p-1, 0x1.079d0cp-3}
)

// erf prepares x = erf(x).
func (g gen) erf() func(x VecVirtual) {
	// From 4 on the result is 1.
	magnitude, sign, far := g.constant(bits(signs-1)), g.constant(bits(signs)), g.constant(erfFar)
	limit, one := g.splat(4), g.splat(1)
	// More coefficients than there are registers.
	var near, exponent []Op
	for _, c := range erfNear {
		near = append(near, data(c, g.lanes))
	}
	for _, c := range erfExponent {
		exponent = append(exponent, data(-c, g.lanes))
	}
	e := g.expWithin()
	return func(x VecVirtual) {
		t, s, y, r := g.vec(), g.vec(), g.vec(), g.vec()
		VANDPS(magnitude, x, t)
		VMULPS(x, x, s)
		g.horner(near, s, r)
		VFMADD213PS(x, x, r)
		VMINPS(t, limit, t)
		g.horner(exponent, t, y)
		VFMSUB213PS(t, t, y)
		e(y)
		VSUBPS(y, one, y)
		VSUBPS(far, t, t)
		g.copySign(sign, x, y)
		g.negative(t, r, x, x)
	}
}
