package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"

	"github.com/nnz-dev/nnz/bench/reference"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime"
)

// An output is one of a run, in float64, which holds the elements of every
// type that there are kernels for.
type output struct {
	name    string
	values  []float64
	integer bool
}

// outputsOf runs a contender and copies its outputs.
func outputsOf(ctx context.Context, c *contender) ([]output, error) {
	if err := c.session.Run(ctx); err != nil {
		return nil, err
	}
	var all []output
	for _, v := range c.plan.Outputs() {
		t, err := c.session.Output(v.Name)
		if err != nil {
			return nil, err
		}
		all = append(all, output{v.Name, widened(t), v.DType.Integer()})
	}
	return all, nil
}

// outputs64 computes in float64 the outputs for the inputs of a contender.
func outputs64(ctx context.Context, m *graph.Model, c *contender, o Options) ([]output, error) {
	inputs := make(map[string]reference.Tensor)
	for _, v := range c.plan.Inputs() {
		t, err := c.session.Input(v.Name)
		if err != nil {
			return nil, err
		}
		inputs[v.Name] = reference.Tensor{Shape: t.Shape, Values: widened(t)}
	}
	results, err := reference.Run(ctx, m, graph.InferOptions{Shapes: o.Shapes, Dims: o.Dims}, inputs)
	if err != nil {
		return nil, err
	}
	var all []output
	for _, v := range c.plan.Outputs() {
		all = append(all, output{v.Name, results[v.Name].Values, v.DType.Integer()})
	}
	return all, nil
}

// widened copies the elements of a tensor.
func widened(t runtime.Tensor) []float64 {
	var list []float64
	for _, x := range t.F {
		list = append(list, float64(x))
	}
	for _, x := range t.I {
		list = append(list, float64(x))
	}
	return list
}

// check compares outputs with what is wanted and notes the largest error and
// its bound, of the output that comes closest to its own. An error says that a
// bound does not hold, or that there is nothing to compare.
func (c *NetworkCell) check(want, got []output) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d outputs, expected %d", len(got), len(want))
	}
	closest := -1.0
	for i, w := range want {
		g := got[i]
		if len(g.values) != len(w.values) {
			return fmt.Errorf("output %q: %d elements, expected %d", w.name, len(g.values), len(w.values))
		}
		worst, largest := 0.0, 0.0
		for j, x := range w.values {
			y := g.values[j]
			if x == y || x != x && y != y {
				continue
			}
			d := math.Abs(x - y)
			if !(d <= math.MaxFloat64) {
				return fmt.Errorf("output %q: element %d is %g, expected %g", w.name, j, y, x)
			}
			worst = max(worst, d)
		}
		for _, x := range w.values {
			if a := math.Abs(x); a <= math.MaxFloat64 {
				largest = max(largest, a)
			}
		}
		bound := outputTolerance * largest
		if w.integer {
			bound = 0
		}
		if worst > bound {
			return fmt.Errorf("output %q differs by %.3g, the bound is %.3g", w.name, worst, bound)
		}
		if share := worst / max(bound, math.SmallestNonzeroFloat64); share > closest {
			closest, c.MaxError, c.Bound = share, worst, bound
		}
	}
	c.Checked = true
	return nil
}

// readFloats reads a file of float32 elements as the CPU has them.
func readFloats(path string) ([]float64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(data)%4 != 0 {
		return nil, fmt.Errorf("an output of %d bytes, expected elements of four", len(data))
	}
	values := make([]float64, len(data)/4)
	for i := range values {
		values[i] = float64(math.Float32frombits(binary.NativeEndian.Uint32(data[4*i:])))
	}
	return values, nil
}
