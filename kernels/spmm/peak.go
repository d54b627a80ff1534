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

// LoadRate measures how fast one core reads a buffer of so many bytes over and
// over, in GB/s: each vector is an operand of a multiply-add, as in the kernels.
// A quarter of the buffer is read beside the others, as by kernels of several
// rows: from DRAM that is half as fast again as one place after the other. It
// takes some 20 ms, longer for tens of megabytes, and takes the best of several
// looks, as others may use the machine. It is 0 for an instruction set that
// cannot run here.
func LoadRate(i isa.ISA, bytes int) float64 {
	loads := loadsOf(i)
	if loads == nil {
		return 0
	}
	const (
		look, minLooks = 1 << 20, 4 // bytes
		minTime        = 20 * time.Millisecond
		most           = 1 << 18 // bytes a call, as a goroutine cannot be stopped inside
	)
	block := loadBlock * i.Lanes() // float32 of a stream
	blocks := max(1, bytes/4/(loadStreams*block))
	x := make([]float32, loadStreams*blocks*block)
	for n := range x {
		x[n] = 1 // memory that was never written is one page of zeros
	}
	piece := min(blocks, most/4/(loadStreams*block))
	passes := 1
	if piece == blocks {
		passes = max(1, most/4/len(x))
	}
	repeat := max(1, look/4/len(x)/passes)
	best := time.Duration(1<<63 - 1)
	begin := time.Now()
	for n := 0; n < minLooks || time.Since(begin) < minTime; n++ {
		start := time.Now()
		for range repeat {
			for at := 0; at < blocks; at += piece {
				loads(&x[at*block], 4*blocks*block, min(piece, blocks-at), passes)
			}
		}
		best = min(best, time.Since(start))
	}
	return float64(repeat*passes*len(x)*4) / float64(max(1, best.Nanoseconds()))
}

// A function of loadsOf reads blocks of loadBlock vectors from each of
// loadStreams places that are stride bytes apart.
const loadBlock, loadStreams = 8, 4
