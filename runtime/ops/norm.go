package ops

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

func checkBatchNorm(n *graph.Node, opset int) error {
	if opset < 9 && n.Int("spatial", 1) == 0 {
		return errors.New("attribute spatial: statistics of every activation are not supported")
	}
	if n.Int("training_mode", 0) != 0 {
		return errors.New("attribute training_mode: only inference is supported")
	}
	if slices.ContainsFunc(n.Outputs[min(1, len(n.Outputs)):], func(o string) bool { return o != "" }) {
		return errors.New("outputs of training are not supported")
	}
	return nil
}

// channels checks that X is [N, C, …] and that inputs 1 to n are [C], and
// returns how X is cut along axis 1.
func (s *site) channels(n int) (along, error) {
	if err := s.wantFloat(0); err != nil {
		return along{}, err
	}
	x := s.in[0].Shape
	if len(x) < 2 {
		return along{}, fmt.Errorf("X %v, expected [N, C, …]", x)
	}
	for i := 1; i <= n; i++ {
		if c := s.in[i].Shape; !slices.Equal(c, x[1:2]) {
			return along{}, fmt.Errorf("input %d has shape %v, expected [%d]", i, c, x[1])
		}
	}
	return along{x[0], x[1], product(x[2:])}, s.wantOut(0, x)
}

// buildBatchNorm binds BatchNormalization in inference: X, scale, bias, mean
// and variance.
func buildBatchNorm(s *site) (Compute, error) {
	a, err := s.channels(4)
	if err != nil {
		return nil, err
	}
	eps := float64(s.Float("epsilon", 1e-5))
	return func(in, out []Tensor) {
		for i := range a.outer * a.n {
			c := i % a.n
			scale := float64(in[1].F[c]) / math.Sqrt(float64(in[4].F[c])+eps)
			shift := float64(in[2].F[c]) - float64(in[3].F[c])*scale
			from, to := i*a.inner, (i+1)*a.inner
			s.vec.Affine(out[0].F[from:to], in[0].F[from:to], float32(scale), float32(shift))
		}
	}, nil
}

// buildAffine binds nnz.Affine: X [N, C, …] times scale [C] plus shift [C].
func buildAffine(s *site) (Compute, error) {
	a, err := s.channels(2)
	if err != nil {
		return nil, err
	}
	return func(in, out []Tensor) {
		for i := range a.outer * a.n {
			from, to := i*a.inner, (i+1)*a.inner
			s.vec.Affine(out[0].F[from:to], in[0].F[from:to], in[1].F[i%a.n], in[2].F[i%a.n])
		}
	}, nil
}

// buildLRN binds LRN: each element over a power of the sum of squares of its
// neighbours in nearby channels.
func buildLRN(s *site) (Compute, error) {
	a, err := s.channels(0)
	if err != nil {
		return nil, err
	}
	size := s.Int("size", 0)
	if size < 1 {
		return nil, fmt.Errorf("attribute size: %d, expected a positive number", size)
	}
	alpha := float64(s.Float("alpha", 1e-4)) / float64(size)
	beta, bias := float64(s.Float("beta", 0.75)), float64(s.Float("bias", 1))
	return func(in, out []Tensor) {
		for i := range a.outer * a.n {
			c := i % a.n
			y := out[0].F[i*a.inner : (i+1)*a.inner]
			fill(y, 0)
			for j := max(c-(size-1)/2, 0); j < min(c+size/2+1, a.n); j++ {
				for p, v := range in[0].F[(i-c+j)*a.inner:][:a.inner] {
					y[p] += v * v
				}
			}
			for p, v := range in[0].F[i*a.inner:][:a.inner] {
				y[p] = float32(float64(v) / math.Pow(bias+alpha*float64(y[p]), beta))
			}
		}
	}, nil
}
