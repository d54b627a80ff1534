package prune

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Scope says how many units each layer loses: which weights compete with each
// other. Inside a layer those of the smallest scores go. The scopes are [Local],
// [Global], [GlobalNormalized], [LAMP], [ERK], [OWL], [Layerwise] and
// [Threshold]; a nil one is Local.
type Scope interface {
	fmt.Stringer
	check(o Options) error
	// counts returns how many units of each layer are gone after a step.
	counts(c *contest) ([]int, error)
}

// A contest is the units of all layers in one step.
type contest struct {
	layers []Layer
	units  []int // of each layer
	empty  []int // of those, the units that were so before the first step
	amount amount
	// scores visits those of the units of a layer, in order, some at a time.
	scores func(layer int, visit func(scores []float32)) error
}

// sparsity returns the fraction of all units that the amount is.
func (c *contest) sparsity() (float64, error) {
	n, empty := 0, 0
	for i := range c.units {
		n += c.units[i]
		empty += c.empty[i]
	}
	k, err := c.amount.of(n, empty)
	return float64(k) / float64(n), err
}

// ParseScope reads the name of a scope that a name says all of, with the floor of
// those that have one.
func ParseScope(s string, floor float64) (Scope, error) {
	scopes := []Scope{Global{floor}, GlobalNormalized{floor}, LAMP{floor}, Local{}, ERK{}, OWL{}}
	for i, scope := range scopes {
		if s != scope.String() {
			continue
		}
		if i > 2 && floor != 0 {
			return nil, fmt.Errorf("a floor of %g for the scope %s, expected one only where layers compete: global, global-normalized or lamp", floor, s)
		}
		return scope, checkFloor(floor)
	}
	return nil, fmt.Errorf("scope %q: expected global, global-normalized, lamp, local, erk or owl", s)
}

// Local takes the same fraction, or count, of every layer.
type Local struct{}

func (Local) String() string      { return "local" }
func (Local) check(Options) error { return nil }

func (Local) counts(c *contest) ([]int, error) {
	n := make([]int, len(c.layers))
	for i, l := range c.layers {
		var err error
		if n[i], err = c.amount.of(c.units[i], c.empty[i]); err != nil {
			return nil, fmt.Errorf("weight %q: %w", l.Weight, err)
		}
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

func (g Global) counts(c *contest) ([]int, error) {
	return c.shares(g.Floor, 0, func(int, float64) measure {
		return func(key uint32, _ float64) float64 { return float64(key) }
	})
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

func (g GlobalNormalized) counts(c *contest) ([]int, error) {
	return c.shares(g.Floor, 1, func(i int, sum float64) measure {
		mean := sum / float64(c.units[i])
		if mean == 0 || math.IsInf(mean, 0) || math.IsNaN(mean) {
			mean = 1 // nothing to go by
		}
		return func(key uint32, _ float64) float64 { return magnitude(key) / mean }
	})
}

// LAMP compares layers by the square of a score over the sum of those squares
// in the layer that are not smaller: by how much of what is left a weight is. So
// the largest of each layer go last of all. Inside a layer it changes nothing.
//
// Source: Lee et al., Layer-Adaptive Sparsity for the Magnitude-Based Pruning,
// 2021.
type LAMP struct {
	Floor float64 // as in [Global]
}

func (LAMP) String() string          { return "lamp" }
func (g LAMP) check(_ Options) error { return checkFloor(g.Floor) }

func (g LAMP) counts(c *contest) ([]int, error) {
	return c.shares(g.Floor, 2, func(int, float64) measure {
		return func(key uint32, above float64) float64 {
			x := magnitude(key)
			switch {
			case x == 0:
				return 0
			case math.IsInf(x, 0):
				return 1
			}
			return x * x / (above + x*x)
		}
	})
}

// ERK gives each layer a density in proportion to the sum of its extents over
// their product, so that large layers lose most: Erdos-Renyi with kernel.
//
// Source: Evci et al., Rigging the Lottery: Making All Tickets Winners, 2020.
type ERK struct{}

func (ERK) String() string      { return "erk" }
func (ERK) check(Options) error { return nil }

func (ERK) counts(c *contest) ([]int, error) {
	raw := make([]float64, len(c.layers))
	for i, l := range c.layers {
		sum, product := 0.0, 1.0
		for _, d := range l.Shape {
			sum += float64(d)
			product *= float64(d)
		}
		raw[i] = sum / product
	}
	s, err := c.sparsity()
	return c.kept(scaled(raw, c.units, 1-s)), err
}

// kept returns the units that go where a density of each layer stays.
func (c *contest) kept(densities []float64) []int {
	n := make([]int, len(densities))
	for i, d := range densities {
		n[i] = share(1-d, c.units[i])
	}
	return n
}

// scaled multiplies the densities by one factor so that their mean, weighted by
// size, is the given one; none exceeds 1.
func scaled(densities []float64, sizes []int, mean float64) []float64 {
	out := make([]float64, len(densities))
	full := make([]bool, len(densities))
	for {
		want, have := 0.0, 0.0 // of those that are not full
		for i, size := range sizes {
			want += mean * float64(size)
			if full[i] {
				want -= float64(size)
			} else {
				have += densities[i] * float64(size)
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

// OWL lets layers with many outliers keep more: densities differ by up to twice
// Spread in proportion to the fraction of scores that exceed Outlier times the
// mean of their layer. It is meant for the scores of Wanda, and works with any.
//
// Source: Yin et al., Outlier Weighed Layerwise Sparsity, 2023.
type OWL struct {
	Outlier float64 // 0 is 5
	Spread  float64 // λ of the paper; 0 is 0.08
}

func (OWL) String() string { return "owl" }

func (o OWL) check(Options) error {
	if !(o.Outlier >= 0 && o.Spread >= 0 && o.Spread <= 1) {
		return fmt.Errorf("outliers of %v times the mean and a spread of %v: expected positive numbers, the spread up to 1", o.Outlier, o.Spread)
	}
	return nil
}

func (o OWL) counts(c *contest) ([]int, error) {
	outlier, spread := o.Outlier, o.Spread
	if outlier == 0 {
		outlier = 5
	}
	if spread == 0 {
		spread = 0.08
	}
	ratios := make([]float64, len(c.layers))
	for i := range c.layers {
		sum := 0.0
		err := c.scores(i, func(scores []float32) {
			for _, x := range scores {
				sum += math.Abs(float64(x))
			}
		})
		if err != nil {
			return nil, err
		}
		limit, n := outlier*sum/float64(c.units[i]), 0
		err = c.scores(i, func(scores []float32) {
			for _, x := range scores {
				if math.Abs(float64(x)) > limit {
					n++
				}
			}
		})
		if err != nil {
			return nil, err
		}
		ratios[i] = float64(n) / float64(c.units[i])
	}
	least, most := slices.Min(ratios), slices.Max(ratios)
	if most > least {
		for i, r := range ratios {
			ratios[i] = (r - least) / (most - least) * 2 * spread
		}
	} else {
		clear(ratios)
	}
	s, err := c.sparsity()
	return c.kept(shifted(ratios, c.units, 1-s)), err
}

// shifted adds one number to the densities so that their mean, weighted by size,
// is the given one; none leaves 0 to 1.
func shifted(densities []float64, sizes []int, mean float64) []float64 {
	out := make([]float64, len(densities))
	low, high := -1.0, 1.0
	for range 64 {
		shift, sum, total := (low+high)/2, 0.0, 0.0
		for i, d := range densities {
			out[i] = min(1, max(0, d+shift))
			sum += out[i] * float64(sizes[i])
			total += float64(sizes[i])
		}
		if sum < mean*total {
			low = shift
		} else {
			high = shift
		}
	}
	return out
}

// Layerwise takes of each layer the fraction that its weight's name has here,
// and nothing of the others. [Options.Sparsity] is zero beside it.
type Layerwise map[string]float64

func (Layerwise) String() string { return "layerwise" }

func (w Layerwise) check(o Options) error {
	if o.Sparsity != 0 || o.Count != 0 {
		return fmt.Errorf("a sparsity of all beside one for each layer")
	}
	for _, name := range slices.Sorted(maps.Keys(w)) {
		if s := w[name]; !(s >= 0 && s <= 1) {
			return fmt.Errorf("sparsity %v of weight %q: expected a fraction between 0 and 1", s, name)
		}
	}
	return nil
}

func (w Layerwise) counts(c *contest) ([]int, error) {
	n := make([]int, len(c.layers))
	found := 0
	for i, l := range c.layers {
		s, ok := w[l.Weight]
		if !ok {
			continue
		}
		found++
		a := c.amount
		a.fraction = s
		n[i], _ = a.of(c.units[i], c.empty[i]) // has no count to be too large
	}
	if found < len(w) {
		for _, name := range slices.Sorted(maps.Keys(w)) {
			if !slices.ContainsFunc(c.layers, func(l Layer) bool { return l.Weight == name }) {
				return nil, fmt.Errorf("a sparsity of weight %q, which is none of the %d weights to prune", name, len(c.layers))
			}
		}
	}
	return n, nil
}

// Threshold takes all units whose scores are smaller than a number, so that it
// says of itself how much goes: [Options.Sparsity] is zero beside it.
type Threshold struct {
	Value float64
	// Std makes it a multiple of the standard deviation of the scores of a layer,
	// which for [Magnitude] is that of its weights: the quality parameter of Han
	// et al., 2015.
	Std bool
}

func (t Threshold) String() string {
	if t.Std {
		return fmt.Sprintf("threshold %gstd", t.Value)
	}
	return fmt.Sprintf("threshold %g", t.Value)
}

// ParseThreshold reads a number, or a multiple of the standard deviation such as
// 1.5std.
func ParseThreshold(s string) (Threshold, error) {
	number, std := strings.CutSuffix(s, "std")
	v, err := strconv.ParseFloat(number, 64)
	t := Threshold{v, std}
	if err != nil || !t.valid() {
		return t, fmt.Errorf("threshold %q: expected a positive number, or a multiple of the standard deviation such as 1.5std", s)
	}
	return t, nil
}

func (t Threshold) valid() bool { return t.Value >= 0 && !math.IsInf(t.Value, 1) }

func (t Threshold) check(o Options) error {
	switch {
	case !t.valid():
		return fmt.Errorf("a threshold of %v: expected a positive number", t.Value)
	case o.Sparsity != 0 || o.Count != 0:
		return fmt.Errorf("a sparsity beside a threshold, which decides how much goes")
	case o.Schedule.steps() > 1:
		return fmt.Errorf("a schedule of %d steps beside a threshold, which is reached in one", o.Schedule.steps())
	}
	return nil
}

func (t Threshold) counts(c *contest) ([]int, error) {
	n := make([]int, len(c.layers))
	for i := range c.layers {
		limit := t.Value
		if t.Std {
			std, err := c.deviation(i)
			if err != nil {
				return nil, err
			}
			limit *= std
		}
		err := c.scores(i, func(scores []float32) {
			for _, x := range scores {
				if math.Abs(float64(x)) < limit {
					n[i]++
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return n, nil
}

func checkFloor(floor float64) error {
	if !(floor >= 0 && floor < 1) {
		return fmt.Errorf("a floor of %v: expected a fraction of at least 0 and below 1", floor)
	}
	return nil
}

// deviation returns the standard deviation of the scores of a layer.
func (c *contest) deviation(layer int) (float64, error) {
	n, mean, squares := float64(c.units[layer]), 0.0, 0.0
	err := c.scores(layer, func(scores []float32) {
		for _, x := range scores {
			mean += float64(x) / n
		}
	})
	if err != nil {
		return 0, err
	}
	err = c.scores(layer, func(scores []float32) {
		for _, x := range scores {
			d := float64(x) - mean
			squares += d * d
		}
	})
	return math.Sqrt(squares / n), err
}
