package kernels

import (
	"math"
	"testing"

	"github.com/nnz-dev/nnz/runtime"
)

func TestStepBound(t *testing.T) {
	l := Limits{Peak: 100, Levels: []Level{{"L1", 1000, 100}, {"L2", 10000, 50}, {"DRAM", 0, 10}}}
	cases := []struct {
		name              string
		s                 runtime.LayerReport
		resident, threads int
		family            string
		peak              float64 // GF/s
		want              Bound
	}{
		// A single weight takes an activation and 1/100 of a weight from L1: 100/4.04 billion FMAs a second.
		{"sparse", runtime.LayerReport{M: 10, K: 10, N: 100, Format: "csr", Kernel: "f32_spmm_pair_1x4", FMAs: 100000, Moved: 500, Weight: 100}, 600, 1,
			SpMM, 200 / 4.04, Bound{"FMA", 200000 / (200 / 4.04) / 1e3}},
		{"blocks", runtime.LayerReport{M: 10, K: 10, N: 100, Format: "bsr8x1", FMAs: 100000, Moved: 500}, 600, 1,
			SpMM, 100, Bound{"FMA", 2}},
		{"dense", runtime.LayerReport{M: 10, K: 10, N: 100, Format: "dense", FMAs: 100000, Moved: 500}, 600, 2,
			GEMM, 200, Bound{"FMA", 1}},
		{"depthwise", runtime.LayerReport{M: 10, K: 9, N: 100, KernelH: 3, KernelW: 3, Groups: 10, Format: "dense", FMAs: 100, Moved: 8000}, 8000, 1,
			Depthwise, 200 / 4.04, Bound{"L2", 7000. / 50 / 1e3}},
		{"one channel", runtime.LayerReport{M: 10, K: 9, N: 100, KernelH: 3, KernelW: 3, Groups: 1, Format: "dense", Moved: 500}, 500, 1,
			GEMM, 100, Bound{"L1", 500. / 100 / 1e3}},
		// Caches hold 11000 of the 44000 bytes: three quarters of the weight come from memory.
		{"vector", runtime.LayerReport{M: 100, K: 100, N: 1, Format: "dense", Kernel: "f32_gemv_4n1_generic", FMAs: 10000, Moved: 800, Weight: 40000}, 44000, 1,
			SpMV, 40, Bound{"DRAM", 30000. / 10 / 1e3}},
		{"two caches", runtime.LayerReport{M: 100, K: 100, N: 1, Format: "dense", Kernel: "f32_gemv_4n1_generic", FMAs: 10000, Moved: 800, Weight: 40000}, 44000, 2,
			SpMV, 80, Bound{"DRAM", 20000. / 20 / 1e3}},
		{"no weight", runtime.LayerReport{Op: "Add", Moved: 21000}, 50000, 1, "", 100, Bound{"DRAM", 10000. / 10 / 1e3}},
		{"nothing", runtime.LayerReport{}, 0, 1, "", 100, Bound{}},
	}
	for _, c := range cases {
		if got := StepFamily(c.s); got != c.family {
			t.Errorf("%s: family %q, want %q", c.name, got, c.family)
		}
		if got := l.StepPeak(c.s, c.threads); c.s.M > 0 && math.Abs(got-c.peak) > 1e-9 {
			t.Errorf("%s: peak %v, want %v", c.name, got, c.peak)
		}
		got := l.StepBound(c.s, c.resident, c.threads)
		if got.Name != c.want.Name || math.Abs(got.US-c.want.US) > 1e-9 {
			t.Errorf("%s: bound %+v, want %+v", c.name, got, c.want)
		}
	}
	if b := (Limits{}).StepBound(cases[0].s, 600, 1); b != (Bound{}) {
		t.Errorf("without limits the bound is %+v", b)
	}
}
