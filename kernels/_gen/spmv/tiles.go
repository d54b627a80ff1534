package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Tiles are of as many rows as a vector has lanes and of as many columns as
// four vectors. In the byte of an index the low bits select a lane of the
// first two vectors, or of the others where upper is set; next says that the
// weight is of the row after the lane's; absent that there is none.
const (
	tileVectors = 4
	upper       = 0x20
	absent      = 0x40
	next        = 0x80
)

// quadSteps is how many steps share a vector of indices.
const quadSteps = 4

// tiles writes the kernel of tiles: x of a tile's columns stays in registers,
// and a step looks up one for each lane and adds its product to the sum of the
// lane's row or to that of the row after it. An entry is a tile, count its
// steps; the last tile of its rows, which is not partial, adds the bias, clamps
// and stores.
func (e emitter) tiles() {
	cols := e.k.cols
	entries, end := e.loadArg("entries"), e.loadArg("count")
	rowOffset, entrySize := e.d.entry("row")
	countOffset, _ := e.d.entry("count")
	baseOffset, _ := e.d.entry("base")
	flagsOffset, _ := e.d.entry("flags")
	e.IMUL3Q(U32(entrySize), end, end)
	e.ADDQ(entries, end)
	indices, val := e.loadArg("col"), e.loadArg("val")
	s := tileStep{emitter: e, upper: e.ZMM(), next: e.ZMM(), other: e.ZMM()}
	e.VPBROADCASTD(e.gp(upper), s.upper)
	e.VPBROADCASTD(e.gp(next), s.next)
	e.VPBROADCASTD(e.gp(next|absent), s.other)
	turns := 1 // sums of a lane that steps take turns with, so as not to wait for one
	if cols == 1 {
		turns = 2
	}
	for range cols {
		var sums []tileSums
		for range turns {
			sums = append(sums, tileSums{e.ZMM(), e.ZMM()})
		}
		s.sums = append(s.sums, sums)
	}
	e.zeroTiles(s.sums)

	e.JMP(LabelRef("check"))
	e.Label("tile")
	first, left := e.GP64(), e.GP32()
	e.MOVL(at(entries, countOffset), left)
	e.TESTL(left, left)
	e.JZ(LabelRef("tileDone"))
	e.MOVL(at(entries, baseOffset), first.As32())
	e.SHLQ(U8(2), first)
	e.ADDQ(e.arg("x"), first)
	e.PREFETCHT0(at(entries, ahead/4))
	for _, x := range e.columns(first, "xCol") {
		var table [tileVectors]reg.VecVirtual
		for i := range table {
			table[i] = e.ZMM()
			e.VMOVUPS(at(x, 64*i), table[i])
		}
		s.tables = append(s.tables, table)
	}
	e.SUBL(U8(quadSteps), left)
	e.JB(LabelRef("few"))
	e.Label("quad")
	quad := e.ZMM()
	e.VMOVDQU32(at(indices, 0), quad)
	e.PREFETCHT0(at(indices, ahead/4))
	for step := range quadSteps {
		e.PREFETCHT0(at(val, ahead+64*step))
		i := quad
		if step > 0 {
			i = e.ZMM()
			e.VPSRLD(U8(8*step), quad, i)
		}
		s.add(i, at(val, 64*step), step%turns)
	}
	e.ADDQ(U8(64), indices)
	e.ADDQ(U32(quadSteps*64), val)
	e.SUBL(U8(quadSteps), left)
	e.JAE(LabelRef("quad"))
	e.Label("few")
	e.ADDL(U8(quadSteps), left)
	e.JZ(LabelRef("tileDone"))
	e.Label("one")
	i := e.ZMM()
	e.VPMOVZXBD(at(indices, 0), i)
	e.PREFETCHT0(at(indices, ahead/4))
	e.PREFETCHT0(at(val, ahead))
	s.add(i, at(val, 0), 0)
	e.ADDQ(U8(16), indices)
	e.ADDQ(U8(64), val)
	e.DECL(left)
	e.JNZ(LabelRef("one"))
	e.Label("tileDone")
	e.TESTL(U32(partial), at(entries, flagsOffset))
	e.JNZ(LabelRef("next"))
	e.tileRows(entries, rowOffset, s.sums)
	e.zeroTiles(s.sums)
	e.Label("next")
	e.ADDQ(U32(entrySize), entries)
	e.Label("check")
	e.CMPQ(entries, end)
	e.JB(LabelRef("tile"))
	e.VZEROUPPER()
	e.RET()
}

// tileSums are sums of lanes: of those weights that are of the lane's own row,
// and of those that are of the next one's.
type tileSums struct{ own, next reg.VecVirtual }

func (e emitter) zeroTiles(sums [][]tileSums) {
	for _, turns := range sums {
		for _, s := range turns {
			e.zero(s.own)
			e.zero(s.next)
		}
	}
}

// A tileStep writes steps.
type tileStep struct {
	emitter
	upper, next, other reg.VecVirtual                // bits of an index, in every lane
	tables             [][tileVectors]reg.VecVirtual // x of each column
	sums               [][]tileSums                  // by column and turn
}

// add adds one weight a lane. Absent ones are masked rather than zeros, as x may
// be infinite where they point.
func (e tileStep) add(i reg.VecVirtual, val Mem, turn int) {
	upper, next, own := e.K(), e.K(), e.K()
	e.VPTESTMD(e.upper, i, upper)
	e.VPTESTMD(e.next, i, next)
	e.VPTESTNMD(e.other, i, own)
	w := e.ZMM()
	e.VMOVUPS(val, w)
	for c, x := range e.tables {
		a, b := e.ZMM(), e.ZMM()
		e.VMOVDQA32(i, a)
		e.VMOVDQA32(i, b)
		e.VPERMI2PS(x[1], x[0], a)
		e.VPERMI2PS(x[3], x[2], b)
		e.VBLENDMPS(b, a, upper, a)
		e.VFMADD231PS(w, a, own, e.sums[c][turn].own)
		e.VFMADD231PS(w, a, next, e.sums[c][turn].next)
	}
}

// tileRows adds up the sums of a tile's rows and the bias, clamps and stores
// them. Where order has no more rows, lanes are left out.
func (e emitter) tileRows(entries reg.Register, rowOffset int, sums [][]tileSums) {
	lane, order, rows, some := e.GP64(), e.GP64(), e.ZMM(), e.K()
	e.MOVL(at(entries, rowOffset), lane.As32())
	e.MOVQ(e.arg("order"), order)
	e.VMOVDQU32(index(order, lane, 4, 0), rows)
	e.VPMOVD2M(rows, some)
	e.KNOTW(some, some)
	gathered, bias := e.K(), e.ZMM()
	e.KMOVW(some, gathered)
	e.zero(bias)
	e.MOVQ(e.arg("bias"), order)
	e.VGATHERDPS(Mem{Base: order, Index: rows, Scale: 4}, gathered, bias)
	lo, hi := e.ZMM(), e.ZMM()
	e.VBROADCASTSS(e.arg("min"), lo)
	e.VBROADCASTSS(e.arg("max"), hi)
	for c, y := range e.columns(e.loadArg("y"), "yCol") {
		v, after := sums[c][0].own, sums[c][0].next
		if len(sums[c]) > 1 {
			e.VADDPS(sums[c][1].own, v, v)
			e.VADDPS(sums[c][1].next, after, after)
		}
		e.VALIGND(U8(15), after, after, after) // lane 15's next row is that of lane 0
		e.VADDPS(after, v, v)
		e.VADDPS(bias, v, v)
		e.VMAXPS(v, lo, v)
		e.VMINPS(v, hi, v)
		left := e.K()
		e.KMOVW(some, left)
		e.VSCATTERDPS(v, left, Mem{Base: y, Index: rows, Scale: 4})
	}
}
