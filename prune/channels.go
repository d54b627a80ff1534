package prune

import (
	"context"
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/graph"
)

// Channels judges the outputs, or the inputs, of a layer as a whole, so the
// granularity has to be made of them: [Row], [Filter] or [Head] for outputs,
// [Column] or [Channel] for inputs. A unit of several has the largest of their
// numbers, unless another norm than L1 is asked for.
type Channels struct {
	Name string
	// Inputs makes it judge the inputs of a layer: each row of the weight has the
	// same scores. Otherwise each column has.
	Inputs bool
	// Measure returns one number for each output of each layer, or for each input,
	// of each group after the other; an input is a tap of a channel.
	Measure func(ctx context.Context, m *graph.Model, layers []Layer) ([][]float64, error)

	scores map[string][]float64 // by weight
}

func (c *Channels) String() string { return c.Name }

// Calibrate measures.
func (c *Channels) Calibrate(ctx context.Context, m *graph.Model, layers []Layer) error {
	all, err := c.Measure(ctx, m, layers)
	if err != nil {
		return err
	}
	c.scores = make(map[string][]float64, len(layers))
	for i, l := range layers {
		c.scores[l.Weight] = all[i]
	}
	return nil
}

// Saliency gives each weight the score of its output or input.
func (c *Channels) Saliency(l Layer, _ []float32) ([]float32, error) {
	numbers, at := c.scores[l.Weight], l.at
	side, names := at.rows, "outputs"
	if c.Inputs {
		side, names = at.cols, "inputs"
	}
	if len(numbers) != at.groups*side {
		return nil, fmt.Errorf("%d numbers for %d groups of %d %s", len(numbers), at.groups, side, names)
	}
	scores := l.Scratch()
	for group := range at.groups {
		for row := range at.rows {
			for col := range at.cols {
				of := row
				if c.Inputs {
					of = col
				}
				scores[group*at.groupStride+row*at.rowStride+col*at.colStride] = float32(numbers[group*side+of])
			}
		}
	}
	return scores, nil
}

func (c *Channels) checkUnits(g Granularity) error {
	fits, expected := false, "row, filter or head"
	switch g.(type) {
	case Row, Filter, Head:
		fits = !c.Inputs
	case Column, Channel:
		fits = c.Inputs
	}
	if c.Inputs {
		expected = "column or channel"
	}
	if !fits {
		return fmt.Errorf("%s judges whole %s: expected a granularity of %s, got %v", c.Name, map[bool]string{false: "outputs", true: "inputs"}[c.Inputs], expected, g)
	}
	return nil
}

// BNScale judges a filter by the scale of the BatchNormalization behind it: its
// |γ|. A layer without one, as where it was folded into the weights, is an error.
//
// Source: Liu et al., Learning Efficient Convolutional Networks through Network
// Slimming, 2017.
func BNScale() *Channels {
	return &Channels{Name: "bn-scale", Measure: func(_ context.Context, m *graph.Model, layers []Layer) ([][]float64, error) {
		scales := make([][]float64, len(layers))
		for i, l := range layers {
			t := scaleBehind(m, l)
			if t == nil {
				return nil, fmt.Errorf("weight %q: no BatchNormalization with constant scales reads the output of node %q: if it was folded into the weights, expected another method", l.Weight, l.Node)
			}
			if t.Len() != l.at.groups*l.at.rows {
				return nil, fmt.Errorf("weight %q: %d scales behind node %q, expected %d", l.Weight, t.Len(), l.Node, l.at.groups*l.at.rows)
			}
			for _, x := range t.Floats() {
				scales[i] = append(scales[i], math.Abs(float64(x)))
			}
		}
		return scales, nil
	}}
}

// scaleBehind returns the scales of the BatchNormalization that reads what a
// layer's node computes, nil where there is none.
func scaleBehind(m *graph.Model, l Layer) *graph.Tensor {
	outputs := make(map[string]bool)
	for _, n := range m.Nodes {
		if n.Op == "Conv" || n.Op == "Gemm" || n.Op == "MatMul" {
			for _, in := range n.Inputs {
				if in == l.Weight && len(n.Outputs) > 0 {
					outputs[n.Outputs[0]] = true
				}
			}
		}
	}
	for _, n := range m.Nodes {
		if n.Op == "BatchNormalization" && n.Domain == "" && outputs[n.Input(0)] {
			if t := m.Weights[n.Input(1)]; t != nil && t.DType.Float() {
				return t
			}
		}
	}
	return nil
}

// FPGM judges a filter by the sum of its distances to the other filters of its
// layer: those nearest to the geometric median go, as the others can stand in for
// them. It takes inputs · outputs² multiply-adds for each layer.
//
// Source: He et al., Filter Pruning via Geometric Median, 2019.
func FPGM() *Channels {
	return &Channels{Name: "fpgm", Measure: func(ctx context.Context, m *graph.Model, layers []Layer) ([][]float64, error) {
		sums := make([][]float64, len(layers))
		for i, l := range layers {
			var err error
			if sums[i], err = distances(ctx, l.at, m.Weights[l.Weight].Floats()); err != nil {
				return nil, err
			}
		}
		return sums, nil
	}}
}

// distances returns for each row the sum of its distances to the others of all
// groups. Rows of zeros are gone: their distances are 0, and none counts theirs.
func distances(ctx context.Context, at placement, values []float32) ([]float64, error) {
	sums := make([]float64, at.groups*at.rows)
	rows := make([][]float32, 0, len(sums)) // those that are there
	var index []int
	for i := range sums {
		first := i/at.rows*at.groupStride + i%at.rows*at.rowStride
		row := values[first:min(len(values), first+at.cols)]
		if at.colStride != 1 {
			row = make([]float32, at.cols)
			for col := range row {
				row[col] = values[first+col*at.colStride]
			}
		}
		if countKey(row, 0) < len(row) {
			rows, index = append(rows, row), append(index, i)
		}
	}
	for i, a := range rows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for j, b := range rows[:i] {
			d := distance(a, b)
			sums[index[i]] += d
			sums[index[j]] += d
		}
	}
	return sums, nil
}

func distance(a, b []float32) float64 {
	var s [4]float64 // so that one addition need not wait for the other
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		for k := range s {
			d := float64(a[i+k] - b[i+k])
			s[k] += d * d
		}
	}
	for ; i < len(a); i++ {
		d := float64(a[i] - b[i])
		s[0] += d * d
	}
	return math.Sqrt(s[0] + s[1] + s[2] + s[3])
}
