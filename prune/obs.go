package prune

import (
	"context"
	"fmt"

	"github.com/nnz-dev/nnz/graph"
)

// OBD scores a weight by how much the mean squared error of its layer's outputs
// grows without it, others left as they are: half the square of the weight times
// the diagonal of the Hessian.
//
// Source: LeCun et al., Optimal Brain Damage, 1989, with the error of the layer in
// place of that of the network.
type OBD struct {
	Calibration Calibration

	squares map[string][]float64
}

// Calibrate measures the mean squares of the inputs.
func (c *OBD) Calibrate(ctx context.Context, m *graph.Model, layers []Layer) error {
	all, err := Calibrate(ctx, m, layers, c.Calibration, Inputs)
	if err != nil {
		return err
	}
	c.squares = make(map[string][]float64)
	for _, s := range all {
		squares := make([]float64, len(s.Inputs))
		for i, x := range s.Inputs {
			squares[i] = x.Squares / float64(max(x.Count, 1))
		}
		c.squares[s.Weight] = squares
	}
	return nil
}

// Saliency returns w²·H/2.
func (c *OBD) Saliency(l Layer, values []float32) ([]float32, error) {
	return l.weigh(values, c.squares, func(w, square float64) float64 { return w * w * square / 2 })
}

// OBS scores a weight by how much the mean squared error of its layer's outputs
// grows without it, when all others of its row make up for it as well as they
// can: half the square of the weight over the diagonal of the inverse Hessian.
//
// Source: Hassibi and Stork, Second Order Derivatives for Network Pruning: Optimal
// Brain Surgeon, 1992, with the error of the layer in place of that of the
// network.
type OBS struct {
	Calibration Calibration
	// Damping is as in [Recovery].
	Damping float64

	inverse map[string][]float64 // diagonals
}

// Calibrate measures the Hessians, of as many layers at a time as
// [MaxHessianBytes] allows, and inverts them.
func (c *OBS) Calibrate(ctx context.Context, m *graph.Model, layers []Layer) error {
	share := c.Damping
	if share == 0 {
		share = DefaultDamping
	}
	if !(share > 0) {
		return fmt.Errorf("a damping of %v: expected a positive number", share)
	}
	c.inverse = make(map[string][]float64)
	for len(layers) > 0 {
		n := 1
		for n < len(layers) && hessianBytes(layers[:n+1]) <= MaxHessianBytes/2 {
			n++
		}
		all, err := Calibrate(ctx, m, layers[:n], c.Calibration, Hessian)
		if err != nil {
			return err
		}
		layers = layers[n:]
		for i, s := range all {
			if err := ctx.Err(); err != nil {
				return err
			}
			diagonal, err := s.inverseDiagonal(share)
			if err != nil {
				return fmt.Errorf("weight %q: %w", s.Weight, err)
			}
			c.inverse[s.Weight] = diagonal
			all[i] = Statistics{} // memory
		}
	}
	return nil
}

// inverseDiagonal returns the diagonals of the inverses of the mean Hessians,
// zeros where nothing ever comes in.
func (s Statistics) inverseDiagonal(share float64) ([]float64, error) {
	n := s.at.cols
	var all []float64
	for _, h := range s.Hessian {
		sys := system{cols: n, hessian: h}
		diagonal := make([]float64, n)
		damping := sys.damping(share)
		if damping > 0 {
			u, ok := inverseFactor(h, n, damping)
			if !ok {
				return nil, errNotDefinite
			}
			for i := range n {
				for j, x := range u[i*n : (i+1)*n] {
					diagonal[j] += x * x
				}
			}
		}
		for i := range diagonal {
			diagonal[i] *= float64(s.Columns)
		}
		all = append(all, diagonal...)
	}
	return all, nil
}

// Saliency returns w²/2 over the diagonal of the inverse Hessian; 0 where
// nothing ever comes in.
func (c *OBS) Saliency(l Layer, values []float32) ([]float32, error) {
	return l.weigh(values, c.inverse, func(w, inverse float64) float64 {
		if inverse == 0 {
			return 0
		}
		return w * w / inverse / 2
	})
}
