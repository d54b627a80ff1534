package runtime

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// activations says which elements of a layer's input are taken for zero: those of
// a magnitude up to limit. density is the share of the others that is expected.
type activations struct {
	limit   float32
	density float64
}

// rectified is the density that is expected after a ReLU: as much below zero as
// above it.
const rectified = 0.5

// takeThresholds makes the layers of a few vectors do what a Threshold before
// them does, which goes where nobody else reads it. All others stay: they are
// steps like any other. With SkipZeros, layers of one vector after a ReLU get a
// threshold of zero.
func (c *compiler) takeThresholds() {
	c.active = make(map[*graph.Node]activations)
	producer, readers := make(map[string]*graph.Node), make(map[string]int)
	for _, n := range c.g.Nodes {
		for _, in := range n.Inputs {
			readers[in]++
		}
		for _, out := range n.Outputs {
			producer[out] = n
		}
	}
	for _, out := range c.g.Outputs {
		readers[out.Name]++
	}
	for _, n := range c.g.Nodes {
		if n.Domain != graph.FusedDomain || n.Op != "Linear" && n.Op != "Conv" || !c.fitsVector(n) {
			continue
		}
		// Views that nobody else reads may stand between the two.
		reader := n
		from := producer[n.Inputs[0]]
		for from != nil && isView(from) && readers[from.Outputs[0]] == 1 {
			reader, from = from, producer[from.Inputs[0]]
		}
		switch {
		case from == nil:
		case from.Domain == graph.FusedDomain && from.Op == "Threshold":
			c.active[n] = activations{from.Float("limit", 0), float64(from.Float("density", 1))}
			reader.Inputs = append([]string{from.Inputs[0]}, reader.Inputs[1:]...)
			readers[from.Outputs[0]]--
			readers[from.Inputs[0]]++
		case c.cfg.SkipZeros && rectifies(from) && elements(c.values[n.Inputs[0]].typ.Shape) == c.values[n.Inputs[1]].typ.Shape[1]:
			c.active[n] = activations{0, rectified}
		}
	}
	c.g.Nodes = slices.DeleteFunc(c.g.Nodes, func(n *graph.Node) bool {
		return n.Domain == graph.FusedDomain && n.Op == "Threshold" && readers[n.Outputs[0]] == 0
	})
}

// isView reports whether a node gives its first input another shape.
func isView(n *graph.Node) bool {
	switch n.Op {
	case "Reshape", "Flatten", "Squeeze", "Unsqueeze":
		return n.Domain == "" && len(n.Outputs) == 1
	}
	return false
}

// rectifies reports whether what a node makes is zero in place of anything
// negative.
func rectifies(n *graph.Node) bool {
	switch {
	case n.Domain == "" && n.Op == "Relu":
		return true
	case n.Domain != graph.FusedDomain:
		return false
	case n.Op == "Clamp":
		return n.Float("min", -1) == 0
	}
	return n.Float("clamp_min", -1) == 0
}
