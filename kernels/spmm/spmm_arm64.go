//go:build !purego

package spmm

import "github.com/nnz-dev/nnz/kernels/isa"

// nativeKernels lists the assembly kernels.
func nativeKernels() []Kernel { return neonKernels() }

// peakOf returns a function that measures the peak: none here.
func peakOf(isa.ISA) func(n int) { return nil }
