package bench

import "github.com/nnz-dev/nnz/bench/kernels"

// A Part is a part of the time of a run. The parts of a waterfall add up to the
// whole; one that is taken as a difference of others may be below 0 by what
// the measurement scatters, or where kernels do better than their bound.
type Part struct {
	Name  string  `json:"name"`
	US    float64 `json:"us"`
	Share float64 `json:"share"` // of the whole
}

// The parts that are no kinds of steps.
const (
	partIdeal    = "ideal"        // multiply-adds of nonzeros at the peak of their kernels, of all steps
	partPadding  = "padding"      // those of lanes that hold no pixel
	partZeros    = "stored_zeros" // those of zeros that are stored
	partTraffic  = "traffic"      // what moving bytes takes longer than all these multiply-adds
	partKernels  = "kernels"      // what products take longer than their bound so far
	partDispatch = "dispatch"     // from one step to the next
	partScatter  = "scatter"      // what whole runs, without clocks, take longer than all these medians
	partLater    = "later"        // the same where nodes are no steps of the plan
)

// waterfall says where the microseconds of a whole run go: the ideal first, then
// what products on spmm, gemm and spmv lose, what all other steps take beyond
// the ideal, and gaps, the time between steps. Parts without time are left out.
func waterfall(whole float64, steps []ProfileStep, gaps float64, later bool) []Part {
	order := []string{
		partIdeal, partPadding, partZeros, partTraffic, partKernels, kernels.Depthwise, kindAttention, kindNorm, kindSoftmax,
		kindElementwise, kindPool, kindHalo, kindRelayout, kindOther,
	}
	us := make(map[string]float64)
	left := whole - gaps
	for _, s := range steps {
		left -= s.US
		us[partIdeal] += s.ideal
		switch s.Kind {
		case kernels.SpMM, kernels.GEMM, kernels.SpMV:
			computed := s.ideal + s.padding + s.zeros
			traffic := max(0, s.TrafficUS-computed)
			us[partPadding] += s.padding
			us[partZeros] += s.zeros
			us[partTraffic] += traffic
			us[partKernels] += s.US - computed - traffic
		default:
			us[s.Kind] += s.US - s.ideal
		}
	}
	last := partScatter
	if later {
		last = partLater
	}
	us[partDispatch], us[last] = gaps, left
	var parts []Part
	for _, name := range append(order, partDispatch, last) {
		if us[name] != 0 {
			p := Part{Name: name, US: us[name]}
			if whole > 0 {
				p.Share = p.US / whole
			}
			parts = append(parts, p)
		}
	}
	return parts
}
