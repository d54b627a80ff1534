package runtime

import (
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/parallel"
)

// lowerConcat joins images along their features. Features are the outermost
// extent of the layout, so a part that nothing else has placed is written in
// its place by its own producer; the others are copied.
func (c *compiler) lowerConcat(n *graph.Node) error {
	out := c.values[n.Outputs[0]]
	l := c.layoutOf(out.name)
	dst := c.newBuffer(out, l.size(), false)
	at := 0
	for _, name := range n.Inputs {
		v := c.values[name]
		_, features, _, _ := c.extents(name)
		part := imageLayout(l.grid(), features, l.n, l.h, l.w, l.halo).ofVolumes(l.plain.depth)
		im := c.exactImage(name, &part)
		if im.buf.parent == nil && len(im.buf.values) == 1 && !v.kept {
			im.buf.within(dst, at)
		} else {
			op := &copyOp{src: im.buf, dst: dst, at: at}
			c.step(LayerReport{Name: label(n), Op: n.Op, Why: "lane-split, copied: the part lives elsewhere too"}, op, im.buf, dst)
		}
		at += part.size()
	}
	dst.touch(len(c.plan.steps) - 1)
	return c.finish(out, l, dst)
}

// copyOp copies a buffer into a part of another.
type copyOp struct {
	src, dst *buffer
	at       int
}

// moved implements [mover]: dst is more than what is copied.
func (o *copyOp) moved() int { return 2 * o.src.bytes() }

func (o *copyOp) bind(s *Session) runner {
	src := s.memory(o.src)
	return &copyRunner{src: src, dst: s.memory(o.dst)[o.at:][:len(src)]}
}

type copyRunner struct{ src, dst []float32 }

func (r *copyRunner) run(*parallel.Pool) { copy(r.dst, r.src) }
