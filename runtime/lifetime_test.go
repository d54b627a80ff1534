package runtime

import (
	"context"
	"errors"
	stdruntime "runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// lifetimeNet has convolutions in strips, a residual and a classifier.
func lifetimeNet() *testNet {
	n := newNet(1, 8, 28, 28)
	a := n.relu(n.conv("x", 8, 16, 1, 1, 0.8))
	b := n.relu(n.conv(a, 16, 16, 3, 1, 0.8))
	a = n.relu(n.node("Add", []string{n.conv(b, 16, 16, 1, 1, 0.8), a}))
	n.node("GlobalAveragePool", []string{a})
	n.node("Flatten", []string{n.last})
	n.node("Gemm", []string{n.last, n.weight(0.5, 1, 10, 16), n.weight(0, 1, 10)}, "transB", 1)
	return n
}

// TestSharedPlan runs one plan in 64 goroutines, each with inputs of its own,
// against one after the other, to the bit.
func TestSharedPlan(t *testing.T) {
	const goroutines, runs = 64, 5
	for _, threads := range []int{1, 2} {
		p, err := Compile(context.Background(), lifetimeNet().model(), Config{Threads: threads, cache: 8 << 10})
		if err != nil {
			t.Fatal(err)
		}
		input := func(k int) []float32 {
			x := make([]float32, 8*28*28)
			for i := range x {
				x[i] = float32((i*7+k*13)%11) - 5
			}
			return x
		}
		var want [goroutines][]float32
		s := p.NewSession()
		for k := range want {
			want[k] = runOnce(t, s, input(k))
		}
		s.Close()
		var wg sync.WaitGroup
		for k := range want {
			wg.Go(func() {
				s := p.NewSession()
				defer s.Close()
				in, err := s.Input("x")
				if err != nil {
					t.Error(err)
					return
				}
				for range runs {
					copy(in.F, input(k))
					if err := s.Run(context.Background()); err != nil {
						t.Error(err)
						return
					}
					out, _ := s.Output(p.results[0].Name)
					if !slices.Equal(bits(out.F), bits(want[k])) {
						t.Errorf("%d threads: goroutine %d has another result than by itself", threads, k)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

// A hookContext calls f when a run looks at it for the n-th time.
type hookContext struct {
	context.Context
	n int
	f func()
}

func (c *hookContext) Err() error {
	if c.n--; c.n == 0 {
		c.f()
	}
	return c.Context.Err()
}

// TestSessionStates closes, runs and cancels a session in the middle of a run.
func TestSessionStates(t *testing.T) {
	for _, threads := range []int{1, 2} {
		p, err := Compile(context.Background(), lifetimeNet().model(), Config{Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		bg := context.Background()
		s := p.NewSession()
		if err := s.Run(&hookContext{bg, 3, func() {
			if err := s.Run(bg); err != ErrBusy {
				t.Errorf("a run within a run: %v", err)
			}
			if err := s.RunTimed(bg, 0, make([]time.Duration, 1)); err != ErrBusy {
				t.Errorf("a timed run within a run: %v", err)
			}
		}}); err != nil {
			t.Errorf("a run that another one disturbed: %v", err)
		}

		ctx, cancel := context.WithCancel(bg)
		looks := &hookContext{ctx, 3, cancel}
		if err := s.Run(looks); !errors.Is(err, context.Canceled) {
			t.Errorf("a run cancelled at its third turn: %v", err)
		}
		if looks.n != 0 {
			t.Errorf("a run went on for %d turns after it was cancelled", -looks.n)
		}
		if err := s.Run(bg); err != nil {
			t.Errorf("a run after one that was cancelled: %v", err)
		}

		looks = &hookContext{bg, 3, s.Close}
		if err := s.Run(looks); err != ErrClosed {
			t.Errorf("a run whose session was closed: %v", err)
		}
		if looks.n != 0 {
			t.Errorf("a run went on for %d turns after its session was closed", -looks.n)
		}
		for range 2 {
			if err := s.Run(bg); err != ErrClosed {
				t.Errorf("a run of a closed session: %v", err)
			}
			s.Close()
		}
	}
}

// TestCloseWhileRunning closes sessions from another goroutine at any moment.
func TestCloseWhileRunning(t *testing.T) {
	p, err := Compile(context.Background(), lifetimeNet().model(), Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		s := p.NewSession()
		done := make(chan error)
		go func() {
			for {
				if err := s.Run(context.Background()); err != nil {
					done <- err
					return
				}
			}
		}()
		time.Sleep(time.Duration(i) * 10 * time.Microsecond)
		s.Close()
		if err := <-done; err != ErrClosed {
			t.Fatal(err)
		}
	}
}

// TestNothingIsLeft compiles, runs and closes again and again, with sessions
// that are dropped in between, and counts goroutines and live memory.
func TestNothingIsLeft(t *testing.T) {
	m := lifetimeNet().model()
	cycle := func(drop bool) {
		p, err := Compile(context.Background(), m, Config{Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			s := p.NewSession()
			if err := s.Run(context.Background()); err != nil {
				t.Fatal(err)
			}
			if !drop {
				s.Close()
			}
		}
	}
	state := func() (goroutines int, live uint64) {
		var mem stdruntime.MemStats
		for range 20 { // cleanups of dropped sessions run between collections
			stdruntime.GC()
			time.Sleep(time.Millisecond)
		}
		stdruntime.ReadMemStats(&mem)
		return stdruntime.NumGoroutine(), mem.HeapAlloc
	}
	for range 5 {
		cycle(false)
	}
	before, live := state()
	for i := range 60 {
		cycle(i%2 == 0)
	}
	after, grown := state()
	if after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
	if grown > live+1<<20 {
		t.Errorf("%d bytes live before, %d after", live, grown)
	}
}
