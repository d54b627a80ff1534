package prune

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// OutputErrors runs two models on data, and returns how far each output of the
// second is from that of the first, by name: the norm of the difference over the
// norm of the first, of all elements of all sets.
func OutputErrors(ctx context.Context, dense, pruned *graph.Model, c Calibration) (map[string]float64, error) {
	var names []string
	for _, o := range dense.Outputs {
		names = append(names, o.Name)
	}
	return relativeErrors(ctx, dense, pruned, names, c)
}

// LayerErrors is [OutputErrors] for what the layers compute, by the name of
// their weight. Errors of a layer are also those that come in.
func LayerErrors(ctx context.Context, dense, pruned *graph.Model, layers []Layer, c Calibration) (map[string]float64, error) {
	var names []string
	of := make(map[string]string)
	for i, uses := range usesOf(dense, layers) {
		if len(uses) > 0 {
			names = append(names, uses[0].out)
			of[uses[0].out] = layers[i].Weight
		}
	}
	byValue, err := relativeErrors(ctx, dense, pruned, names, c)
	if err != nil {
		return nil, err
	}
	errors := make(map[string]float64)
	for value, e := range byValue {
		errors[of[value]] = e
	}
	return errors, nil
}

func relativeErrors(ctx context.Context, dense, pruned *graph.Model, names []string, c Calibration) (map[string]float64, error) {
	before, after := newProbe(dense, names, c.Config), newProbe(pruned, names, c.Config)
	defer before.close()
	defer after.close()
	lost, all := make(map[string]float64), make(map[string]float64)
	err := c.each(ctx, func(set map[string]*graph.Tensor) error {
		return before.run(ctx, set, func(valueBefore valueFunc) error {
			return after.run(ctx, set, func(valueAfter valueFunc) error {
				for _, name := range names {
					x, err := valueBefore(name)
					if err != nil {
						return err
					}
					y, err := valueAfter(name)
					if err != nil {
						return err
					}
					if !slices.Equal(x.Shape, y.Shape) {
						return fmt.Errorf("value %q has shape %v in the dense model and %v in the pruned one", name, x.Shape, y.Shape)
					}
					for i, v := range x.F {
						d := float64(v) - float64(y.F[i])
						lost[name] += d * d
						all[name] += float64(v) * float64(v)
					}
				}
				return nil
			})
		})
	})
	if err != nil {
		return nil, err
	}
	relative := make(map[string]float64)
	for _, name := range names {
		switch {
		case lost[name] == 0:
			relative[name] = 0
		default:
			relative[name] = math.Sqrt(lost[name] / all[name])
		}
	}
	return relative, nil
}
