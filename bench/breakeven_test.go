package bench

import (
	"context"
	"encoding/json"
	"math"
	"testing"
)

func TestCrossing(t *testing.T) {
	rungs := func(v ...float64) []Rung {
		var r []Rung
		for i := 0; i < len(v); i += 2 {
			r = append(r, Rung{Sparsity: v[i], Speedup: v[i+1]})
		}
		return r
	}
	never := math.NaN()
	cases := []struct {
		name  string
		rungs []Rung
		want  float64
	}{
		{"half-way by ratio", rungs(0, 0.25, 0.4, 0.5, 0.8, 2, 0.9, 4), 0.6},
		{"on a rung", rungs(0, 0.5, 0.5, 1, 0.9, 3), 0.5},
		{"nearer to the slower one", rungs(0.5, 1/1.1, 0.9, 1.1*1.1*1.1), 0.6},
		{"twice, the last counts", rungs(0, 0.5, 0.4, 1.01, 0.6, 0.5, 0.8, 2), 0.7},
		{"always faster", rungs(0.1, 1, 0.5, 2), 0.1},
		{"never faster", rungs(0, 0.3, 0.9, 0.9), never},
		{"slower in the end", rungs(0, 0.5, 0.5, 2, 0.9, 0.9), never},
		{"no rungs", nil, never},
	}
	for _, c := range cases {
		got := crossing(c.rungs)
		switch {
		case got == nil:
			if !math.IsNaN(c.want) {
				t.Errorf("%s: never, want %v", c.name, c.want)
			}
		case !(math.Abs(*got-c.want) < 1e-9):
			t.Errorf("%s: %v, want %v", c.name, *got, c.want)
		}
	}
}

func TestFindBreakEven(t *testing.T) {
	cases := []struct {
		model  string
		ladder []float64
		want   []float64 // sparsities of the rungs
	}{
		{"lenet5", []float64{0, 0.5, 0.9}, []float64{0, 0.5, 0.9}},
		{"lenet5@0.9", []float64{0, 0.5, 0.9, 0.95}, []float64{0.9, 0.95}}, // no rung twice
	}
	for _, c := range cases {
		last := 0.0
		o := Options{Threads: 1, Runs: 2, Progress: func(done float64) {
			if done < last || done > 1 {
				t.Errorf("%s: progress goes from %v to %v", c.model, last, done)
			}
			last = done
		}}
		r, err := FindBreakEven(context.Background(), load(t, c.model), c.ladder, o)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Rungs) != len(c.want) || r.Threads != 1 || r.Batch != 1 || r.ISA == "" || last != 1 {
			t.Fatalf("%s: %+v, progress until %v", c.model, r, last)
		}
		worst := math.Inf(-1)
		for i, rung := range r.Rungs {
			if math.Abs(rung.Sparsity-c.want[i]) > 1e-3 || rung.Zeros > rung.Sparsity+1e-9 || (rung.Zeros > 0) != (rung.Sparsity > 0) {
				t.Errorf("%s: rung %d has sparsity %v and %v zeros, want %v", c.model, i, rung.Sparsity, rung.Zeros, c.want[i])
			}
			if rung.Dense.Runs != 2 || rung.Sparse.Runs != 2 || rung.Auto.Runs != 2 || rung.Speedup != rung.Dense.Min/rung.Sparse.Min {
				t.Errorf("%s: rung %+v", c.model, rung)
			}
			if got := (1 + rung.AutoExcess) * min(rung.Dense.Min, rung.Sparse.Min); math.Abs(got-rung.Auto.Min) > 1e-9 {
				t.Errorf("%s: auto takes %v ms, an excess of %v says %v", c.model, rung.Auto.Min, rung.AutoExcess, got)
			}
			worst = max(worst, rung.AutoExcess)
		}
		if r.AutoExcess != worst {
			t.Errorf("%s: the worst excess is %v, want %v", c.model, r.AutoExcess, worst)
		}
	}
	if _, err := FindBreakEven(context.Background(), load(t, "lenet5"), []float64{2}, Options{Threads: 1}); err == nil {
		t.Error("a sparsity of 2 gave no error")
	}
}

func TestBreakEvenFields(t *testing.T) {
	raw, err := json.Marshal(BreakEven{Rungs: []Rung{{}}})
	if err != nil {
		t.Fatal(err)
	}
	checkFields(t, raw, map[string]string{
		"":      "model isa threads batch break_even auto_excess rungs",
		"rungs": "sparsity zeros dense sparse auto speedup auto_excess",
	})
}
