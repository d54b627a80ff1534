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
				graph.FromFloats(shape, test.want))
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

func TestCompareInts(t *testing.T) {
	got := runtime.Tensor{DType: graph.Int8, Shape: []int{3}, I: []int64{1, 2, 4}}
	want := graph.FromInts(graph.Int8, []int{3}, []int64{1, 2, 3})
	for lsb, beyond := range map[int64]int{0: 1, 1: 0} {
		d, err := Tolerance{LSB: lsb, RTol: 10, ATol: 10}.Compare(got, want)
		if err != nil || d.Beyond != beyond || d.MaxAbs != 1 {
			t.Errorf("LSB %d: got %v, %v; want %d beyond", lsb, d, err, beyond)
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
		if _, err := (Tolerance{}).Compare(got, want); err == nil {
			t.Errorf("another %s is accepted", name)
		}
	}
}
