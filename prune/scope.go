package prune

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// A Scope says how many units each layer loses: which weights compete with each
// other. Inside a layer those of the smallest scores go. The scopes are [Local],
// [Global], [GlobalNormalized], [ERK] and [Layerwise]; a nil one is Local.
type Scope interface {
	fmt.Stringer
	// counts returns how many units each layer loses, given the scores of its
	// units and the fraction of all that goes.
	counts(layers []Layer, scores [][]float32, sparsity float64) ([]int, error)
	check(o Options) error
}

// ParseScope reads the name of a scope, with the floor of those that have one.
func ParseScope(s string, floor float64) (Scope, error) {
	var scope Scope
	switch s {
	case "global":
		scope = Global{Floor: floor}
	case "global-normalized":
		scope = GlobalNormalized{Floor: floor}
	case "local":
		scope = Local{}
	case "erk":
		scope = ERK{}
	default:
		return nil, fmt.Errorf("scope %q: expected local, global, global-normalized or erk", s)
	}
	if s != "global" && s != "global-normalized" && floor != 0 {
		return nil, fmt.Errorf("a floor of %g for the scope %s, expected one only where layers compete: global or global-normalized", floor, s)
	}
	return scope, checkFloor(floor)
}

// Local takes the same fraction of every layer.
type Local struct{}

func (Local) String() string      { return "local" }
func (Local) check(Options) error { return nil }

func (Local) counts(_ []Layer, scores [][]float32, sparsity float64) ([]int, error) {
	n := make([]int, len(scores))
	for i, s := range scores {
		n[i] = share(sparsity, len(s))
	}
	return n, nil
}

// Global takes the smallest of all layers together, wherever they are.
type Global struct {
	// Floor is the fraction of the units of each layer that stays whatever their
	// scores; where it is not zero at least one does. A sparsity that leaves less
	// takes what the floor lets go.
	Floor float64
}

func (Global) String() string          { return "global" }
func (g Global) check(_ Options) error { return checkFloor(g.Floor) }

func (g Global) counts(_ []Layer, scores [][]float32, sparsity float64) ([]int, error) {
	return globalCounts(scores, sparsity, g.Floor), nil
}

// GlobalNormalized is [Global] with the scores of each layer divided by their
// mean magnitude, so that layers of small weights keep their share.
//
// Source: the layer-wise normalisation of Molchanov et al., Pruning Convolutional
// Neural Networks for Resource Efficient Inference, 2017, with the mean in place
// of the L2 norm, which grows with the size of a layer.
type GlobalNormalized struct {
	Floor float64 // as in [Global]
}

func (GlobalNormalized) String() string          { return "global-normalized" }
func (g GlobalNormalized) check(_ Options) error { return checkFloor(g.Floor) }

func (g GlobalNormalized) counts(_ []Layer, scores [][]float32, sparsity float64) ([]int, error) {
	normalized := make([][]float32, len(scores))
	for i, s := range scores {
		sum := 0.0
		for _, x := range s {
			sum += math.Abs(float64(x))
		}
		scale := float64(len(s)) / sum
		normalized[i] = make([]float32, len(s))
		if sum == 0 || math.IsInf(sum, 0) || math.IsNaN(sum) {
			scale = 1 // nothing to go by
		}
		for j, x := range s {
			normalized[i][j] = float32(float64(x) * scale)
		}
	}
	return globalCounts(normalized, sparsity, g.Floor), nil
}

// ERK gives each layer a density in proportion to the sum of its extents over
// their product, so that large layers lose most: Erdos-Renyi with kernel.
//
// Source: Evci et al., Rigging the Lottery: Making All Tickets Winners, 2020.
type ERK struct{}

func (ERK) String() string      { return "erk" }
func (ERK) check(Options) error { return nil }

func (ERK) counts(layers []Layer, scores [][]float32, sparsity float64) ([]int, error) {
	n := make([]int, len(layers))
	sizes, raw := make([]float64, len(layers)), make([]float64, len(layers))
	for i, l := range layers {
		sum, product := 0.0, 1.0
		for _, d := range l.Shape {
			sum += float64(d)
			product *= float64(d)
		}
		sizes[i], raw[i] = float64(len(scores[i])), sum/product
	}
	for i, d := range scaled(raw, sizes, 1-sparsity) {
		n[i] = share(1-d, len(scores[i]))
	}
	return n, nil
}

// scaled multiplies the densities by one factor so that their mean, weighted by
// size, is the given one; none exceeds 1.
func scaled(densities, sizes []float64, mean float64) []float64 {
	out := make([]float64, len(densities))
	full := make([]bool, len(densities))
	for {
		want, have := 0.0, 0.0 // of those that are not full
		for i, size := range sizes {
			want += mean * size
			if full[i] {
				want -= size
			} else {
				have += densities[i] * size
			}
		}
		factor, again := max(0, want)/have, false
		for i, d := range densities {
			switch {
			case full[i]:
			case d*factor > 1:
				full[i], again, out[i] = true, true, 1
			default:
				out[i] = d * factor
			}
		}
		if !again {
			return out
		}
	}
}

// Layerwise takes of each layer the fraction that its weight's name has here,
// and nothing of the others. [Options.Sparsity] is zero beside it.
type Layerwise map[string]float64

func (Layerwise) String() string { return "layerwise" }

func (w Layerwise) check(o Options) error {
	if o.Sparsity != 0 {
		return fmt.Errorf("a sparsity of %g beside one for each layer: expected 0", o.Sparsity)
	}
	for _, name := range slices.Sorted(maps.Keys(w)) {
		if s := w[name]; !(s >= 0 && s <= 1) {
			return fmt.Errorf("sparsity %v of weight %q: expected a fraction between 0 and 1", s, name)
		}
	}
	return nil
}

func (w Layerwise) counts(layers []Layer, scores [][]float32, _ float64) ([]int, error) {
	n := make([]int, len(layers))
	found := 0
	for i, l := range layers {
		s, ok := w[l.Weight]
		if ok {
			found++
			n[i] = share(s, len(scores[i]))
		}
	}
	if found < len(w) {
		for _, name := range slices.Sorted(maps.Keys(w)) {
			if !slices.ContainsFunc(layers, func(l Layer) bool { return l.Weight == name }) {
				return nil, fmt.Errorf("a sparsity of weight %q, which is none of the %d weights to prune", name, len(layers))
			}
		}
	}
	return n, nil
}

// share is how many of n a fraction is: halves go to the even number, as in
// torch.nn.utils.prune.
func share(fraction float64, n int) int { return int(math.RoundToEven(fraction * float64(n))) }

func checkFloor(floor float64) error {
	if !(floor >= 0 && floor < 1) {
		return fmt.Errorf("a floor of %v: expected a fraction of at least 0 and below 1", floor)
	}
	return nil
}

// globalCounts returns how many of the smallest scores of all layers together
// fall to each layer. Ties at the threshold go to the layers in order.
func globalCounts(scores [][]float32, sparsity, floor float64) []int {
	total := 0
	for _, s := range scores {
		total += len(s)
	}
	left := share(sparsity, total)
	counts := make([]int, len(scores))
	compete := make([]int, len(scores)) // the layers that are above their floor
	for i := range scores {
		compete[i] = i
	}
	for {
		var all [][]float32
		n := 0
		for _, i := range compete {
			all = append(all, scores[i])
			n += len(scores[i])
		}
		c := cutAt(all, min(left, n))
		above := compete[:0:0]
		taken := 0
		for _, i := range compete {
			ties := min(c.ties, countKey(scores[i], c.key))
			c.ties -= ties
			counts[i] = ties
			for _, x := range scores[i] {
				if scoreKey(x) < c.key {
					counts[i]++
				}
			}
			if most := len(scores[i]) - floorCount(floor, len(scores[i])); counts[i] > most {
				counts[i] = most
				taken += most
			} else {
				above = append(above, i)
			}
		}
		if len(above) == len(compete) || len(above) == 0 {
			return counts
		}
		left -= taken
		compete = above
	}
}

// floorCount is how many of n units a floor keeps.
func floorCount(floor float64, n int) int { return min(n, int(math.Ceil(floor*float64(n)))) }
