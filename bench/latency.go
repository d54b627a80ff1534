package bench

import (
	"math"
	"slices"
	"time"
)

// A Latency summarizes the times of several runs, in milliseconds. Percentiles
// are by nearest rank: times that really occurred.
type Latency struct {
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	Min  float64 `json:"min_ms"`
	Mean float64 `json:"mean_ms"`
	Runs int     `json:"runs"`
}

// summarize returns zeros where there are no times.
func summarize(times []time.Duration) Latency {
	if len(times) == 0 {
		return Latency{}
	}
	sorted := slices.Clone(times)
	slices.Sort(sorted)
	sum := time.Duration(0)
	for _, t := range sorted {
		sum += t
	}
	return Latency{
		P50:  milliseconds(percentile(sorted, 0.5)),
		P90:  milliseconds(percentile(sorted, 0.9)),
		P99:  milliseconds(percentile(sorted, 0.99)),
		Min:  milliseconds(sorted[0]),
		Mean: milliseconds(sum) / float64(len(sorted)),
		Runs: len(sorted),
	}
}

// percentile returns the smallest of the sorted times that at least the
// fraction q of them do not exceed.
func percentile(sorted []time.Duration, q float64) time.Duration {
	// The small term keeps 0.9·10, which is not quite 9, at the ninth.
	rank := int(math.Ceil(q*float64(len(sorted)) - 1e-9))
	return sorted[max(rank, 1)-1]
}

// median sorts times and returns the middle one.
func median(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return percentile(times, 0.5)
}

// ratio compares medians; 0 where one is missing.
func ratio(a, b Latency) float64 {
	if b.P50 == 0 {
		return 0
	}
	return a.P50 / b.P50
}

func milliseconds(d time.Duration) float64 { return float64(d) / 1e6 }
func microseconds(d time.Duration) float64 { return float64(d) / 1e3 }
