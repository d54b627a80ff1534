package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Bits of an entry's flags, as the package's.
const (
	later   = 1
	partial = 2
)

// unroll is how many blocks a turn of the inner loop takes, for a kernel of
// one column.
const unroll = 8

// sparse writes the kernel of blocks of r x 1: for each entry, for each block
// the r values times each column's x there, into accumulators that take turns.
func (e emitter) sparse() {
	r, cols := e.k.r, e.k.cols
	lanes := max(min(r, e.t.lanes), 4) // of a register; blocks of 1 and 2 use the low ones
	parts := max(r/lanes, 1)           // registers a block
	turns := max(unroll/(cols*parts), 1)
	quads := e.quads()

	entries, end := e.loadArg("entries"), e.loadArg("count")
	rowOffset, entrySize := e.d.entry("row")
	countOffset, _ := e.d.entry("count")
	baseOffset, _ := e.d.entry("base")
	flagsOffset, _ := e.d.entry("flags")
	e.IMUL3Q(U32(entrySize), end, end)
	e.ADDQ(entries, end)
	col, val := e.loadArg("col"), e.loadArg("val")
	var q quadSums
	if quads {
		q, turns = e.quadSums(), 1
	}
	lo, hi := e.vec(lanes), e.vec(lanes)
	e.VBROADCASTSS(e.arg("min"), lo)
	e.VBROADCASTSS(e.arg("max"), hi)

	e.JMP(LabelRef("check"))
	e.Label("entry")
	first := e.GP64()
	e.MOVL(at(entries, baseOffset), first.As32())
	e.SHLQ(U8(2), first)
	e.ADDQ(e.arg("x"), first)
	xs := e.columns(first, "xCol")
	left := e.GP64()
	e.MOVL(at(entries, countOffset), left.As32())

	// acc[c][p][t] sums part p of the blocks of turn t for column c.
	acc := make([][][]reg.VecVirtual, cols)
	for c := range acc {
		for range parts {
			var ts []reg.VecVirtual
			for range turns {
				ts = append(ts, e.vec(lanes))
			}
			acc[c] = append(acc[c], ts)
		}
	}
	start := q.sums
	if !quads {
		start = acc
	}
	for _, parts := range start {
		for _, turns := range parts {
			for _, v := range turns {
				e.zero(v)
			}
		}
	}
	loop := func(name string, blocks int, next string) {
		e.Label(name)
		e.CMPQ(left, U32(blocks))
		e.JB(LabelRef(next))
		if blocks > 1 {
			e.ahead(col, 2*blocks, val, 4*r*blocks)
		}
		for b := range blocks {
			k := e.GP64()
			e.MOVWLZX(at(col, 2*b), k.As32())
			e.block(xs, k, at(val, 4*r*b), lanes, func(c, p int) reg.VecVirtual { return acc[c][p][b%turns] })
		}
		e.ADDQ(U32(2*blocks), col)
		e.ADDQ(U32(4*r*blocks), val)
		e.SUBQ(U32(blocks), left)
		e.JMP(LabelRef(name))
	}
	if quads {
		loop := func(name string, quads int, next string) {
			e.Label(name)
			e.CMPQ(left, U32(4*quads))
			e.JB(LabelRef(next))
			if quads > 1 {
				e.ahead(col, 8*quads, val, 16*r*quads)
			}
			for n := range quads {
				q.add(e.quad(xs, at(col, 8*n)), at(val, 16*r*n), n)
			}
			e.ADDQ(U32(8*quads), col)
			e.ADDQ(U32(16*r*quads), val)
			e.SUBQ(U32(4*quads), left)
			e.JMP(LabelRef(name))
		}
		loop("quads", 4, "quad")
		loop("quad", 1, "fold")
		e.Label("fold")
		for c := range cols {
			e.VMOVAPS(q.sum(c), acc[c][0][0])
		}
	} else {
		loop("many", unroll, "one")
	}
	loop("one", 1, "done")
	e.Label("done")

	row, begin := e.GP64(), e.GP64()
	e.MOVL(at(entries, rowOffset), row.As32())
	ys := e.columns(e.loadArg("y"), "yCol")
	// Accumulators begin at the bias, or at y from the second panel on.
	e.MOVQ(e.arg("bias"), begin)
	started := e.GP32()
	e.MOVL(at(entries, flagsOffset), started)
	for c := range cols {
		for p := range parts {
			e.sum(acc[c][p])
		}
	}
	e.TESTL(U32(later), started)
	e.JNZ(LabelRef("resume"))
	for c := range cols {
		for p := range parts {
			e.add(index(begin, row, 4, 4*lanes*p), acc[c][p][0])
		}
	}
	e.JMP(LabelRef("limit"))
	e.Label("resume")
	for c := range cols {
		for p := range parts {
			e.add(index(ys[c], row, 4, 4*lanes*p), acc[c][p][0])
		}
	}
	e.Label("limit")
	e.TESTL(U32(partial), started)
	e.JNZ(LabelRef("store"))
	for c := range cols {
		for p := range parts {
			v := acc[c][p][0]
			// A NaN stays: MAXPS and MINPS return their second source, which Go
			// writes first, where one of the two is NaN.
			e.VMAXPS(v, lo, v)
			e.VMINPS(v, hi, v)
		}
	}
	e.Label("store")
	for c := range cols {
		for p := range parts {
			e.store(acc[c][p][0], index(ys[c], row, 4, 4*lanes*p))
		}
	}
	e.ADDQ(U32(entrySize), entries)
	e.Label("check")
	e.CMPQ(entries, end)
	e.JB(LabelRef("entry"))
	e.VZEROUPPER()
	e.RET()
}

// ahead is how many bytes before values are read they are asked for. The
// processor does so itself, but it stops at the end of a page of 4 KiB, and a
// turn of these loops has too many instructions for it to look past that.
const ahead = 8 << 10

// ahead asks for what a turn reads of columns and of values.
func (e emitter) ahead(col reg.Register, colBytes int, val reg.Register, valBytes int) {
	e.PREFETCHT0(at(col, ahead*colBytes/valBytes))
	for line := 0; line < valBytes; line += 64 {
		e.PREFETCHT0(at(val, ahead+line))
	}
}

// A quadSums is the sums of blocks that are taken four at a time: their values
// are one vector, or two parts.
type quadSums struct {
	emitter
	lanes   int                  // of a part
	indices []reg.VecVirtual     // of each part: which of four x its values are to be multiplied with
	sums    [][][]reg.VecVirtual // by column, part and turn
}

// quads tells whether a kernel takes blocks four at a time. With two loads a
// cycle, one of the column and one of the weight for each small block would be
// the limit; four gather x into a register and share the others. It is no where
// registers are too few for the sums, weights, indices, x and limits.
func (e emitter) quads() bool {
	parts := max(4*e.k.r/e.t.lanes, 1)
	return e.k.r <= 4 && parts*e.k.cols+2*parts+e.k.cols+3 <= e.t.vectors
}

func (e emitter) quadSums() quadSums {
	n := 4 * e.k.r
	q := quadSums{emitter: e, lanes: min(n, e.t.lanes)}
	parts := n / q.lanes
	for range e.k.cols {
		sums := make([][]reg.VecVirtual, parts)
		for p := range sums {
			for range max(4/(parts*e.k.cols), 1) {
				sums[p] = append(sums[p], e.vec(q.lanes))
			}
		}
		q.sums = append(q.sums, sums)
	}
	if e.k.r > 1 {
		for p := range parts {
			v := e.vec(q.lanes)
			e.VMOVUPS(e.rowsOf(e.k.r).Offset(4*q.lanes*p), v)
			q.indices = append(q.indices, v)
		}
	}
	return q
}

// rowsOf returns memory with the numbers of four blocks, each r times.
func (e emitter) rowsOf(r int) Mem {
	if m, ok := e.rows[r]; ok {
		return m
	}
	m := e.StaticGlobal(label("blocks%d", r))
	e.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 4 * r {
		e.AddDatum(4*i, U32(i/r))
	}
	e.rows[r] = m
	return m
}

// add adds the products of four blocks with x of each column.
func (q quadSums) add(x []reg.VecVirtual, val Mem, turn int) {
	parts := len(q.sums[0])
	w := make([]Op, parts)
	for p := range w {
		m := val.Offset(4 * q.lanes * p)
		w[p] = m
		if len(x) > 1 {
			v := q.vec(q.lanes)
			q.VMOVUPS(m, v)
			w[p] = v
		}
	}
	for c, sums := range q.sums {
		for p, turns := range sums {
			q.VFMADD231PS(w[p], q.spread(x[c], p), turns[turn%len(turns)])
		}
	}
}

// spread returns what the values of a part are to be multiplied with.
func (q quadSums) spread(x reg.VecVirtual, part int) reg.VecVirtual {
	if q.k.r == 1 {
		return x
	}
	v := q.vec(q.lanes)
	if q.lanes == 16 {
		q.VPERMPS(x.AsZ(), q.indices[part], v)
	} else {
		q.VPERMPS(x.AsY(), q.indices[part], v)
	}
	return v
}

// sum adds up everything of a column, into the low lanes of a register.
func (q quadSums) sum(c int) reg.Register {
	v := q.sums[c][0][0]
	for p, turns := range q.sums[c] {
		q.emitter.sum(turns)
		if p > 0 {
			q.VADDPS(turns[0], v, v)
		}
	}
	q.fold(v, q.lanes, q.k.r)
	return v.AsX()
}

// quad returns each column's x at four column numbers.
func (e emitter) quad(xs []reg.GPVirtual, col Mem) []reg.VecVirtual {
	four := e.GP64()
	e.MOVQ(col, four)
	v := make([]reg.VecVirtual, len(xs))
	for i := range 4 {
		k := e.GP64()
		if i < 3 {
			e.MOVWLZX(four.As16(), k.As32())
			e.SHRQ(U8(16), four)
		} else {
			k = four
		}
		for c, x := range xs {
			if i == 0 {
				v[c] = e.XMM()
				e.VMOVSS(index(x, k, 4, 0), v[c])
			} else {
				e.VINSERTPS(U8(i<<4), index(x, k, 4, 0), v[c], v[c])
			}
		}
	}
	return v
}

// block adds a block's products.
func (e emitter) block(xs []reg.GPVirtual, k reg.GPVirtual, val Mem, lanes int, acc func(c, p int) reg.VecVirtual) {
	if e.k.r == 1 {
		w := e.XMM()
		e.VMOVSS(val, w)
		for c := range xs {
			e.VFMADD231SS(index(xs[c], k, 4, 0), w, acc(c, 0))
		}
		return
	}
	var w []Op
	for p := range max(e.k.r/lanes, 1) {
		m := val.Offset(4 * lanes * p)
		switch v := e.vec(lanes); {
		case e.k.r == 2:
			e.VMOVSD(m, v)
			w = append(w, v)
		case len(xs) > 1:
			e.VMOVUPS(m, v)
			w = append(w, v)
		default:
			w = append(w, m)
		}
	}
	for c := range xs {
		x := e.vec(lanes)
		e.VBROADCASTSS(index(xs[c], k, 4, 0), x)
		for p := range w {
			e.VFMADD231PS(w[p], x, acc(c, p))
		}
	}
}

// add adds a block row's floats in memory to v.
func (e emitter) add(m Mem, v reg.VecVirtual) {
	switch e.k.r {
	case 1:
		e.VADDSS(m, v, v)
	case 2:
		t := e.XMM()
		e.VMOVSD(m, t)
		e.VADDPS(t, v, v)
	default:
		e.VADDPS(m, v, v)
	}
}

// store writes a block row's floats.
func (e emitter) store(v reg.VecVirtual, m Mem) {
	switch e.k.r {
	case 1:
		e.VMOVSS(v, m)
	case 2:
		e.VMOVSD(v, m)
	default:
		e.VMOVUPS(v, m)
	}
}
