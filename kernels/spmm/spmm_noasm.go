//go:build purego || !(amd64 || arm64)

package spmm

import "github.com/nnz-dev/nnz/kernels/isa"

// nativeKernels lists the assembly kernels: none.
func nativeKernels() []Kernel { return nil }

// peakOf returns a function that measures the peak: none here.
func peakOf(isa.ISA) func(n int) { return nil }

// loadsOf returns a function that reads so many blocks in passes, or nil: see
// LoadRate.
func loadsOf(i isa.ISA) func(x *float32, stride, blocks, passes int) {
	if i == isa.Generic {
		return loadsGeneric
	}
	return nil
}
