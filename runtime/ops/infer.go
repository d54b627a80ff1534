package ops

import (
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// inferred makes a builder check the node against shape inference first, for
// operators whose rule there says all that is to say about shapes: then the
// types of inputs agree with each other, and those of outputs with them.
func inferred(build func(*site) (Compute, error)) func(*site) (Compute, error) {
	return func(s *site) (Compute, error) {
		in := make([]graph.Type, len(s.in))
		for i := range s.in {
			t := &s.in[i]
			in[i] = graph.Type{DType: t.DType, Shape: t.Shape}
			// Lists of integers may decide a shape, and single numbers.
			if t.I != nil && t.DType.Integer() {
				in[i].Const = graph.FromInts(t.DType, t.Shape, t.I)
			} else if t.F != nil && t.Len() == 1 {
				in[i].Const = graph.FromFloats(t.Shape, t.F)
			}
		}
		out, err := graph.InferNode(s.Node, s.opset, in)
		if err != nil {
			return nil, err
		}
		if len(s.out) > len(out) {
			return nil, fmt.Errorf("%d outputs, expected at most %d", len(s.out), len(out))
		}
		for i := range s.out {
			if t := &s.out[i]; t.present() && (t.DType != out[i].DType || !slices.Equal(t.Shape, out[i].Shape)) {
				return nil, fmt.Errorf("output %d is %s %v, expected %s %v", i, t.DType, t.Shape, out[i].DType, out[i].Shape)
			}
		}
		return build(s)
	}
}

// alongOf cuts shape at an axis, which may count from the end.
func alongOf(shape []int, axis int) (along, error) {
	axis, err := normAxis(axis, len(shape))
	if err != nil {
		return along{}, err
	}
	return along{product(shape[:axis]), shape[axis], product(shape[axis+1:])}, nil
}
