package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nnz-dev/nnz/kernels/gemm"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/kernels/spmm"
	"github.com/nnz-dev/nnz/kernels/spmv"
	"github.com/nnz-dev/nnz/kernels/vec"
)

// cpuCmd shows the processor and the kernels made for it.
type cpuCmd struct {
	jsonFlag
}

// A cpuReport is what `nnz cpu` shows.
type cpuReport struct {
	Name      string         `json:"name"`
	Features  []string       `json:"features"`
	Cores     int            `json:"cores"`
	L1d       int            `json:"l1d_bytes"`
	L2        int            `json:"l2_bytes"`
	L3        int            `json:"l3_bytes"`
	Supported []string       `json:"supported"`
	ISA       string         `json:"isa"` // that models are compiled for
	Kernels   []kernelReport `json:"kernels"`
}

// A kernelReport is one kernel of this build.
type kernelReport struct {
	Family string `json:"family"`
	Name   string `json:"name"`
	ISA    string `json:"isa"`
	Runs   bool   `json:"runs"` // on this CPU
	Chosen bool   `json:"chosen"`
}

func (c *cpuCmd) Run(e *env) error {
	chosen, err := isa.FromEnv()
	if err != nil {
		return usageError{err}
	}
	r := describeCPU(chosen)
	if err := c.write(e, r); err != nil || c.stdout() {
		return err
	}
	l3 := "none or unknown"
	if r.L3 > 0 {
		l3 = size(int64(r.L3)) + " shared"
	}
	why := "the best of this CPU"
	if chosen != isa.Detect() {
		why = "as " + isa.Env + " says"
	}
	fmt.Fprintf(e.out, "CPU       %s, %s\n", r.Name, plural(r.Cores, "core"))
	fmt.Fprintf(e.out, "features  %s\n", strings.Join(r.Features, " "))
	fmt.Fprintf(e.out, "caches    L1d %s, L2 %s a core; L3 %s\n", size(int64(r.L1d)), size(int64(r.L2)), l3)
	fmt.Fprintf(e.out, "ISA       %s of %s: %s\n\n", r.ISA, strings.Join(r.Supported, ", "), why)

	t := newTable("family<", "kernel<", "ISA<", "")
	for _, k := range r.Kernels {
		state := ""
		switch {
		case k.Chosen:
			state = "in use"
		case !k.Runs:
			state = "not on this CPU"
		}
		t.AppendRow(row(k.Family, k.Name, k.ISA, state))
	}
	return e.print(t)
}

func describeCPU(chosen isa.ISA) cpuReport {
	d := isa.Describe()
	r := cpuReport{
		Name: d.Name, Features: d.Features, Cores: d.Cores, L1d: d.L1d, L2: d.L2, L3: d.L3, ISA: chosen.String(),
	}
	supported := isa.Supported()
	for _, i := range supported {
		r.Supported = append(r.Supported, i.String())
	}
	add := func(family, name string, i isa.ISA) {
		r.Kernels = append(r.Kernels, kernelReport{
			Family: family, Name: name, ISA: i.String(),
			Runs: slices.Contains(supported, i), Chosen: i == chosen,
		})
	}
	for _, k := range spmm.Kernels() {
		add("spmm", k.Name, k.ISA)
	}
	for _, k := range gemm.Kernels() {
		add("gemm", k.Name, k.ISA)
	}
	for _, k := range spmv.Kernels() {
		add("spmv", k.Name, k.ISA)
	}
	// The functions of vec are one table for each instruction set.
	for _, k := range vec.All() {
		add("vec", "f32_vec_"+k.ISA.String(), k.ISA)
	}
	return r
}
