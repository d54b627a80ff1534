package runtime

import (
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/parallel"
)

// unaryFunc computes dst from x, which may be the same memory.
type unaryFunc func(dst, x []float32)

// binaryFunc computes dst from a and b; dst may be the memory of either.
type binaryFunc func(dst, a, b []float32)

// unary returns the function of a node that maps each element of its first
// input by itself, nil where the node is of another sort.
func (c *compiler) unary(n *graph.Node) unaryFunc {
	k := c.k
	switch n.Op {
	case "Clamp":
		lo, hi := n.Float("min", float32(math.Inf(-1))), n.Float("max", float32(math.Inf(1)))
		return func(dst, x []float32) { k.Clamp(dst, x, lo, hi) }
	case "LeakyRelu":
		alpha := n.Float("alpha", 0.01)
		return func(dst, x []float32) { k.LeakyRelu(dst, x, alpha) }
	case "HardSigmoid":
		alpha, beta := n.Float("alpha", 0.2), n.Float("beta", 0.5)
		return func(dst, x []float32) { k.HardSigmoid(dst, x, alpha, beta) }
	case "Threshold":
		limit := n.Float("limit", 0)
		return func(dst, x []float32) { k.Threshold(dst, x, limit) }
	case "HardSwish":
		return k.HardSwish
	case "Exp":
		return k.Exp
	case "Sigmoid":
		return k.Sigmoid
	case "Tanh":
		return k.Tanh
	case "Erf":
		return k.Erf
	case "Gelu":
		if n.Str("approximate", "none") == "tanh" {
			return k.GeluTanh
		}
		return k.Gelu
	case "SiLU":
		if n.Float("alpha", 1) == 1 {
			return k.Silu
		}
	}
	return nil
}

// binary returns the function of an arithmetic node.
func (c *compiler) binary(n *graph.Node) binaryFunc {
	if len(n.Inputs) != 2 {
		return nil
	}
	switch n.Op {
	case "Add":
		return c.k.Add
	case "Sub":
		return c.k.Sub
	case "Mul":
		return c.k.Mul
	case "Div":
		return c.k.Div
	}
	return nil
}

// lowerElementwise appends a step that maps values in lane-split layouts.
func (c *compiler) lowerElementwise(n *graph.Node) error {
	if n.Op == "Affine" {
		return c.lowerAffine(n)
	}
	if f := c.unary(n); f != nil {
		return c.lowerMap(n, func(dst, a, _ []float32) { f(dst, a) }, n.Inputs[:1])
	}
	f := c.binary(n)
	if f == nil {
		return fmt.Errorf("no lane-split operator %s", n.Op)
	}
	a, b := n.Inputs[0], n.Inputs[1]
	out := c.values[n.Outputs[0]].typ.Shape
	if c.wants[n.Outputs[0]].kind == imageKind {
		switch {
		case c.wants[b].kind == rowMajor && c.perFeature(b, out):
			return c.lowerPerFeature(n, a, b)
		case c.wants[a].kind == rowMajor && c.perFeature(a, out):
			return c.lowerPerFeature(n, b, a)
		}
	}
	return c.lowerMap(n, f, n.Inputs)
}

// mapOp maps one or two values of equal layouts in one run over their memory.
type mapOp struct {
	byParts
	f         binaryFunc
	grain     int // elements of a chunk
	dst, a, b *buffer
}

func (o *mapOp) bind(s *Session) runner {
	return &mapRunner{f: o.f, grain: o.grain, dst: s.memory(o.dst), a: s.memory(o.a), b: s.memory(o.b)}
}

type mapRunner struct {
	f         binaryFunc
	grain     int
	dst, a, b []float32
}

// mapGrain is how many elements a chunk maps where threads share all: its memory
// fits the L1 cache. Parts of a matrix stay with a thread.
const mapGrain = 2048

func (r *mapRunner) run(p *parallel.Pool) { p.Run(r, ceilDiv(len(r.dst), r.grain)) }

func (r *mapRunner) Chunk(i int) {
	lo, hi := i*r.grain, min((i+1)*r.grain, len(r.dst))
	var b []float32
	if r.b != nil {
		b = r.b[lo:hi]
	}
	r.f(r.dst[lo:hi], r.a[lo:hi], b)
}

// lowerMap brings the inputs into the output's layout and maps them, in place
// where an input is not needed any more.
func (c *compiler) lowerMap(n *graph.Node, f binaryFunc, inputs []string) error {
	out := c.values[n.Outputs[0]]
	l := c.layoutOf(out.name)
	ims := make([]*image, len(inputs))
	for i, name := range inputs {
		ims[i] = c.exactImage(name, &l)
	}
	var dst *buffer
	for _, im := range ims {
		if c.dies(im.buf) {
			dst = c.newBuffer(out, l.size(), false)
			dst.within(im.buf, 0)
			break
		}
	}
	if dst == nil {
		dst = c.newBuffer(out, l.size(), false)
	}
	op := &mapOp{f: f, grain: mapGrain, byParts: c.ownParts(&l), dst: dst, a: ims[0].buf}
	if l.cut > 0 {
		op.grain = ceilDiv(l.part(), c.perPart(&l))
	}
	if len(ims) > 1 {
		op.b = ims[1].buf
	}
	c.step(LayerReport{Name: label(n), Op: n.Op, Why: "lane-split, elementwise"}, op, dst, op.a, op.b)
	return c.finish(out, l, dst)
}

// exactImage returns a home of a value in exactly the layout l, so that it can
// be walked together with others.
func (c *compiler) exactImage(name string, l *layout) *image {
	v := c.values[name]
	for _, im := range v.images {
		if im.layout == *l {
			return im
		}
	}
	return c.addImage(v, l, 0)
}

// finish records the home that a step has written, and appends the step that
// fills its halo where a consumer reads it.
func (c *compiler) finish(v *value, l layout, buf *buffer) error {
	im := &image{layout: l, buf: buf}
	v.images = append(v.images, im)
	if c.wants[v.name].filled {
		return c.fillHalo(v.name, im)
	}
	return nil
}

// planeOp maps the planes of an image, each by one or two numbers of its own.
type planeOp struct {
	f        func(dst, x []float32, a, b float32)
	dst, src *buffer
	l        layout
	a, b     featureOperand
}

// A featureOperand is a number for each feature, or for each feature and
// image, or one for all; its zero value is absent.
type featureOperand struct {
	v            *value
	constant     []float32 // numbers known when the model is compiled
	feature, img int       // elements from one feature and image to the next
}

func (o *planeOp) bind(s *Session) runner {
	return &planeRunner{planeOp: o, to: s.memory(o.dst), x: s.memory(o.src), as: o.a.bind(s), bs: o.b.bind(s)}
}

func (o *featureOperand) bind(s *Session) []float32 {
	if o.v != nil {
		return s.tensor(o.v).F
	}
	return o.constant
}

func (o *featureOperand) at(numbers []float32, f, n int) float32 {
	if numbers == nil {
		return 0
	}
	return numbers[f*o.feature+n*o.img]
}

type planeRunner struct {
	*planeOp
	to, x, as, bs []float32
}

func (r *planeRunner) run(p *parallel.Pool) { p.Run(r, r.l.c) }

func (r *planeRunner) Chunk(f int) {
	size := r.l.image * r.l.lanes
	for n := range r.l.n {
		at := r.l.plane(f, n)
		r.f(r.to[at:][:size], r.x[at:][:size], r.a.at(r.as, f, n), r.b.at(r.bs, f, n))
	}
}

// lowerPlanes appends a plane step from value x in the output's layout.
func (c *compiler) lowerPlanes(n *graph.Node, x string, op *planeOp) error {
	out := c.values[n.Outputs[0]]
	l := c.layoutOf(out.name)
	im := c.exactImage(x, &l)
	dst := c.newBuffer(out, l.size(), false)
	if c.dies(im.buf) {
		dst.within(im.buf, 0)
	}
	op.dst, op.src, op.l = dst, im.buf, l
	touched := []*buffer{dst, im.buf}
	for _, o := range []featureOperand{op.a, op.b} {
		if o.v != nil {
			touched = append(touched, o.v.plain)
		}
	}
	c.step(LayerReport{Name: label(n), Op: n.Op, Why: "lane-split, a number for each feature"}, op, touched...)
	return c.finish(out, l, dst)
}

// operandOf reads a value as numbers for the features of an image.
func (c *compiler) operandOf(name string, image []int) featureOperand {
	v := c.values[name]
	o := featureOperand{}
	if size := elements(v.typ.Shape); size > 1 {
		o.feature = 1
		if size > image[1] {
			o.img = image[1]
		}
		if image[1] == 1 { // the extents differ by images alone
			o.feature, o.img = 0, 1
		}
	}
	if v.typ.Const != nil {
		o.constant = c.constant(v).F
		return o
	}
	c.plainOf(v)
	o.v = v
	return o
}

// lowerAffine appends a batch normalisation that no weight could take in.
func (c *compiler) lowerAffine(n *graph.Node) error {
	out := c.values[n.Outputs[0]].typ.Shape
	scale := c.operandOf(n.Inputs[1], out)
	shift := c.operandOf(n.Inputs[2], out)
	return c.lowerPlanes(n, n.Inputs[0], &planeOp{f: c.k.Affine, a: scale, b: shift})
}

// lowerPerFeature appends arithmetic of an image with a number a feature.
func (c *compiler) lowerPerFeature(n *graph.Node, x, operand string) error {
	o := c.operandOf(operand, c.values[n.Outputs[0]].typ.Shape)
	op := &planeOp{a: o}
	k := c.k
	switch n.Op {
	case "Add":
		op.f = func(dst, x []float32, a, _ float32) { k.Affine(dst, x, 1, a) }
	case "Sub":
		op.f = func(dst, x []float32, a, _ float32) { k.Affine(dst, x, 1, -a) }
	case "Mul":
		minusZero := float32(math.Copysign(0, -1)) // keeps the sign of a zero product
		op.f = func(dst, x []float32, a, _ float32) { k.Affine(dst, x, a, minusZero) }
	case "Div":
		op.f = func(dst, x []float32, a, _ float32) { k.DivScalar(dst, x, a) }
	}
	return c.lowerPlanes(n, x, op)
}
