package ops

import (
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/kernels/vec"
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

// Eval computes a node from constants, for graph.InferOptions.Fold. It returns
// no outputs for a node that does not run here, which then is left to whoever
// has to run it.
func Eval(n *graph.Node, opset int, in []*graph.Tensor) ([]*graph.Tensor, error) {
	out, _, err := EvalWithin(n, opset, in, math.MaxInt64)
	return out, err
}

// EvalWithin is Eval for outputs of at most limit bytes as they are computed;
// it returns how many there are. More are [ErrLimit].
func EvalWithin(n *graph.Node, opset int, in []*graph.Tensor, limit int64) (tensors []*graph.Tensor, bytes int64, err error) {
	if op, err := lookup(n, opset); err != nil || op.build == nil && op.eval == nil {
		return nil, 0, nil
	}
	ins := make([]Tensor, len(in))
	for i, t := range in {
		if t == nil {
			continue
		}
		if ins[i] = Load(t); !ins[i].known() {
			return nil, 0, nil // strings and complex numbers
		}
	}
	outs, err := Run(n, opset, ins, vec.For(isa.Generic), limit) // the same constants on every CPU
	if err != nil {
		return nil, 0, err
	}
	tensors = make([]*graph.Tensor, len(outs))
	for i := range outs {
		if outs[i].present() {
			if tensors[i], err = Store(&outs[i]); err != nil {
				return nil, 0, err
			}
			bytes += outs[i].Bytes()
		}
	}
	return tensors, bytes, nil
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
