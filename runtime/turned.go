package runtime

import (
	"slices"

	"github.com/nnz-dev/nnz/kernels/vec"
)

// A turning brings a matrix that a run has computed, features by columns, into
// the order that the kernels of a product read their weight in. Those take four
// rows at a time, so that most of it moves in fours.
type turning struct {
	size, stride int    // elements that it makes; from a feature to the next
	across       []span // four features each, beside one another for each of their columns
	along        []span // four neighbouring columns each, feature after feature
	single       []move // and the elements that are left
}

// A span is what of a turning one loop moves, from an element on: of vectors
// with live columns each where it goes across, of groups of columns and count
// features of each along them.
type span struct{ dst, src, vectors, live, groups, count int }

type move struct{ dst, src int32 }

// newTurning makes the turning whose element i is the one at order[i] of an
// image, where stride is from a feature to the next. Images begin with a whole
// vector, and end with one.
func newTurning(order []int32, stride, lanes int) turning {
	t := turning{size: len(order), stride: stride}
	// fours counts groups from i on that are each steps apart from one element to
	// the next, and next apart from the group before.
	fours := func(i, step, next int) (n int) {
		for at := int(order[i]); i+4 <= len(order) && int(order[i]) == at+n*next; i += 4 {
			for j := range 4 {
				if int(order[i+j]) != at+n*next+j*step {
					return n
				}
			}
			n++
		}
		return n
	}
	for i := 0; i < len(order); {
		src := int(order[i])
		if n := min(fours(i, stride, 1), lanes); n > 0 && src%lanes == 0 {
			t.across = appendAcross(t.across, span{dst: i, src: src, vectors: 1, live: n}, lanes)
			i += 4 * n
		} else if n := fours(i, 1, stride); n > 0 {
			t.along = appendAlong(t.along, span{dst: i, src: src, groups: 1, count: n})
			i += 4 * n
		} else {
			t.single = append(t.single, move{int32(i), int32(src)})
			i++
		}
	}
	return t
}

// appendAcross appends a span of a vector, to the last one where it goes on
// with the next vector.
func appendAcross(list []span, s span, lanes int) []span {
	if len(list) > 0 {
		last := &list[len(list)-1]
		if last.live == s.live && last.src+last.vectors*lanes == s.src && last.dst+4*last.live*last.vectors == s.dst {
			last.vectors++
			return list
		}
	}
	return append(list, s)
}

// appendAlong appends a span of one group, to the last one where it goes on
// with the next four columns.
func appendAlong(list []span, s span) []span {
	if len(list) > 0 {
		last := &list[len(list)-1]
		if last.count == s.count && last.src+4*last.groups == s.src && last.dst+4*last.count*last.groups == s.dst {
			last.groups++
			return list
		}
	}
	return append(list, s)
}

// room returns how many elements dst of run has to have: those that vectors
// leave behind besides.
func (t *turning) room(lanes int) int { return roundUp(t.size+4*lanes, alignElements) }

// run turns what lies in src from its first feature on. dst has room.
func (t *turning) run(k *vec.Kernels, dst, src []float32) {
	// What a span across leaves behind, what follows writes over.
	for _, s := range t.across {
		k.Interleave(dst[s.dst:], src[s.src:], s.vectors, s.live, t.stride)
	}
	for _, s := range t.along {
		k.Fours(dst[s.dst:], src[s.src:], s.groups, s.count, t.stride)
	}
	for _, m := range t.single {
		dst[m.dst] = src[m.src]
	}
}

// columnOrder returns the first n columns of a matrix in the order that memory
// has them in.
func columnOrder(l *layout, n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return l.at(a, 0) - l.at(b, 0) })
	return order
}
