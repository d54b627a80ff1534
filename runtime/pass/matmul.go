package pass

import (
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// matMul turns the products with a constant that are no nnz.Linear as they
// stand into what the product kernels run, and moves elements around it where
// they have to be: constants on the left, whose other side is features by
// columns already, and batches of constants are convolutions of one tap, the
// batches their groups.
//
// It comes after attention, which reads the products of queries that are
// constants.
func matMul(g *Graph) error {
	m := newMatcher(g)
	for _, n := range slices.Clone(g.Nodes) {
		if slices.Contains(m.Types[n.Outputs[0]].Shape, 0) {
			continue
		}
		switch {
		case is(n, "MatMul"):
			m.constantMatMul(n)
		case is(n, "Gemm"):
			if err := m.constantGemm(n); err != nil {
				return err
			}
		}
	}
	m.sweep()
	return nil
}

// realConstant returns a constant of real type that has elements, else nil.
func (g *Graph) realConstant(name string) *graph.Tensor {
	if t := g.constant(name); t != nil && t.DType.Float() && t.Len() > 0 {
		return t
	}
	return nil
}

// A stack is matrices, rows x cols, of one batch after the other.
type stack struct {
	batch      []int
	rows, cols int
}

// stackOf reads the shape of an operand of MatMul. A vector is a column where
// column is set, else a row.
func stackOf(shape []int, column bool) stack {
	switch n := len(shape); {
	case n == 1 && column:
		return stack{rows: shape[0], cols: 1}
	case n == 1:
		return stack{rows: 1, cols: shape[0]}
	default:
		return stack{batch: shape[:n-2], rows: shape[n-2], cols: shape[n-1]}
	}
}

// constantMatMul rewrites a product with a constant on either side.
func (m *matcher) constantMatMul(n *graph.Node) {
	a, b := m.realConstant(n.Inputs[0]), m.realConstant(n.Inputs[1])
	right := b != nil
	if !right && a == nil {
		return
	}
	wName, w, xName := n.Inputs[0], a, n.Inputs[1]
	if right {
		wName, w, xName = n.Inputs[1], b, n.Inputs[0]
	}
	if len(w.Shape) == 0 || len(m.Types[xName].Shape) == 0 {
		return
	}
	ws, xs := stackOf(w.Shape, right), stackOf(m.Types[xName].Shape, !right)
	for len(ws.batch) > 0 && ws.batch[0] == 1 {
		ws.batch = ws.batch[1:]
	}
	// The batches of the constant are groups that each have rows of X of their
	// own, or all multiply the same.
	axes := len(ws.batch)
	if axes > len(xs.batch) {
		xs.batch = slices.Concat(slices.Repeat([]int{1}, axes-len(xs.batch)), xs.batch)
	}
	outer, inner := xs.batch[:len(xs.batch)-axes], xs.batch[len(xs.batch)-axes:]
	groups, heads := extent(inner), extent(ws.batch)
	if groups != 1 && !slices.Equal(inner, ws.batch) {
		return
	}
	images := extent(outer)
	c := m.chainFrom(n, xName)
	switch y := m.Types[n.Outputs[0]].Shape; {
	case right && heads == 1:
		c.reshape(images*xs.rows, xs.cols)
		c.linear(wName, matrices(w, 1, ws.rows, ws.cols, true))
		c.reshape(y...)
	case right:
		c.reshape(images*groups, xs.rows, xs.cols)
		c.swap()
		c.reshape(images, groups*xs.cols, xs.rows)
		c.convolve(wName, matrices(w, heads, ws.rows, ws.cols, true), groups)
		c.reshape(images*heads, ws.cols, xs.rows)
		c.swap()
		c.reshape(y...)
	case heads == 1 && xs.cols == 1:
		c.reshape(images, xs.rows)
		c.linear(wName, matrices(w, 1, ws.rows, ws.cols, false))
		c.reshape(y...)
	default:
		c.reshape(images, groups*xs.rows, xs.cols)
		c.convolve(wName, matrices(w, heads, ws.rows, ws.cols, false), groups)
		c.reshape(y...)
	}
	c.finish()
}

// constantGemm rewrites alpha*A'·B' + beta*C where A or B is a constant.
func (m *matcher) constantGemm(n *graph.Node) error {
	a, b := m.realConstant(n.Inputs[0]), m.realConstant(n.Inputs[1])
	right := b != nil
	if !right && a == nil {
		return nil
	}
	wName, w, xName := n.Inputs[0], a, n.Inputs[1]
	turnW, turnX := n.Int("transA", 0) != 0, n.Int("transB", 0) != 0
	if right {
		wName, w, xName = n.Inputs[1], b, n.Inputs[0]
		turnW, turnX = turnX, turnW
	}
	if len(w.Shape) != 2 || len(m.Types[xName].Shape) != 2 {
		return nil
	}
	// W is out x in where it stands on the left and is not turned, or on the right
	// and is.
	w = matrices(w, 1, w.Shape[0], w.Shape[1], turnW != right)
	if alpha := n.Float("alpha", 1); alpha != 1 {
		var err error
		if w, err = scaled(w, fmt.Sprint(alpha), func(int, int) float64 { return float64(alpha) }); err != nil {
			return err
		}
	}
	y := m.Types[n.Outputs[0]].Shape
	c := m.chainFrom(n, xName)
	switch {
	case right:
		if turnX {
			c.swap()
		}
		c.linear(wName, w)
	case turnX:
		c.linear(wName, w)
		c.swap()
	default:
		c.reshape(append([]int{1}, c.shape()...)...)
		c.convolve(wName, w, 1)
		c.reshape(y...)
	}
	if beta := n.Float("beta", 1); n.Input(2) != "" && beta != 0 {
		term := n.Input(2)
		if k := m.realConstant(term); k != nil && beta != 1 {
			k, err := scaled(k, fmt.Sprint(beta), func(int, int) float64 { return float64(beta) })
			if err != nil {
				return err
			}
			term = m.addWeight(term+".scaled", k)
		} else if beta != 1 {
			factor := m.addWeight(term+".beta", graph.FromFloats(nil, []float32{beta}))
			times := &graph.Node{Name: n.Name, Op: "Mul", Outputs: []string{m.addValue(term+".scaled", m.typeOf(term))}}
			m.before(n, times, []string{term, factor})
			term = times.Outputs[0]
		}
		c.then("", "Add", y, term)
	}
	c.finish()
	return nil
}

// typeOf returns the type of a value that is computed from name, element by
// element.
func (g *Graph) typeOf(name string) graph.Type {
	t := g.Types[name]
	t.Const = nil
	return t
}

// matrices returns a stack of matrices of rows x cols above one another, each
// turned where turn is set, which makes weights that are in x out out x in.
func matrices(t *graph.Tensor, n, rows, cols int, turn bool) *graph.Tensor {
	v := t.Floats()
	if turn {
		turned := make([]float32, len(v))
		for i := range n {
			for r := range rows {
				for c := range cols {
					turned[(i*cols+c)*rows+r] = v[(i*rows+r)*cols+c]
				}
			}
		}
		v, rows, cols = turned, cols, rows
	}
	return graph.FromFloats([]int{n * rows, cols}, v).Compact()
}

// linear appends the product with a weight, out x in.
func (c *chain) linear(name string, w *graph.Tensor) {
	shape := slices.Clone(c.shape())
	shape[len(shape)-1] = w.Shape[0]
	c.then(graph.FusedDomain, "Linear", shape, c.m.addWeight(name+".T", w))
}

// convolve appends the product of a weight, outs x ins of a group, with each
// image's columns of features, [images, groups*ins, columns].
func (c *chain) convolve(name string, w *graph.Tensor, groups int) {
	shape := slices.Clone(c.shape())
	shape[1] = w.Shape[0]
	// The same elements with an axis more; it cannot fail.
	w, _ = w.Reshaped([]int{w.Shape[0], w.Shape[1], 1})
	node := c.then(graph.FusedDomain, "Conv", shape, c.m.addWeight(name+".taps", w))
	node.Set("kernel_shape", []int{1})
	node.Set("strides", []int{1})
	node.Set("dilations", []int{1})
	node.Set("pads", []int{0, 0})
	node.Set("group", groups)
}
