package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// moves writes the functions that only move data.
func (g gen) moves() {
	g.shuffle()
	g.gather()
}

// gather looks up elements. The instruction costs as much as 16, or 8, scalar
// loads on Zen 4, and less elsewhere.
func (g gen) gather() {
	g.text("gather", "(dst, src []float32, index []int32, fill float32)",
		"dst[i] = src[index[i]], fill where that is outside src.")
	n := Load(Param("dst").Len(), GP64())
	dst, src, index := Load(Param("dst").Base(), GP64()), Load(Param("src").Base(), GP64()), Load(Param("index").Base(), GP64())
	fill := g.param("fill")
	// Indices below the limit as unsigned numbers are inside. No index reaches
	// further than 1<<31 elements.
	const farthest = 1 << 31
	limit, most := Load(Param("src").Len(), GP64()), GP64()
	MOVQ(U64(farthest), most)
	CMPQ(limit, most)
	CMOVQHI(most, limit)
	limits := g.vec()
	if g.wide {
		VPBROADCASTD(limit.(GPVirtual).As32(), limits)
		g.loop(n.(GPVirtual), 1, func(_ int, p place) {
			i, v, inside := p.load(index), g.vec(), K()
			const lessThan = 1
			VPCMPUD(U8(lessThan), limits, i, inside)
			VMOVAPS(fill, v)
			VGATHERDPS(Mem{Base: src, Index: i, Scale: 4}, inside, v)
			p.store(v, dst)
		})
		g.ret()
		return
	}
	// There is only a signed comparison: move both sides by 1<<31.
	x, sign := XMM(), g.splat(bits(signs))
	VMOVD(limit.(GPVirtual).As32(), x)
	VPBROADCASTD(x, limits)
	VPXOR(sign, limits, limits)
	g.loop(n.(GPVirtual), 1, func(_ int, p place) {
		i, v, inside := p.load(index), g.vec(), g.vec()
		VPXOR(sign, i, inside)
		VPCMPGTD(inside, limits, inside)
		VMOVAPS(fill, v)
		VGATHERDPS(inside, Mem{Base: src, Index: i, Scale: 4}, v)
		p.store(v, dst)
	})
	g.ret()
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
