//go:build !purego

package vec

// addNEON is dst[i] = a[i] + b[i].
func addNEON(dst, a, b []float32)

// subNEON is dst[i] = a[i] - b[i].
func subNEON(dst, a, b []float32)

// mulNEON is dst[i] = a[i] * b[i].
func mulNEON(dst, a, b []float32)

// divNEON is dst[i] = a[i] / b[i].
func divNEON(dst, a, b []float32)

// affineNEON is dst[i] = x[i]*scale + shift, rounded twice.
func affineNEON(dst, x []float32, scale, shift float32)

// divScalarNEON is dst[i] = x[i] / c.
func divScalarNEON(dst, x []float32, c float32)

// scalarDivNEON is dst[i] = c / x[i].
func scalarDivNEON(dst, x []float32, c float32)

// clampNEON is dst[i] = min(max(x[i], lo), hi).
func clampNEON(dst, x []float32, lo, hi float32)

// hardSigmoidNEON is dst[i] = min(max(alpha*x[i] + beta, 0), 1).
func hardSigmoidNEON(dst, x []float32, alpha, beta float32)

// leakyReluNEON is dst[i] = x[i], times alpha where negative.
func leakyReluNEON(dst, x []float32, alpha float32)

// thresholdNEON is dst[i] = 0 where |x[i]| <= limit, x[i] elsewhere.
func thresholdNEON(dst, x []float32, limit float32)

// hardSwishNEON is dst[i] = x[i] * min(max(x[i]/6 + 1/2, 0), 1).
func hardSwishNEON(dst, x []float32)

// expNEON is dst[i] = e**x[i].
func expNEON(dst, x []float32)

// sigmoidNEON is dst[i] = 1 / (1 + e**-x[i]).
func sigmoidNEON(dst, x []float32)

// tanhNEON is dst[i] = tanh x[i].
func tanhNEON(dst, x []float32)

// expSumNEON is dst[i] = e**(x[i] - max), and returns the sum of dst.
func expSumNEON(dst, x []float32, max float32) float32

// sumNEON is the sum of x.
func sumNEON(x []float32) float32

// maxNEON is the largest of x, NaN where x holds one.
func maxNEON(x []float32) float32

// dotNEON is the sum of a[i] * b[i] over the length of a.
func dotNEON(a, b []float32) float32

// sumWhereNEON is the sum of x[i] & where[i] over the length of x.
func sumWhereNEON(x []float32, where []uint32) float32

// maxPoolNEON is the largest of the vectors of src at the taps, for each
// vector of dst; vector i starts at step*i.
func maxPoolNEON(dst, src []float32, taps []uint32, step int)

// sumPoolNEON is the sum of the vectors of src at the taps, for each vector of
// dst; vector i starts at step*i.
func sumPoolNEON(dst, src []float32, taps []uint32, step int)

// permuteNEON is the targets of a part of a PermuteTable of four lanes, in
// planes that are so many elements apart; lane has bytes.
func permuteNEON(dst, src []float32, target, from []uint32, lane []uint8, planes, dstPlane, srcPlane int, fill float32)
