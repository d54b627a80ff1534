package prune

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Pattern is N:M sparsity: of each M consecutive inputs of an output at most
// N weights stay. The zero value is no pattern.
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
		return Pattern{}, fmt.Errorf("pattern %q: expected N:M with N from 1 to M-1, such as 2:4", s)
	}
	return p, nil
}

func (p Pattern) check() error {
	if p != (Pattern{}) && (p.N < 1 || p.N >= p.M) {
		return fmt.Errorf("a pattern of %v: expected N from 1 to M-1", p)
	}
	return nil
}

// erase sets to zero all but the N of each M weights that have the largest
// scores, and returns the largest score that went. Of the last, fewer than M, N
// stay too.
func (p Pattern) erase(at placement, values, scores []float32) float32 {
	var largest uint32
	group := make([]int, 0, min(p.M, at.cols)) // elements, by score
	Granularity{Rows: 1, Cols: p.M}.each(at, func(_ int, b block) {
		group = group[:0]
		b.each(at, func(i int) { group = append(group, i) })
		slices.SortStableFunc(group, func(i, j int) int { return int(scoreKey(scores[i])) - int(scoreKey(scores[j])) })
		for _, i := range group[:max(0, len(group)-p.N)] {
			largest = max(largest, scoreKey(scores[i]))
			values[i] = 0
		}
	})
	return math.Float32frombits(largest)
}
