//go:build purego || !(amd64 || arm64)

package spmm

import "github.com/nnz-dev/nnz/kernels/isa"

// nativeKernels lists the assembly kernels: none.
func nativeKernels() []Kernel { return nil }

// peakOf returns a function that measures the peak: none here.
func peakOf(isa.ISA) func(n int) { return nil }
