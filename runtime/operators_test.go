package runtime

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/operators.md anew")

// TestOperatorsPage compares the page on operators with what runs.
func TestOperatorsPage(t *testing.T) {
	const path = "../docs/operators.md"
	want := operatorsPage()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is out of date: go test ./runtime -run TestOperatorsPage -update", path)
	}
}

func operatorsPage() string {
	var runs, absent strings.Builder
	for _, op := range Operators() {
		if !op.Runs {
			fmt.Fprintf(&absent, "| %s | %s |\n", op.Name, op.Refused)
			continue
		}
		until := ""
		if op.Until > 0 {
			until = fmt.Sprint(op.Until)
		}
		fmt.Fprintf(&runs, "| %s | %d | %s | %s |\n", op.Name, op.Since, until, op.Refused)
	}
	return `# Operators

What nnz runs of ONNX, as ` + "`nnz inspect --ops`" + ` lists it. A test keeps this page as the tables in
the code are: ` + "`go test ./runtime -run TestOperatorsPage -update`" + ` writes it anew.

All are of the domain ai.onnx. Each runs as the version of the operator set that a model names
defines it, from *since* to *until*, or to the newest. Models of versions before 7 are brought to
version 7 when they are read. Weights, inputs and outputs of float16, bfloat16 and float64 are
computed in float32.

| operator | since | until | what of it is refused |
| --- | ---: | ---: | --- |
` + runs.String() + `
## Refused

A model that has another operator gets an UnsupportedError, which names every such node. For these
there is a reason:

| operator | reason |
| --- | --- |
` + absent.String() + `
## In dispute

Three conformance tests of ONNX expect something else of Resize with align_corners than ONNX
Runtime gives, and nnz gives what that does: test_resize_downsample_scales_cubic_align_corners, of
operator sets 11 and 19, and test_resize_downsample_scales_linear_align_corners. The specification
maps corners by the length of the resized tensor, an integer; the expected outputs of these tests
come of the length times the scale, before it is rounded down. ` + "`nnz verify`" + ` shows such cases as
disputed where a manifest says that ONNX Runtime disagrees (` + "`\"ort130\": \"mismatch\"`" + `).
`
}
