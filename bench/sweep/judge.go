package sweep

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/bench/verify"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime"
)

// Data is what models are judged on.
type Data struct {
	Sets []map[string]*graph.Tensor // of inputs, by name; each may hold a batch
	// Labels are the classes of the examples of all sets, nil where they are not
	// known. An example is a row of the model's first output.
	Labels []int
}

// Examples counts them: labels, or sets where there are none.
func (d *Data) Examples() int { return max(len(d.Labels), len(d.Sets)) }

// Found is how a model differs from the dense one.
type Found struct {
	// Error is the L2 norm of the difference of an output over that of the dense
	// output, of all examples together; of several outputs the root of the mean
	// square. Of integers it counts which differ.
	Error    float64  `json:"error"`
	Accuracy *float64 `json:"accuracy,omitempty"` // share of examples whose label has the largest output
}

// A judge compares models with the dense one.
type judge struct {
	data   *Data // nil where errors are those of weights
	config runtime.Config
	// packed is the dense model with its weights packed for the first set, so
	// that of a model that differs in a layer only that is packed again.
	packed   *graph.Model
	outputs  []string
	dense    [][][]float64 // values by set and output
	integer  []bool        // by output
	accuracy *float64
}

// judge runs the dense model on the data.
func (o Options) judge(ctx context.Context, dense *graph.Model) (*judge, error) {
	j := &judge{data: o.Data, config: o.Bench.Config()}
	if o.Data == nil {
		return j, nil
	}
	if len(o.Data.Sets) == 0 {
		return nil, errors.New("no data to measure errors on")
	}
	for _, v := range dense.Outputs {
		j.outputs = append(j.outputs, v.Name)
	}
	found, err := j.judge(ctx, dense)
	if err != nil {
		return nil, err
	}
	j.accuracy = found.Accuracy
	c := j.config
	c.Shapes = shapesOf(o.Data.Sets[0])
	j.packed, err = runtime.Pack(ctx, dense, c)
	return j, err
}

func shapesOf(set map[string]*graph.Tensor) map[string][]int {
	shapes := make(map[string][]int)
	for name, t := range set {
		shapes[name] = t.Shape
	}
	return shapes
}

// judge runs a model on the data. The first that it judges is the dense one.
func (j *judge) judge(ctx context.Context, m *graph.Model) (Found, error) {
	plans := runtime.NewPlans(m, j.config)
	defer plans.Close()
	first := j.dense == nil
	lost, all := make([]float64, len(j.outputs)), make([]float64, len(j.outputs))
	correct, examples := 0, 0
	for i, set := range j.data.Sets {
		values, err := j.run(ctx, m, plans, set, func(rows [][]float64) error {
			for _, row := range rows {
				if examples++; examples > len(j.data.Labels) {
					return fmt.Errorf("%d labels, expected one for each row of the output %q", len(j.data.Labels), j.outputs[0])
				}
				if argmax(row) == j.data.Labels[examples-1] {
					correct++
				}
			}
			return nil
		})
		if err != nil {
			return Found{}, err
		}
		if first {
			j.dense = append(j.dense, values)
			continue
		}
		for k, want := range j.dense[i] {
			l, a, err := j.compare(k, want, values[k])
			if err != nil {
				return Found{}, fmt.Errorf("output %q: %w", j.outputs[k], err)
			}
			lost[k], all[k] = lost[k]+l, all[k]+a
		}
	}
	var f Found
	for k := range lost {
		e := relative(lost[k], all[k])
		f.Error += e * e / float64(len(lost))
	}
	f.Error = math.Sqrt(f.Error)
	if j.data.Labels != nil {
		if examples != len(j.data.Labels) {
			return f, fmt.Errorf("%d labels for %d examples", len(j.data.Labels), examples)
		}
		a := float64(correct) / float64(examples)
		f.Accuracy = &a
	}
	return f, nil
}

// run runs a model on one set of inputs and returns the values of the outputs.
// classify is given the rows of the first one, where labels are known.
func (j *judge) run(ctx context.Context, m *graph.Model, plans *runtime.Plans, set map[string]*graph.Tensor, classify func([][]float64) error) ([][]float64, error) {
	for _, v := range m.Inputs {
		if set[v.Name] == nil {
			return nil, fmt.Errorf("no data for input %q", v.Name)
		}
	}
	s, err := plans.Session(ctx, shapesOf(set))
	if err != nil {
		return nil, err
	}
	defer plans.Release(s)
	for _, v := range m.Inputs {
		in, err := s.Input(v.Name)
		if err == nil {
			err = verify.Fill(in, set[v.Name])
		}
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", v.Name, err)
		}
	}
	if err := s.Run(ctx); err != nil {
		return nil, err
	}
	var values [][]float64
	for i, name := range j.outputs {
		out, err := s.Output(name)
		if err != nil {
			return nil, err
		}
		list := make([]float64, 0, len(out.F)+len(out.I))
		for _, x := range out.F {
			list = append(list, float64(x))
		}
		for _, x := range out.I {
			list = append(list, float64(x))
		}
		values = append(values, list)
		if j.dense == nil && len(j.integer) <= i {
			j.integer = append(j.integer, len(out.I) > 0)
		}
		if i > 0 || j.data.Labels == nil {
			continue
		}
		if len(out.Shape) < 2 || out.Shape[0] < 1 {
			return nil, fmt.Errorf("output %q has shape %v, expected a row of scores for each labelled example", name, out.Shape)
		}
		rows := make([][]float64, out.Shape[0])
		for r := range rows {
			n := len(list) / len(rows)
			rows[r] = list[r*n : (r+1)*n]
		}
		if err := classify(rows); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// compare sums the squares of what changed in output k, and of what was there.
func (j *judge) compare(k int, want, got []float64) (lost, all float64, err error) {
	if len(got) != len(want) {
		return 0, 0, fmt.Errorf("%d elements, of the dense model %d", len(got), len(want))
	}
	for i, x := range want {
		d := got[i] - x
		switch {
		case j.integer[k]:
			if all++; d != 0 {
				lost++
			}
			continue
		case x == got[i] || x != x && got[i] != got[i]:
			d = 0
		case math.IsNaN(d) || math.IsInf(d, 0):
			return 0, 0, fmt.Errorf("element %d is %g, of the dense model %g", i, got[i], x)
		}
		lost += d * d
		if !math.IsNaN(x) && !math.IsInf(x, 0) {
			all += x * x
		}
	}
	return lost, all, nil
}

// argmax returns the index of the largest value, the first of equal ones.
func argmax(v []float64) int {
	best := 0
	for i, x := range v {
		if x > v[best] {
			best = i
		}
	}
	return best
}
