package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Tiles are of as many rows as a vector has lanes and of as many columns as
// four vectors. In the byte of an index the low bits select a lane of the
// first two vectors, or of the others where the sign is set; absent says that
// there is no weight.
const (
	tileVectors = 4
	absent      = 0x40
)

// tiles writes the kernel of tiles: x of a tile's columns stays in registers,
// and a step looks up one for each row and adds its product. An entry is a
// tile, count its pairs of steps; the last tile of its rows, which is not
// partial, adds y, clamps and stores.
func (e emitter) tiles() {
	cols := e.k.cols
	entries, end := e.loadArg("entries"), e.loadArg("count")
	rowOffset, entrySize := e.d.entry("row")
	countOffset, _ := e.d.entry("count")
	baseOffset, _ := e.d.entry("base")
	flagsOffset, _ := e.d.entry("flags")
	e.IMUL3Q(U32(entrySize), end, end)
	e.ADDQ(entries, end)
	at8, val := e.loadArg("col"), e.loadArg("val")
	bit := e.ZMM()
	e.VPBROADCASTD(e.gp(absent), bit)
	acc := make([][2]reg.VecVirtual, cols)
	for c := range acc {
		acc[c] = [2]reg.VecVirtual{e.ZMM(), e.ZMM()}
		e.zero(acc[c][0])
		e.zero(acc[c][1])
	}

	e.JMP(LabelRef("check"))
	e.Label("tile")
	first, left := e.GP64(), e.GP32()
	e.MOVL(at(entries, baseOffset), first.As32())
	e.SHLQ(U8(2), first)
	e.ADDQ(e.arg("x"), first)
	e.MOVL(at(entries, countOffset), left)
	e.TESTL(left, left)
	e.JZ(LabelRef("tileDone"))
	table := make([][tileVectors]reg.VecVirtual, cols)
	for c, x := range e.columns(first, "xCol") {
		for i := range table[c] {
			table[c][i] = e.ZMM()
			e.VMOVUPS(at(x, 64*i), table[c][i])
		}
	}
	e.Label("pair")
	for step := range 2 {
		e.tileStep(at(at8, 16*step), at(val, 64*step), bit, table, func(c int) reg.VecVirtual { return acc[c][step] })
	}
	e.ADDQ(U8(2*16), at8)
	e.ADDQ(U32(2*64), val)
	e.DECL(left)
	e.JNZ(LabelRef("pair"))
	e.Label("tileDone")
	e.TESTL(U32(partial), at(entries, flagsOffset))
	e.JNZ(LabelRef("next"))

	row := e.GP64()
	e.MOVL(at(entries, rowOffset), row.As32())
	lo, hi := e.ZMM(), e.ZMM()
	e.VBROADCASTSS(e.arg("min"), lo)
	e.VBROADCASTSS(e.arg("max"), hi)
	for c, y := range e.columns(e.loadArg("y"), "yCol") {
		v := acc[c][0]
		e.VADDPS(acc[c][1], v, v)
		e.VADDPS(index(y, row, 4, 0), v, v)
		e.VMAXPS(v, lo, v)
		e.VMINPS(v, hi, v)
		e.VMOVUPS(v, index(y, row, 4, 0))
		e.zero(acc[c][0])
		e.zero(acc[c][1])
	}
	e.Label("next")
	e.ADDQ(U32(entrySize), entries)
	e.Label("check")
	e.CMPQ(entries, end)
	e.JB(LabelRef("tile"))
	e.VZEROUPPER()
	e.RET()
}

// tileStep adds one weight a row. Absent ones are masked rather than zeros, as
// x may be infinite where they point.
func (e emitter) tileStep(indices, val Mem, bit reg.Register, table [][tileVectors]reg.VecVirtual, acc func(c int) reg.VecVirtual) {
	i, upper, present := e.ZMM(), e.K(), e.K()
	e.VPMOVSXBD(indices, i)
	e.VPMOVD2M(i, upper)
	e.VPTESTNMD(bit, i, present)
	var w Op = val
	if len(table) > 1 {
		v := e.ZMM()
		e.VMOVUPS(val, v)
		w = v
	}
	for c, x := range table {
		a, b := e.ZMM(), e.ZMM()
		e.VMOVDQA32(i, a)
		e.VMOVDQA32(i, b)
		e.VPERMI2PS(x[1], x[0], a)
		e.VPERMI2PS(x[3], x[2], b)
		e.VBLENDMPS(b, a, upper, a)
		e.VFMADD231PS(w, a, present, acc(c))
	}
}
