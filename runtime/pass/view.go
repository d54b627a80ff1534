package pass

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// A factor is a step through memory: so many elements, so far apart.
type factor struct{ extent, stride int }

// A view is a value whose elements are those of another one at strides. An axis
// is a product of factors, the outermost first, so that reshapes of any kind
// are views too as long as they cut no factor apart unevenly.
type view struct {
	source string
	offset int
	axes   [][]factor
	scale  float64 // the elements are those of the source times this
}

// wholeOf returns a value as a view of itself.
func (g *Graph) wholeOf(name string) view {
	shape := g.Types[name].Shape
	v := view{source: name, axes: make([][]factor, len(shape)), scale: 1}
	stride := 1
	for i, d := range slices.Backward(shape) {
		v.axes[i] = []factor{{d, stride}}
		stride *= d
	}
	return v
}

// flat joins axes: factors of one element go, and neighbours that are one run
// through memory become one.
func flat(axes ...[]factor) []factor {
	var out []factor
	for _, axis := range axes {
		for _, f := range axis {
			if f.extent == 1 {
				continue
			}
			if n := len(out); n > 0 && out[n-1].stride == f.extent*f.stride {
				out[n-1] = factor{out[n-1].extent * f.extent, f.stride}
			} else {
				out = append(out, f)
			}
		}
	}
	return out
}

// reshaped cuts the elements anew.
func (v view) reshaped(shape []int) (view, bool) {
	rest := flat(v.axes...)
	v.axes = make([][]factor, len(shape))
	for i, d := range shape {
		for d > 1 {
			if len(rest) == 0 {
				return v, false
			}
			f := rest[0]
			switch {
			case d%f.extent == 0:
				d /= f.extent
				rest = rest[1:]
			case f.extent%d == 0:
				inner := f.extent / d
				rest = slices.Clone(rest)
				rest[0].extent = inner
				f = factor{d, f.stride * inner}
				d = 1
			default:
				return v, false
			}
			v.axes[i] = append(v.axes[i], f)
		}
	}
	return v, len(rest) == 0
}

// cut takes n elements of an axis from start on.
func (v view) cut(axis, start, n int) (view, bool) {
	f := flat(v.axes[axis])
	if len(f) > 1 {
		return v, false
	}
	if len(f) == 1 {
		v.offset += start * f[0].stride
		f[0].extent = n
	}
	v.axes = slices.Clone(v.axes)
	v.axes[axis] = f
	return v, true
}

// contiguous reports whether the elements are all of the source's, in order.
func (v view) contiguous() bool {
	f := flat(v.axes...)
	return v.offset == 0 && v.scale == 1 && (len(f) == 0 || len(f) == 1 && f[0].stride == 1)
}

// moves reports whether a node only moves elements, all of its first input.
func moves(n *graph.Node) bool {
	if n == nil || n.Domain != "" {
		return false
	}
	switch n.Op {
	case "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose":
		return true
	}
	return false
}

// viewOf follows a value back through at most depth nodes that move elements,
// to the value that they are of. With parts, nodes that take some of the
// elements, repeat them, or scale them count too.
func (m *matcher) viewOf(name string, depth int, parts bool) view {
	n := m.producer[name]
	if depth == 0 || n == nil || n.Domain != "" || len(n.Inputs) == 0 {
		return m.wholeOf(name)
	}
	x, scale := n.Inputs[0], 1.0
	if parts && (n.Op == "Mul" || n.Op == "Div") {
		c, ok := float32(0), false
		if x, c, ok = m.withScalar(n); ok && m.sameShape(x, name) {
			scale = float64(c)
			if n.Op == "Div" {
				scale = 1 / scale
			}
		}
	}
	if slices.Contains(m.Types[name].Shape, 0) || x == "" || slices.Contains(m.Types[x].Shape, 0) || m.constant(x) != nil {
		return m.wholeOf(name)
	}
	known := moves(n) || scale != 1
	if parts {
		known = known || slices.Contains([]string{"Slice", "Split", "Gather", "Expand"}, n.Op)
	}
	if !known {
		return m.wholeOf(name)
	}
	v, ok := m.through(n, name, m.viewOf(x, depth-1, parts))
	if !ok {
		return m.wholeOf(name)
	}
	v.scale *= scale
	return v
}

// through applies what node n does to its input, seen as v, to get its output
// name.
func (m *matcher) through(n *graph.Node, name string, v view) (view, bool) {
	from, to := m.Types[n.Inputs[0]].Shape, m.Types[name].Shape
	switch n.Op {
	case "Transpose":
		axes := make([][]factor, len(to))
		for i, p := range permutation(n, len(from)) {
			axes[i] = v.axes[p]
		}
		v.axes = axes
		return v, true
	case "Split":
		axis := n.Int("axis", 0)
		if axis < 0 {
			axis += len(from)
		}
		start := 0
		for _, out := range n.Outputs {
			if out == name {
				break
			}
			start += m.Types[out].Shape[axis]
		}
		return v.cut(axis, start, to[axis])
	case "Slice":
		return m.throughSlice(n, to, v)
	case "Gather":
		axis := n.Int("axis", 0)
		if axis < 0 {
			axis += len(from)
		}
		t := m.constant(n.Inputs[1])
		if t == nil || t.Len() != 1 || len(to) != len(from)-1 {
			return v, false
		}
		i := int(t.Ints()[0])
		if i < 0 {
			i += from[axis]
		}
		v, ok := v.cut(axis, i, 1)
		v.axes = slices.Delete(slices.Clone(v.axes), axis, axis+1)
		return v, ok
	case "Expand":
		axes := make([][]factor, len(to))
		for i, d := range to {
			j := i - (len(to) - len(from))
			if j >= 0 && from[j] == d {
				axes[i] = v.axes[j]
			} else {
				axes[i] = []factor{{d, 0}}
			}
		}
		v.axes = axes
		return v, true
	case "Mul", "Div":
		return v, true
	}
	return v.reshaped(to)
}

// throughSlice applies a slice of steps of one.
func (m *matcher) throughSlice(n *graph.Node, to []int, v view) (view, bool) {
	starts, axes, steps, ok := m.sliceOf(n)
	if !ok || slices.ContainsFunc(steps, func(s int) bool { return s != 1 }) {
		return v, false
	}
	from := m.Types[n.Inputs[0]].Shape
	for i, s := range starts {
		axis := i
		if axes != nil {
			axis = axes[i]
		}
		if axis < 0 {
			axis += len(from)
		}
		if s < 0 {
			s += from[axis]
		}
		if v, ok = v.cut(axis, min(max(s, 0), from[axis]), to[axis]); !ok {
			return v, false
		}
	}
	return v, true
}

// sliceOf returns the starts of a Slice, and its axes and steps where it has
// them, where all are constants.
func (m *matcher) sliceOf(n *graph.Node) (starts, axes, steps []int, ok bool) {
	for _, list := range []struct {
		input int
		attr  string
		to    *[]int
	}{{1, "starts", &starts}, {3, "axes", &axes}, {4, "steps", &steps}} {
		if n.Input(list.input) == "" {
			*list.to = n.Ints(list.attr)
			continue
		}
		t := m.constant(n.Inputs[list.input])
		if t == nil {
			return nil, nil, nil, false
		}
		for _, x := range t.Ints() {
			*list.to = append(*list.to, int(x))
		}
	}
	return starts, axes, steps, starts != nil
}
