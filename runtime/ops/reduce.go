package ops

import (
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/graph"
)

// A reduction combines elements: an accumulator, and how a row of elements is
// folded into one and how two rows are combined element by element.
type reduction[T elem] struct {
	empty T                    // the result where there is nothing to combine
	row   func(acc T, x []T) T // fold a row into acc
	rows  func(acc, x []T)     // combine x into acc, element by element
	final func(y []T, n int)   // turns results over n elements each into the answer; may be nil
}

// reduceInts makes a reduction of integers from a function of two.
func reduceInts(empty int64, f func(a, b int64) int64) reduction[int64] {
	return reduction[int64]{
		empty: empty,
		row: func(acc int64, x []int64) int64 {
			for _, v := range x {
				acc = f(acc, v)
			}
			return acc
		},
		rows: func(acc, x []int64) {
			for i, v := range x {
				acc[i] = f(acc[i], v)
			}
		},
	}
}

func sumFloats(s *site) reduction[float32] {
	return reduction[float32]{
		row:  func(acc float32, x []float32) float32 { return acc + s.vec.Sum(x) },
		rows: func(acc, x []float32) { s.vec.Add(acc, acc, x) },
	}
}

func sumInts(graph.DType) reduction[int64] { return reduceInts(0, addInt) }

func meanFloats(s *site) reduction[float32] {
	r := sumFloats(s)
	r.final = func(y []float32, n int) { s.vec.DivScalar(y, y, float32(n)) }
	return r
}

func meanInts(dt graph.DType) reduction[int64] {
	r := sumInts(dt)
	r.final = func(y []int64, n int) {
		for i, v := range y {
			y[i] = divInt(v, int64(n))
		}
	}
	return r
}

// accumulate makes a reduction of reals from a function that takes one element
// into the accumulator, and what it ends with; final may be nil.
func accumulate(empty float32, f func(acc, x float32) float32, final func(x float64) float64) reduction[float32] {
	r := reduction[float32]{
		empty: empty,
		row: func(acc float32, x []float32) float32 {
			for _, v := range x {
				acc = f(acc, v)
			}
			return acc
		},
		rows: func(acc, x []float32) {
			for i, v := range x {
				acc[i] = f(acc[i], v)
			}
		},
	}
	if final != nil {
		r.final = func(y []float32, _ int) {
			for i, v := range y {
				y[i] = float32(final(float64(v)))
			}
		}
	}
	return r
}

func prodFloats(*site) reduction[float32] {
	return accumulate(1, func(acc, x float32) float32 { return acc * x }, nil)
}

func prodInts(graph.DType) reduction[int64] { return reduceInts(1, mulInt) }

func l1Floats(*site) reduction[float32] {
	return accumulate(0, func(acc, x float32) float32 { return acc + float32(math.Abs(float64(x))) }, nil)
}

func l1Ints(graph.DType) reduction[int64] {
	return reduceInts(0, func(a, b int64) int64 { return a + absInt(b) })
}

func square(acc, x float32) float32 { return acc + x*x }

func squareFloats(*site) reduction[float32] { return accumulate(0, square, nil) }
func l2Floats(*site) reduction[float32]     { return accumulate(0, square, math.Sqrt) }

func squareInts(graph.DType) reduction[int64] {
	return reduceInts(0, func(a, b int64) int64 { return a + b*b })
}

func l2Ints(dt graph.DType) reduction[int64] {
	r := squareInts(dt)
	r.final = func(y []int64, _ int) {
		for i, v := range y {
			y[i] = floatToInt(math.Sqrt(float64(v)))
		}
	}
	return r
}

func logSumFloats(*site) reduction[float32] {
	return accumulate(0, func(acc, x float32) float32 { return acc + x }, math.Log)
}

func logSumExpFloats(*site) reduction[float32] {
	return accumulate(-inf, logAddExp, nil)
}

// logAddExp is log(e**a + e**b), without overflow.
func logAddExp(a, b float32) float32 {
	hi, lo := float64(max(a, b)), float64(min(a, b))
	if math.IsInf(hi, 0) {
		return float32(hi)
	}
	return float32(hi + math.Log1p(math.Exp(lo-hi)))
}

func maxFloats(s *site) reduction[float32] {
	return reduction[float32]{
		empty: -inf,
		row:   func(acc float32, x []float32) float32 { return max(acc, s.vec.Max(x)) },
		rows: func(acc, x []float32) {
			for i, v := range x {
				acc[i] = max(acc[i], v)
			}
		},
	}
}

func maxInts(dt graph.DType) reduction[int64] {
	least, _ := intRange(dt)
	return reduceInts(least, maxInt)
}

func minFloats(*site) reduction[float32] { return accumulate(inf, minFloat, nil) }

func minInts(dt graph.DType) reduction[int64] {
	_, most := intRange(dt)
	return reduceInts(most, minInt)
}

// intRange returns the least and the largest value of an integer type, as
// elements hold them.
func intRange(dt graph.DType) (least, most int64) {
	bits := dt.Bits()
	switch dt {
	case graph.Bool:
		return 0, 1
	case graph.Uint8, graph.Uint16, graph.Uint32, graph.Uint4, graph.Uint2:
		return 0, 1<<bits - 1
	case graph.Uint64:
		return 0, math.MaxInt64
	}
	return -1 << (bits - 1), 1<<(bits-1) - 1
}

// reduce makes the builder of a Reduce operator. Its axes are an attribute
// before version axesInput and a constant input from then on.
func reduce(axesInput int, float func(s *site) reduction[float32], integer func(graph.DType) reduction[int64]) func(*site) (Compute, error) {
	return func(s *site) (Compute, error) {
		x := &s.in[0]
		if err := wantSame(x, &s.out[0]); err != nil {
			return nil, err
		}
		if integer == nil && !x.DType.Float() {
			return nil, fmt.Errorf("element type %s, expected a real type", x.DType)
		}
		axes, err := s.listParam("axes", 1, axesInput)
		if err != nil {
			return nil, err
		}
		set, err := axisSet(axes, len(x.Shape))
		if err != nil {
			return nil, err
		}
		if len(axes) == 0 && s.Int("noop_with_empty_axes", 0) == 0 {
			for i := range set {
				set[i] = true
			}
		}
		// The output is walked along with the input, with stride 0 over
		// reduced axes.
		kept := make([]int, 0, len(set)) // the output with reduced axes of extent 1
		var want []int
		count := 1
		for i, d := range x.Shape {
			if !set[i] {
				kept, want = append(kept, d), append(want, d)
				continue
			}
			count *= d
			kept = append(kept, 1)
			if s.Int("keepdims", 1) != 0 {
				want = append(want, 1)
			}
		}
		if err := s.wantOut(0, want); err != nil {
			return nil, err
		}
		st, err := broadcastStrides(kept, x.Shape)
		if err != nil {
			return nil, err
		}
		t := newNest(x.Shape, st)
		dt := s.out[0].DType
		if dt.Float() {
			return reduceWith(t, count, float(s)), nil
		}
		run := reduceWith(t, count, integer(dt))
		return func(in, out []Tensor) {
			run(in, out)
			wrapInts(dt, out[0].I)
		}, nil
	}
}

func reduceWith[T elem](t nest, count int, red reduction[T]) Compute {
	return func(in, out []Tensor) {
		x, y := data[T](&in[0]), data[T](&out[0])
		fill(y, red.empty)
		n := t.n
		for r := range t.rows {
			row, o := x[r*n:(r+1)*n], t.at(0, r)
			if t.walks[0].step == 0 {
				y[o] = red.row(y[o], row)
			} else {
				red.rows(y[o:o+n], row)
			}
		}
		if red.final != nil {
			red.final(y, count)
		}
	}
}

// argExtreme makes the builder of ArgMax and ArgMin: the position along an axis
// of the element that beats all others, the first or the last among equals. A
// NaN beats everything.
func argExtreme(float func(a, b float32) bool, integer func(a, b int64) bool) func(*site) (Compute, error) {
	return func(s *site) (Compute, error) {
		a, last, err := s.argAxis()
		if err != nil {
			return nil, err
		}
		return pick(s.in[0].DType, argBest(a, last, float), argBest(a, last, integer)), nil
	}
}

// argAxis reads the attributes of ArgMax and ArgMin and checks the shapes.
func (s *site) argAxis() (a along, last bool, err error) {
	x := &s.in[0]
	axis, err := normAxis(s.Int("axis", 0), len(x.Shape))
	if err != nil {
		return a, false, err
	}
	want := append([]int(nil), x.Shape[:axis]...)
	if s.Int("keepdims", 1) != 0 {
		want = append(want, 1)
	}
	want = append(want, x.Shape[axis+1:]...)
	if err := s.wantOut(0, want); err != nil {
		return a, false, err
	}
	if s.out[0].DType != graph.Int64 {
		return a, false, fmt.Errorf("output has element type %s, expected int64", s.out[0].DType)
	}
	a = along{product(x.Shape[:axis]), x.Shape[axis], product(x.Shape[axis+1:])}
	if a.n == 0 && product(want) > 0 {
		return a, false, fmt.Errorf("axis %d of shape %v is empty", axis, x.Shape)
	}
	return a, s.Int("select_last_index", 0) != 0, nil
}

// along is an array seen as outer x n x inner, for work along one axis.
type along struct{ outer, n, inner int }

func argBest[T elem](a along, last bool, beats func(a, b T) bool) Compute {
	return func(in, out []Tensor) {
		x, y := data[T](&in[0]), out[0].I
		for o := range a.outer {
			for i := range a.inner {
				base := o*a.n*a.inner + i
				best, at := x[base], 0
				for j := 1; j < a.n; j++ {
					v := x[base+j*a.inner]
					if beats(v, best) || v != v && best == best || last && v == best {
						best, at = v, j
					}
				}
				y[o*a.inner+i] = int64(at)
			}
		}
	}
}
