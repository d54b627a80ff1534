package prune

import (
	"cmp"
	"math"
	"slices"
)

// SparseGPTBlock is how many columns SparseGPT chooses from at a time.
const SparseGPTBlock = 128

// sparseGPT removes weights from the dense matrix, from the left to the right:
// each removed one changes those to its right by the least squares update of
// Optimal Brain Surgeon, given that what lies to the left stays. Those that
// the pruned matrix lacks go, or others that cost less, see [Recovery].
func (s *system) sparseGPT(r Recovery) error {
	damping := s.damping(r.Damping)
	if damping == 0 {
		return nil // nothing ever comes in
	}
	u, ok := inverseFactor(s.hessian, s.cols, damping)
	if !ok {
		return errNotDefinite
	}
	mask := make([]bool, len(s.weight)) // what goes
	for i, x := range s.weight {
		mask[i] = x == 0
	}
	copy(s.weight, s.dense)
	width := SparseGPTBlock
	var quota *quota
	if r.Choose {
		unit := max(1, r.Granularity.Cols, r.Pattern.M)
		width = max(1, width/unit) * unit
		quota = s.newQuota(r, mask)
	}
	for from := 0; from < s.cols; from += width {
		to := min(from+width, s.cols)
		if r.Choose {
			quota.choose(s, u, mask, from, to)
		}
		changes := newPanels(tileRows, s.rows, to-from)
		parallel(s.rows, func(row int) {
			w := s.weight[row*s.cols:][:s.cols]
			for col := from; col < to; col++ {
				if !mask[row*s.cols+col] {
					continue
				}
				f := w[col] / u[col*s.cols+col]
				axpy(w[col:to], -f, u[col*s.cols+col:col*s.cols+to])
				w[col] = 0
				changes.set(row, col-from, f)
			}
		})
		if to == s.cols {
			break
		}
		rest := newPanels(tileCols, s.cols-to, to-from)
		for k := from; k < to; k++ {
			for j, x := range u[k*s.cols+to : (k+1)*s.cols] {
				rest.set(j, k-from, x)
			}
		}
		addProduct(s.weight[to:], s.cols, changes, rest, -1, whole)
	}
	return nil
}

// A quota says how many units of a matrix go, of those of each block of columns.
type quota struct {
	granularity Granularity
	pattern     Pattern
	units, gone int // of the whole matrix; that have to go
	seen, taken int // in the blocks so far
}

// newQuota counts the units that the mask takes.
func (s *system) newQuota(r Recovery, mask []bool) *quota {
	q := &quota{granularity: r.Granularity, pattern: r.Pattern}
	if r.Pattern != (Pattern{}) {
		return q
	}
	g := q.granularity
	g.Rows, g.Cols = max(1, g.Rows), max(1, g.Cols)
	q.granularity = g
	at := byRows(1, s.rows, s.cols)
	g.each(at, func(_ int, b block) {
		all := true
		b.each(at, func(i int) { all = all && mask[i] })
		q.units++
		if all {
			q.gone++
		}
	})
	return q
}

// choose decides which weights of the columns [from, to) go, by what their
// removal costs now.
func (q *quota) choose(s *system, u []float64, mask []bool, from, to int) {
	cost := func(i int) float64 {
		d := u[i%s.cols*s.cols+i%s.cols]
		return s.weight[i] * s.weight[i] / (d * d)
	}
	type unit struct {
		block
		cost float64
	}
	at := byRows(1, s.rows, s.cols)
	part := at
	part.cols = to - from
	unitsOf := func(g Granularity) []unit {
		var units []unit
		g.each(part, func(_ int, b block) {
			b.first += from
			sum := 0.0
			b.each(at, func(i int) {
				mask[i] = false
				sum += cost(i)
			})
			units = append(units, unit{b, sum})
		})
		return units
	}
	take := func(units []unit, n int) {
		slices.SortStableFunc(units, func(a, b unit) int { return cmp.Compare(a.cost, b.cost) })
		for _, b := range units[:n] {
			b.each(at, func(i int) { mask[i] = true })
		}
	}
	if p := q.pattern; p != (Pattern{}) {
		units := unitsOf(Granularity{1, 1})
		width := to - from
		for row := range s.rows {
			for col := 0; col < width; col += p.M {
				group := units[row*width+col : row*width+min(col+p.M, width)]
				take(group, max(0, len(group)-p.N))
			}
		}
		return
	}
	units := unitsOf(q.granularity)
	q.seen += len(units)
	n := int(math.RoundToEven(float64(q.gone)*float64(q.seen)/float64(q.units))) - q.taken
	n = min(max(n, 0), len(units))
	q.taken += n
	take(units, n)
}
