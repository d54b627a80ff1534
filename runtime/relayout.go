package runtime

import (
	"slices"

	"github.com/nnz-dev/nnz/internal/parallel"
	"github.com/nnz-dev/nnz/kernels/vec"
)

// A relayout copies a value from one placement to another: runs of elements,
// each through a table of where they lie in the source. Where the elements of a
// vector, and those of the next ones, are neighbours in as many rows of the
// source, rows are transposed; what is left is gathered.
type relayout struct {
	k        *vec.Kernels
	src, dst *buffer
	constant []float32 // the source where it is a weight
	tables   []gatherTable
	runs     []gatherRun
	fill     float32
}

// A gatherTable has the index of each element of a run in its source, -1 for
// the fill, and the stretches that the run is made in.
type gatherTable struct {
	index     []int32
	stretches []stretch
}

// addTable appends the table of an index.
func (r *relayout) addTable(index []int32) {
	r.tables = append(r.tables, gatherTable{index, stretches(index, r.k.ISA.Lanes())})
}

// A stretch is some elements of a table. Where rows is not nil, they are whole
// vectors whose lanes are elements of those rows of the source, one after the
// other.
type stretch struct {
	lo, hi int
	rows   []int32
}

// stretches cuts an index into those that are worth transposing and the others.
func stretches(index []int32, lanes int) []stretch {
	var list []stretch
	add := func(s stretch) {
		if n := len(list); n > 0 && list[n-1].rows == nil && s.rows == nil {
			list[n-1].hi = s.hi
			return
		}
		list = append(list, s)
	}
	for lo := 0; lo < len(index); {
		hi := min(lo+lanes, len(index))
		s := stretch{lo: lo, hi: hi}
		if first := index[lo:hi]; len(first) == lanes && slices.Min(first) >= 0 {
			for s.hi+lanes <= len(index) && follows(index[s.hi-lanes:s.hi], index[s.hi:s.hi+lanes]) {
				s.hi += lanes
			}
			if s.hi-s.lo >= lanes*lanes { // whole blocks of the kernels
				s.rows = first
			} else {
				s.hi = hi
			}
		}
		add(s)
		lo = s.hi
	}
	return list
}

// follows reports whether each element of b is the next one after that of a.
func follows(a, b []int32) bool {
	for i := range a {
		if b[i] != a[i]+1 {
			return false
		}
	}
	return true
}

// A gatherRun is one use of a table.
type gatherRun struct {
	dst, src int // where the run and its source begin, in elements
	table    int
}

// moved implements [mover]: every element is read once and written once.
func (r *relayout) moved() int {
	n := 0
	for _, run := range r.runs {
		n += 8 * len(r.tables[run.table].index)
	}
	return n
}

// tableBytes implements [tabled].
func (r *relayout) tableBytes() int {
	n := 24 * len(r.runs)
	for _, t := range r.tables {
		n += 4 * len(t.index)
	}
	return n
}

func (r *relayout) bind(s *Session) runner {
	b := &relayoutRunner{relayout: r, from: r.constant, to: s.memory(r.dst)}
	if r.src != nil {
		b.from = s.memory(r.src)
	}
	return b
}

type relayoutRunner struct {
	*relayout
	from, to []float32
}

// relayoutGrain is how many elements a chunk copies at least, about 20
// microseconds of gathers.
const relayoutGrain = 16384

func (r *relayoutRunner) perChunk() int { return 1 + relayoutGrain/(1+len(r.tables[0].index)) }

func (r *relayoutRunner) run(p *parallel.Pool) { p.Run(r, ceilDiv(len(r.runs), r.perChunk())) }

func (r *relayoutRunner) Chunk(i int) {
	per := r.perChunk()
	for _, run := range r.runs[i*per : min((i+1)*per, len(r.runs))] {
		t, src, dst := r.tables[run.table], r.from[run.src:], r.to[run.dst:]
		for _, s := range t.stretches {
			if s.rows != nil {
				r.k.Transpose(dst[s.lo:s.hi], src, s.rows, (s.hi-s.lo)/len(s.rows))
			} else {
				r.k.Gather(dst[s.lo:s.hi], src, t.index[s.lo:s.hi], r.fill)
			}
		}
	}
}

// A tap is where a pixel of a relayout's target is taken from: pixel (y, x)
// from pixel (y*sy+y0, x*sx+x0).
type tap struct{ sy, y0, sx, x0 int }

var same = tap{sy: 1, sx: 1}

// A placement is where the elements of a value lie: in a layout or, where
// image is nil, in row-major order.
type placement struct {
	image    *layout
	plain    plainStrides
	c, n     int
	h, w     int
	buf      *buffer
	constant []float32
}

func (p *placement) at(y, x int) int {
	if p.image != nil {
		return p.image.at(y, x)
	}
	return y*p.plain.y + x*p.plain.x
}

func (p *placement) plane(c, n int) int {
	if p.image != nil {
		return p.image.plane(c, n)
	}
	return p.plain.plane(c, n)
}

// source returns the best placement to read a value from: the first lane-split
// one that it has, else the row-major one, which l gives the strides of.
func (c *compiler) source(v *value, l *layout) placement {
	p := placement{plain: l.plain, c: l.c, n: l.n, h: l.h, w: l.w}
	for _, im := range v.images {
		if im.layout.complete() {
			p.image, p.buf = &im.layout, im.buf
			return p
		}
	}
	if v.typ.Const != nil {
		p.constant = c.constant(v).F
	} else {
		p.buf = c.plainOf(v)
	}
	return p
}

// toImage appends a step that fills a layout from another placement. Feature
// f*len(taps)+t of the target is tap t of feature f; pixels that fall outside
// the image, and the halo's, become fill.
func (c *compiler) toImage(name string, src placement, dst *layout, taps []tap, fill float32) *buffer {
	buf := c.newBuffer(c.values[name], dst.size(), false)
	tables := make([][][]int32, dst.parts())
	for part := range tables {
		for _, t := range taps {
			tables[part] = append(tables[part], src.under(dst, part, t))
		}
	}
	var op stepOp
	if permute := c.permuteTaps(src, dst, buf, tables, fill); permute != nil {
		op = permute
	} else {
		r := &relayout{k: c.k, src: src.buf, constant: src.constant, dst: buf, fill: fill}
		for part := range tables {
			for _, index := range tables[part] {
				r.addTable(index)
			}
			for f := range src.c {
				for t := range taps {
					for n := range src.n {
						r.runs = append(r.runs, gatherRun{
							dst: dst.plane(f*len(taps)+t, n) + part*dst.part(), src: src.plane(f, n), table: part*len(taps) + t,
						})
					}
				}
			}
		}
		op = r
	}
	c.step(LayerReport{Name: name, Op: "Relayout", Why: "into lane-split images"}, op, src.buf, buf)
	return buf
}

// under returns, for each element of a plane of a part of dst, which one of the
// source's plane a tap takes there, -1 for the fill.
func (p *placement) under(dst *layout, part int, t tap) []int32 {
	return dst.index(part, func(y, x int) int32 {
		y, x = y*t.sy+t.y0, x*t.sx+t.x0
		if y < 0 || y >= p.h || x < 0 || x >= p.w {
			return -1
		}
		return int32(p.at(y, x))
	})
}

// index returns what from says of the pixel in each element of a plane of a part,
// -1 where there is none.
func (l *layout) index(part int, from func(y, x int) int32) []int32 {
	index := make([]int32, 0, l.image*l.lanes)
	for vy := l.first(part) - l.halo.top; vy < l.first(part+1)+l.halo.bottom; vy++ {
		for vx := -l.halo.left; vx < l.sx+l.halo.right; vx++ {
			for lane := range l.lanes {
				at := int32(-1)
				if y, x, ok := l.pixel(vy, vx, lane); ok {
					at = from(y, x)
				}
				index = append(index, at)
			}
		}
	}
	return index
}

// permuteTaps fills an image from another by tables of the elements under each
// tap, a vector from the few that it has lanes of: some times as fast as to
// gather. It returns nil where the source is no image, or too large for that.
func (c *compiler) permuteTaps(src placement, dst *layout, buf *buffer, taps [][][]int32, fill float32) *permuteOp {
	if src.image == nil {
		return nil
	}
	op := &permuteOp{permute: c.k.Permute, dst: buf, src: src.buf, fill: fill}
	vectors := make([]int, dst.image)
	for i := range vectors {
		vectors[i] = i
	}
	for part := range taps {
		for t, index := range taps[part] {
			table, err := vec.NewPermuteTable(c.lanes, vectors[:len(index)/c.lanes], index)
			if err != nil {
				return nil
			}
			for n := range src.n {
				op.add(table, dst.plane(t, n)+part*dst.part(), src.plane(0, n),
					vec.Planes{N: src.c, Dst: dst.plane(len(taps[part]), 0), Src: src.plane(1, 0)})
			}
		}
	}
	return op
}

// addImage gives a value one more lane-split home, which a step fills from
// another: its halo holds the neighbours' pixels, and fill beyond the image.
func (c *compiler) addImage(v *value, l *layout, fill float32) *image {
	im := &image{layout: *l, filled: true, fill: fill}
	im.buf = c.toImage(v.name, c.source(v, l), l, []tap{same}, fill)
	v.images = append(v.images, im)
	return im
}

// imageOf returns a lane-split home of a value that a window can slide over:
// on the grid of want, with its halo, and with fill beyond the image. Where the
// value has none, a step makes one.
func (c *compiler) imageOf(name string, want *layout, w window, fill float32) *image {
	v := c.values[name]
	for _, im := range v.images {
		if im.layout.grid() == want.grid() && im.layout.halo.covers(want.halo) &&
			(!w.reads(want.halo) || im.filled && (!w.padded() || im.fill == fill)) {
			return im
		}
	}
	return c.addImage(v, want, fill)
}

// toPlain appends a step that fills the row-major home of a value from its
// lane-split one.
func (c *compiler) toPlain(v *value) {
	im := v.images[0]
	l := &im.layout
	r := &relayout{k: c.k, src: im.buf, dst: v.plain}
	if l.plain.n == 0 { // a matrix: a run is the features of a column
		table := make([]int32, l.c)
		for f := range table {
			table[f] = int32(l.plane(f, 0))
		}
		r.addTable(table)
		for y := range l.h {
			r.runs = append(r.runs, gatherRun{dst: y * l.plain.y, src: l.at(y, 0)})
		}
	} else { // an image: a run is the pixels of a plane
		table := make([]int32, 0, l.h*l.w)
		for y := range l.h {
			for x := range l.w {
				table = append(table, int32(l.at(y, x)))
			}
		}
		r.addTable(table)
		for f := range l.c {
			for n := range l.n {
				r.runs = append(r.runs, gatherRun{dst: l.plain.plane(f, n), src: l.plane(f, n)})
			}
		}
	}
	c.step(LayerReport{Name: v.name, Op: "Relayout", Why: "into row-major order"}, r, im.buf, v.plain)
}
