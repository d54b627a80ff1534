package isa

import "github.com/klauspost/cpuid/v2"

func describe() CPU {
	c := &cpuid.CPU
	d := CPU{Name: c.BrandName, Cores: c.PhysicalCores, L1d: c.Cache.L1D, L2: c.Cache.L2, L3: c.Cache.L3}
	for _, f := range []cpuid.FeatureID{
		cpuid.AVX2, cpuid.FMA3, cpuid.F16C, cpuid.AVXVNNI,
		cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512DQ, cpuid.AVX512VL,
		cpuid.AVX512VNNI, cpuid.AVX512BF16, cpuid.AVX512FP16,
		cpuid.AMXTILE, cpuid.AMXINT8, cpuid.AMXBF16,
	} {
		if c.Supports(f) {
			d.Features = append(d.Features, f.String())
		}
	}
	return d
}
