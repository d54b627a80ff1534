package ops

import (
	"math"

	"github.com/nnz-dev/nnz/kernels/vec"
)

// softmax makes the builder of Softmax and LogSoftmax. Before version 13 they
// run over all axes from the given one on, by default 1; from then on over the
// one axis, by default the last.
func softmax(log bool) func(*site) (Compute, error) {
	return func(s *site) (Compute, error) {
		if err := s.wantFloat(0); err != nil {
			return nil, err
		}
		if err := s.wantOut(0, s.in[0].Shape); err != nil {
			return nil, err
		}
		a, err := s.softmaxAxis()
		if err != nil {
			return nil, err
		}
		if a.inner == 1 {
			return softmaxRows(s, a, log), nil
		}
		if log {
			return logSoftmaxColumns(a), nil
		}
		return softmaxColumns(s, a), nil
	}
}

// softmaxAxis cuts the input at attribute axis; before version 13 all axes from
// that on count as one.
func (s *site) softmaxAxis() (along, error) {
	shape := s.in[0].Shape
	def := -1
	if s.opset < 13 {
		def = min(1, len(shape)-1)
	}
	if len(shape) == 0 {
		shape = []int{1} // a scalar is a distribution over one thing
	}
	a, err := alongOf(shape, s.Int("axis", def))
	if s.opset < 13 {
		a.n, a.inner = a.n*a.inner, 1
	}
	return a, err
}

func softmaxRows(s *site, a along, log bool) Compute {
	return func(in, out []Tensor) {
		for o := range a.outer {
			x, y := in[0].F[o*a.n:(o+1)*a.n], out[0].F[o*a.n:(o+1)*a.n]
			if !log {
				s.vec.Softmax(y, x)
				continue
			}
			top := s.vec.Max(x)
			sum := s.vec.ExpSum(y, x, top)
			s.vec.Affine(y, x, 1, -top)
			s.vec.Affine(y, y, 1, -float32(math.Log(float64(sum))))
		}
	}
}

func softmaxColumns(s *site, a along) Compute {
	c := vec.Columns{Rows: a.n, Width: a.inner, Stride: a.inner}
	size := a.n * a.inner
	return func(in, out []Tensor) {
		for o := range a.outer {
			s.vec.SoftmaxColumns(out[0].F[o*size:(o+1)*size], in[0].F[o*size:(o+1)*size], nil, 1, c)
		}
	}
}

func logSoftmaxColumns(a along) Compute {
	return func(in, out []Tensor) {
		for o := range a.outer {
			for i := range a.inner {
				x, y := in[0].F[o*a.n*a.inner+i:], out[0].F[o*a.n*a.inner+i:]
				top := math.Inf(-1)
				for j := 0; j < a.n*a.inner; j += a.inner {
					top = max(top, float64(x[j]))
				}
				sum := 0.0
				for j := 0; j < a.n*a.inner; j += a.inner {
					sum += math.Exp(float64(x[j]) - top)
				}
				sum = math.Log(sum)
				for j := 0; j < a.n*a.inner; j += a.inner {
					y[j] = float32(float64(x[j]) - top - sum)
				}
			}
		}
	}
}
