package sweep

import "math"

// An option is one of the things that can be done to a layer.
type option struct {
	cost float64 // of what there is a budget of
	loss float64 // what is to be least
}

// gridSteps is how finely a budget is divided: costs are rounded up to a step,
// which for a hundred layers wastes 0.3 % of it at most.
const gridSteps = 1 << 15

// choose picks an option of every layer so that the costs sum up to no more than
// the budget and the sum of losses is the least: a multiple-choice knapsack, by
// dynamic programming over a grid of costs (Kellerer, Pferschy and Pisinger,
// Knapsack Problems, 2004, chapter 11). Among equal sums the earlier options of
// the last layers win. ok is false where the budget is below the least costs.
func choose(layers [][]option, budget float64) (picks []int, ok bool) {
	least := 0.0
	for _, options := range layers {
		least += options[cheapest(options)].cost
	}
	if least > budget*(1+1e-12) { // sums in another order differ by less
		return nil, false
	}
	step := budget / gridSteps
	best := make([]float64, gridSteps+1) // least loss of the layers so far, by steps spent
	next := make([]float64, gridSteps+1)
	from := make([][]uint16, len(layers)) // the option that it comes from
	for i, options := range layers {
		from[i] = make([]uint16, gridSteps+1)
		for b := range next {
			next[b] = math.Inf(1)
		}
		for j, o := range options {
			c := steps(o.cost, step)
			for b := c; b <= gridSteps; b++ {
				if l := best[b-c] + o.loss; l < next[b] {
					next[b], from[i][b] = l, uint16(j)
				}
			}
		}
		best, next = next, best
	}
	picks = make([]int, len(layers))
	if math.IsInf(best[gridSteps], 1) {
		// Only rounding keeps the cheapest options out.
		for i, options := range layers {
			picks[i] = cheapest(options)
		}
		return picks, true
	}
	b := gridSteps
	for i := len(layers) - 1; i >= 0; i-- {
		picks[i] = int(from[i][b])
		b -= steps(layers[i][picks[i]].cost, step)
	}
	return picks, true
}

// steps rounds a cost up to steps of the grid. What is within rounding errors of
// a step is that step.
func steps(cost, step float64) int {
	if cost <= 0 {
		return 0
	}
	n := math.Ceil(cost/step - 1e-9)
	if !(n <= gridSteps) { // a budget of 0, too
		return gridSteps + 1
	}
	return int(n)
}

// cheapest returns the index of the option that costs least; of several, the
// one that loses least.
func cheapest(options []option) int {
	at := 0
	for i, o := range options {
		if b := options[at]; o.cost < b.cost || o.cost == b.cost && o.loss < b.loss {
			at = i
		}
	}
	return at
}
