package prune

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// A factor is an extent that axes of both sides of a reshape are made of: axis
// in of the input and axis out of the output are products of factors.
type factor struct {
	size, in, out int
	labels        index // one for each of its indices
	carries, head bool  // whether they are those of the input, and of heads
}

// factors cuts the axes of two shapes of as many elements into common factors,
// from the front. It reports failure where there are none, as of 4 x 6 and
// 6 x 4.
func factors(in, out []int) ([]factor, bool) {
	var fs []factor
	i, o, restIn, restOut := 0, 0, 1, 1
	for {
		for ; restIn == 1 && i < len(in); i++ {
			restIn = in[i]
		}
		for ; restOut == 1 && o < len(out); o++ {
			restOut = out[o]
		}
		size := min(restIn, restOut)
		switch {
		case size == 1:
			return fs, restIn == 1 && restOut == 1
		case size == 0 || restIn%size != 0 || restOut%size != 0:
			return nil, false
		}
		fs = append(fs, factor{size: size, in: i - 1, out: o - 1})
		restIn, restOut = restIn/size, restOut/size
	}
}

// reshapeRule is that of all views. Where an axis is cut into factors, one of
// them carries its labels, and the others stay: heads of an attention, else the
// larger one, as the channels of a shuffle. Where axes are merged, one of them
// gives the labels: channels of a flattened image, heads again.
func reshapeRule(c *coupling, n *graph.Node) string {
	x := c.in(0)
	y := c.shape(n.Outputs[0])
	shape := c.shape(n.Input(0))
	fs, ok := factors(shape, y)
	if !ok {
		c.pinHere("cuts it in another way", x...)
		return c.set(c.fixed(y, "a reshape makes it")...)
	}
	// of returns the factors of an axis.
	of := func(axis int, side func(f *factor) int) []*factor {
		var list []*factor
		for i := range fs {
			if side(&fs[i]) == axis {
				list = append(list, &fs[i])
			}
		}
		return list
	}
	in, out := func(f *factor) int { return f.in }, func(f *factor) int { return f.out }
	head := func(f *factor) bool {
		return c.heads[place{n.Input(0), f.in}] || c.heads[place{n.Outputs[0], f.out}]
	}
	for a, ix := range x {
		list := of(a, in)
		if len(list) == 0 {
			c.pinHere("reshapes an axis of a single one", ix)
			continue
		}
		c.divide(ix, list, head)
	}
	axes := make([]index, len(y))
	for a, d := range y {
		list := of(a, out)
		switch {
		case len(list) == 0:
			axes[a] = c.stays(d, "it is a single one")
		case len(list) == 1 && len(of(list[0].in, in)) == 1:
			axes[a] = list[0].labels
		case c.searching:
			axes[a] = c.fresh(d)
			mg := merging{to: axes[a]}
			for _, f := range list {
				mg.from = append(mg.from, f.labels)
			}
			c.merged = append(c.merged, mg)
		default:
			axes[a] = c.merge(d, list)
		}
	}
	return c.set(axes...)
}

// divide gives the labels of an axis to one of its factors.
func (c *coupling) divide(ix index, list []*factor, head func(*factor) bool) {
	carrier := list[0]
	for _, f := range list[1:] {
		if head(f) && !head(carrier) || head(f) == head(carrier) && f.size > carrier.size {
			carrier = f
		}
	}
	for _, f := range list {
		if f != carrier {
			f.labels = c.stays(f.size, "it is a part of an axis that a reshape cuts")
		}
	}
	carrier.carries, carrier.head = true, head(carrier)
	if c.searching && len(list) > 1 {
		carrier.labels = c.fresh(carrier.size)
		return
	}
	inner := innerSize(list, carrier)
	carrier.labels = make(index, carrier.size)
	for i, l := range ix {
		at := i / inner % carrier.size
		if i < inner*carrier.size && i%inner == 0 {
			carrier.labels[at] = l
		} else {
			c.tieLabels(carrier.labels[at], l)
		}
	}
}

// merge makes the labels of an axis of n that is a product of factors.
func (c *coupling) merge(n int, list []*factor) index {
	giver := list[0]
	for _, f := range list[1:] {
		switch {
		case f.carries != giver.carries:
			if f.carries {
				giver = f
			}
		case c.anyFree(f.labels) != c.anyFree(giver.labels):
			if c.anyFree(f.labels) {
				giver = f
			}
		case f.head != giver.head:
			if f.head {
				giver = f
			}
		case f.size > giver.size:
			giver = f
		}
	}
	for _, f := range list {
		if f != giver {
			c.pinHere("repeats it", f.labels)
		}
	}
	inner := innerSize(list, giver)
	out := make(index, n)
	for i := range out {
		out[i] = giver.labels[i/inner%giver.size]
	}
	return out
}

func (c *coupling) anyFree(ix index) bool { return slices.ContainsFunc(ix, c.free) }

// innerSize is how far neighbours along a factor lie apart.
func innerSize(list []*factor, f *factor) int {
	inner := 1
	for _, g := range slices.Backward(list) {
		if g == f {
			break
		}
		inner *= g.size
	}
	return inner
}
