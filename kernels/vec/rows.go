package vec

import "math"

// rowFunctions gives k the functions that are made of its others.
func (k *Kernels) rowFunctions() {
	k.Softmax = func(dst, x []float32) {
		sum := k.ExpSum(dst, x, k.Max(x[:len(dst)]))
		k.DivScalar(dst, dst, sum)
	}
	k.LayerNorm = k.layerNorm
	k.RMSNorm = k.rmsNorm
}

var minusZero = float32(math.Copysign(0, -1))

// layerNorm takes the mean of the differences from a first mean for its error.
//
// Source: Chan, Golub and LeVeque, Algorithms for computing the sample
// variance, 1983.
func (k *Kernels) layerNorm(dst, x, scale, bias []float32, eps float32) (mean, inv float32) {
	n := float64(len(dst))
	mean = float32(float64(k.Sum(x[:len(dst)])) / n)
	sum, square := k.deviations(x[:len(dst)], mean)
	rest := sum / n
	factor := 1 / math.Sqrt(square/n-rest*rest+float64(eps))
	inv = float32(factor)
	shift := float32(-rest * factor)
	if scale != nil && bias != nil {
		k.centreScale(dst, x, scale, bias, mean, inv, shift)
	} else {
		k.centre(dst, x, mean, inv, shift)
		k.scale(dst, scale, bias)
	}
	return float32(float64(mean) + rest), inv
}

func (k *Kernels) rmsNorm(dst, x, scale []float32, eps float32) (inv float32) {
	_, square := k.deviations(x[:len(dst)], 0)
	inv = float32(1 / math.Sqrt(square/float64(len(dst))+float64(eps)))
	k.Affine(dst, x, inv, minusZero)
	k.scale(dst, scale, nil)
	return inv
}

// scale is dst[i] = dst[i]*scale[i] + bias[i], of which either may be nil.
func (k *Kernels) scale(dst, scale, bias []float32) {
	if scale != nil {
		k.Mul(dst, dst, scale)
	}
	if bias != nil {
		k.Add(dst, dst, bias)
	}
}

func deviationsGeneric(x []float32, mean float32) (sum, square float64) {
	for _, v := range x {
		d := float64(v - mean)
		sum += d
		square += d * d
	}
	return sum, square
}

func centreGeneric(dst, x []float32, mean, factor, shift float32) {
	for i, v := range x[:len(dst)] {
		dst[i] = (v-mean)*factor + shift
	}
}

func centreScaleGeneric(dst, x, scale, bias []float32, mean, factor, shift float32) {
	x, scale, bias = x[:len(dst)], scale[:len(dst)], bias[:len(dst)]
	for i, v := range x {
		dst[i] = ((v-mean)*factor+shift)*scale[i] + bias[i]
	}
}
