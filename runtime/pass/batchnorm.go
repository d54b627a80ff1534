package pass

import (
	"math"

	"github.com/nnz-dev/nnz/graph"
)

// batchNorm moves batch normalisation with constant statistics into the layer
// before it, and turns what has no such layer into nnz.Affine.
func batchNorm(g *Graph) error {
	ix := newIndex(g)
	for _, n := range g.Nodes {
		if !is(n, "BatchNormalization") {
			continue
		}
		scale, shift := g.statistics(n)
		if scale == nil {
			continue
		}
		if l, ok := g.layerOf(ix.private(n.Inputs[0])); ok && l.axis == 1 && l.outs == len(scale) {
			if err := g.apply(ix, l, scale, shift); err != nil {
				return err
			}
			ix.absorb(l.node, n)
			continue
		}
		ix.setInputs(n, n.Inputs[0], g.addWeight(n.Outputs[0]+".scale", floats(scale)), g.addWeight(n.Outputs[0]+".shift", floats(shift)))
		n.Op, n.Domain, n.Attrs, n.Outputs = "Affine", graph.FusedDomain, nil, n.Outputs[:1]
	}
	ix.sweep()
	return nil
}

// statistics returns the factor and the term that batch normalisation comes to
// for each channel, nil where they are not constant.
func (g *Graph) statistics(n *graph.Node) (scale, shift []float64) {
	var c [4][]float32 // scale, bias, mean, variance
	for i := range c {
		t := g.constant(n.Inputs[1+i])
		if t == nil {
			return nil, nil
		}
		c[i] = t.Floats()
		if len(c[i]) != len(c[0]) {
			return nil, nil
		}
	}
	eps := float64(n.Float("epsilon", 1e-5))
	for i := range c[0] {
		f := float64(c[0][i]) / math.Sqrt(float64(c[3][i])+eps)
		scale = append(scale, f)
		shift = append(shift, float64(c[1][i])-float64(c[2][i])*f)
	}
	return scale, shift
}
