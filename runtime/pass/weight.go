package pass

import (
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/sparse"
)

// floats makes a vector of float32.
func floats(v []float64) *graph.Tensor {
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(x)
	}
	return graph.FromFloats([]int{len(v)}, out)
}

// transposed returns a matrix with its axes exchanged. A sparse one stays
// sparse, in the form that takes the least memory.
func transposed(t *graph.Tensor) (*graph.Tensor, error) {
	return t.Derived([]int{t.Shape[1], t.Shape[0]}, "transposed", transposedNow)
}

func transposedNow(t *graph.Tensor) (*graph.Tensor, error) {
	shape := []int{t.Shape[1], t.Shape[0]}
	if csr := csrOf(t.Sparse()); csr != nil {
		return graph.NewSparse(shape, csr.Transpose())
	}
	rows, cols := t.Shape[0], t.Shape[1]
	v, out := t.Floats(), make([]float32, t.Len())
	for i := range rows {
		for j, x := range v[i*cols : (i+1)*cols] {
			out[j*rows+i] = x
		}
	}
	return graph.FromFloats(shape, out).Compact(), nil
}

// csrOf returns the rows of a sparse matrix, nil for none.
func csrOf(m sparse.Matrix) *sparse.CSR {
	switch m := m.(type) {
	case *sparse.CSR:
		return m
	case *sparse.BSR:
		return m.CSR()
	}
	return nil
}

// scaled multiplies each element by the factor of its place in the tensor seen
// as a matrix of its first extent times all others, which how tells from other
// factors. A sparse tensor keeps its form.
func scaled(t *graph.Tensor, how string, factor func(row, col int) float64) (*graph.Tensor, error) {
	return t.Derived(t.Shape, "scaled "+how, func(t *graph.Tensor) (*graph.Tensor, error) { return scaledNow(t, factor) })
}

func scaledNow(t *graph.Tensor, factor func(row, col int) float64) (*graph.Tensor, error) {
	if t.Sparse() == nil {
		v, out := t.Floats(), make([]float32, t.Len())
		cols := len(v) / max(1, t.Shape[0])
		for i, x := range v {
			out[i] = float32(float64(x) * factor(i/cols, i%cols))
		}
		return graph.FromFloats(t.Shape, out), nil
	}
	var m sparse.Matrix
	var err error
	switch s := t.Sparse().(type) {
	case *sparse.CSR:
		m, err = scaledCSR(s, factor)
	case *sparse.BSR:
		m, err = scaledBSR(s, factor)
	default:
		return nil, fmt.Errorf("no scaling of a %T", s)
	}
	if err != nil {
		return nil, err
	}
	return graph.NewSparse(t.Shape, m)
}

func scaledCSR(m *sparse.CSR, factor func(row, col int) float64) (*sparse.CSR, error) {
	rows, cols := m.Dims()
	ptr, col, val := make([]int, 1, rows+1), make([]int32, 0, m.NNZ()), make([]float32, 0, m.NNZ())
	for i := range rows {
		c, v := m.Row(i)
		col = append(col, c...)
		for j, x := range v {
			val = append(val, float32(float64(x)*factor(i, int(c[j]))))
		}
		ptr = append(ptr, len(val))
	}
	return sparse.NewCSR(rows, cols, ptr, col, val)
}

func scaledBSR(m *sparse.BSR, factor func(row, col int) float64) (*sparse.BSR, error) {
	rows, cols := m.Dims()
	r, c := m.Block()
	ptr, col, val := []int{0}, []int32{}, make([]float32, 0, m.NNZ())
	for i := range (rows + r - 1) / r {
		blocks, v := m.BlockRow(i)
		col = append(col, blocks...)
		for j, x := range v {
			row, column := i*r+j%(r*c)/c, int(blocks[j/(r*c)])*c+j%c
			if row < rows && column < cols {
				x = float32(float64(x) * factor(row, column))
			}
			val = append(val, x)
		}
		ptr = append(ptr, len(col))
	}
	return sparse.NewBSR(rows, cols, r, c, ptr, col, val)
}

// A layer is a node that is linear in its input, with constants for weight and
// bias and nothing after the bias: a factor and a term for each of its output
// channels can move into it.
type layer struct {
	node    *graph.Node
	weight  *graph.Tensor
	axis    int                    // of the channels in the output
	outs    int                    // channels
	channel func(row, col int) int // that an element of the weight is for
}

// layerOf returns the layer that node n is.
func (g *Graph) layerOf(n *graph.Node) (layer, bool) {
	if !isFused(n, "Conv") && !isFused(n, "Linear") && !is(n, "ConvTranspose") {
		return layer{}, false
	}
	w := g.constant(n.Inputs[1])
	if w == nil || !w.DType.Float() || n.Input(2) != "" && g.constant(n.Input(2)) == nil {
		return layer{}, false
	}
	if n.Input(3) != "" || n.Has("clamp_min") || n.Has("clamp_max") {
		return layer{}, false
	}
	l := layer{node: n, weight: w, axis: 1, outs: w.Shape[0], channel: func(row, _ int) int { return row }}
	switch n.Op {
	case "Linear":
		l.axis = len(g.Types[n.Outputs[0]].Shape) - 1
	case "ConvTranspose":
		perGroup, group := w.Shape[1], n.Int("group", 1)
		l.outs = perGroup * group
		ins, taps := w.Shape[0]/group, 1
		for _, k := range w.Shape[2:] {
			taps *= k
		}
		l.channel = func(row, col int) int { return row/ins*perGroup + col/taps }
	}
	return l, true
}

// apply makes the layer compute its output times scale plus shift, by channel.
func (g *Graph) apply(ix *index, l layer, scale, shift []float64) error {
	n := l.node
	weight, bias := n.Inputs[1], n.Input(2)
	terms := slices.Clone(shift)
	if bias != "" {
		for i, b := range g.constant(bias).Floats() {
			terms[i] += float64(b) * scale[i]
		}
		bias = ix.replaceWeight(bias, floats(terms))
	} else {
		bias = g.addWeight(weight+".bias", floats(terms))
	}
	if slices.ContainsFunc(scale, func(s float64) bool { return s != 1 }) {
		how := ""
		if l.weight.Deferred() {
			how = fmt.Sprint(n.Op, n.Int("group", 1), scale)
		}
		w, err := scaled(l.weight, how, func(row, col int) float64 { return scale[l.channel(row, col)] })
		if err != nil {
			return err
		}
		weight = ix.replaceWeight(weight, w)
	}
	ix.setInputs(n, n.Inputs[0], weight, bias)
	return nil
}

// replaceWeight gives a constant that one node reads another value, and keeps
// its name where nobody else reads it.
func (ix *index) replaceWeight(name string, t *graph.Tensor) string {
	g := ix.g
	if g.Weights[name] == nil || ix.readers[name] > 1 {
		return g.addWeight(name, t)
	}
	g.Weights[name] = t
	g.Types[name] = graph.Type{DType: t.DType, Shape: t.Shape, Const: t}
	return name
}
