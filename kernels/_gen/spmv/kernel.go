package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A target is an instruction set.
type target struct {
	constant string // in package isa
	lanes    int
	vectors  int // registers
}

var targets = map[string]target{
	"avx2":   {"AVX2", 8, 16},
	"avx512": {"AVX512", 16, 32},
}

// An emitter writes one kernel.
type emitter struct {
	*build.Context
	t target
	k kernel
	d declarations
	// ones is lanes of ones, then as many of zeros; it is made where first used.
	ones *Mem
	// rows are numbers of blocks, likewise.
	rows map[int]Mem
	// ranks are those of the bits of a byte, likewise.
	ranks *Mem
}

// arg returns where a field of args is.
func (e emitter) arg(field string) Op {
	a, err := e.Param("a").Field(field).Resolve()
	if err != nil {
		panic(err)
	}
	return a.Addr
}

// loadArg returns a register with a field of args.
func (e emitter) loadArg(field string) reg.GPVirtual {
	r := e.GP64()
	e.MOVQ(e.arg(field), r)
	return r
}

// gp returns a register with a number.
func (e emitter) gp(n uint32) reg.GPVirtual {
	r := e.GP32()
	e.MOVL(U32(n), r)
	return r
}

// columns returns registers with the starts of columns stride apart.
func (e emitter) columns(start reg.GPVirtual, stride string) []reg.GPVirtual {
	at := []reg.GPVirtual{start}
	for range e.k.cols - 1 {
		next := e.GP64()
		e.MOVQ(e.arg(stride), next)
		e.ADDQ(at[len(at)-1], next)
		at = append(at, next)
	}
	return at
}

// vec returns a vector register of n lanes, or of 4 where n is less.
func (e emitter) vec(n int) reg.VecVirtual {
	switch n {
	case 16:
		return e.ZMM()
	case 8:
		return e.YMM()
	}
	return e.XMM()
}

// zero clears a register.
func (e emitter) zero(v reg.VecVirtual) { e.VXORPS(v, v, v) }

// at returns memory.
func at(base reg.Register, disp int) Mem { return Mem{Base: base, Disp: disp} }

// index returns memory at an index.
func index(base, i reg.Register, scale uint8, disp int) Mem {
	return Mem{Base: base, Index: i, Scale: scale, Disp: disp}
}

// sum adds up the registers in pairs, into the first.
func (e emitter) sum(v []reg.VecVirtual) {
	for n := len(v); n > 1; n /= 2 {
		for i := range n / 2 {
			e.VADDPS(v[n/2+i], v[i], v[i])
		}
	}
}

// fold sums the n lanes of v into the lowest r: those a multiple of r apart.
func (e emitter) fold(v reg.VecVirtual, n, r int) {
	if n == 16 && r < 16 {
		high := e.YMM()
		e.VEXTRACTF64X4(U8(1), v, high)
		e.VADDPS(high, v.AsY(), v.AsY())
	}
	high := e.XMM()
	switch {
	case n <= 4 || r > 4:
	case e.t.lanes == 16:
		e.VEXTRACTF32X4(U8(1), v.AsY(), high) // reaches all registers
		e.VADDPS(high, v.AsX(), v.AsX())
	default:
		e.VEXTRACTF128(U8(1), v, high)
		e.VADDPS(high, v.AsX(), v.AsX())
	}
	if r < 4 {
		e.VPERMILPS(U8(0b1110), v.AsX(), high)
		e.VADDPS(high, v.AsX(), v.AsX())
	}
	if r < 2 {
		e.VPERMILPS(U8(0b01), v.AsX(), high)
		e.VADDSS(high, v.AsX(), v.AsX())
	}
}

// label names a place in the kernel.
func label(format string, args ...any) string { return fmt.Sprintf(format, args...) }
