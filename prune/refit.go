package prune

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
)

// errNotDefinite tells of inputs that give no Hessian with a Cholesky factor.
var errNotDefinite = errors.New("the inputs of the layer are not finite numbers, or all are zero")

// refit gives the nonzero weights of each row the values v that minimize
//
//	Σ (dense·x - v·x̂)² + damping·|v - weight|²
//
// over the columns, x of the dense model and x̂ of the pruned one: the solution
// of (H + damping)·v = C·dense + damping·weight in the rows and columns of those
// weights.
func (s *system) refit(share float64) error {
	damping := s.damping(share)
	if damping == 0 {
		return nil // nothing ever comes in
	}
	groups := s.supports()
	var failed atomic.Bool
	var tooLarge atomic.Int64
	parallel(len(groups), func(i int) {
		support := nonzeros(s.weight[groups[i][0]*s.cols:][:s.cols])
		n := len(support)
		if n > MaxSupport {
			tooLarge.Store(int64(n))
			return
		}
		if n == 0 || failed.Load() {
			return
		}
		a := make([]float64, n*n)
		for j, row := range support {
			h := s.hessian[row*s.cols:]
			for k, col := range support[:j+1] {
				a[j*n+k] = h[col]
			}
			a[j*n+j] += damping
		}
		if !cholesky(a, n) {
			failed.Store(true)
			return
		}
		b := make([]float64, n)
		for _, row := range groups[i] {
			w, v := s.dense[row*s.cols:][:s.cols], s.weight[row*s.cols:][:s.cols]
			for j, col := range support {
				b[j] = dot(s.cross[col*s.cols:][:s.cols], w) + damping*v[col]
			}
			solveLower(a, b)
			for j, col := range support {
				v[col] = b[j]
			}
		}
	})
	if n := tooLarge.Load(); n > 0 {
		return fmt.Errorf("a row has %d weights that are not zero, a refit takes at most %d: prune more, or recover with sparsegpt", n, MaxSupport)
	}
	if failed.Load() {
		return errNotDefinite
	}
	return nil
}

// supports groups the rows that have their nonzero weights in the same places.
func (s *system) supports() [][]int {
	at := make(map[string]int)
	var groups [][]int
	mask := make([]byte, (s.cols+7)/8)
	for row := range s.rows {
		clear(mask)
		for _, col := range nonzeros(s.weight[row*s.cols:][:s.cols]) {
			mask[col/8] |= 1 << (col % 8)
		}
		i, ok := at[string(mask)]
		if !ok {
			i = len(groups)
			at[string(mask)] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], row)
	}
	return slices.Clip(groups)
}

// nonzeros returns where a row is not zero.
func nonzeros(row []float64) []int {
	var at []int
	for i, x := range row {
		if x != 0 {
			at = append(at, i)
		}
	}
	return at
}
