package pass

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// rotary recognises the turn of pairs of features by angles that depend on the
// position of a token, as exporters write it out, as nnz.Rotary: by halves of a
// head or by neighbours, with angles for each feature or for each pair, as a
// sum of x and of x turned a quarter, or part by part.
//
// Source: Su et al., RoFormer: Enhanced Transformer with Rotary Position
// Embedding, 2021.
func rotary(g *Graph) error {
	m := newMatcher(g)
	for _, n := range slices.Clone(g.Nodes) {
		if is(n, "Add") || is(n, "Concat") || is(n, "Reshape") || is(n, "Flatten") {
			m.fuseRotary(n)
		}
	}
	m.sweep()
	return dead(g)
}

// The bounds of what a turn may be: how many nodes it is written out in along
// one path, of how many features a head is, and how many values may be what was
// turned.
const (
	maxSteps = 12
	maxDepth = 4096
	maxRoots = 16
)

// A product is one feature of a value, with its sign, times an element of a
// row of a table, where there is one.
type product struct {
	feature int
	minus   bool
	table   string
	at      int
}

// features are the elements of a value that belong to one row of another one:
// each is a sum of products.
type features [][]product

// A turn looks for what a value is in terms of the rows of another one.
type turn struct {
	*matcher
	x    string
	rows []int // the extents of x but for what makes up a row
	seen map[string]features
}

// fuseRotary rewrites the last node of a turn.
func (m *matcher) fuseRotary(n *graph.Node) {
	y := n.Outputs[0]
	shape := m.Types[y].Shape
	last := len(shape) - 1
	if last < 0 || slices.Contains(shape, 0) || shape[last]%2 != 0 || shape[last] > maxDepth || !m.Types[y].DType.Float() {
		return
	}
	for _, x := range m.ancestors(y) {
		t := turn{m, x, shape[:last], make(map[string]features)}
		f := t.featuresOf(y, maxSteps)
		if f == nil {
			continue
		}
		for interleaved := range 2 {
			cos, sin, ok := m.tablesOf(f, interleaved == 1)
			if ok {
				m.setRotary(n, x, cos, sin, interleaved)
				return
			}
		}
	}
}

// ancestors returns the values that y is computed from and that have the shape
// of y, then those that have it but for the last axis cut into several.
func (m *matcher) ancestors(y string) []string {
	shape := m.Types[y].Shape
	last := len(shape) - 1
	var list []string
	seen := map[string]bool{y: true}
	front := []string{y}
	for range maxSteps {
		var next []string
		for _, name := range front {
			n := m.producer[name]
			if n == nil || n.Domain != "" {
				continue
			}
			for _, in := range n.Inputs {
				if in == "" || seen[in] || m.constant(in) != nil {
					continue
				}
				seen[in] = true
				next = append(next, in)
				if s := m.Types[in].Shape; len(s) >= len(shape) && slices.Equal(s[:last], shape[:last]) && extent(s[last:]) == shape[last] {
					list = append(list, in)
				}
			}
		}
		if front = next; len(front) == 0 || len(list) >= maxRoots {
			break
		}
	}
	slices.SortStableFunc(list, func(a, b string) int { return len(m.Types[a].Shape) - len(m.Types[b].Shape) })
	return list
}

// featuresOf returns the elements of a value for one row of x, in order; nil
// where they are not sums of products of its features.
func (t *turn) featuresOf(name string, steps int) features {
	shape := t.Types[name].Shape
	if name == t.x {
		f := make(features, extent(shape[len(t.rows):]))
		for i := range f {
			f[i] = []product{{feature: i}}
		}
		return f
	}
	f, ok := t.seen[name]
	if !ok && steps > 0 && len(shape) > len(t.rows) && slices.Equal(shape[:len(t.rows)], t.rows) && extent(shape[len(t.rows):]) <= maxDepth {
		f = t.computed(name, steps)
		t.seen[name] = f
	}
	return f
}

// computed returns the features of a value that a node makes.
func (t *turn) computed(name string, steps int) features {
	n := t.producer[name]
	if n == nil || n.Domain != "" {
		return nil
	}
	of := func(i int) features { return t.featuresOf(n.Inputs[i], steps-1) }
	switch n.Op {
	case "Reshape", "Flatten", "Squeeze", "Unsqueeze":
		return of(0)
	case "Neg":
		return of(0).negated()
	case "Add", "Sub":
		if !t.sameShape(n.Inputs[0], name) || !t.sameShape(n.Inputs[1], name) {
			return nil
		}
		a, b := of(0), of(1)
		if n.Op == "Sub" {
			b = b.negated()
		}
		return a.plus(b)
	case "Mul":
		if len(t.Types[name].Shape) != len(t.rows)+1 { // a table would not broadcast to x in the same way
			return nil
		}
		for i, in := range n.Inputs {
			if f := of(i); f != nil && t.sameShape(in, name) {
				return f.times(n.Inputs[1-i], t.Types[n.Inputs[1-i]].Shape)
			}
		}
	case "Slice", "Split", "Gather":
		return t.part(n, name, of(0))
	case "Concat":
		return t.joined(n, name, of)
	}
	return nil
}

// negated returns the features with the other sign.
func (f features) negated() features {
	if f == nil {
		return nil
	}
	out := make(features, len(f))
	for i, sum := range f {
		out[i] = slices.Clone(sum)
		for j := range out[i] {
			out[i][j].minus = !sum[j].minus
		}
	}
	return out
}

// plus returns the sums, which have two products at most.
func (f features) plus(g features) features {
	if f == nil || len(f) != len(g) {
		return nil
	}
	out := make(features, len(f))
	for i := range f {
		if len(f[i])+len(g[i]) > 2 {
			return nil
		}
		out[i] = slices.Concat(f[i], g[i])
	}
	return out
}

// times returns the products with the elements along the last axis of a table.
func (f features) times(table string, shape []int) features {
	if len(shape) == 0 || shape[len(shape)-1] != len(f) {
		return nil
	}
	out := make(features, len(f))
	for i, sum := range f {
		if len(sum) != 1 || sum[0].table != "" {
			return nil
		}
		p := sum[0]
		p.table, p.at = table, i
		out[i] = []product{p}
	}
	return out
}

// part returns the features that a Slice, Split or Gather takes.
func (t *turn) part(n *graph.Node, name string, f features) features {
	from, to := t.Types[n.Inputs[0]].Shape, t.Types[name].Shape
	if f == nil {
		return nil
	}
	axis, start, step, count := n.Int("axis", 0), 0, 1, 1
	switch n.Op {
	case "Slice":
		starts, axes, steps, ok := t.sliceOf(n)
		if !ok || len(starts) != 1 || len(axes) > 1 || len(steps) > 1 {
			return nil
		}
		if axis, start = 0, starts[0]; axes != nil {
			axis = axes[0]
		}
		if steps != nil {
			step = steps[0]
		}
	case "Split":
		for _, out := range n.Outputs[:slices.Index(n.Outputs, name)] {
			start += t.Types[out].Shape[wrap(axis, len(from))]
		}
	case "Gather":
		at := t.constant(n.Inputs[1])
		if at == nil || at.Len() != 1 || len(at.Shape) > 0 {
			return nil
		}
		start = int(at.Ints()[0])
	}
	if axis = wrap(axis, len(from)); axis < len(t.rows) || step < 1 {
		return nil
	}
	if n.Op != "Gather" {
		count = to[axis]
	}
	start = min(max(wrap(start, from[axis]), 0), from[axis])
	if start+(count-1)*step >= from[axis] {
		return nil
	}
	inner := extent(from[axis+1:])
	var out features
	for block := range len(f) / (from[axis] * inner) {
		for i := range count {
			out = append(out, f[(block*from[axis]+start+i*step)*inner:][:inner]...)
		}
	}
	return out
}

// joined returns the features that a Concat puts beside one another.
func (t *turn) joined(n *graph.Node, name string, of func(i int) features) features {
	to := t.Types[name].Shape
	axis := wrap(n.Int("axis", 1), len(to))
	if axis < len(t.rows) {
		return nil
	}
	parts, widths := make([]features, len(n.Inputs)), make([]int, len(n.Inputs))
	for i, in := range n.Inputs {
		if parts[i] = of(i); parts[i] == nil {
			return nil
		}
		widths[i] = extent(t.Types[in].Shape[axis:])
	}
	var out features
	for block := range extent(to[len(t.rows):axis]) {
		for i, p := range parts {
			out = append(out, p[block*widths[i]:(block+1)*widths[i]]...)
		}
	}
	return out
}

// wrap counts an index below zero from the end.
func wrap(i, n int) int {
	if i < 0 {
		return i + n
	}
	return i
}

// extent returns the number of elements of some axes.
func extent(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// tablesOf returns the tables where features are those of a row that was
// turned: x·cos less its partner times sin for the first of a pair, and x·cos
// plus that for the second.
func (m *matcher) tablesOf(f features, interleaved bool) (cos, sin string, ok bool) {
	half := len(f) / 2
	for i, sum := range f {
		pair, second := i%half, i >= half
		partner := (i + half) % len(f)
		if interleaved {
			pair, second, partner = i/2, i%2 == 1, i^1
		}
		if len(sum) != 2 {
			return "", "", false
		}
		straight, across := sum[0], sum[1]
		if straight.feature != i {
			straight, across = across, straight
		}
		if straight.feature != i || straight.minus || across.feature != partner || across.minus == second {
			return "", "", false
		}
		if i == 0 {
			cos, sin = straight.table, across.table
		}
		for _, p := range []struct {
			product
			table string
		}{{straight, cos}, {across, sin}} {
			if p.product.table != p.table || p.table == "" {
				return "", "", false
			}
			shape, at := m.Types[p.table].Shape, i
			if shape[len(shape)-1] == half {
				at = pair
			}
			if p.at != at {
				return "", "", false
			}
		}
	}
	return cos, sin, true
}

// setRotary makes n the turn of x. Where x is heads of tokens that have been
// moved before the tokens, the turn takes place before that, so that attention
// finds the tokens in one piece.
func (m *matcher) setRotary(n *graph.Node, x, cos, sin string, interleaved int) {
	move := m.producer[x]
	if !m.sameShape(x, n.Outputs[0]) {
		whole := &graph.Node{Outputs: []string{m.addValue(x+".whole", m.Types[n.Outputs[0]])}}
		m.before(n, whole, nil)
		m.setReshape(whole, x)
		x = whole.Outputs[0]
	}
	perm := []int{0, 2, 1, 3}
	if !is(move, "Transpose") || !slices.Equal(permutation(move, len(m.Types[x].Shape)), perm) || !m.turnable(cos) || !m.turnable(sin) {
		m.replace(n, "Rotary", x, cos, sin)
		n.Set("interleaved", interleaved)
		return
	}
	y, z := n.Outputs[0], move.Inputs[0]
	early := &graph.Node{Name: n.Name, Op: "Rotary", Domain: graph.FusedDomain}
	early.Set("interleaved", interleaved)
	early.Outputs = []string{m.addValue(y+".turned", m.Types[z])}
	m.before(n, early, []string{z, m.exchanged(n, cos), m.exchanged(n, sin)})
	m.setInputs(n, early.Outputs[0])
	n.Op, n.Attrs = "Transpose", nil
	n.Set("perm", perm)
}

// turnable reports whether a table is still one in the same order when the
// axes of heads and tokens change places.
func (m *matcher) turnable(table string) bool {
	shape := m.Types[table].Shape
	return len(shape) < 4 && (len(shape) < 3 || shape[0] == 1) || len(shape) == 4 && (shape[1] == 1 || shape[2] == 1)
}

// exchanged returns a table with the axes of heads and tokens in each other's
// place.
func (m *matcher) exchanged(n *graph.Node, table string) string {
	t := m.Types[table]
	shape := slices.Concat([]int{1, 1, 1, 1}[:4-len(t.Shape)], t.Shape)
	shape[1], shape[2] = shape[2], shape[1]
	node := &graph.Node{Outputs: []string{m.addValue(table+".tokens", graph.Type{DType: t.DType, Shape: shape})}}
	m.before(n, node, nil)
	m.setReshape(node, table)
	return node.Outputs[0]
}
