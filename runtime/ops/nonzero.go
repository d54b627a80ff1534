package ops

import (
	"fmt"

	"github.com/nnz-dev/nnz/graph"
)

// evalNonZero returns where the elements that are not zero are: a column of
// indices for each, in row-major order. A scalar has no index, so the output
// has no rows.
func evalNonZero(s *site) ([]Tensor, error) {
	x := &s.in[0]
	count := countNonZero(x.F) + countNonZero(x.I)
	if err := s.allow(8 * int64(count) * int64(len(x.Shape)+1)); err != nil {
		return nil, err
	}
	at := appendNonZero(appendNonZero(make([]int, 0, count), x.F), x.I)
	out := Zeros(graph.Int64, []int{len(x.Shape), len(at)})
	stride := 1
	for axis := len(x.Shape) - 1; axis >= 0; axis-- {
		row := out.I[axis*len(at):]
		for i, e := range at {
			row[i] = int64(e / stride % x.Shape[axis])
		}
		stride *= x.Shape[axis]
	}
	return []Tensor{out}, nil
}

func countNonZero[T elem](x []T) int {
	n := 0
	for _, v := range x {
		if v != 0 { // NaN is not zero
			n++
		}
	}
	return n
}

func appendNonZero[T elem](at []int, x []T) []int {
	for i, v := range x {
		if v != 0 {
			at = append(at, i)
		}
	}
	return at
}

// evalCompress keeps the slices along an axis, or without one the elements,
// that the condition marks; it may be shorter than the axis.
func evalCompress(s *site) ([]Tensor, error) {
	x, condition := &s.in[0], &s.in[1]
	if condition.DType != graph.Bool || len(condition.Shape) != 1 {
		return nil, fmt.Errorf("condition is %s %v, expected a list of bool", condition.DType, condition.Shape)
	}
	along, shape, axis, err := s.slicesOf(x)
	if err != nil {
		return nil, err
	}
	marks := condition.I[:min(along.n, len(condition.I))]
	shape[axis] = countNonZero(marks)
	out := Tensor{DType: x.DType, Shape: shape}
	if err := s.allow(out.Bytes() + 8*int64(shape[axis])); err != nil {
		return nil, err
	}
	keep := appendNonZero(make([]int, 0, shape[axis]), marks)
	out = Zeros(x.DType, shape)
	compress(out.F, x.F, along, keep)
	compress(out.I, x.I, along, keep)
	return []Tensor{out}, nil
}

func compress[T elem](out, x []T, a along, keep []int) {
	if len(out) == 0 {
		return
	}
	for o := range a.outer {
		for _, i := range keep {
			n := copy(out, x[(o*a.n+i)*a.inner:][:a.inner])
			out = out[n:]
		}
	}
}
