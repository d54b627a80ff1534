package ops

import (
	"fmt"

	"github.com/nnz-dev/nnz/graph"
)

// The operators that are made of graphs are checked here, with all others, and
// run by package runtime, which compiles the graphs.

// body returns the graph in an attribute, with counts of inputs and outputs
// that are as many as given, where those are not negative.
func body(n *graph.Node, name string, inputs, outputs int) (*graph.Model, error) {
	a := n.Attrs[name]
	if a == nil || a.Graph == nil {
		return nil, fmt.Errorf("attribute %s: expected a graph", name)
	}
	g := a.Graph
	want := 1
	if n.Op == "If" {
		want = 2
	}
	if got := len(n.Bodies()); got != want {
		return nil, fmt.Errorf("%d attributes are graphs, expected %d", got, want)
	}
	if inputs >= 0 && len(g.Inputs) != inputs || outputs >= 0 && len(g.Outputs) != outputs {
		return nil, fmt.Errorf("attribute %s: a graph of %d inputs and %d outputs, expected %d and %d",
			name, len(g.Inputs), len(g.Outputs), inputs, outputs)
	}
	return g, nil
}

func checkIf(n *graph.Node, _ int) error {
	if len(n.Inputs) != 1 || n.Inputs[0] == "" || len(n.Outputs) == 0 {
		return fmt.Errorf("%d inputs and %d outputs, expected a condition and at least one output", len(n.Inputs), len(n.Outputs))
	}
	for _, branch := range []string{"then_branch", "else_branch"} {
		if _, err := body(n, branch, 0, len(n.Outputs)); err != nil {
			return err
		}
	}
	return nil
}

// checkLoop checks the body's count of inputs: trip number, condition and the
// carried values; it puts out the condition, these, and what is stacked.
func checkLoop(n *graph.Node, _ int) error {
	carried := max(len(n.Inputs)-2, 0)
	if len(n.Outputs) < carried {
		return fmt.Errorf("%d outputs, expected one for each of %d carried values", len(n.Outputs), carried)
	}
	for _, name := range n.Inputs[min(2, len(n.Inputs)):] {
		if name == "" {
			return fmt.Errorf("a carried value is absent")
		}
	}
	_, err := body(n, "body", 2+carried, 1+len(n.Outputs))
	return err
}

// checkScan checks the counts of states, of scanned inputs and of outputs, and
// the attributes that have a number for each.
func checkScan(n *graph.Node, _ int) error {
	scanned := n.Int("num_scan_inputs", 0)
	states := len(n.Inputs) - scanned
	if scanned < 1 || states < 0 {
		return fmt.Errorf("attribute num_scan_inputs: %d of %d inputs", scanned, len(n.Inputs))
	}
	if len(n.Outputs) < states {
		return fmt.Errorf("%d outputs, expected at least %d, one for each state", len(n.Outputs), states)
	}
	for _, name := range n.Inputs {
		if name == "" {
			return fmt.Errorf("an input is absent")
		}
	}
	stacked := len(n.Outputs) - states
	for name, want := range map[string]int{
		"scan_input_directions": scanned, "scan_output_directions": stacked,
		"scan_input_axes": scanned, "scan_output_axes": stacked,
	} {
		if list := n.Ints(name); list != nil && len(list) != want {
			return fmt.Errorf("attribute %s: %v, expected %d numbers", name, list, want)
		}
	}
	for _, name := range []string{"scan_input_directions", "scan_output_directions"} {
		for _, d := range n.Ints(name) {
			if d != 0 && d != 1 {
				return fmt.Errorf("attribute %s: %d, expected 0 or 1", name, d)
			}
		}
	}
	_, err := body(n, "body", len(n.Inputs), len(n.Outputs))
	return err
}
