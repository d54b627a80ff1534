package main

import "fmt"

// General registers of the dense kernels; rows and columns have four each.
const (
	rLeft     = "R0" // rows
	rWeight   = "R1" // the first of the next rows
	rFirstX   = "R2"
	rResult   = "R3" // y of the next rows and column 0
	rResults  = "R4" // bytes from there to the next column's
	rBiases   = "R5" // of the next rows
	rRowBytes = "R6" // of W, and of a column of x
	rInner    = "R7" // columns of W left
	rOut      = "R8" // y of some column
)

func rWeightRow(i int) string { return fmt.Sprintf("R%d", 10+i) }

// rXOf is past R18, which belongs to others.
func rXOf(c int) string { return fmt.Sprintf("R%d", 19+c) }

// Vector registers behind the accumulators.
const (
	vDenseX = 16 // two for each column
	vDenseW = 24 // two
	vBias   = 26
)

// vectors is how many vectors of a row a turn takes, each into an accumulator
// of its own.
func (e emitter) vectors() int {
	if e.cols == 1 {
		return 2
	}
	return 1
}

// denseAcc is the accumulator of a row, column and vector of a turn.
func (e emitter) denseAcc(i, c, n int) int { return (n*e.cols+c)*e.r + i }

// rows writes the kernel of rows that lie one after the other: r at a time,
// then one by one.
func (e emitter) rows() {
	for _, a := range []struct{ field, reg string }{
		{"count", rLeft}, {"val", rWeight}, {"x", rFirstX}, {"y", rResult},
		{"yCol", rResults}, {"bias", rBiases}, {"xCol", rRowBytes},
	} {
		e.load(a.field, a.reg)
	}
	e.limits()
	e.op("SUBS $%d, %s", e.r, rLeft)
	e.op("BLT few")
	e.label("many")
	e.group("many", e.r)
	e.op("SUBS $%d, %s", e.r, rLeft)
	e.op("BGE many")
	e.label("few")
	e.op("ADDS $%d, %s", e.r, rLeft)
	e.op("BEQ end")
	e.label("one")
	e.group("one", 1)
	e.op("SUBS $1, %s", rLeft)
	e.op("BNE one")
	e.label("end")
	e.op("RET")
}

// group writes the products of rows rows, 4 or 1, and stores them. Labels begin
// with name.
func (e emitter) group(name string, rows int) {
	for i := range rows {
		from := rWeight
		if i > 0 {
			from = rWeightRow(i - 1)
			e.op("ADD %s, %s, %s", rRowBytes, from, rWeightRow(i))
		} else {
			e.op("MOVD %s, %s", from, rWeightRow(i))
		}
	}
	e.op("ADD %s, %s, %s", rRowBytes, rWeightRow(rows-1), rWeight)
	e.op("MOVD %s, %s", rFirstX, rXOf(0))
	for c := 1; c < e.cols; c++ {
		e.op("ADD %s, %s, %s", rRowBytes, rXOf(c-1), rXOf(c))
	}
	for n := range e.vectors() {
		for c := range e.cols {
			for i := range rows {
				e.zero(e.denseAcc(i, c, n))
			}
		}
	}
	e.op("LSR $2, %s, %s", rRowBytes, rInner)
	// Each width in turn: what is left is counted less one more turn.
	e.op("SUBS $%d, %s", 4*e.vectors(), rInner)
	e.op("BLT %sLess", name)
	e.label(name + "Vectors")
	e.inner(rows, e.vectors(), 4)
	e.op("SUBS $%d, %s", 4*e.vectors(), rInner)
	e.op("BGE %sVectors", name)
	e.label(name + "Less")
	if e.vectors() > 1 {
		e.op("ADDS $%d, %s", 4*e.vectors()-4, rInner)
		e.op("BLT %sTail", name)
		e.inner(rows, 1, 4)
		e.op("SUBS $4, %s", rInner)
		e.label(name + "Tail")
	}
	e.op("ADDS $4, %s", rInner)
	e.op("BEQ %sSum", name)
	e.label(name + "Element")
	e.inner(rows, 1, 1)
	e.op("SUBS $1, %s", rInner)
	e.op("BNE %sElement", name)

	e.label(name + "Sum")
	e.op("MOVD %s, %s", rResult, rOut)
	load := "FMOVS"
	if rows == 4 {
		load = "FMOVQ"
	}
	e.op("%s.P %d(%s), F%d", load, 4*rows, rBiases, vBias)
	for c := range e.cols {
		if c > 0 {
			e.op("ADD %s, %s", rResults, rOut)
		}
		acc := func(i int) int { return e.denseAcc(i, c, 0) }
		for n := 1; n < e.vectors(); n++ {
			for i := range rows {
				e.op("FADD_4S(%d, %d, %d)", acc(i), acc(i), e.denseAcc(i, c, n))
			}
		}
		// Lanes in pairs, and pairs of pairs: lane i gets the sum of row i.
		sum := acc(0)
		if rows == 4 {
			e.op("FADDP_4S(%d, %d, %d)", sum, acc(0), acc(1))
			e.op("FADDP_4S(%d, %d, %d)", acc(2), acc(2), acc(3))
			e.op("FADDP_4S(%d, %d, %d)", sum, sum, acc(2))
		} else {
			e.op("FADDP_4S(%d, %d, %d)", sum, sum, sum)
			e.op("FADDP_4S(%d, %d, %d)", sum, sum, sum)
		}
		e.op("FADD_4S(%d, %d, %d)", sum, sum, vBias)
		e.clamp(sum)
		e.op("%s F%d, (%s)", load, sum, rOut)
	}
	e.op("ADD $%d, %s", 4*rows, rResult)
}

// inner adds the products of some vectors of each row, or of one element in
// lane 0.
func (e emitter) inner(rows, vectors, elements int) {
	load := func(from string, v int) {
		switch {
		case vectors == 2:
			e.op("FLDPQ.P 32(%s), (F%d, F%d)", from, v, v+1)
		case elements == 4:
			e.op("FMOVQ.P 16(%s), F%d", from, v)
		default:
			e.op("FMOVS.P 4(%s), F%d", from, v)
		}
	}
	for c := range e.cols {
		load(rXOf(c), vDenseX+2*c)
	}
	for i := range rows {
		load(rWeightRow(i), vDenseW)
		for n := range vectors {
			for c := range e.cols {
				e.op("VFMLA V%d.S4, V%d.S4, V%d.S4", vDenseX+2*c+n, vDenseW+n, e.denseAcc(i, c, n))
			}
		}
	}
}
