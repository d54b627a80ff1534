package ops

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/vec"
)

// F makes a float32 tensor and I one of type int64; with no values they hold
// 1, 2, 3 …
func F(shape []int, v ...float32) Tensor {
	t := Tensor{DType: graph.Float32, Shape: shape, F: v}
	for len(v) == 0 && len(t.F) < t.Len() {
		t.F = append(t.F, float32(len(t.F)+1))
	}
	return t
}

func I(shape []int, v ...int64) Tensor {
	t := Tensor{DType: graph.Int64, Shape: shape, I: v}
	for len(v) == 0 && len(t.I) < t.Len() {
		t.I = append(t.I, int64(len(t.I)+1))
	}
	return t
}

func as(dt graph.DType, t Tensor) Tensor {
	t.DType = dt
	return t
}

// s is a shape.
func s(d ...int) []int { return append([]int{}, d...) }

type attrs map[string]any

func node(op string, a attrs, inputs int) *graph.Node {
	n := &graph.Node{Op: op, Inputs: make([]string, inputs), Outputs: []string{"y"}}
	if d, name, ok := strings.Cut(op, "."); ok {
		n.Domain, n.Op = d, name
	}
	for k, v := range a {
		n.Set(k, v)
	}
	return n
}

type opCase struct {
	name  string
	op    string
	opset int
	attrs attrs
	in    []Tensor
	want  []Tensor
}

var (
	none      = Tensor{}
	x44       = F(s(1, 1, 4, 4))
	bool4     = as(graph.Bool, I(s(4), 1, 0, 1, 0))
	big       = float32(math.Inf(1))
	notNumber = float32(math.NaN())
)

var opCases = []opCase{
	{"relu keeps NaN", "Relu", 14, nil, []Tensor{F(s(4), -1, 0, 2, notNumber)}, []Tensor{F(s(4), 0, 0, 2, notNumber)}},
	{"relu of integers", "Relu", 14, nil, []Tensor{as(graph.Int32, I(s(2), -3, 3))}, []Tensor{as(graph.Int32, I(s(2), 0, 3))}},
	{"clip by attributes", "Clip", 6, attrs{"min": float32(0), "max": float32(2)}, []Tensor{F(s(3), -1, 1, 3)}, []Tensor{F(s(3), 0, 1, 2)}},
	{"clip by inputs", "Clip", 13, nil, []Tensor{F(s(3), -1, 1, 3), none, F(nil, 2)}, []Tensor{F(s(3), -1, 1, 2)}},
	{"clip of integers", "Clip", 13, nil, []Tensor{I(s(3), -1, 1, 3), I(nil, 0)}, []Tensor{I(s(3), 0, 1, 3)}},
	{"leaky relu", "LeakyRelu", 16, attrs{"alpha": float32(0.5)}, []Tensor{F(s(2), -2, 2)}, []Tensor{F(s(2), -1, 2)}},
	{"prelu by channel", "PRelu", 16, nil, []Tensor{F(s(1, 2, 2), -1, 1, -1, 1), F(s(2, 1), 2, 3)}, []Tensor{F(s(1, 2, 2), -2, 1, -3, 1)}},
	{"elu", "Elu", 6, attrs{"alpha": float32(2)}, []Tensor{F(s(2), 1, -1)}, []Tensor{F(s(2), 1, 2*(1/math.E-1))}},
	{"hard sigmoid", "HardSigmoid", 6, nil, []Tensor{F(s(3), -9, 1, 9)}, []Tensor{F(s(3), 0, 0.7, 1)}},
	{"hard swish", "HardSwish", 14, nil, []Tensor{F(s(2), 1, 4)}, []Tensor{F(s(2), 4./6, 4)}},
	{"softplus without overflow", "Softplus", 1, nil, []Tensor{F(s(2), 0, 200)}, []Tensor{F(s(2), math.Ln2, 200)}},
	{"selu", "Selu", 6, attrs{"gamma": float32(2)}, []Tensor{F(s(2), 1, -big)}, []Tensor{F(s(2), 2, -2*1.6732632)}},
	{"celu", "Celu", 12, attrs{"alpha": float32(2)}, []Tensor{F(s(2), 1, -2)}, []Tensor{F(s(2), 1, 2*(1/math.E-1))}},
	{"gelu", "Gelu", 20, nil, []Tensor{F(s(1), 1)}, []Tensor{F(s(1), 0.8413447)}},
	{"gelu by tanh", "Gelu", 20, attrs{"approximate": "tanh"}, []Tensor{F(s(1), 1)}, []Tensor{F(s(1), 0.841192)}},
	{"thresholded relu", "ThresholdedRelu", 10, nil, []Tensor{F(s(3), -1, 1, 2)}, []Tensor{F(s(3), 0, 0, 2)}},
	{"round to even", "Round", 11, nil, []Tensor{F(s(3), 0.5, 1.5, 2.5)}, []Tensor{F(s(3), 0, 2, 2)}},
	{"sign", "Sign", 13, nil, []Tensor{F(s(3), -3, 0, notNumber)}, []Tensor{F(s(3), -1, 0, notNumber)}},
	{"sign of integers", "Sign", 13, nil, []Tensor{I(s(3), -3, 0, 4)}, []Tensor{I(s(3), -1, 0, 1)}},
	{"reciprocal", "Reciprocal", 13, nil, []Tensor{F(s(2), 4, 0)}, []Tensor{F(s(2), 0.25, big)}},
	{"erf", "Erf", 13, nil, []Tensor{F(s(2), 0, 1)}, []Tensor{F(s(2), 0, 0.8427008)}},
	{"neg of int8 wraps", "Neg", 13, nil, []Tensor{as(graph.Int8, I(s(2), -128, 5))}, []Tensor{as(graph.Int8, I(s(2), -128, -5))}},
	{"abs", "Abs", 13, nil, []Tensor{I(s(2), -2, 5)}, []Tensor{I(s(2), 2, 5)}},
	{"not", "Not", 1, nil, []Tensor{bool4}, []Tensor{as(graph.Bool, I(s(4), 0, 1, 0, 1))}},

	{"cast truncates", "Cast", 13, attrs{"to": 7}, []Tensor{F(s(4), -1.9, 1.9, notNumber, big)}, []Tensor{I(s(4), -1, 1, 0, math.MaxInt64)}},
	{"cast to uint8 wraps", "Cast", 13, attrs{"to": 2}, []Tensor{I(s(2), 257, -1)}, []Tensor{as(graph.Uint8, I(s(2), 1, 255))}},
	{"cast to bool", "Cast", 13, attrs{"to": 9}, []Tensor{F(s(3), 0, 0.1, notNumber)}, []Tensor{as(graph.Bool, I(s(3), 0, 1, 1))}},
	{"cast to float16 rounds", "Cast", 13, attrs{"to": 10}, []Tensor{F(s(2), 2049, 1e6)}, []Tensor{as(graph.Float16, F(s(2), 2048, big))}},
	{"cast to bfloat16 rounds to even", "Cast", 13, attrs{"to": 16}, []Tensor{F(s(2), 257, 259)}, []Tensor{as(graph.BFloat16, F(s(2), 256, 260))}},

	{"add same shape", "Add", 14, nil, []Tensor{F(s(2, 3)), F(s(2, 3))}, []Tensor{F(s(2, 3), 2, 4, 6, 8, 10, 12)}},
	{"add scalar", "Add", 14, nil, []Tensor{F(nil, 1), F(s(3))}, []Tensor{F(s(3), 2, 3, 4)}},
	{"add by channel", "Add", 14, nil, []Tensor{F(s(1, 2, 2)), F(s(2, 1), 10, 20)}, []Tensor{F(s(1, 2, 2), 11, 12, 23, 24)}},
	{"add both ways", "Add", 14, nil, []Tensor{F(s(2, 1)), F(s(1, 3))}, []Tensor{F(s(2, 3), 2, 3, 4, 3, 4, 5)}},
	{"add uint8 wraps", "Add", 14, nil, []Tensor{as(graph.Uint8, I(s(1), 250)), as(graph.Uint8, I(s(1), 10))}, []Tensor{as(graph.Uint8, I(s(1), 4))}},
	{"scalar minus vector", "Sub", 14, nil, []Tensor{F(nil, 1), F(s(2))}, []Tensor{F(s(2), 0, -1)}},
	{"vector minus last axis", "Sub", 14, nil, []Tensor{F(s(2, 2)), F(s(2))}, []Tensor{F(s(2, 2), 0, 0, 2, 2)}},
	{"product keeps minus zero", "Mul", 14, nil, []Tensor{F(s(2), -1, 1), F(nil, 0)}, []Tensor{F(s(2), float32(math.Copysign(0, -1)), 0)}},
	{"scalar over vector", "Div", 14, nil, []Tensor{F(nil, 1), F(s(3), 1, 2, 0)}, []Tensor{F(s(3), 1, 0.5, big)}},
	{"integer division truncates", "Div", 14, nil, []Tensor{I(s(3), -7, 7, 7), I(s(3), 2, -2, 0)}, []Tensor{I(s(3), -3, -3, 0)}},
	{"pow", "Pow", 15, nil, []Tensor{F(s(3), -2, 4, 3), F(s(3), 2, 0.5, 3)}, []Tensor{F(s(3), 4, 2, 27)}},
	{"square", "Pow", 15, nil, []Tensor{F(s(3), -2, 4, 3), F(nil, 2)}, []Tensor{F(s(3), 4, 16, 9)}},
	{"pow of integers", "Pow", 15, nil, []Tensor{I(s(2), 3, 2), I(s(2), 4, -1)}, []Tensor{I(s(2), 81, 0)}},
	{"pow of integer to real", "Pow", 15, nil, []Tensor{I(s(1), 9), F(s(1), 0.5)}, []Tensor{I(s(1), 3)}},
	{"max of three", "Max", 13, nil, []Tensor{F(s(2)), F(nil, 1.5), F(s(2, 1), 0, 9)}, []Tensor{F(s(2, 2), 1.5, 2, 9, 9)}},
	{"min keeps NaN", "Min", 13, nil, []Tensor{F(s(2)), F(s(2), notNumber, 1)}, []Tensor{F(s(2), notNumber, 1)}},
	{"sum of one and two axes", "Sum", 13, nil, []Tensor{F(s(2)), F(s(2, 1))}, []Tensor{F(s(2, 2), 2, 3, 3, 4)}},
	{"mean of three", "Mean", 13, nil, []Tensor{F(s(2)), F(s(2)), F(s(1), 4)}, []Tensor{F(s(2), 2, 8./3)}},
	{"mod has the sign of the divisor", "Mod", 13, nil, []Tensor{I(s(4), -7, 7, -7, 7), I(s(4), 3, -3, -3, 0)}, []Tensor{I(s(4), 2, -2, -1, 0)}},
	{"fmod has the sign of the dividend", "Mod", 13, attrs{"fmod": 1}, []Tensor{F(s(2), -7.5, 7.5), F(s(2), 3, -3)}, []Tensor{F(s(2), -1.5, 1.5)}},
	{"mod of reals", "Mod", 13, nil, []Tensor{F(s(2), -7.5, 7.5), F(s(2), 3, -3)}, []Tensor{F(s(2), 1.5, -1.5)}},
	{"xor", "Xor", 7, nil, []Tensor{bool4, as(graph.Bool, I(nil, 1))}, []Tensor{as(graph.Bool, I(s(4), 0, 1, 0, 1))}},
	{"greater or equal", "GreaterOrEqual", 16, nil, []Tensor{F(s(3)), F(nil, 2)}, []Tensor{as(graph.Bool, I(s(3), 0, 1, 1))}},
	{"equal of integers", "Equal", 13, nil, []Tensor{I(s(3)), I(nil, 2)}, []Tensor{as(graph.Bool, I(s(3), 0, 1, 0))}},
	{"less", "Less", 13, nil, []Tensor{F(s(2), 1, notNumber), F(nil, 2)}, []Tensor{as(graph.Bool, I(s(2), 1, 0))}},
	{"and", "And", 7, nil, []Tensor{bool4, as(graph.Bool, I(s(1), 1))}, []Tensor{bool4}},
	{"or", "Or", 7, nil, []Tensor{bool4, as(graph.Bool, I(s(1), 1))}, []Tensor{as(graph.Bool, I(s(4), 1, 1, 1, 1))}},
	{"where", "Where", 16, nil, []Tensor{as(graph.Bool, I(s(2, 1), 1, 0)), F(s(2)), F(nil, 9)}, []Tensor{F(s(2, 2), 1, 2, 9, 9)}},

	{"conv with padding", "Conv", 11, attrs{"pads": []int{1, 1, 1, 1}}, []Tensor{F(s(1, 1, 2, 2)), F(s(1, 1, 3, 3))},
		[]Tensor{F(s(1, 1, 2, 2), 77, 67, 47, 37)}},
	{"conv with stride and dilation", "Conv", 11, attrs{"strides": []int{2, 1}, "dilations": []int{1, 2}},
		[]Tensor{x44, F(s(1, 1, 2, 2), 1, 0, 0, 1), F(s(1), 100)}, []Tensor{F(s(1, 1, 2, 2), 108, 110, 124, 126)}},
	{"conv same lower", "Conv", 11, attrs{"auto_pad": "SAME_LOWER"}, []Tensor{F(s(1, 1, 3)), F(s(1, 1, 2), 1, 10)}, []Tensor{F(s(1, 1, 3), 10, 21, 32)}},
	{"conv same upper", "Conv", 11, attrs{"auto_pad": "SAME_UPPER"}, []Tensor{F(s(1, 1, 3)), F(s(1, 1, 2), 1, 10)}, []Tensor{F(s(1, 1, 3), 21, 32, 3)}},
	{"grouped conv", "Conv", 11, attrs{"group": 2}, []Tensor{F(s(1, 2, 2)), F(s(4, 1, 1))}, []Tensor{F(s(1, 4, 2), 1, 2, 2, 4, 9, 12, 12, 16)}},
	{"conv over five channels", "Conv", 11, nil, []Tensor{F(s(1, 5, 1)), F(s(1, 5, 1))}, []Tensor{F(s(1, 1, 1), 55)}},
	{"conv in three dimensions", "Conv", 11, nil, []Tensor{F(s(1, 1, 2, 2, 2)), F(s(1, 1, 2, 1, 1), 1, 1)}, []Tensor{F(s(1, 1, 1, 2, 2), 6, 8, 10, 12)}},
	{"fused conv", "nnz.Conv", 1, attrs{"clamp_min": float32(0), "clamp_max": float32(6)},
		[]Tensor{F(s(1, 1, 3)), F(s(1, 1, 1), 2), F(s(1), -1), F(s(1, 1, 3), -4, 1, 5)}, []Tensor{F(s(1, 1, 3), 0, 4, 6)}},
	{"conv transpose", "ConvTranspose", 11, attrs{"strides": []int{2}, "output_padding": []int{1}},
		[]Tensor{F(s(1, 1, 2)), F(s(1, 1, 3))}, []Tensor{F(s(1, 1, 6), 1, 2, 5, 4, 6, 0)}},
	{"conv transpose to a shape", "ConvTranspose", 11, attrs{"strides": []int{2}, "output_shape": []int{4}, "auto_pad": "SAME_UPPER"},
		[]Tensor{F(s(1, 1, 2)), F(s(1, 1, 3))}, []Tensor{F(s(1, 1, 4), 1, 2, 5, 4)}},
	{"grouped conv transpose", "ConvTranspose", 11, attrs{"group": 2},
		[]Tensor{F(s(1, 2, 1), 1, 10), F(s(2, 2, 1)), F(s(4), 0, 0, 0, 5)}, []Tensor{F(s(1, 4, 1), 1, 2, 30, 45)}},
	{"gemm", "Gemm", 13, attrs{"transA": 1, "transB": 1, "alpha": float32(2), "beta": float32(3)},
		[]Tensor{F(s(2, 1)), F(s(2, 2)), F(s(2), 1, 2)}, []Tensor{F(s(1, 2), 13, 28)}},
	{"gemm without C", "Gemm", 13, nil, []Tensor{F(s(1, 2)), F(s(2, 2))}, []Tensor{F(s(1, 2), 7, 10)}},
	{"matmul of batches", "MatMul", 13, nil, []Tensor{F(s(2, 1, 2)), F(s(2, 2, 1))}, []Tensor{F(s(2, 1, 1), 5, 25)}},
	{"matmul over one matrix", "MatMul", 13, nil, []Tensor{F(s(2, 1, 2)), F(s(2, 2))}, []Tensor{F(s(2, 1, 2), 7, 10, 15, 22)}},
	{"matmul broadcasts a", "MatMul", 13, nil, []Tensor{F(s(1, 2)), F(s(2, 2, 1))}, []Tensor{F(s(2, 1, 1), 5, 11)}},
	{"matmul of vectors", "MatMul", 13, nil, []Tensor{F(s(3)), F(s(3))}, []Tensor{F(nil, 14)}},
	{"fused linear", "nnz.Linear", 1, attrs{"clamp_max": float32(12)},
		[]Tensor{F(s(2, 2)), F(s(2, 2)), F(s(2), 1, 1), F(s(2, 2), 0, 0, -20, 0)}, []Tensor{F(s(2, 2), 6, 12, -8, 12)}},

	{"batch normalisation", "BatchNormalization", 15, attrs{"epsilon": float32(0)},
		[]Tensor{F(s(1, 2, 2)), F(s(2), 1, 2), F(s(2), 0, 1), F(s(2), 1, 3), F(s(2), 1, 4)}, []Tensor{F(s(1, 2, 2), 0, 1, 1, 2)}},
	{"affine", "nnz.Affine", 1, nil, []Tensor{F(s(2, 2)), F(s(2), 1, 2), F(s(2), 0, 1)}, []Tensor{F(s(2, 2), 1, 5, 3, 9)}},
	{"clamp", "nnz.Clamp", 1, attrs{"min": float32(2)}, []Tensor{F(s(3))}, []Tensor{F(s(3), 2, 2, 3)}},
	{"lrn", "LRN", 13, attrs{"size": 3, "alpha": float32(3), "beta": float32(1), "bias": float32(0)},
		[]Tensor{F(s(1, 3, 1))}, []Tensor{F(s(1, 3, 1), 1./5, 2./14, 3./13)}},
	{"softmax of one axis", "Softmax", 13, attrs{"axis": 1}, []Tensor{F(s(1, 2, 2), 0, 0, 0, math.Ln2)}, []Tensor{F(s(1, 2, 2), .5, 1./3, .5, 2./3)}},
	{"softmax flattens before 13", "Softmax", 11, nil, []Tensor{F(s(1, 2, 2), 0, 0, 0, 0)}, []Tensor{F(s(1, 2, 2), .25, .25, .25, .25)}},
	{"softmax of large numbers", "Softmax", 13, nil, []Tensor{F(s(2), 1e4, 1e4)}, []Tensor{F(s(2), .5, .5)}},
	{"log softmax", "LogSoftmax", 13, nil, []Tensor{F(s(2), 1e4, 1e4)}, []Tensor{F(s(2), -math.Ln2, -math.Ln2)}},

	{"max pool", "MaxPool", 12, attrs{"kernel_shape": []int{2, 2}, "strides": []int{2, 2}}, []Tensor{x44},
		[]Tensor{F(s(1, 1, 2, 2), 6, 8, 14, 16), I(s(1, 1, 2, 2), 5, 7, 13, 15)}},
	{"max pool padding is not a value", "MaxPool", 12, attrs{"kernel_shape": []int{3}, "pads": []int{1, 1}}, []Tensor{F(s(1, 1, 2), -5, -7)}, []Tensor{F(s(1, 1, 2), -5, -5)}},
	{"max pool ceil", "MaxPool", 12, attrs{"kernel_shape": []int{2}, "strides": []int{2}, "ceil_mode": 1}, []Tensor{F(s(1, 1, 3))}, []Tensor{F(s(1, 1, 2), 2, 3)}},
	{"max pool dilated", "MaxPool", 12, attrs{"kernel_shape": []int{2}, "dilations": []int{2}}, []Tensor{F(s(1, 1, 4), 4, 3, 1, 2)}, []Tensor{F(s(1, 1, 2), 4, 3)}},
	{"max pool of int8", "MaxPool", 12, attrs{"kernel_shape": []int{2}}, []Tensor{as(graph.Int8, I(s(1, 1, 3), -3, -2, -9))}, []Tensor{as(graph.Int8, I(s(1, 1, 2), -2, -2))}},
	{"average pool", "AveragePool", 11, attrs{"kernel_shape": []int{2}, "pads": []int{1, 0}}, []Tensor{F(s(1, 1, 3))}, []Tensor{F(s(1, 1, 3), 1, 1.5, 2.5)}},
	{"average pool counts padding", "AveragePool", 11, attrs{"kernel_shape": []int{2}, "pads": []int{1, 0}, "count_include_pad": 1}, []Tensor{F(s(1, 1, 3))}, []Tensor{F(s(1, 1, 3), .5, 1.5, 2.5)}},
	{"average pool ceil does not count what is beyond", "AveragePool", 11, attrs{"kernel_shape": []int{2}, "strides": []int{2}, "ceil_mode": 1, "count_include_pad": 1},
		[]Tensor{F(s(1, 1, 3))}, []Tensor{F(s(1, 1, 2), 1.5, 3)}},
	{"pool starts no window on padding", "AveragePool", 11, attrs{"kernel_shape": []int{1}, "strides": []int{3}, "pads": []int{0, 1}, "ceil_mode": 1},
		[]Tensor{F(s(1, 1, 2))}, []Tensor{F(s(1, 1, 1), 1)}},
	{"global average pool", "GlobalAveragePool", 1, nil, []Tensor{F(s(1, 2, 2, 1))}, []Tensor{F(s(1, 2, 1, 1), 1.5, 3.5)}},
	{"global max pool", "GlobalMaxPool", 1, nil, []Tensor{F(s(1, 2, 2, 1))}, []Tensor{F(s(1, 2, 1, 1), 2, 4)}},
	{"reduce the last axis", "ReduceSum", 13, nil, []Tensor{F(s(2, 2)), I(s(1), -1)}, []Tensor{F(s(2, 1), 3, 7)}},
	{"reduce the first axis", "ReduceMean", 13, attrs{"axes": []int{0}, "keepdims": 0}, []Tensor{F(s(2, 2))}, []Tensor{F(s(2), 2, 3)}},
	{"reduce outer and inner axes", "ReduceMax", 18, nil, []Tensor{F(s(2, 2, 2)), I(s(2), 0, 2)}, []Tensor{F(s(1, 2, 1), 6, 8)}},
	{"reduce all", "ReduceMin", 13, attrs{"keepdims": 0}, []Tensor{I(s(2, 2))}, []Tensor{I(nil, 1)}},
	{"reduce nothing", "ReduceSum", 13, attrs{"noop_with_empty_axes": 1}, []Tensor{F(s(2))}, []Tensor{F(s(2))}},
	{"reduce of nothing", "ReduceMax", 20, nil, []Tensor{F(s(0, 2), []float32{}...), I(s(1), 0)}, []Tensor{F(s(1, 2), -big, -big)}},
	{"reduce a product", "ReduceProd", 13, nil, []Tensor{F(s(3))}, []Tensor{F(s(1), 6)}},
	{"reduce magnitudes", "ReduceL1", 13, nil, []Tensor{F(s(2), -3, 4)}, []Tensor{F(s(1), 7)}},
	{"reduce to a length", "ReduceL2", 13, nil, []Tensor{F(s(2), -3, 4)}, []Tensor{F(s(1), 5)}},
	{"reduce squares of integers", "ReduceSumSquare", 13, nil, []Tensor{I(s(2), -3, 4)}, []Tensor{I(s(1), 25)}},
	{"reduce to a logarithm", "ReduceLogSum", 13, nil, []Tensor{F(s(2), 1, 1)}, []Tensor{F(s(1), math.Ln2)}},
	{"reduce exponentials without overflow", "ReduceLogSumExp", 13, nil, []Tensor{F(s(2), 200, 200)}, []Tensor{F(s(1), 200+math.Ln2)}},
	{"arg min", "ArgMin", 13, nil, []Tensor{F(s(3), 2, 1, 1)}, []Tensor{I(s(1), 1)}},
	{"arg max", "ArgMax", 13, attrs{"axis": 1, "keepdims": 0}, []Tensor{F(s(2, 3), 1, 3, 3, 5, 4, 5)}, []Tensor{I(s(2), 1, 0)}},
	{"arg max, last", "ArgMax", 13, attrs{"axis": 1, "select_last_index": 1}, []Tensor{F(s(2, 3), 1, 3, 3, 5, 4, 5)}, []Tensor{I(s(2, 1), 2, 2)}},

	{"concat", "Concat", 13, attrs{"axis": -1}, []Tensor{F(s(2, 1)), F(s(2, 2))}, []Tensor{F(s(2, 3), 1, 1, 2, 2, 3, 4)}},
	{"split", "Split", 13, attrs{"axis": 1}, []Tensor{F(s(2, 3)), I(s(2), 1, 2)}, []Tensor{F(s(2, 1), 1, 4), F(s(2, 2), 2, 3, 5, 6)}},
	{"flatten", "Flatten", 13, nil, []Tensor{F(s(2, 1, 2))}, []Tensor{F(s(2, 2))}},
	{"dropout with mask", "Dropout", 13, nil, []Tensor{F(s(2))}, []Tensor{F(s(2)), as(graph.Bool, I(s(2), 1, 1))}},
	{"transpose", "Transpose", 13, attrs{"perm": []int{2, 0, 1}}, []Tensor{F(s(2, 1, 3))}, []Tensor{F(s(3, 2, 1), 1, 4, 2, 5, 3, 6)}},
	{"transpose reverses", "Transpose", 13, nil, []Tensor{I(s(2, 2))}, []Tensor{I(s(2, 2), 1, 3, 2, 4)}},
	{"slice backwards", "Slice", 13, nil, []Tensor{F(s(4)), I(s(1), -1), I(s(1), -1000), I(s(1), 0), I(s(1), -2)}, []Tensor{F(s(2), 4, 2)}},
	{"slice by attributes", "Slice", 9, attrs{"starts": []int{1, 0}, "ends": []int{1000, -1}, "axes": []int{1, 0}}, []Tensor{F(s(2, 3))}, []Tensor{F(s(1, 2), 2, 3)}},
	{"gather", "Gather", 13, attrs{"axis": 1}, []Tensor{F(s(2, 2)), I(s(3), -1, 0, 1)}, []Tensor{F(s(2, 3), 2, 1, 2, 4, 3, 4)}},
	{"gather a scalar", "Gather", 13, nil, []Tensor{I(s(2)), I(nil, 1)}, []Tensor{I(nil, 2)}},
	{"expand", "Expand", 13, nil, []Tensor{F(s(2, 1)), I(s(3), 2, 1, 2)}, []Tensor{F(s(2, 2, 2), 1, 1, 2, 2, 1, 1, 2, 2)}},
	{"tile", "Tile", 13, nil, []Tensor{F(s(2, 1)), I(s(2), 2, 2)}, []Tensor{F(s(4, 2), 1, 1, 2, 2, 1, 1, 2, 2)}},
	{"shape of a range of axes", "Shape", 15, attrs{"start": -2, "end": 10}, []Tensor{F(s(2, 3, 4))}, []Tensor{I(s(2), 3, 4)}},
	{"size", "Size", 13, nil, []Tensor{F(s(2, 3))}, []Tensor{I(nil, 6)}},
	{"constant", "Constant", 13, attrs{"value_ints": []int{4, 5}}, []Tensor{}, []Tensor{I(s(2), 4, 5)}},
	{"constant of shape", "ConstantOfShape", 9, attrs{"value": graph.FromInts(graph.Int64, s(1), []int64{7})}, []Tensor{I(s(1), 2)}, []Tensor{I(s(2), 7, 7)}},
	{"range", "Range", 11, nil, []Tensor{F(nil, 1), F(nil, 0), F(nil, -0.5)}, []Tensor{F(s(2), 1, 0.5)}},
	{"pad with a constant", "Pad", 13, nil, []Tensor{F(s(1, 2)), I(s(4), 0, 1, 1, 0), F(nil, 9)}, []Tensor{F(s(2, 3), 9, 1, 2, 9, 9, 9)}},
	{"pad reflects", "Pad", 13, attrs{"mode": "reflect"}, []Tensor{F(s(3)), I(s(2), 2, 3)}, []Tensor{F(s(8), 3, 2, 1, 2, 3, 2, 1, 2)}},
	{"pad repeats the edge", "Pad", 13, attrs{"mode": "edge"}, []Tensor{I(s(2)), I(s(2), 1, 2)}, []Tensor{I(s(5), 1, 1, 2, 2, 2)}},
	{"pad wraps", "Pad", 19, attrs{"mode": "wrap"}, []Tensor{F(s(3)), I(s(2), 1, 2)}, []Tensor{F(s(6), 3, 1, 2, 3, 1, 2)}},
	{"pad some axes and crop", "Pad", 18, nil, []Tensor{F(s(2, 2)), I(s(2), -1, 1), none, I(s(1), -1)}, []Tensor{F(s(2, 2), 2, 0, 4, 0)}},
	{"pad by attribute", "Pad", 2, attrs{"pads": []int{1, 0}, "value": float32(3)}, []Tensor{F(s(1))}, []Tensor{F(s(2), 3, 1)}},
	{"depth to space", "DepthToSpace", 13, attrs{"blocksize": 2}, []Tensor{F(s(1, 8, 1, 1))}, []Tensor{F(s(1, 2, 2, 2), 1, 3, 5, 7, 2, 4, 6, 8)}},
	{"depth to space, columns first", "DepthToSpace", 13, attrs{"blocksize": 2, "mode": "CRD"}, []Tensor{F(s(1, 8, 1, 1))}, []Tensor{F(s(1, 2, 2, 2))}},
	{"space to depth", "SpaceToDepth", 13, attrs{"blocksize": 2}, []Tensor{F(s(1, 2, 2, 2), 1, 3, 5, 7, 2, 4, 6, 8)}, []Tensor{F(s(1, 8, 1, 1))}},

	{"resize nearest", "Resize", 13, attrs{"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
		[]Tensor{F(s(1, 1, 2)), none, F(s(3), 1, 1, 2)}, []Tensor{F(s(1, 1, 4), 1, 1, 2, 2)}},
	{"resize nearest of integers", "Resize", 19, attrs{"axes": []int{-1}}, []Tensor{I(s(1, 2)), none, none, I(s(1), 4)}, []Tensor{I(s(1, 4), 1, 1, 2, 2)}},
	{"resize before 11 rounds up when it shrinks", "Resize", 10, nil, []Tensor{F(s(4)), F(s(1), .6)}, []Tensor{F(s(2), 1, 3)}},
	{"resize linear", "Resize", 13, attrs{"mode": "linear"}, []Tensor{F(s(2, 2)), none, F(s(2), 1, 2)},
		[]Tensor{F(s(2, 4), 1, 1.25, 1.75, 2, 3, 3.25, 3.75, 4)}},
	{"resize linear, corners aligned", "Resize", 13, attrs{"mode": "linear", "coordinate_transformation_mode": "align_corners"},
		[]Tensor{F(s(2)), none, none, I(s(1), 3)}, []Tensor{F(s(3), 1, 1.5, 2)}},
	{"resize both axes", "Resize", 11, attrs{"mode": "linear", "coordinate_transformation_mode": "align_corners"},
		[]Tensor{F(s(2, 2)), none, none, I(s(2), 3, 3)}, []Tensor{F(s(3, 3), 1, 1.5, 2, 2, 2.5, 3, 3, 3.5, 4)}},
	{"resize crops", "Resize", 13, attrs{"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": float32(9)},
		[]Tensor{F(s(3)), F(s(2), 0.5, 1.5), none, I(s(1), 2)}, []Tensor{F(s(2), 2, 9)}},
	{"resize antialiased", "Resize", 18, attrs{"mode": "linear", "antialias": 1}, []Tensor{F(s(4)), none, F(s(1), .5)}, []Tensor{F(s(2), 1.625, 3.375)}},
	{"resize cubic keeps a constant", "Resize", 13, attrs{"mode": "cubic"}, []Tensor{F(s(2), 3, 3), none, F(s(1), 2)}, []Tensor{F(s(4), 3, 3, 3, 3)}},
	{"upsample", "Upsample", 9, nil, []Tensor{F(s(2)), F(s(1), 2)}, []Tensor{F(s(4), 1, 1, 2, 2)}},
}

// allCases are the cases of every domain of operators.
var allCases = slices.Concat(opCases, bitCases, selectCases, normCases, quantCases, scatterCases, attentionCases, recurrentCases, sampleCases)

func TestOperators(t *testing.T) {
	for _, c := range allCases {
		t.Run(c.name, func(t *testing.T) {
			for _, k := range vec.All() {
				checkCase(t, c, k)
			}
		})
	}
	for op := range table {
		if !slices.ContainsFunc(slices.Concat(allCases, dataCases), func(c opCase) bool { return c.op == op }) {
			// The rest is plain: one function, or no function, of each element.
			switch op {
			case "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Exp", "Floor", "Log", "Mish", "Sigmoid", "Sin", "Sinh", "Softsign", "Sqrt", "Tan", "Tanh",
				"Greater", "LessOrEqual", "Identity", "Reshape", "Squeeze", "Unsqueeze":
			case "If", "Loop", "Scan": // package runtime runs them
			default:
				t.Errorf("operator %s has no case", op)
			}
		}
	}
}

// checkCase builds and runs a case, and asserts that running it allocates
// nothing.
func checkCase(t *testing.T, c opCase, k *vec.Kernels) {
	t.Helper()
	var out []Tensor
	for _, w := range c.want {
		y := Zeros(w.DType, w.Shape)
		fill(y.F, 77)
		fill(y.I, 77)
		out = append(out, y)
	}
	run, err := Build(node(c.op, c.attrs, len(c.in)), c.opset, c.in, out, k)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1, func() { run(c.in, out) }); n != 0 {
		t.Errorf("%s: %v allocations a run", k.ISA, n)
	}
	for i, w := range c.want {
		for j, v := range w.F {
			if !near(out[i].F[j], v) {
				t.Errorf("%s: output %d is %v, expected %v", k.ISA, i, out[i].F, w.F)
				break
			}
		}
		if !slices.Equal(out[i].I, w.I) {
			t.Errorf("%s: output %d is %v, expected %v", k.ISA, i, out[i].I, w.I)
		}
	}
}

// near compares to a few roundings; zeros must have the same sign.
func near(a, b float32) bool {
	switch {
	case a != a || b != b:
		return a != a && b != b
	case a == b:
		return math.Signbit(float64(a)) == math.Signbit(float64(b))
	}
	return math.Abs(float64(a)-float64(b)) <= 2e-6*math.Max(1, math.Abs(float64(b)))
}

func TestSupported(t *testing.T) {
	for _, c := range []struct {
		op    string
		attrs attrs
		opset int
		want  string
	}{
		{"Conv", nil, 7, ""},
		{"Add", nil, 6, "version 6"},
		{"SequenceAt", nil, 13, "SequenceAt is not supported"},
		{"If", nil, 13, "expected a condition"},
		{"com.microsoft.Gelu", nil, 1, `domain "com`},
		{"nnz.Linear", nil, 0, ""},
		{"Cast", attrs{"to": 8}, 13, "string"},
		{"Resize", attrs{"mode": "area"}, 13, "area"},
		{"BatchNormalization", attrs{"training_mode": 1}, 15, "training_mode"},
		{"Constant", attrs{"value_string": "a"}, 13, "string"},
		{"Conv", attrs{"auto_pad": "SAME"}, 11, "auto_pad"},
	} {
		err := Supported(node(c.op, c.attrs, 1), c.opset)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v at %d: %v, expected %q", c.op, c.attrs, c.opset, err, c.want)
		}
	}
}

func TestBuildErrors(t *testing.T) {
	for _, c := range []struct {
		op    string
		attrs attrs
		in    []Tensor
		out   Tensor
		want  string
	}{
		{"Add", nil, []Tensor{F(s(2)), F(s(3))}, F(s(2)), "do not broadcast"},
		{"Add", nil, []Tensor{F(s(2)), F(s(2))}, F(s(3)), "expected [2]"},
		{"Add", nil, []Tensor{F(s(2)), I(s(2))}, F(s(2)), "do not mix"},
		{"Add", nil, []Tensor{F(s(2))}, F(s(2)), "1 inputs"},
		{"Conv", nil, []Tensor{F(s(1, 3, 4, 4)), F(s(2, 2, 3, 3))}, F(s(1, 2, 2, 2)), "group"},
		{"Conv", attrs{"strides": []int{0, 1}}, []Tensor{x44, F(s(1, 1, 3, 3))}, F(s(1, 1, 2, 2)), "strides"},
		{"Conv", nil, []Tensor{F(s(1, 1, 1, 1, 1, 1)), F(s(1, 1, 1, 1, 1, 1))}, F(s(1, 1, 1, 1, 1, 1)), "one to three"},
		{"Conv", nil, []Tensor{x44, F(s(1, 1, 5, 5))}, F(s(1, 1, 1, 1)), "does not fit"},
		{"MaxPool", nil, []Tensor{x44}, F(s(1, 1, 2, 2)), "kernel_shape"},
		{"Gemm", nil, []Tensor{F(s(2, 3)), F(s(2, 3))}, F(s(2, 3)), "3 against 2"},
		{"Transpose", attrs{"perm": []int{0, 0}}, []Tensor{F(s(2, 2))}, F(s(2, 2)), "perm"},
		{"Slice", nil, []Tensor{F(s(2)), {DType: graph.Int64, Shape: s(1)}, I(s(1), 1)}, F(s(1)), "starts must be a constant"},
		{"Slice", nil, []Tensor{F(s(2)), I(s(1), 0), I(s(1), 2), I(s(1), 0), I(s(1), 0)}, F(s(2)), "step is 0"},
		{"Gather", nil, []Tensor{F(s(2)), I(s(1), 2)}, F(s(1)), "index 2"},
		{"ReduceSum", nil, []Tensor{F(s(2)), I(s(2), 0, -1)}, F(s(1)), "twice"},
		{"Reshape", nil, []Tensor{F(s(6)), I(s(1), 5)}, F(s(5)), "6 elements"},
		{"Relu", nil, []Tensor{as(graph.String, F(s(1)))}, F(s(1)), "string"},
		{"Pad", nil, []Tensor{F(s(2)), I(s(1), 2)}, F(s(4)), "two an axis"},
		{"Resize", nil, []Tensor{F(s(2)), none, F(s(1), 3)}, F(s(2)), "scales"},
	} {
		_, err := Build(node(c.op, c.attrs, len(c.in)), 13, c.in, []Tensor{c.out}, vec.All()[0])
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: %v, expected %q", c.op, c.attrs, err, c.want)
		}
	}
}

// TestOddNodes builds nodes with shapes, attributes and inputs at random: each
// is an error or runs, and none panics.
func TestOddNodes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	extent := func() int { return []int{0, 1, 2, 3, 4, 8}[r.IntN(6)] }
	number := func() int { return []int{-1 << 62, -3, -1, 0, 1, 2, 3, 1 << 40, 1<<63 - 1}[r.IntN(9)] }
	list := func() []int {
		v := make([]int, r.IntN(5))
		for i := range v {
			v[i] = r.IntN(4)
			if r.IntN(8) == 0 {
				v[i] = number()
			}
		}
		return v
	}
	ran := map[string]bool{}
	try := func(n *graph.Node, opset int, in, out []Tensor) {
		defer func() {
			if e := recover(); e != nil {
				t.Errorf("%s %v of %v to %v: %v", n.Op, n.Attrs, in, out, e)
			}
		}()
		if run, err := Build(n, opset, in, out, vec.All()[0]); err == nil {
			run(in, out)
			ran[n.Op] = true
		}
	}
	names := append(Names(), "nnz.Conv", "nnz.Linear", "nnz.Affine", "nnz.Clamp")
	for range 1500 {
		for _, op := range names {
			n := node(op, nil, 0)
			for _, a := range []string{"axis", "group", "to", "blocksize", "size", "start", "end", "ceil_mode", "keepdims", "transA", "transB"} {
				if r.IntN(4) == 0 {
					n.Set(a, r.IntN(4))
					if r.IntN(3) == 0 {
						n.Set(a, number())
					}
				}
			}
			for _, a := range []string{"axes", "pads", "strides", "dilations", "kernel_shape", "perm", "starts", "ends", "output_padding", "output_shape"} {
				if r.IntN(5) == 0 || a == "kernel_shape" && r.IntN(2) == 0 {
					n.Set(a, list())
				}
			}
			shape := make([]int, r.IntN(6))
			for i := range shape {
				shape[i] = extent()
			}
			in := make([]Tensor, r.IntN(6))
			for i := range in {
				sh := slices.Clone(shape)
				if r.IntN(2) == 0 {
					sh = sh[:r.IntN(len(sh)+1)]
				}
				if len(sh) > 0 && r.IntN(3) == 0 {
					sh[r.IntN(len(sh))] = extent()
				}
				switch r.IntN(4) {
				case 0:
					v := list()
					in[i] = Zeros(graph.Int64, []int{len(v)})
					for j, x := range v {
						in[i].I[j] = int64(x)
					}
				case 1:
					in[i] = Zeros(graph.Float32, []int{r.IntN(4)})
					for j := range in[i].F {
						in[i].F[j] = []float32{0, 0.5, 1, 2, -1, big, notNumber}[r.IntN(7)]
					}
				case 2:
					in[i] = Zeros([]graph.DType{graph.Bool, graph.Uint8, graph.Int64}[r.IntN(3)], sh)
				default:
					in[i] = Zeros(graph.Float32, sh)
				}
			}
			out := make([]Tensor, 1+r.IntN(2))
			for i := range out {
				sh := shape
				if len(in) > 0 {
					sh = in[0].Shape
				}
				sh = slices.Clone(sh)
				if len(sh) > 0 && r.IntN(2) == 0 {
					sh[r.IntN(len(sh))] = extent()
				}
				out[i] = Zeros([]graph.DType{graph.Float32, graph.Float32, graph.Int64, graph.Bool}[r.IntN(4)], sh)
			}
			try(n, 6+r.IntN(20), in, out)
		}
	}
	if len(ran) < 40 {
		t.Errorf("only %d operators came to run", len(ran))
	}
}
