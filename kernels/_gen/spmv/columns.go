package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// columnsAhead is how many columns before they are multiplied their weights are
// asked for, as the package's.
const columnsAhead = 8

// heights are how many vectors of rows panels have: as many sums as there are
// registers for, half of them, then what is left over. The lowest may have fewer
// rows than lanes.
func (t target) heights() []int { return []int{t.vectors / 2, t.vectors / 4, 2, 1} }

// A panel is the sums of a panel's rows while columns are added to them.
type panel struct {
	emitter
	acc  []reg.VecVirtual
	some func() reg.Register // lanes that are rows, nil where all are
	i    reg.GPVirtual       // which x is next
	left reg.GPVirtual
	x    reg.GPVirtual
	list reg.GPVirtual // of column numbers
}

// panelVectors is how many vectors of rows a panel has.
func (e emitter) panelVectors() int { return e.k.r / e.t.lanes }

// panel loads the bias.
func (e emitter) panel() *panel {
	p := &panel{emitter: e, i: e.GP64()}
	if e.k.r == e.t.lanes {
		p.some = e.firstLanes(e.loadArg("rows"))
	}
	p.x, p.list, p.left = e.loadArg("x"), e.loadArg("order"), e.loadArg("count")
	e.XORQ(p.i, p.i)
	bias := e.loadArg("bias")
	for v := range e.panelVectors() {
		acc := e.vec(e.t.lanes)
		p.load(at(bias, 4*e.t.lanes*v), acc)
		p.acc = append(p.acc, acc)
	}
	return p
}

// load loads a vector of rows.
func (p *panel) load(m Mem, v reg.VecVirtual) {
	switch {
	case p.some == nil:
		p.VMOVUPS(m, v)
	case p.t.lanes == 16:
		p.VMOVUPS_Z(m, p.some(), v)
	default:
		p.VMASKMOVPS(m, p.some(), v)
	}
}

// each writes the loop over x. add adds the column of the number k, times x, and
// asks for that of the number ahead.
func (p *panel) each(add func(k, ahead reg.GPVirtual, x reg.VecVirtual)) {
	p.JMP(LabelRef("check"))
	p.Label("column")
	k, ahead, x := p.GP64(), p.GP64(), p.vec(p.t.lanes)
	p.MOVL(index(p.list, p.i, 4, 0), k.As32())
	p.MOVL(index(p.list, p.i, 4, 4*columnsAhead), ahead.As32())
	p.VBROADCASTSS(index(p.x, p.i, 4, 0), x)
	add(k, ahead, x)
	p.INCQ(p.i)
	p.Label("check")
	p.CMPQ(p.i, p.left)
	p.JB(LabelRef("column"))
	p.end()
}

// end limits the sums and stores them.
func (p *panel) end() {
	lo, hi := p.vec(p.t.lanes), p.vec(p.t.lanes)
	p.VBROADCASTSS(p.arg("min"), lo)
	p.VBROADCASTSS(p.arg("max"), hi)
	y := p.loadArg("y")
	for i, v := range p.acc {
		p.VMAXPS(v, lo, v)
		p.VMINPS(v, hi, v)
		to := at(y, 4*p.t.lanes*i)
		switch {
		case p.some == nil:
			p.VMOVUPS(v, to)
		case p.t.lanes == 16:
			p.VMOVUPS(v, p.some(), to)
		default:
			p.VMASKMOVPS(v, p.some(), to)
		}
	}
	p.VZEROUPPER()
	p.RET()
}

// axpy writes the kernel of a panel of all weights: a column's are its vectors.
func (e emitter) axpy() {
	p := e.panel()
	val := e.loadArg("val")
	bytes := 4 * e.k.r
	p.each(func(k, ahead reg.GPVirtual, x reg.VecVirtual) {
		for _, at := range []reg.GPVirtual{k, ahead} {
			e.SHLQ(U8(log2(bytes)), at)
			e.ADDQ(val, at)
		}
		for v, acc := range p.acc {
			e.VFMADD231PS(at(k, 4*e.t.lanes*v), x, acc)
		}
		for line := 0; line < bytes; line += 64 {
			e.PREFETCHT0(at(ahead, line))
		}
	})
}

// masked writes the kernel of a panel of the weights that there are: of each
// vector of rows, those packed that its mask has bits for.
func (e emitter) masked() {
	p := e.panel()
	val, masks, starts := e.loadArg("val"), e.loadArg("col"), e.loadArg("starts")
	maskBytes := e.k.r / 8
	var table reg.GPVirtual
	if e.t.lanes == 8 {
		table = e.GP64()
		e.LEAQ(e.ranksOf(), table)
	}
	p.each(func(k, ahead reg.GPVirtual, x reg.VecVirtual) {
		next, last := e.GP64(), e.GP64()
		e.MOVL(index(starts, k, 4, 0), next.As32())
		e.LEAQ(index(val, next, 4, 0), next)
		if maskBytes > 1 {
			e.SHLQ(U8(log2(maskBytes)), k)
		}
		e.ADDQ(masks, k)
		// What is asked for ends with the column, whose length nothing else is to
		// be branched on for.
		from := e.GP64()
		e.MOVL(index(starts, ahead, 4, 0), from.As32())
		e.MOVL(index(starts, ahead, 4, 4), last.As32())
		e.LEAQ(index(val, from, 4, 0), from)
		e.LEAQ(index(val, last, 4, 0), last)
		for v, acc := range p.acc {
			if v > 0 && v%2 == 0 {
				e.ADDQ(U8(64), from)
				e.CMPQ(from, last)
				e.CMOVQHI(last, from)
			}
			if v%2 == 0 {
				e.PREFETCHT0(at(from, 0))
			}
			bits := e.GP32()
			if e.t.lanes == 16 {
				e.MOVWLZX(at(k, 2*v), bits)
				here, w := e.K(), e.ZMM()
				e.KMOVW(bits, here)
				e.VMOVUPS(at(next, 0), w) // expanding from memory takes three times as long
				e.VEXPANDPS_Z(w, here, w)
				e.VFMADD231PS(w, x, here, acc)
			} else {
				e.MOVBLZX(at(k, v), bits)
				ranks, w, sum := e.YMM(), e.YMM(), e.YMM()
				e.VPMOVSXBD(index(table, bits.As64(), 8, 0), ranks)
				e.VPERMPS(at(next, 0), ranks, w)
				e.VMOVAPS(acc, sum)
				e.VFMADD231PS(w, x, sum)
				e.VBLENDVPS(ranks, acc, sum, acc) // the sum stays where there is no weight
			}
			if v < len(p.acc)-1 {
				e.POPCNTL(bits, bits)
				e.LEAQ(index(next, bits.As64(), 4, 0), next)
			}
		}
	})
}

// ranksOf returns memory with, for each mask of eight rows, a byte for each row:
// which of the packed weights is the row's, or -128 for none.
func (e emitter) ranksOf() Mem {
	if e.ranks.Symbol.Name == "" {
		*e.ranks = e.StaticGlobal("ranks")
		e.DataAttributes(attr.RODATA | attr.NOPTR)
		for mask := range 256 {
			var word uint64
			rank := uint64(0)
			for row := range 8 {
				b := uint64(0x80)
				if mask>>row&1 == 1 {
					b = rank
					rank++
				}
				word |= b << (8 * row)
			}
			e.AddDatum(8*mask, U64(word))
		}
	}
	return *e.ranks
}

func log2(n int) int {
	l := 0
	for 1<<l < n {
		l++
	}
	return l
}
