package ops

import (
	"maps"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// An Operator is an operator of ai.onnx as users see it.
type Operator struct {
	Name   string `json:"name"`
	Domain string `json:"domain"`
	// Since and Until are the versions of the operator set in which it runs,
	// Until 0 where that is so in the newest. Models of versions before 7 are
	// brought to that one when they are read.
	Since int `json:"since,omitempty"`
	Until int `json:"until,omitempty"`
	// Refused says what of it does not run, empty where all does.
	Refused string `json:"refused,omitempty"`
	// Runs is false of operators that are refused altogether.
	Runs bool `json:"runs"`
}

// Operators lists the operators that run, and then those that are refused for a
// reason, each sorted by name.
func Operators() []Operator {
	const domain = "ai.onnx"
	var list []Operator
	for _, name := range Names() {
		sig, _ := graph.SignatureOf(name)
		list = append(list, Operator{Name: name, Domain: domain, Since: sig.Since, Until: sig.Until, Refused: table[name].refuses, Runs: true})
	}
	for _, name := range slices.Sorted(maps.Keys(absent)) {
		list = append(list, Operator{Name: name, Domain: domain, Refused: absent[name]})
	}
	return list
}
