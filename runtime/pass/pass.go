// Package pass rewrites a model, step by step, into one that computes the same
// with fewer and larger nodes: constants are folded, what changes nothing is
// dropped, and normalisation, arithmetic and activations move into the layers
// before them.
//
// Between the passes and code generation a model holds operators of
// [graph.FusedDomain]:
//
//	Conv    X [N, C, …], W [M, C/group, k…], B [M] optional, R optional
//	        attributes kernel_shape, strides, dilations, pads and group, all there
//	Linear  X [..., K], W [M, K], B [M] optional, R optional
//	DepthToSpace  X [N, C·b…, D…] to pixels s and on of [N, C, D·b…], as many as
//	        the output has; attributes blocks, b of each axis, and skip, s:
//	        pixel d is pixel d/b of the channel that d mod b counts within
//	        those of C
//	Affine  X [N, C, …], scale [C], shift [C]
//	Clamp   X; attributes min and max, either may be absent
//	HardSwish  X
//	Threshold  X; attributes limit and density: 0 where |X| <= limit, X
//	        elsewhere, a NaN too; density is the share of those expected
//	LayerNorm  X [..., K], scale [K] optional, bias [K] optional; attribute epsilon
//	RMSNorm    X [..., K], scale [K] optional; attribute epsilon
//	Gelu    X; attribute approximate, none or tanh
//	SiLU    X; attribute alpha: X · sigmoid(alpha·X)
//	Rotary  X [..., D], cos, sin; attribute interleaved
//	Attention  Q [B, T, H·D], K [B, S, G·D], V [B, S, G·E], mask optional, to
//	        [B, T, H·E]; attributes heads H, kv_heads G, which divides H, scale
//	        and causal
//
//	RNN, GRU, LSTM  as in ONNX, but X is its products with W and their bias,
//	        [T, B, D·G·H] or with layout 1 [B, T, D·G·H], W is absent and B is
//	        the bias of the products with R, [D, G·H]
//
// Attention computes softmax(scale·Q·Kᵀ + mask)·V for each head; head h reads
// head h·G/H of K and V. The mask broadcasts to [B, H, T, S]; causal hides from
// each token those after it. Where K and V are absent, E is D, S is T, and Q
// holds the features of all three beside one another, [B, T, H·D + G·D + G·D].
//
// Rotary turns pairs of features, x and y, to x·cos - y·sin and y·cos + x·sin.
// Pairs are i and D/2 + i, or neighbours where interleaved is 1. The tables
// broadcast to X, or to one element for each pair: [..., D/2].
//
// W and B are constants and a sparse W stays sparse. R is a residual of the
// output's shape. Conv and Linear compute products + B + R, clamped to
// attributes clamp_min and clamp_max where they are there. The plain twins of
// all of them are in package ops.
package pass

import (
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// A Graph is a model under rewriting and the types of its values, as
// [graph.Infer] found them. Passes keep the names of values that survive, of
// the graph's inputs and outputs always, and the types of new ones are added.
type Graph struct {
	*graph.Model
	Types map[string]graph.Type
	// Stop ends a pass where it returns an error: it is asked for each value that
	// a pass adds, with the bytes that the value holds where it is a weight. Many
	// nodes may share a weight, of which each gets one of its own. Nil never ends
	// one.
	Stop func(bytes int64) error

	names map[string]int // how often a name was asked for that was taken
}

// A Pass is one rewriting of a graph. It keeps the results up to rounding.
type Pass struct {
	Name string
	Run  func(*Graph) error
}

// A stopped is what a pass ends with, from deep within.
type stopped struct{ err error }

// Apply runs the pass. It returns the error of [Graph.Stop] where that ended it.
func (p Pass) Apply(g *Graph) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case stopped:
			err = r.err
		default:
			panic(r)
		}
	}()
	return p.Run(g)
}

// All is every pass in the order to run them.
var All = []Pass{
	{"fold", fold},
	{"noop", noop},
	{"dead", dead},
	{"clamp", clamp},
	{"hardswish", hardSwish},
	{"layernorm", layerNorm},
	{"rmsnorm", rmsNorm},
	{"gelu", gelu},
	{"silu", silu},
	{"rotary", rotary},
	{"conv", conv},
	{"linear", linear},
	{"recurrent", recurrent},
	{"pad", pad},
	{"batchnorm", batchNorm},
	{"arith", arith},
	{"convtranspose", convTranspose},
	{"transpose", transpose},
	{"attention", attention},
	{"matmul", matMul},
	{"arith", arith},
	{"transpose", transpose},
	{"qkv", qkv},
	{"epilogue", epilogue},
	{"dead", dead},
}

// constant returns the value of name where it is a constant, else nil.
func (g *Graph) constant(name string) *graph.Tensor {
	if w := g.Weights[name]; w != nil {
		return w
	}
	return g.Types[name].Const
}

// scalar returns the one element of a real constant.
func (g *Graph) scalar(name string) (float32, bool) {
	t := g.constant(name)
	if t == nil || !t.DType.Float() || t.Len() != 1 {
		return 0, false
	}
	return t.Floats()[0], true
}

// addValue adds the type of a new value under a name like hint that is free.
func (g *Graph) addValue(hint string, t graph.Type) string {
	if g.Stop != nil {
		bytes := int64(0)
		if t.Const != nil && !t.Const.Deferred() {
			bytes = int64(t.Const.Bytes())
		}
		if err := g.Stop(bytes); err != nil {
			panic(stopped{err})
		}
	}
	if g.names == nil {
		g.names = make(map[string]int)
	}
	name := hint
	for {
		_, typed := g.Types[name]
		if _, weight := g.Weights[name]; !typed && !weight {
			break
		}
		g.names[hint]++
		name = fmt.Sprintf("%s.%d", hint, g.names[hint])
	}
	g.Types[name] = t
	return name
}

// addWeight adds a constant under a name like hint that is free.
func (g *Graph) addWeight(hint string, t *graph.Tensor) string {
	name := g.addValue(hint, graph.Type{DType: t.DType, Shape: t.Shape, Const: t})
	if g.Weights == nil {
		g.Weights = make(map[string]*graph.Tensor)
	}
	g.Weights[name] = t
	return name
}

// sameShape reports whether two values have equal shapes.
func (g *Graph) sameShape(a, b string) bool {
	return slices.Equal(g.Types[a].Shape, g.Types[b].Shape)
}

// is reports whether n is operator op of the ONNX domain.
func is(n *graph.Node, op string) bool {
	return n != nil && n.Domain == "" && n.Op == op
}

// isFused reports whether n is operator op of the fused domain.
func isFused(n *graph.Node, op string) bool {
	return n != nil && n.Domain == graph.FusedDomain && n.Op == op
}

// An index is who makes and who reads each value. The methods that rewrite the
// graph keep it up to date; nodes they drop leave the graph with sweep.
type index struct {
	g        *Graph
	producer map[string]*graph.Node
	readers  map[string]int // inputs of nodes that read the value, and outputs of the graph
	output   map[string]bool
	position map[*graph.Node]int
	dropped  map[*graph.Node]bool
	added    map[*graph.Node][]*graph.Node // nodes that go before a node
}

func newIndex(g *Graph) *index {
	ix := &index{
		g:        g,
		producer: make(map[string]*graph.Node, len(g.Nodes)),
		readers:  make(map[string]int, 2*len(g.Nodes)),
		output:   make(map[string]bool),
		position: make(map[*graph.Node]int, len(g.Nodes)),
		dropped:  make(map[*graph.Node]bool),
		added:    make(map[*graph.Node][]*graph.Node),
	}
	for i, n := range g.Nodes {
		ix.position[n] = i
		for _, in := range n.Inputs {
			ix.readers[in]++
		}
		for _, out := range n.Outputs {
			ix.producer[out] = n
		}
	}
	for _, out := range g.Outputs {
		ix.output[out.Name] = true
		ix.readers[out.Name]++
	}
	delete(ix.producer, "")
	return ix
}

// private returns the node whose one output is value name, where nothing but
// one input of a node reads it; else nil.
func (ix *index) private(name string) *graph.Node {
	if n := ix.producer[name]; n != nil && len(n.Outputs) == 1 && ix.readers[name] == 1 && !ix.output[name] {
		return n
	}
	return nil
}

// setInputs replaces the inputs of n.
func (ix *index) setInputs(n *graph.Node, inputs ...string) {
	for _, in := range n.Inputs {
		ix.readers[in]--
	}
	n.Inputs = inputs
	for _, in := range n.Inputs {
		ix.readers[in]++
	}
}

// drop takes n out of the graph.
func (ix *index) drop(n *graph.Node) {
	ix.setInputs(n)
	for _, out := range n.Outputs {
		if ix.producer[out] == n {
			delete(ix.producer, out)
		}
	}
	ix.dropped[n] = true
}

// absorb replaces n, which reads the private output of layer, by layer with
// n's output. The result stands where n stood, so that layer may be given
// inputs that n had.
func (ix *index) absorb(layer, n *graph.Node) {
	moved := *layer
	moved.Outputs = n.Outputs
	ix.drop(layer)
	ix.setInputs(n)
	inputs := moved.Inputs
	*n = moved
	n.Inputs = nil
	ix.setInputs(n, inputs...)
	ix.producer[n.Outputs[0]] = n
}

// before adds a node, which is to read inputs, before node n.
func (ix *index) before(n, node *graph.Node, inputs []string) {
	ix.setInputs(node, inputs...)
	for _, out := range node.Outputs {
		ix.producer[out] = node
	}
	ix.added[n] = append(ix.added[n], node)
}

// sweep adds the new nodes and removes the dropped ones.
func (ix *index) sweep() {
	nodes := make([]*graph.Node, 0, len(ix.g.Nodes))
	for _, n := range ix.g.Nodes {
		nodes = append(nodes, ix.added[n]...)
		if !ix.dropped[n] {
			nodes = append(nodes, n)
		}
	}
	ix.g.Nodes = nodes
	clear(ix.added)
}
