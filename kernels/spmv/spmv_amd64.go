//go:build !purego

package spmv

//go:generate go run -C ../_gen ./spmv -isa avx2 -src ../spmv/spmv.go -asm ../spmv/spmv_avx2_amd64.s -go ../spmv/spmv_avx2_amd64.go
//go:generate go run -C ../_gen ./spmv -isa avx512 -src ../spmv/spmv.go -asm ../spmv/spmv_avx512_amd64.s -go ../spmv/spmv_avx512_amd64.go

// nativeKernels lists the assembly kernels.
func nativeKernels() []Kernel { return append(avx2Kernels(), avx512Kernels()...) }
