package runtime

import (
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/parallel"
	"github.com/nnz-dev/nnz/kernels/spmm"
)

// A source is what a product reads: a lane-split image, and where in it the
// activations of each weight column lie.
type source struct {
	im      *image
	offsets []uint32 // bytes from a tile's origin, for the columns of one group
	group   uint32   // bytes from a group's activations to the next group's
	origin  int      // elements from the image to the first tile's origin
	window  window   // that slides over the image, by whole vectors
	planes  planes   // of volumes
}

// lowerProduct appends a convolution or linear layer on the sparse matrix
// product kernels. Dense layers, too, run on them: with every block present.
func (c *compiler) lowerProduct(n *graph.Node) error {
	out := c.values[n.Outputs[0]]
	l := c.layoutOf(out.name)
	w, src := c.productSource(n, &l)
	residual := c.residual(n, &l)
	dst := c.newBuffer(out, l.size(), false)
	if residual != nil && residual.layout == l && c.dies(residual.buf) && !sharesRoot(residual.buf, src.im.buf) {
		dst.within(residual.buf, 0)
	}
	weight, err := c.weightOf(n)
	if err != nil {
		return err
	}
	p, layer, err := c.bindWeight(n, weight, src, &l, residual)
	if err != nil {
		return err
	}
	layer.KernelH, layer.KernelW, layer.Stride = w.kh, w.kw, w.sh
	op := &productOp{p: p, x: src.im.buf, y: dst}
	touched := []*buffer{op.x, op.y}
	if residual != nil {
		op.res = residual.buf
		touched = append(touched, op.res)
	}
	c.step(layer, op, touched...)
	return c.finish(out, l, dst)
}

func sharesRoot(a, b *buffer) bool {
	ra, _ := a.root()
	rb, _ := b.root()
	return ra == rb
}

// residual returns the image that a product adds, nil where it adds none.
func (c *compiler) residual(n *graph.Node, l *layout) *image {
	name := n.Input(3)
	if name == "" {
		return nil
	}
	bare := *l
	if c.wants[n.Outputs[0]].kind == imageKind {
		bare = imageLayout(l.grid(), l.c, l.n, l.h, l.w, halo{}).ofVolumes(l.plain.depth)
	}
	return c.imageOf(name, &bare, window{}, 0)
}

// productSource brings a product's input into an image that its window slides
// over by whole vectors.
func (c *compiler) productSource(n *graph.Node, out *layout) (window, source) {
	x := n.Inputs[0]
	if c.wants[n.Outputs[0]].kind == matrixKind {
		shape := c.values[x].typ.Shape
		l := matrixLayout(c.lanes, shape[len(shape)-1], out.w)
		return unitWindow, directSource(c.exactImage(x, &l), unitWindow, l.c)
	}
	w := c.windowOf(n)
	if c.deep(n) {
		return w, c.volumeSource(n, w, out)
	}
	images, features, h, wd := c.extents(x)
	perGroup := features / n.Int("group", 1)
	g, reach := c.windowLayout(w, n.Outputs[0])
	need := imageLayout(g, features, images, h, wd, reach).ofVolumes(c.depth(x))
	natural := c.wants[x].kind == imageKind && c.naturalGrid(x) == g
	// A strided 1x1 window skips pixels, which need not be laid out first.
	skips := w.taps() == 1 && (w.sh > 1 || w.sw > 1) && !natural
	if w.sw > 2 || skips || need.image > maxHaloGrowth*g.sx*g.sy {
		return w, directSource(c.tapImage(x, w, out), unitWindow, perGroup*w.taps())
	}
	return w, directSource(c.imageOf(x, &need, w, 0), w, perGroup)
}

// maxHaloGrowth is by how much a halo may grow an image before the taps are
// gathered instead: small images under large or dilated kernels.
const maxHaloGrowth = 12

// tapImage makes the image of a window's taps: feature f*taps+t is tap t of
// feature f under every output pixel (im2col, with the columns lane-split).
// Any stride works, and no halo is needed.
func (c *compiler) tapImage(x string, w window, out *layout) *image {
	images, features, h, wd := c.extents(x)
	in := imageLayout(out.grid(), features, images, h, wd, halo{}).ofVolumes(c.depth(x))
	taps := w.positions()
	l := imageLayout(out.grid(), features*len(taps), images, out.h, out.w, halo{})
	return &image{layout: l, buf: c.toImage(x, c.source(c.values[x], &in), &l, taps, 0)}
}

// directSource addresses the taps of an image under a window, for groups of
// perGroup features.
func directSource(im *image, w window, perGroup int) source {
	l := &im.layout
	s := source{im: im, window: w, group: uint32(l.plane(perGroup, 0) * 4)}
	s.origin = ((l.halo.top-w.top)*l.row + l.halo.left - w.left) * l.lanes
	for f := range perGroup {
		for ky := range w.kh {
			for kx := range w.kw {
				s.offsets = append(s.offsets, uint32((l.plane(f, 0)+(ky*w.dh*l.row+kx*w.dw)*l.lanes)*4))
			}
		}
	}
	return s
}

// bindWeight chooses a format for the weight, packs it, and lays tiles over
// the output.
func (c *compiler) bindWeight(n *graph.Node, w *weight, src source, l *layout, residual *image) (*spmm.Product, LayerReport, error) {
	layer := LayerReport{Name: label(n), Op: n.Op, M: w.rows, K: w.cols, N: l.n * l.h * l.w, Sparsity: w.sparsity(), NNZ: w.nnz}
	x := &src.im.layout
	if int64(x.size())*4 > math.MaxUint32 {
		return nil, layer, fmt.Errorf("its input takes %d bytes in lane-split form, at most 4 GiB can be addressed", int64(x.size())*4)
	}
	// Outputs that follow each other without gaps in all operands are one run.
	flat := src.window == unitWindow && !src.planes.apart() && x.flat() && l.flat() && (residual == nil || residual.layout.flat())
	rows, cols, images := l.sy, l.sx, l.n
	if flat {
		rows, cols, images = 1, l.n*l.image, 1
	}
	grid := spmm.Shape{Rows: rows, Cols: cols}
	choice := c.choose(w, grid, images, src.window)
	layer.Format, layer.Why, layer.Predicted = choice.format.String(), choice.why, choice.predicted

	shapes := c.fit(w, choice.format, src.window).Cover(grid)
	a := spmm.Addressing{
		Offsets: src.offsets, Groups: w.groups, GroupStride: src.group,
		Block: c.blockColumns(w, choice.format, shapes, src.window),
	}
	a.Chunk, shapes = c.share(w, choice.format, shapes, images)
	packed, err := w.pack(choice.format, a)
	if err != nil {
		return nil, layer, err
	}
	var tiles []spmm.Tile
	for img := range images {
		for _, s := range shapes {
			t := spmm.Tile{
				Shape: s.Shape,
				X:     src.origin + (src.planes.of(img)*x.image+s.Row*src.window.sh*x.row+s.Col*src.window.sw)*x.lanes,
				Y:     l.origin() + (img*l.image+s.Row*l.row+s.Col)*l.lanes,
			}
			if residual != nil {
				r := &residual.layout
				t.Res = r.origin() + (img*r.image+s.Row*r.row+s.Col)*r.lanes
			}
			tiles = append(tiles, t)
		}
	}
	bytes := c.lanes * 4
	geo := spmm.Geometry{XRow: src.window.sh * x.row * bytes, YRow: l.row * bytes, YChan: l.channel * bytes}
	epi := spmm.Epilogue{Bias: w.bias, Residual: residual != nil, Min: float32(math.Inf(-1)), Max: float32(math.Inf(1))}
	if residual != nil {
		geo.ResRow, geo.ResChan = residual.layout.row*bytes, residual.layout.channel*bytes
	}
	epi.Min, epi.Max, epi.Clamp = clampOf(n)
	p, err := spmm.NewProduct(c.cfg.ISA, packed, src.window.sw, geo, tiles, epi)
	if err != nil {
		return nil, layer, err
	}
	layer.Kernel = p.Kernel()
	c.countWeight(w, packed.Bytes())
	return p, layer, nil
}

// countWeight adds a layer's weight to the plan's totals.
func (c *compiler) countWeight(w *weight, packed int) {
	c.plan.packed += packed
	c.plan.total += w.rows * w.cols
	c.plan.zeros += w.rows*w.cols - w.nnz
}

// clampOf reads the activation that the passes have fused into a node.
func clampOf(n *graph.Node) (lo, hi float32, ok bool) {
	lo, hi = n.Float("clamp_min", float32(math.Inf(-1))), n.Float("clamp_max", float32(math.Inf(1)))
	return lo, hi, n.Has("clamp_min") || n.Has("clamp_max")
}

// share cuts a product into pieces of work for the threads: it returns how many
// rows of the weight one takes, and the tiles, smaller ones where it must. What
// is computed does not depend on it, to the bit.
func (c *compiler) share(w *weight, f format, tiles []spmm.Placed, images int) (rows int, all []spmm.Placed) {
	const pieces, least = 4, 32 // of each thread where there may be as many as wanted; rows
	n, threads := len(tiles)*images, c.cfg.Threads
	switch {
	case threads == 1 || n >= pieces*threads:
		return 0, tiles
	case f.dense || f.r > 1:
		// Small tiles of blocks add up in another order, so they stay as they are.
		return max(least, roundUp(ceilDiv(w.rows*n, pieces*threads), 8)), tiles
	}
	// Unstructured rows are only cut into whole bands. The same number of pieces
	// for each thread is good enough, as they take the same time.
	bands := ceilDiv(w.rows/w.groups, spmm.Band) * w.groups
	want := len(tiles)
	for want*images*bands%threads != 0 && want*images*bands < pieces*threads {
		want++
	}
	return spmm.Band, spmm.Split(tiles, want)
}

// productOp is a packed weight bound to tiles, and its operands.
type productOp struct {
	p         *spmm.Product
	x, y, res *buffer
}

func (o *productOp) bind(s *Session) runner {
	return &productRunner{p: o.p, b: spmm.Buffers{X: s.memory(o.x), Y: s.memory(o.y), Res: s.memory(o.res)}}
}

type productRunner struct {
	p *spmm.Product
	b spmm.Buffers
}

func (r *productRunner) run(p *parallel.Pool) { p.Run(r, r.p.Units()) }

func (r *productRunner) Chunk(i int) { r.p.Run(r.b, i, i+1) }
