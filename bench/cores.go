package bench

import (
	"context"
	stdruntime "runtime"
	"slices"
	"sync/atomic"
	"time"
)

// A CoreDistance is how long a cache line takes from one core to another and
// back, in nanoseconds: 100 or so between cores that share a cache, several
// times as much between others. Threads exchange their results by it, so that
// what a second one gains depends on it as on nothing else; on a virtual machine
// it changes while it runs.
type CoreDistance struct {
	Median float64 `json:"median_ns"` // of the rounds of a comparison
	Least  float64 `json:"least_ns"`
	Most   float64 `json:"most_ns"`
}

const (
	roundTrips = 500 // of a measurement
	// longTrip is after how long it is over in any case: one of the two
	// goroutines may be without a core.
	longTrip = 5 * time.Millisecond
)

// roundTrip measures the distance of cores, in turns with what else there is. It
// is 0 where there is one core, or where one of two was busy.
func roundTrip(context.Context) (time.Duration, error) {
	if min(stdruntime.NumCPU(), stdruntime.GOMAXPROCS(0)) < 2 {
		return 0, nil
	}
	// Odd where the other goroutine has it. On a line of its own.
	ball := new(struct {
		_ [64]byte
		n atomic.Int64
		_ [64]byte
	})
	const over = -1
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			switch n := ball.n.Load(); {
			case n == over:
				return
			case n%2 == 1:
				ball.n.CompareAndSwap(n, n+1)
			}
		}
	}()
	begin := time.Now()
	var start time.Time
	for n := int64(0); n < 2*roundTrips; n += 2 {
		if n == roundTrips { // both are under way
			start = time.Now()
		}
		ball.n.Store(n + 1)
		for spins := 1; ball.n.Load() != n+2; spins++ {
			if spins%1024 == 0 && time.Since(begin) > longTrip {
				ball.n.Store(over)
				<-done
				return 0, nil
			}
		}
	}
	took := time.Since(start) / (roundTrips / 2)
	ball.n.Store(over)
	<-done
	return took, nil
}

// distanceOf sums up what was measured, nil for nothing.
func distanceOf(trips []time.Duration) *CoreDistance {
	trips = slices.DeleteFunc(slices.Clone(trips), func(d time.Duration) bool { return d == 0 })
	if len(trips) == 0 {
		return nil
	}
	middle := float64(median(trips)) // which sorts them
	return &CoreDistance{middle, float64(trips[0]), float64(trips[len(trips)-1])}
}
