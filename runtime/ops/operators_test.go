package ops

import (
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
)

// Every operator has a rule of shape inference and a constructor: one without
// the other is a row that was forgotten.
func TestTablesAgree(t *testing.T) {
	known := graph.Operators()
	for _, name := range known {
		if _, ok := table[name]; !ok {
			t.Errorf("%s has a rule in graph, but nothing here computes it", name)
		}
	}
	for name, op := range table {
		if !slices.Contains(known, name) {
			t.Errorf("%s has no rule in graph", name)
		}
		if graphs := name == "If" || name == "Loop" || name == "Scan"; op.build == nil && op.eval == nil && !graphs {
			t.Errorf("%s has no constructor", name)
		}
		if op.inputs != [2]int{} {
			t.Errorf("%s says how many inputs it has, which is for graph to say", name)
		}
		if absent[name] != "" {
			t.Errorf("%s runs, and is listed as absent", name)
		}
	}
	for _, op := range Operators() {
		if op.Runs != (op.Since > 0) || !op.Runs && op.Refused == "" {
			t.Errorf("got %+v", op)
		}
	}
}

func TestVersions(t *testing.T) {
	for _, test := range []struct {
		op    string
		opset int
		want  string // of the error, empty where there is none
	}{
		{"Relu", 7, ""},
		{"Gelu", 20, ""},
		{"Gelu", 19, "only 20 and later"},
		{"Upsample", 9, ""},
		{"Upsample", 10, "the last one that does is 9"},
		{"RandomNormal", 20, "random numbers"},
		{"Frobnicate", 20, "not supported"},
	} {
		got := ""
		if err := Supported(&graph.Node{Op: test.op}, test.opset); err != nil {
			got = err.Error()
		}
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s of version %d: got %q, want %q", test.op, test.opset, got, test.want)
		}
	}
}
