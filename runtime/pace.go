package runtime

import "time"

// A pace finds out whether the runs of a session are faster with the workers of
// its pool or without. Small layers are not worth sharing where cores are far
// from each other, and how far they are only measuring tells: on a virtual
// machine it changes from one hour to the next. Results are the same, to the
// bit.
type pace struct {
	alone bool             // what the next run does
	begun bool             // a first run has touched the memory
	trial bool             // the next runs go with workers and without by turns
	left  int              // runs until a trial ends, or the next one begins
	least [2]time.Duration // of the runs of a trial: with workers, without
}

const (
	trialRuns  = 8   // of a trial
	trialTurn  = 2   // of them in a row with workers, as the first wakes them, then as many without
	steadyRuns = 250 // between trials
)

// ran takes note of how long a run took, and says how the next one goes.
func (p *pace) ran(took time.Duration) {
	if !p.begun {
		p.begun, p.trial, p.left = true, true, trialRuns
		return
	}
	p.left--
	if !p.trial {
		if p.left == 0 {
			*p = pace{begun: true, trial: true, left: trialRuns}
		}
		return
	}
	way := 0
	if p.alone {
		way = 1
	}
	if p.least[way] == 0 || took < p.least[way] {
		p.least[way] = took
	}
	p.alone = (trialRuns-p.left)/trialTurn%2 == 1
	if p.left == 0 {
		p.trial, p.left = false, steadyRuns
		p.alone = p.least[1] < p.least[0]
	}
}
