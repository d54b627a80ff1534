package ops

import "github.com/nnz-dev/nnz/graph"

var (
	uint8s = func(v ...int64) Tensor { return as(graph.Uint8, I(s(len(v)), v...)) }
	int8s  = func(v ...int64) Tensor { return as(graph.Int8, I(s(len(v)), v...)) }
	int32s = func(v ...int64) Tensor { return as(graph.Int32, I(s(len(v)), v...)) }
	bools  = func(v ...int64) Tensor { return as(graph.Bool, I(s(len(v)), v...)) }
)

var bitCases = []opCase{
	{"bits of uint8", "BitwiseNot", 18, nil, []Tensor{uint8s(0, 255, 5)}, []Tensor{uint8s(255, 0, 250)}},
	{"bitwise and", "BitwiseAnd", 18, nil, []Tensor{uint8s(12), uint8s(10)}, []Tensor{uint8s(8)}},
	{"bitwise or", "BitwiseOr", 18, nil, []Tensor{uint8s(12), uint8s(10)}, []Tensor{uint8s(14)}},
	{"bitwise xor", "BitwiseXor", 18, nil, []Tensor{uint8s(12), uint8s(10)}, []Tensor{uint8s(6)}},
	{"shift left", "BitShift", 11, attrs{"direction": "LEFT"}, []Tensor{uint8s(16, 4, 1), uint8s(1, 6, 9)}, []Tensor{uint8s(32, 0, 0)}},
	{"shift right", "BitShift", 11, attrs{"direction": "RIGHT"}, []Tensor{uint8s(16, 4, 1), uint8s(1, 2, 9)}, []Tensor{uint8s(8, 1, 0)}},
	{"is NaN", "IsNaN", 13, nil, []Tensor{F(s(3), 1, notNumber, big)}, []Tensor{bools(0, 1, 0)}},
	{"is infinite", "IsInf", 13, nil, []Tensor{F(s(3), -big, notNumber, big)}, []Tensor{bools(1, 0, 1)}},
	{"is minus infinity", "IsInf", 13, attrs{"detect_positive": 0}, []Tensor{F(s(2), -big, big)}, []Tensor{bools(1, 0)}},
	{"shrink", "Shrink", 9, attrs{"bias": float32(1.5), "lambd": float32(1.5)}, []Tensor{F(s(4), -2, -1, 1, 2)}, []Tensor{F(s(4), -0.5, 0, 0, 0.5)}},
	{"swish", "Swish", 24, attrs{"alpha": float32(2)}, []Tensor{F(s(2), 0, 1)}, []Tensor{F(s(2), 0, 0.8807971)}},
	{"cast like", "CastLike", 15, nil, []Tensor{F(s(2), 1.9, -1.9), int32s(0)}, []Tensor{int32s(1, -1)}},
}

var selectCases = []opCase{
	{"upper triangle", "Trilu", 14, nil, []Tensor{F(s(2, 3))}, []Tensor{F(s(2, 3), 1, 2, 3, 0, 5, 6)}},
	{"lower triangle, shifted", "Trilu", 14, attrs{"upper": 0}, []Tensor{I(s(2, 3)), I(nil, 1)}, []Tensor{I(s(2, 3), 1, 2, 0, 4, 5, 6)}},
	{"eye of another type", "EyeLike", 9, attrs{"dtype": 7, "k": 1}, []Tensor{F(s(2, 3))}, []Tensor{I(s(2, 3), 0, 1, 0, 0, 0, 1)}},
	{"one hot", "OneHot", 11, attrs{"axis": 0}, []Tensor{I(s(3), 0, -1, 7), I(nil, 2), F(s(2), 5, 9)}, []Tensor{F(s(2, 3), 9, 5, 5, 5, 9, 5)}},
	{"running sum", "CumSum", 14, nil, []Tensor{F(s(2, 2)), I(nil, -1)}, []Tensor{F(s(2, 2), 1, 3, 3, 7)}},
	{"running sum from the end without its own", "CumSum", 14, attrs{"reverse": 1, "exclusive": 1}, []Tensor{I(s(3)), I(nil, 0)}, []Tensor{I(s(3), 5, 3, 0)}},
	{"running product", "CumProd", 26, attrs{"exclusive": 1}, []Tensor{F(s(3), 2, 3, 4), I(nil, 0)}, []Tensor{F(s(3), 1, 2, 6)}},
	{"reverse sequences", "ReverseSequence", 10, nil, []Tensor{F(s(3, 2)), I(s(2), 2, 3)}, []Tensor{F(s(3, 2), 3, 6, 1, 4, 5, 2)}},
	{"crop one axis and pad another", "CenterCropPad", 18, nil, []Tensor{F(s(3, 1)), I(s(2), 1, 3)}, []Tensor{F(s(1, 3), 0, 2, 0)}},
	{"largest two", "TopK", 11, nil, []Tensor{F(s(4), 1, 3, 3, notNumber), I(s(1), 2)}, []Tensor{F(s(2), notNumber, 3), I(s(2), 3, 1)}},
	{"smallest along an inner axis", "TopK", 11, attrs{"axis": 0, "largest": 0}, []Tensor{I(s(3, 2), 5, 2, 4, 1, 6, 0), I(s(1), 2)}, []Tensor{I(s(2, 2), 4, 0, 5, 1), I(s(2, 2), 1, 2, 0, 1)}},
	{"spread what was pooled", "MaxUnpool", 11, attrs{"kernel_shape": []int{2}, "strides": []int{2}}, []Tensor{F(s(1, 1, 2), 5, 6), I(s(1, 1, 2), 1, 99)}, []Tensor{F(s(1, 1, 4), 0, 5, 0, 0)}},
	{"spread into a larger shape", "MaxUnpool", 11, attrs{"kernel_shape": []int{2, 2}, "strides": []int{2, 2}}, []Tensor{F(s(1, 1, 1, 1), 5), I(s(1, 1, 1, 1), 2), I(s(4), 1, 1, 3, 3)},
		[]Tensor{F(s(1, 1, 3, 3), 0, 0, 0, 5, 0, 0, 0, 0, 0)}},
	{"largest by attribute", "TopK", 1, attrs{"k": 1}, []Tensor{F(s(3), 1, 3, 2)}, []Tensor{F(s(1), 3), I(s(1), 1)}},
}

var normCases = []opCase{
	{"layer norm with statistics", "LayerNormalization", 17, nil, []Tensor{F(s(2, 2), -1, 1, 2, 6), F(s(2), 1, 2), F(s(2), 0, 1)},
		[]Tensor{F(s(2, 2), -0.999995, 2.99999, -0.99999875, 2.9999975), F(s(2, 1), 0, 4), F(s(2, 1), 0.999995, 0.49999937)}},
	{"layer norm of all axes", "LayerNormalization", 17, attrs{"axis": 0}, []Tensor{F(s(2, 1), 3, 5), F(s(1), 1)}, []Tensor{F(s(2, 1), -0.999995, 0.999995)}},
	{"RMS norm", "RMSNormalization", 23, nil, []Tensor{F(s(1, 2), 1, 7), F(s(2), 5, 1)}, []Tensor{F(s(1, 2), 1, 1.4)}},
	{"simplified layer norm", "SimplifiedLayerNormalization", 1, nil, []Tensor{F(s(1, 2), 1, 7), F(s(2), 5, 1)}, []Tensor{F(s(1, 2), 1, 1.4), F(s(1, 1), 0.2)}},
	{"instance norm", "InstanceNormalization", 6, attrs{"epsilon": float32(0)}, []Tensor{F(s(1, 2, 2), 1, 3, 0, 8), F(s(2), 1, 2), F(s(2), 0, 1)}, []Tensor{F(s(1, 2, 2), -1, 1, -1, 3)}},
	{"group norm", "GroupNormalization", 21, attrs{"num_groups": 1, "epsilon": float32(0)}, []Tensor{F(s(1, 2, 1), 1, 3), F(s(2), 1, 2), F(s(2), 0, 1)}, []Tensor{F(s(1, 2, 1), -1, 3)}},
	{"group norm scaled by group", "GroupNormalization", 18, attrs{"num_groups": 1, "epsilon": float32(0)}, []Tensor{F(s(1, 2, 1), 1, 3), F(s(1), 2), F(s(1), 1)}, []Tensor{F(s(1, 2, 1), -1, 3)}},
	{"mean and variance of batch and image", "MeanVarianceNormalization", 13, nil, []Tensor{F(s(2, 2, 1, 1), 1, 10, 3, 30)}, []Tensor{F(s(2, 2, 1, 1), -1, -1, 1, 1)}},
	{"L2 norm, of zeros too", "LpNormalization", 1, nil, []Tensor{F(s(2, 2), 3, 4, 0, 0)}, []Tensor{F(s(2, 2), 0.6, 0.8, 0, 0)}},
	{"L1 norm", "LpNormalization", 22, attrs{"p": 1, "axis": 0}, []Tensor{F(s(2), -1, 3)}, []Tensor{F(s(2), -0.25, 0.75)}},
	{"hardmax", "Hardmax", 13, nil, []Tensor{F(s(2, 2), 1, 1, 1, 2)}, []Tensor{F(s(2, 2), 1, 0, 0, 1)}},
}
