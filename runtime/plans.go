package runtime

import (
	"context"
	"errors"
	"fmt"
	stdruntime "runtime"
	"slices"
	"strconv"
	"sync"

	"github.com/nnz-dev/nnz/graph"
)

// CachedPlans is how many plans of one model, for different shapes, are kept.
const CachedPlans = 8

// Plans compiles one model for the shapes that requests have, as they come:
// for a service whose batches and sequences vary in length. The plans of the
// last [CachedPlans] shapes are kept, each with the sessions that are idle, of
// which there are at most GOMAXPROCS. Goroutines may share it.
//
// Every plan packs the weights anew, so memory grows with the shapes in use:
// rounding lengths up to a few sizes is worth it.
type Plans struct {
	model  *graph.Model
	config Config
	cache  planCache
}

// NewPlans returns the plans of a model, none of them compiled yet. Shapes in c
// are those of inputs that For is given none for.
func NewPlans(m *graph.Model, c Config) *Plans { return &Plans{model: m, config: c} }

// For returns the plan for inputs of the given shapes; it is compiled where
// there is none, by one goroutine for all that ask. Errors are those of
// [Compile], or ctx's.
func (p *Plans) For(ctx context.Context, shapes map[string][]int) (*Plan, error) {
	e, err := p.entry(ctx, shapes)
	if err != nil {
		return nil, err
	}
	return e.plan, nil
}

// Session returns an idle session of the plan for the given shapes, or a new
// one. It belongs to the caller until Release.
func (p *Plans) Session(ctx context.Context, shapes map[string][]int) (*Session, error) {
	e, err := p.entry(ctx, shapes)
	if err != nil {
		return nil, err
	}
	if s := e.take(); s != nil {
		return s, nil
	}
	s := e.plan.NewSession()
	s.home = e
	return s, nil
}

// Release gives a session of Session back. Its inputs and outputs may not be
// used any more.
func (p *Plans) Release(s *Session) { s.release() }

// Close closes the idle sessions and forgets the plans. Sessions in use are
// closed by Release; Plans may be used again.
func (p *Plans) Close() { p.cache.clear(nil) }

func (p *Plans) entry(ctx context.Context, shapes map[string][]int) (*cached, error) {
	var key []byte
	known := 0
	for _, v := range p.model.Inputs {
		shape, ok := shapes[v.Name]
		if ok {
			known++
		} else {
			shape, ok = p.config.Shapes[v.Name]
		}
		if ok {
			key = appendShape(key, shape)
		}
		key = append(key, ';')
	}
	if known < len(shapes) {
		for name := range shapes {
			if !slices.ContainsFunc(p.model.Inputs, func(v *graph.Value) bool { return v.Name == name }) {
				return nil, fmt.Errorf("a shape for input %q, which the model does not have", name)
			}
		}
	}
	return p.cache.get(ctx, planKey{types: string(key)}, func() (*Plan, error) {
		c := p.config
		c.Shapes = make(map[string][]int)
		for _, from := range []map[string][]int{p.config.Shapes, shapes} {
			for name, shape := range from {
				c.Shapes[name] = slices.Clone(shape)
			}
		}
		return Compile(ctx, p.model, c)
	})
}

func appendShape(key []byte, shape []int) []byte {
	for _, d := range shape {
		key = append(strconv.AppendInt(key, int64(d), 10), 'x')
	}
	return append(key, '.')
}

// A planKey tells the plans of a cache apart: by the plan whose tail they
// belong to, if any, and by the types of their inputs.
type planKey struct {
	parent *Plan
	types  string
}

// A planCache keeps the CachedPlans plans that were used last. The zero value
// is empty.
type planCache struct {
	mu      sync.Mutex
	entries []*cached // by last use, the latest last
}

// A cached plan, which may be in the making.
type cached struct {
	key   planKey
	ready chan struct{} // closed once plan and err are there
	plan  *Plan
	err   error

	mu   sync.Mutex
	idle []*Session
	gone bool // out of the cache: sessions are not kept
}

// get returns the plan of key, which compile makes where there is none.
func (c *planCache) get(ctx context.Context, key planKey, compile func() (*Plan, error)) (*cached, error) {
	for {
		c.mu.Lock()
		i := slices.IndexFunc(c.entries, func(e *cached) bool { return e.key == key })
		if i < 0 {
			e := &cached{key: key, ready: make(chan struct{})}
			c.entries = append(c.entries, e)
			if len(c.entries) > CachedPlans {
				c.entries[0].drop()
				c.entries = slices.Delete(c.entries, 0, 1)
			}
			c.mu.Unlock()
			e.err = errors.New("compiling did not end") // for those who wait, should it panic
			defer close(e.ready)
			e.plan, e.err = compile()
			if e.err != nil {
				c.remove(e)
			}
			return e, e.err
		}
		e := c.entries[i]
		c.entries = append(slices.Delete(c.entries, i, i+1), e)
		c.mu.Unlock()
		select {
		case <-e.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		// The goroutine that compiled may have been told to stop, and this one
		// not.
		if ended := errors.Is(e.err, context.Canceled) || errors.Is(e.err, context.DeadlineExceeded); !ended || ctx.Err() != nil {
			return e, e.err
		}
	}
}

func (c *planCache) remove(e *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries = slices.DeleteFunc(c.entries, func(o *cached) bool { return o == e })
}

// clear forgets all plans but one, which may be nil.
func (c *planCache) clear(but *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		if e != but {
			e.drop()
		}
	}
	c.entries = slices.DeleteFunc(c.entries, func(e *cached) bool { return e != but })
}

// bytes is what the plans take that are compiled, with a session of each.
func (c *planCache) bytes() (n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		select {
		case <-e.ready:
			if e.plan != nil {
				n += e.plan.bytes
			}
		default:
		}
	}
	return n
}

// take returns an idle session, nil where there is none.
func (e *cached) take() *Session {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.idle) == 0 {
		return nil
	}
	s := e.idle[len(e.idle)-1]
	e.idle = e.idle[:len(e.idle)-1]
	return s
}

// put keeps an idle session, or closes it where there are enough.
func (e *cached) put(s *Session) {
	e.mu.Lock()
	keep := !e.gone && len(e.idle) < stdruntime.GOMAXPROCS(0)
	if keep {
		e.idle = append(e.idle, s)
	}
	e.mu.Unlock()
	if !keep {
		s.Close()
	}
}

func (e *cached) drop() {
	e.mu.Lock()
	idle := e.idle
	e.idle, e.gone = nil, true
	e.mu.Unlock()
	for _, s := range idle {
		s.Close()
	}
}

// A family is the caches of the plans that a plan's tail is compiled to, one
// for each place in the model. They are shared by all plans of a tail's tail,
// so that the number of plans does not multiply with the depth.
type family struct {
	limit  int64 // bytes that all of them may keep, 0 is no bound
	mu     sync.Mutex
	caches map[string]*planCache
}

// trim forgets all plans but one that is new, where together they take more than
// they may. Those in use are forgotten, too: they end with their sessions.
func (f *family) trim(but *cached) {
	if f.limit == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	bytes := int64(0)
	for _, c := range f.caches {
		bytes += c.bytes()
	}
	if bytes <= f.limit {
		return
	}
	for _, c := range f.caches {
		c.clear(but)
	}
}

// A site is a place in a model where a part of it is compiled by itself.
type site struct {
	family *family
	path   string
	depth  int
}

// maxDepth bounds how often the shapes of what is left of a model may depend
// on data again, with the graphs in attributes that this happens in.
const maxDepth = 256

func newSite(limit int64) site {
	return site{family: &family{limit: limit, caches: make(map[string]*planCache)}}
}

// within returns the site of a body of a node.
func (s site) within(name string) site {
	return site{s.family, s.path + "/" + name, s.depth + 1}
}

// behind returns the site of what comes after the early nodes.
func (s site) behind() (site, error) {
	if s.depth == maxDepth {
		return s, fmt.Errorf("shapes depend on data more than %d times over", maxDepth)
	}
	return site{s.family, s.path + "+", s.depth + 1}, nil
}

func (s site) cache() *planCache {
	s.family.mu.Lock()
	defer s.family.mu.Unlock()
	c := s.family.caches[s.path]
	if c == nil {
		c = &planCache{}
		s.family.caches[s.path] = c
	}
	return c
}
