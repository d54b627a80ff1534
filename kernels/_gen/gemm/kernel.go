package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Byte offsets of the fields of args, and bits of flags, as package gemm
// declares them; its TestArgsLayout compares.
const (
	argOff     = 0
	argCount   = 8
	argW       = 16
	argBias    = 24
	argX       = 32
	argY       = 40
	argRes     = 48
	argYChan   = 56
	argResChan = 64
	argRows    = 72
	argMin     = 80
	argMax     = 84
	argFlags   = 88
	argSums    = 96
	argNext    = 104
	argStep    = 112

	flagResidual = 1
	flagClamp    = 2
	flagResume   = 4
	flagMore     = 8

	line = 64 // bytes of a cache line
)

// General registers.
var (
	rArgs  = reg.RDI
	rOff   = reg.R9  // the last offset
	rIndex = reg.RCX // minus the columns that follow the next
	rX     = reg.R8
	rW     = reg.R11 // the column's weights
	rSums  = reg.R10 // where sums wait for the next columns or their transposition
	rY     = reg.RDX // the next row of y
	rRes   = reg.R12 // and of the residual
	rRows  = reg.R13 // that are left to store
	rYChan = reg.RSI
	rNext  = reg.R14 // what to bring into the L2 cache
	rStep  = reg.R15 // bytes from that to what the next column brings

	rA = reg.RAX
	rB = reg.RBX
)

// A kernel is one being emitted.
type kernel struct {
	*build.Context
	target
	shape
}

func mem(base reg.GPPhysical, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }

// emit writes the kernel: sums of products, a vector of weight rows for each
// lane of activations, in one or more passes over the columns; then their
// transposition into rows of Y.
func (k *kernel) emit() {
	k.Function(k.symbol(k.target))
	k.SignatureExpr("func(a *byte)")
	// A frame of this size makes every call check for preemption.
	k.AllocLocal(128)
	k.Load(k.Param("a"), rArgs)
	k.MOVQ(mem(rArgs, argSums), rSums)
	k.MOVQ(mem(rArgs, argX), rX)
	k.MOVQ(mem(rArgs, argOff), rOff)
	k.MOVQ(mem(rArgs, argCount), rIndex)
	k.LEAQ(operand.Mem{Base: rOff, Index: rIndex, Scale: 4, Disp: -4}, rOff)
	passes := k.passes()
	per := (k.live() + passes - 1) / passes
	for n := range passes {
		k.pass(n, n*per, min((n+1)*per, k.live()))
	}
	k.TESTL(operand.U32(flagMore), mem(rArgs, argFlags))
	k.JNZ(operand.LabelRef("end"))
	k.MOVQ(mem(rArgs, argY), rY)
	k.MOVQ(mem(rArgs, argYChan), rYChan)
	k.MOVQ(mem(rArgs, argRes), rRes)
	k.MOVQ(mem(rArgs, argRows), rRows)
	for p := range k.panels {
		k.transpose(p)
		k.store(p)
	}
	k.Label("end")
	k.VZEROUPPER()
	k.RET()
}

// passes is how often a kernel goes over the columns: each lane takes an
// accumulator for each panel, and the panels' weights and an activation a
// register.
func (k *kernel) passes() int {
	most := (k.regs - k.panels - 1) / k.panels
	return (k.live() + most - 1) / most
}

// pass adds up the products of lanes lo to hi-1 and stores the sums.
func (k *kernel) pass(n, lo, hi int) {
	acc := func(l, p int) operand.Op { return k.v((l-lo)*k.panels + p) }
	free := k.regs - (hi-lo)*k.panels // weights, then activations by turns
	w := func(p int) operand.Op { return k.v(k.regs - 1 - p) }
	x := func(l int) operand.Op { return k.v(k.regs - 1 - k.panels - l%min(free-k.panels, 4)) }

	each := func(f func(l, p int)) {
		for l := lo; l < hi; l++ {
			for p := range k.panels {
				f(l, p)
			}
		}
	}
	label := func(name string) string { return fmt.Sprint(name, n) }
	k.TESTL(operand.U32(flagResume), mem(rArgs, argFlags))
	k.JNZ(operand.LabelRef(label("resume")))
	k.MOVQ(mem(rArgs, argBias), rA)
	each(func(l, p int) { k.VMOVUPS(mem(rA, p*k.bytes), acc(l, p)) })
	k.JMP(operand.LabelRef(label("begun")))
	k.Label(label("resume"))
	each(func(l, p int) { k.VMOVUPS(k.sum(p, k.lane(l)), acc(l, p)) })
	k.Label(label("begun"))
	k.MOVQ(mem(rArgs, argW), rW)
	if n == 0 {
		k.MOVQ(mem(rArgs, argNext), rNext)
		k.MOVQ(mem(rArgs, argStep), rStep)
	}
	k.MOVQ(mem(rArgs, argCount), rIndex)
	// Two columns a turn: a core that runs two threads has 3 operations a cycle
	// for each, which is less than one column and the loop take.
	column := func(i int) {
		k.MOVL(operand.Mem{Base: rOff, Index: rIndex, Scale: 4, Disp: 4 * i}, rA.As32())
		for p := range k.panels {
			k.VMOVUPS(mem(rW, (i*k.panels+p)*k.bytes), w(p))
		}
		at := operand.Mem{Base: rX, Index: rA, Scale: 1}
		if n == 0 {
			k.PREFETCHT1(mem(rNext, 0))
			k.ADDQ(rStep, rNext)
			k.PREFETCHT0(at.Offset(line)) // of the next tile, in most products
		}
		for l := lo; l < hi; l++ {
			k.VBROADCASTSS(at.Offset(4*k.lane(l)), x(l))
			for p := range k.panels {
				k.VFMADD231PS(w(p), x(l), acc(l, p))
			}
		}
	}
	k.NEGQ(rIndex)
	k.ADDQ(operand.U8(1), rIndex)
	k.JZ(operand.LabelRef(label("odd")))
	k.Label(label("two"))
	column(0)
	column(1)
	k.ADDQ(operand.U32(2*k.panels*k.bytes), rW)
	k.ADDQ(operand.U8(2), rIndex)
	k.JS(operand.LabelRef(label("two")))
	k.JNZ(operand.LabelRef(label("done")))
	k.Label(label("odd"))
	column(0)
	k.Label(label("done"))
	each(func(l, p int) { k.VMOVUPS(acc(l, p), k.sum(p, k.lane(l))) })
}

// sum is where the sums of a panel and lane wait.
func (k *kernel) sum(panel, lane int) operand.Mem {
	return mem(rSums, (panel*k.target.lanes+lane)*k.bytes)
}

// transpose loads the sums of a panel, zero for lanes that hold none, and turns
// them: afterwards register i has all lanes of row i, in the half of the
// registers that row says.
func (k *kernel) transpose(panel int) {
	n := k.target.lanes
	has := make([]bool, n)
	for l := range k.live() {
		has[k.lane(l)] = true
	}
	for l := range n {
		if has[l] {
			k.VMOVUPS(k.sum(panel, l), k.v(l))
		} else {
			k.zero(l)
		}
	}
	lo, hi := k.v, func(i int) operand.Op { return k.v(n + i) }
	// Rows of four lanes within each 128 bits: a pair, then all four.
	for i := 0; i < n; i += 4 {
		k.VUNPCKLPS(lo(i+1), lo(i), hi(i))
		k.VUNPCKHPS(lo(i+1), lo(i), hi(i+1))
		k.VUNPCKLPS(lo(i+3), lo(i+2), hi(i+2))
		k.VUNPCKHPS(lo(i+3), lo(i+2), hi(i+3))
	}
	for i := 0; i < n; i += 4 {
		k.VUNPCKLPD(hi(i+2), hi(i), lo(i))
		k.VUNPCKHPD(hi(i+2), hi(i), lo(i+1))
		k.VUNPCKLPD(hi(i+3), hi(i+1), lo(i+2))
		k.VUNPCKHPD(hi(i+3), hi(i+1), lo(i+3))
	}
	// Then the 128 bits themselves.
	for j := range 4 {
		if n == 8 {
			k.VPERM2F128(operand.U8(0x20), lo(4+j), lo(j), hi(j))
			k.VPERM2F128(operand.U8(0x31), lo(4+j), lo(j), hi(4+j))
			continue
		}
		const even, odd = 0x88, 0xdd
		k.VSHUFF32X4(operand.U8(even), lo(4+j), lo(j), hi(j))
		k.VSHUFF32X4(operand.U8(even), lo(12+j), lo(8+j), hi(4+j))
		k.VSHUFF32X4(operand.U8(odd), lo(4+j), lo(j), hi(8+j))
		k.VSHUFF32X4(operand.U8(odd), lo(12+j), lo(8+j), hi(12+j))
		k.VSHUFF32X4(operand.U8(even), hi(4+j), hi(j), lo(j))
		k.VSHUFF32X4(operand.U8(even), hi(12+j), hi(8+j), lo(4+j))
		k.VSHUFF32X4(operand.U8(odd), hi(4+j), hi(j), lo(8+j))
		k.VSHUFF32X4(operand.U8(odd), hi(12+j), hi(8+j), lo(12+j))
	}
}

// row is the register of a row that was turned, and spare one of no row.
func (k *kernel) row(i int) operand.Op {
	if k.target.lanes == 8 {
		i += 8
	}
	return k.v(i)
}

func (k *kernel) spare(n int) operand.Op {
	if k.target.lanes == 8 {
		return k.v(n)
	}
	return k.v(16 + n)
}

func (k *kernel) zero(n int) {
	if k.bytes == 64 {
		k.VPXORD(k.v(n), k.v(n), k.v(n))
		return
	}
	k.VXORPS(k.v(n), k.v(n), k.v(n))
}

// store ends the rows of a panel: adds the residual, clamps, and stores as many
// as there are.
func (k *kernel) store(panel int) {
	label := func(name string) string { return fmt.Sprint(name, panel) }
	n := k.target.lanes
	k.TESTL(operand.U32(flagResidual), mem(rArgs, argFlags))
	k.JZ(operand.LabelRef(label("added")))
	k.MOVQ(rRows, rB)
	for i := range n {
		k.VADDPS(mem(rRes, 0), k.row(i), k.row(i))
		k.ADDQ(mem(rArgs, argResChan), rRes)
		k.SUBQ(operand.U8(1), rB)
		k.JZ(operand.LabelRef(label("added")))
	}
	k.Label(label("added"))
	k.TESTL(operand.U32(flagClamp), mem(rArgs, argFlags))
	k.JZ(operand.LabelRef(label("clamped")))
	lo, hi := k.spare(0), k.spare(1)
	k.VBROADCASTSS(mem(rArgs, argMin), lo)
	k.VBROADCASTSS(mem(rArgs, argMax), hi)
	for i := range n {
		// Where an operand is NaN, both give the second in Intel's order, Go's
		// first: the sum.
		k.VMAXPS(k.row(i), lo, k.row(i))
		k.VMINPS(k.row(i), hi, k.row(i))
	}
	k.Label(label("clamped"))
	for i := range n {
		k.VMOVUPS(k.row(i), mem(rY, 0))
		if panel == k.panels-1 && i == n-1 {
			break
		}
		k.ADDQ(rYChan, rY)
		k.SUBQ(operand.U8(1), rRows)
		k.JZ(operand.LabelRef("end"))
	}
}
