package main

import "fmt"

// Byte offsets of the fields of an entry, and bit numbers of its flags.
const (
	entryRow  = 0 // with count behind
	entryBase = 8 // with flags behind
	entrySize = 16

	flagLater   = 0
	flagPartial = 1
)

// General registers of the sparse kernels. R18 and R27 to R30 belong to others.
const (
	rEntry   = "R0" // the current entry
	rEntries = "R1" // entries left
	rCol     = "R2" // the next block's column
	rVal     = "R3" // and values
	rX       = "R8"
	rXCol    = "R9"
	rY       = "R10"
	rYCol    = "R11"
	rBias    = "R12"

	rRow    = "R13" // of the entry
	rCount  = "R14" // its blocks left
	rFlags  = "R15"
	rCols   = "R16" // the columns of four blocks
	rK      = "R17" // the column of one
	rTo     = "R19" // the entry's y of a column
	rFrom   = "R20" // what its accumulators begin at
	rStride = "R21" // bytes from there to the next column's
)

// rColumn is the register with the entry's x of a column.
func rColumn(c int) string { return fmt.Sprintf("R%d", 4+c) }

// turn is how many blocks a turn of the inner loop takes.
const turn = 8

// Vector registers from the accumulators on, up to vMin.
const (
	vWeights = 16 // two sets of up to four, for blocks in turn
	vX       = 24
	vXs      = vMin - vX
)

// parts is how many registers the values of a block take.
func (e emitter) parts() int { return (e.r + 3) / 4 }

// sets is how many sets of accumulators blocks take turns with.
func (e emitter) sets() int { return max(turn/(e.cols*e.parts()), 1) }

// acc is the accumulator of part p and column c in a set.
func (e emitter) acc(set, c, p int) int { return (set*e.cols+c)*e.parts() + p }

// entries writes the kernel of blocks of r x 1: for each entry, for each block
// the r values times each column's x there.
func (e emitter) entries() {
	for _, a := range []struct{ field, reg string }{
		{"entries", rEntry}, {"count", rEntries}, {"col", rCol}, {"val", rVal},
		{"x", rX}, {"xCol", rXCol}, {"y", rY}, {"yCol", rYCol}, {"bias", rBias},
	} {
		e.load(a.field, a.reg)
	}
	e.limits()
	e.op("CBZ %s, end", rEntries)

	e.label("entry")
	e.op("LDPW %d(%s), (%s, %s)", entryRow, rEntry, rRow, rCount)
	e.op("LDPW %d(%s), (%s, %s)", entryBase, rEntry, rK, rFlags)
	e.op("ADD %s<<2, %s, %s", rK, rX, rColumn(0))
	for c := 1; c < e.cols; c++ {
		e.op("ADD %s, %s, %s", rXCol, rColumn(c-1), rColumn(c))
	}
	used := e.sets() * e.cols * e.parts()
	for v := range used {
		e.zero(v)
	}
	e.op("SUBS $%d, %s", turn, rCount)
	e.op("BLT few")
	e.label("many")
	for b := range turn {
		if b%4 == 0 {
			e.op("MOVD.P 8(%s), %s", rCol, rCols)
		}
		e.op("UBFX $%d, %s, $16, %s", b%4*16, rCols, rK)
		if e.r == 1 {
			if b%4 == 0 {
				e.op("FMOVQ.P 16(%s), F%d", rVal, vWeights+b/4)
			}
			e.products(b, vWeights+b/4, b%4)
		} else {
			e.products(b, e.weights(b), -1)
		}
	}
	e.op("SUBS $%d, %s", turn, rCount)
	e.op("BGE many")
	e.label("few")
	e.op("ADDS $%d, %s", turn, rCount)
	e.op("BEQ sum")
	e.label("one")
	e.op("MOVHU.P 2(%s), %s", rCol, rK)
	e.products(0, e.weights(0), -1)
	e.op("SUBS $1, %s", rCount)
	e.op("BNE one")

	e.label("sum")
	for n := e.sets(); n > 1; n /= 2 {
		for v := range used * n / e.sets() / 2 {
			e.op("FADD_4S(%d, %d, %d)", v, v, v+used*n/e.sets()/2)
		}
	}
	e.finish()
	e.op("ADD $%d, %s", entrySize, rEntry)
	e.op("SUBS $1, %s", rEntries)
	e.op("BNE entry")
	e.label("end")
	e.op("RET")
}

// weights loads the values of a block and returns the first register.
func (e emitter) weights(block int) int {
	w := vWeights + block%2*e.parts()
	switch e.r {
	case 1:
		e.op("FMOVS.P 4(%s), F%d", rVal, w)
	case 2:
		e.op("FMOVD.P 8(%s), F%d", rVal, w)
	case 4:
		e.op("FMOVQ.P 16(%s), F%d", rVal, w)
	default:
		for p := 0; p < e.parts(); p += 2 {
			e.op("FLDPQ.P 32(%s), (F%d, F%d)", rVal, w+p, w+p+1)
		}
	}
	return w
}

// products adds a block's products. Its values are in registers from w on, or
// the only one is in a lane of w, from 0 up; x comes in lane 0.
func (e emitter) products(block, w, lane int) {
	for c := range e.cols {
		x := vX + (block*e.cols+c)%vXs
		e.op("FMOVS (%s)(%s<<2), F%d", rColumn(c), rK, x)
		for p := range e.parts() {
			a := e.acc(block%e.sets(), c, p)
			if lane >= 0 {
				e.op("FMLA_4S_S%d(%d, %d, %d)", lane, a, x, w)
			} else {
				e.op("FMLA_4S_S0(%d, %d, %d)", a, w+p, x)
			}
		}
	}
}

// finish adds the bias, or y from the second panel on, to the sums, clamps them
// after the last panel, and stores them.
func (e emitter) finish() {
	e.op("ADD %s<<2, %s, %s", rRow, rY, rTo)
	e.op("ADD %s<<2, %s, %s", rRow, rBias, rFrom)
	e.op("TST $%d, %s", 1<<flagLater, rFlags)
	e.op("CSEL NE, %s, %s, %s", rTo, rFrom, rFrom)
	e.op("CSEL NE, %s, ZR, %s", rYCol, rStride)
	for c := range e.cols {
		if c > 0 {
			e.op("ADD %s, %s", rStride, rFrom)
		}
		for p := range e.parts() {
			e.op("%s %d(%s), F%d", e.move(), 16*p, rFrom, vX)
			e.op("FADD_4S(%d, %d, %d)", e.acc(0, c, p), e.acc(0, c, p), vX)
		}
	}
	e.op("TBNZ $%d, %s, store", flagPartial, rFlags)
	for v := range e.cols * e.parts() {
		e.clamp(v)
	}
	e.label("store")
	for c := range e.cols {
		if c > 0 {
			e.op("ADD %s, %s", rYCol, rTo)
		}
		for p := range e.parts() {
			e.op("%s F%d, %d(%s)", e.move(), e.acc(0, c, p), 16*p, rTo)
		}
	}
}

// move is the instruction that moves what a register has of a block row.
func (e emitter) move() string {
	switch e.r {
	case 1:
		return "FMOVS"
	case 2:
		return "FMOVD"
	default:
		return "FMOVQ"
	}
}
