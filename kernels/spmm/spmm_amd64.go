//go:build !purego

package spmm

import (
	"slices"

	"github.com/nnz-dev/nnz/kernels/isa"
)

//go:generate go run -C ../_gen ./spmm -isa avx2 -asm ../spmm/spmm_avx2_amd64.s -go ../spmm/spmm_avx2_amd64.go
//go:generate go run -C ../_gen ./spmm -isa avx512 -asm ../spmm/spmm_avx512_amd64.s -go ../spmm/spmm_avx512_amd64.go

// nativeKernels lists the assembly kernels.
func nativeKernels() []Kernel { return append(avx2Kernels(), avx512Kernels()...) }

// peakOf returns a function that does n times peakChains multiply-adds of
// vectors in registers, or nil.
func peakOf(i isa.ISA) func(n int) {
	switch {
	case !slices.Contains(isa.Supported(), i):
		return nil
	case i == isa.AVX2:
		return peak_avx2
	case i == isa.AVX512:
		return peak_avx512
	}
	return nil
}

// loadsOf returns a function that reads so many blocks in passes, or nil: see
// LoadRate.
func loadsOf(i isa.ISA) func(x *float32, stride, blocks, passes int) {
	switch {
	case !slices.Contains(isa.Supported(), i):
		return nil
	case i == isa.AVX2:
		return loads_avx2
	case i == isa.AVX512:
		return loads_avx512
	}
	return loadsGeneric
}
