package runtime

import (
	"context"
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/parallel"
	"github.com/nnz-dev/nnz/kernels/vec"
	"github.com/nnz-dev/nnz/runtime/ops"
)

// freeBytes bounds the values of one run whose extents depend on data where
// Config leaves memory unbounded: data must not be able to take a machine down.
const freeBytes = 4 << 30

// bind completes a tail for the plan that it belongs to.
func (t *tail) bind(p *Plan, c Config) {
	if c.MaxBytes > 0 {
		c.MaxBytes = max(c.MaxBytes-p.bytes, 1)
		t.limit = c.MaxBytes
	} else {
		t.limit = freeBytes
	}
	c.Shapes, c.Dims = nil, nil
	for _, part := range t.parts() {
		part.parent, part.config = p, c
	}
}

// entry returns the plan of a part for inputs of the given types.
func (p *part) entry(ctx context.Context, in []Tensor) (*cached, error) {
	var key []byte
	for i := range in {
		key = appendShape(append(key, byte(in[i].DType), ':'), in[i].Shape)
	}
	made := false
	e, err := p.site.cache().get(ctx, planKey{p.parent, string(key)}, func() (*Plan, error) {
		made = true
		m := *p.model
		m.Inputs = make([]*graph.Value, len(in))
		for i, v := range p.model.Inputs {
			if v.DType != graph.Undefined && v.DType != in[i].DType {
				return nil, fmt.Errorf("input %.80q is %s, expected %s", v.Name, in[i].DType, v.DType)
			}
			m.Inputs[i] = &graph.Value{Name: v.Name, DType: in[i].DType, Shape: graph.Dims(in[i].Shape...)}
		}
		return compileAt(ctx, &m, p.config, p.site)
	})
	if made && err == nil {
		p.site.family.trim(e)
	}
	return e, err
}

// cost is what a session of a part takes of what a run may take.
func (p *part) cost(plan *Plan) int64 {
	if p.config.MaxBytes == 0 {
		return 0
	}
	return plan.bytes
}

// session returns a session of a part with inputs in, the captured ones last,
// which may cost no more than left. Where last is one of the same plan, that one
// is returned, and its captured inputs are as they were.
func (p *part) session(ctx context.Context, last *Session, in []Tensor, left int64) (*Session, error) {
	e, err := p.entry(ctx, in)
	if err != nil {
		return nil, err
	}
	if cost := p.cost(e.plan); cost > left {
		return nil, fmt.Errorf("%d bytes for a part of the model, %d are left of the limit", cost, left)
	}
	s := last
	if s == nil || s.home != e {
		if last != nil {
			last.release()
		}
		if s = e.take(); s == nil {
			s = e.plan.newSession(nil)
			s.home = e
		}
		last = nil
	}
	n := len(in)
	if last != nil {
		n -= len(p.captured)
	}
	for i := range n {
		to := s.inputs[p.model.Inputs[i].Name]
		copy(to.F, in[i].F)
		copy(to.I, in[i].I)
	}
	return s, nil
}

// results returns the outputs of a session of a part in the graph's order.
func (p *part) results(s *Session) []Tensor {
	out := make([]Tensor, len(p.model.Outputs))
	for i, v := range p.model.Outputs {
		out[i] = s.outputs[v.Name]
	}
	return out
}

// trip runs a body once, on the session last where that fits, and returns the
// session, which the caller releases, after an error too. The results have to
// be copied before anything else is computed, so that what it computes on the
// way takes no memory for good.
func (v *evaluation) trip(ctx context.Context, body *part, last *Session, in []Tensor) (*Session, error) {
	if err := ctx.Err(); err != nil {
		return last, err
	}
	s, err := body.session(ctx, last, in, *v.left)
	if err != nil {
		return last, err
	}
	left := *v.left - body.cost(s.plan)
	return s, s.run(ctx, v.pool, &left)
}

// keep returns a session of a part, whose results are there until the next run.
func (v *evaluation) keep(ctx context.Context, p *part) (*Session, error) {
	s, err := p.session(ctx, nil, v.tensors(p.captured), *v.left)
	if err != nil {
		return nil, err
	}
	*v.left -= p.cost(s.plan)
	v.s.inner = append(v.s.inner, s)
	return s, nil
}

// An evaluation is one run of a tail.
type evaluation struct {
	*tail
	s    *Session
	pool *parallel.Pool
	k    *vec.Kernels
	late map[string]Tensor // outputs of early nodes
	left *int64            // bytes that values and parts of the run that are to come may take
}

// run computes what comes after the static part of a session.
func (t *tail) run(ctx context.Context, s *Session, pool *parallel.Pool, left *int64) error {
	v := &evaluation{tail: t, s: s, pool: pool, k: vec.For(s.plan.isa), late: make(map[string]Tensor), left: left}
	for _, e := range t.early {
		if err := ctx.Err(); err != nil {
			return err
		}
		out, err := v.evaluate(ctx, e)
		if err != nil {
			return fmt.Errorf("node %q (%s): %w", label(e.node), e.node.Op, err)
		}
		for i, name := range e.node.Outputs {
			if name != "" {
				v.late[name] = out[i]
			}
		}
	}
	if t.rest != nil {
		inner, err := v.keep(ctx, t.rest)
		if err != nil {
			return err
		}
		if err := inner.run(ctx, pool, left); err != nil {
			return err
		}
		for i, out := range t.rest.results(inner) {
			v.late[t.rest.model.Outputs[i].Name] = out
		}
	}
	for _, r := range s.plan.results {
		if out, ok := v.late[r.Name]; ok {
			if r.DType != graph.Undefined && r.DType != out.DType {
				return fmt.Errorf("output %q is %s, the model says %s", r.Name, out.DType, r.DType)
			}
			s.outputs[r.Name] = out
		}
	}
	return nil
}

// tensors returns values of the graph by name.
func (v *evaluation) tensors(names []string) []Tensor {
	list := make([]Tensor, len(names))
	for i, name := range names {
		var ok bool
		if list[i], ok = v.late[name]; ok || name == "" {
			continue
		}
		if list[i], ok = v.consts[name]; !ok {
			list[i] = v.s.outputs[name]
		}
	}
	return list
}

// evaluate computes an early node.
func (v *evaluation) evaluate(ctx context.Context, e *early) ([]Tensor, error) {
	in := v.tensors(e.node.Inputs)
	if e.node.Domain == "" {
		switch e.node.Op {
		case "If":
			return v.branch(ctx, e, in)
		case "Loop":
			return v.loop(ctx, e, in)
		case "Scan":
			return v.scan(ctx, e, in)
		}
	}
	out, err := ops.Run(e.node, e.opset, in, v.k, *v.left)
	for i := range out {
		if err == nil && out[i].DType != graph.Undefined {
			err = v.charge(out[i].Bytes())
		}
	}
	return out, err
}

// charge takes bytes from those that values of this run may take.
func (v *evaluation) charge(bytes int64) error {
	if bytes > *v.left {
		return fmt.Errorf("%d bytes for values whose extents depend on data, %d are left of the limit", bytes, *v.left)
	}
	*v.left -= bytes
	return nil
}

// copied returns a copy of t, in the memory of into where that has the size.
func (v *evaluation) copied(into, t Tensor) (Tensor, error) {
	if len(into.F) != len(t.F) || len(into.I) != len(t.I) {
		if into.DType != graph.Undefined {
			*v.left += into.Bytes()
		}
		if err := v.charge(t.Bytes()); err != nil {
			return t, err
		}
		into.F, into.I = slices.Clone(t.F), slices.Clone(t.I)
	} else {
		copy(into.F, t.F)
		copy(into.I, t.I)
	}
	into.DType, into.Shape = t.DType, t.Shape
	return into, nil
}
