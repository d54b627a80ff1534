package pass

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// attention turns softmax(Q·Kᵀ)·V by heads, with what cuts the features of
// tokens into heads before it, into nnz.Attention on tokens by features, and
// what follows into moves of its output, which pass transpose cancels.
//
// Source: Vaswani et al., Attention Is All You Need, 2017; Ainslie et al., GQA,
// 2023, for fewer heads of K and V.
func attention(g *Graph) error {
	m := newMatcher(g)
	for _, n := range slices.Clone(g.Nodes) {
		if is(n, "MatMul") {
			m.fuseAttention(n)
		}
	}
	m.sweep()
	return dead(g)
}

// masked is the lowest score that counts as one of a token that is seen: what
// is lower comes to a probability of zero.
const masked = -1e9

// heads is how an operand of attention lies in a value of [batch, tokens,
// features].
type heads struct {
	source               string
	offset               int // of the first feature
	batch, tokens, width int // width is of all features of a token
	heads, repeat, depth int // heads, how often each is read, and features of one
	scale                float64
}

// headsOf follows an operand back to where tokens are rows of features. The
// axes of tokens and depth are counted from the end.
func (m *matcher) headsOf(name string, tokens, depth int, parts bool) (heads, bool) {
	rank := len(m.Types[name].Shape)
	for limit := maxMoves; limit >= 0 && rank >= 2; limit-- {
		v := m.viewOf(name, limit, true)
		if !parts && v.offset != 0 {
			continue
		}
		if h, ok := m.headsIn(v, rank-tokens, rank-depth); ok && (parts || h.width == h.heads*h.depth) {
			return h, true
		}
	}
	return heads{}, false
}

// headsIn reads a view as heads.
func (m *matcher) headsIn(v view, tokens, depth int) (h heads, ok bool) {
	shape := m.Types[v.source].Shape
	if len(shape) < 2 || m.constant(v.source) != nil {
		return h, false
	}
	h = heads{source: v.source, offset: v.offset, batch: 1, tokens: 1, heads: 1, repeat: 1, depth: 1, scale: v.scale}
	h.width = shape[len(shape)-1]
	if f := flat(v.axes[depth]); len(f) > 1 || len(f) == 1 && f[0].stride != 1 {
		return h, false
	} else if len(f) == 1 {
		h.depth = f[0].extent
	}
	if f := flat(v.axes[tokens]); len(f) > 1 || len(f) == 1 && f[0].stride == 0 {
		return h, false
	} else if len(f) == 1 {
		h.tokens, h.width = f[0].extent, f[0].stride
	}
	for _, f := range flat(v.axes[:min(tokens, depth)]...) {
		if f.stride < h.width && f.extent*f.stride > h.width && h.width%max(1, f.stride) == 0 {
			// One token, so that batch and heads are one run through memory.
			inner := h.width / f.stride
			if f.extent%inner != 0 || h.tokens != 1 || h.batch != 1 {
				return h, false
			}
			h.batch = f.extent / inner
			f.extent = inner
		}
		switch {
		case f.stride == 0 && h.repeat == 1:
			h.repeat = f.extent
		case f.stride == h.depth && f.stride < h.width && h.heads == 1 && h.repeat == 1:
			h.heads = f.extent
		case f.stride == h.tokens*h.width && h.batch == 1 && h.heads == 1 && h.repeat == 1:
			h.batch = f.extent
		default:
			return h, false
		}
	}
	n, err := graph.Elements(shape)
	return h, err == nil && h.offset+h.heads*h.depth <= h.width && n == h.batch*h.tokens*h.width
}

// fuseAttention rewrites the last product of attention.
func (m *matcher) fuseAttention(n *graph.Node) {
	p := m.made(n.Inputs[0], "Softmax")
	if p == nil {
		return
	}
	scores := m.Types[p.Outputs[0]].Shape
	def := -1
	if m.Opset[""] < 13 {
		def = 1
	}
	if axis := p.Int("axis", def); len(scores) < 3 || axis != -1 && axis != len(scores)-1 {
		return
	}
	name, mask := m.unmask(p.Inputs[0])
	name, scale := m.peel(name)
	product := m.made(name, "MatMul")
	if product == nil || !slices.Equal(m.Types[name].Shape, scores) {
		return
	}
	operands := func(parts bool) (q, k, v heads, ok bool) {
		q, ok1 := m.headsOf(product.Inputs[0], 2, 1, parts)
		k, ok2 := m.headsOf(product.Inputs[1], 1, 2, parts)
		v, ok3 := m.headsOf(n.Inputs[1], 2, 1, parts)
		return q, k, v, ok1 && ok2 && ok3 && v.scale == 1 && q.repeat == 1 &&
			q.batch == k.batch && q.batch == v.batch && k.tokens == v.tokens && q.depth == k.depth &&
			k.heads == v.heads && k.repeat == v.repeat && q.heads == k.heads*k.repeat
	}
	q, k, v, ok := operands(true)
	merged := ok && m.besides(q, k, v)
	if !merged {
		if q, k, v, ok = operands(false); !ok {
			return
		}
	}
	if mask != "" && !m.fitsScores(mask, len(scores), q, k) {
		return
	}
	m.setAttention(n, [3]heads{q, k, v}, merged, mask, scale*q.scale*k.scale)
}

// besides reports whether Q, K and V lie beside one another in one value.
func (m *matcher) besides(q, k, v heads) bool {
	part := k.heads * k.depth
	return q.source == k.source && q.source == v.source && q.tokens == k.tokens && k.depth == v.depth &&
		q.offset == 0 && k.offset == q.heads*q.depth && v.offset == k.offset+part && q.width == v.offset+part
}

// fitsScores reports whether a mask that broadcasts to the scores of rank axes
// also broadcasts to [batch, heads, queries, keys].
func (m *matcher) fitsScores(mask string, rank int, q, k heads) bool {
	shape := m.Types[mask].Shape
	if len(shape) > rank || rank != 4 && len(shape) > 2 && len(flat(m.wholeOf(mask).axes[:len(shape)-2]...)) > 0 {
		return false
	}
	full := []int{q.batch, q.heads, q.tokens, k.tokens}
	b, err := graph.Broadcast(full, shape)
	return err == nil && slices.Equal(b, full)
}

// unmask takes the mask off scores: a term that is added to them, or a choice
// between them and a number so low that it comes to zero.
func (m *matcher) unmask(name string) (scores, mask string) {
	shape := m.Types[name].Shape
	if n := m.made(name, "Add"); n != nil {
		for i, x := range n.Inputs {
			under, _ := m.peel(x)
			if m.made(under, "MatMul") != nil && m.sameShape(x, name) {
				return x, n.Inputs[1-i]
			}
		}
	}
	n := m.made(name, "Where")
	if n == nil {
		return name, ""
	}
	for i, x := range n.Inputs[1:] {
		low, ok := m.scalar(n.Inputs[2-i])
		if ok && low <= masked && slices.Equal(m.Types[x].Shape, shape) {
			return x, m.maskOf(n, i == 0, low)
		}
	}
	return name, ""
}

// maskOf returns a value that is zero where a Where node takes the scores and
// low elsewhere; keep is what its condition is where it takes them.
func (m *matcher) maskOf(n *graph.Node, keep bool, low float32) string {
	condition := n.Inputs[0]
	typ := graph.Type{DType: graph.Float32, Shape: m.Types[condition].Shape}
	if t := m.constant(condition); t != nil {
		v := make([]float32, t.Len())
		for i, c := range t.Ints() {
			if (c != 0) != keep {
				v[i] = low
			}
		}
		return m.addWeight(condition+".mask", graph.FromFloats(typ.Shape, v))
	}
	zero := m.addWeight(condition+".zero", graph.FromFloats([]int{}, []float32{0}))
	lowest := m.addWeight(condition+".low", graph.FromFloats([]int{}, []float32{low}))
	inputs := []string{condition, zero, lowest}
	if !keep {
		inputs = []string{condition, lowest, zero}
	}
	node := &graph.Node{Op: "Where", Outputs: []string{m.addValue(condition+".mask", typ)}}
	m.before(n, node, inputs)
	return node.Outputs[0]
}

// isCausal reports whether a constant mask hides from each token those after
// it, and nothing else.
func (m *matcher) isCausal(mask string, tokens int) bool {
	t := m.constant(mask)
	if t == nil || !t.DType.Float() || t.Len() != tokens*tokens || len(t.Shape) < 2 || t.Shape[len(t.Shape)-1] != tokens {
		return false
	}
	for i, v := range t.Floats() {
		if later := i%tokens > i/tokens; later && !(v <= masked) || !later && v != 0 {
			return false
		}
	}
	return true
}

// setAttention makes n move the output of an nnz.Attention to where it was.
func (m *matcher) setAttention(n *graph.Node, parts [3]heads, merged bool, mask string, scale float64) {
	q, k, v := parts[0], parts[1], parts[2]
	inputs := []string{m.tokensOf(n, q), "", "", mask}
	if !merged {
		inputs[1], inputs[2] = m.tokensOf(n, k), m.tokensOf(n, v)
	}
	node := &graph.Node{Name: n.Name, Op: "Attention", Domain: graph.FusedDomain}
	node.Set("heads", q.heads)
	node.Set("kv_heads", k.heads)
	node.Set("scale", float32(scale))
	if q.tokens == k.tokens && mask != "" && m.isCausal(mask, q.tokens) {
		inputs[3] = ""
		node.Set("causal", 1)
	}
	for inputs[len(inputs)-1] == "" {
		inputs = inputs[:len(inputs)-1]
	}
	y := n.Outputs[0]
	typ := func(shape ...int) graph.Type { return graph.Type{DType: m.Types[y].DType, Shape: shape} }
	node.Outputs = []string{m.addValue(y+".attention", typ(q.batch, q.tokens, q.heads*v.depth))}
	m.before(n, node, inputs)
	cut := &graph.Node{Outputs: []string{m.addValue(y+".heads", typ(q.batch, q.tokens, q.heads, v.depth))}}
	m.before(n, cut, nil)
	m.setReshape(cut, node.Outputs[0])
	turned := &graph.Node{Op: "Transpose", Outputs: []string{m.addValue(y+".turned", typ(q.batch, q.heads, q.tokens, v.depth))}}
	turned.Set("perm", []int{0, 2, 1, 3})
	m.before(n, turned, cut.Outputs)
	m.setReshape(n, turned.Outputs[0])
}

// tokensOf returns the value that heads lie in as [batch, tokens, features].
func (m *matcher) tokensOf(n *graph.Node, h heads) string {
	shape := []int{h.batch, h.tokens, h.width}
	if slices.Equal(m.Types[h.source].Shape, shape) {
		return h.source
	}
	node := &graph.Node{Outputs: []string{m.addValue(h.source+".tokens", graph.Type{DType: m.Types[h.source].DType, Shape: shape})}}
	m.before(n, node, nil)
	m.setReshape(node, h.source)
	return node.Outputs[0]
}
