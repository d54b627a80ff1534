//go:build purego || !(amd64 || arm64)

package vec

// archKernels leaves the portable functions: there are no others.
func archKernels(*Kernels) {}
