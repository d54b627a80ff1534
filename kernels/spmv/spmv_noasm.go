//go:build purego || !(amd64 || arm64)

package spmv

// nativeKernels returns none: there is no assembly for this build.
func nativeKernels() []Kernel { return nil }
