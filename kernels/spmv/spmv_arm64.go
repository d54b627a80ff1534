//go:build !purego

package spmv

func nativeKernels() []Kernel { return nil }
