package runtime

import (
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/parallel"
	"github.com/nnz-dev/nnz/kernels/vec"
)

// isNorm reports whether a node normalises the features of each column.
func isNorm(n *graph.Node) bool {
	return n.Domain == graph.FusedDomain && (n.Op == "LayerNorm" || n.Op == "RMSNorm")
}

// lowerNorm appends a normalisation of features that lie as rows: down the
// columns, in place where nothing else needs the input.
func (c *compiler) lowerNorm(n *graph.Node) error {
	out := c.values[n.Outputs[0]]
	l := c.layoutOf(out.name)
	im := c.exactImage(n.Inputs[0], &l)
	dst := c.newBuffer(out, l.size(), false)
	if c.dies(im.buf) {
		dst.within(im.buf, 0)
	}
	op := &normOp{k: c.k, centre: n.Op == "LayerNorm", eps: n.Float("epsilon", 1e-5), l: l, byParts: c.ownParts(&l), src: im.buf, dst: dst}
	touched := []*buffer{im.buf, dst}
	for i, to := range []**value{1: &op.scale, 2: &op.bias} {
		if i == 0 || n.Input(i) == "" {
			continue
		}
		*to = c.plainValue(c.values[n.Input(i)])
		if b := (*to).plain; b != nil {
			touched = append(touched, b)
		}
	}
	most := max(normVectors, ceilDiv(ceilDiv(l.sy, l.parts()), c.perPart(&l)))
	for part := range l.parts() {
		for lo := 0; lo < l.rows(part); lo += most {
			op.chunks = append(op.chunks, normChunk{
				at:    part*l.part() + lo*l.lanes,
				width: min(most, l.rows(part)-lo) * l.lanes,
			})
		}
	}
	c.step(LayerReport{Name: label(n), Op: n.Op, Why: "lane-split, down the columns"}, op, touched...)
	return c.finish(out, l, dst)
}

// normVectors is how many vectors of columns are normalised at least at a time:
// two share a cache line with none of the others.
const normVectors = 2

// normOp normalises the columns of a matrix.
type normOp struct {
	byParts
	k           *vec.Kernels
	centre      bool // about the mean: LayerNorm, else RMSNorm
	eps         float32
	l           layout
	chunks      []normChunk
	src, dst    *buffer
	scale, bias *value
}

// A normChunk is some columns, from an element on.
type normChunk struct{ at, width int }

func (o *normOp) bind(s *Session) runner {
	return &normRunner{normOp: o, x: s.memory(o.src), y: s.memory(o.dst), factors: s.tensor(o.scale).F, shifts: s.tensor(o.bias).F}
}

type normRunner struct {
	*normOp
	x, y, factors, shifts []float32
}

func (r *normRunner) run(p *parallel.Pool) { p.Run(r, len(r.chunks)) }

func (r *normRunner) Chunk(i int) {
	chunk := r.chunks[i]
	cols := vec.Columns{Rows: r.l.c, Width: chunk.width, Stride: r.l.channel * r.l.lanes}
	y, x := r.y[chunk.at:], r.x[chunk.at:]
	if r.centre {
		r.k.LayerNormColumns(y, x, r.factors, r.shifts, cols, r.eps)
	} else {
		r.k.RMSNormColumns(y, x, r.factors, cols, r.eps)
	}
}
