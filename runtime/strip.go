package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/spmm"
	"github.com/nnz-dev/nnz/kernels/vec"
)

// A link is a node of a chain while it is lowered.
type link struct {
	node     *graph.Node
	window   window
	src      source
	residual *image // nil for none
	y        *image
	ops      [][]stepOp // what it does in each strip
}

// lowerChain appends the steps of a chain, which take turns.
func (c *compiler) lowerChain(ch *chain) error {
	last := len(ch.nodes) - 1
	out := c.values[ch.nodes[last].Outputs[0]]
	l := c.layoutOf(out.name)
	links := make([]link, len(ch.nodes))
	for i, n := range ch.nodes {
		links[i] = link{node: n, window: ch.win[i], y: &image{layout: l}}
		if i < last {
			s := ch.inner[i]
			s.buf = c.newBuffer(c.values[n.Outputs[0]], s.size(), false)
			links[i].y = &image{layout: s.layout, buf: s.buf}
		}
	}
	// What comes from outside is there before the first strip.
	entry := c.layoutOf(ch.nodes[0].Outputs[0])
	var err error
	if _, links[0].src, err = c.productSource(ch.nodes[0], &entry); err != nil {
		return err
	}
	for i, n := range ch.nodes {
		if i > 0 {
			links[i].src = directSource(links[i-1].y, ch.win[i], c.perGroup(n))
		}
		if n.Op == "Conv" {
			links[i].residual = c.residual(n, &links[i].y.layout)
		}
	}
	dst := c.newBuffer(out, l.size(), false)
	if r := links[last].residual; r != nil && r.layout == l && c.dies(r.buf) && !slices.ContainsFunc(links, func(k link) bool {
		return sharesRoot(r.buf, k.src.im.buf) || k.residual != nil && k.residual != r && sharesRoot(r.buf, k.residual.buf)
	}) {
		dst.within(r.buf, 0)
	}
	links[last].y.buf = dst

	begin := len(c.plan.steps)
	for i := range links {
		if err := c.lowerLink(ch, i, &links[i], &l); err != nil {
			return fmt.Errorf("node %q (%s): %w", label(ch.nodes[i]), ch.nodes[i].Op, err)
		}
		if i == ch.wrap {
			c.describe(LayerReport{Name: ch.nodes[i].Outputs[0], Op: "Halo", Why: "neighbours' edges and padding, for the windows that follow"})
		}
	}
	if err := c.takeTurns(ch, begin, links, &l); err != nil {
		return err
	}
	c.explainChain(ch, begin, ch.count*l.n)
	return c.finish(out, l, dst)
}

// perGroup returns how many features of its input an output of a node is made
// of.
func (c *compiler) perGroup(n *graph.Node) int {
	if n.Op != "Conv" {
		return 1
	}
	_, features, _, _ := c.extents(n.Inputs[0])
	return features / n.Int("group", 1)
}

// lowerLink describes node i of a chain as a step, and finds what it does in
// each strip.
func (c *compiler) lowerLink(ch *chain, i int, k *link, end *layout) error {
	offsets := map[int][]uint32{0: k.src.offsets} // by variant
	var all []work
	var at []int // strips, of each work
	ch.eachStrip(end, func(strip, img int, stints []stint) {
		k.ops = append(k.ops, nil)
		ch.bands(i, img, stints, func(variant int, b band) {
			if offsets[variant] == nil {
				s := ch.inner[i-1]
				offsets[variant] = s.taps(k.window, c.perGroup(k.node), func(y int) int { return (variant + y) % s.rows })
			}
			w := work{offsets[variant], []band{b}}
			for j := len(all) - 1; j >= 0 && at[j] == strip; j-- {
				if &all[j].offsets[0] == &w.offsets[0] {
					all[j].bands = append(all[j].bands, b)
					return
				}
			}
			all, at = append(all, w), append(at, strip)
		})
	})
	ops, layer, err := c.linkOps(k, all)
	if err != nil {
		return err
	}
	for j, op := range ops {
		k.ops[at[j]] = append(k.ops[at[j]], op)
	}
	var res *buffer
	if k.residual != nil {
		res = k.residual.buf
	}
	c.describe(layer, k.src.im.buf, k.y.buf, res)
	// Strips are as many times there as it takes.
	moved := &c.plan.steps[len(c.plan.steps)-1].Moved
	if i > 0 {
		*moved += ch.inner[i-1].whole() - k.src.im.buf.bytes()
	}
	if i < len(ch.inner) {
		*moved += ch.inner[i].whole() - k.y.buf.bytes()
	}
	return nil
}

// linkOps returns what a link does for each work.
func (c *compiler) linkOps(k *link, all []work) ([]stepOp, LayerReport, error) {
	var ops []stepOp
	if k.node.Op != "Conv" {
		pool, layer := c.poolOf(k.node, k.window, k.src.im, &k.y.layout, k.y.buf)
		for _, w := range all {
			op := *pool
			op.taps, op.bands = w.offsets, w.bands
			ops = append(ops, &op)
		}
		return ops, layer, nil
	}
	weight, err := c.weightOf(k.node)
	if err != nil {
		return nil, LayerReport{}, err
	}
	out := &k.y.layout
	products, layer, err := c.bindWeight(k.node, &binding{
		w: weight, src: k.src, out: out, residual: k.residual,
		grid: spmm.Shape{Rows: out.sy, Cols: out.sx}, images: out.n, work: all,
	})
	if err != nil {
		return nil, layer, err
	}
	layer.KernelH, layer.KernelW, layer.Stride = k.window.kh, k.window.kw, k.window.sh
	for _, p := range products {
		op := &productOp{chunks: c.chunksOf([]product{p}), x: k.src.im.buf, y: k.y.buf}
		if k.residual != nil {
			op.res = k.residual.buf
		}
		ops = append(ops, op)
	}
	return ops, layer, nil
}

// takeTurns puts what the links do in each strip in order; their steps are
// those from begin on, with that of the halo in between.
func (c *compiler) takeTurns(ch *chain, begin int, links []link, end *layout) error {
	// All that they touch is in use from the first turn to the last.
	occupy(c.buffers, begin, len(c.plan.steps)-1)
	var errs []error
	ch.eachStrip(end, func(strip, _ int, stints []stint) {
		step := begin
		for i, k := range links {
			for _, op := range k.ops[strip] {
				c.plan.order = append(c.plan.order, turn{step, op})
			}
			step++
			if i == ch.wrap {
				errs = append(errs, c.fillStrip(ch.inner[i], &stints[i], step))
				step++
			}
		}
	})
	return errors.Join(errs...)
}

// fillStrip appends the turn that fills the halo of the rows that are new in a
// strip, and brings the last rows of the sub-images to where they belong.
func (c *compiler) fillStrip(s *strip, k *stint, step int) error {
	top := s.rows         // where the last rows are kept, above the first ones of other sub-images
	bottom := top + s.top // and where the first ones are, below the last ones
	var t haloTable
	for r := k.first + k.carried; r < k.end; r++ {
		from := k.slot(r)
		switch {
		case r >= s.sy:
			from = bottom + r - s.sy
		case r >= s.sy-s.top:
			from = top + r - (s.sy - s.top)
		case r < 0:
			from = top + s.top + r
		case r < s.bottom:
			s.takeRow(&t, r, bottom+r, from)
		}
		s.takeRow(&t, r, k.slot(r), from)
	}
	if len(t.dst) == 0 {
		return nil
	}
	table, err := vec.NewPermuteTable(s.lanes, t.dst, t.index)
	if err != nil {
		return fmt.Errorf("halo: %w", err)
	}
	op := &permuteOp{permute: c.k.Permute, dst: s.buf, src: s.buf, fill: s.fill}
	op.add(table, 0, 0, vec.Planes{N: s.c, Dst: s.plane(1, 0), Src: s.plane(1, 0)})
	c.plan.steps[step].Moved += op.moved()
	c.plan.order = append(c.plan.order, turn{step, op})
	return nil
}

// takeRow adds to a table that row to of the memory is to be row r of the value:
// its pixels are those of row from.
func (s *strip) takeRow(t *haloTable, r, to, from int) {
	for vx := -s.halo.left; vx < s.sx+s.halo.right; vx++ {
		if to == from && vx >= 0 && vx < s.sx {
			continue
		}
		t.dst = append(t.dst, to*s.row+vx+s.halo.left)
		for lane := range s.lanes {
			at := int32(-1)
			if y, x, ok := s.pixel(r, vx, lane); ok {
				at = int32((from*s.row+x%s.sx+s.halo.left)*s.lanes + y/s.sy*s.lx + x/s.sx)
			}
			t.index = append(t.index, at)
		}
	}
}

// explainChain says in the reports of a chain's steps that they take turns.
func (c *compiler) explainChain(ch *chain, begin, strips int) {
	names := make([]string, len(ch.nodes))
	for i, n := range ch.nodes {
		names[i] = label(n)
	}
	for i := range c.plan.steps[begin:] {
		r := &c.plan.steps[begin+i]
		r.Strips = strips
		r.Why += fmt.Sprintf("; in %d strips, depth first through %s", strips, strings.Join(names, ", "))
	}
}
