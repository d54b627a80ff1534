package sweep

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestChoose(t *testing.T) {
	free := [][]option{{{0, 0}, {0, 1}}, {{0, 2}, {1, 0}}}
	tests := []struct {
		name   string
		layers [][]option
		budget float64
		loss   float64 // the least; -1 where there is none
	}{
		{"no layers", nil, 1, 0},
		{"nothing to spend", free, 0, 2},
		{"enough", free, 1, 0},
		{"dense does not fit", [][]option{{{10, 0}, {6, 1}, {1, 9}}, {{10, 0}, {6, 2}, {2, 3}}}, 12, 3},
		{"one layer gives all", [][]option{{{15, 0}, {1, 1}}, {{15, 0}, {1, 50}}}, 16, 1},
		{"more zeros that are slower", [][]option{{{10, 0}, {11, 1}, {4, 2}}}, 10, 0},
		{"less than least", [][]option{{{10, 0}, {6, 1}}}, 5, -1},
		// The grid rounds three tenths up, and they are still within the budget.
		{"just the least", [][]option{{{.1, 3}}, {{.1, 2}}, {{.1, 1}}}, .1 + .1 + .1, 6},
		{"just the least of many", [][]option{{{1. / 3, 3}}, {{1. / 7, 2}}, {{1. / 11, 1}}}, 1./3 + 1./7 + 1./11, 6},
	}
	for _, test := range tests {
		picks, ok := choose(test.layers, test.budget)
		if ok != (test.loss >= 0) {
			t.Errorf("%s: ok is %v", test.name, ok)
			continue
		}
		if !ok {
			continue
		}
		if cost, loss := total(test.layers, picks); cost > test.budget*(1+1e-12) || loss != test.loss {
			t.Errorf("%s: %v cost %v of %v and lose %v, want %v", test.name, picks, cost, test.budget, loss, test.loss)
		}
	}
}

// TestChooseAll compares with all combinations. Costs are whole steps of the
// grid, so that the least loss is found exactly; those that are not may cost
// as much as rounding wastes.
func TestChooseAll(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	for trial := range 60 {
		layers := make([][]option, 1+r.IntN(5))
		least, most := 0.0, 0.0
		whole := trial%2 == 0
		for i := range layers {
			layers[i] = make([]option, 1+r.IntN(5))
			low, high := math.Inf(1), 0.0
			for j := range layers[i] {
				o := option{cost: float64(r.IntN(40)), loss: r.ExpFloat64()}
				if !whole {
					o.cost = 40 * r.Float64()
				}
				layers[i][j] = o
				low, high = min(low, o.cost), max(high, o.cost)
			}
			least, most = least+low, most+high
		}
		budget := math.Floor(least-1+r.Float64()*(most-least+2)) + 1
		if whole {
			budget = float64(int(1) << r.IntN(8)) // of which a step is a whole fraction
		}
		want := brute(layers, budget)
		picks, ok := choose(layers, budget)
		if ok != !math.IsInf(want, 1) {
			t.Fatalf("trial %d: ok is %v, the least loss %v", trial, ok, want)
		}
		if !ok {
			continue
		}
		cost, loss := total(layers, picks)
		if cost > budget {
			t.Errorf("trial %d: costs %v of %v", trial, cost, budget)
		}
		bound := want
		if !whole {
			// What fits into a budget that rounding has made smaller is found.
			bound = brute(layers, budget*(1-float64(len(layers))/gridSteps))
		}
		if loss < want-1e-12 || loss > bound+1e-12 {
			t.Errorf("trial %d: loses %v, the least is %v", trial, loss, want)
		}
	}
}

func total(layers [][]option, picks []int) (cost, loss float64) {
	for i, j := range picks {
		cost += layers[i][j].cost
		loss += layers[i][j].loss
	}
	return cost, loss
}

// brute returns the least loss of all combinations that fit.
func brute(layers [][]option, budget float64) float64 {
	if budget < 0 {
		return math.Inf(1)
	}
	if len(layers) == 0 {
		return 0
	}
	best := math.Inf(1)
	for _, o := range layers[0] {
		best = min(best, o.loss+brute(layers[1:], budget-o.cost))
	}
	return best
}
