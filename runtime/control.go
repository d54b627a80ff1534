package runtime

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime/ops"
)

// branch runs the branch of an If that the condition takes. Bodies are in the
// order of their attributes: else_branch, then_branch. The outputs are views of
// the branch's session, which is kept until the next run.
func (v *evaluation) branch(ctx context.Context, e *early, in []Tensor) ([]Tensor, error) {
	condition, err := one(in[0], "the condition", graph.Bool)
	if err != nil {
		return nil, err
	}
	body := e.bodies[0]
	if condition != 0 {
		body = e.bodies[1]
	}
	s, err := v.keep(ctx, body)
	if err != nil {
		return nil, err
	}
	if err := s.run(ctx, v.pool, v.left); err != nil {
		return nil, err
	}
	return body.results(s), nil
}

// one returns the only element of an integer tensor.
func one(t Tensor, what string, dt graph.DType) (int64, error) {
	if len(t.I) != 1 || t.DType != dt {
		return 0, fmt.Errorf("%s is %s %v, expected one element of %s", what, t.DType, t.Shape, dt)
	}
	return t.I[0], nil
}

// loop runs a Loop: the body as often as the trip count says and as long as
// the condition holds, each of which may be absent. Carried values may change
// their shapes from trip to trip; what is stacked must not. ctx is looked at
// once a trip at least.
func (v *evaluation) loop(ctx context.Context, e *early, in []Tensor) (_ []Tensor, err error) {
	body := e.bodies[0]
	trips, condition := int64(math.MaxInt64), int64(1)
	if len(in) > 0 && in[0].DType != graph.Undefined {
		if trips, err = one(in[0], "the trip count", graph.Int64); err != nil {
			return nil, err
		}
	}
	if len(in) > 1 && in[1].DType != graph.Undefined {
		if condition, err = one(in[1], "the condition", graph.Bool); err != nil {
			return nil, err
		}
	}
	carried := slices.Clone(in[min(2, len(in)):])
	own := make([]Tensor, len(carried)) // memory of carried values, once the body has made some
	stacks := make([]stack, len(e.node.Outputs)-len(carried))
	args := func(trip int64) []Tensor {
		return slices.Concat([]Tensor{
			{DType: graph.Int64, Shape: []int{}, I: []int64{trip}},
			{DType: graph.Bool, Shape: []int{}, I: []int64{condition}},
		}, carried, v.tensors(body.captured))
	}
	var s *Session
	defer func() { release(s) }()
	for trip := int64(0); trip < trips && condition != 0; trip++ {
		if s, err = v.trip(ctx, body, s, args(trip)); err != nil {
			return nil, err
		}
		out := body.results(s)
		if condition, err = one(out[0], "the condition that the body puts out", graph.Bool); err != nil {
			return nil, err
		}
		if err := v.carry(carried, own, out[1:]); err != nil {
			return nil, err
		}
		for i := range stacks {
			if err := v.push(&stacks[i], out[1+len(carried)+i]); err != nil {
				return nil, fmt.Errorf("output %d of trip %d: %w", len(carried)+i, trip, err)
			}
		}
	}
	return v.finish(ctx, body, carried, stacks, func() []Tensor { return args(0) })
}

// scan runs a Scan: the body once for each slice of the scanned inputs.
func (v *evaluation) scan(ctx context.Context, e *early, in []Tensor) (_ []Tensor, err error) {
	body, n := e.bodies[0], e.node
	states := len(in) - n.Int("num_scan_inputs", 0)
	length := -1
	scanned := slices.Clone(in[states:])
	for i := range scanned {
		axis, err := axisOf(at(n.Ints("scan_input_axes"), i), len(scanned[i].Shape))
		if err == nil {
			scanned[i], err = v.moved(scanned[i], axis, 0)
		}
		if err != nil {
			return nil, fmt.Errorf("scanned input %d: %w", i, err)
		}
		if l := scanned[i].Shape[0]; length >= 0 && l != length {
			return nil, fmt.Errorf("scanned input %d has %d slices, the first has %d", i, l, length)
		}
		length = scanned[i].Shape[0]
	}
	directions := n.Ints("scan_input_directions")
	carried := slices.Clone(in[:states])
	own := make([]Tensor, states)
	stacks := make([]stack, len(n.Outputs)-states)
	args := func(trip int) []Tensor {
		list := slices.Clone(carried)
		for i, t := range scanned {
			k := trip
			if at(directions, i) != 0 {
				k = length - 1 - trip
			}
			list = append(list, slice(t, k))
		}
		return append(list, v.tensors(body.captured)...)
	}
	var s *Session
	defer func() { release(s) }()
	for trip := range length {
		if s, err = v.trip(ctx, body, s, args(trip)); err != nil {
			return nil, err
		}
		out := body.results(s)
		if err := v.carry(carried, own, out); err != nil {
			return nil, err
		}
		for i := range stacks {
			if err := v.push(&stacks[i], out[states+i]); err != nil {
				return nil, fmt.Errorf("output %d of slice %d: %w", states+i, trip, err)
			}
		}
	}
	out, err := v.finish(ctx, body, carried, stacks, func() []Tensor {
		list := slices.Clone(carried)
		for _, t := range scanned {
			list = append(list, ops.Zeros(t.DType, t.Shape[1:]))
		}
		return append(list, v.tensors(body.captured)...)
	})
	if err != nil {
		return nil, err
	}
	for i := range stacks {
		t := &out[states+i]
		if at(n.Ints("scan_output_directions"), i) != 0 {
			reverse(*t)
		}
		axis, err := axisOf(at(n.Ints("scan_output_axes"), i), len(t.Shape))
		if err == nil {
			*t, err = v.moved(*t, 0, axis)
		}
		if err != nil {
			return nil, fmt.Errorf("output %d: %w", states+i, err)
		}
	}
	return out, nil
}

// at returns element i of a list of attributes, 0 where the list is absent.
func at(list []int, i int) int {
	if i < len(list) {
		return list[i]
	}
	return 0
}

// axisOf returns an axis that may count from the end.
func axisOf(axis, rank int) (int, error) {
	if axis < -rank || axis >= rank {
		return 0, fmt.Errorf("axis %d of rank %d", axis, rank)
	}
	if axis < 0 {
		axis += rank
	}
	return axis, nil
}

// slice returns a view of element i of the first axis.
func slice(t Tensor, i int) Tensor {
	s := Tensor{DType: t.DType, Shape: t.Shape[1:]}
	n := s.Len()
	if t.DType.Float() {
		s.F = t.F[i*n:][:n:n]
	} else {
		s.I = t.I[i*n:][:n:n]
	}
	return s
}

// reverse turns the order of the first axis around, in place.
func reverse(t Tensor) {
	for i, j := 0, t.Shape[0]-1; i < j; i, j = i+1, j-1 {
		a, b := slice(t, i), slice(t, j)
		for k := range a.F {
			a.F[k], b.F[k] = b.F[k], a.F[k]
		}
		for k := range a.I {
			a.I[k], b.I[k] = b.I[k], a.I[k]
		}
	}
}

// moved returns t with an axis in another place.
func (v *evaluation) moved(t Tensor, from, to int) (Tensor, error) {
	if from == to {
		return t, nil
	}
	perm := make([]int, len(t.Shape))
	for i := range perm {
		perm[i] = i
	}
	perm = slices.Insert(slices.Delete(perm, from, from+1), to, from)
	n := &graph.Node{Op: "Transpose", Inputs: []string{"x"}, Outputs: []string{"y"}}
	n.Set("perm", perm)
	out, err := ops.Run(n, 13, []Tensor{t}, v.k, *v.left)
	if err != nil {
		return t, err
	}
	return out[0], v.charge(out[0].Bytes())
}

// carry copies what the body has put out, which the next trip overwrites.
func (v *evaluation) carry(carried, own, out []Tensor) error {
	for i := range carried {
		if out[i].DType != carried[i].DType {
			return fmt.Errorf("carried value %d is %s, and becomes %s", i, carried[i].DType, out[i].DType)
		}
		var err error
		if own[i], err = v.copied(own[i], out[i]); err != nil {
			return fmt.Errorf("carried value %d: %w", i, err)
		}
		carried[i] = own[i]
	}
	return nil
}

// A stack collects the outputs of all trips.
type stack struct {
	Tensor     // the elements so far; Shape is that of one trip
	trips  int // that have been pushed
}

func (v *evaluation) push(s *stack, t Tensor) error {
	if s.trips == 0 {
		s.DType, s.Shape = t.DType, slices.Clone(t.Shape)
	} else if s.DType != t.DType || !slices.Equal(s.Shape, t.Shape) {
		return fmt.Errorf("%s %v, the trips before put out %s %v", t.DType, t.Shape, s.DType, s.Shape)
	}
	if err := v.charge(t.Bytes()); err != nil {
		return err
	}
	s.F, s.I = append(s.F, t.F...), append(s.I, t.I...)
	s.trips++
	return nil
}

// finish returns the outputs of a loop: the carried values as they are, and
// each stack as one tensor. Without a trip the extents of what would have been
// stacked are those that the body is compiled to for args, or where that does
// not tell those that the file gives; 0 where neither does.
func (v *evaluation) finish(ctx context.Context, body *part, carried []Tensor, stacks []stack, args func() []Tensor) ([]Tensor, error) {
	out := carried
	for i := range stacks {
		s := &stacks[i]
		if s.trips == 0 {
			e, err := body.entry(ctx, args())
			if err != nil {
				return nil, err
			}
			result := e.plan.results[len(body.model.Outputs)-len(stacks)+i]
			if s.DType = result.DType; s.DType == graph.Undefined {
				return nil, fmt.Errorf("output %d: the type of what no trip has stacked is not given", len(carried)+i)
			}
			for _, d := range result.Shape {
				s.Shape = append(s.Shape, max(0, d.Size))
			}
		}
		t := Tensor{DType: s.DType, Shape: append([]int{s.trips}, s.Shape...), F: s.F, I: s.I}
		if t.Len() == 0 {
			t = ops.Zeros(t.DType, t.Shape)
		}
		out = append(out, t)
	}
	return out, nil
}
