package runtime

import (
	"context"
	"slices"
	"unsafe"

	"github.com/nnz-dev/nnz/internal/huge"
)

// A buffer is memory of a session that one value, or several in turn, live in.
type buffer struct {
	size   int     // elements
	ints   bool    // of the int64 arena rather than the float32 one
	parent *buffer // this buffer is a part of parent, nil where it stands alone
	at     int     // elements from the start of parent

	// Of a buffer that stands alone:
	first, last int      // steps between which its contents matter
	offset      int      // elements from the start of the arena
	values      []*value // that live in it or in its parts
}

// bytes returns how many bytes b takes.
func (b *buffer) bytes() int {
	if b.ints {
		return 8 * b.size
	}
	return 4 * b.size
}

// root returns the buffer that b is a part of, and where in it b begins.
func (b *buffer) root() (root *buffer, at int) {
	for b.parent != nil {
		at += b.at
		b = b.parent
	}
	return b, at
}

// within makes b a part of parent, at elements from its start.
func (b *buffer) within(parent *buffer, at int) {
	root, _ := parent.root()
	root.values = append(root.values, b.values...)
	root.first, root.last = min(root.first, b.first), max(root.last, b.last)
	b.parent, b.at, b.values = parent, at, nil
}

// touch extends the life of b's memory to step i.
func (b *buffer) touch(i int) {
	r, _ := b.root()
	r.first, r.last = min(r.first, i), max(r.last, i)
}

// occupy has all memory that is in use at some step from first to last be in use
// at all of them.
func occupy(buffers []*buffer, first, last int) {
	for _, b := range buffers {
		if b.parent == nil && b.first <= last && b.last >= first {
			b.touch(first)
			b.touch(last)
		}
	}
}

// An arena is the sizes of a session's memory, in elements.
type arena struct{ floats, ints int }

// alignElements keeps buffers on cache lines, with room for what a line holds.
const alignElements = 16

// place gives every buffer that stands alone an offset, so that no two that
// are alive at once overlap: first fit, the largest first, which is within a
// few percent of the best for networks (Pisarchyk and Lee, "Efficient Memory
// Management for Deep Neural Net Inference", 2020). It takes the square of how
// many are alive at once, and stops with ctx.
func place(ctx context.Context, buffers []*buffer) (arena, error) {
	var a arena
	for _, ints := range []bool{false, true} {
		var roots []*buffer
		for _, b := range buffers {
			if b.parent == nil && b.ints == ints && b.first <= b.last {
				roots = append(roots, b)
			}
		}
		slices.SortStableFunc(roots, func(a, b *buffer) int { return b.size - a.size })
		var placed []*buffer // by offset
		end := 0
		for _, b := range roots {
			if err := ctx.Err(); err != nil {
				return a, err
			}
			b.offset = 0
			for _, p := range placed {
				if p.last < b.first || b.last < p.first {
					continue
				}
				if b.offset+b.size <= p.offset {
					break
				}
				b.offset = max(b.offset, roundUp(p.offset+p.size, alignElements))
			}
			i, _ := slices.BinarySearchFunc(placed, b, func(p, b *buffer) int { return p.offset - b.offset })
			placed = slices.Insert(placed, i, b)
			end = max(end, b.offset+b.size)
		}
		if ints {
			a.ints = end
		} else {
			a.floats = end
		}
	}
	return a, nil
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// alignedFloats allocates n elements on a cache line.
func alignedFloats(n int) []float32 {
	s := huge.Make[float32](n + alignElements)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(s))) % 64 / 4)
	return s[skip:][:n:n]
}
