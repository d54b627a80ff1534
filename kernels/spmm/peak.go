package spmm

import (
	"time"

	"github.com/nnz-dev/nnz/kernels/isa"
)

// Peak measures what one core of this processor computes at most, in GF/s:
// multiply-adds of vectors in registers, each counted as two operations, for
// some milliseconds. It is 0 for an instruction set that cannot run here or
// that has no such measurement.
func Peak(i isa.ISA) float64 {
	f := peakOf(i)
	if f == nil {
		return 0
	}
	const n = 20_000
	best := time.Duration(1<<63 - 1)
	for range 20 {
		start := time.Now()
		f(n)
		best = min(best, time.Since(start))
	}
	return 2 * n * peakChains * float64(i.Lanes()) / float64(best.Nanoseconds())
}

// peakChains is how many multiply-adds a function of peakOf does at a time.
const peakChains = 12
