package prune

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/graph"
)

func TestSchedules(t *testing.T) {
	cases := []struct {
		kind ScheduleKind
		want []float64 // from 0.2 to 0.9 in 4 steps
	}{
		{Linear, []float64{0.375, 0.55, 0.725, 0.9}},
		{Cubic, []float64{0.9 - 0.7*27/64, 0.9 - 0.7/8, 0.9 - 0.7/64, 0.9}},
		{Geometric, []float64{1 - 0.8*math.Pow(0.125, 0.25), 1 - 0.8*math.Pow(0.125, 0.5), 1 - 0.8*math.Pow(0.125, 0.75), 0.9}},
	}
	for _, c := range cases {
		for i, want := range c.want {
			if got := (Schedule{c.kind, 4}).at(i+1, 0.2, 0.9); math.Abs(got-want) > 1e-12 {
				t.Errorf("%v, step %d: %g, want %g", c.kind, i+1, got, want)
			}
		}
	}
	for _, bad := range []Schedule{{OneShot, 2}, {Linear, -1}, {Cubic, maxSteps + 1}} {
		if bad.check() == nil {
			t.Errorf("%d steps of %d were accepted", bad.Steps, bad.Kind)
		}
	}
	for _, name := range []string{"one-shot", "linear", "cubic", "geometric"} {
		if s, err := ParseSchedule(name, 1); err != nil || s.Kind.String() != name {
			t.Errorf("%q reads as %v, error %v", name, s, err)
		}
	}
	if _, err := ParseSchedule("square", 2); err == nil {
		t.Error("a schedule \"square\" was accepted")
	}
}

// watcher is the magnitude, and keeps the zeros that it was calibrated with.
type watcher struct {
	Magnitude
	zeros []int
}

func (w *watcher) Calibrate(_ context.Context, m *graph.Model, layers []Layer) error {
	w.zeros = append(w.zeros, countKey(m.Weights[layers[0].Weight].Floats(), 0))
	return nil
}

func TestScheduleCalibratesEachStep(t *testing.T) {
	v := slices.Clone(random(1, 10, 100).Floats())
	for i := range 100 {
		v[i*10] = 0
	}
	m := newModel(gemm("a", v...))
	for _, c := range []struct {
		o    Options
		want []int // zeros before each step, then at the end
	}{
		{Options{Sparsity: 0.5, Schedule: Schedule{Linear, 4}}, []int{100, 200, 300, 400, 500}},
		{Options{Count: 500, Scope: Global{}, Schedule: Schedule{Linear, 2}}, []int{100, 300, 500}},
		{Options{Sparsity: 0.5, OfLeft: true, Schedule: Schedule{Linear, 3}}, []int{100, 250, 400, 550}},
		{Options{Sparsity: 0.95, Schedule: Schedule{Geometric, 2}}, []int{100, 788, 950}},
		{Options{Sparsity: 0.05, Schedule: Schedule{Cubic, 2}}, []int{100, 100, 100}}, // has more already
	} {
		w := &watcher{}
		c.o.Criterion = w
		last := zerosIn(t, m, c.o)[0]
		got := append(slices.Clone(w.zeros), last)
		if !slices.Equal(got, c.want) {
			t.Errorf("%v of %g, %d: zeros %v, want %v", c.o.Schedule, c.o.Sparsity, c.o.Count, got, c.want)
		}
		// Of magnitudes, steps end where one does.
		stepped, r, err := Apply(t.Context(), m, c.o)
		if err != nil {
			t.Fatal(err)
		}
		c.o.Schedule, c.o.Criterion = Schedule{}, nil
		once, r1, err := Apply(t.Context(), m, c.o)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(stepped.Weights["a.weight"].Floats(), once.Weights["a.weight"].Floats()) || r.Layers[0].Error != r1.Layers[0].Error {
			t.Errorf("%v: steps end elsewhere than one", c.o)
		}
	}
}
