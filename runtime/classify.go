package runtime

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// A kind says how the elements of a value are placed.
type kind uint8

const (
	rowMajor   kind = iota
	imageKind       // lane-split images: [N, C, H, W] or [N, C, W]
	matrixKind      // features by columns: [..., C], the leading extents are columns
)

// A want is the layout that a value's producer writes and its consumers hope
// to find.
type want struct {
	kind   kind
	halo   halo
	filled bool // some consumer reads the halo
}

// vectorColumns is up to how many columns a matrix product runs on the
// matrix-vector kernels: more pay for the transpose into features by columns.
const vectorColumns = 4

// classify decides for every value how it is placed: kinds follow the data
// from the convolutions on, halos run against it from the consumers.
func (c *compiler) classify() {
	c.wants, c.fed = make(map[string]want), make(map[string]bool)
	for _, n := range c.g.Nodes {
		if n.Domain == graph.FusedDomain && n.Op == "Linear" && c.productKind(n) == matrixKind {
			c.fed[n.Inputs[0]] = true
		}
	}
	for _, n := range c.g.Nodes {
		k := c.kindOf(n)
		for _, out := range n.Outputs {
			c.wants[out] = want{kind: k}
		}
	}
	for _, n := range slices.Backward(c.g.Nodes) {
		out := c.wants[n.Outputs[0]]
		if out.kind != imageKind {
			continue
		}
		x := n.Inputs[0]
		switch n.Op {
		case "Conv", "MaxPool", "AveragePool":
			if c.deep(n) {
				continue // it gets a home of its own
			}
			w := c.windowOf(n)
			in, need := c.windowLayout(w, n.Outputs[0])
			natural := c.wants[x]
			if !c.near(x, in, need) {
				continue // so does what its border would fill with nothing
			}
			if natural.kind != imageKind || in != c.naturalGrid(x) || n.Op == "MaxPool" && c.poolFill(x, w) != 0 {
				continue // it gets a home of its own
			}
			natural.halo = natural.halo.max(need)
			natural.filled = natural.filled || w.reads(need)
			c.wants[x] = natural
		case "Concat":
			for _, in := range n.Inputs {
				c.widen(in, out.halo)
			}
		case "DepthToSpace": // any grid and halo of the source will do
		default: // elementwise: equal layouts run as one flat loop, in place
			c.widen(x, out.halo)
		}
	}
}

// maxBorder is how many vectors an image may take for each of its pixels, with
// the halo that a window reads.
const maxBorder = 64

// near reports whether a window reads a border that an image can have.
func (c *compiler) near(x string, g grid, o halo) bool {
	_, _, h, w := c.extents(x)
	return float64(g.sx+o.left+o.right)*float64(g.sy+o.top+o.bottom) <= maxBorder*float64(h*w) // ints may overflow
}

// widen gives an image value room for a halo.
func (c *compiler) widen(name string, h halo) {
	if w := c.wants[name]; w.kind == imageKind {
		w.halo = w.halo.max(h)
		c.wants[name] = w
	}
}

// maxPoolTaps is up to how many taps a pooling lists where they lie.
const maxPoolTaps = 1 << 14

// kindOf decides how a node's output is placed, from how its inputs are.
func (c *compiler) kindOf(n *graph.Node) kind {
	if len(n.Outputs) == 0 || n.Outputs[0] == "" || !c.values[n.Outputs[0]].typ.DType.Float() {
		return rowMajor
	}
	out := c.values[n.Outputs[0]].typ.Shape
	if elements(out) == 0 {
		return rowMajor
	}
	switch {
	case n.Domain == graph.FusedDomain && (n.Op == "Conv" || n.Op == "Linear"):
		return c.productKind(n)
	case n.Op == "MaxPool" || n.Op == "AveragePool":
		if c.wants[n.Inputs[0]].kind == imageKind && len(n.Outputs) == 1 && forward(n) && len(out) < 5 {
			w := c.windowOf(n)
			if g, o := c.windowLayout(w, n.Outputs[0]); w.taps() <= maxPoolTaps && c.near(n.Inputs[0], g, o) {
				return imageKind
			}
		}
	case n.Op == "Attention" && n.Domain == graph.FusedDomain:
		return c.attentionKind(n)
	case isNorm(n):
		if c.wants[n.Inputs[0]].kind == matrixKind || c.fed[n.Outputs[0]] {
			return matrixKind
		}
	case n.Op == "DepthToSpace":
		const most = 1 << 26 // elements, of which tables hold indices of 32 bits, padding included
		if c.wants[n.Inputs[0]].kind == imageKind && elements(out) <= most && len(out) < 5 {
			return imageKind
		}
	case n.Op == "Concat":
		axis := n.Int("axis", 1)
		if axis != 1 && axis+len(out) != 1 {
			return rowMajor
		}
		for _, in := range n.Inputs {
			if c.wants[in].kind != imageKind {
				return rowMajor
			}
		}
		return imageKind
	case c.unary(n) != nil:
		return c.wants[n.Inputs[0]].kind
	case n.Op == "Affine":
		if c.wants[n.Inputs[0]].kind == imageKind {
			return imageKind
		}
	case c.binary(n) != nil:
		return c.binaryKind(n)
	}
	return rowMajor
}

// productKind decides how the output of a convolution or linear layer is
// placed; rowMajor stands for matrix-vector products and for convolutions that
// run as a row-major operator.
func (c *compiler) productKind(n *graph.Node) kind {
	x, y := c.values[n.Inputs[0]].typ.Shape, c.values[n.Outputs[0]].typ.Shape
	if c.values[n.Inputs[1]].typ.Const == nil {
		return rowMajor
	}
	if n.Op == "Linear" {
		if elements(y[:len(y)-1]) <= vectorColumns {
			return rowMajor
		}
		return matrixKind
	}
	if len(x) > 5 || !forward(n) {
		return rowMajor
	}
	if c.fitsVector(n) {
		return rowMajor
	}
	return imageKind
}

// fitsVector reports whether a convolution or linear layer is a product of
// its weight with a few vectors that are contiguous in row-major order.
func (c *compiler) fitsVector(n *graph.Node) bool {
	x, w := c.values[n.Inputs[0]].typ.Shape, c.values[n.Inputs[1]].typ
	if w.Const == nil {
		return false
	}
	if n.Op == "Linear" {
		return elements(x[:len(x)-1]) <= vectorColumns
	}
	y := c.values[n.Outputs[0]].typ.Shape
	return x[0] <= vectorColumns && n.Int("group", 1) == 1 && elements(x[2:]) == 1 && elements(y[2:]) == 1 && elements(w.Shape[2:]) == 1
}

// binaryKind decides how the sum, difference, product or quotient of two
// values is placed: as an image where both are, or where the second is a
// number for each feature.
func (c *compiler) binaryKind(n *graph.Node) kind {
	a, b := n.Inputs[0], n.Inputs[1]
	ka, kb := c.wants[a].kind, c.wants[b].kind
	sa, sb, out := c.values[a].typ.Shape, c.values[b].typ.Shape, c.values[n.Outputs[0]].typ.Shape
	switch {
	case slices.Equal(sa, sb):
		return max(ka, kb)
	case ka == imageKind && slices.Equal(sa, out) && c.perFeature(b, out):
		return imageKind
	case kb == imageKind && slices.Equal(sb, out) && c.perFeature(a, out) && commutes(n.Op):
		return imageKind
	}
	return rowMajor
}

// perFeature reports whether a value has one number for each feature of an
// image of the given shape, or for each feature and image, or one for all.
func (c *compiler) perFeature(name string, image []int) bool {
	shape := c.values[name].typ.Shape
	if c.wants[name].kind != rowMajor || len(shape) > len(image) {
		return false
	}
	if elements(shape) == 1 {
		return true
	}
	pad := slices.Concat(slices.Repeat([]int{1}, len(image)-len(shape)), shape)
	return elements(pad[2:]) == 1 && (pad[1] == image[1]) && (pad[0] == 1 || pad[0] == image[0] && len(image) < 5)
}

// forward reports whether a node's padding grows the image; negative padding,
// which crops it, is left to the row-major operators.
func forward(n *graph.Node) bool {
	return !slices.ContainsFunc(n.Ints("pads"), func(p int) bool { return p < 0 })
}

func commutes(op string) bool { return op == "Add" || op == "Mul" }

// naturalGrid returns the grid of a value's own layout.
func (c *compiler) naturalGrid(name string) grid {
	_, _, h, w := c.extents(name)
	return gridOf(c.lanes, h, w)
}

// extents returns the images, features and pixels of an image value: those of a
// volume are its planes.
func (c *compiler) extents(name string) (n, features, h, w int) {
	s := c.values[name].typ.Shape
	switch len(s) {
	case 3:
		return s[0], s[1], 1, s[2]
	case 5:
		return s[0] * s[2], s[1], s[3], s[4]
	}
	return s[0], s[1], s[2], s[3]
}

// layoutOf returns the layout that a value's producer writes.
func (c *compiler) layoutOf(name string) layout {
	w := c.wants[name]
	if w.kind == matrixKind {
		s := c.values[name].typ.Shape
		return c.matrixLayout(s[len(s)-1], elements(s[:len(s)-1]))
	}
	n, features, h, wd := c.extents(name)
	return imageLayout(gridOf(c.lanes, h, wd), features, n, h, wd, w.halo).ofVolumes(c.depth(name))
}

// depth returns the planes of a value's volumes, 1 where it has images.
func (c *compiler) depth(name string) int {
	if s := c.values[name].typ.Shape; len(s) == 5 {
		return s[2]
	}
	return 1
}

// deep reports whether a window takes more than one plane of a volume, or not
// every one.
func (c *compiler) deep(n *graph.Node) bool {
	if len(c.values[n.Inputs[0]].typ.Shape) < 5 {
		return false
	}
	return n.Ints("kernel_shape")[0] > 1 || n.Ints("strides")[0] > 1 || n.Ints("pads")[0]+n.Ints("pads")[3] > 0
}
