//go:build purego || !amd64

package gemm

// nativeKernels lists the assembly kernels: none, so that dense layers run on
// package spmm's.
func nativeKernels() []Kernel { return nil }
