//go:build !purego

package vec

import "github.com/nnz-dev/nnz/kernels/isa"

// archKernels replaces the functions of k that k.ISA has its own for.
func archKernels(k *Kernels) {
	if k.ISA != isa.NEON {
		return
	}
	k.Add, k.Sub, k.Mul, k.Div = binary(addNEON), binary(subNEON), binary(mulNEON), binary(divNEON)
	k.Affine = unary2(affineNEON)
	k.DivScalar, k.ScalarDiv = unary1(divScalarNEON), unary1(scalarDivNEON)
	k.Clamp, k.HardSigmoid = unary2(clampNEON), unary2(hardSigmoidNEON)
	k.LeakyRelu, k.HardSwish = unary1(leakyReluNEON), unary(hardSwishNEON)
	k.Threshold = unary1(thresholdNEON)
	k.Exp, k.Sigmoid, k.Tanh = unary(expNEON), unary(sigmoidNEON), unary(tanhNEON)
	k.Sum, k.Max, k.Dot, k.SumWhere, k.ExpSum = sum(sumNEON), largest(maxNEON), dot(dotNEON), dot(sumWhereNEON), expSum(expSumNEON)
	k.MaxPool, k.SumPool = pool(4, maxPoolNEON), pool(4, sumPoolNEON)
	k.Permute = permute(4, (*permutePart).laneBytes, permuteNEON)
}
