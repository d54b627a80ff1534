package prune

import (
	"context"
	"fmt"

	"github.com/nnz-dev/nnz/graph"
)

// A Criterion says how much each weight of a layer matters.
type Criterion interface {
	// Saliency returns one score for each weight of layer l, in memory order:
	// the smaller its magnitude, the sooner the weight goes. Its sign does not
	// count, so values itself will do. It must not write to values.
	Saliency(l Layer, values []float32) ([]float32, error)
}

// A Calibrated criterion looks at what flows through the layers, or at other
// properties of the model, before it scores. [Apply] calls Calibrate once for
// each step of the schedule, with the model as the steps before left it.
type Calibrated interface {
	Criterion
	Calibrate(ctx context.Context, m *graph.Model, layers []Layer) error
}

// Magnitude keeps the weights of the largest absolute value. It is the
// criterion of the zero Options.
//
// Source: Han et al., Learning both Weights and Connections for Efficient
// Neural Networks, 2015.
type Magnitude struct{}

// Saliency returns the values.
func (Magnitude) Saliency(_ Layer, values []float32) ([]float32, error) { return values, nil }

// saliencies scores the weights of every layer.
func (o Options) saliencies(ctx context.Context, m *graph.Model, layers []Layer) ([][]float32, error) {
	c := o.Criterion
	if c == nil {
		c = Magnitude{}
	}
	if c, ok := c.(Calibrated); ok {
		if err := c.Calibrate(ctx, m, layers); err != nil {
			return nil, err
		}
	}
	all := make([][]float32, len(layers))
	for i, l := range layers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		values := m.Weights[l.Weight].Floats()
		s, err := c.Saliency(l, values)
		if err != nil {
			return nil, fmt.Errorf("weight %q: %w", l.Weight, err)
		}
		if len(s) != len(values) {
			return nil, fmt.Errorf("weight %q: %d scores, expected one for each of its %d weights", l.Weight, len(s), len(values))
		}
		all[i] = s
	}
	return all, nil
}
