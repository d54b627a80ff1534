package bench

import (
	stdruntime "runtime"
	"testing"
)

// TestRoundTrip: the distance of two cores is measured, and that of one from
// itself is not.
func TestRoundTrip(t *testing.T) {
	var r roundTrip
	if d := r.distance(); d != nil {
		t.Errorf("nothing was measured, got %+v", d)
	}
	old := stdruntime.GOMAXPROCS(1)
	defer stdruntime.GOMAXPROCS(old)
	if took, err := r.run(t.Context()); took != 0 || err != nil || r.distance() != nil {
		t.Errorf("%v, %v on one processor: want nothing", took, err)
	}
	stdruntime.GOMAXPROCS(old)
	if min(old, stdruntime.NumCPU()) < 2 {
		t.Skip("one processor")
	}
	// One of the two may be without a core for a while, beside other tests.
	for range 1000 {
		if _, err := r.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(r.times) == 3 {
			break
		}
	}
	d := r.distance()
	if d == nil {
		t.Fatal("nothing was measured")
	}
	if d.Least <= 0 || d.Median < d.Least || d.Most < d.Median || d.Most > float64(2*longTrip) {
		t.Errorf("distances %+v", *d)
	}
}
