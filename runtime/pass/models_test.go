package pass_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/kernels/vec"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime/ops"
	"github.com/nnz-dev/nnz/runtime/ops/opstest"
	"github.com/nnz-dev/nnz/runtime/pass"
)

// unsupported are the reference models that have nodes which do not run by
// themselves, as those made of graphs; a model that does must leave the list.
var unsupported = []string{"models/silero_vad_16k_op15"}

// slow are the reference models that run before the first and after the last
// pass only.
var slow = []string{"models/squeezenet10_fp32", "models/super_resolution_10", "models/fastestdet"}

// TestModels runs reference models before all passes and after each one, and
// compares with the outputs of ONNX Runtime.
func TestModels(t *testing.T) {
	for _, folder := range []struct {
		name       string
		rtol, atol float64
	}{
		{"trained", 1e-3, 1e-5}, {"exported", 1e-3, 1e-5}, {"models", 1e-3, 1e-4}, {"mlperf_tiny", 1e-3, 1e-4},
	} {
		dir := testdata.Path(t, folder.name)
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			name := folder.name + "/" + e.Name()
			if _, err := os.Stat(filepath.Join(dir, e.Name(), "model.onnx")); err != nil || strings.Contains(name, "int8") {
				continue
			}
			t.Run(name, func(t *testing.T) {
				m, err := loader.Load(t.Context(), filepath.Join(dir, e.Name(), "model.onnx"))
				if err != nil {
					t.Fatal(err)
				}
				missing := missingOperators(m)
				if known := slices.Contains(unsupported, name); known != (missing != nil) {
					t.Fatalf("operators missing: %v; listed as unsupported: %t", missing, known)
				}
				if missing == nil {
					testModel(t, m, filepath.Join(dir, e.Name()), slices.Contains(slow, name), folder.rtol, folder.atol)
				}
			})
		}
	}
}

func missingOperators(m *graph.Model) []string {
	var list []string
	for _, n := range m.Nodes {
		if (ops.Supported(n, m.Opset[n.Domain]) != nil || len(n.Bodies()) > 0) && !slices.Contains(list, n.Op) {
			list = append(list, n.Op)
		}
	}
	return list
}

func testModel(t *testing.T, m *graph.Model, dir string, slow bool, rtol, atol float64) {
	sets := opstest.ReadDataSets(t, dir, m)
	if len(sets) == 0 {
		t.Fatal("no data sets")
	}
	set := sets[0]
	types, err := graph.Infer(m, graph.InferOptions{Shapes: opstest.Shapes(set.Inputs), Fold: ops.Eval})
	if err != nil {
		t.Fatal(err)
	}
	g := &pass.Graph{Model: m.Clone(), Types: types}
	compare := func(after string) {
		got, err := opstest.Run(g.Model, g.Types, set.Inputs, vec.For(isa.Detect()))
		if err != nil {
			t.Fatalf("%s: %v", after, err)
		}
		for name, want := range set.Outputs {
			if err := opstest.Compare(got[name], want, rtol, atol); err != nil {
				t.Fatalf("%s: output %s: %v", after, name, err)
			}
		}
	}
	compare("no pass")
	start := len(g.Nodes)
	for _, p := range pass.All {
		before := g.Model.Clone()
		if err := p.Run(g); err != nil {
			t.Fatalf("pass %s: %v", p.Name, err)
		}
		if !slow && !reflect.DeepEqual(before.Nodes, g.Nodes) {
			compare("pass " + p.Name)
		}
	}
	if slow {
		compare("all passes")
	}
	t.Logf("%d nodes become %d: %s", start, len(g.Nodes), histogram(g.Nodes))
}

// histogram counts operators, for people.
func histogram(nodes []*graph.Node) string {
	count := make(map[string]int)
	for _, n := range nodes {
		op := n.Op
		if n.Domain != "" {
			op = n.Domain + "." + op
		}
		for _, a := range []string{"clamp_min", "clamp_max"} {
			if n.Has(a) {
				op += "+clamp"
				break
			}
		}
		if (n.Op == "Conv" || n.Op == "Linear") && n.Input(3) != "" {
			op += "+residual"
		}
		count[op]++
	}
	var b strings.Builder
	for _, op := range slices.Sorted(maps.Keys(count)) {
		fmt.Fprintf(&b, " %s %d", op, count[op])
	}
	return b.String()
}
