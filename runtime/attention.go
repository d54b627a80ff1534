package runtime

import (
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/parallel"
	"github.com/nnz-dev/nnz/kernels/spmm"
	"github.com/nnz-dev/nnz/kernels/vec"
	"github.com/nnz-dev/nnz/runtime/ops"
)

// maxAttention bounds the matrices of a head: their indices are packed as
// float32, which counts so far.
const maxAttention = 1 << 24

// attentionBlock is how many vectors of queries are computed at a time: the
// scores of a block should stay in the L2 cache.
const attentionBlock = 16

// attentionKind decides where the output of an nnz.Attention lies: as features
// by columns where the product kernels compute it, of sequences with more than
// a few queries.
func (c *compiler) attentionKind(n *graph.Node) kind {
	a, err := c.attentionShape(n)
	if err != nil || a.Queries <= vectorColumns || a.Batch*max(a.Queries, a.Keys) > maxAttention || max(a.Keys*a.Depth, a.Keys*a.Width) > maxAttention {
		return rowMajor
	}
	return matrixKind
}

func (c *compiler) attentionShape(n *graph.Node) (*ops.FusedAttention, error) {
	in := make([]Tensor, len(n.Inputs))
	for i, name := range n.Inputs {
		if name != "" {
			t := c.values[name].typ
			in[i] = Tensor{DType: t.DType, Shape: t.Shape}
		}
	}
	return ops.NewFusedAttention(n, in, c.values[n.Outputs[0]].typ.Shape)
}

// lowerAttention appends softmax(scale·Q·Kᵀ + mask)·V with features as rows. Of
// each head the transposed scores, keys by queries, are the product of a dense
// weight, the head's rows of K turned, with the queries; softmax goes down the
// columns; and the output is the product of the head's rows of V with that.
// Both weights are packed again in every run.
func (c *compiler) lowerAttention(n *graph.Node) error {
	a, err := c.attentionShape(n)
	if err != nil {
		return err
	}
	out := c.values[n.Outputs[0]]
	l := c.layoutOf(out.name)
	op := &attentionOp{a: a, k: c.k, lanes: c.lanes, out: l}
	names := [3]string{n.Inputs[0], n.Inputs[0], n.Inputs[0]}
	if n.Input(1) != "" {
		names[1], names[2] = n.Inputs[1], n.Inputs[2]
	}
	var touched []*buffer
	for i, name := range names {
		shape := c.values[name].typ.Shape
		if i > 0 && name == names[0] {
			op.in[i], op.src[i] = op.in[0], op.src[0]
			continue
		}
		in := c.matrixLayout(shape[2], shape[0]*shape[1])
		im := c.exactImage(name, &in)
		op.in[i], op.src[i] = im.layout, im.buf
		if a.Batch > 1 {
			op.in[i] = sequences(&im.layout, a.Batch)
			if op.src[i], err = c.regroup(c.values[name], &im.layout, im.buf, &op.in[i]); err != nil {
				return err
			}
		}
		touched = append(touched, op.src[i])
	}
	if a.Batch > 1 {
		op.out = sequences(&l, a.Batch)
	}
	op.heads = min(c.perPart(&op.out), a.Batch*a.Heads)
	op.row = (min(attentionBlock, ceilDiv(op.out.sy, op.out.parts())) | 1) * c.lanes
	if err := c.bindAttention(op); err != nil {
		return err
	}
	if name := n.Input(3); name != "" {
		op.mask = c.plainValue(c.values[name])
		if op.mask.plain != nil {
			touched = append(touched, op.mask.plain)
		}
	}
	op.columns()
	op.scratch = c.newBuffer(&value{lastUse: c.node}, op.chunks()*op.scratchSize(), false)
	op.scratch.touch(len(c.plan.steps))
	op.dst = c.newBuffer(out, op.out.size(), false)
	c.step(LayerReport{
		Name: label(n), Op: n.Op, Kernel: op.blocks[0][0].scores.Kernel(), Why: "features by columns, heads on dense kernels",
		FMAs: a.Batch * a.Heads * a.Queries * a.Keys * (a.Depth + a.Width),
	}, op, append(touched, op.dst)...)
	if a.Batch == 1 {
		return c.finish(out, l, op.dst)
	}
	dst, err := c.regroup(out, &op.out, op.dst, &l)
	if err != nil {
		return err
	}
	return c.finish(out, l, dst)
}

// sequences lays out the columns of a matrix, sequences one after the other, as
// images: each sequence begins with a vector.
func sequences(l *layout, n int) layout {
	return imageLayout(gridOf(l.lanes, l.h/n, 1), l.c, n, l.h/n, 1, halo{})
}

// regroup appends a step that moves the columns of features between a matrix
// and the sequences that it is made of, and returns where they are.
func (c *compiler) regroup(v *value, from *layout, src *buffer, to *layout) (*buffer, error) {
	dst := c.newBuffer(v, to.size(), false)
	op := &permuteOp{permute: c.k.Permute, dst: dst, src: src}
	var vectors []int
	var index []int32
	for img := range to.n {
		for i := range to.sy {
			vectors = append(vectors, img*to.image+to.rowAt(i))
		}
		for part := range to.parts() {
			index = append(index, to.index(part, func(y, _ int) int32 {
				i := img*to.h + y
				return int32(from.plane(0, i/from.h) + from.at(i%from.h, 0))
			})...)
		}
	}
	table, err := vec.NewPermuteTable(to.lanes, vectors, index)
	if err != nil {
		return nil, fmt.Errorf("sequences of %s: %w", v.name, err)
	}
	op.add(table, 0, 0, vec.Planes{N: to.c, Dst: to.plane(1, 0), Src: from.plane(1, 0)})
	c.step(LayerReport{Name: v.name, Op: "Relayout", Why: "columns of sequences"}, op, src, dst)
	return dst, nil
}

// bindAttention cuts the queries of each part into blocks, and binds the two
// products of a head to the tiles of a block.
func (c *compiler) bindAttention(op *attentionOp) error {
	a, q, bytes := op.a, &op.in[0], c.lanes*4
	var keyOrder, valueOrder []int32
	type products struct{ scores, sums *spmm.Product }
	bound := make(map[int]products) // by the vectors of a block
	most := min(attentionBlock, op.out.sy)
	for part := range op.out.parts() {
		var blocks []queryBlock
		all := op.out.rows(part)
		n := ceilDiv(all, attentionBlock)
		for i := range n {
			first := op.out.first(part) + i*all/n
			size := op.out.first(part) + (i+1)*all/n - first
			p, ok := bound[size]
			if !ok {
				var err error
				if p.scores, keyOrder, err = c.refilled(a.Keys, a.Depth, size, most, q.channel*bytes, op.row*4); err != nil {
					return err
				}
				if p.sums, valueOrder, err = c.refilled(a.Width, a.Keys, size, most, op.row*4, op.out.channel*bytes); err != nil {
					return err
				}
				bound[size] = p
			}
			blocks = append(blocks, queryBlock{
				first: first * c.lanes, width: size * c.lanes, scores: p.scores, sums: p.sums,
				q: q.rowAt(first) * c.lanes, out: op.out.rowAt(first) * c.lanes,
			})
		}
		op.blocks = append(op.blocks, blocks)
	}
	// From indices of the weights, keys x depth and width x keys, to where the
	// images of a head hold them.
	k, v := &op.in[1], &op.in[2]
	op.keys = columnOrder(k, a.Keys)
	for i, at := range keyOrder {
		keyOrder[i] = int32(k.plane(int(at)%a.Depth, 0) + k.at(op.keys[int(at)/a.Depth], 0))
	}
	for i, at := range valueOrder {
		valueOrder[i] = int32(v.plane(int(at)/a.Keys, 0) + v.at(op.keys[int(at)%a.Keys], 0))
	}
	op.turnKeys = newTurning(keyOrder, k.plane(1, 0), c.lanes)
	op.turnValues = newTurning(valueOrder, v.plane(1, 0), c.lanes)
	return nil
}

// refilled binds a dense weight of rows x cols to vectors of columns, with
// strides in bytes from a row of the input, and of the output, to the next. It
// returns which row-major element of the weight each packed value is, which
// depends on most, the vectors that a block may have, alone.
func (c *compiler) refilled(rows, cols, vectors, most, in, out int) (*spmm.Product, []int32, error) {
	index := make([]float32, rows*cols)
	for i := range index {
		index[i] = float32(i)
	}
	w := &weight{tensor: graph.FromFloats([]int{rows, cols}, index), rows: rows, cols: cols, groups: 1, nnz: rows * cols}
	if int64(cols)*int64(in) > math.MaxUint32 {
		return nil, nil, fmt.Errorf("attention over %d rows of %d bytes, at most 4 GiB can be addressed", cols, in)
	}
	f := format{dense: true, r: denseRows(w)}
	fit := c.fit(w, f, unitWindow)
	a := spmm.Addressing{Groups: 1, Block: c.blockColumns(w, f, fit.Cover(spmm.Shape{Rows: 1, Cols: most}), unitWindow)}
	for col := range cols {
		a.Offsets = append(a.Offsets, uint32(col*in))
	}
	packed, err := w.pack(f, a)
	if err != nil {
		return nil, nil, err
	}
	var tiles []spmm.Tile
	for _, s := range fit.Cover(spmm.Shape{Rows: 1, Cols: vectors}) {
		at := s.Col * c.lanes
		tiles = append(tiles, spmm.Tile{Shape: s.Shape, X: at, Y: at})
	}
	p, err := spmm.NewProduct(c.cfg.ISA, packed, 1, spmm.Geometry{YChan: out}, tiles, spmm.Epilogue{})
	if err != nil {
		return nil, nil, err
	}
	order := make([]int32, len(p.Values()))
	for i, v := range p.Values() {
		order[i] = int32(v)
	}
	return p, order, nil
}

// A queryBlock is some columns of queries of a head, whose scores are computed at
// a time: width columns from first on, and where they lie in a feature of Q and
// of the output.
type queryBlock struct {
	first, width int
	q, out       int
	scores, sums *spmm.Product
}

// attentionOp is an attention over images of features by columns. A thread takes
// the queries of a part, or some heads of them.
type attentionOp struct {
	a            *ops.FusedAttention
	k            *vec.Kernels
	lanes        int
	in           [3]layout // of Q, K and V
	out          layout
	heads        int            // into how many pieces of work the heads go
	blocks       [][]queryBlock // of each part
	row          int            // elements from a key's scores to the next one's
	keys         []int          // the key in each row of scores: as K has its columns, so that neighbours stay so
	turnKeys     turning        // packs a head's K,
	turnValues   turning        // and its V
	queries      []int32        // the query in each column, -1 for none
	maskOrder    []int32        // where a key's row of the mask has each column's query; nil for the same for all
	src          [3]*buffer
	dst, scratch *buffer
	mask         *value
}

// chunks returns how many pieces of work there are.
func (o *attentionOp) chunks() int { return len(o.blocks) * o.heads }

// columns says which query each column is.
func (o *attentionOp) columns() {
	for part := range o.out.parts() {
		o.queries = append(o.queries, o.out.index(part, func(y, _ int) int32 { return int32(y) })...)
	}
	if o.mask == nil || o.a.MaskQ == 0 {
		return
	}
	for _, q := range o.queries {
		o.maskOrder = append(o.maskOrder, int32(max(int(q), 0)*o.a.MaskQ))
	}
}

// scratchSize returns the elements that a thread needs: scores of a block,
// packed keys and values, a row of the mask, and a number for each key.
func (o *attentionOp) scratchSize() int {
	return o.a.Keys*o.row + o.turnKeys.room(o.lanes) + o.turnValues.room(o.lanes) + o.row + roundUp(o.a.Keys, alignElements)
}

func (o *attentionOp) bind(s *Session) runner {
	r := &attentionRunner{attentionOp: o, y: s.memory(o.dst), mask: s.tensor(o.mask).F}
	for i, b := range o.src {
		r.x[i] = s.memory(b)
	}
	rest := s.memory(o.scratch)
	cut := func(n int) (part []float32) {
		part, rest = rest[:n], rest[n:]
		return part
	}
	for i := range o.chunks() {
		var t attentionThread
		t.keys, t.values = cut(o.turnKeys.room(o.lanes)), cut(o.turnValues.room(o.lanes))
		t.scores, t.maskRow = cut(o.a.Keys*o.row), cut(o.row)
		t.maskKeys = cut(roundUp(o.a.Keys, alignElements))[:o.a.Keys]
		for _, b := range o.blocks[i/o.heads] {
			b.scores = b.scores.WithValues(t.keys[:o.turnKeys.size])
			b.sums = b.sums.WithValues(t.values[:o.turnValues.size])
			t.blocks = append(t.blocks, b)
		}
		r.threads = append(r.threads, t)
	}
	return r
}

// An attentionThread is the memory of a piece of work, and its blocks of queries
// with products on its packed weights.
type attentionThread struct {
	scores, keys, values, maskRow, maskKeys []float32
	blocks                                  []queryBlock
}

type attentionRunner struct {
	*attentionOp
	x       [3][]float32
	y, mask []float32
	threads []attentionThread
}

func (r *attentionRunner) run(p *parallel.Pool) { p.Run(r, len(r.threads)) }

// Chunk computes some heads of a part of the queries.
func (r *attentionRunner) Chunk(i int) {
	n, all := i%r.heads, r.a.Batch*r.a.Heads
	for h := n * all / r.heads; h < (n+1)*all/r.heads; h++ {
		r.head(&r.threads[i], h/r.a.Heads, h%r.a.Heads)
	}
}

// head computes a head of a sequence.
func (r *attentionRunner) head(t *attentionThread, b, h int) {
	a := r.a
	group := h * a.KVHeads / a.Heads
	r.turnKeys.run(r.k, t.keys, r.x[1][r.in[1].plane(a.KStart+group*a.Depth, b):])
	r.turnValues.run(r.k, t.values, r.x[2][r.in[2].plane(a.VStart+group*a.Width, b):])
	mask := b*a.MaskB + h*a.MaskH
	bias := r.bias(t, mask)
	for _, q := range t.blocks {
		q.scores.Run(spmm.Buffers{X: r.x[0][r.in[0].plane(h*a.Depth, b)+q.q:], Y: t.scores}, 0, q.scores.Units())
		scale := a.Scale
		if r.maskOrder != nil || a.Causal {
			r.weigh(t, mask, q.first, q.width)
			scale = 1
		}
		r.k.SoftmaxColumns(t.scores, t.scores, bias, scale, vec.Columns{Rows: a.Keys, Width: q.width, Stride: r.row})
		q.sums.Run(spmm.Buffers{X: t.scores, Y: r.y[r.out.plane(h*a.Width, b)+q.out:]}, 0, q.sums.Units())
	}
}

// bias returns the mask of a head, which begins at an element of its own, where
// all queries have the same: a number for each row of scores.
func (r *attentionRunner) bias(t *attentionThread, mask int) []float32 {
	if r.mask == nil || r.maskOrder != nil {
		return nil
	}
	for i, k := range r.keys {
		t.maskKeys[i] = r.mask[mask+k*r.a.MaskStep]
	}
	return t.maskKeys
}

// weigh scales the scores of columns from at on, adds the mask where each query
// has its own, and hides what comes later.
func (r *attentionRunner) weigh(t *attentionThread, mask, at, width int) {
	a := r.a
	minusInf := float32(math.Inf(-1))
	for i, k := range r.keys {
		row := t.scores[i*r.row:][:width]
		r.k.Affine(row, row, a.Scale, 0)
		if r.maskOrder != nil {
			r.k.Gather(t.maskRow[:width], r.mask[mask+k*a.MaskStep:], r.maskOrder[at:], 0)
			r.k.Add(row, row, t.maskRow)
		}
		if a.Causal {
			for i, q := range r.queries[at:][:width] {
				if int(q) < k {
					row[i] = minusInf
				}
			}
		}
	}
}
