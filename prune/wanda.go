package prune

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// Wanda scores a weight by its magnitude times the norm of its input on data.
//
// Source: Sun et al., A Simple and Effective Pruning Approach for Large Language
// Models, 2023.
type Wanda struct {
	Calibration Calibration
	// Rows has weights compared with those of their own output only, as the
	// authors do: a score is then the rank of a weight in its row, as a fraction.
	Rows bool

	norms map[string][]float64 // of the inputs of each group, by weight
}

// Calibrate measures the norms of the inputs.
func (c *Wanda) Calibrate(ctx context.Context, m *graph.Model, layers []Layer) error {
	all, err := Calibrate(ctx, m, layers, c.Calibration, Inputs)
	if err != nil {
		return err
	}
	c.norms = make(map[string][]float64)
	for _, s := range all {
		norms := make([]float64, len(s.Inputs))
		for i, x := range s.Inputs {
			norms[i] = x.RMS()
		}
		c.norms[s.Weight] = norms
	}
	return nil
}

// Saliency returns |w|·‖x‖, where the norm is divided by the root of the number
// of columns.
func (c *Wanda) Saliency(l Layer, values []float32) ([]float32, error) {
	scores, err := l.weigh(values, c.norms, func(w, norm float64) float64 { return math.Abs(w) * norm })
	if err == nil && c.Rows {
		l.at.rank(scores)
	}
	return scores, err
}

// weigh scores the weights of a layer by what is known of their inputs.
func (l Layer) weigh(values []float32, of map[string][]float64, score func(w, input float64) float64) ([]float32, error) {
	inputs, ok := of[l.Weight]
	if !ok {
		return nil, fmt.Errorf("the criterion has not been calibrated for it")
	}
	scores := l.Scratch()
	for g := range l.at.groups {
		for row := range l.at.rows {
			for col := range l.at.cols {
				i := g*l.at.groupStride + row*l.at.rowStride + col*l.at.colStride
				scores[i] = float32(score(float64(values[i]), inputs[g*l.at.cols+col]))
			}
		}
	}
	return scores, nil
}

// rank replaces scores by their ranks within rows, from 0 to below 1; those of
// equal scores are in order.
func (p placement) rank(scores []float32) {
	at := make([]int, p.cols)
	for g := range p.groups {
		for row := range p.rows {
			for col := range at {
				at[col] = g*p.groupStride + row*p.rowStride + col*p.colStride
			}
			slices.SortStableFunc(at, func(i, j int) int { return int(scoreKey(scores[i])) - int(scoreKey(scores[j])) })
			for r, i := range at {
				scores[i] = float32(r) / float32(p.cols)
			}
		}
	}
}
