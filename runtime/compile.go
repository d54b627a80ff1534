package runtime

import (
	"context"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/vec"
	"github.com/nnz-dev/nnz/runtime/ops"
	"github.com/nnz-dev/nnz/runtime/pass"
)

// Compile turns a model into a plan for concrete shapes: it checks that every
// node is supported, infers shapes, folds and fuses, lays values out, chooses
// a format for each weight, packs the weights and plans the memory. The model
// is left as it is. The plan may use dense weights where they lie, so a file
// whose mapped memory they are views of must stay open as long as the plan is
// in use.
//
// A model with nodes that have no operator gives an *UnsupportedError that
// lists them all. Compile stops with ctx's error when ctx ends.
func Compile(ctx context.Context, m *graph.Model, c Config) (*Plan, error) {
	c, err := c.resolved()
	if err != nil {
		return nil, err
	}
	if list := unsupported(m, m.Opset); list != nil {
		return nil, &UnsupportedError{Nodes: list}
	}
	if m, err = m.MarkActivationThresholds(); err != nil {
		return nil, err
	}
	return compileAt(ctx, m, c, newSite(c.MaxBytes))
}

// compileAt compiles a model that stands by itself, or a part of one.
func compileAt(ctx context.Context, m *graph.Model, c Config, s site) (*Plan, error) {
	g, t, err := typed(ctx, m, c, s)
	if err != nil {
		return nil, err
	}
	passes, err := optimize(ctx, g, c)
	if err != nil {
		return nil, err
	}
	comp := &compiler{
		cfg:    c,
		lanes:  c.ISA.Lanes(),
		k:      vec.For(c.ISA),
		g:      g,
		values: make(map[string]*value),
		plan:   &Plan{isa: c.ISA, mode: c.Mode, threads: c.Threads, passes: passes, tail: t},
	}
	if err := comp.run(ctx); err != nil {
		return nil, err
	}
	p := comp.plan
	p.keepTogether(comp.buffers)
	if p.arena, err = place(ctx, comp.buffers); err != nil {
		return nil, err
	}
	p.bytes = comp.held() + int64(p.arena.floats)*4 + int64(p.arena.ints)*8
	if t != nil {
		p.bytes += t.held
	}
	if err := comp.allow(p.bytes); err != nil {
		return nil, err
	}
	for _, out := range m.Outputs {
		v := *out
		if typ, ok := comp.values[out.Name]; ok {
			v.DType, v.Shape = typ.typ.DType, graph.Dims(typ.typ.Shape...)
		}
		p.results = append(p.results, v)
	}
	if t != nil {
		t.bind(p, c)
	}
	return p, nil
}

// optimize runs the passes, and returns what each did.
func optimize(ctx context.Context, g *pass.Graph, c Config) ([]PassReport, error) {
	var did []PassReport
	left := int64(math.MaxInt64) // bytes of weights that passes may make
	if c.MaxBytes > 0 {
		left = c.MaxBytes
		for _, w := range g.Weights {
			left += 64 * int64(w.Len()) // some passes in turn make one anew
		}
	}
	g.Stop = func(bytes int64) error {
		if left -= bytes; left < 0 {
			return fmt.Errorf("nodes that share weights need more of their own than the limit of %d bytes allows", c.MaxBytes)
		}
		return ctx.Err()
	}
	for _, p := range pass.All {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if slices.Contains(c.SkipPasses, p.Name) {
			continue
		}
		before := histogram(g.Nodes)
		if err := p.Apply(g); err != nil {
			return nil, fmt.Errorf("pass %s: %w", p.Name, err)
		}
		did = append(did, newPassReport(p.Name, before, histogram(g.Nodes)))
	}
	return did, nil
}

// unsupported lists the nodes that have no operator, in graphs of attributes
// too, which have the operator sets of the model.
func unsupported(m *graph.Model, opsets map[string]int) []UnsupportedNode {
	var list []UnsupportedNode
	for _, n := range m.Nodes {
		opset := opsets[n.Domain]
		if err := ops.Supported(n, opset); err != nil {
			op := n.Op
			if n.Domain != "" {
				op = n.Domain + "." + n.Op
			}
			list = append(list, UnsupportedNode{Node: label(n), Op: op, Opset: opset, Reason: err.Error()})
		}
		for _, body := range n.Bodies() {
			list = append(list, unsupported(body, opsets)...)
		}
	}
	return list
}

// label names a node for a person: exporters leave many nameless.
func label(n *graph.Node) string {
	if n.Name != "" || len(n.Outputs) == 0 {
		return n.Name
	}
	return n.Outputs[0]
}

// A compiler turns the nodes of a graph into steps, one node after the other.
type compiler struct {
	cfg     Config
	lanes   int
	k       *vec.Kernels
	g       *pass.Graph
	values  map[string]*value
	buffers []*buffer
	plan    *Plan
	wants   map[string]want // layouts, by value name
	active  map[*graph.Node]activations
	node    int   // index of the node that is being compiled
	largest int64 // bytes of the largest buffer
	copies  int64 // bytes of constants in another form than in the model, and of tables

	positive map[string]bool // values that hold nothing below zero, see nonNegative
	// fed are values that linear layers read as features by columns. A
	// normalisation before them has its input brought there rather than its
	// output, as a residual behind them may need that, too.
	fed map[string]bool
}

func (c *compiler) run(ctx context.Context) error {
	for name, t := range c.g.Types {
		c.values[name] = &value{name: name, typ: t, lastUse: -1}
	}
	for name, w := range c.g.Weights {
		v := c.values[name]
		if v == nil {
			v = &value{name: name, typ: graph.Type{DType: w.DType, Shape: w.Shape}, lastUse: -1}
			c.values[name] = v
		}
		v.typ.Const = w
	}
	c.takeThresholds()
	for i, n := range c.g.Nodes {
		for _, in := range n.Inputs {
			if in != "" {
				c.values[in].lastUse = i
			}
		}
	}
	for _, in := range c.g.Inputs {
		v := c.values[in.Name]
		v.kept = true
		c.plan.inputs = append(c.plan.inputs, v)
		c.newPlain(v).touch(-1)
		v.plain.touch(math.MaxInt)
	}
	for _, out := range c.g.Outputs {
		v := c.values[out.Name]
		v.kept = true
		c.plan.outputs = append(c.plan.outputs, v)
	}
	for _, v := range c.values {
		if v.typ.Const == nil {
			if err := c.sizeOf(v); err != nil {
				return err
			}
		}
	}
	c.classify()
	var chains map[int]*chain
	if !slices.Contains(c.cfg.SkipPasses, strips) {
		var err error
		if chains, err = c.chains(ctx); err != nil {
			return err
		}
	}
	for i := 0; i < len(c.g.Nodes); i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if ch := chains[i]; ch != nil {
			i += len(ch.nodes) - 1
			c.node = i
			if err := c.lowerChain(ch); err != nil {
				return err
			}
			if err := c.allow(c.held() + c.largest); err != nil {
				return err
			}
			continue
		}
		c.node = i
		n := c.g.Nodes[i]
		err := c.roomFor(n)
		if err == nil {
			err = c.lower(n)
		}
		if err == nil {
			err = c.allow(c.held() + c.largest)
		}
		if err != nil {
			return fmt.Errorf("node %q (%s): %w", label(n), n.Op, err)
		}
	}
	for _, v := range c.plan.outputs {
		if v.typ.Const != nil && v.plain == nil {
			c.constant(v)
			continue
		}
		c.plainOf(v).touch(len(c.plan.steps))
	}
	return nil
}

// held is how many bytes of packed weights, converted constants and tables there
// are.
func (c *compiler) held() int64 { return int64(c.plan.packed) + c.copies }

// allow compares what a plan takes, or a part of that, with the limit.
func (c *compiler) allow(bytes int64) error {
	if c.cfg.MaxBytes > 0 && bytes > c.cfg.MaxBytes {
		return fmt.Errorf("the plan takes %d bytes of memory, expected at most the limit of %d, MaxBytes", bytes, c.cfg.MaxBytes)
	}
	return nil
}

// sizeOf checks the size of a value that a run computes: tables index elements
// in 32 bits.
func (c *compiler) sizeOf(v *value) error {
	if n := elements(v.typ.Shape); n > math.MaxInt32 {
		return fmt.Errorf("value %.80q has %d elements, the limit is %d", v.name, n, math.MaxInt32)
	}
	return nil
}

// roomFor looks at the outputs of a node before there are tables, and memory,
// for them. Values within a chain are never there as a whole; all else is.
func (c *compiler) roomFor(n *graph.Node) error {
	for _, name := range n.Outputs {
		v := c.values[name]
		if v == nil || v.typ.Const != nil {
			continue
		}
		err := c.allow(c.held() + int64(tensorBytes(v)))
		if err == nil && c.wants[name].kind != rowMajor {
			l := c.layoutOf(name)
			err = c.roomForImage(&l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// roomForImage looks at what an image takes, before there are tables of what
// lies where in it.
func (c *compiler) roomForImage(l *layout) error {
	const most = math.MaxUint32 / 4 // offsets are bytes in 32 bits
	if l.c > 0 && l.lanes > 0 && l.channel > most/l.c/l.lanes/l.parts() {
		return fmt.Errorf("a value takes more than 4 GiB in lane-split form")
	}
	return c.allow(c.held() + 4*int64(l.size()))
}

// roomForWeight looks at what a weight takes in a format, before it is packed.
func (c *compiler) roomForWeight(w *weight, f format) error {
	inBlocks, rest := w.split(f)
	return c.allow(c.held() + 4*(int64(inBlocks)+int64(rest)))
}

// lower appends the steps of one node.
func (c *compiler) lower(n *graph.Node) error {
	if c.wants[n.Outputs[0]].kind == rowMajor {
		switch n.Op {
		case "Conv", "Linear":
			if n.Domain == graph.FusedDomain && c.fitsVector(n) {
				return c.lowerVector(n)
			}
		case "RNN", "GRU", "LSTM":
			if n.Domain == graph.FusedDomain {
				return c.lowerRecurrent(n)
			}
		case "GlobalAveragePool":
			if c.wants[n.Inputs[0]].kind == imageKind && c.depth(n.Inputs[0]) == 1 {
				return c.lowerGlobalPool(n)
			}
		case "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout":
			if len(n.Outputs) == 1 && c.lowerView(n) { // a Dropout may put out a mask, too
				return nil
			}
		}
		return c.lowerPlain(n)
	}
	switch n.Op {
	case "Conv", "Linear":
		return c.lowerProduct(n)
	case "MaxPool", "AveragePool":
		return c.lowerPool(n)
	case "Concat":
		return c.lowerConcat(n)
	case "DepthToSpace":
		return c.lowerDepthToSpace(n)
	case "Attention":
		return c.lowerAttention(n)
	case "LayerNorm", "RMSNorm":
		return c.lowerNorm(n)
	}
	return c.lowerElementwise(n)
}

// A mover is a stepOp that reads and writes less than the buffers that it
// touches, or elements besides.
type mover interface {
	moved() int // bytes read and written
}

// A tabled is a stepOp with tables as large as what it moves.
type tabled interface {
	tableBytes() int
}

// step appends a step that reads and writes buffers.
func (c *compiler) step(layer LayerReport, op stepOp, touched ...*buffer) {
	i := len(c.plan.steps)
	c.describe(layer, touched...)
	if t, ok := op.(tabled); ok {
		c.copies += int64(t.tableBytes())
	}
	if m, ok := op.(mover); ok {
		c.plan.steps[i].Moved = m.moved()
	}
	if p, ok := op.(parted); ok && layer.FMAs <= mostTogether {
		c.plan.steps[i].Parts = p.parts()
	}
	c.plan.order = append(c.plan.order, turn{i, op})
}

// describe appends a step without what it does.
func (c *compiler) describe(layer LayerReport, touched ...*buffer) {
	for _, b := range touched {
		if b != nil {
			b.touch(len(c.plan.steps))
			layer.Moved += b.bytes()
		}
	}
	c.plan.steps = append(c.plan.steps, layer)
}

// newBuffer makes memory for a value.
func (c *compiler) newBuffer(v *value, size int, ints bool) *buffer {
	b := &buffer{size: size, ints: ints, first: math.MaxInt, last: math.MinInt, values: []*value{v}}
	c.buffers = append(c.buffers, b)
	c.largest = max(c.largest, int64(b.bytes()))
	return b
}

// newPlain makes the row-major home of a value.
func (c *compiler) newPlain(v *value) *buffer {
	v.plain = c.newBuffer(v, elements(v.typ.Shape), !v.typ.DType.Float())
	if v.kept {
		v.plain.touch(math.MaxInt)
	}
	return v.plain
}

// plainOf returns the row-major home of a value, which a step fills from
// another home where it has none yet.
func (c *compiler) plainOf(v *value) *buffer {
	if v.plain == nil {
		c.newPlain(v)
		c.toPlain(v)
	}
	return v.plain
}

// dies reports whether no later node reads what lives in a buffer, so that the
// node being compiled may write over it.
func (c *compiler) dies(b *buffer) bool {
	root, _ := b.root()
	return !slices.ContainsFunc(root.values, func(v *value) bool { return v.kept || v.lastUse > c.node })
}

// constant returns the elements of a weight as a run-time tensor.
func (c *compiler) constant(v *value) Tensor {
	if v.constant == nil {
		t, bytes := load(v.typ.Const)
		v.constant = &t
		c.copies += bytes
	}
	return *v.constant
}

// load returns a weight as a run-time tensor, and what it takes where it is no
// view of the weight.
func load(w *graph.Tensor) (t Tensor, bytes int64) {
	t = ops.Load(w)
	if raw := w.Raw(); len(t.F) == 0 || len(raw) == 0 || unsafe.Pointer(&t.F[0]) != unsafe.Pointer(&raw[0]) {
		bytes = t.Bytes()
	}
	return t, bytes
}

func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
