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

// loadsOf returns a function that reads so many blocks in passes, or nil: see
// LoadRate.
func loadsOf(i isa.ISA) func(x *float32, stride, blocks, passes int) {
	switch i {
	case isa.NEON:
		return loads_neon
	case isa.Generic:
		return loadsGeneric
	}
	return nil
}

// loads_neon takes the operands of multiply-adds from so many blocks, as
// [LoadRate] says.
//
//go:noescape
func loads_neon(x *float32, stride, blocks, passes int)
