package runtime

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime/ops"
	"github.com/nnz-dev/nnz/sparse"
)

// A mutator makes models wrong, as somebody would who knows the format: their
// structure stays one of graphs, nodes and tensors.
type mutator struct {
	rng    *rand.Rand
	m      *graph.Model   // what is mutated
	graphs []*graph.Model // it, and those in attributes
	nodes  []*graph.Node  // of all of them
	values []string       // names that are used
}

// mutated returns a copy of a model with some mutations, which a seed gives, and
// what they are.
func mutated(m *graph.Model, seed uint64) (*graph.Model, []string) {
	u := &mutator{rng: rand.New(rand.NewPCG(seed, 1)), m: copied(m)}
	u.look(u.m)
	var did []string
	for range 1 + u.rng.IntN(3) {
		mutation := pick(u, mutations)
		did = append(did, mutation.name)
		mutation.apply(u)
	}
	return u.m, did
}

// copied clones a model down to the graphs in its attributes.
func copied(m *graph.Model) *graph.Model {
	c := m.Clone()
	for _, n := range c.Nodes {
		for name, a := range n.Attrs {
			if a.Graph != nil {
				b := *a
				b.Graph = copied(a.Graph)
				n.Attrs[name] = &b
			}
		}
	}
	return c
}

func (u *mutator) look(m *graph.Model) {
	u.graphs = append(u.graphs, m)
	for _, v := range m.Inputs {
		u.values = append(u.values, v.Name)
	}
	u.values = append(u.values, slices.Sorted(maps.Keys(m.Weights))...)
	for _, n := range m.Nodes {
		u.nodes = append(u.nodes, n)
		u.values = append(u.values, n.Outputs...)
		for _, body := range n.Bodies() {
			u.look(body)
		}
	}
}

// pick returns one element of a list, the zero value of none.
func pick[T any](u *mutator, list []T) (v T) {
	if len(list) > 0 {
		v = list[u.rng.IntN(len(list))]
	}
	return v
}

func (u *mutator) number() int64 {
	return pick(u, []int64{math.MinInt64, -1 << 31, -3, -1, 0, 1, 2, 3, 5, 7, 64, 1 << 10, 1 << 20, 1 << 30, 1 << 31, 1 << 40, math.MaxInt64})
}

func (u *mutator) float() float32 {
	return pick(u, []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0, -1, 1e-40, 0.5, 3, 1e30, math.MaxFloat32})
}

// extents makes a shape, of reasonable sizes for the most part.
func (u *mutator) extents() []int {
	shape := make([]int, u.rng.IntN(6))
	for i := range shape {
		if shape[i] = u.rng.IntN(9); u.rng.IntN(8) == 0 {
			shape[i] = int(u.number())
		}
	}
	return shape
}

func (u *mutator) dtype() graph.DType { return graph.DType(u.rng.IntN(25)) }

// node returns a node, and with it one place among its inputs; -1 for none.
func (u *mutator) node() (n *graph.Node, input int) {
	n = pick(u, u.nodes)
	if n == nil {
		return &graph.Node{Op: "Relu"}, -1
	}
	return n, u.rng.IntN(len(n.Inputs)+1) - 1
}

// weight returns a graph that has weights, and the name of one of them.
func (u *mutator) weight() (m *graph.Model, name string) {
	m = pick(u, slices.DeleteFunc(slices.Clone(u.graphs), func(m *graph.Model) bool { return len(m.Weights) == 0 }))
	if m == nil {
		return nil, ""
	}
	return m, pick(u, slices.Sorted(maps.Keys(m.Weights)))
}

// attr returns a node that has attributes, and the name of one of them.
func (u *mutator) attr() (n *graph.Node, name string) {
	n = pick(u, slices.DeleteFunc(slices.Clone(u.nodes), func(n *graph.Node) bool { return len(n.Attrs) == 0 }))
	if n == nil {
		return nil, ""
	}
	return n, pick(u, slices.Sorted(maps.Keys(n.Attrs)))
}

// tensor makes a small constant, or one that is sparse and only looks large.
func (u *mutator) tensor() *graph.Tensor {
	if u.rng.IntN(8) == 0 {
		rows, cols := 1<<u.rng.IntN(12), 1<<u.rng.IntN(12)
		if csr, err := sparse.NewCSR(rows, cols, append(make([]int, rows), 1), []int32{0}, []float32{u.float()}); err == nil {
			if t, err := graph.NewSparse([]int{rows, cols}, csr); err == nil {
				return t
			}
		}
	}
	shape := make([]int, u.rng.IntN(5))
	for i := range shape {
		shape[i] = u.rng.IntN(7)
	}
	if u.rng.IntN(2) == 0 {
		list := make([]int64, elements(shape))
		for i := range list {
			if list[i] = int64(u.rng.IntN(5)) - 1; u.rng.IntN(8) == 0 {
				list[i] = u.number()
			}
		}
		return graph.FromInts(pick(u, []graph.DType{graph.Int64, graph.Int32, graph.Bool, graph.Uint8, graph.Int8}), shape, list)
	}
	list := make([]float32, elements(shape))
	for i := range list {
		if list[i] = u.rng.Float32() - 0.5; u.rng.IntN(8) == 0 {
			list[i] = u.float()
		}
	}
	return graph.FromFloats(shape, list)
}

// mutations is what a mutator does, each in one place.
var mutations = []struct {
	name  string
	apply func(u *mutator)
}{
	{"another operator", func(u *mutator) {
		n, _ := u.node()
		n.Op = pick(u, ops.Names())
	}},
	{"another input", func(u *mutator) {
		if n, i := u.node(); i >= 0 {
			n.Inputs[i] = pick(u, u.values)
		}
	}},
	{"inputs in another order", func(u *mutator) {
		n, _ := u.node()
		u.rng.Shuffle(len(n.Inputs), func(i, j int) { n.Inputs[i], n.Inputs[j] = n.Inputs[j], n.Inputs[i] })
	}},
	{"an absent input", func(u *mutator) {
		if n, i := u.node(); i >= 0 {
			n.Inputs[i] = pick(u, []string{"", "nobody"})
		}
	}},
	{"fewer inputs", func(u *mutator) {
		if n, i := u.node(); i >= 0 {
			n.Inputs = n.Inputs[:i]
		}
	}},
	{"more inputs", func(u *mutator) {
		n, _ := u.node()
		for range 1 + u.rng.IntN(4) {
			n.Inputs = append(n.Inputs, pick(u, u.values))
		}
	}},
	{"a cycle", func(u *mutator) {
		if n, i := u.node(); i >= 0 && len(n.Outputs) > 0 {
			n.Inputs[i] = pick(u, n.Outputs)
		}
	}},
	{"a name twice", func(u *mutator) {
		if n, _ := u.node(); len(n.Outputs) > 0 {
			n.Outputs[u.rng.IntN(len(n.Outputs))] = pick(u, u.values)
		}
	}},
	{"another number of outputs", func(u *mutator) {
		n, _ := u.node()
		if len(n.Outputs) > 0 && u.rng.IntN(2) == 0 {
			n.Outputs = n.Outputs[:len(n.Outputs)-1]
			return
		}
		n.Outputs = append(n.Outputs, pick(u, []string{"", fmt.Sprint("more", u.rng.IntN(1000))}))
	}},
	{"another attribute value", func(u *mutator) {
		n, name := u.attr()
		if n == nil {
			return
		}
		a := *n.Attrs[name]
		switch a.Kind {
		case graph.AttrInt:
			if a.Int = u.number(); u.rng.IntN(2) == 0 {
				a.Int = int64(u.rng.IntN(7)) - 2
			}
		case graph.AttrFloat:
			a.Float = u.float()
		case graph.AttrString:
			a.String = pick(u, []string{"", "linear", "SAME_UPPER", "SAME_LOWER", "VALID", "cubic", "bidirectional", "ij,jk->ik", "i...,j->ij..."})
		case graph.AttrInts:
			a.Ints = slices.Clone(a.Ints)
			for i := range a.Ints {
				switch u.rng.IntN(4) {
				case 0:
					a.Ints[i] = u.number()
				case 1:
					a.Ints[i] = int64(u.rng.IntN(7)) - 1
				}
			}
		case graph.AttrFloats:
			a.Floats = slices.Clone(a.Floats)
			for i := range a.Floats {
				a.Floats[i] = u.float()
			}
		case graph.AttrTensor:
			a.Tensor = u.tensor()
		case graph.AttrStrings:
			a.Strings = []string{"Relu", "Tanh", "Softsign", "Affine"}[:1+u.rng.IntN(4)]
		}
		n.Attrs[name] = &a
	}},
	{"a longer or shorter list", func(u *mutator) {
		n, name := u.attr()
		if n == nil || len(n.Attrs[name].Ints) == 0 {
			return
		}
		a := *n.Attrs[name]
		if a.Ints = a.Ints[:u.rng.IntN(len(a.Ints)+1)]; u.rng.IntN(2) == 0 {
			a.Ints = append(slices.Clone(a.Ints), 1, 1, u.number())
		}
		n.Attrs[name] = &a
	}},
	{"another attribute type", func(u *mutator) {
		if n, name := u.attr(); n != nil {
			n.Set(name, pick(u, []any{int(u.number()), u.float(), "x", []int{1, int(u.number())}, []float32{u.float()}, u.tensor()}))
		}
	}},
	{"no attribute", func(u *mutator) {
		if n, name := u.attr(); n != nil {
			delete(n.Attrs, name)
		}
	}},
	{"an attribute of another node", func(u *mutator) {
		if from, name := u.attr(); from != nil {
			if n, _ := u.node(); n.Attrs != nil {
				n.Attrs[name] = from.Attrs[name]
			}
		}
	}},
	{"a new attribute", func(u *mutator) {
		n, _ := u.node()
		list := []int{int(u.number()), 1 + u.rng.IntN(4), 1, int(u.number())}[:1+u.rng.IntN(4)]
		switch name := pick(u, []string{"axis", "axes", "group", "pads", "strides", "dilations", "kernel_shape", "keepdims", "epsilon", "to", "perm", "ceil_mode", "count_include_pad", "output_shape", "output_padding", "hidden_size", "size"}); name {
		case "axes", "pads", "strides", "dilations", "kernel_shape", "perm", "output_shape", "output_padding":
			n.Set(name, list)
		case "epsilon":
			n.Set(name, u.float())
		default:
			n.Set(name, int(pick(u, []int64{u.number(), int64(u.rng.IntN(5)) - 1})))
		}
	}},
	{"another operator set", func(u *mutator) {
		if u.m.Opset = maps.Clone(u.m.Opset); u.rng.IntN(8) == 0 {
			u.m.Opset[pick(u, []string{"nnz", "ai.onnx.ml"})] = 1
			return
		}
		u.m.Opset[""] = 1 + u.rng.IntN(26)
	}},
	{"another weight", func(u *mutator) {
		if m, name := u.weight(); m != nil {
			m.Weights[name] = u.tensor()
		}
	}},
	{"a weight of another shape", func(u *mutator) {
		m, name := u.weight()
		if m == nil {
			return
		}
		w := m.Weights[name]
		shape := slices.Clone(w.Shape)
		u.rng.Shuffle(len(shape), func(i, j int) { shape[i], shape[j] = shape[j], shape[i] })
		switch u.rng.IntN(4) {
		case 0:
			shape = append([]int{1}, shape...)
		case 1:
			shape = append(shape, 1)
		case 2:
			shape = []int{w.Len()}
		}
		if r, err := w.Reshaped(shape); err == nil {
			m.Weights[name] = r
		}
	}},
	{"a weight of another type", func(u *mutator) {
		m, name := u.weight()
		if m == nil {
			return
		}
		w, dt := m.Weights[name], u.dtype()
		if raw := w.Raw(); raw != nil && dt.Valid() && dt.Bits() >= 8 {
			if r, err := graph.NewTensor(dt, []int{len(raw) * 8 / dt.Bits()}, raw[:len(raw)*8/dt.Bits()*dt.Bits()/8]); err == nil {
				m.Weights[name] = r
			}
		}
	}},
	{"wrong numbers in a weight", func(u *mutator) {
		m, name := u.weight()
		if m == nil || m.Weights[name].Len() == 0 {
			return
		}
		w := m.Weights[name]
		switch {
		case w.DType.Integer():
			list := w.Ints()
			for range 1 + u.rng.IntN(3) {
				list[u.rng.IntN(len(list))] = u.number()
			}
			m.Weights[name] = graph.FromInts(w.DType, w.Shape, list)
		case w.DType == graph.Float32:
			list := slices.Clone(w.Floats())
			for range 1 + u.rng.IntN(3) {
				list[u.rng.IntN(len(list))] = u.float()
			}
			m.Weights[name] = graph.FromFloats(w.Shape, list).Compact()
		}
	}},
	{"no weight", func(u *mutator) {
		if m, name := u.weight(); m != nil {
			delete(m.Weights, name)
		}
	}},
	{"a weight with the name of another value", func(u *mutator) {
		if m, name := u.weight(); m != nil {
			m.Weights[pick(u, append(u.values, "new"))] = m.Weights[name]
		}
	}},
	{"an input of another shape or type", func(u *mutator) {
		v := pick(u, u.m.Inputs)
		switch {
		case v == nil:
		case u.rng.IntN(3) == 0:
			v.DType = u.dtype()
		case u.rng.IntN(2) == 0 && len(v.Shape) > 0:
			v.Shape[u.rng.IntN(len(v.Shape))] = pick(u, []graph.Dim{{Size: -1}, {Symbol: "n"}, {Size: u.rng.IntN(40)}, {Size: int(max(-1, u.number()))}})
		default:
			v.Shape = graph.Dims(u.extents()...)
		}
	}},
	{"another input of a graph", func(u *mutator) {
		m := pick(u, u.graphs)
		if u.rng.IntN(2) == 0 && len(m.Inputs) > 0 {
			m.Inputs = m.Inputs[:len(m.Inputs)-1]
			return
		}
		m.Inputs = append(m.Inputs, &graph.Value{Name: pick(u, append(u.values, "new")), DType: graph.Float32, Shape: graph.Dims(2, 3)})
	}},
	{"another output", func(u *mutator) {
		m := pick(u, u.graphs)
		v := &graph.Value{Name: pick(u, append(u.values, "nobody", "")), DType: u.dtype()}
		switch u.rng.IntN(3) {
		case 0:
			m.Outputs = append(m.Outputs, v)
		case 1:
			m.Outputs = m.Outputs[:len(m.Outputs)/2]
		case 2:
			m.Outputs = append([]*graph.Value{v}, m.Outputs[min(1, len(m.Outputs)):]...)
		}
	}},
	{"no node", func(u *mutator) {
		if m := pick(u, u.graphs); len(m.Nodes) > 0 {
			i := u.rng.IntN(len(m.Nodes))
			m.Nodes = slices.Delete(m.Nodes, i, i+1)
		}
	}},
	{"a node twice", func(u *mutator) {
		if m := pick(u, u.graphs); len(m.Nodes) > 0 {
			n := pick(u, m.Nodes).Clone()
			for i := range n.Outputs {
				n.Outputs[i] = fmt.Sprint("again", u.rng.IntN(1000))
			}
			m.Nodes = append(m.Nodes, n)
			m.Outputs = append(m.Outputs, &graph.Value{Name: pick(u, n.Outputs)})
		}
	}},
	{"a node between", func(u *mutator) {
		m := pick(u, u.graphs)
		n := pick(u, m.Nodes)
		if n == nil || len(n.Inputs) == 0 {
			return
		}
		i := u.rng.IntN(len(n.Inputs))
		between := &graph.Node{
			Op:     pick(u, []string{"Relu", "Sigmoid", "NonZero", "Shape", "Cast", "Transpose", "Identity", "Exp", "Softmax", "MaxPool", "GlobalAveragePool", "Flatten", "ReduceSum"}),
			Inputs: []string{n.Inputs[i]}, Outputs: []string{fmt.Sprint("between", u.rng.IntN(1000))},
		}
		if between.Op == "Cast" {
			between.Set("to", u.rng.IntN(14))
		}
		n.Inputs[i] = between.Outputs[0]
		m.Nodes = append([]*graph.Node{between}, m.Nodes...)
	}},
	{"a node within a graph", func(u *mutator) {
		m := pick(u, u.graphs)
		n := pick(u, m.Nodes)
		if n == nil || len(n.Outputs) == 0 || n.Bodies() != nil {
			return
		}
		body := &graph.Model{Nodes: []*graph.Node{n.Clone()}}
		for _, out := range n.Outputs {
			body.Outputs = append(body.Outputs, &graph.Value{Name: out})
		}
		outer := &graph.Node{Op: "If", Inputs: []string{pick(u, u.values)}, Attrs: make(map[string]*graph.Attr)}
		for _, out := range n.Outputs {
			outer.Outputs = append(outer.Outputs, out+".outer")
		}
		for _, name := range []string{"then_branch", "else_branch"} {
			outer.Attrs[name] = &graph.Attr{Kind: graph.AttrGraph, Graph: copied(body)}
		}
		for _, v := range m.Outputs {
			if i := slices.Index(n.Outputs, v.Name); i >= 0 {
				v.Name = outer.Outputs[i]
			}
		}
		for _, r := range m.Nodes {
			for i, in := range r.Inputs {
				if slices.Contains(n.Outputs, in) {
					r.Inputs[i] = in + ".outer"
				}
			}
		}
		m.Nodes[slices.Index(m.Nodes, n)] = outer
	}},
	{"graphs in graphs", func(u *mutator) {
		body := &graph.Model{Outputs: []*graph.Value{{Name: pick(u, u.values)}}}
		for range 1 + u.rng.IntN(24) {
			n := &graph.Node{Op: "If", Inputs: []string{pick(u, u.values)}, Outputs: []string{fmt.Sprint("deep", u.rng.IntN(1000))}, Attrs: make(map[string]*graph.Attr)}
			n.Attrs["then_branch"] = &graph.Attr{Kind: graph.AttrGraph, Graph: body}
			n.Attrs["else_branch"] = &graph.Attr{Kind: graph.AttrGraph, Graph: &graph.Model{Outputs: []*graph.Value{{Name: pick(u, u.values)}}}}
			body = &graph.Model{Nodes: []*graph.Node{n}, Outputs: []*graph.Value{{Name: n.Outputs[0]}}}
		}
		u.m.Nodes = append(u.m.Nodes, body.Nodes...)
		u.m.Outputs = append(u.m.Outputs, body.Outputs...)
	}},
}
