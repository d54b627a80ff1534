package runtime

import "github.com/nnz-dev/nnz/graph"

// A PassReport says what one pass did to the nodes of a model. Operators that
// exist only inside of the runtime have "nnz." before their names.
type PassReport struct {
	Name   string `json:"name"`
	Before int    `json:"before"` // nodes before it
	After  int    `json:"after"`  // nodes after it
	// Change is by how many the nodes of each operator became more or fewer;
	// operators of which there are as many as before are left out.
	Change map[string]int `json:"change,omitempty"`
}

// newPassReport compares the operators before and after a pass.
func newPassReport(name string, before, after map[string]int) PassReport {
	r := PassReport{Name: name, Change: make(map[string]int)}
	for op, n := range before {
		r.Before += n
		r.Change[op] -= n
	}
	for op, n := range after {
		r.After += n
		r.Change[op] += n
	}
	for op, n := range r.Change {
		if n == 0 {
			delete(r.Change, op)
		}
	}
	return r
}

// histogram counts the nodes of each operator.
func histogram(nodes []*graph.Node) map[string]int {
	count := make(map[string]int)
	for _, n := range nodes {
		op := n.Op
		if n.Domain != "" {
			op = n.Domain + "." + op
		}
		count[op]++
	}
	return count
}
