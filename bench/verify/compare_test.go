package verify

import (
	"math"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime"
)

func TestCompareFloats(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	tolerance := Tolerance{RTol: 1e-3, ATol: 1e-5}
	tests := []struct {
		name      string
		got, want []float32
		beyond    int
		at        int
	}{
		{"equal", []float32{1, 2, 3}, []float32{1, 2, 3}, 0, 0},
		{"within rtol", []float32{1, 1000.9}, []float32{1, 1000}, 0, 1},
		{"beyond rtol", []float32{1, 1001.1}, []float32{1, 1000}, 1, 1},
		{"within atol", []float32{0.9e-5}, []float32{0}, 0, 0},
		{"beyond atol", []float32{1.1e-5}, []float32{0}, 1, 0},
		{"rtol is of the reference", []float32{0}, []float32{1e-2}, 1, 0},
		{"NaN equals NaN", []float32{nan}, []float32{nan}, 0, 0},
		{"NaN for a number", []float32{0, nan}, []float32{0, 1}, 1, 1},
		{"a number for NaN", []float32{0, 1}, []float32{0, nan}, 1, 1},
		{"infinities", []float32{inf, -inf}, []float32{inf, -inf}, 0, 0},
		{"the other infinity", []float32{inf}, []float32{-inf}, 1, 0},
		{"a number for infinity", []float32{3e38}, []float32{inf}, 1, 0},
		{"the worst is found", []float32{1.5, 9, 2.5}, []float32{1, 1, 2}, 3, 1},
		{"empty", []float32{}, []float32{}, 0, -1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			shape := []int{1, len(test.want)}
			d, err := tolerance.Compare(
				runtime.Tensor{DType: graph.Float32, Shape: shape, F: test.got},
				graph.FromFloats(shape, test.want), 0)
			if err != nil {
				t.Fatal(err)
			}
			if d.Beyond != test.beyond || d.OK() != (test.beyond == 0) || d.Elements != len(test.want) {
				t.Errorf("got %v", d)
			}
			if test.beyond > 0 && !slices.Equal(d.At, []int{0, test.at}) {
				t.Errorf("the worst element is at %v, want [0 %d]", d.At, test.at)
			}
		})
	}
}

func TestCompareQuantised(t *testing.T) {
	ints := func(v ...int64) (runtime.Tensor, *graph.Tensor) {
		return runtime.Tensor{DType: graph.Int8, Shape: []int{3}, I: v}, graph.FromInts(graph.Int8, []int{3}, []int64{1, 2, 3})
	}
	floats := func(v ...float32) (runtime.Tensor, *graph.Tensor) {
		return runtime.Tensor{DType: graph.Float32, Shape: []int{3}, F: v}, graph.FromFloats([]int{3}, []float32{1, 2, 3})
	}
	near, wantInts := ints(1, 2, 4)
	far, _ := ints(1, 2, 5)
	step, wantFloats := floats(1, 2.5, 3)
	steps, _ := floats(1, 2.75, 3)
	for _, test := range []struct {
		name            string
		got             runtime.Tensor
		want            *graph.Tensor
		lsb             int64
		step            float64
		beyond, rounded int
	}{
		{"integer, one off", near, wantInts, 1, 1, 0, 1},
		{"integer, one off, none allowed", near, wantInts, 0, 1, 1, 0},
		{"integer, one off, not quantised", near, wantInts, 1, 0, 1, 0},
		{"integer, two off", far, wantInts, 1, 1, 1, 0},
		{"real, one step off", step, wantFloats, 1, 0.5, 0, 1},
		{"real, one step off, none allowed", step, wantFloats, 0, 0.5, 1, 0},
		{"real, a step and a half off", steps, wantFloats, 1, 0.5, 1, 0},
		{"real, not quantised", step, wantFloats, 1, 0, 1, 0},
	} {
		d, err := Tolerance{LSB: test.lsb, RTol: 1e-3, ATol: 1e-5}.Compare(test.got, test.want, test.step)
		if err != nil || d.Beyond != test.beyond || d.Rounded != test.rounded {
			t.Errorf("%s: got %+v, %v; want %d beyond and %d rounded", test.name, d, err, test.beyond, test.rounded)
		}
	}
}

func TestStepOf(t *testing.T) {
	node := func(op string, inputs ...string) *graph.Node { return &graph.Node{Op: op, Inputs: inputs} }
	toInt8 := node("Cast", "")
	toInt8.Set("to", int(graph.Int8))
	for _, test := range []struct {
		name  string
		nodes []*graph.Node // each makes what the next one reads as y
		want  float64
	}{
		{"integers", []*graph.Node{node("QuantizeLinear", "", "scale")}, 1},
		{"a product of integers", []*graph.Node{node("QLinearConv", "")}, 1},
		{"real again", []*graph.Node{node("QuantizeLinear", "", "scale"), node("DequantizeLinear", "", "scale")}, 0.25},
		{"moved", []*graph.Node{node("QuantizeLinear", "", "scale"), node("DequantizeLinear", "", "scale"), node("Reshape", "", "shape")}, 0.25},
		{"cast to integers between", []*graph.Node{node("QuantizeLinear", "", "scale"), toInt8, node("DequantizeLinear", "", "scale")}, 0.25},
		{"many scales", []*graph.Node{node("QuantizeLinear", "", "scales"), node("DequantizeLinear", "", "scales")}, 0},
		{"a scale that is computed", []*graph.Node{node("QuantizeLinear", "", "scale"), node("DequantizeLinear", "", "x")}, 0},
		{"integers that were an input", []*graph.Node{node("DequantizeLinear", "", "scale")}, 0},
		{"exact integers", []*graph.Node{node("QuantizeLinear", "", "scale"), node("MatMulInteger", "", "w")}, 0},
		{"computed afterwards", []*graph.Node{node("QuantizeLinear", "", "scale"), node("DequantizeLinear", "", "scale"), node("Relu", "")}, 0},
		{"of another domain", []*graph.Node{{Op: "QuantizeLinear", Domain: "com.example", Inputs: []string{""}}}, 0},
	} {
		m := &graph.Model{Nodes: test.nodes, Weights: map[string]*graph.Tensor{
			"scale":  graph.FromFloats([]int{}, []float32{0.25}),
			"scales": graph.FromFloats([]int{2}, []float32{0.25, 0.5}),
		}}
		last := "x"
		for i, n := range m.Nodes {
			n.Inputs[0], last = last, string(rune('a'+i))
			n.Outputs = []string{last}
		}
		if got := stepOf(m, last); got != test.want {
			t.Errorf("%s: got %g, want %g", test.name, got, test.want)
		}
	}
}

func TestCompareKinds(t *testing.T) {
	want := graph.FromFloats([]int{2, 3}, make([]float32, 6))
	for name, got := range map[string]runtime.Tensor{
		"type":  {DType: graph.Int64, Shape: []int{2, 3}, I: make([]int64, 6)},
		"shape": {DType: graph.Float32, Shape: []int{3, 2}, F: make([]float32, 6)},
		"rank":  {DType: graph.Float32, Shape: []int{6}, F: make([]float32, 6)},
	} {
		if _, err := (Tolerance{}).Compare(got, want, 0); err == nil {
			t.Errorf("another %s is accepted", name)
		}
	}
}
