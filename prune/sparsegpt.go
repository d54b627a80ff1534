package prune

import (
	"cmp"
	"math"
	"slices"
)

// SparseGPTBlock is how many columns SparseGPT chooses from at a time.
const SparseGPTBlock = 128

// sparseGPT removes weights from the matrix that start gives, from the left to
// the right:
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
	s.start(u, damping)
	q := s.newQuota(r, mask)
	width := max(1, SparseGPTBlock/q.cols) * q.cols
	for from := 0; from < s.cols; from += width {
		to := min(from+width, s.cols)
		if r.Choose {
			q.choose(s, u, mask, from, to)
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

// start sets the weights to those that, with none removed, compute from the
// inputs of the pruned model what is closest to what the dense weights compute
// from those of the dense model: w in (H + damping)·w = C·dense + damping·dense.
// That is the dense weights, where the inputs are the same.
func (s *system) start(u []float64, damping float64) {
	n := s.cols
	parallel(s.rows, func(row int) {
		dense, w := s.dense[row*n:][:n], s.weight[row*n:][:n]
		b := make([]float64, n)
		for i := range b {
			b[i] = dot(s.cross[i*n:(i+1)*n], dense) + damping*dense[i]
		}
		// The inverse of H + damping is UᵀU.
		clear(w)
		for i := range n {
			axpy(w[i:], dot(u[i*n+i:(i+1)*n], b[i:]), u[i*n+i:(i+1)*n])
		}
	})
}

// A quota says how many units of a matrix go, of those of each block of columns.
type quota struct {
	rows, cols  int // of a unit
	most        int // units of a group of a pattern that stay; 0 where there is none
	units, gone int // of the whole matrix; that have to go
	seen, taken int // in the blocks so far
}

// newQuota counts the units that the mask takes.
func (s *system) newQuota(r Recovery, mask []bool) *quota {
	q := &quota{rows: 1, cols: 1}
	switch g := r.Granularity.(type) {
	case Block:
		q.rows, q.cols = max(1, min(g.Rows, s.rows)), max(1, min(g.Cols, s.cols))
	case Pattern:
		q.cols, q.most = g.M, g.N
	}
	q.each(s, 0, s.cols, func(cells []int) {
		q.units++
		if !slices.ContainsFunc(cells, func(i int) bool { return !mask[i] }) {
			q.gone++
		}
	})
	return q
}

// each visits the units of the columns [from, to), of which it gives the
// elements, until the next.
func (q *quota) each(s *system, from, to int, visit func(cells []int)) {
	var cells []int
	for row := 0; row < s.rows; row += q.rows {
		for col := from; col < to; col += q.cols {
			cells = cells[:0]
			for r := row; r < min(row+q.rows, s.rows); r++ {
				for c := col; c < min(col+q.cols, to); c++ {
					cells = append(cells, r*s.cols+c)
				}
			}
			visit(cells)
		}
	}
}

// choose decides which weights of the columns [from, to) go, by what their
// removal costs now.
func (q *quota) choose(s *system, u []float64, mask []bool, from, to int) {
	cost := func(i int) float64 {
		x := s.weight[i] / u[i%s.cols*s.cols+i%s.cols]
		return x * x
	}
	if q.most > 0 {
		q.each(s, from, to, func(group []int) {
			slices.SortStableFunc(group, func(i, j int) int { return cmp.Compare(cost(i), cost(j)) })
			for k, i := range group {
				mask[i] = k < len(group)-q.most
			}
		})
		return
	}
	type unit struct {
		cells []int
		cost  float64
	}
	var units []unit
	q.each(s, from, to, func(cells []int) {
		sum := 0.0
		for _, i := range cells {
			mask[i] = false
			sum += cost(i)
		}
		units = append(units, unit{slices.Clone(cells), sum})
	})
	q.seen += len(units)
	n := int(math.RoundToEven(float64(q.gone)*float64(q.seen)/float64(q.units))) - q.taken
	n = min(max(n, 0), len(units))
	q.taken += n
	slices.SortStableFunc(units, func(a, b unit) int { return cmp.Compare(a.cost, b.cost) })
	for _, gone := range units[:n] {
		for _, i := range gone.cells {
			mask[i] = true
		}
	}
}
