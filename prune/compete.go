package prune

import (
	"math"
	"sort"
)

// A measure makes scores of different layers comparable: it maps the key of a
// score of one layer, and the sum of the squares of the scores of that layer
// that are larger, to a number that does not fall as the key rises.
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
// from its scores; squares says whether it looks at what is above.
//
// Nothing is sorted and no scores are kept. A first pass counts scores by the
// upper half of their keys; that gives bounds for the measure at which to cut.
// A second one counts by whole keys what lies between the bounds.
func (c *contest) shares(floor float64, squares bool, measureOf func(layer int, scores []float32) measure) ([]int, error) {
	ladders := make([]ladder, len(c.layers))
	most, n, empty := 0, 0, 0
	for i := range c.layers {
		scores, err := c.scores(i)
		if err != nil {
			return nil, err
		}
		ladders[i] = ladder{measure: measureOf(i, scores), most: c.units[i] - floorOf(floor, c.units[i])}
		ladders[i].coarse(scores, squares)
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
		scores, err := c.scores(i)
		if err != nil {
			return nil, err
		}
		ladders[i].refine(scores, first, last)
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
	most    int // scores that may go
	rungs   []rung
}

// A rung is scores with keys from low to high.
type rung struct {
	low, high   uint32
	n           int
	before      int     // scores on the rungs below
	above       float64 // sum of the squares of the scores on the rungs above
	first, last float64 // bounds of the measures; exact where there is one key
}

// coarse makes rungs of all keys with the same upper half.
func (l *ladder) coarse(scores []float32, squares bool) {
	const low = 15
	bins := make([]int, 1<<(31-low))
	var sums []float64
	if squares {
		sums = make([]float64, len(bins))
		for _, x := range scores {
			bin := scoreKey(x) >> low
			bins[bin]++
			sums[bin] += float64(x) * float64(x)
		}
	} else {
		for _, x := range scores {
			bins[scoreKey(x)>>low]++
		}
	}
	above := 0.0
	for bin := len(bins) - 1; bin >= 0; bin-- {
		if bins[bin] == 0 {
			continue
		}
		r := rung{low: uint32(bin) << low, high: uint32(bin)<<low | (1<<low - 1), n: bins[bin], above: above}
		if squares && !math.IsNaN(sums[bin]) {
			above += sums[bin]
		}
		r.last = l.measure(r.high, r.above)
		x := magnitude(r.low)
		r.first = l.measure(r.low, max(0, above-x*x))
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
func (l *ladder) refine(scores []float32, first, last int) {
	const low = 15
	slot := make([]int, 1<<(31-low)) // of a bin, from 1
	for i, r := range l.rungs[first:last] {
		slot[r.low>>low] = i + 1
	}
	bins := make([]int, (last-first)<<low)
	for _, x := range scores {
		key := scoreKey(x)
		if s := slot[key>>low]; s > 0 {
			bins[(s-1)<<low|int(key&(1<<low-1))]++
		}
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
			if n := bins[(i-first)<<low|int(key&(1<<low-1))]; n > 0 {
				fine := rung{low: key, high: key, n: n, above: above}
				fine.first, fine.last = l.measure(key, fine.aboveOf(0)), l.measure(key, above)
				l.rungs = append(l.rungs, fine)
				above = fine.aboveOf(-1)
			}
			if key == r.low {
				break
			}
		}
	}
	l.finish()
}

// aboveOf returns the sum of the squares that come after the i-th score of a
// rung of one key.
func (r rung) aboveOf(i int) float64 {
	x := magnitude(r.low)
	return r.above + float64(r.n-1-i)*x*x
}

// count returns how many scores have a measure of at most at, where rungs with
// measures on both sides of it have one key each.
func (l ladder) count(at float64) int {
	n := l.goes(at)
	i := sort.Search(len(l.rungs), func(i int) bool { return l.rungs[i].last > at })
	if i < len(l.rungs) && l.rungs[i].first <= at {
		r := l.rungs[i]
		n += sort.Search(r.n, func(j int) bool { return l.measure(r.low, r.aboveOf(j)) > at })
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
