package graph

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// f is a value of type float32 that depends on the inputs of the model.
func f(shape ...int) Type { return Type{DType: Float32, Shape: shape} }

// known is a constant list of integers.
func known(v ...int64) Type {
	t := FromInts(Int64, []int{len(v)}, v)
	return Type{t.DType, t.Shape, t}
}

func knownFloats(v ...float32) Type {
	t := FromFloats([]int{len(v)}, v)
	return Type{t.DType, t.Shape, t}
}

func of(dt DType, shape ...int) Type { return Type{DType: dt, Shape: shape} }

var absent = Type{}

// attrs are the attributes of a node: names and values for [Node.Set].
type attrs []any

func testNode(op string, a attrs, in []Type, outputs int) (*Node, *call) {
	n := &Node{Op: op, Name: "n"}
	for i := 0; i < len(a); i += 2 {
		n.Set(a[i].(string), a[i+1])
	}
	for i := range in {
		n.Inputs = append(n.Inputs, fmt.Sprint("i", i))
	}
	for i := range outputs {
		n.Outputs = append(n.Outputs, fmt.Sprint("o", i))
	}
	return n, &call{Node: n, in: in}
}

// TestRules applies each rule by itself, for each version of an operator that
// has it differently. The reference files cover far more cases.
func TestRules(t *testing.T) {
	kernel := attrs{"kernel_shape", []int{3, 3}}
	for _, tt := range []struct {
		op    string
		opset int
		attrs attrs
		in    []Type
		want  []Type // element types and shapes; constants of int64 too
	}{
		{"Relu", 7, nil, []Type{f(2, 3)}, []Type{f(2, 3)}},
		{"Clip", 11, nil, []Type{f(2), absent, f()}, []Type{f(2)}},
		{"Cast", 13, attrs{"to", int(Int64)}, []Type{f(2)}, []Type{of(Int64, 2)}},
		{"Identity", 13, nil, []Type{known(4, 5)}, []Type{known(4, 5)}},
		{"Dropout", 7, nil, []Type{f(2)}, []Type{f(2), f(2)}},
		{"Dropout", 13, nil, []Type{f(2)}, []Type{f(2), of(Bool, 2)}},
		{"Add", 7, nil, []Type{f(2, 1, 4), f(3, 1)}, []Type{f(2, 3, 4)}},
		{"Mul", 7, nil, []Type{f(), f(0, 3)}, []Type{f(0, 3)}},
		{"Max", 8, nil, []Type{f(3), f(2, 1), f()}, []Type{f(2, 3)}},
		{"Pow", 13, nil, []Type{f(2), of(Int64)}, []Type{f(2)}},
		{"Less", 9, nil, []Type{f(2), f(2)}, []Type{of(Bool, 2)}},
		{"Not", 7, nil, []Type{of(Bool, 2)}, []Type{of(Bool, 2)}},
		{"Where", 9, nil, []Type{of(Bool, 2, 1), f(3), f()}, []Type{f(2, 3)}},
		{"PRelu", 9, nil, []Type{f(2, 3, 4, 4), f(3, 1, 1)}, []Type{f(2, 3, 4, 4)}},
		{"Softmax", 11, nil, []Type{f(2)}, []Type{f(2)}},
		{"Softmax", 13, attrs{"axis", -2}, []Type{f(2, 3)}, []Type{f(2, 3)}},
		{"BatchNormalization", 9, nil, []Type{f(2, 3, 4), f(3), f(3), f(3), f(3)}, []Type{f(2, 3, 4), f(3), f(3), f(3), f(3)}},

		{"Conv", 11, nil, []Type{f(1, 4, 8, 9), f(6, 4, 3, 3)}, []Type{f(1, 6, 6, 7)}},
		{"Conv", 11, attrs{"group", 2, "strides", []int{2, 1}, "pads", []int{1, 0, 1, 2}, "dilations", []int{1, 2}}, []Type{f(1, 4, 8, 9), f(6, 2, 3, 3), f(6)}, []Type{f(1, 6, 4, 7)}},
		{"Conv", 11, attrs{"auto_pad", "SAME_UPPER", "strides", []int{2}}, []Type{f(1, 4, 9), f(6, 4, 4)}, []Type{f(1, 6, 5)}},
		{"Conv", 11, attrs{"auto_pad", "VALID", "pads", []int{9, 9}}, []Type{f(1, 4, 9), f(6, 4, 4)}, []Type{f(1, 6, 6)}},
		{"ConvTranspose", 11, attrs{"strides", []int{2, 2}, "pads", []int{1, 1, 1, 1}, "output_padding", []int{1, 0}, "group", 2}, []Type{f(1, 4, 5, 5), f(4, 3, 3, 3), f(6)}, []Type{f(1, 6, 10, 9)}},
		{"ConvTranspose", 11, attrs{"strides", []int{2}, "output_shape", []int{8}}, []Type{f(1, 4, 5), f(4, 3, 3)}, []Type{f(1, 3, 8)}},
		{"ConvTranspose", 11, attrs{"strides", []int{2}, "auto_pad", "SAME_LOWER"}, []Type{f(1, 4, 5), f(4, 3, 3)}, []Type{f(1, 3, 10)}},
		{"MaxPool", 12, kernel, []Type{f(1, 2, 8, 8)}, []Type{f(1, 2, 6, 6), of(Int64, 1, 2, 6, 6)}},
		{"MaxPool", 12, append(attrs{"strides", []int{2, 2}, "ceil_mode", 1}, kernel...), []Type{f(1, 2, 8, 8)}, []Type{f(1, 2, 4, 4), of(Int64, 1, 2, 4, 4)}},
		{"AveragePool", 10, attrs{"kernel_shape", []int{2}, "strides", []int{3}, "pads", []int{0, 1}, "ceil_mode", 1}, []Type{f(1, 2, 6)}, []Type{f(1, 2, 2)}},
		{"GlobalAveragePool", 7, nil, []Type{f(1, 2, 8, 8)}, []Type{f(1, 2, 1, 1)}},
		{"Gemm", 11, nil, []Type{f(2, 3), f(3, 4), f(4)}, []Type{f(2, 4)}},
		{"Gemm", 11, attrs{"transA", 1, "transB", 1}, []Type{f(3, 2), f(4, 3)}, []Type{f(2, 4)}},
		{"MatMul", 9, nil, []Type{f(5, 1, 2, 3), f(4, 3, 6)}, []Type{f(5, 4, 2, 6)}},
		{"MatMul", 9, nil, []Type{f(3), f(3)}, []Type{f()}},
		{"MatMul", 9, nil, []Type{f(2, 3), f(3)}, []Type{f(2)}},
		{"MatMul", 9, nil, []Type{f(3), f(5, 3, 2)}, []Type{f(5, 2)}},

		{"ReduceMean", 13, attrs{"axes", []int{-1, 0}}, []Type{f(2, 3, 4)}, []Type{f(1, 3, 1)}},
		{"ReduceMean", 18, attrs{"keepdims", 0}, []Type{f(2, 3, 4), known(1)}, []Type{f(2, 4)}},
		{"ReduceSum", 11, attrs{"axes", []int{1}}, []Type{f(2, 3)}, []Type{f(2, 1)}},
		{"ReduceSum", 13, nil, []Type{f(2, 3), known(1)}, []Type{f(2, 1)}},
		{"ReduceSum", 13, attrs{"keepdims", 0}, []Type{f(2, 3)}, []Type{f()}},
		{"ReduceSum", 13, attrs{"noop_with_empty_axes", 1}, []Type{f(2, 3)}, []Type{f(2, 3)}},
		{"ArgMax", 13, attrs{"axis", -1, "keepdims", 0}, []Type{f(2, 3)}, []Type{of(Int64, 2)}},

		{"Reshape", 13, nil, []Type{f(2, 3, 4), known(0, -1)}, []Type{f(2, 12)}},
		{"Reshape", 14, attrs{"allowzero", 1}, []Type{f(2, 0), known(0, 5)}, []Type{f(0, 5)}},
		{"Reshape", 13, nil, []Type{known(1, 2), known(2, 1)}, []Type{{Int64, []int{2, 1}, FromInts(Int64, []int{2, 1}, []int64{1, 2})}}},
		{"Flatten", 11, attrs{"axis", -1}, []Type{f(2, 3, 4)}, []Type{f(6, 4)}},
		{"Flatten", 9, attrs{"axis", 0}, []Type{f(2, 3, 4)}, []Type{f(1, 24)}},
		{"Squeeze", 11, attrs{"axes", []int{0}}, []Type{f(1, 2, 1)}, []Type{f(2, 1)}},
		{"Squeeze", 13, nil, []Type{f(1, 2, 1), known(-1)}, []Type{f(1, 2)}},
		{"Squeeze", 13, nil, []Type{f(1, 2, 1)}, []Type{f(2)}},
		{"Unsqueeze", 11, attrs{"axes", []int{0, 3}}, []Type{f(2, 3)}, []Type{f(1, 2, 3, 1)}},
		{"Unsqueeze", 13, nil, []Type{f(2, 3), known(-1, 1)}, []Type{f(2, 1, 3, 1)}},
		{"Transpose", 13, nil, []Type{f(2, 3, 4)}, []Type{f(4, 3, 2)}},
		{"Transpose", 13, attrs{"perm", []int{1, 0, 2}}, []Type{f(2, 3, 4)}, []Type{f(3, 2, 4)}},
		{"Concat", 13, attrs{"axis", -1}, []Type{f(2, 3), f(2, 0), f(2, 4)}, []Type{f(2, 7)}},
		{"Split", 11, attrs{"split", []int{1, 3}, "axis", 1}, []Type{f(2, 4)}, []Type{f(2, 1), f(2, 3)}},
		{"Split", 13, nil, []Type{f(4), known(1, 3)}, []Type{f(1), f(3)}},
		{"Split", 13, nil, []Type{f(4)}, []Type{f(2), f(2)}},
		{"Split", 18, attrs{"num_outputs", 2}, []Type{f(5)}, []Type{f(3), f(2)}},
		{"Slice", 9, attrs{"starts", []int{1}, "ends", []int{-1}, "axes", []int{1}}, []Type{f(2, 5)}, []Type{f(2, 3)}},
		{"Slice", 13, nil, []Type{f(7, 5), known(-1, 0), known(math.MinInt64, math.MaxInt64), known(0, 1), known(-2, 2)}, []Type{f(4, 3)}},
		{"Gather", 13, attrs{"axis", 1}, []Type{f(2, 3, 4), of(Int64, 5, 6)}, []Type{f(2, 5, 6, 4)}},
		{"Expand", 13, nil, []Type{f(3, 1), known(2, 1, 4)}, []Type{f(2, 3, 4)}},
		{"Tile", 13, nil, []Type{f(2, 3), known(2, 0)}, []Type{f(4, 0)}},
		{"Pad", 10, attrs{"pads", []int{0, 1, 2, -1}}, []Type{f(2, 3)}, []Type{f(4, 3)}},
		{"Pad", 13, nil, []Type{f(2, 3), known(0, 1, 2, 3)}, []Type{f(4, 7)}},
		{"Pad", 18, nil, []Type{f(2, 3), known(1, 1), absent, known(-1)}, []Type{f(2, 5)}},
		{"DepthToSpace", 13, attrs{"blocksize", 2}, []Type{f(1, 8, 2, 3)}, []Type{f(1, 2, 4, 6)}},
		{"SpaceToDepth", 13, attrs{"blocksize", 2}, []Type{f(1, 2, 4, 6)}, []Type{f(1, 8, 2, 3)}},

		{"Shape", 13, nil, []Type{f(2, 3)}, []Type{known(2, 3)}},
		{"Shape", 15, attrs{"start", -2, "end", 9}, []Type{f(2, 3, 4)}, []Type{known(3, 4)}},
		{"Size", 13, nil, []Type{f(2, 3)}, []Type{{Int64, []int{}, FromInts(Int64, []int{}, []int64{6})}}},
		{"Constant", 13, attrs{"value_ints", []int{1, 2}}, nil, []Type{known(1, 2)}},
		{"ConstantOfShape", 9, nil, []Type{known(2, 3)}, []Type{f(2, 3)}},
		{"ConstantOfShape", 9, attrs{"value", FromInts(Int32, []int{1}, []int64{7})}, []Type{known()}, []Type{of(Int32)}},
		{"Range", 11, nil, []Type{knownFloats(0), knownFloats(1), knownFloats(0.25)}, []Type{f(4)}},
		{"Range", 11, nil, []Type{known(3), known(9), known(-1)}, []Type{of(Int64, 0)}},

		{"Upsample", 7, attrs{"scales", []float32{1, 1, 2, 1.5}}, []Type{f(1, 2, 3, 3)}, []Type{f(1, 2, 6, 4)}},
		{"Upsample", 9, nil, []Type{f(3), knownFloats(2)}, []Type{f(6)}},
		{"Resize", 10, nil, []Type{f(10), knownFloats(0.7)}, []Type{f(7)}},
		{"Resize", 13, nil, []Type{f(2, 3), absent, knownFloats(1, 2)}, []Type{f(2, 6)}},
		{"Resize", 13, nil, []Type{f(2, 3), absent, absent, known(4, 5)}, []Type{f(4, 5)}},
		{"Resize", 11, nil, []Type{f(2, 3), knownFloats(), knownFloats(), known(4, 5)}, []Type{f(4, 5)}},
		{"Resize", 18, attrs{"axes", []int{1}}, []Type{f(2, 3), absent, absent, known(5)}, []Type{f(2, 5)}},
		{"Resize", 18, attrs{"keep_aspect_ratio_policy", "not_larger"}, []Type{f(4, 6), absent, absent, known(8, 9)}, []Type{f(6, 9)}},
		{"Resize", 18, attrs{"keep_aspect_ratio_policy", "not_smaller"}, []Type{f(4, 6), absent, absent, known(8, 9)}, []Type{f(8, 12)}},
		{"Resize", 13, attrs{"coordinate_transformation_mode", "tf_crop_and_resize"}, []Type{f(10), knownFloats(0.25, 0.75), knownFloats(2)}, []Type{f(10)}},
	} {
		_, c := testNode(tt.op, tt.attrs, tt.in, len(tt.want))
		c.opset = tt.opset
		got, err := c.infer()
		name := fmt.Sprintf("%s-%d %v", tt.op, tt.opset, tt.attrs)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, want := range tt.want {
			g := got[i]
			if g.DType != want.DType || !slices.Equal(g.Shape, want.Shape) {
				t.Errorf("%s: output %d is %s %v, want %s %v", name, i, g.DType, g.Shape, want.DType, want.Shape)
			}
			if (g.Const == nil) != (want.Const == nil) || g.Const != nil && !slices.Equal(g.Const.Ints(), want.Const.Ints()) {
				t.Errorf("%s: output %d has value %v, want %v", name, i, g.Const, want.Const)
			}
		}
	}
}

func TestRulesRefuse(t *testing.T) {
	const huge = 1 << 40
	for _, tt := range []struct {
		op    string
		opset int
		attrs attrs
		in    []Type
		want  string
	}{
		{"NoSuchOp", 13, nil, nil, `the operator is not known in version 13 of "ai.onnx"`},
		{"HardSwish", 13, nil, []Type{f(2)}, "not known in version 13"},
		{"Upsample", 10, nil, []Type{f(2), knownFloats(2)}, "not known in version 10"},
		{"Add", 13, nil, []Type{f(2)}, "1 inputs, expected 2"},
		{"Clip", 13, nil, nil, "0 inputs, expected 1 to 3"},
		{"Max", 13, nil, nil, "0 inputs, expected at least 1"},
		{"Add", 13, nil, []Type{f(2), absent}, "input 1 is absent"},
		{"Max", 13, nil, []Type{f(2), absent}, "input 1 is absent, expected float32"},
		{"Add", 13, nil, []Type{f(2), f(3)}, "shapes [2] and [3] do not broadcast"},
		{"GridSample", 20, nil, []Type{f(1, 1, 2, 2), f(1, 3, 3, 3)}, "a grid of [1 3 3 3]"},
		{"RotaryEmbedding", 23, nil, []Type{f(1, 2, 4), f(1, 2, 2), f(1, 2, 2)}, "num_heads 0"},
		{"RotaryEmbedding", 23, attrs{"rotary_embedding_dim", 3}, []Type{f(1, 1, 2, 4), f(1, 2, 2), f(1, 2, 2)}, "3 of 4 elements are rotated"},
		{"Einsum", 12, attrs{"equation", "ij,jk->ik"}, []Type{f(2, 3), f(4, 5)}, "ij,jk->ik"},
		{"Einsum", 12, attrs{"equation", "i->ii"}, []Type{f(2)}, "i->ii"},
		{"Einsum", 12, attrs{"equation", "i->j"}, []Type{f(2)}, "i->j"},
		{"Einsum", 12, attrs{"equation", "i......"}, []Type{f(2, 2)}, "i......"},
		{"AffineGrid", 20, nil, []Type{f(1, 2, 3), known(2, 1, 4, 4)}, "matrices of [1 2 3]"},
		{"Col2Im", 18, nil, []Type{f(1, 2, 3), known(3), known(2)}, "2 columns"},
		{"RoiAlign", 16, nil, []Type{f(1, 1, 2, 2), f(3, 4), of(Int64, 2)}, "their images of [2]"},
		{"DeformConv", 19, nil, []Type{f(1, 1, 3, 3), f(1, 1, 2, 2), f(1, 4, 2, 2)}, "input 2 has shape [1 4 2 2], expected [1 8 2 2]"},
		{"Det", 11, nil, []Type{f(2, 3)}, "expected square matrices"},
		{"Add", 13, nil, []Type{f(2), of(Int32, 2)}, "input 1 is int32, expected float32"},
		{"And", 13, nil, []Type{f(2), f(2)}, "input 0 is float32, expected bool"},
		{"Where", 13, nil, []Type{f(2), f(2), f(2)}, "the condition is float32, expected bool"},
		{"PRelu", 13, nil, []Type{f(2), f(3, 2)}, "slope: shape [3 2] does not broadcast to [2]"},
		{"Cast", 13, nil, []Type{f(2)}, "element type 0 is not known"},
		{"Softmax", 13, attrs{"axis", 2}, []Type{f(2, 3)}, "axis 2 of rank 2"},
		{"BatchNormalization", 13, nil, []Type{f(2, 3), f(3), f(3), f(3), f(2)}, "var has shape [2], expected [3]"},

		{"Conv", 13, nil, []Type{f(1, 4, 8), f(6, 4, 3, 3)}, "an input of [1 4 8] and a weight of [6 4 3 3]"},
		{"Conv", 13, nil, []Type{f(1, 4, 8), f(6, 3, 3)}, "do not agree on channels"},
		{"Conv", 13, attrs{"group", 0}, []Type{f(1, 4, 8), f(6, 4, 3)}, "do not agree on channels"},
		{"Conv", 13, nil, []Type{f(1, 4, 8), f(6, 4, 9)}, "a kernel of [9] with dilations [1] does not fit images of [8]"},
		{"Conv", 13, nil, []Type{f(1, 4, 8), f(6, 4, 3), f(5)}, "a bias of [5], expected [6]"},
		{"Conv", 13, nil, []Type{f(1, 4, 8), of(Float16, 6, 4, 3)}, "the weight is float16, expected float32"},
		{"Conv", 13, attrs{"kernel_shape", []int{2}}, []Type{f(1, 4, 8), f(6, 4, 3)}, "attribute kernel_shape: [2]"},
		{"Conv", 13, attrs{"strides", []int{0}}, []Type{f(1, 4, 8), f(6, 4, 3)}, "attribute strides: [0], expected 1 numbers from 1 on"},
		{"Conv", 13, attrs{"dilations", []int{math.MaxInt}}, []Type{f(1, 4, 8), f(6, 4, 3)}, "attribute dilations"},
		{"Conv", 13, attrs{"pads", []int{1}}, []Type{f(1, 4, 8), f(6, 4, 3)}, "attribute pads: [1], expected 2 numbers"},
		{"Conv", 13, attrs{"auto_pad", "SOME"}, []Type{f(1, 4, 8), f(6, 4, 3)}, `attribute auto_pad: "SOME"`},
		{"Conv", 13, nil, []Type{f(1, 4, huge), f(6, 4, 3)}, "images of [1099511627776]"},
		{"ConvTranspose", 13, attrs{"pads", []int{9, 9}}, []Type{f(1, 4, 8), f(4, 6, 3)}, "exceed the output"},
		{"ConvTranspose", 13, attrs{"output_shape", []int{-1}}, []Type{f(1, 4, 8), f(4, 6, 3)}, "attribute output_shape: [-1]"},
		{"MaxPool", 13, nil, []Type{f(1, 4, 8)}, "a kernel of []"},
		{"Gemm", 13, nil, []Type{f(2, 3), f(4, 3)}, "matrices of [2 3] and [4 3] do not multiply"},
		{"Gemm", 13, nil, []Type{f(2, 3), f(3, 4), f(2)}, "input C: shape [2] does not broadcast to [2 4]"},
		{"MatMul", 13, nil, []Type{f(2, 3), f(2, 3)}, "shapes [2 3] and [2 3] do not multiply"},
		{"MatMul", 13, nil, []Type{f(), f(2, 3)}, "expected vectors or matrices"},
		{"ReduceSum", 13, nil, []Type{f(2), known(0, -1)}, "axis 0 appears twice"},
		{"ReduceSum", 13, nil, []Type{f(2), of(Int64, 1)}, "axes: expected a constant"},
		{"ArgMax", 13, nil, []Type{f()}, "the input is a scalar"},

		{"Reshape", 13, nil, []Type{f(2, 3), known(4, -1)}, "shape [4 -1] does not fit [2 3], which has 6 elements"},
		{"Reshape", 13, nil, []Type{f(2, 3), known(-1, -1)}, "at most one -1"},
		{"Reshape", 13, nil, []Type{f(2, 3), known(7)}, "has 7 elements, expected the 6 of [2 3]"},
		{"Reshape", 13, nil, []Type{f(2, 3), known(2, 3, 0)}, "copies extent 2 of [2 3]"},
		{"Reshape", 13, nil, []Type{f(2, 3), known(huge, huge)}, "overflows"},
		{"Reshape", 13, nil, []Type{f(2, 3), knownFloats(6)}, "the shape is float32 [1], expected a list of integers"},
		{"Squeeze", 13, nil, []Type{f(2, 3), known(0)}, "axis 0 of [2 3] has extent 2, expected 1"},
		{"Unsqueeze", 13, nil, []Type{f(2, 3), known(0, 0)}, "axis 0 appears twice"},
		{"Transpose", 13, attrs{"perm", []int{0, 0}}, []Type{f(2, 3)}, "axis 0 appears twice"},
		{"Transpose", 13, attrs{"perm", []int{-1, 0}}, []Type{f(2, 3)}, "axis -1 is negative"},
		{"Concat", 13, nil, []Type{f(2)}, "no attribute axis"},
		{"Concat", 13, attrs{"axis", 0}, []Type{f(2, 3), f(2, 4)}, "expected that of [2 3] but for axis 0"},
		{"Concat", 13, attrs{"axis", 0}, []Type{f(math.MaxInt - 1), f(2)}, "axis 0 overflows"},
		{"Split", 13, nil, []Type{f(4), known(5)}, "parts [5] of axis 0 of [4]"},
		{"Split", 13, nil, []Type{f(4), known(3)}, "parts [3] of axis 0 of [4]"},
		{"Split", 13, nil, []Type{f(4), known(2, 2)}, "1 outputs for parts [2 2]"},
		{"Slice", 13, nil, []Type{f(4), known(0), known(1), known(0), known(0)}, "expected none to be 0"},
		{"Slice", 13, nil, []Type{f(4), known(0), known(1, 2)}, "expected as many of each"},
		{"Gather", 13, nil, []Type{f(4), f(2)}, "the indices are float32"},
		{"Expand", 13, nil, []Type{f(4), known(-1)}, "do not broadcast"},
		{"Expand", 13, nil, []Type{f(1), known(huge, huge)}, "output 0: shape [1099511627776 1099511627776] overflows"},
		{"Tile", 13, nil, []Type{f(4), known(-1)}, "negative"},
		{"Tile", 13, nil, []Type{f(4), known(1, 1)}, "repeats [1 1] for shape [4]"},
		{"Pad", 13, nil, []Type{f(4), known(-3, -3)}, "take away more than axis 0"},
		{"Pad", 13, nil, []Type{f(4), known(1)}, "expected two for each of 1 axes"},
		{"Pad", 13, nil, []Type{f(4)}, "expected two for each of 1 axes"},
		{"DepthToSpace", 13, attrs{"blocksize", 3}, []Type{f(1, 8, 2, 2)}, "8 channels do not divide"},
		{"SpaceToDepth", 13, nil, []Type{f(1, 8, 2, 2)}, "blocks of 0"},
		{"Range", 11, nil, []Type{known(0), known(1), known(0)}, "range from 0 to 1 by 0"},
		{"Range", 11, nil, []Type{known(0), known(1), knownFloats(1)}, "delta is float32"},
		{"ConstantOfShape", 9, nil, []Type{known(-1)}, "negative"},
		{"Constant", 13, attrs{"value_int", 1, "value_float", float32(1)}, nil, "2 attributes, expected one value"},
		{"Constant", 13, attrs{"value", 1}, nil, `attribute "value" holds no value of a constant`},
		{"Resize", 13, nil, []Type{f(2, 3)}, "expected one of either for each"},
		{"Resize", 13, nil, []Type{f(2, 3), absent, knownFloats(1)}, "expected one of either for each"},
		{"Resize", 13, nil, []Type{f(2), absent, knownFloats(float32(math.NaN()))}, "scaled by NaN"},
		{"Resize", 13, nil, []Type{f(2), absent, knownFloats(1e20)}, "scaled by 1e+20"},
		{"Resize", 13, nil, []Type{f(2), absent, absent, known(-1)}, "sizes [-1]"},
		{"Resize", 18, attrs{"keep_aspect_ratio_policy", "?"}, []Type{f(2), absent, absent, known(1)}, "attribute keep_aspect_ratio_policy"},
		{"Identity", 13, nil, []Type{f(slices.Repeat([]int{1}, maxRank+1)...)}, "rank 65, expected at most 64"},
	} {
		_, c := testNode(tt.op, tt.attrs, tt.in, 1)
		c.opset = tt.opset
		if _, err := c.infer(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s-%d %v: error %v, want %s", tt.op, tt.opset, tt.attrs, err, tt.want)
		}
	}
}

func TestSliceLen(t *testing.T) {
	bounds := []int{math.MinInt, -9, -5, -4, -3, -1, 0, 1, 2, 3, 4, 5, 9, math.MaxInt}
	for n := range 5 {
		for _, start := range bounds {
			for _, end := range bounds {
				for _, step := range []int{math.MinInt, -7, -2, -1, 1, 2, 7, math.MaxInt} {
					if got, want := sliceLen(n, start, end, step), countSlice(n, start, end, step); got != want {
						t.Errorf("[%d:%d:%d] of %d has %d elements, want %d", start, end, step, n, got, want)
					}
				}
			}
		}
	}
}

// countSlice counts element by element, as NumPy defines a slice.
func countSlice(n, start, end, step int) int {
	clamp := func(v int) int {
		if v < 0 && v >= -n {
			v += n
		}
		switch {
		case step > 0:
			return min(max(v, 0), n)
		case v < 0:
			return -1
		}
		return min(v, n-1)
	}
	count := 0
	for i, end := clamp(start), clamp(end); step > 0 && i < end || step < 0 && i > end; count++ {
		if step > n || step < -n {
			return 1
		}
		i += step
	}
	return count
}

// TestInferClutter resolves what exporters make of x.view(x.size(0), -1).
func TestInferClutter(t *testing.T) {
	m := chain("s = Shape x", "b = Gather s zero", "u = Unsqueeze b axes", "c = Concat u rest", "y = Reshape x c", "z = Relu y")
	m.Nodes[3].Set("axis", 0)
	m.Inputs[0].Shape = []Dim{{Symbol: "batch"}, {Size: 3}, {Size: 4}}
	m.Weights["zero"] = FromInts(Int64, []int{}, []int64{0})
	m.Weights["axes"] = FromInts(Int64, []int{1}, []int64{0})
	m.Weights["rest"] = FromInts(Int64, []int{1}, []int64{-1})
	fold := func(n *Node, opset int, in []*Tensor) ([]*Tensor, error) {
		switch n.Op {
		case "Gather":
			return []*Tensor{FromInts(Int64, []int{}, in[0].Ints()[in[1].Ints()[0]:][:1])}, nil
		case "Concat":
			return []*Tensor{FromInts(Int64, []int{2}, append(in[0].Ints(), in[1].Ints()...))}, nil
		}
		t.Errorf("%s is folded", n)
		return nil, nil
	}
	types, err := Infer(m, InferOptions{Dims: map[string]int{"batch": 2}, Fold: fold})
	if err != nil {
		t.Fatal(err)
	}
	if got := types["z"]; got.DType != Float32 || !slices.Equal(got.Shape, []int{2, 12}) || got.Const != nil {
		t.Errorf("z is %+v", got)
	}
	if got := types["c"].Const; got == nil || !slices.Equal(got.Ints(), []int64{2, -1}) {
		t.Errorf("c is %v", got)
	}
	if got := types["w"].Const; got != m.Weights["w"] {
		t.Errorf("the weight is %v", got)
	}
	if _, err := Infer(m, InferOptions{Dims: map[string]int{"batch": 2}, Fold: fold, MaxFold: 2}); err == nil || !strings.Contains(err.Error(), `node Reshape of "y": the shape: expected a constant`) {
		t.Errorf("with a bound of two elements: error %v", err)
	}
	if _, err := Infer(m, InferOptions{Dims: map[string]int{"batch": 2}}); err == nil || !strings.Contains(err.Error(), "expected a constant") {
		t.Errorf("without folding: error %v", err)
	}
}

func TestInferFold(t *testing.T) {
	m := chain("y = Neg w")
	failure := errors.New("failure")
	for _, tt := range []struct {
		out  *Tensor
		err  error
		want string
	}{
		{FromFloats([]int{3}, []float32{-1, -2, -3}), nil, ""},
		{FromFloats([]int{2}, []float32{-1, -2}), nil, "output 0 folds to float32 [2], expected float32 [3]"},
		{nil, failure, `node Neg of "y": failure`},
	} {
		types, err := Infer(m, InferOptions{Fold: func(*Node, int, []*Tensor) ([]*Tensor, error) { return []*Tensor{tt.out}, tt.err }})
		switch {
		case tt.want == "" && err != nil:
			t.Error(err)
		case tt.want == "" && types["y"].Const != tt.out:
			t.Errorf("y is %+v", types["y"])
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("error %v, want %s", err, tt.want)
		}
	}
}

func TestInferInputs(t *testing.T) {
	float := func(name string, shape ...Dim) *Value { return &Value{Name: name, DType: Float32, Shape: shape} }
	batch, unknown := Dim{Symbol: "batch"}, Dim{Size: -1}
	for _, tt := range []struct {
		name   string
		inputs []*Value
		o      InferOptions
		want   string // shapes, or the error
	}{
		{"fixed", []*Value{float("x", Dims(2, 3)...)}, InferOptions{}, "[2 3]"},
		{"symbol", []*Value{float("x", batch)}, InferOptions{Dims: map[string]int{"batch": 4}}, "[4]"},
		{"shape", []*Value{float("x", batch, unknown)}, InferOptions{Shapes: map[string][]int{"x": {4, 5}}}, "[4 5]"},
		{"override", []*Value{float("x", Dims(1, 3)...)}, InferOptions{Shapes: map[string][]int{"x": {4, 3}}}, "[4 3]"},
		{"no shape", []*Value{float("x")}, InferOptions{Shapes: map[string][]int{"x": {4, 3}}}, "[4 3]"},
		{"empty shape", []*Value{{Name: "x", DType: Int64, Shape: []Dim{}}}, InferOptions{Shapes: map[string][]int{"x": {1}}}, "[1]"},
		{"bound by a shape", []*Value{float("x", batch), float("z", batch, Dim{Size: 2})}, InferOptions{Shapes: map[string][]int{"x": {4}}}, "[4] [4 2]"},
		{"open", []*Value{float("x", batch, unknown), float("z"), float("u", Dims(1)...)}, InferOptions{},
			`the model leaves the shapes of inputs open: "x": extent 0, "batch", extent 1; "z": the whole shape`},
		{"rank", []*Value{float("x", Dims(1, 3)...)}, InferOptions{Shapes: map[string][]int{"x": {3}}}, `input "x": shape [3], expected 2 extents`},
		{"negative", []*Value{float("x", batch)}, InferOptions{Dims: map[string]int{"batch": -4}}, `input "x": shape [-4] has a negative extent`},
		{"wrong name", []*Value{float("x", Dims(1)...)}, InferOptions{Shapes: map[string][]int{"y": {3}}}, `shapes for inputs ["y"], the model has inputs "x"`},
		{"not a tensor", []*Value{{Name: "x"}}, InferOptions{}, `input "x" is not a tensor`},
	} {
		types, err := Infer(&Model{Inputs: tt.inputs}, tt.o)
		var got []string
		for _, v := range tt.inputs {
			got = append(got, fmt.Sprint(types[v.Name].Shape))
		}
		if s := strings.Join(got, " "); err == nil && s != tt.want || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %s, %v, want %s", tt.name, s, err, tt.want)
		}
	}
}

func TestUnknownOp(t *testing.T) {
	m := chain("y = Scaler x")
	m.Nodes[0].Domain = "ai.onnx.ml"
	m.Opset["ai.onnx.ml"] = 3
	_, err := Infer(m, InferOptions{})
	var unknown *UnknownOpError
	if !errors.As(err, &unknown) || unknown.Node != m.Nodes[0] || unknown.Opset != 3 {
		t.Errorf("error %v", err)
	}
	if want := `node Scaler of "y": the operator is not known in version 3 of "ai.onnx.ml"`; err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestWindow(t *testing.T) {
	for _, tt := range []struct {
		attrs         attrs
		image, kernel int
		transpose     bool
		want          [3]int // padding before and after, output
	}{
		{nil, 7, 3, false, [3]int{0, 0, 5}},
		{attrs{"pads", []int{1, 2}}, 7, 3, false, [3]int{1, 2, 8}},
		{attrs{"auto_pad", "NOTSET", "pads", []int{1, 2}, "strides", []int{2}}, 7, 3, false, [3]int{1, 2, 4}},
		{attrs{"auto_pad", "SAME_UPPER", "strides", []int{2}}, 8, 3, false, [3]int{0, 1, 4}},
		{attrs{"auto_pad", "SAME_LOWER", "strides", []int{2}}, 8, 3, false, [3]int{1, 0, 4}},
		{attrs{"auto_pad", "SAME_UPPER", "dilations", []int{2}}, 8, 3, false, [3]int{2, 2, 8}},
		{attrs{"auto_pad", "SAME_UPPER", "strides", []int{4}}, 8, 1, false, [3]int{0, 0, 2}},
		{attrs{"ceil_mode", 1, "strides", []int{2}}, 8, 3, false, [3]int{0, 0, 4}},
		{attrs{"ceil_mode", 1, "strides", []int{3}, "pads", []int{0, 1}}, 6, 2, false, [3]int{0, 1, 2}}, // a third would start in the padding
		{attrs{"strides", []int{2}}, 4, 3, true, [3]int{0, 0, 9}},
		{attrs{"strides", []int{2}, "output_padding", []int{1}, "pads", []int{1, 1}}, 4, 3, true, [3]int{1, 1, 8}},
		{attrs{"strides", []int{2}, "output_shape", []int{8}}, 4, 3, true, [3]int{1, 0, 8}},
		{attrs{"strides", []int{2}, "output_shape", []int{8}, "auto_pad", "SAME_UPPER"}, 4, 3, true, [3]int{0, 1, 8}},
		{attrs{"strides", []int{2}, "auto_pad", "SAME_UPPER"}, 4, 3, true, [3]int{0, 1, 8}},
		{attrs{"strides", []int{2}, "output_shape", []int{1, 1, 12}}, 4, 3, true, [3]int{0, 0, 12}},
	} {
		n, _ := testNode("Conv", tt.attrs, nil, 1)
		resolve := NewWindow
		if tt.transpose {
			resolve = NewTransposeWindow
		}
		w, err := resolve(n, []int{tt.image}, []int{tt.kernel})
		if err != nil {
			t.Errorf("%v: %v", tt.attrs, err)
		} else if got := [3]int{w.Begin[0], w.End[0], w.Out[0]}; got != tt.want {
			t.Errorf("%v of an image of %d and a kernel of %d: %v, want %v", tt.attrs, tt.image, tt.kernel, got, tt.want)
		}
	}
}
