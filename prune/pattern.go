package prune

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Pattern is N:M sparsity: of each M consecutive inputs of an output the N of
// the largest scores stay, as 2:4 keeps two of each four. It says of itself how
// much goes: there is no sparsity, scope or norm beside it.
//
// Source: Mishra et al., Accelerating Sparse Deep Neural Networks, 2021.
type Pattern struct{ N, M int }

func (p Pattern) String() string { return fmt.Sprintf("%d:%d", p.N, p.M) }

// ParsePattern reads what Pattern.String writes, such as "2:4".
func ParsePattern(s string) (Pattern, error) {
	n, m, _ := strings.Cut(s, ":")
	var p Pattern
	var errN, errM error
	p.N, errN = strconv.Atoi(n)
	p.M, errM = strconv.Atoi(m)
	if errN != nil || errM != nil || p.check() != nil {
		return Pattern{}, fmt.Errorf("pattern %q: expected N:M with N from 1 to M-1, such as 2:4, of which 2 stay", s)
	}
	return p, nil
}

func (p Pattern) check() error {
	if p.N < 1 || p.N >= p.M {
		return fmt.Errorf("a pattern of %v: expected N from 1 to M-1", p)
	}
	return nil
}

// grid has units in which weights compete.
func (p Pattern) grid(l Layer) (grid, error) {
	return grid{l.at, 1, min(p.M, l.at.cols)}, p.check()
}

// erase takes out of keep all but the N of each M weights that have the largest
// scores, and returns the largest score that went. Of the last, fewer than M, N
// stay too.
func (p Pattern) erase(g grid, keep bitset, scores []float32) float32 {
	var largest uint32
	group := make([]int, 0, g.width) // elements, by score
	g.each(func(_ int, u unit) {
		group = group[:0]
		u.each(g.placement, func(i int) { group = append(group, i) })
		slices.SortStableFunc(group, func(i, j int) int { return int(scoreKey(scores[i])) - int(scoreKey(scores[j])) })
		for _, i := range group[:max(0, len(group)-p.N)] {
			largest = max(largest, scoreKey(scores[i]))
			keep.remove(i)
		}
	})
	return math.Float32frombits(largest)
}
