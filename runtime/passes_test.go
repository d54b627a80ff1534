package runtime

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/graph"
)

func TestParsePasses(t *testing.T) {
	without := func(kept ...string) []string {
		return slices.DeleteFunc(passNames(), func(n string) bool { return slices.Contains(kept, n) })
	}
	for _, test := range []struct {
		text string
		skip []string
	}{
		{"all", nil},
		{"none", without()},
		{"-gelu", []string{"gelu"}},
		{"-gelu, -qkv", []string{"gelu", "qkv"}},
		{"all,-qkv", []string{"qkv"}},
		{"-qkv,qkv", nil},
		{"conv", without("conv")},
		{"conv,linear", without("conv", "linear")},
		{"none,conv", without("conv")},
	} {
		skip, err := ParsePasses(test.text)
		if err != nil || !slices.Equal(skip, test.skip) {
			t.Errorf("%q: got %v, %v, want %v", test.text, skip, err, test.skip)
		}
	}
	for _, text := range []string{"", "geru", "-geru", "conv,", "conv,all", "-none", "-conv,none"} {
		if skip, err := ParsePasses(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, skip)
		}
	}
}

// Every pass but dead can be left out by its name, and then leaves no trace.
func TestPassReports(t *testing.T) {
	m := &graph.Model{
		Inputs:  []*graph.Value{{Name: "x", DType: graph.Float32, Shape: graph.Dims(2, 3)}},
		Outputs: []*graph.Value{{Name: "y"}},
		Nodes: []*graph.Node{
			{Op: "MatMul", Inputs: []string{"x", "w"}, Outputs: []string{"p"}},
			{Op: "Relu", Inputs: []string{"p"}, Outputs: []string{"y"}},
		},
		Weights: map[string]*graph.Tensor{"w": graph.FromFloats([]int{3, 2}, []float32{1, 2, 3, 4, 5, 6})},
		Opset:   map[string]int{"": 17},
	}
	for _, test := range []struct {
		skip    []string
		changes map[string]map[string]int
		after   int
	}{
		{nil, map[string]map[string]int{
			"clamp":    {"Relu": -1, "nnz.Clamp": 1},
			"linear":   {"MatMul": -1, "nnz.Linear": 1},
			"epilogue": {"nnz.Clamp": -1},
		}, 1},
		{[]string{"epilogue", "clamp"}, map[string]map[string]int{
			"linear": {"MatMul": -1, "nnz.Linear": 1},
		}, 2},
		{passNames(), nil, 0},
	} {
		p, err := Compile(context.Background(), m, Config{SkipPasses: test.skip})
		if err != nil {
			t.Fatal(err)
		}
		passes := p.Explain().Passes
		for _, r := range passes {
			if slices.Contains(test.skip, r.Name) || !maps.Equal(r.Change, test.changes[r.Name]) {
				t.Errorf("without %v: %s changed %v, want %v", test.skip, r.Name, r.Change, test.changes[r.Name])
			}
		}
		if n := len(passes); n > 0 && (passes[0].Before != 2 || passes[n-1].After != test.after) || n == 0 && test.after > 0 {
			t.Errorf("without %v: got %+v", test.skip, passes)
		}
	}
}
