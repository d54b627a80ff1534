//go:build purego || !(amd64 || arm64)

package spmm

// nativeKernels lists the assembly kernels: none.
func nativeKernels() []Kernel { return nil }
