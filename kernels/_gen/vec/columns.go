package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// columns writes the functions that reduce down the rows of a matrix, lane by
// lane.
func (g gen) columns() {
	g.softmaxColumns()
	g.normColumns("layerNormColumns", "(x-mean)/√(variance+eps)", true)
	g.normColumns("rmsNormColumns", "x/√(mean of x²+eps)", false)
}

// A tile is some vectors of columns, walked down the rows.
type tile struct {
	g            gen
	name         string
	from, at     GPVirtual // byte offsets of the first row and of the one at hand
	rows, stride GPVirtual
	places       []place
}

// tiles calls body for each tile of a matrix of parameters rows, width and
// stride: of many vectors while there are so many, then of one. rows is not 0.
func (g gen) tiles(many int, body func(t tile)) {
	rows, width := Load(Param("rows"), GP64()).(GPVirtual), Load(Param("width"), GP64()).(GPVirtual)
	stride := Load(Param("stride"), GP64()).(GPVirtual)
	SHLQ(U8(2), stride)
	from, at := GP64(), GP64()
	XORQ(from, from)
	turn := func(name string, vectors int, mask Register) {
		t := tile{g: g, name: name, from: from, at: at, rows: rows, stride: stride}
		for i := range vectors {
			t.places = append(t.places, place{g: g, at: at, disp: g.bytes(i), mask: mask})
		}
		body(t)
	}
	loop := func(name string, vectors int, next string) {
		Label(name)
		CMPQ(width, U32(vectors*g.lanes))
		JL(LabelRef(next))
		turn(name, vectors, nil)
		ADDQ(U32(g.bytes(vectors)), from)
		SUBQ(U32(vectors*g.lanes), width)
		JMP(LabelRef(name))
	}
	loop("many", many, "one")
	loop("one", 1, "rest")
	Label("rest")
	TESTQ(width, width)
	JZ(LabelRef("done"))
	turn("rest", 1, g.mask(width))
	Label("done")
	g.ret()
}

// down calls row for each row.
func (t tile) down(pass string, row func()) {
	left := GP64()
	MOVQ(t.from, t.at)
	MOVQ(t.rows, left)
	t.turns(pass, left, row)
}

// downBlocks calls row for each row, and after every block of rows and at the end
// flush.
func (t tile) downBlocks(pass string, block uint32, row, flush func()) {
	left, some := GP64(), GP64()
	MOVQ(t.from, t.at)
	MOVQ(t.rows, left)
	Label(t.name + pass + "Block")
	MOVQ(U32(block), some)
	CMPQ(left, some)
	CMOVQLT(left, some)
	SUBQ(some, left)
	t.turns(pass, some, row)
	flush()
	TESTQ(left, left)
	JNZ(LabelRef(t.name + pass + "Block"))
}

// turns calls row for the next n rows, which n counts down.
func (t tile) turns(pass string, n GPVirtual, row func()) {
	Label(t.name + pass)
	row()
	ADDQ(t.stride, t.at)
	DECQ(n)
	JNZ(LabelRef(t.name + pass))
}

// splats returns a register with v in every lane for each vector.
func (t tile) splats(v float32) []VecVirtual {
	s := make([]VecVirtual, len(t.places))
	for i := range s {
		s[i] = t.g.splat(v)
	}
	return s
}

func (g gen) softmaxColumns() {
	g.text("softmaxColumns", "(dst, x, bias []float32, rows, width, stride, biasStep int, scale float32)",
		"dst = e**(t - max) / sum of those with t = x * scale + bias, down each of width columns of rows that are stride apart. "+
			"Each row has a bias, biasStep bytes apart.")
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("x").Base(), GP64())
	biasStep, bias := Load(Param("biasStep"), GP64()), GP64()
	one, scale := g.constant(1), g.param("scale")
	exp := g.expNormal()
	// Two vectors of some 200 rows stay in the L1 cache from pass to pass.
	g.tiles(2, func(t tile) {
		// term calls f with t of each vector of a row.
		term := func(f func(i int, v VecVirtual)) {
			shift := g.vec()
			VBROADCASTSS(Mem{Base: bias}, shift)
			ADDQ(biasStep, bias)
			for i, p := range t.places {
				v := p.load(src)
				VFMADD213PS(shift, scale, v)
				f(i, v)
			}
		}
		// MAXPS returns its second source where there is a NaN, so top passes
		// them over. Their powers are NaN all the same, and so is the sum.
		top := t.splats(float32(math.Inf(-1)))
		Load(Param("bias").Base(), bias)
		t.down("Max", func() {
			term(func(i int, v VecVirtual) { VMAXPS(top[i], v, top[i]) })
		})
		// Few powers are added up, with a loss of 1.5 ulp at most, and their sums
		// without any.
		const few = 4
		part, sum := t.splats(0), make([]powerSum, len(t.places))
		for i := range sum {
			sum[i] = g.newPowerSum(few)
		}
		Load(Param("bias").Base(), bias)
		t.downBlocks("Exp", few, func() {
			term(func(i int, e VecVirtual) {
				VSUBPS(top[i], e, e)
				exp(e)
				t.places[i].store(e, dst)
				VADDPS(e, part[i], part[i])
			})
		}, func() {
			for i, s := range sum {
				s.add(part[i])
				VXORPS(part[i], part[i], part[i])
			}
		})
		for _, s := range sum {
			s.end()
			VADDPS(s.low, s.high, s.high)
			VDIVPS(s.high, g.register(one), s.high)
		}
		t.down("Share", func() {
			for i, p := range t.places {
				y := p.load(dst)
				VMULPS(sum[i].high, y, y)
				p.store(y, dst)
			}
		})
	})
}

// register returns an operand as a register.
func (g gen) register(c Op) VecVirtual {
	if r, ok := c.(VecVirtual); ok {
		return r
	}
	r := g.vec()
	VMOVUPS(c, r)
	return r
}

// addExactly adds x, which it spends, to sum, and the error of that to lost.
//
// Source: Knuth, The Art of Computer Programming, volume 2, section 4.2.2.
func (g gen) addExactly(sum, x, lost VecVirtual) {
	old, t := g.vec(), g.vec()
	VMOVAPS(sum, old)
	VADDPS(x, sum, sum)
	VSUBPS(old, sum, t) // x as it was added
	VSUBPS(t, x, x)
	VSUBPS(t, sum, t) // and old
	VSUBPS(t, old, old)
	VADDPS(old, x, x)
	VADDPS(x, lost, lost)
}

// normColumns writes a normalisation: the mean is taken away first where centre
// is set.
func (g gen) normColumns(name, what string, centre bool) {
	g.text(name, "(dst, x, scale, bias []float32, rows, width, stride, scaleStep, biasStep int, share, eps float32)",
		"dst = "+what+" * scale + bias, down each of width columns of rows that are stride apart. "+
			"Each row has a scale and a bias, steps bytes apart; share is 1/rows.")
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("x").Base(), GP64())
	scaleStep, biasStep := Load(Param("scaleStep"), GP64()), Load(Param("biasStep"), GP64())
	scale, bias := GP64(), GP64()
	one := g.constant(1)
	many := 2
	if g.wide {
		many = 4
	}
	g.tiles(many, func(t tile) {
		var mean, rest, restPart []VecVirtual
		if centre {
			mean = t.splats(0)
			t.down("Sum", func() {
				for i, p := range t.places {
					VADDPS(p.load(src), mean[i], mean[i])
				}
			})
			share := g.param("share")
			for _, m := range mean {
				VMULPS(share, m, m)
			}
			rest, restPart = t.splats(0), t.splats(0)
		}
		// Sums of few numbers are added up, those of squares without loss, which
		// keeps digits. The sum of the differences is what the mean is off.
		square, part, lost := t.splats(0), t.splats(0), t.splats(0)
		t.downBlocks("Square", 16, func() {
			for i, p := range t.places {
				d := p.load(src)
				if centre {
					VSUBPS(mean[i], d, d)
					VADDPS(d, restPart[i], restPart[i])
				}
				VFMADD231PS(d, d, part[i])
			}
		}, func() {
			for i := range square {
				g.addExactly(square[i], part[i], lost[i])
				VXORPS(part[i], part[i], part[i])
				if centre {
					VADDPS(restPart[i], rest[i], rest[i])
					VXORPS(restPart[i], restPart[i], restPart[i])
				}
			}
		})
		share, eps := g.param("share"), g.param("eps")
		for i, s := range square {
			VADDPS(lost[i], s, s)
			VMULPS(share, s, s)
			if centre {
				VMULPS(share, rest[i], rest[i])
				VFNMADD231PS(rest[i], rest[i], s)
			}
			VADDPS(eps, s, s)
			VSQRTPS(s, s)
			VDIVPS(s, g.register(one), s)
			if centre {
				VMULPS(s, rest[i], rest[i])
			}
		}
		Load(Param("scale").Base(), scale)
		Load(Param("bias").Base(), bias)
		t.down("Scale", func() {
			factor, shift := g.vec(), g.vec()
			VBROADCASTSS(Mem{Base: scale}, factor)
			VBROADCASTSS(Mem{Base: bias}, shift)
			ADDQ(scaleStep, scale)
			ADDQ(biasStep, bias)
			for i, p := range t.places {
				y := p.load(src)
				if centre {
					VSUBPS(mean[i], y, y)
					VFMSUB213PS(rest[i], square[i], y)
				} else {
					VMULPS(square[i], y, y)
				}
				VFMADD213PS(shift, factor, y)
				p.store(y, dst)
			}
		})
	})
}
