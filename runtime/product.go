package runtime

import (
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/parallel"
	"github.com/nnz-dev/nnz/kernels/gemm"
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
	w, src, err := c.productSource(n, &l)
	if err != nil {
		return err
	}
	residual := c.residual(n, &l)
	dst := c.newBuffer(out, l.size(), false)
	if residual != nil && residual.layout == l && c.dies(residual.buf) && !sharesRoot(residual.buf, src.im.buf) {
		dst.within(residual.buf, 0)
	}
	weight, err := c.weightOf(n)
	if err != nil {
		return err
	}
	products, layer, err := c.bindWeight(n, newBinding(weight, src, &l, residual))
	if err != nil {
		return err
	}
	layer.KernelH, layer.KernelW, layer.Stride = w.kh, w.kw, w.sh
	op := &productOp{byParts: c.ownParts(&l), chunks: c.chunksOf(products), x: src.im.buf, y: dst}
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
func (c *compiler) productSource(n *graph.Node, out *layout) (window, source, error) {
	x := n.Inputs[0]
	if c.wants[n.Outputs[0]].kind == matrixKind {
		shape := c.values[x].typ.Shape
		l := c.matrixLayout(shape[len(shape)-1], out.h)
		return unitWindow, directSource(c.exactImage(x, &l), unitWindow, l.c), nil
	}
	w := c.windowOf(n)
	if c.deep(n) {
		s, err := c.volumeSource(n, w, out)
		return w, s, err
	}
	images, features, h, wd := c.extents(x)
	perGroup := features / n.Int("group", 1)
	g, reach := c.windowLayout(w, n.Outputs[0])
	need := imageLayout(g, features, images, h, wd, reach).ofVolumes(c.depth(x))
	natural := c.wants[x].kind == imageKind && c.naturalGrid(x) == g
	// A strided 1x1 window skips pixels, which need not be laid out first.
	skips := w.taps() == 1 && (w.sh > 1 || w.sw > 1) && !natural
	if w.sw > 2 || skips || !c.near(x, g, reach) || need.image > maxHaloGrowth*g.sx*g.sy {
		im, err := c.tapImage(x, w, out)
		if err != nil {
			return w, source{}, err
		}
		return w, directSource(im, unitWindow, perGroup*w.taps()), nil
	}
	if err := c.roomForImage(&need); err != nil {
		return w, source{}, err
	}
	return w, directSource(c.imageOf(x, &need, w, 0), w, perGroup), nil
}

// maxHaloGrowth is by how much a halo may grow an image before the taps are
// gathered instead: small images under large or dilated kernels.
const maxHaloGrowth = 12

// tapImage makes the image of a window's taps: feature f*taps+t is tap t of
// feature f under every output pixel (im2col, with the columns lane-split).
// Any stride works, and no halo is needed.
func (c *compiler) tapImage(x string, w window, out *layout) (*image, error) {
	images, features, h, wd := c.extents(x)
	in := imageLayout(out.grid(), features, images, h, wd, halo{}).ofVolumes(c.depth(x))
	l := imageLayout(out.grid(), features*w.taps(), images, out.h, out.w, halo{})
	if err := c.roomForImage(&l); err != nil {
		return nil, err
	}
	return &image{layout: l, buf: c.toImage(x, c.source(c.values[x], &in), &l, w.positions(), 0)}, nil
}

// directSource addresses the taps of an image under a window, for groups of
// perGroup features.
func directSource(im *image, w window, perGroup int) source {
	l := &im.layout
	s := source{im: im, window: w, group: uint32(l.plane(perGroup, 0) * 4)}
	s.origin = ((l.halo.top-w.top)*l.row + l.halo.left - w.left) * l.lanes
	s.offsets = l.taps(w, perGroup, func(y int) int { return y })
	return s
}

// taps returns the offsets in bytes of the taps of a window in some features,
// where row tells in which row of memory the y-th under the window lies.
func (l *layout) taps(w window, features int, row func(y int) int) []uint32 {
	var offsets []uint32
	for f := range features {
		for ky := range w.kh {
			for kx := range w.kw {
				offsets = append(offsets, uint32((l.plane(f, 0)+(row(ky*w.dh)*l.row+kx*w.dw)*l.lanes)*4))
			}
		}
	}
	return offsets
}

// A binding is a weight, what it multiplies, and where the outputs go.
type binding struct {
	w        *weight
	src      source
	out      *layout
	residual *image // nil for none
	grid     spmm.Shape
	images   int    // that each have such a grid of vectors
	work     []work // that each become a product
}

// A work is bands that are computed in one go.
type work struct {
	offsets []uint32 // of the weight's columns, see source
	bands   []band
}

// A band is some rows of vectors of an image of the output.
type band struct {
	img, lo, hi int
	x, y        anchor // of the operands' memory
}

// An anchor is the image and the row of vectors that the memory of a value
// begins with: the first ones, but for values that are never there as a whole.
type anchor struct{ img, row int }

// newBinding brings them together. Outputs that follow each other without gaps
// in all operands are one run. Where the output lies in parts, and with it all
// operands, each part is a work.
func newBinding(w *weight, src source, out *layout, residual *image) *binding {
	b := &binding{w: w, src: src, out: out, residual: residual, grid: spmm.Shape{Rows: out.sy, Cols: out.sx}, images: out.n}
	if src.window == unitWindow && !src.planes.apart() && src.im.layout.flat() && out.flat() && (residual == nil || residual.layout.flat()) {
		b.grid, b.images = spmm.Shape{Rows: 1, Cols: out.n * out.image}, 1
	}
	if out.cut > 0 {
		for part := range out.parts() {
			b.work = append(b.work, work{src.offsets, []band{{lo: out.first(part), hi: out.first(part + 1)}}})
		}
		return b
	}
	var all []band
	for img := range b.images {
		all = append(all, band{img: img, hi: b.grid.Rows})
	}
	b.work = []work{{src.offsets, all}}
	return b
}

// shape returns the rectangle of vectors that a band is. Rows that follow each
// other without gaps in all operands are one.
func (b *binding) shape(s band) spmm.Shape {
	rows, cols := s.hi-s.lo, b.grid.Cols
	if b.out.cut > 0 { // the grid is all parts in a row
		cols = b.out.sx
	}
	if b.src.window == unitWindow && b.src.im.layout.gapless() && b.out.gapless() && (b.residual == nil || b.residual.layout.gapless()) {
		return spmm.Shape{Rows: 1, Cols: rows * cols}
	}
	return spmm.Shape{Rows: rows, Cols: cols}
}

// place returns where the vector of a band's row and column lies in the
// operands, in elements.
func (b *binding) place(s band, row, col int) (x, y, res int) {
	in, win := &b.src.im.layout, b.src.window
	row += s.lo
	x = b.src.origin + ((b.src.planes.of(s.img)-s.x.img)*in.image+in.rowAt(row*win.sh)-s.x.row*in.row+col*win.sw)*in.lanes
	y = b.out.origin() + ((s.img-s.y.img)*b.out.image+b.out.rowAt(row)-s.y.row*b.out.row+col)*b.out.lanes
	if b.residual != nil {
		r := &b.residual.layout
		res = r.origin() + (s.img*r.image+r.rowAt(row)+col)*r.lanes
	}
	return x, y, res
}

// A product is a packed weight bound to tiles, of package spmm or gemm.
type product interface {
	Units() int
	Run(b spmm.Buffers, lo, hi int)
	Kernel() string
}

// bindWeight chooses a format for the weight, packs it, and lays tiles over
// the output: a product for each work of the binding.
func (c *compiler) bindWeight(n *graph.Node, b *binding) (products []product, layer LayerReport, err error) {
	w, out := b.w, b.out
	layer = LayerReport{Name: label(n), Op: n.Op, M: w.rows, K: w.cols, N: out.n * out.h * out.w, Sparsity: w.sparsity(), NNZ: w.nnz}
	if size := int64(b.src.im.layout.size()) * 4; size > math.MaxUint32 {
		return nil, layer, fmt.Errorf("its input takes %d bytes in lane-split form, at most 4 GiB can be addressed", size)
	}
	choice := c.choose(b)
	if err := c.roomForWeight(w, choice.format); err != nil {
		return nil, layer, err
	}
	layer.Format, layer.Why, layer.Predicted = choice.format.String(), choice.why, choice.predicted
	epi := spmm.Epilogue{Bias: w.bias, Residual: b.residual != nil}
	epi.Min, epi.Max, epi.Clamp = clampOf(n)
	bind := c.bindTiles
	if choice.format.r == alongLanes {
		bind = c.bindVectors
	}
	products, bytes, err := bind(b, choice.format, epi)
	if err != nil {
		return nil, layer, err
	}
	layer.Kernel = products[len(products)-1].Kernel()
	layer.Slots = layer.N
	if choice.format.r != alongLanes { // where pixels are taken one by one
		layer.Slots = out.n * out.sy * out.sx * out.lanes
	}
	c.countWeight(w, &layer, choice.format, bytes)
	return products, layer, nil
}

// bindTiles binds a weight to tiles of vectors, on the kernels of package spmm.
// It returns the bytes that the packed weight takes, too.
func (c *compiler) bindTiles(b *binding, f format, epi spmm.Epilogue) ([]product, int, error) {
	w, win := b.w, b.src.window
	fit, threads := c.fit(w, f, win), c.perPart(b.out)
	widest := b.widest()
	shapes := fit.Cover(b.shape(widest.bands[0]))
	// K-blocks decide in which order products are added up, which parts of the
	// columns are not to change.
	whole := shapes
	if b.out.cut > 0 {
		whole = fit.Cover(b.grid)
	}
	a := spmm.Addressing{Groups: w.groups, GroupStride: b.src.group, Block: c.blockColumns(w, f, whole, win)}
	a.Chunk, _ = c.share(w, f, shapes, len(widest.bands), threads)
	bytes := c.lanes * 4
	geo := spmm.Geometry{XRow: win.sh * b.src.im.layout.row * bytes, YRow: b.out.row * bytes, YChan: b.out.channel * bytes}
	if b.residual != nil {
		geo.ResRow, geo.ResChan = b.residual.layout.row*bytes, b.residual.layout.channel*bytes
	}
	packed := make(map[*uint32]*spmm.Weight) // by its offsets
	total := 0
	return bindEach(b, func(work *work) (product, error) {
		key := &work.offsets[0]
		if packed[key] == nil {
			var err error
			a.Offsets = work.offsets
			if packed[key], err = c.packTiles(w, f, a); err != nil {
				return nil, err
			}
			total += packed[key].Bytes()
		}
		var tiles []spmm.Tile
		for _, s := range work.bands {
			_, shapes := c.share(w, f, fit.Cover(b.shape(s)), len(work.bands), threads)
			for _, at := range shapes {
				t := spmm.Tile{Shape: at.Shape}
				t.X, t.Y, t.Res = b.place(s, at.Row, at.Col)
				tiles = append(tiles, t)
			}
		}
		return spmm.NewProduct(c.cfg.ISA, packed[key], win.sw, geo, tiles, epi)
	}, &total)
}

// bindVectors binds a dense weight to single vectors, on the kernels of package
// gemm.
func (c *compiler) bindVectors(b *binding, _ format, epi spmm.Epilogue) ([]product, int, error) {
	w := b.w
	geo := gemm.Geometry{YChan: b.out.channel * c.lanes * 4}
	if b.residual != nil {
		geo.ResChan = b.residual.layout.channel * c.lanes * 4
	}
	packed := make(map[*uint32]*gemm.Weight) // by its offsets
	total := 0
	return bindEach(b, func(work *work) (product, error) {
		key := &work.offsets[0]
		if packed[key] == nil {
			var err error
			a := spmm.Addressing{Offsets: work.offsets, Groups: w.groups, GroupStride: b.src.group}
			if packed[key], err = c.packVectors(w, a); err != nil {
				return nil, err
			}
			total += packed[key].Bytes()
		}
		var tiles []gemm.Tile
		for _, s := range work.bands {
			shape := b.shape(s)
			for row := range shape.Rows {
				for col := range shape.Cols {
					t := gemm.Tile{Lanes: b.lanes(s.lo+row, col)}
					t.X, t.Y, t.Res = b.place(s, row, col)
					tiles = append(tiles, t)
				}
			}
		}
		return gemm.NewProduct(packed[key], geo, tiles, epi)
	}, &total)
}

// bindEach makes the product of each work, and returns the bytes of their
// packed weights, which bind counts.
func bindEach(b *binding, bind func(*work) (product, error), bytes *int) ([]product, int, error) {
	products := make([]product, len(b.work))
	for i := range b.work {
		var err error
		if products[i], err = bind(&b.work[i]); err != nil {
			return nil, 0, err
		}
	}
	return products, *bytes, nil
}

// widest returns the work of the largest band.
func (b *binding) widest() *work {
	best := &b.work[0]
	for i := range b.work {
		if w := &b.work[i]; b.shape(w.bands[0]).Vectors() > b.shape(best.bands[0]).Vectors() {
			best = w
		}
	}
	return best
}

// lanes returns which lanes of a vector of the grid hold pixels.
func (b *binding) lanes(row, col int) gemm.Lanes {
	l := b.out
	at := row*l.sx + col%(l.sx*l.sy) // grids of one row may go through all vectors of all images
	vy, vx := at/l.sx, at%l.sx
	live := gemm.Lanes{Groups: ceilDiv(l.h-vy, l.sy), Count: ceilDiv(l.w-vx, l.sx), Stride: l.lx}
	if live.Count == l.lx || live.Groups == 1 {
		live = gemm.Lanes{Groups: 1, Count: live.Live(), Stride: live.Live()}
	}
	return live
}

// countWeight adds a layer's weight to the plan's totals, and says in the
// layer's report what it has to do in a format.
func (c *compiler) countWeight(w *weight, layer *LayerReport, f format, packed int) {
	inBlocks, rest := w.split(f)
	layer.Groups, layer.Weight = w.groups, packed
	layer.Stored, layer.FMAs = inBlocks+rest, w.nnz*layer.N
	layer.Slots = max(layer.Slots, layer.N)
	c.plan.packed += packed
	c.plan.total += w.rows * w.cols
	c.plan.zeros += w.rows*w.cols - w.nnz
}

// clampOf reads the activation that the passes have fused into a node.
func clampOf(n *graph.Node) (lo, hi float32, ok bool) {
	lo, hi = n.Float("clamp_min", float32(math.Inf(-1))), n.Float("clamp_max", float32(math.Inf(1)))
	return lo, hi, n.Has("clamp_min") || n.Has("clamp_max")
}

// residentRows is how many bytes of output rows a tile of single rows is computed
// for at a time: they come back in every K-block, and should find themselves in
// the L2 cache, beside the weights that pass and the next activations.
const residentRows = 400 << 10

// pieces is into how many pieces of work for each thread a product is cut, where
// there may be as many as wanted.
const pieces = 4

// share cuts a product into pieces of work for the caches and some threads: it
// returns how many rows of the weight one takes, 0 for all, and the tiles,
// smaller ones where it must. What is computed does not depend on it, to the bit.
func (c *compiler) share(w *weight, f format, tiles []spmm.Placed, images, threads int) (rows int, all []spmm.Placed) {
	if !f.dense && f.r == 1 {
		widest := 0
		for _, t := range tiles {
			widest = max(widest, t.Vectors())
		}
		if chunks := ceilDiv(w.rows*widest*c.lanes*4, residentRows); chunks > 1 {
			rows = roundUp(ceilDiv(w.rows, chunks), spmm.Band)
		}
	}
	const least = 32 // rows
	n := len(tiles) * images
	switch {
	case threads == 1 || n >= pieces*threads:
		return rows, tiles
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
	byParts
	chunks    []productChunk
	x, y, res *buffer
}

// A productChunk is units lo to hi-1 of a product.
type productChunk struct {
	p      product
	lo, hi int
}

// chunksOf cuts products into pieces of work for the threads: those of parts,
// which are to stay with a thread, into as few as there are threads, a single one
// into its units.
func (c *compiler) chunksOf(products []product) []productChunk {
	var list []productChunk
	for _, p := range products {
		n := p.Units()
		if len(products) > 1 {
			n = min(n, ceilDiv(c.cfg.Threads, len(products)))
		}
		for i := range n {
			list = append(list, productChunk{p, i * p.Units() / n, (i + 1) * p.Units() / n})
		}
	}
	return list
}

func (o *productOp) bind(s *Session) runner {
	return &productRunner{chunks: o.chunks, b: spmm.Buffers{X: s.memory(o.x), Y: s.memory(o.y), Res: s.memory(o.res)}}
}

type productRunner struct {
	chunks []productChunk
	b      spmm.Buffers
}

func (r *productRunner) run(p *parallel.Pool) { p.Run(r, len(r.chunks)) }

func (r *productRunner) Chunk(i int) {
	c := &r.chunks[i]
	c.p.Run(r.b, c.lo, c.hi)
}
