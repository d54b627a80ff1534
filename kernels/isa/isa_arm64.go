package isa

import "golang.org/x/sys/cpu"

func describe() CPU {
	d := CPU{Features: []string{"ASIMD"}}
	for _, f := range []struct {
		name string
		have bool
	}{
		{"ASIMDHP", cpu.ARM64.HasASIMDHP},
		{"ASIMDDP", cpu.ARM64.HasASIMDDP},
		{"I8MM", cpu.ARM64.HasI8MM},
		{"SVE", cpu.ARM64.HasSVE},
		{"SVE2", cpu.ARM64.HasSVE2},
	} {
		if f.have {
			d.Features = append(d.Features, f.name)
		}
	}
	return d
}
