package ops

import (
	"fmt"
	"math"
)

// A granularity says which of the scales of a quantisation is an element's.
type granularity struct {
	along
	scales int // along the axis; 1 of all elements
	block  int // elements of the axis that share a scale
	grid   bool
}

// newGranularity reads the shapes that shape inference has checked.
func (s *site) newGranularity() (granularity, error) {
	x, scale := s.in[0].Shape, &s.in[1]
	block := s.Int("block_size", 0)
	if block == 0 && scale.Len() == 1 {
		return granularity{along: along{1, 1, product(x)}, scales: 1, block: 1}, nil
	}
	a, err := alongOf(x, s.Int("axis", 1))
	if err != nil {
		return granularity{}, err
	}
	if block == 0 {
		return granularity{along: a, scales: a.n, block: 1}, nil
	}
	return granularity{along: a, scales: (a.n + block - 1) / block, block: block, grid: true}, nil
}

// scale returns the index of the scale of element i.
func (g *granularity) scale(i int) int {
	j := i / g.inner % g.n / g.block
	if g.grid {
		return (i/g.inner/g.n*g.scales+j)*g.inner + i%g.inner
	}
	return j
}

// saturate rounds to the nearest integer, ties to even, shifts by a zero point
// and clamps to a range. NaN becomes the zero point.
func saturate(x float32, zero, least, most int64) int64 {
	if x != x {
		return zero
	}
	v := math.RoundToEven(float64(x)) + float64(zero)
	return int64(min(max(v, float64(least)), float64(most)))
}

// buildQuantize binds QuantizeLinear to an integer type: x over its scale,
// rounded, plus a zero point.
func buildQuantize(s *site) (Compute, error) {
	dt := s.out[0].DType
	if !dt.Integer() || dt.Bits() > 32 || !s.in[1].DType.Float() {
		return nil, fmt.Errorf("quantisation to %s by a scale of %s is not supported", dt, s.in[1].DType)
	}
	g, err := s.newGranularity()
	if err != nil {
		return nil, err
	}
	least, most := intRange(dt)
	shifted := s.has(2)
	return func(in, out []Tensor) {
		for i := range out[0].I {
			x, at, zero := float32(0), g.scale(i), int64(0)
			if in[0].F != nil {
				x = in[0].F[i]
			} else {
				x = float32(in[0].I[i])
			}
			if shifted {
				zero = in[2].I[at]
			}
			out[0].I[i] = saturate(x/in[1].F[at], zero, least, most)
		}
	}, nil
}

// buildDequantize binds DequantizeLinear: an integer less its zero point, or an
// element of a narrow real type, times the scale.
func buildDequantize(s *site) (Compute, error) {
	if !s.in[1].DType.Float() || !s.out[0].DType.Float() {
		return nil, fmt.Errorf("a scale of %s and an output of %s, expected real types", s.in[1].DType, s.out[0].DType)
	}
	g, err := s.newGranularity()
	if err != nil {
		return nil, err
	}
	if s.in[0].DType.Float() {
		return func(in, out []Tensor) {
			for i, x := range in[0].F {
				out[0].F[i] = x * in[1].F[g.scale(i)]
			}
		}, nil
	}
	shifted := s.has(2)
	if shifted && !s.in[2].DType.Integer() {
		return nil, fmt.Errorf("a zero point of %s, expected %s", s.in[2].DType, s.in[0].DType)
	}
	return func(in, out []Tensor) {
		for i, x := range in[0].I {
			at := g.scale(i)
			if shifted {
				x -= in[2].I[at]
			}
			out[0].F[i] = float32(x) * in[1].F[at]
		}
	}, nil
}

// buildDynamicQuantize binds DynamicQuantizeLinear: to uint8 by the scale that
// spans the elements and zero.
func buildDynamicQuantize(s *site) (Compute, error) {
	if !s.in[0].DType.Float() {
		return nil, fmt.Errorf("element type %s, expected a real type", s.in[0].DType)
	}
	for i := range 3 {
		if i >= len(s.out) || !s.out[i].present() {
			return nil, fmt.Errorf("output %d is absent", i)
		}
	}
	return func(in, out []Tensor) {
		lo, hi := float32(0), float32(0)
		for _, x := range in[0].F {
			lo, hi = min(lo, x), max(hi, x)
		}
		scale := (hi - lo) / math.MaxUint8
		if hi == lo {
			scale = 1
		}
		zero := saturate(-lo/scale, 0, 0, math.MaxUint8)
		for i, x := range in[0].F {
			out[0].I[i] = saturate(x/scale, zero, 0, math.MaxUint8)
		}
		out[1].F[0], out[2].I[0] = scale, zero
	}, nil
}

// wantScale checks input i, a scale or a zero point of n channels.
func (s *site) wantScale(i, n int) error {
	if s.has(i) && s.in[i].Len() != 1 && s.in[i].Len() != n {
		return fmt.Errorf("input %d has shape %v, expected one number or %d", i, s.in[i].Shape, n)
	}
	return nil
}

// zeroPoint returns the zero point of channel i, zero where there is none.
func zeroPoint(t []Tensor, input, i int) int64 {
	if input >= len(t) || len(t[input].I) == 0 {
		return 0
	}
	return t[input].I[i%len(t[input].I)]
}

// A requantization turns sums of products into elements of a quantised output.
type requantization struct {
	aScale, bScale int // inputs; those of the output are 6 and 7
	least, most    int64
}

func (r *requantization) run(in []Tensor, sum int64, aAt, bAt int) int64 {
	a, b, y := in[r.aScale].F, in[r.bScale].F, in[6].F
	scale := a[aAt%len(a)] * b[bAt%len(b)] / y[0]
	return saturate(float32(sum)*scale, zeroPoint(in, 7, 0), r.least, r.most)
}

// newRequantization checks inputs 1 to 7 of a QLinear operator.
func (s *site) newRequantization(rows, cols int) (requantization, error) {
	for i, n := range map[int]int{1: rows, 2: rows, 4: cols, 5: cols, 6: 1, 7: 1} {
		if err := s.wantScale(i, n); err != nil {
			return requantization{}, err
		}
		if i%3 == 1 && i < 7 || i == 6 {
			if !s.in[i].DType.Float() {
				return requantization{}, fmt.Errorf("input %d has element type %s, expected a real type", i, s.in[i].DType)
			}
		}
	}
	least, most := intRange(s.out[0].DType)
	return requantization{1, 4, least, most}, s.wantInteger(0, 2, 3, 5, 7)
}

// wantInteger checks that inputs, where they are there, and output 0 are of
// integer type.
func (s *site) wantInteger(inputs ...int) error {
	for _, i := range inputs {
		if s.has(i) && !s.in[i].DType.Integer() {
			return fmt.Errorf("input %d has element type %s, expected an integer type", i, s.in[i].DType)
		}
	}
	if !s.out[0].DType.Integer() {
		return fmt.Errorf("output 0 has element type %s, expected an integer type", s.out[0].DType)
	}
	return nil
}
