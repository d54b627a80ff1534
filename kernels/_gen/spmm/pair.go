package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Byte offsets of the fields of a pairEntry, as package spmm declares it; its
// TestArgsLayout compares.
const (
	pairFirst  = 0
	pairSecond = 4
	pairShared = 8
	pairApart  = 12
	pairSize   = 16
)

// General registers of pair kernels; those not named here are as of the others.
var (
	rY2 = reg.R10 // the second row of y
	// The next two offsets of columns apart, of the first row and of the second;
	// and the two after those.
	rPair0 = reg.R14
	rPair1 = reg.R15
)

// A pairKernel takes two weight rows at a time: first the columns that both
// have, whose activations it loads once, then as many of each row alone, two at
// a time. Every load takes the place of one of activations, those of general
// registers too, and the oldest goes first. So offsets are loaded while those
// before are in use, and two columns of both rows take one load of four weights
// and two of two offsets each. (One of four would have to be moved to general
// registers, by the ports that Intel's cores multiply with.)
type pairKernel struct {
	kernel
	nextY [2]operand.Mem // rows of y of the entry after
}

func newPairKernel(c *build.Context, t target, s shape) *pairKernel {
	k := &pairKernel{kernel: kernel{Context: c, target: t, shape: s, sets: 1}}
	k.r = 2 // rows of accumulators
	return k
}

// emit writes the kernel.
func (k *pairKernel) emit() {
	k.Function(k.shape.symbol(k.target))
	k.SignatureExpr("func(a *byte)")
	k.last = k.AllocLocal(128) // as of the other kernels
	for i := range k.nextY {
		k.nextY[i] = k.last.Offset(8 * (1 + i))
	}
	k.Load(k.Param("a"), rArgs)
	k.MOVQ(mem(rArgs, argEntries), rEntry)
	k.MOVQ(mem(rArgs, argCount), rA)
	k.SHLQ(operand.U8(4), rA)
	k.LEAQ(operand.Mem{Base: rEntry, Index: rA, Scale: 1, Disp: -pairSize}, rA)
	k.MOVQ(rA, k.last)
	k.MOVQ(mem(rArgs, argX), rX)
	if k.rows > 1 {
		k.MOVQ(mem(rArgs, argXRow), rXRow)
	}
	k.MOVQ(mem(rArgs, argOff), rOff)
	k.MOVQ(mem(rArgs, argVal), rVal)
	k.next(0)

	k.Label("entry")
	k.MOVQ(k.nextY[0], rY)
	k.MOVQ(k.nextY[1], rY2)
	k.next(pairSize)
	k.MOVL(mem(rEntry, pairShared), rA.As32())
	k.LEAQ(indexed(rOff, rA, 4), rA)
	k.MOVQ(mem(rA, 0), rPair0)
	k.MOVQ(mem(rA, 8), rPair1)
	k.prefetch()
	k.begin()
	k.shared()
	k.apart()
	k.end()
	k.ADDQ(operand.U8(pairSize), rEntry)
	k.CMPQ(rEntry, k.last)
	k.JLS(operand.LabelRef("entry"))
	k.VZEROUPPER()
	k.RET()
}

// next finds the rows of y of the entry at disp bytes from the current one.
func (k *pairKernel) next(disp int) {
	for i, row := range []int{pairFirst, pairSecond} {
		k.rowOfY(disp+row, rA)
		k.MOVQ(rA, k.nextY[i])
	}
}

// prefetch asks for weights to come, which in a network are in no cache near
// by, and where the caller wants that for the output rows of the entry after
// the next.
func (k *pairKernel) prefetch() {
	k.prefetchLists()
	k.TESTL(operand.U32(flagPrefetch), mem(rArgs, argFlags))
	k.JZ(operand.LabelRef("fetched"))
	for _, row := range []int{pairFirst, pairSecond} {
		k.rowOfY(lookahead*pairSize+row, rA)
		if k.rows > 1 {
			k.MOVQ(mem(rArgs, argYRow), rB)
		}
		for j := range k.vectors() {
			if j > 0 && j%k.cols == 0 {
				k.ADDQ(rB, rA)
			}
			if j%k.cols*k.bytes%64 == 0 { // one a cache line
				k.PREFETCHT0(mem(rA, j%k.cols*k.bytes))
			}
		}
	}
	k.Label("fetched")
}

// prefetchLists asks for a line of values and one of offsets; small tiles, whose
// weights are most of what they read, for as many as the entry has, but only
// where those are far.
func (k *pairKernel) prefetchLists() {
	const line, small = 64, 256 // bytes
	if k.vectors()*k.bytes > small {
		k.PREFETCHT0(mem(rVal, ahead))
		k.PREFETCHT0(mem(rOff, ahead))
		return
	}
	k.TESTL(operand.U32(flagFar), mem(rArgs, argFlags))
	k.JZ(operand.LabelRef("near"))
	k.MOVL(mem(rEntry, pairShared), rA.As32())
	k.ADDL(mem(rEntry, pairApart), rA.As32())
	k.SHLQ(operand.U8(3), rA) // bytes of values, and nearly of offsets
	k.Label("line")
	for _, list := range []reg.GPPhysical{rVal, rOff} {
		m := indexed(list, rA, 1)
		m.Disp = ahead - line
		k.PREFETCHT0(m)
	}
	k.SUBQ(operand.U8(line), rA)
	k.JG(operand.LabelRef("line"))
	k.Label("near")
}

// walk calls f with the address of every vector of a tile in both rows, which
// begin at starts. row is the argument with the stride of tile rows. It changes
// rA and rB where a tile has several, else nothing.
func (k *pairKernel) walk(row int, starts [2]reg.GPPhysical, f func(i, j int, m operand.Mem)) {
	if k.rows > 1 {
		k.MOVQ(mem(rArgs, row), rB)
	}
	for i, at := range starts {
		for j := range k.vectors() {
			if j > 0 && j%k.cols == 0 {
				if at != rA {
					k.MOVQ(at, rA)
					at = rA
				}
				k.ADDQ(rB, rA)
			}
			f(i, j, mem(at, j%k.cols*k.bytes))
		}
	}
}

// begin sets the accumulators: to the bias, plus the residual, in the first
// K-block, else to what y holds.
func (k *pairKernel) begin() {
	k.TESTL(operand.U32(flagFirst), mem(rArgs, argFlags))
	k.JZ(operand.LabelRef("resume"))
	k.MOVQ(mem(rArgs, argBias), rB)
	for i, row := range []int{pairFirst, pairSecond} {
		k.MOVL(mem(rEntry, row), rA.As32())
		k.VBROADCASTSS(indexed(rB, rA, 4), k.acc(0, i, 0))
		for j := 1; j < k.vectors(); j++ {
			k.VMOVAPS(k.acc(0, i, 0), k.acc(0, i, j))
		}
	}
	k.TESTL(operand.U32(flagResidual), mem(rArgs, argFlags))
	k.JZ(operand.LabelRef("begun"))
	// The lists are not walked yet: their registers are free.
	starts := [2]reg.GPPhysical{rA, rIndex}
	for i, row := range []int{pairSecond, pairFirst} { // rA last, as walk changes it
		at := starts[1-i]
		k.MOVL(mem(rEntry, row), at.As32())
		k.IMULQ(mem(rArgs, argResChan), at)
		k.ADDQ(mem(rArgs, argRes), at)
	}
	k.walk(argResRow, starts, func(i, j int, m operand.Mem) {
		k.VADDPS(m, k.acc(0, i, j), k.acc(0, i, j))
	})
	k.JMP(operand.LabelRef("begun"))
	k.Label("resume")
	k.walk(argYRow, [2]reg.GPPhysical{rY, rY2}, func(i, j int, m operand.Mem) { k.VMOVUPS(m, k.acc(0, i, j)) })
	k.Label("begun")
}

// shared multiplies the columns that both rows have.
func (k *pairKernel) shared() {
	k.MOVL(mem(rEntry, pairShared), rIndex.As32())
	k.MOVL(mem(rOff, 0), rB.As32())
	k.LEAQ(indexed(rOff, rIndex, 4), rOff)
	k.LEAQ(indexed(rVal, rIndex, 8), rVal)
	k.NEGQ(rIndex)
	k.JZ(operand.LabelRef("apart"))
	k.Label("both")
	k.MOVL(rB.As32(), rA.As32())
	k.MOVL(k.at(rOff, 4, 4), rB.As32())
	first, second := k.spare(0), k.spare(1)
	k.broadcastTwo(k.at(rVal, 8, 0), first, second)
	k.eachX(rA, func(j int, x operand.Mem) {
		v := k.spare(2 + j%(k.spares()-2))
		k.VMOVUPS(x, v)
		k.VFMADD231PS(v, first, k.acc(0, 0, j))
		k.VFMADD231PS(v, second, k.acc(0, 1, j))
	})
	k.ADDQ(operand.U8(1), rIndex)
	k.JNZ(operand.LabelRef("both"))
	k.Label("apart")
}

// apart multiplies the columns that only one of the rows has: two of each a
// turn, and at the end one where their number is odd.
func (k *pairKernel) apart() {
	w := [2]reg.VecPhysical{k.spare(0), k.spare(1)} // a weight of each row
	four := k.spare(2)                              // weights
	k.MOVL(mem(rEntry, pairApart), rIndex.As32())
	k.LEAQ(indexed(rOff, rIndex, 8), rOff)
	k.LEAQ(indexed(rVal, rIndex, 8), rVal)
	k.NEGQ(rIndex)
	k.JZ(operand.LabelRef("done"))
	k.ADDQ(operand.U8(1), rIndex)
	k.JZ(operand.LabelRef("odd"))
	k.Label("each")
	k.broadcast4(k.at(rVal, 8, -8), four)
	k.VPERMILPS(operand.U8(0x00), four, w[0])
	k.VPERMILPS(operand.U8(0x55), four, w[1])
	k.axpys(rPair0, w)
	k.MOVQ(k.at(rOff, 8, 8), rPair0)
	k.VPERMILPS(operand.U8(0xaa), four, w[0])
	k.VPERMILPS(operand.U8(0xff), four, w[1])
	k.axpys(rPair1, w)
	k.MOVQ(k.at(rOff, 8, 16), rPair1)
	k.ADDQ(operand.U8(2), rIndex)
	k.JS(operand.LabelRef("each"))
	k.JNZ(operand.LabelRef("done"))
	k.Label("odd")
	k.broadcastTwo(mem(rVal, -8), w[0], w[1])
	k.axpys(rPair0, w)
	k.Label("done")
}

// axpys adds a column times a weight to each row: the columns at the offsets in
// offs, which is changed, as rA is.
func (k *pairKernel) axpys(offs reg.GPPhysical, w [2]reg.VecPhysical) {
	k.MOVL(offs.As32(), rA.As32())
	k.SHRQ(operand.U8(32), offs)
	for i, off := range []reg.GPPhysical{rA, offs} {
		k.eachX(off, func(j int, x operand.Mem) { k.VFMADD231PS(x, w[i], k.acc(0, i, j)) })
	}
}

// broadcastTwo broadcasts two values with one load: (w0, w1, w0, w1, ...) to
// (w0, w0, ...) and (w1, w1, ...).
func (k *pairKernel) broadcastTwo(m operand.Mem, first, second reg.VecPhysical) {
	k.VBROADCASTSD(m, second)
	k.VMOVSLDUP(second, first)
	k.VMOVSHDUP(second, second)
}

// broadcast4 repeats the four values at m.
func (k *pairKernel) broadcast4(m operand.Mem, v reg.VecPhysical) {
	if k.bytes == 64 {
		k.VBROADCASTF32X4(m, v)
	} else {
		k.VBROADCASTF128(m, v)
	}
}

// end clamps and stores the accumulators.
func (k *pairKernel) end() {
	k.clamp()
	k.walk(argYRow, [2]reg.GPPhysical{rY, rY2}, func(i, j int, m operand.Mem) { k.VMOVUPS(k.acc(0, i, j), m) })
}
