package verify

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// stepOf returns how far apart neighbouring values of an output lie where the
// model ends in rounding it to integers: one where it leaves them, the one
// scale of the DequantizeLinear that follows where it makes them real again,
// and 0 of all other outputs. Only nodes that move elements may come after.
//
// What is rounded may be half-way between two integers, where the last bit of
// a sum decides: ONNX Runtime itself gives one or the other with and without
// graph optimisation.
func stepOf(m *graph.Model, output string) float64 {
	producer := make(map[string]*graph.Node)
	for _, n := range m.Nodes {
		producer[n.Outputs[0]] = n
	}
	step := 1.0
	for n := producer[output]; n != nil && n.Domain == ""; n = producer[n.Inputs[0]] {
		switch {
		case slices.Contains(rounding, n.Op):
			return step
		case n.Op == "DequantizeLinear" && step == 1:
			scale := m.Weights[n.Input(1)]
			if scale == nil || !scale.DType.Float() || scale.Len() != 1 {
				return 0
			}
			step = float64(scale.Floats()[0])
		case n.Op == "Cast" && graph.DType(n.Int("to", 0)).Integer(): // as exporters write beside each rounding
		case !slices.Contains(moving, n.Op):
			return 0
		}
	}
	return 0
}

// rounding are the operators whose first output is real numbers rounded to
// integers, and moving those whose output is elements of their first input.
var (
	rounding = []string{"QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul"}
	moving   = []string{"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"}
)
