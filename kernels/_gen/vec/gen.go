package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// A gen writes functions for one instruction set.
type gen struct {
	suffix string // of function names
	lanes  int
	wide   bool // AVX-512, else AVX2 with FMA
}

// bytes returns the size of n vectors.
func (g gen) bytes(n int) int { return 4 * g.lanes * n }

// text begins a function. Its frame makes the prologue check the stack, which
// is where the Go scheduler can stop a goroutine: a leaf without one could be
// called in a loop for long.
func (g gen) text(name, signature, doc string) {
	TEXT(name+g.suffix, 0, "func"+signature)
	AllocLocal(128)
	Doc(name + g.suffix + " is " + doc)
}

// ret ends a function.
func (g gen) ret() {
	VZEROUPPER()
	RET()
}

// vec returns a new vector register.
func (g gen) vec() VecVirtual {
	if g.wide {
		return ZMM()
	}
	return YMM()
}

// param returns a float32 parameter in every lane.
func (g gen) param(name string) VecVirtual {
	a, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	v := g.vec()
	VBROADCASTSS(a.Addr, v)
	return v
}

// splat returns a register with v in every lane.
func (g gen) splat(v float32) VecVirtual {
	r := g.vec()
	VBROADCASTSS(data(v, 1), r)
	return r
}

// constant returns v in every lane as the first operand of an instruction: a
// register where there are 32, else memory.
func (g gen) constant(v float32) Op {
	if g.wide {
		return g.splat(v)
	}
	return data(v, g.lanes)
}

// data returns memory that holds v n times.
func data(v float32, n int) Mem {
	name := fmt.Sprintf("f32x%d_%08x", n, math.Float32bits(v))
	m, ok := datas[name]
	if !ok {
		m = GLOBL(name, RODATA|NOPTR)
		for i := range n {
			DATA(4*i, U32(math.Float32bits(v)))
		}
		datas[name] = m
	}
	return m
}

var datas = map[string]Mem{}

// bits returns the float32 of the given bits.
func bits(b uint32) float32 { return math.Float32frombits(b) }

// A place is where a loop stands: a vector at the same offset in several
// slices, or what is left of one at their end.
type place struct {
	g    gen
	at   GPVirtual // byte offset
	disp int
	mask Register // nil where the vector is whole
}

func (p place) mem(base Register) Mem { return Mem{Base: base, Index: p.at, Scale: 1, Disp: p.disp} }

// load returns the vector of a slice, zeros past the end.
func (p place) load(base Register) VecVirtual {
	v := p.g.vec()
	switch {
	case p.mask == nil:
		VMOVUPS(p.mem(base), v)
	case p.g.wide:
		VMOVUPS_Z(p.mem(base), p.mask, v)
	default:
		VMASKMOVPS(p.mem(base), p.mask, v)
	}
	return v
}

// store writes the vector of a slice.
func (p place) store(v VecVirtual, base Register) {
	switch {
	case p.mask == nil:
		VMOVUPS(v, p.mem(base))
	case p.g.wide:
		VMOVUPS(v, p.mask, p.mem(base))
	default:
		VMASKMOVPS(v, p.mask, p.mem(base))
	}
}

// keep sets the lanes of v past the end to other's.
func (p place) keep(v, other VecVirtual) {
	switch {
	case p.mask == nil:
	case p.g.wide:
		VBLENDMPS(v, other, p.mask, v)
	default:
		VBLENDVPS(p.mask, v, other, v)
	}
}

// loop calls body for each vector of n elements, unroll vectors a turn while
// there are so many. i tells vectors of a turn apart. n is spent.
func (g gen) loop(n GPVirtual, unroll int, body func(i int, p place)) {
	g.turns(n, unroll, func(places []place) {
		for i, p := range places {
			body(i, p)
		}
	})
}

// turns is loop of a body that takes all vectors of a turn.
func (g gen) turns(n GPVirtual, unroll int, body func(places []place)) {
	at := GP64()
	XORQ(at, at)
	turn := func(label string, vectors int, next string) {
		Label(label)
		CMPQ(n, U32(vectors*g.lanes))
		JL(LabelRef(next))
		places := make([]place, vectors)
		for i := range places {
			places[i] = place{g: g, at: at, disp: g.bytes(i)}
		}
		body(places)
		ADDQ(U32(g.bytes(vectors)), at)
		SUBQ(U32(vectors*g.lanes), n)
		JMP(LabelRef(label))
	}
	if unroll > 1 {
		turn("many", unroll, "one")
	}
	turn("one", 1, "rest")
	Label("rest")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	body([]place{{g: g, at: at, mask: g.mask(n)}})
	Label("done")
}

// mask returns a mask of the first n lanes, n less than a vector's.
func (g gen) mask(n GPVirtual) Register {
	if g.wide {
		count, ones, k := GP64(), GP32(), K()
		MOVQ(n, count)
		MOVL(U32(0xffff), ones)
		SHLXL(count.As32(), ones, ones)
		NOTL(ones)
		KMOVW(ones, k)
		return k
	}
	const name = "mask"
	m, ok := datas[name]
	if !ok {
		m = GLOBL(name, RODATA|NOPTR)
		for i := range 2 * g.lanes {
			v := uint32(0)
			if i < g.lanes {
				v = math.MaxUint32
			}
			DATA(4*i, U32(v))
		}
		datas[name] = m
	}
	base, back, v := GP64(), GP64(), YMM()
	LEAQ(m.Offset(4*g.lanes), base)
	MOVQ(n, back)
	NEGQ(back)
	VMOVUPS(Mem{Base: base, Index: back, Scale: 4}, v)
	return v
}

// negative sets dst to a where x has its sign set, else to b.
func (g gen) negative(x, a, b, dst VecVirtual) {
	if !g.wide {
		VBLENDVPS(x, a, b, dst)
		return
	}
	k := K()
	VPMOVD2M(x, k)
	VBLENDMPS(a, b, k, dst)
}

// fold combines the lanes of v: f(a, b, t) sets a to the combination of a and
// b, t is a temporary. It returns the register whose lowest lane is the result.
func (g gen) fold(v VecVirtual, f func(a, b, t Register)) Register {
	if g.wide {
		high, t := YMM(), YMM()
		VEXTRACTF64X4(U8(1), v, high)
		f(v.AsY(), high, t)
	}
	high, t := XMM(), XMM()
	if g.wide { // reaches all registers
		VEXTRACTF32X4(U8(1), v.AsY(), high)
	} else {
		VEXTRACTF128(U8(1), v, high)
	}
	x := v.AsX()
	f(x, high, t)
	VPERMILPS(U8(0b1110), x, high)
	f(x, high, t)
	VPERMILPS(U8(0b01), x, high)
	f(x, high, t)
	return x
}
