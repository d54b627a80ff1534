package prune

import (
	"fmt"
	"math"
)

// A Schedule reaches the sparsity in steps. Before each the criterion scores
// what the steps before have left, and a [Calibrated] one is calibrated again.
// The zero value is one step.
type Schedule struct {
	Kind  ScheduleKind
	Steps int // 0 is 1
}

// ScheduleKind is the curve of the sparsity over the steps.
type ScheduleKind uint8

// The curves.
const (
	OneShot   ScheduleKind = iota // all at once
	Linear                        // the same number of weights in each step
	Cubic                         // most in the first steps, few in the last: Zhu & Gupta, To Prune, or Not to Prune, 2017
	Geometric                     // the same fraction of what is left in each step: Frankle & Carbin, The Lottery Ticket Hypothesis, 2019
)

var scheduleNames = [...]string{"one-shot", "linear", "cubic", "geometric"}

func (k ScheduleKind) String() string { return scheduleNames[k] }

func (s Schedule) String() string {
	if s.steps() == 1 {
		return OneShot.String()
	}
	return fmt.Sprintf("%v in %d steps", s.Kind, s.Steps)
}

// ParseSchedule reads the name of a curve, for a number of steps.
func ParseSchedule(kind string, steps int) (Schedule, error) {
	for k, name := range scheduleNames {
		if kind == name {
			s := Schedule{ScheduleKind(k), steps}
			return s, s.check()
		}
	}
	return Schedule{}, fmt.Errorf("schedule %q: expected one-shot, linear, cubic or geometric", kind)
}

// maxSteps bounds what is certainly a mistake.
const maxSteps = 10_000

func (s Schedule) check() error {
	if s.Steps < 0 || s.Steps > maxSteps {
		return fmt.Errorf("a schedule of %d steps: expected 1 to %d", s.Steps, maxSteps)
	}
	if s.Kind == OneShot && s.Steps > 1 {
		return fmt.Errorf("a schedule of %d steps that is one-shot: expected linear, cubic or geometric", s.Steps)
	}
	return nil
}

func (s Schedule) steps() int { return max(1, s.Steps) }

// at returns the sparsity after a step, counted from 1, between that before the
// first and that after the last.
func (s Schedule) at(step int, first, last float64) float64 {
	if step >= s.steps() {
		return last
	}
	t := float64(step) / float64(s.steps())
	switch s.Kind {
	case Cubic:
		return last + (first-last)*(1-t)*(1-t)*(1-t)
	case Geometric:
		return 1 - (1-first)*math.Pow((1-last)/(1-first), t)
	}
	return first + (last-first)*t
}
