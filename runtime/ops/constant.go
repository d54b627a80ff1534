package ops

import (
	"errors"
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/graph"
)

var (
	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
)

func checkConstant(n *graph.Node, _ int) error {
	for _, name := range []string{"value", "sparse_value", "value_float", "value_floats", "value_int", "value_ints"} {
		if n.Has(name) {
			return nil
		}
	}
	return errors.New("attribute value is missing, or of a string")
}

// buildConstant binds Constant, whatever attribute holds it.
func buildConstant(s *site) (Compute, error) {
	var v Tensor
	for name, a := range s.Attrs {
		switch name {
		case "value", "sparse_value":
			if a.Tensor == nil {
				return nil, fmt.Errorf("attribute %s holds no tensor", name)
			}
			v = Load(a.Tensor)
		case "value_float":
			v = Tensor{DType: graph.Float32, F: []float32{a.Float}}
		case "value_floats":
			v = Tensor{DType: graph.Float32, Shape: []int{len(a.Floats)}, F: a.Floats}
		case "value_int":
			v = Tensor{DType: graph.Int64, I: []int64{a.Int}}
		case "value_ints":
			v = Tensor{DType: graph.Int64, Shape: []int{len(a.Ints)}, I: a.Ints}
		}
	}
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
