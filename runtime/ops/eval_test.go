package ops

import (
	"math"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/sparse"
)

func TestEval(t *testing.T) {
	csr, err := sparse.FromDense(2, 2, []float32{0, 3, 0, 0})
	if err != nil {
		t.Fatal(err)
	}
	matrix, err := graph.NewSparse([]int{2, 2}, csr)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		op   string
		a    attrs
		in   *graph.Tensor
		want Tensor
	}{
		{"Neg", nil, graph.FromFloats(s(2), []float32{1, -2}), F(s(2), -1, 2)},
		{"Transpose", nil, matrix, F(s(2, 2), 0, 0, 3, 0)},
		{"Cast", attrs{"to": 10}, graph.FromFloats(s(2), []float32{2049, -0.1}), as(graph.Float16, F(s(2), 2048, -0.099975586))},
		{"Cast", attrs{"to": 16}, graph.FromFloats(s(2), []float32{257, big}), as(graph.BFloat16, F(s(2), 256, big))},
		{"Cast", attrs{"to": 11}, graph.FromInts(graph.Int8, s(2), []int64{-3, 4}), as(graph.Float64, F(s(2), -3, 4))},
		{"Cast", attrs{"to": 2}, graph.FromFloats(s(2), []float32{257, -1}), as(graph.Uint8, I(s(2), 1, 255))},
		{"Shape", nil, matrix, I(s(2), 2, 2)},
	} {
		n := node(c.op, c.a, 1)
		n.Inputs[0] = "x"
		out, err := Eval(n, 13, []*graph.Tensor{c.in})
		if err != nil {
			t.Errorf("%s: %v", c.op, err)
			continue
		}
		got := Load(out[0])
		if got.DType != c.want.DType || !slices.Equal(got.Shape, c.want.Shape) || !slices.Equal(got.F, c.want.F) || !slices.Equal(got.I, c.want.I) {
			t.Errorf("%s: got %v, expected %v", c.op, got, c.want)
		}
	}
}

func TestEvalLeavesWhatDoesNotRun(t *testing.T) {
	strings, err := graph.NewStrings(s(1), []string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		op string
		in *graph.Tensor
	}{
		{"StringNormalizer", strings},
		{"Identity", strings},
		{"SequenceEmpty", graph.FromFloats(s(1), []float32{1})},
	} {
		n := node(c.op, nil, 1)
		n.Inputs[0] = "x"
		if out, err := Eval(n, 13, []*graph.Tensor{c.in}); out != nil || err != nil {
			t.Errorf("%s: %v, %v, expected nothing", c.op, out, err)
		}
	}
}

func TestBFloat16KeepsNaN(t *testing.T) {
	x := []float32{math.Float32frombits(0x7f800001)} // a payload in the bits that are cut
	if roundTo(graph.BFloat16, x); x[0] == x[0] {
		t.Errorf("NaN becomes %v", x[0])
	}
}
