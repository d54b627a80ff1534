package pass_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
)

// parse makes a model from lines of
//
//	input x 1 3 8 8
//	weight w 4 3 1 1            random values, seeded; 0 for every third where the name starts with "sparse"
//	weight c = 0.5              a scalar
//	weight v 2 = 1 2.5
//	ints p 4 = 0 0 1 1
//	y, z = Op(x, w, , v) name=1 name=1.5 name=[1 2] name=text
//	output y
func parse(t *testing.T, opset int, text string) *graph.Model {
	t.Helper()
	m := &graph.Model{Weights: map[string]*graph.Tensor{}, Opset: map[string]int{"": opset}}
	r := rand.New(rand.NewPCG(1, 2))
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		switch f[0] {
		case "input":
			m.Inputs = append(m.Inputs, &graph.Value{Name: f[1], DType: graph.Float32, Shape: graph.Dims(numbers(t, f[2:])...)})
		case "output":
			for _, name := range f[1:] {
				m.Outputs = append(m.Outputs, &graph.Value{Name: name})
			}
		case "weight", "ints":
			dims, values := f[2:], []string(nil)
			if i := slices.Index(f, "="); i >= 0 {
				dims, values = f[2:i], f[i+1:]
			}
			m.Weights[f[1]] = weight(t, r, f[0] == "ints", f[1], numbers(t, dims), values)
		default:
			m.Nodes = append(m.Nodes, parseNode(t, line))
		}
	}
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	return m
}

func weight(t *testing.T, r *rand.Rand, ints bool, name string, shape []int, values []string) *graph.Tensor {
	if ints {
		v := []int64{}
		for _, n := range numbers(t, values) {
			v = append(v, int64(n))
		}
		return graph.FromInts(graph.Int64, shape, v)
	}
	v := []float32{}
	for _, s := range values {
		x, err := strconv.ParseFloat(s, 32)
		if err != nil {
			t.Fatal(err)
		}
		v = append(v, float32(x))
	}
	n, _ := graph.Elements(shape)
	for i := len(v); i < n; i++ {
		x := r.Float32() + 0.25 // fit for a variance
		if strings.HasPrefix(name, "sparse") && i%8 != 0 {
			x = 0
		}
		v = append(v, x)
	}
	w := graph.FromFloats(shape, v)
	if strings.HasPrefix(name, "sparse") {
		if w = w.Compact(); w.Sparse() == nil {
			t.Fatalf("weight %s is not sparse", name)
		}
	}
	return w
}

func numbers(t *testing.T, f []string) []int {
	t.Helper()
	v := []int{}
	for _, s := range f {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		v = append(v, n)
	}
	return v
}

func parseNode(t *testing.T, line string) *graph.Node {
	t.Helper()
	outputs, rest, ok1 := strings.Cut(line, " = ")
	op, rest, ok2 := strings.Cut(rest, "(")
	inputs, attrs, ok3 := strings.Cut(rest, ")")
	if !ok1 || !ok2 || !ok3 {
		t.Fatalf("not a node: %s", line)
	}
	n := &graph.Node{Op: op}
	for o := range strings.SplitSeq(outputs, ",") {
		n.Outputs = append(n.Outputs, strings.TrimSpace(o))
	}
	n.Name = n.Outputs[0]
	if strings.TrimSpace(inputs) != "" {
		for i := range strings.SplitSeq(inputs, ",") {
			n.Inputs = append(n.Inputs, strings.TrimSpace(i))
		}
	}
	attrs = strings.TrimSpace(attrs)
	for attrs != "" {
		name, value, ok := strings.Cut(attrs, "=")
		if !ok {
			t.Fatalf("not an attribute: %s", attrs)
		}
		if list, ok := strings.CutPrefix(value, "["); ok {
			list, attrs, _ = strings.Cut(list, "]")
			n.Set(name, numbers(t, strings.Fields(list)))
		} else {
			value, attrs, _ = strings.Cut(value, " ")
			if i, err := strconv.Atoi(value); err == nil {
				n.Set(name, i)
			} else if f, err := strconv.ParseFloat(value, 32); err == nil {
				n.Set(name, float32(f))
			} else {
				n.Set(name, value)
			}
		}
		attrs = strings.TrimSpace(attrs)
	}
	return n
}

// format writes nodes as parse reads them, attributes sorted.
func format(nodes []*graph.Node) string {
	var b strings.Builder
	for _, n := range nodes {
		op := n.Op
		if n.Domain != "" {
			op = n.Domain + "." + op
		}
		fmt.Fprintf(&b, "%s = %s(%s)", strings.Join(n.Outputs, ", "), op, strings.Join(n.Inputs, ", "))
		for _, name := range slices.Sorted(maps.Keys(n.Attrs)) {
			switch a := n.Attrs[name]; a.Kind {
			case graph.AttrInt:
				fmt.Fprintf(&b, " %s=%d", name, a.Int)
			case graph.AttrFloat:
				fmt.Fprintf(&b, " %s=%.4g", name, a.Float)
			case graph.AttrString:
				fmt.Fprintf(&b, " %s=%s", name, a.String)
			default:
				fmt.Fprintf(&b, " %s=%v", name, a.Ints)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}
