package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dense writes the kernel of rows that lie one after the other: r at a time,
// then one by one, each computed alike: vector by vector into one sum a
// turn, then what is left of the row by a mask.
func (e emitter) dense() {
	x := e.columns(e.loadArg("x"), "xCol")
	w := e.loadArg("val")
	left := e.loadArg("count")
	done := e.GP64() // bytes of bias and y
	e.XORQ(done, done)
	mask := e.mask()
	for _, rows := range []int{e.k.r, 1} {
		name := label("rows%d", rows)
		next := "end"
		if rows > 1 {
			next = "rows1"
		}
		e.Label(name)
		e.CMPQ(left, U32(rows))
		e.JB(LabelRef(next))
		e.denseRows(name, rows, x, w, mask, func(r, c int, sum reg.Register) {
			to := e.GP64()
			e.MOVQ(e.arg("bias"), to)
			e.VADDSS(index(to, done, 1, 4*r), sum, sum)
			limit := e.XMM()
			e.VMOVSS(e.arg("min"), limit)
			e.VMAXSS(sum, limit, sum)
			e.VMOVSS(e.arg("max"), limit)
			e.VMINSS(sum, limit, sum)
			e.MOVQ(e.arg("y"), to)
			for range c {
				e.ADDQ(e.arg("yCol"), to)
			}
			e.VMOVSS(sum, index(to, done, 1, 4*r))
		})
		for range rows {
			e.ADDQ(e.arg("xCol"), w)
		}
		e.ADDQ(U32(4*rows), done)
		e.SUBQ(U32(rows), left)
		e.JMP(LabelRef(name))
	}
	e.Label("end")
	e.VZEROUPPER()
	e.RET()
}

// denseTurns is how many vectors of a row a turn takes, each into a sum of its
// own.
func (e emitter) denseTurns() int {
	if e.k.cols == 1 || e.k.cols == 2 && e.t.lanes == 16 {
		return 2
	}
	return 1
}

// denseRows writes the products of some rows and hands out each sum.
func (e emitter) denseRows(name string, rows int, x []reg.GPVirtual, w reg.GPVirtual, mask func() reg.Register, result func(r, c int, sum reg.Register)) {
	turns := e.denseTurns()
	ws := []reg.GPVirtual{w}
	for range rows - 1 {
		next := e.GP64()
		e.MOVQ(e.arg("xCol"), next)
		e.ADDQ(ws[len(ws)-1], next)
		ws = append(ws, next)
	}
	acc := make([][][]reg.VecVirtual, rows)
	for r := range acc {
		acc[r] = make([][]reg.VecVirtual, len(x))
		for c := range x {
			for range turns {
				v := e.vec(e.t.lanes)
				e.zero(v)
				acc[r][c] = append(acc[r][c], v)
			}
		}
	}
	i, end := e.GP64(), e.GP64()
	e.XORQ(i, i)
	e.MOVQ(e.arg("xCol"), end)
	load := func(m Mem, mask reg.Register) reg.VecVirtual {
		v := e.vec(e.t.lanes)
		switch {
		case mask == nil:
			e.VMOVUPS(m, v)
		case e.t.lanes == 16:
			e.VMOVUPS_Z(m, mask, v)
		default:
			e.VMASKMOVPS(m, mask, v)
		}
		return v
	}
	products := func(turn int, mask reg.Register) {
		disp := 4 * e.t.lanes * turn
		xv := make([]reg.VecVirtual, len(x))
		for c := range x {
			xv[c] = load(index(x[c], i, 1, disp), mask)
		}
		for r := range rows {
			m := index(ws[r], i, 1, disp)
			var wv Op = m
			if len(x) > 1 || mask != nil {
				wv = load(m, mask)
			}
			for c := range x {
				e.VFMADD231PS(wv, xv[c], acc[r][c][turn])
			}
		}
	}
	step := func(part string, turns int) {
		bytes := 4 * e.t.lanes * turns
		e.Label(name + part)
		e.SUBQ(U32(bytes), end)
		e.JB(LabelRef(name + part + "Back"))
		for turn := range turns {
			products(turn, nil)
		}
		e.ADDQ(U32(bytes), i)
		e.JMP(LabelRef(name + part))
		e.Label(name + part + "Back")
		e.ADDQ(U32(bytes), end)
	}
	if turns > 1 {
		step("Many", turns)
	}
	step("One", 1)
	e.TESTQ(end, end)
	e.JZ(LabelRef(name + "Sum"))
	products(0, mask())
	e.Label(name + "Sum")
	for r := range rows {
		for c := range x {
			e.sum(acc[r][c])
			v := acc[r][c][0]
			e.fold(v, e.t.lanes, 1)
			result(r, c, v.AsX())
		}
	}
}

// mask prepares a mask of the lanes that a row has past its whole vectors.
func (e emitter) mask() func() reg.Register {
	n := e.loadArg("xCol")
	e.SHRQ(U8(2), n)
	e.ANDQ(U32(e.t.lanes-1), n)
	return e.firstLanes(n)
}

// firstLanes prepares a mask of the first n lanes, and changes n.
func (e emitter) firstLanes(n reg.GPVirtual) func() reg.Register {
	if e.t.lanes == 16 {
		ones, k := e.GP32(), e.K()
		e.MOVL(U32(0xffff), ones)
		e.SHLXL(n.As32(), ones, ones)
		e.NOTL(ones)
		e.KMOVW(ones, k)
		return func() reg.Register { return k }
	}
	if e.ones.Symbol.Name == "" {
		*e.ones = e.StaticGlobal("ones")
		e.DataAttributes(attr.RODATA | attr.NOPTR)
		for i := range 2 * e.t.lanes {
			v := uint32(0)
			if i < e.t.lanes {
				v = 0xffffffff
			}
			e.AddDatum(4*i, U32(v))
		}
	}
	from := e.GP64()
	e.LEAQ(e.ones.Offset(4*e.t.lanes), from)
	e.SHLQ(U8(2), n)
	e.SUBQ(n, from)
	return func() reg.Register {
		v := e.YMM()
		e.VMOVUPS(at(from, 0), v)
		return v
	}
}
