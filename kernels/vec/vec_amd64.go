//go:build !purego

package vec

import "github.com/nnz-dev/nnz/kernels/isa"

//go:generate go run -C ../_gen ./vec -isa avx2 -pkg vec -out ../vec/vec_avx2_amd64.s -stubs ../vec/vec_avx2_amd64.go
//go:generate go run -C ../_gen ./vec -isa avx512 -pkg vec -out ../vec/vec_avx512_amd64.s -stubs ../vec/vec_avx512_amd64.go

// archKernels replaces the functions of k that k.ISA has its own for.
func archKernels(k *Kernels) {
	switch k.ISA {
	case isa.AVX2:
		k.Add, k.Sub, k.Mul, k.Div = binary(addAVX2), binary(subAVX2), binary(mulAVX2), binary(divAVX2)
		k.Affine = unary2(affineAVX2)
		k.DivScalar, k.ScalarDiv = unary1(divScalarAVX2), unary1(scalarDivAVX2)
		k.Clamp, k.HardSigmoid = unary2(clampAVX2), unary2(hardSigmoidAVX2)
		k.LeakyRelu, k.HardSwish = unary1(leakyReluAVX2), unary(hardSwishAVX2)
		k.Threshold = unary1(thresholdAVX2)
		k.Exp, k.Sigmoid, k.Tanh = unary(expAVX2), unary(sigmoidAVX2), unary(tanhAVX2)
		k.Erf, k.Gelu, k.GeluTanh, k.Silu = unary(erfAVX2), unary(geluAVX2), unary(geluTanhAVX2), unary(siluAVX2)
		k.Sum, k.Max, k.Dot, k.SumWhere, k.ExpSum = sum(sumAVX2), largest(maxAVX2), dot(dotAVX2), dot(sumWhereAVX2), expSum(expSumAVX2)
		k.deviations, k.centre, k.centreScale = deviations(deviationsAVX2), unary3(centreAVX2), centreScale(centreScaleAVX2)
		k.SoftmaxColumns = softmaxColumns(k.ISA.Lanes(), softmaxColumnsAVX2)
		k.LayerNormColumns = layerNormColumns(k.ISA.Lanes(), layerNormColumnsAVX2)
		k.RMSNormColumns = rmsNormColumns(k.ISA.Lanes(), rmsNormColumnsAVX2)
		k.MaxPool, k.SumPool = pool(8, maxPoolAVX2), pool(8, sumPoolAVX2)
		k.Interleave, k.Fours = interleave(8, interleaveAVX2), fours(foursAVX2)
		k.Gather, k.Permute = gather(gatherAVX2), permute(8, (*permutePart).lanes, permuteAVX2)
		k.Transpose = transpose(8, transposeAVX2)
	case isa.AVX512:
		k.Add, k.Sub, k.Mul, k.Div = binary(addAVX512), binary(subAVX512), binary(mulAVX512), binary(divAVX512)
		k.Affine = unary2(affineAVX512)
		k.DivScalar, k.ScalarDiv = unary1(divScalarAVX512), unary1(scalarDivAVX512)
		k.Clamp, k.HardSigmoid = unary2(clampAVX512), unary2(hardSigmoidAVX512)
		k.LeakyRelu, k.HardSwish = unary1(leakyReluAVX512), unary(hardSwishAVX512)
		k.Threshold = unary1(thresholdAVX512)
		k.Exp, k.Sigmoid, k.Tanh = unary(expAVX512), unary(sigmoidAVX512), unary(tanhAVX512)
		k.Erf, k.Gelu, k.GeluTanh, k.Silu = unary(erfAVX512), unary(geluAVX512), unary(geluTanhAVX512), unary(siluAVX512)
		k.Sum, k.Max, k.Dot, k.SumWhere, k.ExpSum = sum(sumAVX512), largest(maxAVX512), dot(dotAVX512), dot(sumWhereAVX512), expSum(expSumAVX512)
		k.deviations, k.centre, k.centreScale = deviations(deviationsAVX512), unary3(centreAVX512), centreScale(centreScaleAVX512)
		k.SoftmaxColumns = softmaxColumns(k.ISA.Lanes(), softmaxColumnsAVX512)
		k.LayerNormColumns = layerNormColumns(k.ISA.Lanes(), layerNormColumnsAVX512)
		k.RMSNormColumns = rmsNormColumns(k.ISA.Lanes(), rmsNormColumnsAVX512)
		k.MaxPool, k.SumPool = pool(16, maxPoolAVX512), pool(16, sumPoolAVX512)
		k.Interleave, k.Fours = interleave(16, interleaveAVX512), fours(foursAVX512)
		k.Gather, k.Permute = gather(gatherAVX512), permute(16, (*permutePart).lanes, permuteAVX512)
		k.Transpose = transpose(16, transposeAVX512)
	}
}
