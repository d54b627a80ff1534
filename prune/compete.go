package prune

import (
	"math"
	"sort"
)

// A measure makes scores of different layers comparable: it maps the key of a
// score of one layer, and the sum of the magnitudes, raised to a power, of the
// scores of that layer that are larger, to a number that does not fall as the
// key rises.
type measure func(key uint32, above float64) float64

// magnitude is the absolute value of a score, given its key; a NaN counts as
// infinite.
func magnitude(key uint32) float64 {
	x := float64(math.Float32frombits(key))
	if x != x {
		return math.Inf(1)
	}
	return x
}

// shares returns how many units of each layer go where those of the smallest
// measures of all layers together do, and of each layer the fraction of a floor
// stays. Ties go to the layers in order. The measure of a layer may be made
// from the sum of the magnitudes of its scores, raised to a power, which the
// numbers above are then sums of; 0 where no measure looks at either.
//
// Nothing is sorted and no scores are kept. A first pass counts scores by the
// upper half of their keys; that gives bounds for the measure at which to cut.
// A second one counts by whole keys what lies between the bounds.
func (c *contest) shares(floor float64, power int, measureOf func(layer int, sum float64) measure) ([]int, error) {
	ladders := make([]ladder, len(c.layers))
	most, n, empty := 0, 0, 0
	for i := range c.layers {
		h := newHistogram(power)
		if err := c.scores(i, h.add); err != nil {
			return nil, err
		}
		ladders[i] = ladder{measure: measureOf(i, h.sum()), power: power, most: c.units[i] - floorOf(floor, c.units[i])}
		ladders[i].coarse(h)
		most += ladders[i].most
		n += c.units[i]
		empty += c.empty[i]
	}
	k, err := c.amount.of(n, empty)
	if err != nil {
		return nil, err
	}
	k = min(k, most)
	if k == 0 {
		return make([]int, len(ladders)), nil
	}
	low := smallest(ladders, k, ladder.mayGo)
	high := smallest(ladders, k, ladder.goes)
	for i := range ladders {
		first, last := ladders[i].between(low, high)
		if first == last {
			continue
		}
		if err := ladders[i].refine(func(visit func([]float32)) error { return c.scores(i, visit) }, first, last); err != nil {
			return nil, err
		}
	}
	// What lies at the cut itself is shared out in order.
	at := smallest(ladders, k, ladder.count)
	counts, left := make([]int, len(ladders)), k
	for i, l := range ladders {
		if at > 0 {
			counts[i] = l.count(math.Nextafter(at, 0))
		}
		left -= counts[i]
	}
	for i, l := range ladders {
		ties := min(left, l.count(at)-counts[i])
		counts[i] += ties
		left -= ties
	}
	return counts, nil
}

// floorOf is how many of n units a floor keeps.
func floorOf(floor float64, n int) int { return min(n, int(math.Ceil(floor*float64(n)))) }

// smallest returns the smallest measure up to which the ladders have at least k
// scores, as count counts them.
func smallest(ladders []ladder, k int, count func(l ladder, at float64) int) float64 {
	// The encodings of positive numbers are in order.
	bits := sort.Search(int(math.Float64bits(math.Inf(1))), func(bits int) bool {
		n := 0
		for _, l := range ladders {
			n += count(l, math.Float64frombits(uint64(bits)))
		}
		return n >= k
	})
	return math.Float64frombits(uint64(bits))
}

// A ladder is the scores of one layer in order, those of a rung together.
type ladder struct {
	measure measure
	power   int
	most    int // scores that may go
	rungs   []rung
}

// A rung is scores with keys from low to high.
type rung struct {
	low, high   uint32
	n           int
	before      int     // scores on the rungs below
	above       float64 // sum of the powers of the scores on the rungs above
	first, last float64 // bounds of the measures; exact where there is one key
}

// A histogram counts scores by the upper half of their keys.
type histogram struct {
	bins  []int
	power int
	sums  []float64 // of the magnitudes raised to the power, of each bin
}

func newHistogram(power int) *histogram {
	h := &histogram{bins: make([]int, 1<<(31-lowBits)), power: power}
	if power > 0 {
		h.sums = make([]float64, len(h.bins))
	}
	return h
}

func (h *histogram) add(scores []float32) {
	switch h.power {
	case 0:
		for _, x := range scores {
			h.bins[scoreKey(x)>>lowBits]++
		}
	default:
		for _, x := range scores {
			bin := scoreKey(x) >> lowBits
			h.bins[bin]++
			h.sums[bin] += raised(math.Abs(float64(x)), h.power)
		}
	}
}

func (h *histogram) sum() float64 {
	sum := 0.0
	for _, x := range h.sums {
		sum += x
	}
	return sum
}

// raised is x to the power of 1 or 2, 0 to that of 0.
func raised(x float64, power int) float64 {
	switch power {
	case 1:
		return x
	case 2:
		return x * x
	}
	return 0
}

// coarse makes a rung of each bin.
func (l *ladder) coarse(h *histogram) {
	above := 0.0
	for bin := len(h.bins) - 1; bin >= 0; bin-- {
		if h.bins[bin] == 0 {
			continue
		}
		r := rung{low: uint32(bin) << lowBits, high: uint32(bin)<<lowBits | (1<<lowBits - 1), n: h.bins[bin], above: above}
		if h.power > 0 && !math.IsNaN(h.sums[bin]) {
			above += h.sums[bin]
		}
		r.last = l.measure(r.high, r.above)
		r.first = l.measure(r.low, max(0, above-raised(magnitude(r.low), h.power)))
		l.rungs = append(l.rungs, r)
	}
	l.finish()
}

// finish turns rungs from the top into ones from the bottom.
func (l *ladder) finish() {
	before := 0
	for i, j := 0, len(l.rungs)-1; i < j; i, j = i+1, j-1 {
		l.rungs[i], l.rungs[j] = l.rungs[j], l.rungs[i]
	}
	for i := range l.rungs {
		l.rungs[i].before = before
		before += l.rungs[i].n
	}
}

// between returns the rungs, from first to before last, on which there may be
// measures from low to high.
func (l ladder) between(low, high float64) (first, last int) {
	first = sort.Search(len(l.rungs), func(i int) bool { return l.rungs[i].last >= low })
	last = sort.Search(len(l.rungs), func(i int) bool { return l.rungs[i].first > high })
	return first, max(first, last)
}

// refine puts a rung for each key in the place of some rungs. Those of the
// others stay as they are.
func (l *ladder) refine(each stream, first, last int) error {
	slot := make([]int32, 1<<(31-lowBits)) // of a bin, from 1
	for i, r := range l.rungs[first:last] {
		slot[r.low>>lowBits] = int32(i + 1)
	}
	bins := make([]int, (last-first)<<lowBits)
	err := each(func(scores []float32) {
		for _, x := range scores {
			key := scoreKey(x)
			if s := int(slot[key>>lowBits]); s > 0 {
				bins[(s-1)<<lowBits|int(key&(1<<lowBits-1))]++
			}
		}
	})
	if err != nil {
		return err
	}
	coarse := l.rungs
	l.rungs = nil
	for i := len(coarse) - 1; i >= 0; i-- {
		r := coarse[i]
		if i < first || i >= last {
			l.rungs = append(l.rungs, r)
			continue
		}
		above := r.above
		for key := r.high; ; key-- {
			if n := bins[(i-first)<<lowBits|int(key&(1<<lowBits-1))]; n > 0 {
				fine := rung{low: key, high: key, n: n, above: above}
				fine.first, fine.last = l.measure(key, fine.aboveOf(0, l.power)), l.measure(key, above)
				l.rungs = append(l.rungs, fine)
				above = fine.aboveOf(-1, l.power)
			}
			if key == r.low {
				break
			}
		}
	}
	l.finish()
	return nil
}

// aboveOf returns the sum of the powers of what comes after the i-th score of a
// rung of one key.
func (r rung) aboveOf(i, power int) float64 {
	if i == r.n-1 {
		return r.above // also where the power is infinite
	}
	return r.above + float64(r.n-1-i)*raised(magnitude(r.low), power)
}

// count returns how many scores have a measure of at most at, where rungs with
// measures on both sides of it have one key each.
func (l ladder) count(at float64) int {
	n := l.goes(at)
	i := sort.Search(len(l.rungs), func(i int) bool { return l.rungs[i].last > at })
	if i < len(l.rungs) && l.rungs[i].first <= at {
		r := l.rungs[i]
		n += sort.Search(r.n, func(j int) bool { return l.measure(r.low, r.aboveOf(j, l.power)) > at })
	}
	return min(n, l.most)
}

// goes returns how many scores surely have a measure of at most at.
func (l ladder) goes(at float64) int {
	i := sort.Search(len(l.rungs), func(i int) bool { return l.rungs[i].last > at })
	return min(l.below(i), l.most)
}

// mayGo returns how many scores may have a measure of at most at.
func (l ladder) mayGo(at float64) int {
	i := sort.Search(len(l.rungs), func(i int) bool { return l.rungs[i].first > at })
	return min(l.below(i), l.most)
}

// below returns how many scores are on the first rungs.
func (l ladder) below(rungs int) int {
	if rungs == 0 {
		return 0
	}
	return l.rungs[rungs-1].before + l.rungs[rungs-1].n
}
