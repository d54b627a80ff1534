package bench

import (
	stdruntime "runtime"
	"testing"
	"time"
)

// TestRoundTrip: the distance of two cores is measured, and that of one from
// itself is not.
func TestRoundTrip(t *testing.T) {
	if d := distanceOf(nil); d != nil {
		t.Errorf("nothing was measured, got %+v", d)
	}
	old := stdruntime.GOMAXPROCS(1)
	defer stdruntime.GOMAXPROCS(old)
	if took, err := roundTrip(t.Context()); took != 0 || err != nil || distanceOf([]time.Duration{took}) != nil {
		t.Errorf("%v, %v on one processor: want nothing", took, err)
	}
	stdruntime.GOMAXPROCS(old)
	if min(old, stdruntime.NumCPU()) < 2 {
		t.Skip("one processor: there is no other core")
	}
	// One of the two may be without a core for a while, beside other tests.
	var trips []time.Duration
	for measured := 0; len(trips) < 1000 && measured < 3; {
		took, err := roundTrip(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if trips = append(trips, took); took > 0 {
			measured++
		}
	}
	d := distanceOf(trips)
	if d == nil {
		t.Fatal("nothing was measured")
	}
	if d.Least <= 0 || d.Median < d.Least || d.Most < d.Median || d.Most > float64(2*longTrip) {
		t.Errorf("distances %+v", *d)
	}
}
