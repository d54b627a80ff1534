package ops

import (
	"fmt"

	"github.com/nnz-dev/nnz/graph"
)

// Load returns a constant as a tensor: its floats, viewed where they need no
// conversion, or its integers.
func Load(t *graph.Tensor) Tensor {
	return Tensor{DType: t.DType, Shape: t.Shape, F: t.Floats(), I: t.Ints()}
}

// Zeros returns a tensor of zeros.
func Zeros(dt graph.DType, shape []int) Tensor {
	t := Tensor{DType: dt, Shape: shape}
	if dt.Float() {
		t.F = make([]float32, t.Len())
	} else if dt.Integer() {
		t.I = make([]int64, t.Len())
	}
	return t
}

// Store returns the constant that a tensor holds, sharing float32 elements.
func Store(t *Tensor) (*graph.Tensor, error) {
	switch {
	case t.DType.Float():
		return encode(t.DType, t.Shape, t.F)
	case t.DType.Integer():
		return graph.FromInts(t.DType, t.Shape, t.I), nil
	}
	return nil, fmt.Errorf("no constant of element type %s is made", t.DType)
}
