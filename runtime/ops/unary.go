package ops

import (
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/graph"
)

// unary makes the builder of an operator of one operand, element by element.
// float binds the attributes and returns the function on real elements, that
// of vec's table where it has one; integer may be nil.
func unary(float func(s *site) func(dst, x []float32), integer func(x int64) int64) func(*site) (Compute, error) {
	return func(s *site) (Compute, error) {
		if err := s.wantOut(0, s.in[0].Shape); err != nil {
			return nil, err
		}
		if err := wantSame(&s.in[0], &s.out[0]); err != nil {
			return nil, err
		}
		dt := s.out[0].DType
		if dt.Float() {
			f := float(s)
			return func(in, out []Tensor) { f(out[0].F, in[0].F) }, nil
		}
		if integer == nil {
			return nil, fmt.Errorf("element type %s, expected a real type", dt)
		}
		return func(in, out []Tensor) {
			for i, x := range in[0].I {
				out[0].I[i] = integer(x)
			}
			wrapInts(dt, out[0].I)
		}, nil
	}
}

// each makes a function on rows from one on elements, computed in float64.
func each(f func(x float64) float64) func(*site) func(dst, x []float32) {
	return func(*site) func(dst, x []float32) {
		return func(dst, x []float32) {
			for i, v := range x {
				dst[i] = float32(f(float64(v)))
			}
		}
	}
}

func absInt(x int64) int64  { return max(x, -x) }
func negInt(x int64) int64  { return -x }
func reluInt(x int64) int64 { return max(x, 0) }
func signInt(x int64) int64 { return min(max(x, -1), 1) }

func expRow(s *site) func(dst, x []float32)       { return s.vec.Exp }
func hardSwishRow(s *site) func(dst, x []float32) { return s.vec.HardSwish }
func sigmoidRow(s *site) func(dst, x []float32)   { return s.vec.Sigmoid }
func tanhRow(s *site) func(dst, x []float32)      { return s.vec.Tanh }

func reluRow(s *site) func(dst, x []float32) {
	return func(dst, x []float32) { s.vec.Clamp(dst, x, 0, inf) }
}

func negRow(s *site) func(dst, x []float32) {
	return func(dst, x []float32) { s.vec.Affine(dst, x, -1, minusZero) }
}

func reciprocalRow(s *site) func(dst, x []float32) {
	return func(dst, x []float32) { s.vec.ScalarDiv(dst, x, 1) }
}

func leakyRow(s *site) func(dst, x []float32) {
	alpha := s.Float("alpha", 0.01)
	return func(dst, x []float32) { s.vec.LeakyRelu(dst, x, alpha) }
}

func thresholdRow(s *site) func(dst, x []float32) {
	limit := s.Float("limit", 0)
	return func(dst, x []float32) { s.vec.Threshold(dst, x, limit) }
}

func hardSigmoidRow(s *site) func(dst, x []float32) {
	alpha, beta := s.Float("alpha", 0.2), s.Float("beta", 0.5)
	return func(dst, x []float32) { s.vec.HardSigmoid(dst, x, alpha, beta) }
}

// elu is gain times x where it is not negative, and gain*alpha*(e**(x/width)-1)
// where it is.
func elu(gain, alpha, width float32) func(*site) func(dst, x []float32) {
	g, a, w := float64(gain), float64(alpha), float64(width)
	return each(func(x float64) float64 {
		if x < 0 {
			return g * a * math.Expm1(x/w)
		}
		return g * x
	})
}

func eluRow(s *site) func(dst, x []float32) { return elu(1, s.Float("alpha", 1), 1)(s) }

func seluRow(s *site) func(dst, x []float32) {
	return elu(s.Float("gamma", 1.05070102214813232421875), s.Float("alpha", 1.67326319217681884765625), 1)(s)
}

func celuRow(s *site) func(dst, x []float32) {
	alpha := s.Float("alpha", 1)
	return elu(1, alpha, alpha)(s)
}

func thresholdedRow(s *site) func(dst, x []float32) {
	alpha := float64(s.Float("alpha", 1))
	return each(func(x float64) float64 {
		if x <= alpha {
			return 0
		}
		return x
	})(s)
}

func checkGelu(n *graph.Node, _ int) error {
	if a := n.Str("approximate", "none"); a != "none" && a != "tanh" {
		return fmt.Errorf("attribute approximate: %q, expected none or tanh", a)
	}
	return nil
}

func geluRow(s *site) func(dst, x []float32) {
	if s.Str("approximate", "none") == "tanh" {
		return each(func(x float64) float64 {
			return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
		})(s)
	}
	return each(func(x float64) float64 { return 0.5 * x * (1 + math.Erf(x/math.Sqrt2)) })(s)
}

// softplus is log(1 + exp(x)), without overflow.
func softplus(x float64) float64 { return math.Max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func softsign(x float64) float64 { return x / (1 + math.Abs(x)) }
func mish(x float64) float64     { return x * math.Tanh(softplus(x)) }

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x
}

// buildNot binds Not.
func buildNot(s *site) (Compute, error) {
	if err := s.wantBool(&s.in[0], &s.out[0]); err != nil {
		return nil, err
	}
	return unary(nil, func(x int64) int64 { return 1 - x })(s)
}

// buildClip binds Clip, whose bounds are attributes before version 11 and
// optional inputs, read when it runs, from then on.
func buildClip(s *site) (Compute, error) {
	if err := s.wantOut(0, s.in[0].Shape); err != nil {
		return nil, err
	}
	if err := wantSame(&s.in[0], &s.out[0]); err != nil {
		return nil, err
	}
	if s.opset < 11 {
		if err := s.wantFloat(0); err != nil {
			return nil, err
		}
		return clamp(s, s.Float("min", -math.MaxFloat32), s.Float("max", math.MaxFloat32)), nil
	}
	for i := 1; i < len(s.in); i++ {
		if b := &s.in[i]; b.present() {
			if err := wantSame(&s.in[0], b); err != nil {
				return nil, err
			}
			if b.Len() != 1 {
				return nil, fmt.Errorf("bound %d has shape %v, expected a scalar", i, b.Shape)
			}
		}
	}
	lower, upper := s.has(1), s.has(2)
	return pick(s.in[0].DType, func(in, out []Tensor) {
		lo, hi := -inf, inf
		if lower {
			lo = in[1].F[0]
		}
		if upper {
			hi = in[2].F[0]
		}
		s.vec.Clamp(out[0].F, in[0].F, lo, hi)
	}, func(in, out []Tensor) {
		lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
		if lower {
			lo = in[1].I[0]
		}
		if upper {
			hi = in[2].I[0]
		}
		for i, x := range in[0].I {
			out[0].I[i] = min(max(x, lo), hi)
		}
	}), nil
}

func clamp(s *site, lo, hi float32) Compute {
	return func(in, out []Tensor) { s.vec.Clamp(out[0].F, in[0].F, lo, hi) }
}

// buildClamp binds nnz.Clamp: attributes min and max, either may be absent.
func buildClamp(s *site) (Compute, error) {
	if err := s.wantFloat(0); err != nil {
		return nil, err
	}
	if err := s.wantOut(0, s.in[0].Shape); err != nil {
		return nil, err
	}
	return clamp(s, s.Float("min", -inf), s.Float("max", inf)), nil
}

// castable are the types that Cast converts to.
var castable = map[graph.DType]bool{
	graph.Float32: true, graph.Float64: true, graph.Float16: true, graph.BFloat16: true, graph.Bool: true,
	graph.Int64: true, graph.Int32: true, graph.Int16: true, graph.Int8: true, graph.Int4: true, graph.Int2: true,
	graph.Uint64: true, graph.Uint32: true, graph.Uint16: true, graph.Uint8: true, graph.Uint4: true, graph.Uint2: true,
}

func checkCast(n *graph.Node, _ int) error {
	if to := graph.DType(n.Int("to", 0)); !castable[to] {
		return fmt.Errorf("attribute to: cast to %s is not supported", to)
	}
	return nil
}

// buildCast binds Cast. Real to integer truncates towards zero and wraps,
// anything to bool is whether it differs from zero, and a narrower real type
// rounds to its nearest value.
func buildCast(s *site) (Compute, error) {
	if err := s.wantOut(0, s.in[0].Shape); err != nil {
		return nil, err
	}
	from, to := s.in[0].DType, s.out[0].DType
	if !castable[to] {
		return nil, fmt.Errorf("cast to %s is not supported", to)
	}
	switch {
	case from.Float() && to.Float():
		return func(in, out []Tensor) {
			copy(out[0].F, in[0].F)
			roundTo(to, out[0].F)
		}, nil
	case from.Float() && to == graph.Bool:
		return func(in, out []Tensor) {
			for i, x := range in[0].F {
				out[0].I[i] = toInt(x != 0)
			}
		}, nil
	case from.Float():
		return func(in, out []Tensor) {
			for i, x := range in[0].F {
				out[0].I[i] = floatToInt(float64(x))
			}
			wrapInts(to, out[0].I)
		}, nil
	case to.Float():
		return func(in, out []Tensor) {
			for i, x := range in[0].I {
				out[0].F[i] = float32(x)
			}
			roundTo(to, out[0].F)
		}, nil
	}
	return func(in, out []Tensor) {
		copy(out[0].I, in[0].I)
		wrapInts(to, out[0].I)
	}, nil
}

// floatToInt truncates, saturates at the ends of int64 and makes NaN 0, on
// every CPU.
func floatToInt(x float64) int64 {
	switch {
	case x != x:
		return 0
	case x >= math.MaxInt64:
		return math.MaxInt64
	case x <= math.MinInt64:
		return math.MinInt64
	}
	return int64(x)
}
