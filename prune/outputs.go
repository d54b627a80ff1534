package prune

import (
	"context"

	"github.com/nnz-dev/nnz/graph"
)

// MeasureActivations returns a function that measures on data what comes out of
// each output of layers, behind bias, normalisation and activation function, and
// makes a number of it: the higher, the more the output matters, as [Activity],
// [Moments.MeanAbs], [Moments.RMS] and [Moments.Variance] do.
func MeasureActivations(c Calibration, number func(Moments) float64) func(context.Context, *graph.Model, []Layer) ([][]float64, error) {
	return func(ctx context.Context, m *graph.Model, layers []Layer) ([][]float64, error) {
		all, err := Calibrate(ctx, m, layers, c, Activations)
		if err != nil {
			return nil, err
		}
		numbers := make([][]float64, len(all))
		for i, s := range all {
			for _, moments := range s.Activations {
				numbers[i] = append(numbers[i], number(moments))
			}
		}
		return numbers, nil
	}
}

// Activity is the fraction of an output's values that are not zero: one less the
// average percentage of zeros.
//
// Source: Hu et al., Network Trimming, 2016.
func Activity(m Moments) float64 { return 1 - m.APoZ() }
