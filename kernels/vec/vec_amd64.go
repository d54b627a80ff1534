//go:build !purego

package vec

// archKernels replaces the functions of k that k.ISA has its own for.
func archKernels(*Kernels) {}
