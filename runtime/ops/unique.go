package ops

import (
	"cmp"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// slicesOf returns how the slices of x along the attribute axis lie, or its
// elements where that is absent, and of which axis of a shape an output has as
// many as it keeps.
func (s *site) slicesOf(x *Tensor) (a along, shape []int, axis int, err error) {
	if !s.Has("axis") {
		return along{1, x.Len(), 1}, []int{0}, 0, nil
	}
	if a, err = alongOf(x.Shape, s.Int("axis", 0)); err != nil {
		return a, nil, 0, err
	}
	axis, err = normAxis(s.Int("axis", 0), len(x.Shape))
	return a, slices.Clone(x.Shape), axis, err
}

// evalUnique keeps one of each of the elements, or slices along an axis, that
// are equal: sorted, or in the order in which they first come. The other
// outputs are, of what is kept, where it first comes and how often, and of each
// element which one it equals. NaN equals NaN.
func evalUnique(s *site) ([]Tensor, error) {
	x := &s.in[0]
	a, shape, axis, err := s.slicesOf(x)
	if err != nil {
		return nil, err
	}
	compare := func(i, j int) int { return compareSlices(x.F, a, i, j, cmp.Compare[float32]) }
	if !x.DType.Float() {
		order := cmp.Compare[int64]
		if x.DType == graph.Uint64 {
			order = func(a, b int64) int { return cmp.Compare(uint64(a), uint64(b)) }
		}
		compare = func(i, j int) int { return compareSlices(x.I, a, i, j, order) }
	}
	// As many as there are slices: order, group and inverse; first, rank, a copy of
	// one of them, indices and counts where no two are equal.
	if err := s.allow(8*8*int64(a.n) + x.Bytes()); err != nil {
		return nil, err
	}
	order := make([]int, a.n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, compare)
	first := make([]int, 0, a.n) // of each group of equals, sorted
	group := make([]int, a.n)
	for k, i := range order {
		if k == 0 || compare(order[k-1], i) != 0 {
			first = append(first, i)
		}
		group[i] = len(first) - 1
	}
	// rank is where each group comes in the output.
	rank := make([]int, len(first))
	for g := range rank {
		rank[g] = g
	}
	if s.Int("sorted", 1) == 0 {
		slices.SortFunc(rank, func(g, h int) int { return first[g] - first[h] })
		by := slices.Clone(rank)
		for r, g := range by {
			rank[g] = r
		}
		slices.Sort(first)
	}
	shape[axis] = len(first)
	y := Zeros(x.DType, shape)
	compress(y.F, x.F, a, first)
	compress(y.I, x.I, a, first)
	indices, inverse, counts := Zeros(graph.Int64, []int{len(first)}), Zeros(graph.Int64, []int{a.n}), Zeros(graph.Int64, []int{len(first)})
	for r, i := range first {
		indices.I[r] = int64(i)
	}
	for i, g := range group {
		inverse.I[i] = int64(rank[g])
		counts.I[rank[g]]++
	}
	return []Tensor{y, indices, inverse, counts}, nil
}

// compareSlices compares slices i and j along an axis by their first elements
// that differ.
func compareSlices[T elem](x []T, a along, i, j int, compare func(a, b T) int) int {
	for o := range a.outer {
		p, q := x[(o*a.n+i)*a.inner:][:a.inner], x[(o*a.n+j)*a.inner:][:a.inner]
		if c := slices.CompareFunc(p, q, compare); c != 0 {
			return c
		}
	}
	return 0
}
