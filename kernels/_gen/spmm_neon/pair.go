package main

import (
	"bytes"
	"fmt"
)

// Byte offsets of the fields of a pairEntry.
const (
	pairFirst  = 0 // with the second behind
	pairShared = 8 // with apart behind
	pairSize   = 16
)

// General registers of pair kernels; those not named here are as of the others.
const (
	rRow2  = "R23" // the second weight row
	rOut2  = "R24" // and that of y
	rApart = "R25" // columns of each row alone
)

// A pairKernel takes two weight rows at a time: first the columns that both
// have, whose activations it loads once, then as many of each row alone.
type pairKernel struct{ kernel }

func newPairKernel(b *bytes.Buffer, s shape) pairKernel {
	k := pairKernel{kernel{shape: s, b: b, sets: 1}}
	k.r = 2 // rows of accumulators
	return k
}

// emit writes the kernel.
func (k pairKernel) emit() {
	fmt.Fprintf(k.b, "\n// func %s(a *args)\nTEXT ·%s(SB), 0, $128-8\n", k.name(), k.name())
	k.loadArgs()
	k.op("MOVD %s, %s", rOffs, rOff)
	k.op("MOVD %s, %s", rVals, rVal)

	k.label("entry")
	k.op("LDPW %d(%s), (%s, %s)", pairFirst, rEntry, rRow, rRow2)
	k.op("LDPW %d(%s), (%s, %s)", pairShared, rEntry, rCount, rApart)
	k.op("MADD %s, %s, %s, %s", rYChan, rY, rRow, rOut)
	k.op("MADD %s, %s, %s, %s", rYChan, rY, rRow2, rOut2)
	k.begin()
	k.prefetch()
	k.shared()
	k.apart()
	k.end()
	k.op("ADD $%d, %s", pairSize, rEntry)
	k.op("SUBS $1, %s", rEntries)
	k.op("BNE entry")
	k.op("RET")
}

// begin sets the accumulators: to the bias, plus the residual, in the first
// K-block, else to what y holds.
func (k pairKernel) begin() {
	k.op("TBZ $%d, %s, resume", flagFirst, rFlags)
	for i, row := range []string{rRow, rRow2} {
		k.op("ADD %s<<2, %s, %s", row, rBias, rAt)
		k.op("VLD1R (%s), [V%d.S4]", rAt, k.acc(0, i, 0))
		for j := 1; j < k.vectors(); j++ {
			k.op("VMOV V%d.B16, V%d.B16", k.acc(0, i, 0), k.acc(0, i, j))
		}
	}
	k.op("TBZ $%d, %s, begun", flagResidual, rFlags)
	for i, row := range []string{rRow, rRow2} {
		k.op("MADD %s, %s, %s, %s", rResChan, rRes, row, rAt)
		k.eachRow(rResRow, func(at string, row int) {
			k.load(at, 1, k.cols, func(c, v int) {
				a := k.acc(0, i, row*k.cols+c)
				k.op("FADD_4S(%d, %d, %d)", a, a, v)
			})
		})
	}
	k.op("B begun")
	k.label("resume")
	k.eachOut(func(at string, i, row int) { k.move("FLDPQ", "FMOVQ", at, i, row) })
	k.label("begun")
}

// prefetch asks for the output rows of an entry to come.
func (k pairKernel) prefetch() {
	for i := range 2 {
		k.op("MOVWU %d(%s), %s", lookahead*pairSize+pairFirst+4*i, rEntry, rAt)
		k.op("MADD %s, %s, %s, %s", rYChan, rY, rAt, rAt)
		k.eachRow(rYRow, func(at string, _ int) {
			for b := 0; b < k.cols*vectorBytes; b += lineBytes {
				k.op("PRFM %d(%s), PSTL1KEEP", b, at)
			}
		})
	}
}

// shared multiplies the columns that both rows have.
func (k pairKernel) shared() {
	k.op("CBZ %s, apart", rCount)
	k.label("both")
	k.column(0)
	k.op("SUBS $1, %s", rCount)
	k.op("BNE both")
	k.label("apart")
}

// apart multiplies the columns that only one of the rows has: one of each a
// turn.
func (k pairKernel) apart() {
	k.op("CBZ %s, done", rApart)
	k.label("each")
	w := k.weight(0, 0)
	k.op("FMOVD.P 8(%s), F%d", rVal, w)
	for i := range 2 {
		k.op("MOVWU.P 4(%s), %s", rOff, rAt)
		k.op("ADD %s, %s", rX, rAt)
		k.eachRow(rXRow, func(at string, row int) {
			k.load(at, k.step, k.cols, func(c, v int) {
				k.op("FMLA_4S_S%d(%d, %d, %d)", i, k.acc(0, i, row*k.cols+c), v, w)
			})
		})
	}
	k.op("SUBS $1, %s", rApart)
	k.op("BNE each")
	k.label("done")
}

// end clamps and stores the accumulators.
func (k pairKernel) end() {
	k.clamp()
	k.eachOut(func(at string, i, row int) { k.move("FSTPQ", "FMOVQ", at, i, row) })
}

// eachOut calls f with the register that points to each tile row of both rows
// of y. It overwrites rAt.
func (k pairKernel) eachOut(f func(at string, i, row int)) {
	for i, out := range []string{rOut, rOut2} {
		k.op("MOVD %s, %s", out, rAt)
		k.eachRow(rYRow, func(at string, row int) { f(at, i, row) })
	}
}

// eachRow calls f with the register that points to each tile row from rAt on;
// rowBytes is the register with the stride.
func (k pairKernel) eachRow(rowBytes string, f func(at string, row int)) {
	at := rAt
	for row := range k.rows {
		if row > 0 {
			k.op("ADD %s, %s, %s", rowBytes, at, rAt2)
			at = rAt2
		}
		f(at, row)
	}
}
