package bench

import (
	"math"
	"testing"
	"time"
)

func TestSummarize(t *testing.T) {
	ms := func(v ...int) []time.Duration {
		out := make([]time.Duration, len(v))
		for i, x := range v {
			out[i] = time.Duration(x) * time.Millisecond
		}
		return out
	}
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = 100 - i
	}
	cases := []struct {
		name  string
		times []time.Duration
		want  Latency
	}{
		{"none", nil, Latency{}},
		{"one", ms(7), Latency{P50: 7, P90: 7, P99: 7, Min: 7, Mean: 7, Runs: 1}},
		{"two", ms(9, 1), Latency{P50: 1, P90: 9, P99: 9, Min: 1, Mean: 5, Runs: 2}},
		{"three", ms(3, 1, 2), Latency{P50: 2, P90: 3, P99: 3, Min: 1, Mean: 2, Runs: 3}},
		{"ten", ms(10, 9, 8, 7, 6, 5, 4, 3, 2, 1), Latency{P50: 5, P90: 9, P99: 10, Min: 1, Mean: 5.5, Runs: 10}},
		{"hundred", ms(hundred...), Latency{P50: 50, P90: 90, P99: 99, Min: 1, Mean: 50.5, Runs: 100}},
	}
	for _, c := range cases {
		if got := summarize(c.times); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestDifference(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	cases := []struct {
		a, b float32
		want float64
		ok   bool
	}{
		{1, 1.5, 0.5, true},
		{-1, 1, 2, true},
		{nan, nan, 0, true},
		{inf, inf, 0, true},
		{-math.MaxFloat32, math.MaxFloat32, 2 * math.MaxFloat32, true},
		{nan, 1, 0, false},
		{1, nan, 0, false},
		{inf, -inf, 0, false},
		{inf, 1, 0, false},
	}
	for _, c := range cases {
		d, ok := difference(c.a, c.b)
		if ok != c.ok || ok && d != c.want {
			t.Errorf("difference(%v, %v) = %v, %t, want %v, %t", c.a, c.b, d, ok, c.want, c.ok)
		}
	}
}
