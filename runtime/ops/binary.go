package ops

import (
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/graph"
)

// loops are the three row loops of an operator of two operands: two vectors, a
// vector and a scalar, a scalar and a vector. dst is as long as the vectors.
type loops[A, B, Y elem] struct {
	vv func(dst []Y, a []A, b []B)
	vs func(dst []Y, a []A, b B)
	sv func(dst []Y, a A, b []B)
}

// loopsOf makes row loops from a function of two elements.
func loopsOf[A, B, Y elem](f func(a A, b B) Y) loops[A, B, Y] {
	return loops[A, B, Y]{
		vv: func(dst []Y, a []A, b []B) {
			b = b[:len(a)]
			for i, x := range a {
				dst[i] = f(x, b[i])
			}
		},
		vs: func(dst []Y, a []A, b B) {
			for i, x := range a {
				dst[i] = f(x, b)
			}
		},
		sv: func(dst []Y, a A, b []B) {
			for i, x := range b {
				dst[i] = f(a, x)
			}
		},
	}
}

// run applies the loops to the nest of two operands.
func (l loops[A, B, Y]) run(t *nest, dst []Y, a []A, b []B) {
	n := t.n
	for r := range t.rows {
		d, i, j := dst[r*n:(r+1)*n], t.at(0, r), t.at(1, r)
		switch {
		case n == 1:
			l.vv(d, a[i:i+1], b[j:j+1])
		case t.walks[0].step == 0:
			l.sv(d, a[i], b[j:j+n])
		case t.walks[1].step == 0:
			l.vs(d, a[i:i+n], b[j])
		default:
			l.vv(d, a[i:i+n], b[j:j+n])
		}
	}
}

// zip returns the function that applies the loops to inputs 0 and 1 under
// broadcasting, and wraps integer results to the width of the output's type.
func zip[A, B, Y elem](s *site, l loops[A, B, Y]) (Compute, error) {
	t, err := s.broadcast(0, 1)
	if err != nil {
		return nil, err
	}
	dt := s.out[0].DType
	return func(in, out []Tensor) {
		l.run(&t, data[Y](&out[0]), data[A](&in[0]), data[B](&in[1]))
		wrapInts(dt, out[0].I)
	}, nil
}

// arith makes the builder of an arithmetic operator from its loops for real
// elements and its function for integers.
func arith(float func(s *site) loops[float32, float32, float32], integer func(a, b int64) int64) func(*site) (Compute, error) {
	return func(s *site) (Compute, error) {
		if err := wantSame(&s.in[0], &s.in[1], &s.out[0]); err != nil {
			return nil, err
		}
		if s.out[0].DType.Float() {
			return zip(s, float(s))
		}
		return zip(s, loopsOf(integer))
	}
}

func addLoops(s *site) loops[float32, float32, float32] {
	return loops[float32, float32, float32]{
		vv: s.vec.Add,
		vs: func(dst, a []float32, b float32) { s.vec.Affine(dst, a, 1, b) },
		sv: func(dst []float32, a float32, b []float32) { s.vec.Affine(dst, b, 1, a) },
	}
}

func subLoops(s *site) loops[float32, float32, float32] {
	return loops[float32, float32, float32]{
		vv: s.vec.Sub,
		vs: func(dst, a []float32, b float32) { s.vec.Affine(dst, a, 1, -b) },
		sv: func(dst []float32, a float32, b []float32) { s.vec.Affine(dst, b, -1, a) },
	}
}

func mulLoops(s *site) loops[float32, float32, float32] {
	return loops[float32, float32, float32]{
		vv: s.vec.Mul,
		vs: func(dst, a []float32, b float32) { s.vec.Affine(dst, a, b, minusZero) },
		sv: func(dst []float32, a float32, b []float32) { s.vec.Affine(dst, b, a, minusZero) },
	}
}

func divLoops(s *site) loops[float32, float32, float32] {
	return loops[float32, float32, float32]{
		vv: s.vec.Div,
		vs: s.vec.DivScalar,
		sv: func(dst []float32, a float32, b []float32) { s.vec.ScalarDiv(dst, b, a) },
	}
}

func addInt(a, b int64) int64 { return a + b }
func subInt(a, b int64) int64 { return a - b }
func mulInt(a, b int64) int64 { return a * b }

// divInt truncates towards zero. Division by zero, undefined in ONNX, gives 0.
func divInt(a, b int64) int64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// buildPow binds Pow, whose exponent may be of another type than its base.
func buildPow(s *site) (Compute, error) {
	base, exp := s.in[0].DType.Float(), s.in[1].DType.Float()
	if err := wantSame(&s.in[0], &s.out[0]); err != nil {
		return nil, err
	}
	switch {
	case base && exp:
		l := loopsOf(powFloat)
		l.vs = func(dst, a []float32, b float32) {
			switch b { // the exponents of variances and of GELU's tanh form
			case 2:
				s.vec.Mul(dst, a, a)
			case 0.5:
				for i, x := range a {
					dst[i] = float32(math.Sqrt(float64(x)))
				}
			default:
				for i, x := range a {
					dst[i] = powFloat(x, b)
				}
			}
		}
		return zip(s, l)
	case base:
		return zip(s, loopsOf(func(a float32, b int64) float32 { return float32(math.Pow(float64(a), float64(b))) }))
	case exp:
		return zip(s, loopsOf(func(a int64, b float32) int64 { return floatToInt(math.Pow(float64(a), float64(b))) }))
	}
	return zip(s, loopsOf(powInt))
}

func powFloat(a, b float32) float32 { return float32(math.Pow(float64(a), float64(b))) }

// powInt raises by squaring, wrapping around; a negative exponent truncates.
func powInt(a, b int64) int64 {
	if b < 0 {
		return floatToInt(math.Pow(float64(a), float64(b)))
	}
	y := int64(1)
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			y *= a
		}
		a *= a
	}
	return y
}

// buildPRelu binds PRelu: x where it is not negative, else x times a slope that
// broadcasts to x.
func buildPRelu(s *site) (Compute, error) {
	if err := wantSame(&s.in[0], &s.in[1], &s.out[0]); err != nil {
		return nil, err
	}
	if s.out[0].DType.Float() {
		return zip(s, loopsOf(prelu[float32]))
	}
	return zip(s, loopsOf(prelu[int64]))
}

func prelu[T elem](x, slope T) T {
	if x < 0 {
		return x * slope
	}
	return x
}

// compare makes the builder of a comparison, whose output is bool.
func compare(float func(a, b float32) bool, integer func(a, b int64) bool) func(*site) (Compute, error) {
	return func(s *site) (Compute, error) {
		if err := wantSame(&s.in[0], &s.in[1]); err != nil {
			return nil, err
		}
		if err := s.wantBool(&s.out[0]); err != nil {
			return nil, err
		}
		if s.in[0].DType.Float() {
			return zip(s, loopsOf(func(a, b float32) int64 { return toInt(float(a, b)) }))
		}
		return zip(s, loopsOf(func(a, b int64) int64 { return toInt(integer(a, b)) }))
	}
}

// logic makes the builder of an operator from two bools to bool.
func logic(f func(a, b int64) int64) func(*site) (Compute, error) {
	return func(s *site) (Compute, error) {
		if err := s.wantBool(&s.in[0], &s.in[1], &s.out[0]); err != nil {
			return nil, err
		}
		return zip(s, loopsOf(f))
	}
}

func (s *site) wantBool(ts ...*Tensor) error {
	for _, t := range ts {
		if t.DType != graph.Bool {
			return fmt.Errorf("element type %s, expected bool", t.DType)
		}
	}
	return nil
}

// variadic makes the builder of an operator that folds any number of inputs
// under broadcasting: Min, Max and Sum.
func variadic(float func(s *site) loops[float32, float32, float32], integer func(a, b int64) int64) func(*site) (Compute, error) {
	return func(s *site) (Compute, error) {
		all := make([]int, len(s.in))
		for i := range s.in {
			if err := wantSame(&s.in[i], &s.out[0]); err != nil {
				return nil, err
			}
			all[i] = i
		}
		if _, err := s.broadcast(all...); err != nil {
			return nil, err
		}
		// The first input is spread over the output, and each of the others
		// then combined with it in place.
		shape := s.out[0].Shape
		nests := make([]nest, len(s.in))
		for i := range s.in {
			st, err := broadcastStrides(s.in[i].Shape, shape)
			if err != nil {
				return nil, err
			}
			if i == 0 {
				nests[i] = newNest(shape, st)
			} else {
				nests[i] = newNest(shape, strides(shape), st)
			}
		}
		fl, il := float(s), loopsOf(integer)
		return pick(s.out[0].DType, combine(nests, fl), combine(nests, il)), nil
	}
}

func combine[T elem](nests []nest, l loops[T, T, T]) Compute {
	return func(in, out []Tensor) {
		y := data[T](&out[0])
		copyRows(&nests[0], y, data[T](&in[0]))
		for i := 1; i < len(nests); i++ {
			l.run(&nests[i], y, y, data[T](&in[i]))
		}
	}
}

func minLoops(*site) loops[float32, float32, float32] { return loopsOf(minFloat) }
func maxLoops(*site) loops[float32, float32, float32] { return loopsOf(maxFloat) }

// minFloat and maxFloat are the built-in min and max, which propagate NaN.
func minFloat(a, b float32) float32 { return min(a, b) }
func maxFloat(a, b float32) float32 { return max(a, b) }
func minInt(a, b int64) int64       { return min(a, b) }
func maxInt(a, b int64) int64       { return max(a, b) }
func xorInt(a, b int64) int64       { return a ^ b }

// buildMean binds Mean: the sum of the inputs over their number.
func buildMean(s *site) (Compute, error) {
	if err := s.wantFloat(0); err != nil {
		return nil, err
	}
	sum, err := variadic(addLoops, addInt)(s)
	if err != nil {
		return nil, err
	}
	n := float32(len(s.in))
	return func(in, out []Tensor) {
		sum(in, out)
		s.vec.DivScalar(out[0].F, out[0].F, n)
	}, nil
}

// buildMod binds Mod: the remainder has the sign of the divisor, or with
// attribute fmod that of the dividend.
func buildMod(s *site) (Compute, error) {
	if s.Int("fmod", 0) != 0 {
		return arith(loopsFrom(func(a, b float32) float32 { return float32(math.Mod(float64(a), float64(b))) }), remInt)(s)
	}
	return arith(loopsFrom(floorMod), floorModInt)(s)
}

// loopsFrom makes the loops of an operator without attributes.
func loopsFrom(f func(a, b float32) float32) func(*site) loops[float32, float32, float32] {
	return func(*site) loops[float32, float32, float32] { return loopsOf(f) }
}

func floorMod(a, b float32) float32 {
	r := math.Mod(float64(a), float64(b))
	if r != 0 && (r < 0) != (b < 0) {
		r += float64(b)
	}
	return float32(r)
}

// remInt is the remainder of divInt. That of division by zero, undefined in
// ONNX, is 0.
func remInt(a, b int64) int64 {
	if b == 0 {
		return 0
	}
	return a % b
}

func floorModInt(a, b int64) int64 {
	r := remInt(a, b)
	if r != 0 && (r < 0) != (b < 0) {
		r += b
	}
	return r
}

// buildWhere binds Where: input 1 where input 0 is true, else input 2.
func buildWhere(s *site) (Compute, error) {
	if err := s.wantBool(&s.in[0]); err != nil {
		return nil, err
	}
	if err := wantSame(&s.in[1], &s.in[2], &s.out[0]); err != nil {
		return nil, err
	}
	t, err := s.broadcast(0, 1, 2)
	if err != nil {
		return nil, err
	}
	return pick(s.out[0].DType, where[float32](t), where[int64](t)), nil
}

func where[T elem](t nest) Compute {
	return func(in, out []Tensor) {
		c, a, b, y := in[0].I, data[T](&in[1]), data[T](&in[2]), data[T](&out[0])
		for r := range t.rows {
			ci, ai, bi := t.at(0, r), t.at(1, r), t.at(2, r)
			d := y[r*t.n : (r+1)*t.n]
			for i := range d {
				if c[ci] != 0 {
					d[i] = a[ai]
				} else {
					d[i] = b[bi]
				}
				ci += t.walks[0].step
				ai += t.walks[1].step
				bi += t.walks[2].step
			}
		}
	}
}

func equalTo[T elem](a, b T) bool        { return a == b }
func less[T elem](a, b T) bool           { return a < b }
func lessOrEqual[T elem](a, b T) bool    { return a <= b }
func greater[T elem](a, b T) bool        { return a > b }
func greaterOrEqual[T elem](a, b T) bool { return a >= b }
