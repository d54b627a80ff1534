package runtime

import (
	"context"
	"errors"
	"fmt"
	stdruntime "runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/parallel"
	"github.com/nnz-dev/nnz/runtime/ops"
)

// A Tensor is a dense row-major view into a session's memory: real types are
// float32 in F, integer and bool types int64 in I.
type Tensor = ops.Tensor

// A Session runs a Plan. It owns the memory of one inference and belongs to
// one goroutine at a time.
type Session struct {
	state   atomic.Uint32 // running, closed
	plan    *Plan
	pool    *parallel.Pool
	pace    pace
	floats  []float32 // the arena of activations
	ints    []int64   // the same for integer tensors
	tasks   []task
	inputs  map[string]Tensor
	outputs map[string]Tensor
	inner   []*Session // that hold results of the last run, of parts of the plan's tail
	home    *cached    // what the session goes back to, nil where it stands alone
}

// A runner is what a step, or a strip of it, does in the memory of a session.
type runner interface {
	run(p *parallel.Pool)
}

// What a session's state says.
const (
	running = 1 << iota
	closed
)

// Errors of a session that is used by two goroutines at once, or after its end.
var (
	ErrBusy   = errors.New("the session runs in another goroutine: each needs a session of its own")
	ErrClosed = errors.New("the session is closed")
)

// A boundTurn is a turn of a plan bound to the memory of one session.
type boundTurn struct {
	step int
	runner
}

// NewSession allocates the memory of one inference and binds every step to it.
func (p *Plan) NewSession() *Session {
	s := p.newSession(parallel.New(p.threads))
	// The workers hold the pool and not the session, so a session that is
	// dropped without Close still ends them.
	stdruntime.AddCleanup(s, func(pool *parallel.Pool) { pool.Close() }, s.pool)
	return s
}

// newSession makes a session; one without a pool runs on that of the session
// around it.
func (p *Plan) newSession(pool *parallel.Pool) *Session {
	s := &Session{
		plan:    p,
		pool:    pool,
		floats:  alignedFloats(p.arena.floats),
		ints:    make([]int64, p.arena.ints),
		inputs:  make(map[string]Tensor),
		outputs: make(map[string]Tensor),
	}
	for turns := range p.tasks() {
		t := task{parts: p.steps[turns[0].step].Parts}
		for _, turn := range turns {
			t.turns = append(t.turns, boundTurn{turn.step, turn.op.bind(s)})
		}
		s.tasks = append(s.tasks, t)
	}
	for _, v := range p.inputs {
		s.inputs[v.name] = s.tensor(v)
	}
	for _, v := range p.outputs {
		s.outputs[v.name] = s.tensor(v)
	}
	return s
}

// Close ends the session's goroutines. A run that is under way in another
// goroutine ends with [ErrClosed] at its next step, and later ones at once.
func (s *Session) Close() {
	// A run that is under way ends the goroutines when it is through.
	if s.state.Or(closed)&(running|closed) == 0 {
		s.end()
	}
}

// end gives back what the session holds.
func (s *Session) end() {
	s.forget()
	if s.pool != nil {
		s.pool.Close()
	}
}

// begin claims the session for a run.
func (s *Session) begin() error {
	switch old := s.state.Or(running); {
	case old&running != 0:
		return ErrBusy
	case old&closed != 0:
		s.state.And(^uint32(running))
		return ErrClosed
	}
	return nil
}

// through ends what begin began.
func (s *Session) through() {
	if s.state.And(^uint32(running))&closed != 0 {
		s.end()
	}
}

// forget gives back the sessions that hold results of the last run.
func (s *Session) forget() {
	for _, inner := range s.inner {
		inner.release()
	}
	s.inner = nil
}

// release gives a session back to where it came from.
func (s *Session) release() {
	s.forget()
	if s.home == nil {
		s.Close()
		return
	}
	s.home.put(s)
}

// release releases a session, which may be nil.
func release(s *Session) {
	if s != nil {
		s.release()
	}
}

// Input returns the view that an input is written to before Run. It stays the
// same for the life of the session, and Run leaves its contents alone.
func (s *Session) Input(name string) (Tensor, error) {
	if t, ok := s.inputs[name]; ok {
		return t, nil
	}
	return Tensor{}, noValue("input", name, s.plan.Inputs())
}

// Output returns the view that Run leaves an output in, until the next Run. It
// stays the same for the life of the session, but for outputs whose shapes
// only a run tells: these have another view after each.
func (s *Session) Output(name string) (Tensor, error) {
	if !slices.ContainsFunc(s.plan.results, func(v graph.Value) bool { return v.Name == name }) {
		return Tensor{}, noValue("output", name, s.plan.results)
	}
	if t, ok := s.outputs[name]; ok {
		return t, nil
	}
	return Tensor{}, fmt.Errorf("the shape of output %q depends on data: it is there after a run that succeeds", name)
}

func noValue(kind, name string, all []graph.Value) error {
	names := make([]string, len(all))
	for i, v := range all {
		names[i] = v.Name
	}
	return fmt.Errorf("no %s %q: the model has %q", kind, name, names)
}

// Run computes the outputs from the inputs. It returns ctx's error where ctx
// ends between two steps, or tasks of some, [ErrClosed] after Close, and
// [ErrBusy] while another goroutine runs the session; outputs hold nothing of use
// then. It allocates nothing where all shapes are known to the plan.
func (s *Session) Run(ctx context.Context) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.through()
	var left *int64
	if s.plan.tail != nil {
		limit := s.plan.tail.limit
		left = &limit
	}
	if s.pool.Threads() == 1 {
		return s.run(ctx, s.pool, left)
	}
	s.pool.Alone(s.pace.alone)
	start := time.Now()
	err := s.run(ctx, s.pool, left)
	if err == nil {
		s.pace.ran(time.Since(start))
	}
	return err
}

// run runs on a pool that may be that of the session around this one. left is
// the bytes that values whose extents depend on data may still take.
func (s *Session) run(ctx context.Context, pool *parallel.Pool, left *int64) error {
	for i := range s.tasks {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.state.Load()&closed != 0 {
			return ErrClosed
		}
		s.tasks[i].run(pool)
	}
	if s.plan.tail == nil {
		return nil
	}
	return s.finish(ctx, pool, left)
}

// finish runs the tail of the plan.
func (s *Session) finish(ctx context.Context, pool *parallel.Pool, left *int64) error {
	s.forget()
	for _, r := range s.plan.results {
		if !slices.ContainsFunc(s.plan.outputs, func(v *value) bool { return v.name == r.Name }) {
			delete(s.outputs, r.Name)
		}
	}
	return s.plan.tail.run(ctx, s, pool, left)
}

// RunTimed runs the steps from first on, by the index of Plan.Explain's Steps,
// as many as times has room for, and stores the time of each there. Steps other
// than the first need what those before them left; to run some of them again is
// to measure them, as their operands may lie where a later step has put its
// result. What only a run tells the shapes of is no step, and left out.
func (s *Session) RunTimed(ctx context.Context, first int, times []time.Duration) error {
	if first < 0 || first > len(s.plan.steps)-len(times) {
		return fmt.Errorf("%d steps from %d on, the plan has %d", len(times), first, len(s.plan.steps))
	}
	if err := s.begin(); err != nil {
		return err
	}
	defer s.through()
	clear(times)
	for _, t := range s.tasks {
		for _, r := range t.turns {
			if r.step < first || r.step >= first+len(times) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			start := time.Now()
			r.run(s.pool)
			times[r.step-first] += time.Since(start)
		}
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
