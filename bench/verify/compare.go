package verify

import (
	"fmt"
	"math"
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime"
)

// A Tolerance says how far an output may be from its reference.
type Tolerance struct {
	RTol float64 `json:"rtol"`
	ATol float64 `json:"atol"`
	// LSB is how many steps outputs may differ besides that a model rounds to
	// integers, see [stepOf]: 1 where a result may round either way.
	LSB int64 `json:"int_lsb,omitempty"`
}

// A Difference is how far an output is from its reference.
type Difference struct {
	Elements int // of the output
	Beyond   int // elements that lie outside of the tolerance
	Rounded  int // elements inside of it that LSB was needed for
	// Of the element that is furthest outside, or furthest off where all are
	// inside: its index, what was computed and what was expected.
	At        []int
	Got, Want float64
	MaxAbs    float64 // largest finite absolute difference of all elements
}

// OK reports whether all elements lie within the tolerance.
func (d Difference) OK() bool { return d.Beyond == 0 }

func (d Difference) String() string {
	return fmt.Sprintf("%d of %d elements differ, most at %v: got %g, want %g; max abs error %.3g",
		d.Beyond, d.Elements, d.At, d.Got, d.Want, d.MaxAbs)
}

// Compare compares got with want as numpy.allclose does: real elements are
// equal where |got - want| <= ATol + RTol·|want|, and NaN equals NaN; integers
// are equal or not. To both the tolerance adds LSB times step, what one step of
// the output's quantisation is, 0 of outputs that are not quantised. An error
// tells of another element type or another shape.
func (t Tolerance) Compare(got runtime.Tensor, want *graph.Tensor, step float64) (Difference, error) {
	if got.DType != want.DType {
		return Difference{}, fmt.Errorf("got element type %s, want %s", got.DType, want.DType)
	}
	if !slices.Equal(got.Shape, want.Shape) {
		return Difference{}, fmt.Errorf("got shape %v, want %v", got.Shape, want.Shape)
	}
	rounding := float64(t.LSB) * step
	switch {
	case want.DType.Float():
		return difference(got.F, want.Floats(), want.Shape, rounding, func(want float64) float64 {
			return t.ATol + t.RTol*math.Abs(want)
		}), nil
	case want.DType.Integer():
		return difference(got.I, want.Ints(), want.Shape, rounding, func(float64) float64 { return 0 }), nil
	}
	return Difference{}, fmt.Errorf("element type %s cannot be compared", want.DType)
}

// excess returns by how much the difference of a and b is larger than allowed,
// negative where it is not.
func excess(a, b, allowed float64) float64 {
	switch {
	case a == b || math.IsNaN(a) && math.IsNaN(b):
		return math.Inf(-1)
	case math.IsNaN(a) || math.IsNaN(b) || math.IsInf(a, 0) || math.IsInf(b, 0):
		return math.Inf(1)
	}
	return math.Abs(a-b) - allowed
}

// difference measures got against want, whose elements are as many: each may
// differ by what allowed returns, and by rounding besides.
func difference[E float32 | int64](got, want []E, shape []int, rounding float64, allowed func(want float64) float64) Difference {
	d := Difference{Elements: len(want)}
	worst, worstExcess := -1, math.Inf(-1)
	for i, w := range want {
		a, b := float64(got[i]), float64(w)
		e := excess(a, b, allowed(b))
		switch {
		case e > rounding:
			d.Beyond++
		case e > 0:
			d.Rounded++
		}
		if e > worstExcess {
			worst, worstExcess = i, e
		}
		if abs := math.Abs(a - b); abs > d.MaxAbs && !math.IsInf(abs, 0) {
			d.MaxAbs = abs
		}
	}
	if worst >= 0 {
		d.At = index(worst, shape)
		d.Got, d.Want = float64(got[worst]), float64(want[worst])
	}
	return d
}

// index is where element i of a row-major tensor lies.
func index(i int, shape []int) []int {
	at := make([]int, len(shape))
	for k := len(shape) - 1; k >= 0; k-- {
		at[k] = i % shape[k]
		i /= shape[k]
	}
	return at
}
