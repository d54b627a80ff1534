package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// pools writes the reductions of vectors, lane by lane.
func (g gen) pools() {
	g.pool("maxPool", "the largest", float32(math.Inf(-1)), maxOf)
	g.pool("sumPool", "the sum", 0, func(acc, x, _ Register) { VADDPS(x, acc, acc) })
}

// pool writes one: seven vectors of dst at a time, as rows of lane-split images
// have, then four, then one.
func (g gen) pool(name, what string, empty float32, f func(acc, x, t Register)) {
	g.text(name, "(dst, src []float32, taps []uint32, step int)",
		what+" of the vectors of src at the taps, for each vector of dst; vector i starts at step*i.")
	n := Load(Param("dst").Len(), GP64())
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("src").Base(), GP64())
	taps, end := Load(Param("taps").Base(), GP64()), Load(Param("taps").Len(), GP64())
	step := Load(Param("step"), GP64())
	LEAQ(Mem{Base: taps, Index: end, Scale: 4}, end)
	IMUL3Q(U32(g.bytes(1)), step, step)
	none, t := g.splat(empty), g.vec()

	turn := func(label string, vectors int, next string) {
		Label(label)
		CMPQ(n, U32(vectors*g.lanes))
		JL(LabelRef(next))
		var acc, at = make([]VecVirtual, vectors), make([]GPVirtual, vectors)
		for i := range acc {
			acc[i], at[i] = g.vec(), GP64()
			VMOVAPS(none, acc[i])
			if i == 0 {
				MOVQ(src, at[i])
			} else {
				LEAQ(Mem{Base: at[i-1], Index: step, Scale: 1}, at[i])
			}
		}
		tap, offset := GP64(), GP64()
		MOVQ(taps, tap)
		JMP(LabelRef(label + "Check"))
		Label(label + "Tap")
		MOVL(Mem{Base: tap}, offset.As32())
		ADDQ(U8(4), tap)
		for i := range acc {
			x := g.vec()
			VMOVUPS(Mem{Base: at[i], Index: offset, Scale: 1}, x)
			f(acc[i], x, t)
		}
		Label(label + "Check")
		CMPQ(tap, end)
		JB(LabelRef(label + "Tap"))
		for i := range acc {
			VMOVUPS(acc[i], Mem{Base: dst, Disp: g.bytes(i)})
		}
		LEAQ(Mem{Base: at[vectors-1], Index: step, Scale: 1}, src)
		ADDQ(U32(g.bytes(vectors)), dst)
		SUBQ(U32(vectors*g.lanes), n)
		JMP(LabelRef(label))
	}
	turn("seven", 7, "four")
	turn("four", 4, "one")
	turn("one", 1, "done")
	Label("done")
	g.ret()
}
