package ops

import (
	"fmt"

	"github.com/nnz-dev/nnz/graph"
)

// buildGatherElements binds GatherElements: each element of the output has an
// index of its own along an axis. An index outside it reads NaN, or 0 from
// integers.
func buildGatherElements(s *site) (Compute, error) {
	t, err := s.elementNest()
	if err != nil {
		return nil, err
	}
	return pick(s.in[0].DType, gatherElements(t, nan), gatherElements[int64](t, 0)), nil
}

// An elementNest is the loops over indices, input 1, which replace the position
// along an axis of input 0. Its walk goes through input 0 with that axis still.
type elementNest struct {
	nest
	extent, step int // of the axis
}

func (s *site) elementNest() (elementNest, error) {
	x, index := s.in[0].Shape, &s.in[1]
	axis, err := normAxis(s.Int("axis", 0), len(x))
	if err != nil {
		return elementNest{}, err
	}
	for _, i := range index.I {
		if i < int64(-x[axis]) || i >= int64(x[axis]) {
			return elementNest{}, fmt.Errorf("index %d is outside axis %d of shape %v", i, axis, x)
		}
	}
	st := strides(x)
	step := st[axis]
	st[axis] = 0
	return elementNest{newNest(index.Shape, strides(index.Shape), st), x[axis], step}, nil
}

// each calls f with the offsets of every index in input 1 and of the element
// that it picks in input 0, -1 where it is outside the axis.
func (t *elementNest) each(index []int64, f func(at, from int)) {
	for r := range t.rows {
		i, j := t.at(0, r), t.at(1, r)
		for range t.n {
			k := index[i]
			if k < 0 {
				k += int64(t.extent)
			}
			if k < 0 || k >= int64(t.extent) {
				f(i, -1)
			} else {
				f(i, j+int(k)*t.step)
			}
			i += t.walks[0].step
			j += t.walks[1].step
		}
	}
}

func gatherElements[T elem](t elementNest, missing T) Compute {
	return func(in, out []Tensor) {
		x, y := data[T](&in[0]), data[T](&out[0])
		t.each(in[1].I, func(at, from int) {
			if y[at] = missing; from >= 0 {
				y[at] = x[from]
			}
		})
	}
}

func checkReduction(n *graph.Node, opset int) error {
	switch r := n.Str("reduction", "none"); r {
	case "none", "add", "mul":
		return nil
	case "max", "min":
		if opset >= 18 {
			return nil
		}
		fallthrough
	default:
		return fmt.Errorf("attribute reduction: %q in version %d", r, opset)
	}
}

// combiner returns how attribute reduction combines an element with an update.
func combiner[T elem](reduction string) func(old, update T) T {
	switch reduction {
	case "add":
		return func(a, b T) T { return a + b }
	case "mul":
		return func(a, b T) T { return a * b }
	case "max":
		return func(a, b T) T { return max(a, b) }
	case "min":
		return func(a, b T) T { return min(a, b) }
	}
	return func(_, b T) T { return b }
}

// buildScatterElements binds ScatterElements, and Scatter before it: a copy in
// which each update goes to an index of its own along an axis. Indices outside
// it are left out.
func buildScatterElements(s *site) (Compute, error) {
	t, err := s.elementNest()
	if err != nil {
		return nil, err
	}
	how, dt := s.Str("reduction", "none"), s.in[0].DType
	return pick(dt, scatterElements[float32](t, how), wrapped(dt, scatterElements[int64](t, how))), nil
}

// wrapped reduces the integers that run computes to the width of dt.
func wrapped(dt graph.DType, run Compute) Compute {
	return func(in, out []Tensor) {
		run(in, out)
		wrapInts(dt, out[0].I)
	}
}

func scatterElements[T elem](t elementNest, reduction string) Compute {
	f := combiner[T](reduction)
	return func(in, out []Tensor) {
		u, y := data[T](&in[2]), data[T](&out[0])
		copy(y, data[T](&in[0]))
		t.each(in[1].I, func(at, to int) {
			if to >= 0 {
				y[to] = f(y[to], u[at])
			}
		})
	}
}

// A tupleIndex is indices whose last axis holds tuples, each of which picks a
// slice of an array.
type tupleIndex struct {
	tuples   int // in a batch
	batches  int
	width    int   // numbers in a tuple
	extents  []int // of the axes that they index
	strides  []int
	batch    int // elements of the array from one batch to the next
	elements int // of a slice
}

func (s *site) tupleIndex(batch int) tupleIndex {
	x, index := s.in[0].Shape, s.in[1].Shape
	last := len(index) - 1
	w := index[last]
	return tupleIndex{
		tuples: product(index[batch:last]), batches: product(index[:batch]), width: w,
		extents: x[batch : batch+w], strides: strides(x)[batch : batch+w],
		batch: product(x[batch:]), elements: product(x[batch+w:]),
	}
}

// at returns the offset of the slice that tuple i picks, -1 where it is outside
// the array.
func (t *tupleIndex) at(index []int64, i int) int {
	off := i / max(t.tuples, 1) * t.batch
	for j, d := range t.extents {
		k := index[i*t.width+j]
		if k < 0 {
			k += int64(d)
		}
		if k < 0 || k >= int64(d) {
			return -1
		}
		off += int(k) * t.strides[j]
	}
	return off
}

// buildGatherND binds GatherND: slices that tuples of indices pick. Outside the
// array they read NaN, or 0 from integers.
func buildGatherND(s *site) (Compute, error) {
	t := s.tupleIndex(s.Int("batch_dims", 0))
	if err := t.check(&s.in[1]); err != nil {
		return nil, err
	}
	return pick(s.in[0].DType, gatherND(t, nan), gatherND[int64](t, 0)), nil
}

// check refuses constant indices outside the array.
func (t *tupleIndex) check(index *Tensor) error {
	if index.I == nil {
		return nil
	}
	for i := range t.tuples * t.batches {
		if t.at(index.I, i) < 0 {
			return fmt.Errorf("indices %v are outside extents %v", index.I[i*t.width:(i+1)*t.width], t.extents)
		}
	}
	return nil
}

func gatherND[T elem](t tupleIndex, missing T) Compute {
	return func(in, out []Tensor) {
		x, y, n := data[T](&in[0]), data[T](&out[0]), t.elements
		for i := range t.tuples * t.batches {
			if from := t.at(in[1].I, i); from < 0 {
				fill(y[i*n:(i+1)*n], missing)
			} else {
				copy(y[i*n:(i+1)*n], x[from:])
			}
		}
	}
}

// buildScatterND binds ScatterND: a copy with updates of the slices that tuples
// of indices pick. Those outside the array are left out.
func buildScatterND(s *site) (Compute, error) {
	t := s.tupleIndex(0)
	if err := t.check(&s.in[1]); err != nil {
		return nil, err
	}
	how, dt := s.Str("reduction", "none"), s.in[0].DType
	return pick(dt, scatterND[float32](t, how), wrapped(dt, scatterND[int64](t, how))), nil
}

func scatterND[T elem](t tupleIndex, reduction string) Compute {
	f := combiner[T](reduction)
	return func(in, out []Tensor) {
		u, y, n := data[T](&in[2]), data[T](&out[0]), t.elements
		copy(y, data[T](&in[0]))
		for i := range t.tuples {
			to := t.at(in[1].I, i)
			if to < 0 {
				continue
			}
			for j, v := range u[i*n : (i+1)*n] {
				y[to+j] = f(y[to+j], v)
			}
		}
	}
}
