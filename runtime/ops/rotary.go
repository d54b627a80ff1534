package ops

import (
	"fmt"

	"github.com/nnz-dev/nnz/graph"
)

// buildRotary binds RotaryEmbedding: pairs of elements of a head, neighbours or
// from its two halves, turn by the angle of their position. A position outside
// the table of angles gives NaN.
func buildRotary(s *site) (Compute, error) {
	r, err := graph.NewRotaryShape(s.Node, s.in[0].Shape)
	if err != nil {
		return nil, err
	}
	half := r.Rotated / 2
	pair, apart := 1, half // distances of pairs, and within one
	if s.Int("interleaved", 0) != 0 {
		pair, apart = 2, 1
	}
	listed, angles := s.has(3), r.Batch*r.Positions
	if listed {
		angles = s.in[1].Shape[0]
		for _, at := range s.in[3].I {
			if at < 0 || at >= int64(angles) {
				return nil, fmt.Errorf("position %d is outside the %d angles", at, angles)
			}
		}
	}
	return func(in, out []Tensor) {
		x, y := in[0].F, out[0].F
		copy(y, x)
		for row := range r.Batch * r.Positions {
			at := row
			if listed {
				at = -1
				if id := in[3].I[row]; id >= 0 && id < int64(angles) {
					at = int(id)
				}
			}
			for head := range r.Heads {
				from := (row*r.Heads + head) * r.Size
				if !r.Packed {
					from = ((row/r.Positions*r.Heads+head)*r.Positions + row%r.Positions) * r.Size
				}
				if at < 0 {
					fill(y[from:from+r.Rotated], nan)
					continue
				}
				cos, sin := in[1].F[at*half:(at+1)*half], in[2].F[at*half:(at+1)*half]
				for i := range half {
					j := from + i*pair
					a, b := x[j], x[j+apart]
					y[j], y[j+apart] = cos[i]*a-sin[i]*b, sin[i]*a+cos[i]*b
				}
			}
		}
	}, nil
}
