//go:build !purego

package spmm

import "github.com/nnz-dev/nnz/kernels/isa"

// nativeKernels lists the assembly kernels.
func nativeKernels() []Kernel { return neonKernels() }

// peakOf returns a function that does n times peakChains multiply-adds of
// vectors in registers, or nil.
func peakOf(i isa.ISA) func(n int) {
	if i == isa.NEON {
		return peak_neon
	}
	return nil
}

// peak_neon does n times peakChains multiply-adds of vectors in registers.
func peak_neon(n int)
