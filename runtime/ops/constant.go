package ops

import (
	"fmt"

	"github.com/nnz-dev/nnz/graph"
)

func checkConstant(n *graph.Node, _ int) error {
	t, err := n.Constant()
	if err == nil && !t.DType.Float() && !t.DType.Integer() {
		err = fmt.Errorf("a constant of element type %s", t.DType)
	}
	return err
}

// buildConstant binds Constant.
func buildConstant(s *site) (Compute, error) {
	t, err := s.Constant()
	if err != nil {
		return nil, err
	}
	v := Load(t)
	if err := wantSame(&v, &s.out[0]); err != nil {
		return nil, err
	}
	if err := s.wantOut(0, v.Shape); err != nil {
		return nil, err
	}
	return func(_, out []Tensor) {
		copy(out[0].F, v.F)
		copy(out[0].I, v.I)
	}, nil
}

// buildConstantOfShape binds ConstantOfShape: an output, of the shape that
// inference found, filled with attribute value, by default a float zero.
func buildConstantOfShape(s *site) (Compute, error) {
	v := Tensor{DType: graph.Float32, F: []float32{0}}
	if a := s.Attrs["value"]; a != nil && a.Tensor != nil {
		v = Load(a.Tensor)
	}
	if v.Len() != 1 {
		return nil, fmt.Errorf("attribute value has shape %v, expected one element", v.Shape)
	}
	if err := wantSame(&v, &s.out[0]); err != nil {
		return nil, err
	}
	return pick(v.DType,
		func(_, out []Tensor) { fill(out[0].F, v.F[0]) },
		func(_, out []Tensor) { fill(out[0].I, v.I[0]) }), nil
}

// buildRange binds Range: start, start+delta, … as many as the output holds.
func buildRange(s *site) (Compute, error) {
	if err := wantSame(&s.out[0], &s.in[0], &s.in[1], &s.in[2]); err != nil {
		return nil, err
	}
	for i := range s.in {
		if s.in[i].Len() != 1 {
			return nil, fmt.Errorf("input %d has shape %v, expected a scalar", i, s.in[i].Shape)
		}
	}
	if len(s.out[0].Shape) != 1 {
		return nil, fmt.Errorf("output 0 has shape %v, expected one axis", s.out[0].Shape)
	}
	return pick(s.out[0].DType, func(in, out []Tensor) {
		start, delta := in[0].F[0], in[2].F[0]
		for i := range out[0].F {
			out[0].F[i] = start + float32(i)*delta
		}
	}, func(in, out []Tensor) {
		start, delta := in[0].I[0], in[2].I[0]
		for i := range out[0].I {
			out[0].I[i] = start + int64(i)*delta
		}
	}), nil
}
