//go:build !purego

package spmv

// nativeKernels lists the assembly kernels.
func nativeKernels() []Kernel { return neonKernels() }
