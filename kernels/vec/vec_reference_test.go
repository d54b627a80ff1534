package vec

import "math"

// A unaryCase is an elementwise function of one input as the tests see it.
type unaryCase struct {
	name string
	run  func(k *Kernels, dst, x []float32)
	// want returns the exact result and how far from it a result may be.
	want func(x float64) (y, tolerance float64)
}

// ulps returns n units in the last place of a float32 near y.
func ulps(y, n float64) float64 {
	_, e := math.Frexp(y)
	return n * math.Ldexp(1, max(e-24, -149))
}

// powerTolerance is n ulps, and all of a subnormal power.
func powerTolerance(y, n float64) float64 {
	if y < 0x1p-126 {
		return max(y, ulps(y, n))
	}
	return ulps(y, n)
}

// within gives a result a tolerance of n ulps.
func within(n float64, f func(x float64) float64) func(x float64) (y, tolerance float64) {
	return func(x float64) (float64, float64) {
		y := f(x)
		return y, ulps(y, n)
	}
}

// activation is x*gate(x), 0 at -Inf, with a tolerance of n ulps or of a share
// of |x|, whichever is more.
func activation(n, share float64, gate func(x float64) float64) func(x float64) (y, tolerance float64) {
	return func(x float64) (float64, float64) {
		if math.IsInf(x, -1) {
			return 0, 0
		}
		y := x * gate(x)
		return y, math.Max(ulps(y, n), share*math.Abs(x))
	}
}

func clamp64(x, lo, hi float64) float64 {
	if math.IsNaN(x) {
		return x
	}
	return math.Min(math.Max(x, lo), hi)
}

// above is x where its magnitude is above a limit, 0 elsewhere.
func above(limit float64) func(x float64) float64 {
	return func(x float64) float64 {
		if math.Abs(x) <= limit {
			return 0
		}
		return x
	}
}

var inf = math.Inf(1)

var unaries = []unaryCase{
	{"Affine", func(k *Kernels, dst, x []float32) { k.Affine(dst, x, 1.5, -0.75) },
		func(x float64) (float64, float64) { return x*1.5 - 0.75, ulps(x*1.5, 0.5) + ulps(x*1.5-0.75, 0.5) }},
	{"Affine/add", func(k *Kernels, dst, x []float32) { k.Affine(dst, x, 1, 0.3) },
		within(0.5, func(x float64) float64 { return x + float64(float32(0.3)) })},
	{"Affine/subtract", func(k *Kernels, dst, x []float32) { k.Affine(dst, x, -1, 0.3) },
		within(0.5, func(x float64) float64 { return float64(float32(0.3)) - x })},
	{"Affine/multiply", func(k *Kernels, dst, x []float32) { k.Affine(dst, x, 0.3, float32(math.Copysign(0, -1))) },
		within(0.5, func(x float64) float64 { return x * float64(float32(0.3)) })},
	{"DivScalar", func(k *Kernels, dst, x []float32) { k.DivScalar(dst, x, 3) },
		within(0.5, func(x float64) float64 { return x / 3 })},
	{"ScalarDiv", func(k *Kernels, dst, x []float32) { k.ScalarDiv(dst, x, 3) },
		within(0.5, func(x float64) float64 { return 3 / x })},
	{"Clamp", func(k *Kernels, dst, x []float32) { k.Clamp(dst, x, -0.5, 6) },
		within(0, func(x float64) float64 { return clamp64(x, -0.5, 6) })},
	{"Clamp/relu", func(k *Kernels, dst, x []float32) { k.Clamp(dst, x, 0, float32(inf)) },
		within(0, func(x float64) float64 { return clamp64(x, 0, inf) })},
	{"Clamp/inverted", func(k *Kernels, dst, x []float32) { k.Clamp(dst, x, 2, 1) },
		within(0, func(x float64) float64 { return clamp64(x, 2, 1) })},
	{"LeakyRelu", func(k *Kernels, dst, x []float32) { k.LeakyRelu(dst, x, 0.25) },
		within(0.5, func(x float64) float64 {
			if x < 0 {
				return x * 0.25
			}
			return x
		})},
	{"Threshold", func(k *Kernels, dst, x []float32) { k.Threshold(dst, x, 0.75) }, within(0, above(0.75))},
	{"Threshold/zero", func(k *Kernels, dst, x []float32) { k.Threshold(dst, x, 0) }, within(0, above(0))},
	{"Threshold/all", func(k *Kernels, dst, x []float32) { k.Threshold(dst, x, float32(inf)) }, within(0, above(inf))},
	{"HardSigmoid", func(k *Kernels, dst, x []float32) { k.HardSigmoid(dst, x, 0.25, 0.5) },
		func(x float64) (float64, float64) {
			return clamp64(x*0.25+0.5, 0, 1), ulps(1, 1)
		}},
	{"HardSwish", func(k *Kernels, dst, x []float32) { k.HardSwish(dst, x) },
		func(x float64) (float64, float64) {
			// x/6 + 1/2 is within some units of 2**-24 where it is not clamped.
			return x * clamp64(x/6+0.5, 0, 1), math.Abs(x)*0x3p-24 + 0x1p-149
		}},
	{"Exp", func(k *Kernels, dst, x []float32) { k.Exp(dst, x) }, within(2, math.Exp)},
	{"Sigmoid", func(k *Kernels, dst, x []float32) { k.Sigmoid(dst, x) },
		within(3, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) })},
	{"Tanh", func(k *Kernels, dst, x []float32) { k.Tanh(dst, x) }, within(3, math.Tanh)},
	{"Erf", func(k *Kernels, dst, x []float32) { k.Erf(dst, x) }, within(2, math.Erf)},
	{"Gelu", func(k *Kernels, dst, x []float32) { k.Gelu(dst, x) },
		activation(4, 0x1p-25, func(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 })},
	{"GeluTanh", func(k *Kernels, dst, x []float32) { k.GeluTanh(dst, x) },
		activation(4, 0x1p-25, func(x float64) float64 {
			return 1 / (1 + math.Exp(-2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
		})},
	{"Silu", func(k *Kernels, dst, x []float32) { k.Silu(dst, x) },
		activation(4, 0x1p-149, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) })},
	{"ExpSum", func(k *Kernels, dst, x []float32) { k.ExpSum(dst, x, 0) },
		func(x float64) (float64, float64) { return math.Exp(x), powerTolerance(math.Exp(x), 2) }},
}

// A binaryCase is an elementwise function of two inputs, correctly rounded.
type binaryCase struct {
	name string
	run  func(k *Kernels) func(dst, a, b []float32)
	want func(a, b float64) float64
}

var binaries = []binaryCase{
	{"Add", func(k *Kernels) func(dst, a, b []float32) { return k.Add }, func(a, b float64) float64 { return a + b }},
	{"Sub", func(k *Kernels) func(dst, a, b []float32) { return k.Sub }, func(a, b float64) float64 { return a - b }},
	{"Mul", func(k *Kernels) func(dst, a, b []float32) { return k.Mul }, func(a, b float64) float64 { return a * b }},
	{"Div", func(k *Kernels) func(dst, a, b []float32) { return k.Div }, func(a, b float64) float64 { return a / b }},
}

// near reports whether got is a float32 for the exact result want: within the
// tolerance of it, equal where it is infinite. What rounds to 2**128 is Inf.
func near(got float32, want, tolerance float64) bool {
	const overflow = 0x1.ffffffp127
	switch g := float64(got); {
	case math.IsNaN(want):
		return g != g
	case math.IsInf(want, 0):
		return g == want
	case math.IsInf(g, 1):
		return want+tolerance >= overflow
	case math.IsInf(g, -1):
		return want-tolerance <= -overflow
	default:
		return math.Abs(g-want) <= tolerance && (math.Abs(want)-tolerance < overflow)
	}
}

// poolReference is MaxPool, or SumPool where sum is set, in float64.
func poolReference(dst, magnitude []float64, src []float32, taps []uint32, step, lanes int, sum bool) {
	for i := range dst {
		dst[i], magnitude[i] = math.Inf(-1), 0
		if sum {
			dst[i] = 0
		}
		for _, t := range taps {
			v := float64(src[i/lanes*step*lanes+int(t)/4+i%lanes])
			magnitude[i] += math.Abs(v)
			if sum {
				dst[i] += v
			} else {
				dst[i] = math.Max(dst[i], v)
			}
		}
	}
}
