package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// moves writes the functions that only move data.
func (g gen) moves() {
	g.permute()
	g.gather()
	g.transpose()
	g.interleave()
	g.fours()
}

// fours copies four elements at a time: those of all rows, then the next four.
func (g gen) fours() {
	g.text("fours", "(dst, src []float32, groups, rows, stride int)",
		"dst[4*(rows*n+r)+j] = src[stride*r+4*n+j] of groups n, rows r and j up to 4; neither is 0.")
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("src").Base(), GP64())
	groups, rows := Load(Param("groups"), GP64()), Load(Param("rows"), GP64())
	stride := Load(Param("stride"), GP64()).(GPVirtual)
	SHLQ(U8(2), stride)
	at, left := GP64(), GP64()
	const quad = 16 // bytes
	Label("group")
	MOVQ(src, at)
	MOVQ(rows, left)
	Label("many")
	CMPQ(left, U8(4))
	JL(LabelRef("rest"))
	var v [4]VecVirtual
	for i, m := range planesAt(at, stride, 4) {
		v[i] = XMM()
		VMOVUPS(m, v[i])
	}
	for i := range v {
		VMOVUPS(v[i], Mem{Base: dst, Disp: quad * i})
	}
	LEAQ(Mem{Base: at, Index: stride, Scale: 4}, at)
	ADDQ(U8(4*quad), dst)
	SUBQ(U8(4), left)
	JMP(LabelRef("many"))
	Label("rest")
	TESTQ(left, left)
	JZ(LabelRef("next"))
	Label("one")
	VMOVUPS(Mem{Base: at}, v[0])
	VMOVUPS(v[0], Mem{Base: dst})
	ADDQ(stride, at)
	ADDQ(U8(quad), dst)
	DECQ(left)
	JNZ(LabelRef("one"))
	Label("next")
	ADDQ(U8(quad), src)
	DECQ(groups)
	JNZ(LabelRef("group"))
	g.ret()
}

// interleave turns a vector of each of four rows at a time: first each quarter,
// or half, by itself, then those among one another.
func (g gen) interleave() {
	g.text("interleave", "(dst, src []float32, vectors, live, stride int)",
		"dst[4*(live*v+i)+j] = src[stride*j+lanes*v+i] of so many vectors v of four rows j, and i up to lanes: later vectors write over what earlier ones have too much.")
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("src").Base(), GP64()).(GPVirtual)
	vectors, live := Load(Param("vectors"), GP64()), Load(Param("live"), GP64())
	stride := Load(Param("stride"), GP64()).(GPVirtual)
	SHLQ(U8(2), stride)
	SHLQ(U8(4), live)
	Label("vector")
	var rows, pairs, quads [4]VecVirtual
	for i, m := range planesAt(src, stride, 4) {
		rows[i], pairs[i], quads[i] = g.vec(), g.vec(), g.vec()
		VMOVUPS(m, rows[i])
	}
	for i := range 2 {
		VUNPCKLPS(rows[2*i+1], rows[2*i], pairs[i])
		VUNPCKHPS(rows[2*i+1], rows[2*i], pairs[2+i])
	}
	for i := range 2 {
		VUNPCKLPD(pairs[2*i+1], pairs[2*i], quads[2*i])
		VUNPCKHPD(pairs[2*i+1], pairs[2*i], quads[2*i+1])
	}
	// quads[i] has elements i, i+4, ... of all rows.
	if g.wide {
		const even, odd = 0x88, 0xdd // quarters of either
		var halves [4]VecVirtual
		for i := range 2 {
			halves[i], halves[2+i] = g.vec(), g.vec()
			VSHUFF32X4(U8(even), quads[2*i+1], quads[2*i], halves[i])
			VSHUFF32X4(U8(odd), quads[2*i+1], quads[2*i], halves[2+i])
		}
		for i, pick := range []uint64{even, even, odd, odd} {
			half := i % 2 * 2
			VSHUFF32X4(U8(pick), halves[half+1], halves[half], rows[i])
		}
	} else {
		const low, high = 0x20, 0x31 // halves of either
		for i := range 2 {
			VPERM2F128(U8(low), quads[2*i+1], quads[2*i], rows[i])
			VPERM2F128(U8(high), quads[2*i+1], quads[2*i], rows[2+i])
		}
	}
	for i, r := range rows {
		VMOVUPS(r, Mem{Base: dst, Disp: g.bytes(i)})
	}
	ADDQ(U8(g.bytes(1)), src)
	ADDQ(live, dst)
	DECQ(vectors)
	JNZ(LabelRef("vector"))
	g.ret()
}

// transpose turns as many vectors of as many rows as a vector has lanes at a
// time. Loads put quarters of rows that are four apart beside one another, so
// that what is left is to turn four by four elements within quarters.
func (g gen) transpose() {
	g.text("transpose", "(dst, src []float32, rows []int32, blocks int)",
		"dst[lanes*v+l] = src[rows[l]+v] of so many blocks of a vector v for each lane.")
	dst, src, rows := Load(Param("dst").Base(), GP64()), Load(Param("src").Base(), GP64()), Load(Param("rows").Base(), GP64())
	blocks, at := Load(Param("blocks"), GP64()), GP64()
	quarters := g.lanes / 4
	Label("block")
	var from [4][4]VecVirtual // by quarter of the row, and row within four
	for q := range quarters {
		for i := range from[q] {
			from[q][i] = g.vec()
		}
	}
	for l := range g.lanes {
		MOVLQSX(Mem{Base: rows, Disp: 4 * l}, at)
		for q := range quarters {
			m, v := Mem{Base: src, Index: at, Scale: 4, Disp: 16 * q}, from[q][l%4]
			switch {
			case l < 4:
				VMOVUPS(m, v.AsX())
			case g.wide:
				VINSERTF32X4(U8(l/4), m, v, v)
			default:
				VINSERTF128(U8(l/4), m, v, v)
			}
		}
	}
	for q := range quarters {
		r := from[q]
		for i := range 2 {
			low, high := g.vec(), g.vec()
			VUNPCKLPS(r[2*i+1], r[2*i], low)
			VUNPCKHPS(r[2*i+1], r[2*i], high)
			r[2*i], r[2*i+1] = low, high
		}
		for i := range 2 {
			first, second := g.vec(), g.vec()
			VUNPCKLPD(r[2+i], r[i], first)
			VUNPCKHPD(r[2+i], r[i], second)
			VMOVUPS(first, Mem{Base: dst, Disp: g.bytes(4*q + 2*i)})
			VMOVUPS(second, Mem{Base: dst, Disp: g.bytes(4*q + 2*i + 1)})
		}
	}
	ADDQ(U8(g.bytes(1)), src)
	ADDQ(U32(g.bytes(g.lanes)), dst)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	g.ret()
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

// permute makes the targets of a part of a table, in four planes at once while
// there are so many, then in one: what a piece is, is read once for all four.
func (g gen) permute() {
	g.text("permute", "(dst, src []float32, target, from []uint32, lane []int8, planes, dstPlane, srcPlane int, fill float32)",
		"the targets of a part of a PermuteTable of its lanes, in planes that are so many elements apart.")
	dst, src := Load(Param("dst").Base(), GP64()).(GPVirtual), Load(Param("src").Base(), GP64()).(GPVirtual)
	targets, end := Load(Param("target").Base(), GP64()), Load(Param("target").Len(), GP64())
	LEAQ(Mem{Base: targets, Index: end, Scale: 4}, end)
	planes := Load(Param("planes"), GP64())
	dstPlane, srcPlane := Load(Param("dstPlane"), GP64()).(GPVirtual), Load(Param("srcPlane"), GP64()).(GPVirtual)
	SHLQ(U8(2), dstPlane)
	SHLQ(U8(2), srcPlane)
	fill := g.param("fill")
	target, piece, lane := GP64(), GP64(), GP64()

	turn := func(name string, n int, next string) {
		Label(name)
		CMPQ(planes, U32(n))
		JL(LabelRef(next))
		MOVQ(targets, target)
		Load(Param("from").Base(), piece)
		Load(Param("lane").Base(), lane)
		JMP(LabelRef(name + "Check"))
		Label(name + "Target")
		acc, at, count := make([]VecVirtual, n), GP64(), GP64()
		for i := range acc {
			acc[i] = g.vec()
			VMOVAPS(fill, acc[i])
		}
		MOVL(Mem{Base: target, Disp: 4}, count.As32())
		TESTL(count.As32(), count.As32())
		JZ(LabelRef(name + "Store"))
		Label(name + "Piece")
		MOVL(Mem{Base: piece}, at.As32())
		ADDQ(U8(4), piece)
		ADDQ(src, at)
		index := g.vec()
		VPMOVSXBD(Mem{Base: lane}, index)
		ADDQ(U8(g.lanes), lane)
		sources := planesAt(at, srcPlane, n)
		if g.wide {
			taken := K()
			VPMOVD2M(index, taken)
			KNOTW(taken, taken)
			for i, m := range sources {
				VPERMPS(m, index, taken, acc[i])
			}
		} else {
			// The permutation takes the low bits of a lane; -1 has its sign set.
			for i, m := range sources {
				v := g.vec()
				VPERMPS(m, index, v)
				VBLENDVPS(index, acc[i], v, acc[i])
			}
		}
		DECL(count.As32())
		JNZ(LabelRef(name + "Piece"))
		Label(name + "Store")
		MOVL(Mem{Base: target}, at.As32())
		ADDQ(dst, at)
		for i, m := range planesAt(at, dstPlane, n) {
			VMOVUPS(acc[i], m)
		}
		ADDQ(U8(8), target)
		Label(name + "Check")
		CMPQ(target, end)
		JB(LabelRef(name + "Target"))
		for range n {
			ADDQ(dstPlane, dst)
			ADDQ(srcPlane, src)
		}
		SUBQ(U32(n), planes)
		JMP(LabelRef(name))
	}
	turn("four", 4, "one")
	turn("one", 1, "done")
	Label("done")
	g.ret()
}

// planesAt addresses the same place in one or four planes, of which at points
// to the first's.
func planesAt(at, plane GPVirtual, n int) []Mem {
	if n == 1 {
		return []Mem{{Base: at}}
	}
	last := GP64()
	LEAQ(Mem{Base: at, Index: plane, Scale: 2}, last)
	return []Mem{
		{Base: at}, {Base: at, Index: plane, Scale: 1}, {Base: last}, {Base: last, Index: plane, Scale: 1},
	}
}
