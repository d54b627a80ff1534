package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// moves writes the functions that only move data.
func (g gen) moves() {
	g.shuffle()
}

// shuffle applies a table to every plane.
func (g gen) shuffle() {
	g.text("shuffle", "(buf []float32, move []uint32, lane []int32, plane int, fill float32)",
		"the entries of a ShuffleTable of its lanes, in each plane of buf.")
	buf, end := Load(Param("buf").Base(), GP64()), Load(Param("buf").Len(), GP64())
	LEAQ(Mem{Base: buf, Index: end, Scale: 4}, end)
	moves, movesEnd := Load(Param("move").Base(), GP64()), Load(Param("move").Len(), GP64())
	LEAQ(Mem{Base: moves, Index: movesEnd, Scale: 4}, movesEnd)
	lanes := Load(Param("lane").Base(), GP64())
	plane := Load(Param("plane"), GP64())
	SHLQ(U8(2), plane)
	fill := g.param("fill")

	JMP(LabelRef("check"))
	Label("plane")
	move, lane := GP64(), GP64()
	MOVQ(moves, move)
	MOVQ(lanes, lane)
	JMP(LabelRef("checkEntry"))
	Label("entry")
	dst, src := GP64(), GP64()
	MOVL(Mem{Base: move}, dst.As32())
	MOVL(Mem{Base: move, Disp: 4}, src.As32())
	ADDQ(U8(8), move)
	index, v := g.vec(), g.vec()
	VMOVUPS(Mem{Base: lane}, index)
	ADDQ(U8(g.bytes(1)), lane)
	// The permutation takes the low bits of an index; -1 has its sign set.
	VPERMPS(Mem{Base: buf, Index: src, Scale: 1}, index, v)
	g.negative(index, fill, v, v)
	VMOVUPS(v, Mem{Base: buf, Index: dst, Scale: 1})
	Label("checkEntry")
	CMPQ(move, movesEnd)
	JB(LabelRef("entry"))
	ADDQ(plane, buf)
	Label("check")
	CMPQ(buf, end)
	JB(LabelRef("plane"))
	g.ret()
}
