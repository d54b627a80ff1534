//go:build !purego

package spmm

// nativeKernels lists the assembly kernels.
func nativeKernels() []Kernel { return neonKernels() }
