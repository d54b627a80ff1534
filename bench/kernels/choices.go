package kernels

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/nnz-dev/nnz/kernels/isa"
)

// Slack is by how much a chosen format may be slower than the best candidate
// before the choice counts as wrong.
const Slack = 0.05

// A Choice compares the format that the cost model chose with all others.
type Choice struct {
	Name     string             `json:"name"`
	Shape    string             `json:"shape"`
	Sparsity float64            `json:"sparsity"`
	Block    int                `json:"block,omitempty"`
	ISA      string             `json:"isa"`
	Chosen   string             `json:"chosen"`
	Best     string             `json:"best"`
	Loss     float64            `json:"loss"` // time of the chosen format over that of the best, less 1
	Measured map[string]float64 `json:"measured_us"`
	Expected map[string]float64 `json:"predicted_us"`
}

// Wrong reports whether another format is faster by more than [Slack].
func (c Choice) Wrong() bool { return c.Loss > Slack }

// Choose measures every candidate format of a case in turns, on one thread.
func (o Options) Choose(ctx context.Context, c Case, i isa.ISA) (Choice, error) {
	x, err := Compile(ctx, c, Variant{ISA: i, Threads: 1})
	if err != nil {
		return Choice{}, err
	}
	x.Close()
	out := Choice{
		Name: c.Name, Shape: c.Layer.String(), Sparsity: c.Sparsity, Block: c.Block, ISA: i.String(),
		Chosen: x.Step.Format, Expected: x.Step.Predicted, Measured: make(map[string]float64),
	}
	formats := slices.Sorted(maps.Keys(out.Expected))
	var all []*Contender
	defer func() {
		for _, x := range all {
			x.Close()
		}
	}()
	for _, f := range formats {
		x, err := Compile(ctx, c, Variant{ISA: i, Threads: 1, Format: f})
		if err != nil {
			return out, fmt.Errorf("layer %v in format %s: %w", c.Layer, f, err)
		}
		all = append(all, x)
	}
	turns, err := o.contend(ctx, all)
	if err != nil {
		return out, fmt.Errorf("layer %v: %w", c.Layer, err)
	}
	for n, f := range formats {
		out.Measured[f] = MedianUS(turns[n])
		if out.Best == "" || out.Measured[f] < out.Measured[out.Best] {
			out.Best = f
		}
	}
	out.Loss = out.Measured[out.Chosen]/out.Measured[out.Best] - 1
	return out, nil
}
