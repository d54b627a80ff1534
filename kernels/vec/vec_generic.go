package vec

import (
	"math"

	"github.com/nnz-dev/nnz/kernels/isa"
)

// generic returns the portable functions for the vectors of an instruction
// set.
func generic(i isa.ISA) Kernels {
	return Kernels{
		ISA:         i,
		Add:         addGeneric,
		Sub:         subGeneric,
		Mul:         mulGeneric,
		Div:         divGeneric,
		Affine:      affineGeneric,
		DivScalar:   divScalarGeneric,
		ScalarDiv:   scalarDivGeneric,
		Clamp:       clampGeneric,
		LeakyRelu:   leakyReluGeneric,
		Threshold:   thresholdGeneric,
		HardSigmoid: hardSigmoidGeneric,
		HardSwish:   hardSwishGeneric,
		Exp:         expGeneric,
		Sigmoid:     sigmoidGeneric,
		Tanh:        tanhGeneric,
		Erf:         erfGeneric,
		Gelu:        geluGeneric,
		GeluTanh:    geluTanhGeneric,
		Silu:        siluGeneric,
		Sum:         sumGeneric,
		Max:         maxGeneric,
		Dot:         dotGeneric,
		SumWhere:    sumWhereGeneric,
		ExpSum:      expSumGeneric,
		MaxPool:     maxPoolGeneric(i.Lanes()),
		SumPool:     sumPoolGeneric(i.Lanes()),
		Gather:      gatherGeneric,
		Transpose:   transposeGeneric(i.Lanes()),
		Interleave:  interleaveGeneric(i.Lanes()),
		Fours:       foursGeneric,
		Permute:     permuteGeneric,

		SoftmaxColumns:   softmaxColumnsGeneric,
		LayerNormColumns: layerNormColumnsGeneric,
		RMSNormColumns:   rmsNormColumnsGeneric,

		deviations:  deviationsGeneric,
		centre:      centreGeneric,
		centreScale: centreScaleGeneric,
	}
}

func addGeneric(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

func subGeneric(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] - b[i]
	}
}

func mulGeneric(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
}

func divGeneric(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] / b[i]
	}
}

func affineGeneric(dst, x []float32, scale, shift float32) {
	for i, v := range x[:len(dst)] {
		dst[i] = v*scale + shift
	}
}

func divScalarGeneric(dst, x []float32, c float32) {
	for i, v := range x[:len(dst)] {
		dst[i] = v / c
	}
}

func scalarDivGeneric(dst, x []float32, c float32) {
	for i, v := range x[:len(dst)] {
		dst[i] = c / v
	}
}

// clamp is min(max(v, lo), hi) that keeps a NaN.
func clamp(v, lo, hi float32) float32 {
	if v < lo {
		v = lo
	}
	if v > hi {
		v = hi
	}
	return v
}

func clampGeneric(dst, x []float32, lo, hi float32) {
	for i, v := range x[:len(dst)] {
		dst[i] = clamp(v, lo, hi)
	}
}

func leakyReluGeneric(dst, x []float32, alpha float32) {
	for i, v := range x[:len(dst)] {
		if v < 0 {
			v *= alpha
		}
		dst[i] = v
	}
}

// thresholdGeneric compares bits, which are more the farther x is from zero and
// the most for NaN, and does not branch on what is as good as random.
func thresholdGeneric(dst, x []float32, limit float32) {
	const magnitude = 1<<31 - 1
	most := math.Float32bits(limit) & magnitude
	for i, v := range x[:len(dst)] {
		keep := -((most - math.Float32bits(v)&magnitude) >> 31) // all ones, or 0
		dst[i] = math.Float32frombits(math.Float32bits(v) & keep)
	}
}

func hardSigmoidGeneric(dst, x []float32, alpha, beta float32) {
	for i, v := range x[:len(dst)] {
		dst[i] = clamp(v*alpha+beta, 0, 1)
	}
}

func hardSwishGeneric(dst, x []float32) {
	for i, v := range x[:len(dst)] {
		dst[i] = v * clamp(v*(1.0/6)+0.5, 0, 1)
	}
}

func expGeneric(dst, x []float32) {
	for i, v := range x[:len(dst)] {
		dst[i] = float32(math.Exp(float64(v)))
	}
}

func sigmoidGeneric(dst, x []float32) {
	for i, v := range x[:len(dst)] {
		dst[i] = float32(1 / (1 + math.Exp(-float64(v))))
	}
}

func tanhGeneric(dst, x []float32) {
	for i, v := range x[:len(dst)] {
		dst[i] = float32(math.Tanh(float64(v)))
	}
}

func erfGeneric(dst, x []float32) {
	for i, v := range x[:len(dst)] {
		dst[i] = float32(math.Erf(float64(v)))
	}
}

// activationZero is where the activations have become 0 in float32: an
// argument is kept from beyond, so that 0 does not meet an Inf.
const activationZero = -200

func geluGeneric(dst, x []float32) {
	for i, v := range x[:len(dst)] {
		x := math.Max(float64(v), activationZero)
		dst[i] = float32(x * math.Erfc(-x/math.Sqrt2) / 2)
	}
}

func geluTanhGeneric(dst, x []float32) {
	const c = math.Sqrt2 / math.SqrtPi
	for i, v := range x[:len(dst)] {
		x := math.Max(float64(v), activationZero)
		dst[i] = float32(x / (1 + math.Exp(-2*c*(x+0.044715*x*x*x))))
	}
}

func siluGeneric(dst, x []float32) {
	for i, v := range x[:len(dst)] {
		x := math.Max(float64(v), activationZero)
		dst[i] = float32(x / (1 + math.Exp(-x)))
	}
}

func sumGeneric(x []float32) float32 {
	var s [4]float32
	for len(x) >= 4 {
		s[0] += x[0]
		s[1] += x[1]
		s[2] += x[2]
		s[3] += x[3]
		x = x[4:]
	}
	for i, v := range x {
		s[i] += v
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func maxGeneric(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		if v > m || v != v {
			m = v
		}
	}
	return m
}

func sumWhereGeneric(x []float32, where []uint32) float32 {
	where = where[:len(x)]
	var s [4]float32
	for i, v := range x {
		s[i%4] += math.Float32frombits(math.Float32bits(v) & where[i])
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func dotGeneric(a, b []float32) float32 {
	b = b[:len(a)]
	var s [4]float32
	for len(a) >= 4 && len(b) >= 4 {
		s[0] += a[0] * b[0]
		s[1] += a[1] * b[1]
		s[2] += a[2] * b[2]
		s[3] += a[3] * b[3]
		a, b = a[4:], b[4:]
	}
	for i, v := range a {
		s[i] += v * b[i]
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func expSumGeneric(dst, x []float32, max float32) float32 {
	var sum float64
	for i, v := range x[:len(dst)] {
		e := math.Exp(float64(v - max))
		dst[i] = float32(e)
		sum += e
	}
	return float32(sum)
}

func maxPoolGeneric(lanes int) func(dst, src []float32, taps []uint32, step int) {
	return func(dst, src []float32, taps []uint32, step int) {
		for i := 0; i < len(dst); i += lanes {
			d := dst[i : i+lanes]
			for l := range d {
				d[l] = float32(math.Inf(-1))
			}
			for _, t := range taps {
				for l, v := range src[i*step+int(t/4):][:lanes] {
					if v > d[l] || v != v {
						d[l] = v
					}
				}
			}
		}
	}
}

func sumPoolGeneric(lanes int) func(dst, src []float32, taps []uint32, step int) {
	return func(dst, src []float32, taps []uint32, step int) {
		for i := 0; i < len(dst); i += lanes {
			d := dst[i : i+lanes]
			clear(d)
			for _, t := range taps {
				for l, v := range src[i*step+int(t/4):][:lanes] {
					d[l] += v
				}
			}
		}
	}
}

func gatherGeneric(dst, src []float32, index []int32, fill float32) {
	for i, j := range index[:len(dst)] {
		if uint(j) < uint(len(src)) {
			dst[i] = src[j]
		} else {
			dst[i] = fill
		}
	}
}

// interleaved cuts the operands of Interleave to what it writes and reads: at
// most a vector of each row past the last.
func interleaved(dst, src []float32, lanes, vectors, live, stride int) (to, from []float32) {
	if vectors <= 0 {
		return nil, nil
	}
	if live < 1 || live > lanes || stride < 0 {
		panic("vec: interleaving of no lanes")
	}
	return dst[:4*(live*(vectors-1)+lanes)], src[:3*stride+lanes*vectors]
}

func interleaveGeneric(lanes int) func(dst, src []float32, vectors, live, stride int) {
	return func(dst, src []float32, vectors, live, stride int) {
		dst, src = interleaved(dst, src, lanes, vectors, live, stride)
		for v := range vectors {
			for i := range live {
				for j := range 4 {
					dst[4*(live*v+i)+j] = src[stride*j+lanes*v+i]
				}
			}
		}
	}
}

// inFours cuts the operands of Fours to what it writes and reads.
func inFours(dst, src []float32, groups, rows, stride int) (to, from []float32) {
	if groups <= 0 || rows <= 0 {
		return nil, nil
	}
	if stride < 0 {
		panic("vec: rows go backwards")
	}
	return dst[:4*groups*rows], src[:stride*(rows-1)+4*groups]
}

func foursGeneric(dst, src []float32, groups, rows, stride int) {
	dst, src = inFours(dst, src, groups, rows, stride)
	for i := 0; i < len(dst); i += 4 {
		n, r := i/4/rows, i/4%rows
		copy(dst[i:i+4], src[stride*r+4*n:])
	}
}

// transposed cuts the operands of Transpose to what it writes and reads.
func transposed(dst, src []float32, rows []int32, lanes, vectors int) (to, from []float32) {
	reach := 0
	for _, r := range rows[:lanes] {
		if r < 0 {
			panic("vec: a row that begins before its slice")
		}
		reach = max(reach, int(r)+vectors)
	}
	return dst[:lanes*vectors], src[:reach]
}

func transposeGeneric(lanes int) func(dst, src []float32, rows []int32, vectors int) {
	return func(dst, src []float32, rows []int32, vectors int) {
		if vectors <= 0 {
			return
		}
		dst, src = transposed(dst, src, rows, lanes, vectors)
		for l, r := range rows[:lanes] {
			for v, x := range src[r:][:vectors] {
				dst[lanes*v+l] = x
			}
		}
	}
}
