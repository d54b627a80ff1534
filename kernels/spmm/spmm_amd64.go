//go:build !purego

package spmm

//go:generate go run -C ../_gen ./spmm -isa avx2 -asm ../spmm/spmm_avx2_amd64.s -go ../spmm/spmm_avx2_amd64.go
//go:generate go run -C ../_gen ./spmm -isa avx512 -asm ../spmm/spmm_avx512_amd64.s -go ../spmm/spmm_avx512_amd64.go

// nativeKernels lists the assembly kernels.
func nativeKernels() []Kernel { return append(avx2Kernels(), avx512Kernels()...) }
