package runtime

import (
	"fmt"
	"strings"
)

// An UnsupportedError lists every node of a model that this runtime has no
// operator for, so that one attempt shows all that is missing.
type UnsupportedError struct {
	Nodes []UnsupportedNode
}

// An UnsupportedNode is a node that cannot be run, and why.
type UnsupportedNode struct {
	Node   string // name of the node, or of its first output where it has none
	Op     string // operator with its domain, such as "ai.onnx.ml.Scaler"
	Opset  int    // version of the operator set that the model asks for
	Reason string
}

func (e *UnsupportedError) Error() string {
	var b strings.Builder
	for i, n := range e.Nodes {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "node %q: %s (opset %d): %s", n.Node, n.Op, n.Opset, n.Reason)
	}
	if len(e.Nodes) == 1 {
		return "unsupported " + b.String()
	}
	return fmt.Sprintf("%d unsupported nodes: %s", len(e.Nodes), b.String())
}
