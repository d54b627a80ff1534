package ops

import "github.com/nnz-dev/nnz/graph"

// buildMaxUnpool binds MaxUnpool: the elements of X go where the indices that
// MaxPool has given say, and all else is zero. Where output_shape is larger
// than what the window covers, the rest is at the ends. Indices beyond are
// dropped.
func buildMaxUnpool(s *site) (Compute, error) {
	if err := wantSame(&s.in[0], &s.out[0]); err != nil {
		return nil, err
	}
	covered, err := graph.UnpoolShape(s.Node, s.in[0].Shape)
	if err != nil {
		return nil, err
	}
	return pick(s.in[0].DType, maxUnpool[float32](covered, s.out[0].Shape), maxUnpool[int64](covered, s.out[0].Shape)), nil
}

func maxUnpool[T elem](covered, out []int) Compute {
	n := product(covered)
	return func(in, outs []Tensor) {
		x, y := data[T](&in[0]), data[T](&outs[0])
		clear(y)
		for i, at := range in[1].I {
			if at < 0 || at >= int64(n) {
				continue
			}
			rest, to, stride := int(at), 0, 1
			for axis := len(covered) - 1; axis >= 0; axis-- {
				to += rest % covered[axis] * stride
				rest /= covered[axis]
				stride *= out[axis]
			}
			y[to] = x[i]
		}
	}
}
