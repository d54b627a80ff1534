package prune

import (
	"fmt"
	"math"
)

// An amount is how many of some units are to be gone after a step.
type amount struct {
	fraction float64
	count    int // instead of the fraction where it is not 0
	ofLeft   bool
	schedule Schedule
	step     int // of the schedule, from 1
}

// of returns how many of n units are gone after the step, of which some were
// empty before the first. Halves go to the even number, as in
// torch.nn.utils.prune.
func (a amount) of(n, empty int) (int, error) {
	base, gone := n, 0
	if a.ofLeft {
		base, gone = n-empty, empty
	}
	if a.count > base {
		return 0, fmt.Errorf("a count of %d units where there are %d", a.count, base)
	}
	if a.count > 0 {
		gone += a.count
	} else {
		gone += share(a.fraction, base)
	}
	if gone <= empty || a.step == a.schedule.steps() {
		return gone, nil
	}
	return share(a.schedule.at(a.step, float64(empty)/float64(n), float64(gone)/float64(n)), n), nil
}

// share is a fraction of n, halves to even.
func share(fraction float64, n int) int { return int(math.RoundToEven(fraction * float64(n))) }
