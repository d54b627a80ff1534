package runtime

import (
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/vec"
)

// lowerDepthToSpace appends a step that puts the channels of a block beside one
// another as pixels, from one lane-split image into another.
func (c *compiler) lowerDepthToSpace(n *graph.Node) error {
	x, out := n.Inputs[0], c.values[n.Outputs[0]]
	l := c.layoutOf(out.name)
	by, bx := n.Int("blocksize", 1), n.Int("blocksize", 1)
	skipY, skipX := 0, 0
	if n.Domain == graph.FusedDomain {
		b, skip := n.Ints("blocks"), n.Ints("skip")
		by, bx, skipX = 1, b[len(b)-1], skip[len(b)-1]
		if len(b) == 2 {
			by, skipY = b[0], skip[0]
		}
	}
	// Channels of the input from one of the output to the next, and from one
	// pixel of a block to the next.
	channel, pixel := by*bx, 1
	if n.Domain == "" && n.Str("mode", "DCR") == "DCR" {
		channel, pixel = 1, l.c
	}
	in := c.layoutOf(x)
	src := c.source(c.values[x], &in)
	vectors := make([]int, l.image)
	for i := range vectors {
		vectors[i] = i
	}
	index := l.index(0, func(y, x int) int32 {
		y, x = y+skipY, x+skipX
		return int32(src.plane((y%by*bx+x%bx)*pixel, 0) + src.at(y/by, x/bx))
	})
	dst := c.newBuffer(out, l.size(), false)
	var op stepOp
	if table, err := vec.NewPermuteTable(l.lanes, vectors, index); err == nil && src.image != nil {
		p := &permuteOp{permute: c.k.Permute, dst: dst, src: src.buf}
		for img := range l.n {
			p.add(table, l.plane(0, img), src.plane(0, img), vec.Planes{N: l.c, Dst: l.plane(1, 0), Src: src.plane(channel, 0)})
		}
		op = p
	} else {
		r := &relayout{k: c.k, src: src.buf, constant: src.constant, dst: dst}
		r.addTable(index)
		for f := range l.c {
			for img := range l.n {
				r.runs = append(r.runs, gatherRun{dst: l.plane(f, img), src: src.plane(f*channel, img)})
			}
		}
		op = r
	}
	c.step(LayerReport{Name: label(n), Op: n.Op, Why: "lane-split, channels to pixels"}, op, src.buf, dst)
	out.images = append(out.images, &image{layout: l, buf: dst, filled: true})
	return nil
}
