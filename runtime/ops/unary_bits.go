package ops

import (
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/graph"
)

func notInt(x int64) int64 { return ^x }

// buildBitwiseNot binds BitwiseNot.
func buildBitwiseNot(s *site) (Compute, error) {
	if s.in[0].DType.Float() || s.in[0].DType == graph.Bool {
		return nil, fmt.Errorf("element type %s, expected an integer type", s.in[0].DType)
	}
	return unary(nil, notInt)(s)
}

// bitwise makes the builder of an operator on the bits of two integers.
func bitwise(f func(a, b int64) int64) func(*site) (Compute, error) {
	return func(s *site) (Compute, error) {
		for i := range s.in {
			if dt := s.in[i].DType; dt.Float() || dt == graph.Bool || dt != s.out[0].DType {
				return nil, fmt.Errorf("input %d has element type %s, expected the integer type of the output", i, dt)
			}
		}
		return zip(s, loopsOf(f))
	}
}

func andInt(a, b int64) int64 { return a & b }
func orInt(a, b int64) int64  { return a | b }

func checkBitShift(n *graph.Node, _ int) error {
	if d := n.Str("direction", ""); d != "LEFT" && d != "RIGHT" {
		return fmt.Errorf("attribute direction: %q, expected LEFT or RIGHT", d)
	}
	return nil
}

// buildBitShift binds BitShift, of unsigned integers. Beyond the width of the
// type nothing is left.
func buildBitShift(s *site) (Compute, error) {
	if s.Str("direction", "") == "LEFT" {
		return bitwise(func(a, b int64) int64 { return int64(uint64(a) << uint64(b)) })(s)
	}
	return bitwise(func(a, b int64) int64 { return int64(uint64(a) >> uint64(b)) })(s)
}

// question makes the builder of an operator from reals to bool; attributes are
// bound by f.
func question(f func(s *site) func(x float32) bool) func(*site) (Compute, error) {
	return func(s *site) (Compute, error) {
		if !s.in[0].DType.Float() {
			return nil, fmt.Errorf("element type %s, expected a real type", s.in[0].DType)
		}
		is := f(s)
		return func(in, out []Tensor) {
			for i, x := range in[0].F {
				out[0].I[i] = toInt(is(x))
			}
		}, nil
	}
}

func isNaN(*site) func(float32) bool { return func(x float32) bool { return x != x } }

func isInf(s *site) func(float32) bool {
	up, down := s.Int("detect_positive", 1) != 0, s.Int("detect_negative", 1) != 0
	return func(x float32) bool { return up && x > math.MaxFloat32 || down && x < -math.MaxFloat32 }
}

// shrinkRow moves elements towards zero by bias, and makes those within lambd
// of it zero.
func shrinkRow(s *site) func(dst, x []float32) {
	bias, lambd := s.Float("bias", 0), s.Float("lambd", 0.5)
	return func(dst, x []float32) {
		for i, v := range x {
			switch {
			case v < -lambd:
				dst[i] = v + bias
			case v > lambd:
				dst[i] = v - bias
			default:
				dst[i] = 0
			}
		}
	}
}

// swishRow is x times the sigmoid of alpha x.
func swishRow(s *site) func(dst, x []float32) {
	alpha := s.Float("alpha", 1)
	return func(dst, x []float32) {
		s.vec.Affine(dst, x, alpha, minusZero)
		s.vec.Sigmoid(dst, dst)
		s.vec.Mul(dst, dst, x)
	}
}
