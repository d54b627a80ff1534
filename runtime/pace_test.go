package runtime

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	for _, c := range []struct {
		name          string
		with, without time.Duration
	}{
		{"workers help", 6, 10},
		{"workers are in the way", 10, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p pace
			runs := [2]int{}
			step := func(with, without time.Duration) {
				took, way := with, 0
				if p.alone {
					took, way = without, 1
				}
				runs[way]++
				p.ran(took)
			}
			step(1, 1) // the first one does not count
			for range trialRuns {
				step(c.with, c.without)
			}
			if runs != [2]int{1 + trialRuns/2, trialRuns / 2} {
				t.Fatalf("a trial has %v runs with and without workers", runs)
			}
			if alone := c.without < c.with; p.alone != alone {
				t.Fatalf("after a trial, alone is %t", p.alone)
			}
			first := p.alone
			for range steadyRuns {
				if p.alone != first {
					t.Fatal("changes its mind between trials")
				}
				step(c.with, c.without)
			}
			for range trialRuns {
				step(c.without, c.with) // things have changed
			}
			if p.alone == first {
				t.Fatal("does not change its mind in a later trial")
			}
		})
	}
}

// TestPaceInNoise has the first runs of a trial meet something else that takes
// the cores: that says nothing about workers.
func TestPaceInNoise(t *testing.T) {
	for noisy := range trialRuns/2 + 1 {
		var p pace
		p.ran(1)
		for i := range trialRuns {
			took := time.Duration(6)
			if p.alone {
				took = 10
			}
			if i < noisy {
				took *= 20
			}
			p.ran(took)
		}
		if p.alone {
			t.Errorf("%d noisy runs of %d: alone, though workers help", noisy, trialRuns)
		}
	}
}
