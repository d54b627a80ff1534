package kernels

import (
	"strings"

	"github.com/nnz-dev/nnz/runtime"
)

// StepFamily returns the family of the kernels that a step of a plan runs on,
// empty for one that has no weight.
func StepFamily(s runtime.LayerReport) string {
	switch {
	case s.M == 0:
		return ""
	case s.Groups > 1 && s.K == s.KernelH*s.KernelW:
		return Depthwise
	case strings.Contains(s.Kernel, "mv_"): // gemv and spmv
		return SpMV
	case s.Format == "dense":
		return GEMM
	}
	return SpMM
}

// StepPeak returns the most multiply-adds of a step that threads can do, as
// GF/s: what the units of the CPU compute, or as many as can have their
// operands from the L1 cache; 0 where it was not measured.
func (l Limits) StepPeak(s runtime.LayerReport, threads int) float64 {
	rows := denseRows
	switch f := StepFamily(s); {
	case f == Depthwise:
		rows = 1
	case f != "" && s.Format != "dense":
		rows = blockRows(s.Format)
	}
	peak := l.Peak
	if len(l.Levels) > 0 && l.Levels[0].Read > 0 {
		loaded := 2 * l.Levels[0].Read / loads(max(s.N, 1), rows)
		if peak == 0 { // as for portable Go
			peak = loaded
		}
		peak = min(peak, loaded)
	}
	return peak * float64(max(1, threads))
}

// StepTraffic returns the microseconds that a step of a plan takes at least to
// move its bytes, and the level that they wait for. Activations are those that
// the step before left in the nearest caches. A weight comes from where a run
// leaves it, which touches resident bytes until it is back at this weight: of
// those, caches hold as many as they have room for. As in [Limits.bound] every
// thread has caches of its own. In strips, what is moved is of one at a time.
func (l Limits) StepTraffic(s runtime.LayerReport, resident, threads int) Bound {
	var b Bound
	n, strips, held := float64(max(1, threads)), float64(max(1, s.Strips)), 0.0
	for _, level := range l.Levels {
		beyond := max(0, float64(s.Moved)-strips*held)
		if resident > 0 {
			beyond += float64(s.Weight) * max(0, 1-held/float64(resident))
		}
		b.consider(level.Name, beyond, level.Read*n)
		held += float64(level.Bytes) * n
	}
	return b
}

// StepBound returns what the time of a step is held against: the larger of
// StepTraffic and of the multiply-adds of nonzeros at StepPeak.
func (l Limits) StepBound(s runtime.LayerReport, resident, threads int) Bound {
	b := l.StepTraffic(s, resident, threads)
	b.consider("FMA", 2*float64(s.FMAs), l.StepPeak(s, threads))
	return b
}
