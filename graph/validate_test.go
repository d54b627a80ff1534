package graph

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// chain makes a model with an input x, a weight w and an output y from nodes
// given as "output = Op input input".
func chain(nodes ...string) *Model {
	m := &Model{
		Inputs:  []*Value{{Name: "x", DType: Float32, Shape: Dims(2, 3)}},
		Outputs: []*Value{{Name: "y"}},
		Weights: map[string]*Tensor{"w": FromFloats([]int{3}, []float32{1, 2, 3})},
		Opset:   map[string]int{"": 17},
	}
	for _, s := range nodes {
		f := strings.Fields(s)
		n := &Node{Op: f[2], Inputs: f[3:], Outputs: []string{f[0]}}
		for i, name := range n.Inputs {
			if name == "_" {
				n.Inputs[i] = ""
			}
		}
		m.Nodes = append(m.Nodes, n)
	}
	return m
}

// branch gives node i of m a graph as an attribute.
func branch(m *Model, i int, body *Model) *Model {
	m.Nodes[i].Attrs = map[string]*Attr{"body": {Kind: AttrGraph, Graph: body}}
	return m
}

func TestValidateOrder(t *testing.T) {
	for _, tt := range []struct {
		name string
		m    *Model
		want string // outputs of the nodes
	}{
		{"sorted", chain("a = F x", "b = F w", "y = F b a"), "a b y"},
		{"absent inputs", chain("y = Clip x _ w"), "y"},
		{"reversed", chain("y = F b", "b = F a", "a = F x"), "a b y"},
		{"as little as needed", chain("c = F x", "y = F b c", "a = F x", "b = F a", "d = F a"), "c a b y d"},
		{"diamond", chain("y = F a b", "a = F c", "b = F c", "c = F x"), "c a b y"},
		{"captured", branch(chain("y = If x", "a = F x"), 0, &Model{
			Nodes:   []*Node{{Op: "F", Inputs: []string{"a", "w"}, Outputs: []string{"z"}}},
			Outputs: []*Value{{Name: "z"}},
		}), "a y"},
		{"captured output", branch(chain("y = If x", "a = F x"), 0, &Model{Outputs: []*Value{{Name: "a"}}}), "a y"},
		{"shadowed", branch(chain("y = If x", "a = F x"), 0, &Model{
			Inputs:  []*Value{{Name: "a"}},
			Outputs: []*Value{{Name: "a"}},
		}), "y a"},
	} {
		if err := tt.m.Validate(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var got []string
		for _, n := range tt.m.Nodes {
			got = append(got, n.Outputs[0])
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: order %v, want %s", tt.name, got, tt.want)
		}
	}
}

// TestValidateLong reverses a chain so long that recursion would show.
func TestValidateLong(t *testing.T) {
	var nodes []*Node
	last := "x"
	for i := range 100_000 {
		n := &Node{Op: "F", Inputs: []string{last}, Outputs: []string{fmt.Sprint("v", i)}}
		nodes = append(nodes, n)
		last = n.Outputs[0]
	}
	m := chain()
	m.Outputs[0].Name = last
	m.Nodes = slices.Clone(nodes)
	slices.Reverse(m.Nodes)
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(m.Nodes, nodes) {
		t.Error("not sorted")
	}
}

func TestValidateRefuses(t *testing.T) {
	noWeight := chain("y = F x")
	noWeight.Weights["v"] = nil
	noOutputs := chain("y = F x")
	noOutputs.Outputs = nil
	twice := chain("y = F x")
	twice.Outputs = append(twice.Outputs, twice.Outputs[0])
	inputs := chain("y = F x")
	inputs.Inputs = append(inputs.Inputs, &Value{Name: "w"})
	for _, tt := range []struct {
		m    *Model
		want string
	}{
		{chain("y = F u"), `node F of "y": input "u" has no producer`},
		{chain("a = F x"), `output "y" has no producer`},
		{chain("y = F x", "y = F x"), `node F of "y": value "y" has two producers`},
		{chain("w = F x", "y = F x"), `node F of "w": value "w" has two producers`},
		{chain("y = F y"), `node F of "y": depends on its own output`},
		{chain("a = F b", "b = F c", "c = F a", "y = F a"), "depends on its own output"},
		{branch(chain("y = If x", "a = F y"), 0, &Model{Outputs: []*Value{{Name: "a"}}}), "depends on its own output"},
		{branch(chain("y = If x"), 0, &Model{Outputs: []*Value{{Name: "q"}}}), `node If of "y": input "q" has no producer`},
		{branch(chain("y = If x"), 0, &Model{
			Nodes:   []*Node{{Op: "F", Name: "f", Outputs: []string{"z"}}, {Op: "F", Outputs: []string{"z"}}},
			Outputs: []*Value{{Name: "z"}},
		}), `node If of "y": node F of "z": value "z" has two producers`},
		{noWeight, `weight "v" has no name or no value`},
		{noOutputs, "the graph has no outputs"},
		{twice, `output "y" is listed twice`},
		{inputs, `value "w" has two producers`},
	} {
		if err := tt.m.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want %s", err, tt.want)
		}
	}
}
