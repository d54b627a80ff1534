package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Byte offsets of the fields of args, and of an entry. Package spmm's
// TestArgsLayout compares them.
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

	// lookahead is how many entries ahead output rows are prefetched.
	lookahead = 2

	flagFirst    = 1
	flagResidual = 2
	flagClamp    = 4
)

// A shape is what kernels differ by.
type shape struct{ r, rows, cols, step int }

func (s shape) vectors() int { return s.rows * s.cols }

func (s shape) name(t target) string {
	return fmt.Sprintf("f32_spmm_%dx%dx%ds%d_%s", s.r, s.rows, s.cols, s.step, t.name)
}

// A target is an instruction set.
type target struct {
	name   string
	bytes  int // a vector
	regs   []reg.VecPhysical
	few    int                 // accumulators up to which the latency of a multiply-add would bind
	shapes func(r int) []shape // without step
}

var targets = map[string]target{
	"avx512": {name: "avx512", bytes: 64, regs: zmm, few: 4, shapes: avx512Shapes},
	"avx2":   {name: "avx2", bytes: 32, regs: ymm, few: 7, shapes: avx2Shapes},
}

var ymm = []reg.VecPhysical{
	reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7,
	reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15,
}

var zmm = []reg.VecPhysical{
	reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7,
	reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
	reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23,
	reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
}

func wide(rows int, cols ...int) []shape {
	var list []shape
	for _, c := range cols {
		list = append(list, shape{rows: rows, cols: c})
	}
	return list
}

func avx512Shapes(r int) []shape {
	switch r {
	case 1:
		l := wide(1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14)
		l = append(l, wide(2, 1, 2, 3, 4, 5, 6, 7)...)
		l = append(l, wide(3, 3, 4)...)
		return append(l, wide(4, 1, 2, 3, 4, 7)...)
	case 2:
		l := wide(1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14)
		return append(l, wide(2, 1, 2, 3, 4, 5, 6, 7)...)
	case 4:
		return append(wide(1, 1, 2, 3, 4, 5, 6, 7), wide(2, 1, 2, 3)...)
	default:
		return wide(1, 1, 2, 3)
	}
}

func avx2Shapes(r int) []shape {
	switch r {
	case 1:
		l := wide(1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14)
		l = append(l, wide(2, 1, 2, 3, 4, 5, 6, 7)...)
		l = append(l, wide(3, 3, 4)...)
		return append(l, wide(4, 1, 2, 3)...)
	case 2:
		return append(wide(1, 1, 2, 3, 4, 5, 6, 7), wide(2, 1, 2, 3)...)
	case 4:
		return wide(1, 1, 2, 3)
	default:
		return wide(1, 1)
	}
}

// kernels lists the shapes that exist for the target, ascending.
func (t target) kernels() []shape {
	var list []shape
	for _, r := range []int{1, 2, 4, 8} {
		for _, s := range t.shapes(r) {
			for s.step = 1; s.step <= 2; s.step++ {
				s.r = r
				list = append(list, s)
			}
		}
	}
	return list
}

// General registers.
var (
	rArgs    = reg.RDI
	rEntry   = reg.RSI // the current entry
	rCount   = reg.R10 // entries left
	rX       = reg.R8
	rXRow    = reg.R12 // bytes from a tile row of x to the next
	rRow3    = reg.R13 // three times a row stride
	rYChan   = reg.R14
	rYRow    = reg.R15
	rY       = reg.RDX // the entry's first row of y
	rOff     = reg.R9  // end of the entry's offsets
	rVal     = reg.R11 // the entry's values
	rIndex   = reg.RCX // minus the columns left
	rA       = reg.RAX
	rB       = reg.RBX
	entryLen = operand.U32(entrySize)
)

// A kernel is one being emitted.
type kernel struct {
	*build.Context
	target
	shape
	sets int // of accumulators
}

func mem(base reg.GPPhysical, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }

// acc is the accumulator of weight row i and vector j in a set.
func (k kernel) acc(set, i, j int) reg.VecPhysical {
	return k.regs[(set*k.r+i)*k.vectors()+j]
}

// spare is a register that no accumulator has.
func (k kernel) spare(n int) reg.VecPhysical { return k.regs[len(k.regs)-1-n] }

func (k kernel) spares() int { return len(k.regs) - k.sets*k.r*k.vectors() }

// at is vector j of a tile: base is its origin, row the register with the bytes
// between rows, step the vectors between columns.
func (k kernel) at(base, row reg.GPPhysical, step, j int) operand.Mem {
	m := mem(base, j%k.cols*step*k.bytes)
	switch j / k.cols {
	case 1:
		m.Index, m.Scale = row, 1
	case 2:
		m.Index, m.Scale = row, 2
	case 3:
		m.Index, m.Scale = rRow3, 1
	}
	return m
}

// emit writes one kernel.
func emit(c *build.Context, t target, s shape) {
	k := kernel{Context: c, target: t, shape: s, sets: 1}
	if s.r*s.vectors() <= t.few {
		k.sets = 2
	}
	c.Function(s.name(t))
	c.SignatureExpr("func(a *byte)")
	c.AllocLocal(128)
	c.Load(c.Param("a"), rArgs)
	c.MOVQ(mem(rArgs, argEntries), rEntry)
	c.MOVQ(mem(rArgs, argCount), rCount)
	c.MOVQ(mem(rArgs, argX), rX)
	c.MOVQ(mem(rArgs, argYChan), rYChan)
	if s.rows > 1 {
		c.MOVQ(mem(rArgs, argXRow), rXRow)
		c.MOVQ(mem(rArgs, argYRow), rYRow)
	}

	c.Label("entry")
	c.MOVL(mem(rEntry, entryRow), rY.As32())
	c.MOVL(rY.As32(), rA.As32())
	c.IMULQ(rYChan, rY)
	c.ADDQ(mem(rArgs, argY), rY)
	k.begin()

	c.MOVL(mem(rEntry, entryCount), rIndex.As32())
	c.MOVL(mem(rEntry, entryOff), rOff.As32())
	c.MOVL(mem(rEntry, entryVal), rVal.As32())
	c.MOVQ(mem(rArgs, argOff), rA)
	c.ADDQ(rIndex, rOff)
	c.LEAQ(operand.Mem{Base: rA, Index: rOff, Scale: 4}, rOff)
	c.MOVQ(mem(rArgs, argVal), rA)
	if s.r == 1 {
		c.ADDQ(rIndex, rVal)
	}
	c.LEAQ(operand.Mem{Base: rA, Index: rVal, Scale: 4}, rVal)
	if s.r == 2 {
		c.LEAQ(operand.Mem{Base: rVal, Index: rIndex, Scale: 8}, rVal)
	}
	k.prefetch()
	if s.rows > 3 {
		c.LEAQ(operand.Mem{Base: rXRow, Index: rXRow, Scale: 2}, rRow3)
	}
	if k.sets == 1 {
		c.NEGQ(rIndex)
		c.JZ(operand.LabelRef("done"))
		c.Label("column")
		k.column(0, 0)
		k.advance(1)
		c.JNZ(operand.LabelRef("column"))
	} else {
		for i := range k.r {
			for j := range k.vectors() {
				k.zero(k.acc(1, i, j))
			}
		}
		c.NEGQ(rIndex)
		c.ADDQ(operand.U8(1), rIndex)
		c.JG(operand.LabelRef("done"))
		c.JZ(operand.LabelRef("odd"))
		c.Label("column")
		k.column(0, -1)
		k.column(1, 0)
		k.advance(2)
		c.JS(operand.LabelRef("column"))
		c.JNZ(operand.LabelRef("even"))
		c.Label("odd")
		k.column(0, -1)
		c.Label("even")
		for i := range k.r {
			for j := range k.vectors() {
				k.VADDPS(k.acc(1, i, j), k.acc(0, i, j), k.acc(0, i, j))
			}
		}
	}
	c.Label("done")
	k.end()
	c.ADDQ(entryLen, rEntry)
	c.SUBQ(operand.U8(1), rCount)
	c.JNZ(operand.LabelRef("entry"))
	c.VZEROUPPER()
	c.RET()
}

func (k kernel) zero(v reg.VecPhysical) {
	if k.bytes == 64 {
		k.VPXORD(v, v, v)
	} else {
		k.VXORPS(v, v, v)
	}
}

// prefetch asks for the output rows of the entry after the next.
func (k kernel) prefetch() {
	k.MOVL(mem(rEntry, lookahead*entrySize+entryRow), rB.As32())
	k.IMULQ(rYChan, rB)
	k.ADDQ(mem(rArgs, argY), rB)
	if k.rows > 3 {
		k.LEAQ(operand.Mem{Base: rYRow, Index: rYRow, Scale: 2}, rRow3)
	}
	for i := range k.r {
		for j := 0; j < k.vectors(); j++ {
			if j%k.cols*k.bytes%64 == 0 { // one a cache line
				k.PREFETCHT0(k.at(rB, rYRow, 1, j))
			}
		}
		if i < k.r-1 {
			k.ADDQ(rYChan, rB)
		}
	}
}

// eachY calls f with the address of every vector of y.
func (k kernel) eachY(f func(i, j int, m operand.Mem)) {
	k.MOVQ(rY, rB)
	if k.rows > 3 {
		k.LEAQ(operand.Mem{Base: rYRow, Index: rYRow, Scale: 2}, rRow3)
	}
	for i := range k.r {
		for j := range k.vectors() {
			f(i, j, k.at(rB, rYRow, 1, j))
		}
		if i < k.r-1 {
			k.ADDQ(rYChan, rB)
		}
	}
}

// begin sets the accumulators: to the bias, plus the residual, in the first
// K-block, else to what y holds. rA has the weight row.
func (k kernel) begin() {
	k.TESTL(operand.U32(flagFirst), mem(rArgs, argFlags))
	k.JZ(operand.LabelRef("resume"))
	k.MOVQ(mem(rArgs, argBias), rB)
	for i := range k.r {
		k.VBROADCASTSS(operand.Mem{Base: rB, Index: rA, Scale: 4, Disp: 4 * i}, k.acc(0, i, 0))
		for j := 1; j < k.vectors(); j++ {
			k.VMOVAPS(k.acc(0, i, 0), k.acc(0, i, j))
		}
	}
	k.TESTL(operand.U32(flagResidual), mem(rArgs, argFlags))
	k.JZ(operand.LabelRef("columns"))
	k.MOVQ(mem(rArgs, argResChan), rB)
	k.IMULQ(rB, rA)
	k.ADDQ(mem(rArgs, argRes), rA)
	if k.rows > 1 {
		k.MOVQ(mem(rArgs, argResRow), rVal)
	}
	if k.rows > 3 {
		k.LEAQ(operand.Mem{Base: rVal, Index: rVal, Scale: 2}, rRow3)
	}
	for i := range k.r {
		for j := range k.vectors() {
			k.VADDPS(k.at(rA, rVal, 1, j), k.acc(0, i, j), k.acc(0, i, j))
		}
		if i < k.r-1 {
			k.ADDQ(rB, rA)
		}
	}
	k.JMP(operand.LabelRef("columns"))
	k.Label("resume")
	k.eachY(func(i, j int, m operand.Mem) { k.VMOVUPS(m, k.acc(0, i, j)) })
	k.Label("columns")
}

// end clamps and stores the accumulators.
func (k kernel) end() {
	lo, hi := k.spare(0), k.spare(1)
	k.TESTL(operand.U32(flagClamp), mem(rArgs, argFlags))
	k.JZ(operand.LabelRef("store"))
	k.VBROADCASTSS(mem(rArgs, argMin), lo)
	k.VBROADCASTSS(mem(rArgs, argMax), hi)
	for i := range k.r {
		for j := range k.vectors() {
			// Where one is NaN, both give their second operand in Intel's
			// order, Go's first: the accumulator.
			k.VMAXPS(k.acc(0, i, j), lo, k.acc(0, i, j))
			k.VMINPS(k.acc(0, i, j), hi, k.acc(0, i, j))
		}
	}
	k.Label("store")
	k.eachY(func(i, j int, m operand.Mem) { k.VMOVUPS(k.acc(0, i, j), m) })
}

// value is the i'th weight of the column ahead of the current one.
func (k kernel) value(ahead, i int) operand.Mem {
	disp := 4 * (ahead*k.r + i)
	if k.r <= 2 {
		return operand.Mem{Base: rVal, Index: rIndex, Scale: uint8(4 * k.r), Disp: disp}
	}
	return mem(rVal, disp)
}

// advance goes to the column after n.
func (k kernel) advance(n int) {
	if k.r > 2 {
		k.ADDQ(operand.U32(4*n*k.r), rVal)
	}
	k.ADDQ(operand.U8(n), rIndex)
}

// column multiplies one column and adds it to a set of accumulators. ahead is
// how far rIndex is behind.
func (k kernel) column(set, ahead int) {
	k.MOVL(operand.Mem{Base: rOff, Index: rIndex, Scale: 4, Disp: 4 * ahead}, rA.As32())
	k.ADDQ(rX, rA)
	x := func(j int) operand.Mem { return k.at(rA, rXRow, k.step, j) }
	vahead := ahead
	if k.sets == 2 && k.r > 2 {
		vahead++ // rVal is a plain pointer
	}
	switch {
	case k.r == 1:
		w := k.spare(set)
		k.VBROADCASTSS(k.value(vahead, 0), w)
		for j := range k.vectors() {
			k.VFMADD231PS(x(j), w, k.acc(set, 0, j))
		}
	case k.r >= k.vectors() && k.spares() >= k.vectors()+1 || k.spares() < k.r+1 && k.spares() >= k.vectors()+1:
		// Activations in registers.
		for j := range k.vectors() {
			k.VMOVUPS(x(j), k.spare(j))
		}
		n := k.spares() - k.vectors()
		for i := range k.r {
			w := k.spare(k.vectors() + i%n)
			k.VBROADCASTSS(k.value(vahead, i), w)
			for j := range k.vectors() {
				k.VFMADD231PS(k.spare(j), w, k.acc(set, i, j))
			}
		}
	case k.spares() >= k.r+1:
		// Weights in registers.
		for i := range k.r {
			k.VBROADCASTSS(k.value(vahead, i), k.spare(i))
		}
		n := k.spares() - k.r
		for j := range k.vectors() {
			v := k.spare(k.r + j%n)
			k.VMOVUPS(x(j), v)
			for i := range k.r {
				k.VFMADD231PS(v, k.spare(i), k.acc(set, i, j))
			}
		}
	case k.bytes == 64:
		// All weights but the last in registers.
		n := k.spares() - 1
		for i := range n {
			k.VBROADCASTSS(k.value(vahead, i), k.spare(i))
		}
		v := k.spare(n)
		for j := range k.vectors() {
			k.VMOVUPS(x(j), v)
			for i := range k.r {
				if i < n {
					k.VFMADD231PS(v, k.spare(i), k.acc(set, i, j))
				} else {
					k.VFMADD231PS_BCST(k.value(vahead, i), v, k.acc(set, i, j))
				}
			}
		}
	default:
		for i := range k.r {
			k.VBROADCASTSS(k.value(vahead, i), k.spare(i))
		}
		for j := range k.vectors() {
			for i := range k.r {
				k.VFMADD231PS(x(j), k.spare(i), k.acc(set, i, j))
			}
		}
	}
}
