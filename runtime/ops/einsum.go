package ops

import (
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// buildEinsum binds Einsum: for every element of the output, the sum of the
// products of what the operands have there.
func buildEinsum(s *site) (Compute, error) {
	shapes := make([][]int, len(s.in))
	for i := range s.in {
		shapes[i] = s.in[i].Shape
	}
	e, err := graph.NewEinsum(s.Node, shapes)
	if err != nil {
		return nil, err
	}
	const most = 1 << 40 // products, which grow with a power of the operands
	if n, err := graph.Elements(slices.Concat(e.Out, e.Sum)); err != nil || n > most {
		return nil, fmt.Errorf("an output of %v, each the sum of %v products, takes more than 2^40 of them", e.Out, e.Sum)
	}
	outer, inner := make([][]int, len(s.in)), make([][]int, len(s.in))
	for i, st := range e.Strides {
		outer[i], inner[i] = st[:len(e.Out)], st[len(e.Out):]
	}
	loops := einsumLoops{newNest(e.Out, outer...), newNest(e.Sum, inner...)}
	dt := s.in[0].DType
	return pick(dt, einsum[float32](loops), wrapped(dt, einsum[int64](loops))), nil
}

// einsumLoops are those over the output and those that are summed over.
type einsumLoops struct{ out, sum nest }

func einsum[T elem](l einsumLoops) Compute {
	return func(in, out []Tensor) {
		y := data[T](&out[0])
		for o := range y {
			row, col := o/l.out.n, o%l.out.n
			sum := T(0)
			for r := range l.sum.rows {
				for k := range l.sum.n {
					v := T(1)
					for i := range in {
						at := l.out.at(i, row) + col*l.out.walks[i].step + l.sum.at(i, r) + k*l.sum.walks[i].step
						v *= data[T](&in[i])[at]
					}
					sum += v
				}
			}
			y[o] = sum
		}
	}
}
