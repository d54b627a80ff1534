//go:build !purego

package isa

import "github.com/klauspost/cpuid/v2"

// supported lists what runs besides Generic. cpuid reports a vector extension
// only where the operating system saves its registers.
func supported() []ISA {
	var list []ISA
	if cpuid.CPU.Supports(cpuid.AVX2, cpuid.FMA3) {
		list = append(list, AVX2)
		if cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512DQ, cpuid.AVX512VL) {
			list = append(list, AVX512)
		}
	}
	return list
}
