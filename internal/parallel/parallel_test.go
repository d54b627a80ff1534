package parallel

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// counts is a task that counts how often each chunk runs.
type counts []atomic.Int32

func (c counts) Chunk(i int) { c[i].Add(1) }

func TestRunRunsEveryChunkOnce(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 8} {
		p := New(threads)
		for round := range 300 {
			c := make(counts, round%17)
			p.Run(c, len(c))
			for i := range c {
				if n := c[i].Load(); n != 1 {
					t.Fatalf("%d threads, %d chunks: chunk %d ran %d times", threads, len(c), i, n)
				}
			}
			if round%100 == 99 {
				time.Sleep(2 * time.Millisecond) // the workers park
			}
		}
		p.Close()
	}
}

// sum is a task whose chunks write memory that the caller then reads.
type sum struct{ parts [64]int }

func (s *sum) Chunk(i int) { s.parts[i] = i }

func TestRunPublishesItsWork(t *testing.T) {
	p := New(4)
	defer p.Close()
	for range 2000 {
		var s sum
		p.Run(&s, len(s.parts))
		for i, v := range s.parts {
			if v != i {
				t.Fatalf("part %d holds %d after Run", i, v)
			}
		}
	}
}

func TestRunUsesOtherGoroutines(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("one processor: nothing can run beside the caller")
	}
	p := New(2)
	defer p.Close()
	// Each chunk waits for the other, so one goroutine alone would never end.
	var in atomic.Int32
	p.Run(meet{&in}, 2)
}

type meet struct{ in *atomic.Int32 }

func (m meet) Chunk(int) {
	m.in.Add(1)
	for m.in.Load() < 2 {
		runtime.Gosched()
	}
}

// TestRunDoesWithoutALostWorker keeps a worker from ending its chunk for much
// longer than the caller takes for its own, as another process on its core would.
func TestRunDoesWithoutALostWorker(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("one processor: nothing can run beside the caller")
	}
	p := New(2)
	defer p.Close()
	for hold := time.Millisecond; ; hold *= 2 {
		if hold > time.Second {
			t.Fatal("the caller has waited for a second and did not notice")
		}
		var in atomic.Int32
		p.Run(late{&in, hold}, 2)
		if p.alone > 0 {
			break
		}
	}
	p.until = time.Now().Add(time.Hour)
	before, c := p.seq.Load(), make(counts, 9)
	p.Run(c, len(c))
	for i := range c {
		if n := c[i].Load(); n != 1 {
			t.Errorf("chunk %d ran %d times", i, n)
		}
	}
	if p.seq.Load() != before {
		t.Error("the task was opened to a worker that is lost")
	}
}

// late is a task of two chunks that two goroutines run at once, of which the
// worker's takes longer.
type late struct {
	in   *atomic.Int32
	hold time.Duration
}

func (l late) Chunk(i int) {
	meet{l.in}.Chunk(i)
	if i == 1 {
		time.Sleep(l.hold)
	}
}

func TestCloseEndsTheWorkers(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		p := New(4)
		p.Run(make(counts, 8), 8)
		p.Close()
		p.Close()
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

func TestRunAllocatesNothing(t *testing.T) {
	p := New(2)
	defer p.Close()
	s := new(sum)
	if n := testing.AllocsPerRun(100, func() { p.Run(s, len(s.parts)) }); n != 0 {
		t.Errorf("%v allocations a run, want 0", n)
	}
}

func BenchmarkRun(b *testing.B) {
	p := New(2)
	defer p.Close()
	s := new(sum)
	for b.Loop() {
		p.Run(s, 2)
	}
}
