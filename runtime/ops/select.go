package ops

import (
	"fmt"

	"github.com/nnz-dev/nnz/graph"
)

// buildTrilu binds Trilu: of every matrix the triangle above diagonal k, or
// below it, and zeros elsewhere.
func buildTrilu(s *site) (Compute, error) {
	shape := s.in[0].Shape
	rows, cols := shape[len(shape)-2], shape[len(shape)-1]
	upper, shifted := s.Int("upper", 1) != 0, s.has(1)
	diagonal := func(in []Tensor) int64 {
		if !shifted {
			return 0
		}
		// Beyond the matrix all diagonals are alike.
		return min(max(in[1].I[0], int64(-rows-1)), int64(cols+1))
	}
	return pick(s.in[0].DType,
		func(in, out []Tensor) { keepTriangle(out[0].F, in[0].F, rows, cols, int(diagonal(in)), upper) },
		func(in, out []Tensor) { keepTriangle(out[0].I, in[0].I, rows, cols, int(diagonal(in)), upper) }), nil
}

func keepTriangle[T elem](y, x []T, rows, cols, k int, upper bool) {
	for i, v := range x {
		r, c := i/cols%rows, i%cols
		if y[i] = 0; upper && c-r >= k || !upper && c-r <= k {
			y[i] = v
		}
	}
}

// buildEyeLike binds EyeLike: ones on diagonal k.
func buildEyeLike(s *site) (Compute, error) {
	rows, cols, k := s.in[0].Shape[0], s.in[0].Shape[1], s.Int("k", 0)
	if k < -rows || k > cols {
		k = cols // beyond the matrix
	}
	return func(_, out []Tensor) {
		fill(out[0].F, 0)
		fill(out[0].I, 0)
		for r := max(0, -k); r < rows && r+k < cols; r++ {
			if at := r*cols + r + k; out[0].F != nil {
				out[0].F[at] = 1
			} else {
				out[0].I[at] = 1
			}
		}
	}, nil
}

// buildOneHot binds OneHot: along a new axis the second value where the index
// says, the first elsewhere. Negative indices count from the end; those outside
// the axis hit nothing.
func buildOneHot(s *site) (Compute, error) {
	if err := wantSame(&s.in[2], &s.out[0]); err != nil {
		return nil, err
	}
	a, err := alongOf(s.out[0].Shape, s.Int("axis", -1))
	if err != nil {
		return nil, err
	}
	return pick(s.out[0].DType, oneHot[float32](a), oneHot[int64](a)), nil
}

func oneHot[T elem](a along) Compute {
	return func(in, out []Tensor) {
		y, values := data[T](&out[0]), data[T](&in[2])
		fill(y, values[0])
		for i := range a.outer * a.inner {
			var at int64
			if in[0].F != nil {
				at = floatToInt(float64(in[0].F[i]))
			} else {
				at = in[0].I[i]
			}
			if at < 0 {
				at += int64(a.n)
			}
			if at >= 0 && at < int64(a.n) {
				y[(i/a.inner*a.n+int(at))*a.inner+i%a.inner] = values[1]
			}
		}
	}
}

// cumulate makes the builder of running sums and products along an axis.
func cumulate(float func(a, b float32) float32, integer func(a, b int64) int64, empty int) func(*site) (Compute, error) {
	return func(s *site) (Compute, error) {
		axis, err := s.constInts(1, "axis")
		if err != nil {
			return nil, err
		}
		a, err := alongOf(s.in[0].Shape, axis[0])
		if err != nil {
			return nil, err
		}
		reverse, exclusive := s.Int("reverse", 0) != 0, s.Int("exclusive", 0) != 0
		dt := s.in[0].DType
		ints := scan(a, integer, int64(empty), reverse, exclusive)
		return pick(dt, scan(a, float, float32(empty), reverse, exclusive), func(in, out []Tensor) {
			ints(in, out)
			wrapInts(dt, out[0].I)
		}), nil
	}
}

func scan[T elem](a along, f func(a, b T) T, empty T, reverse, exclusive bool) Compute {
	return func(in, out []Tensor) {
		x, y := data[T](&in[0]), data[T](&out[0])
		for o := range a.outer * a.inner {
			at, step := o/a.inner*a.n*a.inner+o%a.inner, a.inner
			if reverse {
				at, step = at+(a.n-1)*a.inner, -a.inner
			}
			acc := empty
			for range a.n {
				next := f(acc, x[at])
				if y[at] = next; exclusive {
					y[at] = acc
				}
				acc = next
				at += step
			}
		}
	}
}

func addFloat(a, b float32) float32 { return a + b }
func mulFloat(a, b float32) float32 { return a * b }

// buildReverseSequence binds ReverseSequence: the first elements of every
// sequence, as many as its length says, back to front.
func buildReverseSequence(s *site) (Compute, error) {
	shape := s.in[0].Shape
	time := s.Int("time_axis", 0)
	st := strides(shape[:2])
	steps, batch, inner := shape[time], shape[1-time], product(shape[2:])
	return pick(s.in[0].DType,
		reverseSequence[float32](steps, batch, inner, st[time], st[1-time]),
		reverseSequence[int64](steps, batch, inner, st[time], st[1-time])), nil
}

func reverseSequence[T elem](steps, batch, inner, timeStep, batchStep int) Compute {
	return func(in, out []Tensor) {
		x, y := data[T](&in[0]), data[T](&out[0])
		for b := range batch {
			n := int(min(max(in[1].I[b], 0), int64(steps)))
			for t := range steps {
				from := t
				if t < n {
					from = n - 1 - t
				}
				to := (t*timeStep + b*batchStep) * inner
				copy(y[to:to+inner], x[(from*timeStep+b*batchStep)*inner:])
			}
		}
	}
}

// buildCenterCropPad binds CenterCropPad: the middle of axes that are too long,
// and zeros on both sides of those that are too short.
func buildCenterCropPad(s *site) (Compute, error) {
	if err := wantSame(&s.in[0], &s.out[0]); err != nil {
		return nil, err
	}
	from, to := s.in[0].Shape, s.out[0].Shape
	common := make([]int, len(from))
	src, dst := 0, 0
	own, other := strides(from), strides(to)
	for i := range from {
		common[i] = min(from[i], to[i])
		src += (from[i] - common[i]) / 2 * own[i]
		dst += (to[i] - common[i]) / 2 * other[i]
	}
	t := newNest(common, own, other)
	t.walks[0].base, t.walks[1].base = src, dst
	return pick(s.in[0].DType, place[float32](t), place[int64](t)), nil
}

// place copies input 0 to a part of output 0, and makes the rest zero.
func place[T elem](t nest) Compute {
	return func(in, out []Tensor) {
		x, y := data[T](&in[0]), data[T](&out[0])
		fill(y, 0)
		for r := range t.rows {
			i, j := t.at(0, r), t.at(1, r)
			for range t.n {
				y[j] = x[i]
				i += t.walks[0].step
				j += t.walks[1].step
			}
		}
	}
}

// buildTopK binds TopK: the k largest or smallest elements of an axis, sorted,
// and where they are. Among equals the first wins. A NaN is larger than all.
func buildTopK(s *site) (Compute, error) {
	axis := s.Int("axis", -1)
	a, err := alongOf(s.in[0].Shape, axis)
	if err != nil {
		return nil, err
	}
	k := s.out[0].Shape[len(s.out[0].Shape)-1]
	if b, err := alongOf(s.out[0].Shape, axis); err == nil {
		k = b.n
	}
	if len(s.out) < 2 || !s.out[1].present() {
		return nil, fmt.Errorf("output 1, the indices, is absent")
	}
	largest := s.opset < 11 || s.Int("largest", 1) != 0
	return pick(s.in[0].DType, topK[float32](a, k, largest), topK[int64](a, k, largest)), nil
}

// topK keeps a heap of the best k positions in the output, whose root is the
// worst of them, and sorts it in the end.
func topK[T elem](a along, k int, largest bool) Compute {
	return func(in, out []Tensor) {
		x, values, at := data[T](&in[0]), data[T](&out[0]), out[1].I
		for o := range a.outer * a.inner {
			h := heap[T]{
				x: x[o/a.inner*a.n*a.inner+o%a.inner:], at: at[o/a.inner*k*a.inner+o%a.inner:],
				step: a.inner, largest: largest,
			}
			for j := range a.n {
				h.offer(j, k)
			}
			for h.n > 1 {
				h.pop()
			}
			for j := range k {
				to := (o/a.inner*k+j)*a.inner + o%a.inner
				values[to] = h.x[int(at[to])*a.inner]
			}
		}
	}
}

// A heap is positions in x, of which none is better than its parent is bad.
type heap[T elem] struct {
	x       []T
	at      []int64
	step, n int // distance of elements of x and of at; positions in the heap
	largest bool
}

// worse reports whether the element at position i is to be left out before
// that at position j.
func (h *heap[T]) worse(i, j int64) bool {
	a, b := h.x[int(i)*h.step], h.x[int(j)*h.step]
	switch {
	case a == b || a != a && b != b:
		return i > j
	case a != a:
		return !h.largest
	case b != b:
		return h.largest
	}
	return (a < b) == h.largest
}

// offer takes position j in where it is among the best k.
func (h *heap[T]) offer(j, k int) {
	if h.n == k {
		if k > 0 && h.worse(h.at[0], int64(j)) {
			h.at[0] = int64(j)
			h.down(0)
		}
		return
	}
	i := h.n
	h.n++
	h.at[i*h.step] = int64(j)
	for i > 0 {
		parent := (i - 1) / 2
		if !h.worse(h.at[i*h.step], h.at[parent*h.step]) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

// pop moves the worst position behind the heap.
func (h *heap[T]) pop() {
	h.n--
	h.swap(0, h.n)
	h.down(0)
}

func (h *heap[T]) down(i int) {
	for {
		child := 2*i + 1
		if child >= h.n {
			return
		}
		if child+1 < h.n && h.worse(h.at[(child+1)*h.step], h.at[child*h.step]) {
			child++
		}
		if !h.worse(h.at[child*h.step], h.at[i*h.step]) {
			return
		}
		h.swap(i, child)
		i = child
	}
}

func (h *heap[T]) swap(i, j int) {
	h.at[i*h.step], h.at[j*h.step] = h.at[j*h.step], h.at[i*h.step]
}

func checkEyeLike(n *graph.Node, _ int) error {
	if dt := graph.DType(n.Int("dtype", int(graph.Float32))); !castable[dt] {
		return fmt.Errorf("attribute dtype: %s is not supported", dt)
	}
	return nil
}
