package prune

import (
	"context"
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime"
)

// A probe runs a model as far as some of its values need, and shows those.
type probe struct {
	inputs []*graph.Value
	plans  *runtime.Plans
}

// newProbe prepares a model for looking at the named values. Passes of the
// runtime keep what is an output, so that nothing of these is fused away.
func newProbe(m *graph.Model, values []string, c runtime.Config) *probe {
	m = m.Clone()
	m.Packed = nil // of weights that pruning changes
	m.Outputs = nil
	for _, name := range values {
		known := func(v *graph.Value) bool { return v.Name == name }
		if slices.ContainsFunc(m.Inputs, known) || slices.ContainsFunc(m.Outputs, known) {
			continue
		}
		v := &graph.Value{Name: name}
		if t := m.Values[name]; t != nil {
			v.DType = t.DType
		}
		m.Outputs = append(m.Outputs, v)
	}
	return &probe{inputs: m.Inputs, plans: runtime.NewPlans(m, c)}
}

func (p *probe) close() { p.plans.Close() }

// run runs a set of inputs and calls look with a function that returns a value
// of those asked for, while it is there.
func (p *probe) run(ctx context.Context, set map[string]*graph.Tensor, look func(value func(name string) (runtime.Tensor, error)) error) error {
	shapes := make(map[string][]int)
	for _, v := range p.inputs {
		t := set[v.Name]
		if t == nil {
			return fmt.Errorf("no data for input %q", v.Name)
		}
		shapes[v.Name] = t.Shape
	}
	s, err := p.plans.Session(ctx, shapes)
	if err != nil {
		return err
	}
	defer p.plans.Release(s)
	for _, v := range p.inputs {
		in, err := s.Input(v.Name)
		if err != nil {
			return err
		}
		t := set[v.Name]
		switch {
		case in.DType.Float() && t.DType.Float():
			copy(in.F, t.Floats())
		case in.DType.Integer() && t.DType.Integer():
			copy(in.I, t.Ints())
		default:
			return fmt.Errorf("input %q: element type %s, expected %s", v.Name, t.DType, in.DType)
		}
	}
	if err := s.Run(ctx); err != nil {
		return err
	}
	return look(func(name string) (runtime.Tensor, error) {
		if slices.ContainsFunc(p.inputs, func(v *graph.Value) bool { return v.Name == name }) {
			return s.Input(name)
		}
		return s.Output(name)
	})
}
