package loader

import (
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
)

// old is a model of one node of operator set 6, from x [2, 3, 4] and b [3].
func old(op string, attrs map[string]any) *graph.Model {
	n := &graph.Node{Op: op, Inputs: []string{"x", "b"}, Outputs: []string{"y"}}
	for k, v := range attrs {
		n.Set(k, v)
	}
	return &graph.Model{
		Inputs:  []*graph.Value{{Name: "x", DType: graph.Float32, Shape: graph.Dims(2, 3, 4)}},
		Outputs: []*graph.Value{{Name: "y", DType: graph.Float32}},
		Nodes:   []*graph.Node{n},
		Weights: map[string]*graph.Tensor{"b": graph.FromFloats([]int{3}, []float32{1, 2, 3})},
		Opset:   map[string]int{"": 6},
	}
}

func TestUpgrade(t *testing.T) {
	for _, c := range []struct {
		op    string
		attrs map[string]any
		axes  []int // of the Unsqueeze before the node; nil where there is none
	}{
		{"Add", map[string]any{"broadcast": 1, "axis": 1}, []int{1}},
		{"Mul", map[string]any{"broadcast": 1, "axis": -2}, []int{1}},
		{"Sub", map[string]any{"broadcast": 1}, nil},
		{"PRelu", nil, []int{1}},
		{"Relu", map[string]any{"consumed_inputs": []int{0}}, nil},
	} {
		m := old(c.op, c.attrs)
		if err := upgrade(t.Context(), m); err != nil {
			t.Errorf("%s: %v", c.op, err)
			continue
		}
		n := m.Nodes[len(m.Nodes)-1]
		if m.Opset[""] != 7 || len(n.Attrs) != 0 {
			t.Errorf("%s: operator set %d, attributes %v", c.op, m.Opset[""], n.Attrs)
		}
		var axes []int
		if len(m.Nodes) == 2 {
			axes = m.Nodes[0].Ints("axes")
			if m.Nodes[0].Outputs[0] != n.Inputs[1] {
				t.Errorf("%s reads %v", c.op, n.Inputs)
			}
		}
		if !slices.Equal(axes, c.axes) {
			t.Errorf("%s: unsqueezed at %v, expected %v", c.op, axes, c.axes)
		}
	}
}

func TestUpgradeAttributes(t *testing.T) {
	m := old("Reshape", map[string]any{"shape": []int{2, 12}})
	m.Opset[""] = 1
	m.Nodes[0].Inputs = m.Nodes[0].Inputs[:1]
	if err := upgrade(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	w := m.Weights[m.Nodes[0].Input(1)]
	if w == nil || !slices.Equal(w.Ints(), []int64{2, 12}) {
		t.Errorf("Reshape to %v", w)
	}
	m = old("Cast", map[string]any{"to": "INT64"})
	if err := upgrade(t.Context(), m); err != nil || m.Nodes[0].Int("to", 0) != int(graph.Int64) {
		t.Errorf("Cast to %d: %v", m.Nodes[0].Int("to", 0), err)
	}
}

func TestUpgradeErrors(t *testing.T) {
	for _, c := range []struct {
		op    string
		attrs map[string]any
		want  string
	}{
		{"Upsample", nil, "is not read"},
		{"Loop", nil, "is not read"},
		{"Add", map[string]any{"broadcast": 1, "axis": 3}, "broadcasts from axis 3"},
	} {
		if err := upgrade(t.Context(), old(c.op, c.attrs)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", c.op, err, c.want)
		}
	}
	m := old("Add", map[string]any{"broadcast": 1, "axis": 1})
	m.Inputs[0].Shape = nil
	if err := upgrade(t.Context(), m); err == nil || !strings.Contains(err.Error(), "ranks") {
		t.Errorf("no rank: %v", err)
	}
}

// TestUpgradeNames: a weight that replaces an attribute takes no name that is in
// use, or that the file describes.
func TestUpgradeNames(t *testing.T) {
	m := old("Reshape", map[string]any{"shape": []int{6, 4}})
	m.Opset[""] = 1
	m.Values = map[string]*graph.Value{"shape.1": {Name: "shape.1"}}
	m.Nodes = append(m.Nodes, &graph.Node{Op: "Relu", Inputs: []string{"y"}, Outputs: []string{"shape.2"}})
	if err := upgrade(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	name := m.Nodes[0].Input(1)
	if w := m.Weights[name]; w == nil || !slices.Equal(w.Ints(), []int64{6, 4}) || name == "shape.1" || name == "shape.2" {
		t.Errorf("the shape is %q: %v", name, w)
	}
}
