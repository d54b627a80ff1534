package ops

import (
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/graph"
)

// A rowNorm brings rows of elements to mean zero, unless it keeps the mean, and
// to variance one.
type rowNorm struct {
	site     *site
	n        int // elements of a row
	eps      float32
	keepMean bool
}

// run normalises a row and returns its mean and the reciprocal of its deviation.
func (r *rowNorm) run(y, x []float32) (mean, inv float32) {
	if r.keepMean {
		return 0, r.site.vec.RMSNorm(y, x, nil, r.eps)
	}
	return r.site.vec.LayerNorm(y, x, nil, nil, r.eps)
}

// layerNorm makes the builder of normalisations over the axes from one on, with
// a scale and an optional bias that broadcast to the input. Outputs from the
// second on are the means, unless they are kept, and the reciprocals of the
// deviations.
func layerNorm(keepMean bool) func(*site) (Compute, error) {
	return func(s *site) (Compute, error) {
		if err := s.wantFloat(0); err != nil {
			return nil, err
		}
		shape := s.in[0].Shape
		axis, err := normAxis(s.Int("axis", -1), len(shape))
		if err != nil {
			return nil, err
		}
		r := rowNorm{s, product(shape[axis:]), s.Float("epsilon", 1e-5), keepMean}
		rows := product(shape[:axis])
		affine, err := newAffine(s, shape)
		if err != nil {
			return nil, err
		}
		stats := s.out[1:]
		if !keepMean && len(stats) > 0 {
			stats = stats[1:]
		}
		wantMean := !keepMean && len(s.out) > 1 && s.out[1].present()
		wantInv := len(stats) > 0 && stats[0].present()
		return func(in, out []Tensor) {
			for i := range rows {
				mean, inv := r.run(out[0].F[i*r.n:(i+1)*r.n], in[0].F[i*r.n:(i+1)*r.n])
				if wantMean {
					out[1].F[i] = mean
				}
				if wantInv {
					out[len(out)-1].F[i] = inv
				}
			}
			affine(in, out)
		}, nil
	}
}

// newAffine returns the function that multiplies output 0 by input 1 and adds
// input 2, where they are there. They broadcast to the output, seen as shape.
func newAffine(s *site, shape []int) (Compute, error) {
	nests := make([]nest, 3)
	for i := 1; i < len(s.in); i++ {
		if !s.has(i) {
			continue
		}
		st, err := broadcastStrides(s.in[i].Shape, shape)
		if err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
		nests[i] = newNest(shape, strides(shape), st)
	}
	mul, add, bias := mulLoops(s), addLoops(s), s.has(2)
	return func(in, out []Tensor) {
		y := out[0].F
		mul.run(&nests[1], y, y, in[1].F)
		if bias {
			add.run(&nests[2], y, y, in[2].F)
		}
	}, nil
}

// buildInstanceNorm binds InstanceNormalization, whose rows are the channels
// of every image, and GroupNormalization, whose rows are groups of them.
func buildInstanceNorm(s *site) (Compute, error) {
	a, err := s.channels(0)
	if err != nil {
		return nil, err
	}
	groups, perScale := a.n, 1
	if s.Op == "GroupNormalization" {
		groups = s.Int("num_groups", 0)
		if s.opset < 21 {
			perScale = a.n / groups
		}
	}
	r := rowNorm{site: s, n: a.n / groups * a.inner, eps: s.Float("epsilon", 1e-5)}
	return func(in, out []Tensor) {
		for i := range a.outer * groups {
			r.run(out[0].F[i*r.n:(i+1)*r.n], in[0].F[i*r.n:(i+1)*r.n])
		}
		for i := range a.outer * a.n {
			c := i % a.n / perScale
			y := out[0].F[i*a.inner : (i+1)*a.inner]
			s.vec.Affine(y, y, in[1].F[c], in[2].F[c])
		}
	}, nil
}

// buildMeanVariance binds MeanVarianceNormalization.
func buildMeanVariance(s *site) (Compute, error) {
	if err := s.wantFloat(0); err != nil {
		return nil, err
	}
	shape := s.in[0].Shape
	set, err := axisSet(graph.MeanVarianceAxes(s.Node), len(shape))
	if err != nil {
		return nil, err
	}
	var groups, inside, groupStrides, insideStrides []int
	for i, st := range strides(shape) {
		if set[i] {
			inside, insideStrides = append(inside, shape[i]), append(insideStrides, st)
		} else {
			groups, groupStrides = append(groups, shape[i]), append(groupStrides, st)
		}
	}
	outer, inner := newNest(groups, groupStrides), newNest(inside, insideStrides)
	n := float64(product(inside))
	return func(in, out []Tensor) {
		for g := range outer.rows * outer.n {
			base := outer.at(0, g/outer.n) + g%outer.n*outer.walks[0].step
			var sum, square float64
			for i := range inner.rows * inner.n {
				v := float64(in[0].F[base+inner.at(0, i/inner.n)+i%inner.n*inner.walks[0].step])
				sum += v
				square += v * v
			}
			mean := sum / n
			deviation := math.Sqrt(max(square/n-mean*mean, 0)) + 1e-9 // as the operator's definition has it
			for i := range inner.rows * inner.n {
				j := base + inner.at(0, i/inner.n) + i%inner.n*inner.walks[0].step
				out[0].F[j] = float32((float64(in[0].F[j]) - mean) / deviation)
			}
		}
	}, nil
}

func checkLpNorm(n *graph.Node, _ int) error {
	if p := n.Int("p", 2); p != 1 && p != 2 {
		return fmt.Errorf("attribute p: %d, expected 1 or 2", p)
	}
	return nil
}

// buildLpNorm binds LpNormalization: elements over the norm along an axis, and
// zero where that is zero.
func buildLpNorm(s *site) (Compute, error) {
	if err := s.wantFloat(0); err != nil {
		return nil, err
	}
	a, err := alongOf(s.in[0].Shape, s.Int("axis", -1))
	if err != nil {
		return nil, err
	}
	p := s.Int("p", 2)
	return func(in, out []Tensor) {
		for o := range a.outer * a.inner {
			base := o/a.inner*a.n*a.inner + o%a.inner
			norm := 0.0
			for j := range a.n {
				if v := float64(in[0].F[base+j*a.inner]); p == 1 {
					norm += math.Abs(v)
				} else {
					norm += v * v
				}
			}
			if p == 2 {
				norm = math.Sqrt(norm)
			}
			for j := range a.n {
				at := base + j*a.inner
				if out[0].F[at] = 0; norm != 0 {
					out[0].F[at] = float32(float64(in[0].F[at]) / norm)
				}
			}
		}
	}, nil
}

// buildHardmax binds Hardmax: one at the first largest element and zero
// elsewhere, over the axes that Softmax of the same version takes.
func buildHardmax(s *site) (Compute, error) {
	if err := s.wantFloat(0); err != nil {
		return nil, err
	}
	a, err := s.softmaxAxis()
	if err != nil {
		return nil, err
	}
	return func(in, out []Tensor) {
		fill(out[0].F, 0)
		for o := range a.outer * a.inner {
			base := o/a.inner*a.n*a.inner + o%a.inner
			at := base
			for j := base; j < base+a.n*a.inner; j += a.inner {
				if in[0].F[j] > in[0].F[at] {
					at = j
				}
			}
			out[0].F[at] = 1
		}
	}, nil
}
