package spmv

import "math"

// reference computes y = clamp(W x + bias) of a dense row-major W in float64,
// and for each element the sum of the magnitudes that it adds up. Absent
// weights, which are zeros here, multiply nothing.
func reference(rows, cols int, w, x []float32, e Epilogue) (y, magnitude []float64) {
	columns := len(x) / cols
	y, magnitude = make([]float64, columns*rows), make([]float64, columns*rows)
	for c := range columns {
		for m := range rows {
			var sum, abs float64
			if e.Bias != nil {
				sum = float64(e.Bias[m])
				abs = math.Abs(sum)
			}
			for k := range cols {
				if v := float64(w[m*cols+k]); v != 0 {
					p := v * float64(x[c*cols+k])
					sum += p
					abs += math.Abs(p)
				}
			}
			if e.Clamp && sum == sum {
				sum = math.Min(math.Max(sum, float64(e.Min)), float64(e.Max))
			}
			y[c*rows+m], magnitude[c*rows+m] = sum, abs
		}
	}
	return y, magnitude
}
