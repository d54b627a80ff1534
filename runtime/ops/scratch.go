package ops

import "sync"

// A scratch lends buffers of n elements to runs of a Compute. It keeps those
// that come back, so that a run allocates only where more goroutines run the
// node at once than ever before.
type scratch[T elem] struct {
	n    int
	mu   sync.Mutex
	free [][]T
}

// newScratch makes a scratch that holds one buffer.
func newScratch[T elem](n int) *scratch[T] {
	return &scratch[T]{n: n, free: [][]T{make([]T, n)}}
}

func (s *scratch[T]) get() []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.free) - 1
	if last < 0 {
		return make([]T, s.n)
	}
	b := s.free[last]
	s.free = s.free[:last]
	return b
}

func (s *scratch[T]) put(b []T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, b)
}
