package runtime

import (
	"context"
	"fmt"
	stdruntime "runtime"
	"time"

	"github.com/nnz-dev/nnz/internal/parallel"
	"github.com/nnz-dev/nnz/runtime/ops"
)

// A Tensor is a dense row-major view into a session's memory: real types are
// float32 in F, integer and bool types int64 in I.
type Tensor = ops.Tensor

// A Session runs a Plan. It owns the memory of one inference and belongs to
// one goroutine at a time.
type Session struct {
	plan    *Plan
	pool    *parallel.Pool
	floats  []float32 // the arena of activations
	ints    []int64   // the same for integer tensors
	runners []runner
	inputs  map[string]Tensor
	outputs map[string]Tensor
}

// A runner is a step bound to the memory of one session.
type runner interface {
	run(p *parallel.Pool)
}

// NewSession allocates the memory of one inference and binds every step to it.
func (p *Plan) NewSession() *Session {
	s := &Session{
		plan:    p,
		pool:    parallel.New(p.threads),
		floats:  alignedFloats(p.arena.floats),
		ints:    make([]int64, p.arena.ints),
		inputs:  make(map[string]Tensor),
		outputs: make(map[string]Tensor),
	}
	for _, st := range p.steps {
		s.runners = append(s.runners, st.op.bind(s))
	}
	for _, v := range p.inputs {
		s.inputs[v.name] = s.tensor(v)
	}
	for _, v := range p.outputs {
		s.outputs[v.name] = s.tensor(v)
	}
	// The workers hold the pool and not the session, so a session that is
	// dropped without Close still ends them.
	stdruntime.AddCleanup(s, func(pool *parallel.Pool) { pool.Close() }, s.pool)
	return s
}

// Close ends the session's goroutines. A session may not run after it.
func (s *Session) Close() { s.pool.Close() }

// Input returns the view that an input is written to before Run. It stays the
// same for the life of the session, and Run leaves its contents alone.
func (s *Session) Input(name string) (Tensor, error) {
	return find(s.inputs, s.plan.inputs, "input", name)
}

// Output returns the view that Run leaves an output in, until the next Run.
func (s *Session) Output(name string) (Tensor, error) {
	return find(s.outputs, s.plan.outputs, "output", name)
}

func find(have map[string]Tensor, all []*value, kind, name string) (Tensor, error) {
	if t, ok := have[name]; ok {
		return t, nil
	}
	names := make([]string, len(all))
	for i, v := range all {
		names[i] = v.name
	}
	return Tensor{}, fmt.Errorf("no %s %q: the model has %q", kind, name, names)
}

// Run computes the outputs from the inputs. It allocates nothing, and returns
// ctx's error where ctx ends between two steps.
func (s *Session) Run(ctx context.Context) error {
	for _, r := range s.runners {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.run(s.pool)
	}
	return nil
}

// RunTimed runs the steps from first on, by the index of Plan.Explain's Steps,
// as many as times has room for, and stores the time of each there. Steps other
// than the first need what those before them left; to run some of them again is
// to measure them, as their operands may lie where a later step has put its
// result.
func (s *Session) RunTimed(ctx context.Context, first int, times []time.Duration) error {
	if first < 0 || first > len(s.runners)-len(times) {
		return fmt.Errorf("%d steps from %d on, the plan has %d", len(times), first, len(s.runners))
	}
	for i, r := range s.runners[first:][:len(times)] {
		if err := ctx.Err(); err != nil {
			return err
		}
		start := time.Now()
		r.run(s.pool)
		times[i] = time.Since(start)
	}
	return nil
}

// tensor returns the session's view of a value in row-major order; v is nil
// for an optional input that is absent.
func (s *Session) tensor(v *value) Tensor {
	switch {
	case v == nil:
		return Tensor{}
	case v.constant != nil:
		return *v.constant
	}
	t := Tensor{DType: v.typ.DType, Shape: v.typ.Shape}
	root, at := v.plain.root()
	if at += root.offset; root.ints {
		t.I = s.ints[at:][:v.plain.size:v.plain.size]
	} else {
		t.F = s.floats[at:][:v.plain.size:v.plain.size]
	}
	return t
}

// memory returns the session's memory of a float32 buffer.
func (s *Session) memory(b *buffer) []float32 {
	if b == nil {
		return nil
	}
	root, at := b.root()
	return s.floats[root.offset+at:][:b.size:b.size]
}
