package pass

import (
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// linear turns Gemm and MatMul with a constant weight into nnz.Linear, whose
// weight is out x in. The factors of Gemm are folded into weight and bias.
func linear(g *Graph) error {
	for _, n := range g.Nodes {
		var err error
		switch {
		case is(n, "Gemm"):
			err = g.linearGemm(n)
		case is(n, "MatMul"):
			err = g.linearMatMul(n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (g *Graph) linearMatMul(n *graph.Node) error {
	w := g.constant(n.Inputs[1])
	if w == nil || len(w.Shape) != 2 || !w.DType.Float() {
		return nil
	}
	w, err := transposed(w)
	if err != nil {
		return err
	}
	n.Inputs = []string{n.Inputs[0], g.addWeight(n.Inputs[1]+".T", w)}
	n.Op, n.Domain, n.Attrs = "Linear", graph.FusedDomain, nil
	return nil
}

func (g *Graph) linearGemm(n *graph.Node) error {
	w := g.constant(n.Inputs[1])
	if w == nil || len(w.Shape) != 2 || !w.DType.Float() || n.Int("transA", 0) != 0 {
		return nil
	}
	inputs := []string{n.Inputs[0], n.Inputs[1]}
	y := g.Types[n.Outputs[0]].Shape
	if c := n.Input(2); c != "" {
		bias := g.perChannel(c, y, 1)
		if bias == nil {
			return nil
		}
		beta := float64(n.Float("beta", 1))
		for i := range bias {
			bias[i] *= beta
		}
		inputs = append(inputs, g.addWeight(c+".bias", floats(bias)))
	}
	name, alpha := n.Inputs[1], n.Float("alpha", 1)
	var err error
	if n.Int("transB", 0) == 0 {
		if w, err = transposed(w); err != nil {
			return err
		}
		name += ".T"
	}
	if alpha != 1 {
		if w, err = scaled(w, fmt.Sprint(alpha), func(int, int) float64 { return float64(alpha) }); err != nil {
			return err
		}
		name += ".alpha"
	}
	if name != n.Inputs[1] {
		inputs[1] = g.addWeight(name, w)
	}
	n.Inputs = inputs
	n.Op, n.Domain, n.Attrs = "Linear", graph.FusedDomain, nil
	return nil
}

// perChannel returns a real constant that broadcasts to shape as one number for
// each index along axis, or nil where it is not that.
func (g *Graph) perChannel(name string, shape []int, axis int) []float64 {
	t := g.constant(name)
	if t == nil || !t.DType.Float() || len(t.Shape) > len(shape) {
		return nil
	}
	if t.Len() != 1 {
		aligned := slices.Concat(slices.Repeat([]int{1}, len(shape)-len(t.Shape)), t.Shape)
		if aligned[axis] != shape[axis] || t.Len() != shape[axis] {
			return nil
		}
	}
	v := t.Floats()
	out := make([]float64, shape[axis])
	for i := range out {
		out[i] = float64(v[i%len(v)])
	}
	return out
}
