package main

import (
	"bytes"
	"fmt"
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

	entryRow  = 0 // with count behind
	entryOff  = 8 // with val behind
	entrySize = 16
)

// Bit numbers of args.flags.
const (
	flagFirst = iota
	flagResidual
	flagClamp
)

// General registers. R18 and R27 to R30 belong to others.
const (
	rArgs    = "R0"
	rEntry   = "R1" // the current entry
	rEntries = "R2" // entries left
	rOffs    = "R3"
	rVals    = "R4"
	rBias    = "R5"
	rX       = "R6"
	rY       = "R7"
	rRes     = "R8"
	rXRow    = "R9"
	rYRow    = "R10"
	rResRow  = "R11"
	rYChan   = "R12"
	rResChan = "R13"
	rFlags   = "R14"

	rRow   = "R15" // the entry's weight row
	rCount = "R16" // columns left
	rOff   = "R17" // next offset
	rVal   = "R19" // next values
	rOut   = "R20" // the entry's first row of y
	rAt    = "R21" // of some row of x, y, res or bias
	rAt2   = "R22" // of a further tile row there
)

const (
	vectorBytes = 16
	lineBytes   = 64 // no CPU of interest has smaller cache lines
	registers   = 32
	lookahead   = 2 // entries between the current one and the one prefetched
)

// A kernel is one being emitted.
type kernel struct {
	shape
	b    *bytes.Buffer
	sets int // of accumulators, of which columns take turns
}

func newKernel(b *bytes.Buffer, s shape) kernel {
	k := kernel{shape: s, b: b, sets: 1}
	if s.turns() {
		k.sets = 2
	}
	return k
}

// op writes an instruction.
func (k kernel) op(format string, args ...any) { fmt.Fprintf(k.b, "\t"+format+"\n", args...) }

func (k kernel) label(name string) { fmt.Fprintf(k.b, "\n%s:\n", name) }

// acc is the accumulator of weight row i and vector j in a set.
func (k kernel) acc(set, i, j int) int { return (set*k.r+i)*k.vectors() + j }

// weight is the register of weights 4n to 4n+3 of a column of a set. The
// highest registers are those.
func (k kernel) weight(set, n int) int { return registers - 1 - set*k.weights() - n }

// weights is how many registers the weights of a column take.
func (k kernel) weights() int { return (k.r + 3) / 4 }

// spares lists the registers without accumulator or weight.
func (k kernel) spares() []int {
	var list []int
	for n := k.sets * k.r * k.vectors(); n < registers-k.sets*k.weights(); n++ {
		list = append(list, n)
	}
	return list
}

// emit writes the kernel.
func (k kernel) emit() {
	fmt.Fprintf(k.b, "\n// func %s(a *args)\nTEXT ·%s(SB), 0, $128-8\n", k.name(), k.name())
	k.loadArgs()

	k.label("entry")
	k.op("LDPW %d(%s), (%s, %s)", entryRow, rEntry, rRow, rCount)
	k.op("LDPW %d(%s), (%s, %s)", entryOff, rEntry, rOff, rVal)
	k.op("ADD %s<<2, %s, %s", rOff, rOffs, rOff)
	k.op("ADD %s<<2, %s, %s", rVal, rVals, rVal)
	k.op("MADD %s, %s, %s, %s", rYChan, rY, rRow, rOut)
	k.begin()
	k.prefetch()
	k.columns()
	k.end()
	k.op("ADD $%d, %s", entrySize, rEntry)
	k.op("SUBS $1, %s", rEntries)
	k.op("BNE entry")
	k.op("RET")
}

// loadArgs loads the arguments.
func (k kernel) loadArgs() {
	k.op("NO_LOCAL_POINTERS")
	k.op("MOVD a+0(FP), %s", rArgs)
	k.op("LDP %d(%s), (%s, %s)", argEntries, rArgs, rEntry, rEntries)
	k.op("LDP %d(%s), (%s, %s)", argOff, rArgs, rOffs, rVals)
	k.op("LDP %d(%s), (%s, %s)", argBias, rArgs, rBias, rX)
	k.op("LDP %d(%s), (%s, %s)", argY, rArgs, rY, rRes)
	k.op("LDP %d(%s), (%s, %s)", argXRow, rArgs, rXRow, rYRow)
	k.op("LDP %d(%s), (%s, %s)", argResRow, rArgs, rResRow, rYChan)
	k.op("MOVD %d(%s), %s", argResChan, rArgs, rResChan)
	k.op("MOVWU %d(%s), %s", argFlags, rArgs, rFlags)
}

// begin sets the accumulators: to the bias, plus the residual, in the first
// K-block, else to what y holds.
func (k kernel) begin() {
	k.op("TBZ $%d, %s, resume", flagFirst, rFlags)
	k.op("ADD %s<<2, %s, %s", rRow, rBias, rAt)
	for i := range k.r {
		k.op("VLD1R.P 4(%s), [V%d.S4]", rAt, k.acc(0, i, 0))
		for j := 1; j < k.vectors(); j++ {
			k.op("VMOV V%d.B16, V%d.B16", k.acc(0, i, 0), k.acc(0, i, j))
		}
	}
	k.op("TBZ $%d, %s, begun", flagResidual, rFlags)
	k.op("MADD %s, %s, %s, %s", rResChan, rRes, rRow, rAt)
	k.eachRow(rResRow, rResChan, func(at string, i, row int) {
		k.load(at, 1, k.cols, func(c, v int) {
			a := k.acc(0, i, row*k.cols+c)
			k.op("FADD_4S(%d, %d, %d)", a, a, v)
		})
	})
	k.op("B begun")
	k.label("resume")
	k.op("MOVD %s, %s", rOut, rAt)
	k.eachRow(rYRow, rYChan, func(at string, i, row int) { k.move("FLDPQ", "FMOVQ", at, i, row) })
	k.label("begun")
}

// prefetch asks for the output rows of an entry to come.
func (k kernel) prefetch() {
	k.op("MOVWU %d(%s), %s", lookahead*entrySize+entryRow, rEntry, rAt)
	k.op("MADD %s, %s, %s, %s", rYChan, rY, rAt, rAt)
	k.eachRow(rYRow, rYChan, func(at string, _, _ int) {
		for b := 0; b < k.cols*vectorBytes; b += lineBytes {
			k.op("PRFM %d(%s), PSTL1KEEP", b, at)
		}
	})
}

// columns multiplies the columns and adds them up in the first set of
// accumulators.
func (k kernel) columns() {
	if k.sets == 1 {
		k.op("CBZ %s, summed", rCount)
		k.label("column")
		k.column(0)
		k.op("SUBS $1, %s", rCount)
		k.op("BNE column")
		k.label("summed")
		return
	}
	accs := k.r * k.vectors()
	for a := range accs {
		k.op("VEOR V%d.B16, V%d.B16, V%d.B16", accs+a, accs+a, accs+a)
	}
	k.op("TBZ $0, %s, even", rCount)
	k.column(0)
	k.label("even")
	k.op("LSR $1, %s", rCount)
	k.op("CBZ %s, summed", rCount)
	k.label("columns")
	k.column(0)
	k.column(1)
	k.op("SUBS $1, %s", rCount)
	k.op("BNE columns")
	k.label("summed")
	for a := range accs {
		k.op("FADD_4S(%d, %d, %d)", a, a, accs+a)
	}
}

// column multiplies the next column and adds it to a set of accumulators.
func (k kernel) column(set int) {
	k.op("MOVWU.P 4(%s), %s", rOff, rAt)
	k.op("ADD %s, %s", rX, rAt)
	switch w := k.weight(set, 0); k.r {
	case 1:
		k.op("FMOVS.P 4(%s), F%d", rVal, w)
	case 2:
		k.op("FMOVD.P 8(%s), F%d", rVal, w)
	case 4:
		k.op("FMOVQ.P 16(%s), F%d", rVal, w)
	case 8:
		k.op("FLDPQ.P 32(%s), (F%d, F%d)", rVal, w, k.weight(set, 1))
	}
	at := rAt
	for row := range k.rows {
		if row > 0 {
			k.op("ADD %s, %s, %s", rXRow, at, rAt2)
			at = rAt2
		}
		k.load(at, k.step, k.cols, func(c, v int) {
			for i := range k.r {
				k.op("FMLA_4S_S%d(%d, %d, %d)", i%4, k.acc(set, i, row*k.cols+c), v, k.weight(set, i/4))
			}
		})
	}
}

// end clamps and stores the accumulators.
func (k kernel) end() {
	k.clamp()
	k.op("MOVD %s, %s", rOut, rAt)
	k.eachRow(rYRow, rYChan, func(at string, i, row int) { k.move("FSTPQ", "FMOVQ", at, i, row) })
}

// clamp limits the accumulators where the caller wants that.
func (k kernel) clamp() {
	lo, hi := k.spares()[0], k.spares()[1]
	k.op("TBZ $%d, %s, store", flagClamp, rFlags)
	k.op("ADD $%d, %s, %s", argMin, rArgs, rAt)
	k.op("VLD1R.P 4(%s), [V%d.S4]", rAt, lo)
	k.op("VLD1R (%s), [V%d.S4]", rAt, hi)
	for a := range k.r * k.vectors() {
		k.op("FMAX_4S(%d, %d, %d)", a, a, lo)
		k.op("FMIN_4S(%d, %d, %d)", a, a, hi)
	}
	k.label("store")
}

// eachRow calls f with the register that points to each tile row of each weight
// row, of which rAt points to the first; rowBytes and chanBytes are registers
// with the strides. It overwrites rAt.
func (k kernel) eachRow(rowBytes, chanBytes string, f func(at string, i, row int)) {
	for i := range k.r {
		if i > 0 {
			k.op("ADD %s, %s", chanBytes, rAt)
		}
		at := rAt
		for row := range k.rows {
			if row > 0 {
				k.op("ADD %s, %s, %s", rowBytes, at, rAt2)
				at = rAt2
			}
			f(at, i, row)
		}
	}
}

// load loads n vectors that are step apart, as many at a time as there are
// spare registers, and calls use with each one's number and register.
func (k kernel) load(at string, step, n int, use func(c, v int)) {
	spares := k.spares()
	for done := 0; done < n; {
		m := min(n-done, len(spares))
		if m < n-done && m > 1 && step == 1 {
			m &^= 1 // pairs
		}
		for c := 0; c < m; c++ {
			disp := (done + c) * step * vectorBytes
			if step == 1 && c+1 < m {
				k.op("FLDPQ %d(%s), (F%d, F%d)", disp, at, spares[c], spares[c+1])
				c++
			} else {
				k.op("FMOVQ %d(%s), F%d", disp, at, spares[c])
			}
		}
		for c := range m {
			use(done+c, spares[c])
		}
		done += m
	}
}

// move loads or stores the accumulators of a tile row: pair and single are the
// instructions.
func (k kernel) move(pair, single, at string, i, row int) {
	for c := 0; c < k.cols; c += 2 {
		a, disp := k.acc(0, i, row*k.cols+c), c*vectorBytes
		from, to := fmt.Sprintf("%d(%s)", disp, at), fmt.Sprintf("F%d", a)
		op := single
		if c+1 < k.cols {
			op, to = pair, fmt.Sprintf("(F%d, F%d)", a, a+1)
		}
		if pair == "FSTPQ" {
			from, to = to, from
		}
		k.op("%s %s, %s", op, from, to)
	}
}
