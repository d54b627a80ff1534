package pass

import (
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// Thresholds puts a Threshold before each layer that is marked with one: what the
// layer multiplies with its weight is computed by it. It is no pass that can be
// left out, as results depend on it.
//
// Source: Liu et al., Training-Free Activation Sparsity in Large Language Models
// (TEAL), 2024.
func Thresholds(g *Graph) error {
	ix := newIndex(g)
	type place struct {
		x string
		graph.ActivationThreshold
	}
	made := make(map[place]string)
	for _, n := range g.Nodes {
		t, ok, err := n.ActivationThreshold()
		if err != nil {
			return fmt.Errorf("node %q (%s): %w", n.Name, n.Op, err)
		}
		if !ok {
			continue
		}
		operand := 0
		if n.Op != "Conv" && g.constant(n.Inputs[0]) != nil {
			operand = 1
		}
		at := place{n.Inputs[operand], t}
		if typ := g.Types[at.x]; g.constant(at.x) == nil && !typ.DType.Float() {
			return fmt.Errorf("node %q (%s): a threshold of activations of type %s, expected a real type", n.Name, n.Op, typ.DType)
		}
		y, ok := made[at]
		if !ok {
			y = g.addValue(at.x+".threshold", g.typeOf(at.x))
			made[at] = y
			node := &graph.Node{Name: n.Name, Op: "Threshold", Domain: graph.FusedDomain, Outputs: []string{y}}
			node.Set("limit", t.Limit)
			node.Set("density", float32(t.Density))
			ix.before(n, node, []string{at.x})
		}
		inputs := slices.Clone(n.Inputs)
		inputs[operand] = y
		ix.setInputs(n, inputs...)
	}
	ix.sweep()
	return nil
}
