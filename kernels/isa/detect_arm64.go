//go:build !purego

package isa

// supported lists what runs besides Generic: Go requires Advanced SIMD of
// every arm64.
func supported() []ISA { return []ISA{NEON} }
