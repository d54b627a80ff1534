//go:build !purego

package gemm

//go:generate go run -C ../_gen ./gemm -isa avx2 -asm ../gemm/gemm_avx2_amd64.s -go ../gemm/gemm_avx2_amd64.go
//go:generate go run -C ../_gen ./gemm -isa avx512 -asm ../gemm/gemm_avx512_amd64.s -go ../gemm/gemm_avx512_amd64.go

// nativeKernels lists the assembly kernels.
func nativeKernels() []Kernel { return append(avx2Kernels(), avx512Kernels()...) }
