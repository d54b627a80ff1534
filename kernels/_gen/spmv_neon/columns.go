package main

// heights are how many vectors of rows panels have. The lowest stands last: such
// a panel may have fewer rows than lanes.
var heights = []int{16, 8, 2, 1}

// columnsAhead is how many columns before they are multiplied their weights are
// asked for, as the package's.
const columnsAhead = 8

// General registers of the kernels by columns.
const (
	rActive = "R0" // elements of x left
	rNextX  = "R1"
	rOrder  = "R2" // the next column's number
	rValues = "R3"
	rSums   = "R4" // bias, then y
	rRows   = "R5"
	rTaken  = "R6" // its number, then where its weights or its mask are
	rAhead  = "R7" // likewise of the column that is asked for
	rMasks  = "R8"
	rStarts = "R9"
	rRanks  = "R10"
	rCounts = "R11"
	rPacked = "R12" // the next weights of a column
	rBits   = "R13" // its mask
	rBit4   = "R14" // four bits of it
	rTable  = "R15"
)

// Vector registers behind the sums.
const (
	vWeight = 16 // up to eight
	vRanks  = 24
	vLanes  = 25
	vSum    = 26
	vActive = 27
)

// columns writes the kernel of a panel: the loop over x, and add, which adds the
// column of the number in rTaken times vActive and asks for that in rAhead.
func (e emitter) columns(add func()) {
	for _, a := range []struct{ field, reg string }{
		{"count", rActive}, {"x", rNextX}, {"order", rOrder}, {"val", rValues}, {"bias", rSums}, {"rows", rRows},
	} {
		e.load(a.field, a.reg)
	}
	e.limits()
	if e.panelVectors() > 1 {
		for v := 0; v < e.panelVectors(); v += 2 {
			e.op("FLDPQ %d(%s), (F%d, F%d)", 16*v, rSums, v, v+1)
		}
	} else {
		e.someRows("begin", "VLD1.P 4(%[1]s), V0.S[%[2]d]", "FMOVQ (%s), F0")
	}
	e.op("CBZ %s, end", rActive)
	e.label("column")
	e.op("MOVWU.P 4(%s), %s", rOrder, rTaken)
	e.op("MOVWU %d(%s), %s", 4*columnsAhead-4, rOrder, rAhead)
	e.op("FMOVS.P 4(%s), F%d", rNextX, vActive)
	add()
	e.op("SUBS $1, %s", rActive)
	e.op("BNE column")
	e.label("end")
	for v := range e.panelVectors() {
		e.clamp(v)
	}
	e.load("y", rSums)
	if e.panelVectors() > 1 {
		for v := 0; v < e.panelVectors(); v += 2 {
			e.op("FSTPQ (F%d, F%d), %d(%s)", v, v+1, 16*v, rSums)
		}
	} else {
		e.someRows("store", "VST1.P V0.S[%[2]d], 4(%[1]s)", "FMOVQ F0, (%s)")
	}
	e.op("RET")
}

// panelVectors is how many vectors of rows a panel has.
func (e emitter) panelVectors() int { return e.r / 4 }

// someRows moves as many elements as there are rows: one by one, unless all.
func (e emitter) someRows(name, one, all string) {
	e.op("CMP $4, %s", rRows)
	e.op("BEQ %sAll", name)
	if name == "begin" {
		e.zero(0)
	}
	for row := range 3 {
		if row > 0 {
			e.op("CMP $%d, %s", row, rRows)
			e.op("BEQ %sDone", name)
		}
		e.op(one, rSums, row)
	}
	e.op("B %sDone", name)
	e.label(name + "All")
	e.op(all, rSums)
	e.label(name + "Done")
}

// axpy writes the kernel of a panel of all weights.
func (e emitter) axpy() {
	bytes := 4 * e.r
	e.op("MOVD $%d, %s", bytes, rTable)
	e.columns(func() {
		for _, r := range []string{rTaken, rAhead} {
			e.op("MADD %s, %s, %s, %s", rTable, rValues, r, r)
		}
		for v := 0; v < e.panelVectors(); v += 2 {
			w := vWeight + v%8
			if e.panelVectors() == 1 {
				e.op("FMOVQ (%s), F%d", rTaken, w)
				e.op("FMLA_4S_S0(%d, %d, %d)", v, w, vActive)
				break
			}
			e.op("FLDPQ %d(%s), (F%d, F%d)", 16*v, rTaken, w, w+1)
			e.op("FMLA_4S_S0(%d, %d, %d)", v, w, vActive)
			e.op("FMLA_4S_S0(%d, %d, %d)", v+1, w+1, vActive)
		}
		for line := 0; line < bytes; line += 64 {
			e.op("PRFM %d(%s), PLDL1KEEP", line, rAhead)
		}
	})
}

// masked writes the kernel of a panel of the weights that there are: of each
// vector of rows, those packed that four bits of the mask are set for.
func (e emitter) masked() {
	maskBytes := (e.r + 7) / 8
	e.load("col", rMasks)
	e.load("starts", rStarts)
	e.op("MOVD $packed<>(SB), %s", rRanks)
	e.op("ADD $512, %s, %s", rRanks, rCounts)
	e.columns(func() {
		e.op("MOVWU (%s)(%s<<2), %s", rStarts, rTaken, rPacked)
		e.op("ADD %s<<2, %s, %s", rPacked, rValues, rPacked)
		e.op("MOVWU (%s)(%s<<2), %s", rStarts, rAhead, rAhead)
		e.op("ADD %s<<2, %s, %s", rAhead, rValues, rAhead)
		load := map[int]string{8: "MOVD (%s)(%s<<3), %s", 4: "MOVWU (%s)(%s<<2), %s", 1: "MOVBU (%s)(%s), %s"}[maskBytes]
		e.op(load, rMasks, rTaken, rBits)
		for line := 0; line < 2*e.r; line += 64 { // as much as half of the rows take
			e.op("PRFM %d(%s), PLDL1KEEP", line, rAhead)
		}
		for v := range e.panelVectors() {
			e.op("UBFX $%d, %s, $4, %s", 4*v, rBits, rBit4)
			e.op("ADD %s<<4, %s, %s", rBit4, rRanks, rTable)
			e.op("FMOVQ (%s), F%d", rTable, vRanks)
			e.op("FMOVQ 256(%s), F%d", rTable, vLanes)
			e.op("FMOVQ (%s), F%d", rPacked, vWeight)
			e.op("VTBL V%d.B16, [V%d.B16], V%d.B16", vRanks, vWeight, vWeight)
			e.op("VORR V%d.B16, V%d.B16, V%d.B16", v, v, vSum)
			e.op("FMLA_4S_S0(%d, %d, %d)", vSum, vWeight, vActive)
			e.op("VBIT V%d.B16, V%d.B16, V%d.B16", vLanes, vSum, v) // the sum stays where there is no weight
			if v < e.panelVectors()-1 {
				e.op("MOVBU (%s)(%s), %s", rCounts, rBit4, rTable)
				e.op("ADD %s, %s", rTable, rPacked)
			}
		}
	})
}

// tables writes what masked kernels look up by four bits of a mask: for each
// byte of a vector the byte of the packed weights that goes there, all ones for
// none; then ones in the lanes that have a weight; then the bytes of these.
func tables(write func(format string, args ...any)) {
	var ranks, lanes, counts []uint32
	for mask := range 16 {
		rank := uint32(0)
		for lane := range 4 {
			if mask>>lane&1 == 1 {
				ranks, lanes = append(ranks, 0x03020100+rank*0x04040404), append(lanes, 0xffffffff)
				rank++
			} else {
				ranks, lanes = append(ranks, 0xffffffff), append(lanes, 0)
			}
		}
		counts = append(counts, 4*rank)
	}
	write("\n")
	for i, word := range append(ranks, lanes...) {
		write("DATA packed<>+%d(SB)/4, $0x%08x\n", 4*i, word)
	}
	for i, count := range counts {
		write("DATA packed<>+%d(SB)/1, $%d\n", 512+i, count)
	}
	write("GLOBL packed<>(SB), RODATA|NOPTR, $528\n")
}
