package ops

import (
	"fmt"

	"github.com/nnz-dev/nnz/graph"
)

// A nest is the loops over the elements of a row-major output and of operands
// that are walked with strides of their own: broadcast, transposed or sliced.
// The innermost loop runs n times and is a row; adjacent axes that every
// operand walks as one are merged.
type nest struct {
	rows  int
	n     int    // elements of a row
	outer []int  // extents of the loops around a row
	walks []walk // one an operand
}

// A walk is the strides, in elements, at which an operand goes through a nest.
type walk struct {
	base  int   // offset of the first element
	outer []int // strides of the loops around a row
	step  int   // stride within a row
}

// newNest makes the loops over shape. strides has a list for every operand, in
// elements and as long as shape; 0 repeats an element along the axis.
func newNest(shape []int, strides ...[]int) nest {
	t := nest{walks: make([]walk, len(strides))}
	var dims []int
	merged := make([][]int, len(strides))
	for i, d := range shape {
		if d == 1 {
			continue
		}
		join := len(dims) > 0
		for o, st := range strides {
			join = join && merged[o][len(dims)-1] == st[i]*d
		}
		if join {
			dims[len(dims)-1] *= d
			for o, st := range strides {
				merged[o][len(dims)-1] = st[i]
			}
			continue
		}
		dims = append(dims, d)
		for o, st := range strides {
			merged[o] = append(merged[o], st[i])
		}
	}
	if len(dims) == 0 {
		dims = []int{1}
		for o := range merged {
			merged[o] = []int{1}
		}
	}
	last := len(dims) - 1
	t.n, t.outer, t.rows = dims[last], dims[:last], product(dims[:last])
	if t.n == 0 {
		t.rows = 0
	}
	for o := range t.walks {
		t.walks[o] = walk{outer: merged[o][:last], step: merged[o][last]}
	}
	return t
}

// at returns the offset of row r of operand o.
func (t *nest) at(o, r int) int {
	w := &t.walks[o]
	off := w.base
	for i := len(t.outer) - 1; i >= 0; i-- {
		d := t.outer[i]
		off += r % d * w.outer[i]
		r /= d
	}
	return off
}

// strides returns the element strides of a row-major array.
func strides(shape []int) []int {
	st := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		st[i] = n
		n *= shape[i]
	}
	return st
}

// broadcastStrides returns the strides with which an array of shape from is
// read as one of shape to, by numpy's rules.
func broadcastStrides(from, to []int) ([]int, error) {
	if len(from) > len(to) {
		return nil, fmt.Errorf("shape %v does not broadcast to %v", from, to)
	}
	st := make([]int, len(to))
	own := strides(from)
	for i, d := range from {
		j := len(to) - len(from) + i
		switch d {
		case to[j]:
			st[j] = own[i]
		case 1:
		default:
			return nil, fmt.Errorf("shape %v does not broadcast to %v", from, to)
		}
	}
	return st, nil
}

// broadcast makes the nest in which inputs are read as the output's shape, and
// checks that shape.
func (s *site) broadcast(inputs ...int) (nest, error) {
	var want []int
	var err error
	for _, i := range inputs {
		if want, err = graph.Broadcast(want, s.in[i].Shape); err != nil {
			return nest{}, err
		}
	}
	if err := s.wantOut(0, want); err != nil {
		return nest{}, err
	}
	st := make([][]int, len(inputs))
	for i, in := range inputs {
		if st[i], err = broadcastStrides(s.in[in].Shape, want); err != nil {
			return nest{}, err
		}
	}
	return newNest(want, st...), nil
}

// copyRows writes the operand of a nest of one operand to dst.
func copyRows[T elem](t *nest, dst, src []T) {
	n, step := t.n, t.walks[0].step
	for r := range t.rows {
		d, off := dst[r*n:(r+1)*n], t.at(0, r)
		switch step {
		case 1:
			copy(d, src[off:off+n])
		case 0:
			fill(d, src[off])
		default:
			for i := range d {
				d[i] = src[off]
				off += step
			}
		}
	}
}

// gatherNest returns the function that copies input 0 to output 0 in the order
// of the nest.
func gatherNest(dt graph.DType, t nest) Compute {
	return pick(dt,
		func(in, out []Tensor) { copyRows(&t, out[0].F, in[0].F) },
		func(in, out []Tensor) { copyRows(&t, out[0].I, in[0].I) })
}

func fill[T elem](dst []T, v T) {
	for i := range dst {
		dst[i] = v
	}
}
