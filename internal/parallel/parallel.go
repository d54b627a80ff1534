// Package parallel runs the chunks of one task on a fixed set of goroutines.
//
// It is made for inference steps of 20 microseconds to some milliseconds that
// follow each other closely: workers spin a little before they park, the
// caller works too, and it never waits for a worker that has not started. Each
// goroutine has a range of the chunks that it takes first, so that what a step
// has written is in the cache of the core that reads it in the next; then it
// takes from the others'.
package parallel

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A Task is work cut into chunks that may run in any order and at once.
type Task interface {
	// Chunk runs chunk i.
	Chunk(i int)
}

// spin is for how long an idle worker looks for work before it parks: longer
// than the gaps between the steps of a network, where one goroutine waits for
// another or works alone. To wake a worker takes 50 to 250 microseconds, a step
// as long; a worker that spins between two inferences wastes this much.
const spin = 300 * time.Microsecond

// looks is how often a worker looks for work between two glances at the clock.
const looks = 64

// A caller that is through waits for workers that hold a chunk. Longer than
// patience, and than some of its own chunks took, means that a worker has lost
// its core to another process, for milliseconds maybe. The caller then sleeps,
// so that the worker can have its core, and does without workers for some time,
// twice as long after each time that it happens again. The first sleep of a
// goroutine allocates its timer, and may have the scheduler start a thread.
const (
	patience   = 100 * time.Microsecond
	someChunks = 4
	leastAlone = time.Millisecond
	mostAlone  = 64 * time.Millisecond
	forgiven   = 4 // times as long without a loss begins anew
)

// A Pool runs tasks on up to n goroutines, the caller's among them.
// One goroutine at a time may call Run.
type Pool struct {
	task    Task
	shares  []share       // of the caller, then of each worker
	running atomic.Int64  // workers that may hold a chunk
	seq     atomic.Uint64 // odd while a task is open
	wake    []chan struct{}
	parked  []atomic.Bool
	wg      sync.WaitGroup
	closed  atomic.Bool

	solo  bool          // the caller is told to do without workers
	until time.Time     // or does for now,
	alone time.Duration // for so long when it last did
}

// A share is a range of chunks. It has a cache line of its own.
type share struct {
	next atomic.Int64 // next chunk to claim
	end  int64
	_    [48]byte
}

// New returns a pool of n goroutines including the caller's; n-1 are started.
func New(n int) *Pool {
	p := &Pool{shares: make([]share, max(n, 1))}
	for i := 1; i < n; i++ {
		p.wake = append(p.wake, make(chan struct{}, 1))
	}
	p.parked = make([]atomic.Bool, len(p.wake))
	for i := range p.wake {
		p.wg.Add(1)
		go p.work(i)
	}
	return p
}

// Threads returns how many goroutines run a task, the caller's included.
func (p *Pool) Threads() int { return len(p.wake) + 1 }

// Alone has the caller run tasks without the workers, or with them again.
func (p *Pool) Alone(alone bool) { p.solo = alone }

// Close ends the workers and waits for them. The pool may not be used after.
func (p *Pool) Close() {
	if p.closed.Swap(true) {
		return
	}
	for i := range p.wake {
		p.signal(i)
	}
	p.wg.Wait()
}

// Run runs chunks 0 to n-1 of t and returns when all have ended.
func (p *Pool) Run(t Task, n int) {
	var start time.Time
	alone := len(p.wake) == 0 || n <= 1 || p.solo
	if !alone {
		start = time.Now()
		alone = start.Before(p.until)
	}
	if alone {
		for i := range n {
			t.Chunk(i)
		}
		return
	}
	p.task = t
	for i := range p.shares {
		p.shares[i].next.Store(int64(i * n / len(p.shares)))
		p.shares[i].end = int64((i + 1) * n / len(p.shares))
	}
	p.seq.Add(1) // opens: workers see the task from here on
	for i := range min(len(p.wake), n-1) {
		if p.parked[i].Load() {
			p.signal(i)
		}
	}
	chunks := p.drain(0)
	p.seq.Add(1) // closes: no worker enters any more
	p.wait(start, chunks)
	p.task = nil
}

// wait waits for the workers that hold a chunk, after the caller has run so many
// since start.
func (p *Pool) wait(start time.Time, chunks int) {
	if p.running.Load() == 0 {
		return
	}
	end := time.Now()
	limit := max(patience, someChunks*end.Sub(start)/time.Duration(max(chunks, 1)))
	lost := false
	for p.running.Load() != 0 {
		runtime.Gosched()
		if lost = time.Since(end) > limit; lost {
			time.Sleep(patience)
		}
	}
	if !lost {
		return
	}
	now := time.Now()
	if now.Sub(p.until) > forgiven*p.alone {
		p.alone = 0
	}
	p.alone = min(max(2*p.alone, leastAlone), mostAlone)
	p.until = now.Add(p.alone)
}

// drain claims and runs chunks until none is left, those of its own share
// first, and returns how many it ran.
func (p *Pool) drain(own int) (chunks int) {
	for k := range p.shares {
		s := &p.shares[(own+k)%len(p.shares)]
		for {
			i := s.next.Add(1) - 1
			if i >= s.end {
				break
			}
			p.task.Chunk(int(i))
			chunks++
		}
	}
	return chunks
}

func (p *Pool) signal(i int) {
	select {
	case p.wake[i] <- struct{}{}:
	default:
	}
}

func (p *Pool) work(i int) {
	defer p.wg.Done()
	var done uint64     // the last task this worker took part in
	idle := 0           // looks since then
	var since time.Time // when they began
	for {
		if p.closed.Load() {
			return
		}
		if s := p.seq.Load(); s&1 == 1 && s != done {
			// Announce first, look again after: the caller closes before it
			// waits for running to fall to zero, so one of the two sees the other.
			p.running.Add(1)
			if p.seq.Load() == s {
				p.drain(i + 1)
			}
			p.running.Add(-1)
			done, idle = s, 0
			continue
		}
		if idle == 0 {
			since = time.Now()
		}
		if idle++; idle%looks > 0 {
			continue
		}
		runtime.Gosched()
		passed := time.Since(since)
		if p.seq.Load()&1 == 1 && passed > 2*patience {
			time.Sleep(patience) // the caller may be without a core
		}
		if passed < spin {
			continue
		}
		p.parked[i].Store(true)
		if s := p.seq.Load(); (s&1 == 0 || s == done) && !p.closed.Load() {
			<-p.wake[i]
		}
		p.parked[i].Store(false)
		idle = 0
	}
}
