package runtime

import (
	"math"
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/parallel"
	"github.com/nnz-dev/nnz/kernels/vec"
)

// lowerPool appends a max or average pooling of lane-split images.
func (c *compiler) lowerPool(n *graph.Node) error {
	x, out := n.Inputs[0], c.values[n.Outputs[0]]
	w := c.windowOf(n)
	g, halo := c.windowLayout(w, out.name)
	images, features, h, wd := c.extents(x)
	need := imageLayout(g, features, images, h, wd, halo)
	fill := float32(0)
	if n.Op == "MaxPool" {
		fill = c.poolFill(x, w)
	}
	if err := c.roomForImage(&need); err != nil {
		return err
	}
	im := c.imageOf(x, &need, w, fill)
	l := c.layoutOf(out.name)
	dst := c.newBuffer(out, l.size(), false)
	op, layer := c.poolOf(n, w, im, &l, dst)
	op.taps = im.layout.taps(w, 1, func(y int) int { return y })
	for img := range images {
		op.bands = append(op.bands, band{img: img, hi: l.sy})
	}
	c.step(layer, op, im.buf, dst)
	return c.finish(out, l, dst)
}

// poolOf returns what slides a pooling's window over an image, without the work
// that it does, and its report.
func (c *compiler) poolOf(n *graph.Node, w window, im *image, l *layout, dst *buffer) (*poolOp, LayerReport) {
	op := &poolOp{pool: c.k.MaxPool, mul: c.k.Mul, w: w, src: im.buf, dst: dst, from: im.layout, to: *l}
	if n.Op == "AveragePool" {
		op.pool = c.k.SumPool
		op.inverse = inverseCounts(n, w, &im.layout, l)
	}
	return op, LayerReport{Name: label(n), Op: n.Op, KernelH: w.kh, KernelW: w.kw, Stride: w.sh, Why: "lane-split pooling"}
}

// poolFill returns what padding must hold for a maximum over value x.
func (c *compiler) poolFill(x string, w window) float32 {
	if !w.padded() || c.nonNegative(x) {
		return 0
	}
	return float32(math.Inf(-1))
}

// nonNegative reports whether a value can hold nothing below zero, so that
// zeros in its halo never win a maximum.
func (c *compiler) nonNegative(name string) bool {
	if c.positive == nil {
		c.positive = make(map[string]bool) // in the order of nodes, so that none is looked at twice
		for _, n := range c.g.Nodes {
			if positive(n, c.positive) {
				c.positive[n.Outputs[0]] = true
			}
		}
	}
	return c.positive[name]
}

// positive reports whether the first output of a node can hold nothing below
// zero, given the values before it that cannot.
func positive(n *graph.Node, known map[string]bool) bool {
	switch n.Op {
	case "Conv", "Linear":
		return n.Domain == graph.FusedDomain && n.Float("clamp_min", -1) >= 0
	case "Clamp":
		return n.Float("min", -1) >= 0
	case "Sigmoid", "Exp", "HardSigmoid":
		return true
	case "MaxPool", "AveragePool":
		return known[n.Inputs[0]]
	case "Concat":
		return !slices.ContainsFunc(n.Inputs, func(in string) bool { return !known[in] })
	}
	return false
}

// inverseCounts returns, vector by vector, one over the number of elements
// that each output pixel of an average pooling divides by.
func inverseCounts(n *graph.Node, w window, from, to *layout) []float32 {
	explicit := window{top: w.top, left: w.left} // padding that counts where it is included
	if p := n.Ints("pads"); len(p) == 4 {
		explicit.bottom, explicit.right = p[2], p[3]
	} else if len(p) == 2 {
		explicit.right = p[1]
	} else {
		explicit.bottom, explicit.right = w.bottom, w.right
	}
	include := n.Int("count_include_pad", 0) == 1
	count := func(o, stride, taps, dilation, before, after, extent int) int {
		first := o*stride - before // that the first tap reads
		from, to := 0, extent
		if include {
			from, to = -before, extent+after
		}
		return max(1, min(taps, ceilDiv(max(0, to-first), dilation))-ceilDiv(max(0, from-first), dilation))
	}
	inverse := make([]float32, 0, to.sy*to.sx*to.lanes)
	for vy := range to.sy {
		for vx := range to.sx {
			for lane := range to.lanes {
				y, x, _ := to.pixel(vy, vx, lane)
				inverse = append(inverse, 1/float32(count(y, w.sh, w.kh, w.dh, w.top, explicit.bottom, from.h)*
					count(x, w.sw, w.kw, w.dw, w.left, explicit.right, from.w)))
			}
		}
	}
	return inverse
}

// poolOp slides a window over the planes of an image.
type poolOp struct {
	pool     func(dst, src []float32, taps []uint32, step int)
	mul      func(dst, a, b []float32)
	w        window
	taps     []uint32 // byte offset of each tap
	bands    []band
	inverse  []float32 // of an average: what the sums are multiplied by
	src, dst *buffer
	from, to layout
}

// tableBytes implements [tabled].
func (o *poolOp) tableBytes() int { return 4 * (len(o.taps) + len(o.inverse)) }

func (o *poolOp) bind(s *Session) runner {
	return &poolRunner{poolOp: o, x: s.memory(o.src), y: s.memory(o.dst)}
}

type poolRunner struct {
	*poolOp
	x, y []float32
}

func (r *poolRunner) run(p *parallel.Pool) { p.Run(r, r.to.c) }

func (r *poolRunner) Chunk(f int) {
	from, to := &r.from, &r.to
	for _, b := range r.bands {
		x := from.plane(f, b.img-b.x.img) + ((from.halo.top-r.w.top-b.x.row)*from.row+from.halo.left-r.w.left)*from.lanes
		y := to.plane(f, b.img-b.y.img) + to.origin() - b.y.row*to.row*to.lanes
		for vy := b.lo; vy < b.hi; vy++ {
			dst := r.y[y+vy*to.row*to.lanes:][:to.sx*to.lanes]
			r.pool(dst, r.x[x+vy*r.w.sh*from.row*from.lanes:], r.taps, r.w.sw)
			if r.inverse != nil {
				r.mul(dst, dst, r.inverse[vy*len(dst):][:len(dst)])
			}
		}
	}
}

// lowerGlobalPool appends a mean over the pixels of each plane, from images
// into row-major order.
func (c *compiler) lowerGlobalPool(n *graph.Node) error {
	im := c.values[n.Inputs[0]].images[0]
	out := c.values[n.Outputs[0]]
	op := &globalPoolOp{k: c.k, src: im.buf, dst: c.newPlain(out), l: im.layout}
	c.step(LayerReport{Name: label(n), Op: n.Op, Why: "lane-split, into row-major order"}, op, im.buf, out.plain)
	return nil
}

type globalPoolOp struct {
	k        *vec.Kernels
	src, dst *buffer
	l        layout
}

func (o *globalPoolOp) bind(s *Session) runner {
	l := &o.l
	r := &globalPoolRunner{globalPoolOp: o, x: s.memory(o.src), y: s.memory(o.dst)}
	if l.ly*l.sy == l.h && l.lx*l.sx == l.w {
		return r
	}
	r.pixels = make([]uint32, l.image*l.lanes)
	for y := range l.h {
		for x := range l.w {
			r.pixels[l.at(y, x)] = math.MaxUint32
		}
	}
	return r
}

type globalPoolRunner struct {
	*globalPoolOp
	x, y   []float32
	pixels []uint32 // of a plane, all bits set where one lies; nil where all lanes hold pixels
}

// globalPoolGrain is how many features a chunk takes.
const globalPoolGrain = 64

func (r *globalPoolRunner) run(p *parallel.Pool) { p.Run(r, ceilDiv(r.l.c, globalPoolGrain)) }

func (r *globalPoolRunner) Chunk(i int) {
	scale := 1 / float32(r.l.h*r.l.w)
	for f := i * globalPoolGrain; f < min((i+1)*globalPoolGrain, r.l.c); f++ {
		for n := range r.l.n {
			r.y[n*r.l.c+f] = r.sum(f, n) * scale
		}
	}
}

// sum adds the pixels of a plane; lanes that hold none may hold anything.
func (r *globalPoolRunner) sum(f, n int) float32 {
	l := &r.l
	plane := r.x[l.plane(f, n):][:l.image*l.lanes]
	if r.pixels != nil {
		return r.k.SumWhere(plane, r.pixels)
	}
	sum := float32(0)
	for vy := range l.sy {
		sum += r.k.Sum(plane[l.origin()+vy*l.row*l.lanes:][:l.sx*l.lanes])
	}
	return sum
}
