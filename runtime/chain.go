package runtime

import (
	"context"

	"github.com/nnz-dev/nnz/graph"
)

// A chain is windowed nodes that follow one another and run depth first: in
// strips of a few rows of vectors, each through all of the nodes, so that what
// flows between them stays in the L2 cache and is never there as a whole.
//
// A row of vectors holds a row of every sub-image (see layout). The rows before
// a sub-image's first are the last ones of the sub-images above, so the first
// strip needs them: they are computed ahead of it, and kept.
//
// Source: Alwani et al., Fused-Layer CNN Accelerators, 2016, with rows of
// vectors in place of pixels, and without recomputing.
type chain struct {
	nodes []*graph.Node
	win   []window // of each node
	inner []*strip // the values between the nodes
	wrap  int      // the one of them whose reader takes rows of other strips, -1 for none
	rows  int      // of the last node's output in a strip
	count int      // strips of an image
}

// A strip is the memory of a value between two nodes of a chain: some rows of
// vectors of an image, of which new ones take the place of the oldest. Behind
// them it keeps those at the ends of the sub-images, for the ones beyond them.
type strip struct {
	layout          // of such memory; halo.top and halo.bottom are 0
	rows        int // that are there at a time
	top, bottom int // rows that its reader takes before and after a sub-image
	fill        float32
	buf         *buffer
}

// whole returns how many bytes the value takes as a whole.
func (s *strip) whole() int { return 4 * s.n * s.c * s.sy * s.row * s.lanes }

// cacheBytes is the cache that strips are made for: the L2 cache of a core has
// as much in most CPUs, or more. Plans of an instruction set are to be the same
// on all of them.
const cacheBytes = 1 << 20

// cache returns how large a value is that is better never there as a whole, as
// the cache does not hold it; and how much of their memory the strips of a chain
// use at a time, which leaves room for weights and the rows that come and go.
func (c *compiler) cache() (value, strips int) {
	n := c.cfg.cache
	if n == 0 {
		n = cacheBytes
	}
	return n, n / 8 * 5
}

// chains returns the chains of the graph by the index of the node that they
// begin with: those that together save most.
func (c *compiler) chains(ctx context.Context) (map[int]*chain, error) {
	nodes := c.g.Nodes
	readers := make(map[string]int)
	for _, n := range nodes {
		for _, in := range n.Inputs {
			readers[in]++
		}
	}
	saved := make([]int, len(nodes)+1) // bytes, at best, from a node on
	large, room := c.cache()
	begin := make(map[int]*chain)
	for i := len(nodes) - 1; i >= 0; i-- {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		saved[i] = saved[i+1]
		ch := &chain{wrap: -1}
		for end := i; end < len(nodes) && c.extend(ch, nodes[end], readers); end++ {
			all := ch.saved(large) + saved[end+1]
			if all > saved[i] && ch.fit(c.layoutOf(nodes[end].Outputs[0]).sy, room) {
				saved[i], begin[i] = all, ch.clone()
			}
		}
	}
	for i := 0; i < len(nodes); i++ {
		if ch := begin[i]; ch != nil {
			for range ch.nodes[1:] {
				i++
				delete(begin, i)
			}
		}
	}
	return begin, nil
}

func (ch *chain) clone() *chain {
	out := *ch
	out.inner = nil
	for _, s := range ch.inner {
		s := *s
		out.inner = append(out.inner, &s)
	}
	return &out
}

// saved returns how many bytes of large values the chain does without.
func (ch *chain) saved(large int) int {
	n := 0
	for _, s := range ch.inner {
		if b := s.whole(); b >= large {
			n += b
		}
	}
	return n
}

// extend appends a node to the chain where it can be.
func (c *compiler) extend(ch *chain, n *graph.Node, readers map[string]int) bool {
	out := n.Outputs[0]
	switch n.Op {
	case "Conv", "MaxPool", "AveragePool":
	default:
		return false
	}
	if c.wants[out].kind != imageKind || len(c.values[out].typ.Shape) != 4 {
		return false
	}
	w := c.windowOf(n)
	if len(ch.nodes) == 0 {
		// A pooling finds its input as it is, a convolution makes it so.
		ch.nodes, ch.win = append(ch.nodes, n), append(ch.win, w)
		return n.Op == "Conv"
	}
	x := n.Inputs[0]
	g, h := c.windowLayout(w, out)
	images, features, height, width := c.extents(x)
	switch {
	case x != ch.nodes[len(ch.nodes)-1].Outputs[0] || c.values[x].kept || readers[x] != 1:
		return false
	case !c.near(x, g, h) || g != c.naturalGrid(x) || g.ly*g.sy != height || g.lx*g.sx != width || w.sw > 2:
		return false
	}
	s := &strip{top: h.top, bottom: h.bottom}
	h.top, h.bottom = 0, 0
	s.layout = imageLayout(g, features, images, height, width, h)
	if n.Op == "MaxPool" {
		s.fill = c.poolFill(x, w)
	}
	if s.halo != (halo{}) || s.top > 0 || s.bottom > 0 {
		if ch.wrap >= 0 {
			return false // its rows before the first would need those of the other
		}
		ch.wrap = len(ch.inner)
	} else if w.kh > w.sh {
		return false
	}
	ch.inner = append(ch.inner, s)
	ch.nodes, ch.win = append(ch.nodes, n), append(ch.win, w)
	return true
}

// A stint is what a node of a chain does in a strip, in rows of vectors. Rows of
// its output that lie beyond a sub-image count on: below 0, and from sy up.
type stint struct {
	lo, hi     int // that it computes, all of a sub-image
	first, end int // that its output's reader takes
	carried    int // of them, from first on, that are there from the strip before
	zero, ring int // see slot
}

// slot returns in which row of a strip's memory row r of its value lies.
func (k *stint) slot(r int) int {
	if k.ring == 0 {
		return r - k.zero
	}
	return (r - k.zero) % k.ring
}

// stints returns the stint of each node for strip j of an image, of an output
// of sy rows. Strip -1 is ahead of the others: of the last rows of the value
// that wraps, which lie before the first ones of the next sub-images.
func (ch *chain) stints(j, sy int) []stint {
	stints := make([]stint, len(ch.nodes))
	at := len(stints) - 1
	if j >= 0 {
		stints[at] = stint{lo: j * ch.rows, hi: min((j+1)*ch.rows, sy)}
	} else {
		at = ch.wrap
		s := ch.inner[at]
		stints[at] = stint{lo: s.sy - s.top, hi: s.sy, zero: s.sy - s.top - s.rows}
	}
	for at--; at >= 0; at-- {
		w, s, reader := &ch.win[at+1], ch.inner[at], stints[at+1]
		if reader.lo >= reader.hi {
			continue
		}
		k := stint{first: reader.lo*w.sh - w.top, end: (reader.hi-1)*w.sh + w.reach() - w.top}
		k.lo, k.hi, k.zero = k.first, k.end, k.first
		if at == ch.wrap {
			k.zero, k.ring = -s.top, s.rows
			if j > 0 {
				k.carried = max(0, ch.reach(j-1, sy)-k.first)
			}
			k.lo, k.hi = max(0, k.first+k.carried), min(k.end, s.sy-s.top)
		}
		stints[at] = k
	}
	return stints
}

// reach returns the end of the rows that strip j reads of the value that wraps.
func (ch *chain) reach(j, sy int) int {
	end := min((j+1)*ch.rows, sy)
	for i := len(ch.nodes) - 1; i > ch.wrap; i-- {
		w := &ch.win[i]
		end = (end-1)*w.sh + w.reach() - w.top
	}
	return end
}

// fit finds how many rows a strip has, of an output with sy rows, so that the
// memory in use has room, and reports whether a chain of such strips makes sense.
func (ch *chain) fit(sy, room int) bool {
	for ch.rows = sy - 1; ch.rows > 0; ch.rows-- {
		if ch.count = ceilDiv(sy, ch.rows); ch.size(sy) <= room {
			break
		}
	}
	if ch.rows < 1 {
		return false
	}
	ch.rows = ceilDiv(sy, ch.count) // as many strips, of more equal size
	ch.size(sy)
	if ch.wrap < 0 {
		return true
	}
	s, first := ch.inner[ch.wrap], ch.stints(0, sy)[ch.wrap]
	return s.top+s.bottom < s.sy && s.bottom <= first.hi
}

// size gives the strips their memory, and returns how many bytes of it are in
// use at a time.
func (ch *chain) size(sy int) int {
	rows := make([]int, len(ch.inner))
	for j := -1; j < ch.count; j++ {
		if j < 0 && ch.wrap < 0 {
			continue
		}
		for i, k := range ch.stints(j, sy)[:len(rows)] {
			rows[i] = max(rows[i], k.end-k.first)
		}
	}
	bytes := 0
	for i, s := range ch.inner {
		s.rows = rows[i]
		s.image = (s.rows + s.top + s.bottom) * s.row
		s.channel = s.image | 1
		bytes += 4 * s.c * s.rows * s.row * s.lanes
	}
	return bytes
}

// eachStrip visits the strips in the order in which they run, for an output of
// layout l.
func (ch *chain) eachStrip(l *layout, visit func(strip, img int, stints []stint)) {
	n := 0
	for img := range l.n {
		j := 0
		if ch.wrap >= 0 && ch.inner[ch.wrap].top > 0 {
			j = -1
		}
		for ; j < ch.count; j++ {
			visit(n, img, ch.stints(j, l.sy))
			n++
		}
	}
}

// bands cuts what node i does in a strip into bands whose rows follow each
// other in the memory of both its operands. Where the rows under a window do
// not, the band is a variant of its own: they begin in that slot.
func (ch *chain) bands(i, img int, stints []stint, each func(variant int, b band)) {
	w, k := &ch.win[i], &stints[i]
	var b band
	variant, x, y := 0, 0, 0
	for r := k.lo; r < k.hi; r++ {
		next, nextX, nextY := 0, r*w.sh, r
		if i > 0 {
			in := &stints[i-1]
			nextX = in.slot(r*w.sh - w.top)
			if in.ring > 0 && nextX+w.reach() > in.ring {
				next = nextX
			}
		}
		if i < len(ch.inner) {
			nextY = k.slot(r)
		}
		if r > k.lo && variant == 0 && next == 0 && nextX == x+w.sh && nextY == y+1 {
			b.hi++
		} else {
			if r > k.lo {
				each(variant, b)
			}
			b = band{img: img, lo: r, hi: r + 1}
			if i > 0 {
				b.x = anchor{img, r*w.sh - w.top - nextX}
				if next > 0 {
					b.x.row = r*w.sh - w.top // the variant's offsets hold the slot
				}
			}
			if i < len(ch.inner) {
				b.y = anchor{img, r - nextY}
			}
		}
		variant, x, y = next, nextX, nextY
	}
	if k.lo < k.hi {
		each(variant, b)
	}
}
