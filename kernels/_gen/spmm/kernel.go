package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Byte offsets of the fields of args and of an entry, and bits of flags, as
// package spmm declares them; its TestArgsLayout compares.
const (
	argEntries = 0
	argCount   = 8
	argOff     = 16
	argVal     = 24
	argBias    = 32
	argX       = 40
	argY       = 48
	argRes     = 56
	argXRow    = 64
	argYRow    = 72
	argResRow  = 80
	argYChan   = 88
	argResChan = 96
	argFlags   = 104
	argMin     = 108
	argMax     = 112

	entryRow   = 0
	entryCount = 4
	entryOff   = 8
	entryVal   = 12
	entrySize  = 16

	flagFirst    = 1
	flagResidual = 2
	flagClamp    = 4
	flagPrefetch = 8
	flagFar      = 16

	// lookahead is how many entries ahead output rows are prefetched,
	lookahead = 2
	// ahead how many bytes weights are.
	ahead = 1024
)

// General registers.
//
// Loads are what binds a kernel of one weight row, and the processor serves
// the oldest first. So what the next entry and the next columns need is loaded
// ahead of the current one's multiply-adds: else each entry would begin with
// the latency of three loads that depend on each other, 10 cycles of 70.
var (
	rArgs  = reg.RDI
	rEntry = reg.RSI // the current entry
	rX     = reg.R8
	rOff   = reg.R9  // end of the entry's offsets
	rVal   = reg.R11 // its values: their end for one and two rows, else the next
	rIndex = reg.RCX // minus the columns left; one more where columns go in pairs
	rXRow  = reg.R12 // bytes from a row of a tile to the next
	rY     = reg.RDX // the entry's first row of y

	rNextCount = reg.R10 // of the entry after: its columns,
	rNextY     = reg.R14 // and its first row of y
	rNextOff   = reg.R15 // more than one row: and its offsets
	rPair      = reg.R15 // one row: the next two offsets

	rA = reg.RAX
	rB = reg.RBX
)

// A kernel is one being emitted.
type kernel struct {
	*build.Context
	target
	shape
	sets int         // of accumulators: two where one would be bound by latency
	last operand.Mem // address of the last entry
}

func newKernel(c *build.Context, t target, s shape) *kernel {
	k := &kernel{Context: c, target: t, shape: s, sets: 1}
	if s.turns() {
		k.sets = 2
	}
	return k
}

// pairs reports whether columns are taken two at a time.
func (k *kernel) pairs() bool { return k.r == 1 || k.sets == 2 }

// acc is the accumulator of weight row i and vector j in a set.
func (k *kernel) acc(set, i, j int) reg.VecPhysical {
	return k.regs[(set*k.r+i)*k.vectors()+j]
}

// eachAcc calls f for every weight row and vector.
func (k *kernel) eachAcc(f func(i, j int)) {
	for i := range k.r {
		for j := range k.vectors() {
			f(i, j)
		}
	}
}

// spares is how many registers no accumulator has; spare is one of them.
func (k *kernel) spares() int                 { return len(k.regs) - k.sets*k.r*k.vectors() }
func (k *kernel) spare(n int) reg.VecPhysical { return k.regs[len(k.regs)-1-n] }

func mem(base reg.GPPhysical, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }

func indexed(base, index reg.GPPhysical, scale uint8) operand.Mem {
	return operand.Mem{Base: base, Index: index, Scale: scale}
}

// emit writes the kernel.
func (k *kernel) emit() {
	k.Function(k.symbol(k.target))
	k.SignatureExpr("func(a *byte)")
	// A frame of this size makes every call check for preemption.
	k.last = k.AllocLocal(128)
	k.Load(k.Param("a"), rArgs)
	k.MOVQ(mem(rArgs, argEntries), rEntry)
	k.MOVQ(mem(rArgs, argCount), rA)
	k.SHLQ(operand.U8(4), rA)
	k.LEAQ(operand.Mem{Base: rEntry, Index: rA, Scale: 1, Disp: -entrySize}, rA)
	k.MOVQ(rA, k.last)
	k.MOVQ(mem(rArgs, argX), rX)
	if k.rows > 1 {
		k.MOVQ(mem(rArgs, argXRow), rXRow)
	}
	k.MOVQ(mem(rArgs, argVal), rA)
	k.MOVL(mem(rEntry, entryVal), rVal.As32())
	k.LEAQ(indexed(rA, rVal, 4), rVal)
	if k.r == 1 {
		k.MOVQ(mem(rArgs, argOff), rA)
		k.MOVL(mem(rEntry, entryOff), rOff.As32())
		k.LEAQ(indexed(rA, rOff, 4), rOff)
	}
	k.next(0)

	k.Label("entry")
	k.MOVQ(rNextY, rY)
	k.MOVQ(rNextCount, rIndex)
	if k.r == 1 {
		k.MOVQ(mem(rOff, 0), rPair)
		k.LEAQ(indexed(rOff, rIndex, 4), rOff)
	} else {
		k.LEAQ(indexed(rNextOff, rIndex, 4), rOff)
	}
	if k.r <= 2 {
		k.LEAQ(indexed(rVal, rIndex, uint8(4*k.r)), rVal)
	}
	k.next(entrySize)
	k.prefetch()
	k.begin()
	k.columns()
	k.end()
	k.ADDQ(operand.U8(entrySize), rEntry)
	k.CMPQ(rEntry, k.last)
	k.JLS(operand.LabelRef("entry"))
	k.VZEROUPPER()
	k.RET()
}

// next loads what the entry at disp bytes from the current one needs first.
func (k *kernel) next(disp int) {
	k.MOVL(mem(rEntry, disp+entryCount), rNextCount.As32())
	if k.r > 1 {
		k.MOVQ(mem(rArgs, argOff), rA)
		k.MOVL(mem(rEntry, disp+entryOff), rNextOff.As32())
		k.LEAQ(indexed(rA, rNextOff, 4), rNextOff)
	}
	k.rowOfY(disp+entryRow, rNextY)
}

// rowOfY sets y to the row of y whose number is disp bytes from the current
// entry.
func (k *kernel) rowOfY(disp int, y reg.GPPhysical) {
	k.MOVL(mem(rEntry, disp), y.As32())
	k.IMULQ(mem(rArgs, argYChan), y)
	k.ADDQ(mem(rArgs, argY), y)
}

// prefetch asks for the output rows of the entry after the next, and for
// weights to come, where the caller wants that: it pays on Intel's cores, not
// on Zen 4.
func (k *kernel) prefetch() {
	k.TESTL(operand.U32(flagPrefetch), mem(rArgs, argFlags))
	k.JZ(operand.LabelRef("fetched"))
	k.rowOfY(lookahead*entrySize+entryRow, rA)
	k.walk(argYRow, argYChan, func(_, j int, m operand.Mem) {
		if j%k.cols*k.bytes%64 == 0 { // one a cache line
			k.PREFETCHT0(m)
		}
	})
	if k.r == 1 {
		k.PREFETCHT0(mem(rVal, ahead))
		k.PREFETCHT0(mem(rOff, ahead))
	}
	k.Label("fetched")
}

// walk calls f with the address of every vector of a tile that begins at rA,
// for each weight row. row and channel are the arguments with the strides.
// It changes rA and rB.
func (k *kernel) walk(row, channel int, f func(i, j int, m operand.Mem)) {
	if k.rows > 1 {
		k.MOVQ(mem(rArgs, row), rB)
	}
	k.eachAcc(func(i, j int) {
		switch {
		case j%k.cols > 0, i+j == 0:
		case j > 0:
			k.ADDQ(rB, rA)
		default:
			for range k.rows - 1 {
				k.SUBQ(rB, rA)
			}
			k.ADDQ(mem(rArgs, channel), rA)
		}
		f(i, j, mem(rA, j%k.cols*k.bytes))
	})
}

// begin sets the accumulators: to the bias, plus the residual, in the first
// K-block, else to what y holds.
func (k *kernel) begin() {
	k.TESTL(operand.U32(flagFirst), mem(rArgs, argFlags))
	k.JZ(operand.LabelRef("resume"))
	k.MOVL(mem(rEntry, entryRow), rA.As32())
	k.MOVQ(mem(rArgs, argBias), rB)
	for i := range k.r {
		m := indexed(rB, rA, 4)
		m.Disp = 4 * i
		k.VBROADCASTSS(m, k.acc(0, i, 0))
		for j := 1; j < k.vectors(); j++ {
			k.VMOVAPS(k.acc(0, i, 0), k.acc(0, i, j))
		}
	}
	k.TESTL(operand.U32(flagResidual), mem(rArgs, argFlags))
	k.JZ(operand.LabelRef("begun"))
	k.IMULQ(mem(rArgs, argResChan), rA)
	k.ADDQ(mem(rArgs, argRes), rA)
	k.walk(argResRow, argResChan, func(i, j int, m operand.Mem) {
		k.VADDPS(m, k.acc(0, i, j), k.acc(0, i, j))
	})
	k.JMP(operand.LabelRef("begun"))
	k.Label("resume")
	k.MOVQ(rY, rA)
	k.walk(argYRow, argYChan, func(i, j int, m operand.Mem) { k.VMOVUPS(m, k.acc(0, i, j)) })
	k.Label("begun")
	if k.sets == 2 {
		k.eachAcc(func(i, j int) { k.VXORPS(k.acc(1, i, j), k.acc(1, i, j), k.acc(1, i, j)) })
	}
}

// end clamps and stores the accumulators.
func (k *kernel) end() {
	k.clamp()
	k.MOVQ(rY, rA)
	k.walk(argYRow, argYChan, func(i, j int, m operand.Mem) { k.VMOVUPS(k.acc(0, i, j), m) })
}

// clamp limits the accumulators where the caller wants that.
func (k *kernel) clamp() {
	k.TESTL(operand.U32(flagClamp), mem(rArgs, argFlags))
	k.JZ(operand.LabelRef("store"))
	lo, hi := k.spare(0), k.spare(1)
	k.VBROADCASTSS(mem(rArgs, argMin), lo)
	k.VBROADCASTSS(mem(rArgs, argMax), hi)
	k.eachAcc(func(i, j int) {
		// Where an operand is NaN, both give the second in Intel's order, Go's
		// first: the accumulator.
		k.VMAXPS(k.acc(0, i, j), lo, k.acc(0, i, j))
		k.VMINPS(k.acc(0, i, j), hi, k.acc(0, i, j))
	})
	k.Label("store")
}

// columns multiplies the entry's columns.
func (k *kernel) columns() {
	k.NEGQ(rIndex)
	if !k.pairs() {
		k.JZ(operand.LabelRef("done"))
		k.Label("column")
		k.MOVL(indexed(rOff, rIndex, 4), rA.As32())
		// Blocks leave load ports idle: ask for the weights, which come from the
		// L3 cache or beyond where a layer has many. 3 to 5 % there.
		k.PREFETCHT0(k.value(ahead/(4*k.r), 0))
		k.multiply(0, rA, 0)
		k.advance(1)
		k.JNZ(operand.LabelRef("column"))
		k.Label("done")
		return
	}
	k.ADDQ(operand.U8(1), rIndex)
	k.JG(operand.LabelRef("done"))
	k.JZ(operand.LabelRef("odd"))
	k.Label("column")
	if k.r == 1 {
		k.MOVL(rPair.As32(), rA.As32())
		k.MOVQ(rPair, rB)
	} else {
		k.MOVQ(k.offset(-1), rB)
		k.MOVL(rB.As32(), rA.As32())
	}
	k.SHRQ(operand.U8(32), rB)
	if k.r == 1 {
		k.MOVQ(k.offset(1), rPair)
		// One load for both weights: (w0, w1, w0, w1, ...) to (w0, w0, ...)
		// and (w1, w1, ...).
		w0, w1 := k.spare(0), k.spare(1)
		k.VBROADCASTSD(k.value(0, 0), w1)
		k.VMOVSLDUP(w1, w0)
		k.VMOVSHDUP(w1, w1)
		k.axpy(0, rA, w0)
		k.axpy(k.sets-1, rB, w1)
	} else {
		k.multiply(0, rA, 0)
		k.multiply(1, rB, 1)
	}
	k.advance(2)
	k.JS(operand.LabelRef("column"))
	k.JNZ(operand.LabelRef("even"))
	k.Label("odd")
	if k.r == 1 {
		k.MOVL(rPair.As32(), rA.As32())
	} else {
		k.MOVL(k.offset(-1), rA.As32())
	}
	k.multiply(0, rA, 0)
	if k.r > 2 {
		k.ADDQ(operand.U32(4*k.r), rVal)
	}
	k.Label("even")
	if k.sets == 2 {
		k.eachAcc(func(i, j int) { k.VADDPS(k.acc(1, i, j), k.acc(0, i, j), k.acc(0, i, j)) })
	}
	k.Label("done")
}

// offset is that of the column n after the current one, where columns go in
// pairs.
func (k *kernel) offset(n int) operand.Mem { return k.at(rOff, 4, 4*n) }

// at is disp bytes from the current index of a list with elements of so many
// bytes.
func (k *kernel) at(list reg.GPPhysical, bytes uint8, disp int) operand.Mem {
	m := indexed(list, rIndex, bytes)
	m.Disp = disp
	return m
}

// value is the weight of row i in the column n after the current one.
func (k *kernel) value(n, i int) operand.Mem {
	if k.r > 2 {
		return mem(rVal, 4*(n*k.r+i))
	}
	if k.pairs() {
		n--
	}
	return k.at(rVal, uint8(4*k.r), 4*(n*k.r+i))
}

// advance goes n columns on, and sets the flags of rIndex.
func (k *kernel) advance(n int) {
	if k.r > 2 {
		k.ADDQ(operand.U32(4*n*k.r), rVal)
	}
	k.ADDQ(operand.U8(n), rIndex)
}

// eachX calls f with the address of each of a column's vectors. off has its
// offset, and is changed: operands with an index register would split multiply-adds
// in two on Intel's cores.
func (k *kernel) eachX(off reg.GPPhysical, f func(j int, x operand.Mem)) {
	k.ADDQ(rX, off)
	for j := range k.vectors() {
		if j > 0 && j%k.cols == 0 {
			k.ADDQ(rXRow, off)
		}
		f(j, mem(off, j%k.cols*k.step*k.bytes))
	}
}

// axpy adds a column times the weight w, of one weight row.
func (k *kernel) axpy(set int, off reg.GPPhysical, w reg.VecPhysical) {
	k.eachX(off, func(j int, x operand.Mem) { k.VFMADD231PS(x, w, k.acc(set, 0, j)) })
}

// multiply adds the column n after the current one, at the offset in off, to a
// set of accumulators. With several weight rows, activations or weights are
// loaded once and kept in registers, whichever fits.
func (k *kernel) multiply(set int, off reg.GPPhysical, n int) {
	if k.r == 1 {
		w := k.spare(0)
		k.VBROADCASTSS(k.value(n, 0), w)
		k.axpy(set, off, w)
		return
	}
	v := k.vectors()
	if free := k.spares() - v; free > 0 && k.r >= v {
		k.eachX(off, func(j int, x operand.Mem) { k.VMOVUPS(x, k.spare(j)) })
		for i := range k.r {
			w := k.spare(v + i%free)
			k.VBROADCASTSS(k.value(n, i), w)
			for j := range v {
				k.VFMADD231PS(k.spare(j), w, k.acc(set, i, j))
			}
		}
		return
	}
	// Weights in registers; where one is missing, the last weight is broadcast
	// by the multiply-add itself, which only AVX-512 can.
	held := min(k.r, k.spares()-1)
	free := k.spares() - held
	for i := range held {
		k.VBROADCASTSS(k.value(n, i), k.spare(i))
	}
	k.eachX(off, func(j int, x operand.Mem) {
		a := k.spare(held + j%free)
		k.VMOVUPS(x, a)
		for i := range k.r {
			if i < held {
				k.VFMADD231PS(a, k.spare(i), k.acc(set, i, j))
			} else {
				k.VFMADD231PS_BCST(k.value(n, i), a, k.acc(set, i, j))
			}
		}
	})
}

// peakChains is how many multiply-adds are independent: more than latency
// times units of any processor.
const peakChains = 12

func peakName(t target) string { return "peak_" + t.name }

// emitPeak writes a function that does nothing but multiply-adds.
func emitPeak(c *build.Context, t target) {
	c.Function(peakName(t))
	c.SignatureExpr("func(n int)")
	c.AllocLocal(128)
	c.Load(c.Param("n"), rA)
	for i := range peakChains + 1 {
		c.VXORPS(t.regs[i], t.regs[i], t.regs[i])
	}
	c.Label("again")
	for i := range peakChains {
		c.VFMADD231PS(t.regs[peakChains], t.regs[peakChains], t.regs[i])
	}
	c.SUBQ(operand.U8(1), rA)
	c.JNZ(operand.LabelRef("again"))
	c.VZEROUPPER()
	c.RET()
}

// A block of loads is loadBlock vectors from each of loadStreams places: enough
// that its branch, which on some processors takes the place of a load, does not
// count, and that memory is read as fast as from anywhere.
const loadBlock, loadStreams = 8, 4

func loadsName(t target) string { return "loads_" + t.name }

// emitLoads writes a function of multiply-adds that each take an operand from
// memory.
func emitLoads(c *build.Context, t target) {
	streams := [loadStreams]reg.GPPhysical{reg.R9, reg.R10, reg.R11, reg.R12}
	c.Function(loadsName(t))
	c.SignatureExpr("func(x *float32, stride, blocks, passes int)")
	c.AllocLocal(128)
	c.Load(c.Param("x"), rX)
	c.Load(c.Param("stride"), rPair)
	c.Load(c.Param("blocks"), rB)
	c.Load(c.Param("passes"), rA)
	for i := range peakChains + 1 {
		c.VXORPS(t.regs[i], t.regs[i], t.regs[i])
	}
	c.Label("pass")
	c.MOVQ(rX, streams[0])
	for i := range loadStreams - 1 {
		c.LEAQ(indexed(streams[i], rPair, 1), streams[i+1])
	}
	c.MOVQ(rB, rIndex)
	c.Label("block")
	for i := range loadBlock {
		for j, from := range streams {
			c.VFMADD231PS(mem(from, i*t.bytes), t.regs[peakChains], t.regs[(i*loadStreams+j)%peakChains])
		}
	}
	for _, from := range streams {
		c.ADDQ(operand.U32(loadBlock*t.bytes), from)
	}
	c.SUBQ(operand.U8(1), rIndex)
	c.JNZ(operand.LabelRef("block"))
	c.SUBQ(operand.U8(1), rA)
	c.JNZ(operand.LabelRef("pass"))
	c.VZEROUPPER()
	c.RET()
}
