package loader

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/nnz-dev/nnz/graph"
)

// The versions of ONNX that are read. Before operator set 7 binary operators
// broadcast by attributes.
const (
	minIR    = 3
	minOpset = 1
)

// maxDepth bounds how deep graphs nest in attributes of nodes.
const maxDepth = 16

// parse reads a ModelProto. The numbers of its fields, here and below, are
// those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
// Memory that elements have taken up and that nobody needs any more is given to
// release.
func parse(ctx context.Context, name string, data []byte, o Options, release func([]byte)) (*graph.Model, error) {
	if len(data) == 0 {
		return nil, &FormatError{File: name, Offset: 0, Msg: "expected an ONNX model, the file is empty"}
	}
	d := newDecoder(ctx, name, data, o)
	m := d.model()
	if d.err != nil {
		return nil, orForeign(d.err, name, "an ONNX or .nnz model", data)
	}
	return m, finish(ctx, name, m, release)
}

// finish checks a model that was read, and brings it into the form that the rest
// of nnz knows.
func finish(ctx context.Context, name string, m *graph.Model, release func([]byte)) error {
	err := m.Validate()
	if err == nil {
		err = upgrade(ctx, m)
	}
	if err == nil {
		err = compactWeights(ctx, m, release)
	}
	if stop := stopped(ctx, name); stop != nil || err == nil {
		return stop
	}
	return &FormatError{File: name, Offset: -1, Msg: err.Error()}
}

func newModel(opset map[string]int) *graph.Model {
	return &graph.Model{
		Weights: make(map[string]*graph.Tensor),
		Values:  make(map[string]*graph.Value),
		Opset:   opset,
	}
}

func (d *decoder) model() *graph.Model {
	m := newModel(make(map[string]int))
	m.Meta = make(map[string]string)
	producer, version := "", ""
	hasGraph := false
	functions := make(map[functionKey]*function)
	for f := range d.fields(span{0, len(d.data)}) {
		switch f.num {
		case 1: // ir_version
			m.IR = int(d.int(f))
			if d.err == nil && m.IR < minIR {
				d.fail(f.at, "ONNX IR version %d, expected %d or later", m.IR, minIR)
			}
		case 2:
			producer = d.str(f)
		case 3:
			version = d.str(f)
		case 7: // graph
			hasGraph = true
			d.graph(m, d.message(f))
		case 8: // opset_import
			d.operatorSet(m.Opset, d.message(f))
		case 14: // metadata_props
			k, v := d.keyValue(d.message(f))
			m.Meta[k] = v
		case 25: // functions
			key, fn := d.function(d.message(f))
			if functions[key] != nil {
				d.fail(f.at, "a second function %s", key)
			}
			functions[key] = fn
		}
	}
	if d.err == nil && len(functions) > 0 {
		if err := inline(d.ctx, m, functions); err != nil {
			d.fail(-1, "%v", err)
		}
	}
	m.Producer = joinWords(producer, version)
	end := len(d.data)
	switch {
	case !hasGraph:
		d.fail(end, "expected an ONNX model, found no graph")
	case m.IR == 0:
		d.fail(end, "expected an ONNX model, found no IR version")
	case m.Opset[""] == 0 && usesDefaultDomain(m):
		d.fail(end, "the model imports no operator set")
	}
	return m
}

func joinWords(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + " " + b
}

func usesDefaultDomain(m *graph.Model) bool {
	for _, n := range m.Nodes {
		if n.Domain == "" {
			return true
		}
	}
	return false
}

// domain returns the name of an operator set as graph has it: the default one
// has two spellings.
func domain(s string) string {
	if s == "ai.onnx" {
		return ""
	}
	return s
}

func (d *decoder) operatorSet(opset map[string]int, m span) {
	name, version := "", int64(0)
	for f := range d.fields(m) {
		switch f.num {
		case 1:
			name = domain(d.str(f))
		case 2:
			version = d.int(f)
		}
	}
	if d.err == nil && (version < 1 || version > 1<<30) {
		d.fail(m.at, "version %d of operator set %.80q", version, name)
	}
	opset[name] = max(opset[name], int(version))
}

// graph reads a GraphProto into m.
func (d *decoder) graph(m *graph.Model, at span) {
	d.alive()
	if d.depth++; d.depth > maxDepth {
		d.fail(at.at, "graphs nest more than %d deep", maxDepth)
	}
	defer func() { d.depth-- }()
	for f := range d.fields(at) {
		switch f.num {
		case 1: // node
			d.addNode(m, d.node(d.message(f), m.Opset), f.at)
		case 2: // name
			m.Name = d.str(f)
		case 5: // initializer
			name, t := d.tensor(d.message(f))
			d.addWeight(m, name, t, f.at)
		case 11: // input
			m.Inputs = append(m.Inputs, d.value(d.message(f)))
		case 12: // output
			m.Outputs = append(m.Outputs, d.value(d.message(f)))
		case 13: // value_info
			v := d.value(d.message(f))
			m.Values[v.Name] = v
		case 15: // sparse_initializer
			name, t := d.sparseTensor(d.message(f))
			d.addWeight(m, name, t, f.at)
		}
	}
	// Up to IR 3 initializers are listed as inputs too, and later they may be,
	// as defaults.
	inputs := m.Inputs[:0]
	for _, v := range m.Inputs {
		if m.Weights[v.Name] == nil {
			inputs = append(inputs, v)
		}
	}
	m.Inputs = inputs
}

func (d *decoder) addWeight(m *graph.Model, name string, t *graph.Tensor, at int) {
	switch {
	case d.err != nil:
	case name == "":
		d.fail(at, "an initializer without a name")
	case m.Weights[name] != nil:
		d.fail(at, "a second initializer or constant %.80q", name)
	default:
		m.Weights[name] = t
	}
}

// What is taken from the limit for what the graph consists of besides tensors,
// which a few bytes of a file describe.
const (
	nodeBytes  = 256
	valueBytes = 96  // with what maps take to hold one
	attrBytes  = 256 // that, and the attribute's place in its node
	dimBytes   = 24
	wordBytes  = 16 // of a number in a list, or of a string besides its bytes
)

// addNode adds a node, a Constant as a weight; one in a function may have its
// value from the call.
func (d *decoder) addNode(m *graph.Model, n *graph.Node, at int) {
	if n.Op != "Constant" || n.Domain != "" || len(d.refs[n]) > 0 {
		m.Nodes = append(m.Nodes, n)
		return
	}
	t, err := n.Constant()
	if err != nil {
		d.fail(at, "node %s: %v", n, err)
	} else if len(n.Outputs) != 1 {
		d.fail(at, "node %s has %d outputs, expected 1", n, len(n.Outputs))
	} else {
		d.addWeight(m, n.Outputs[0], t, at)
	}
}

// node reads a NodeProto; graphs among its attributes have the operator sets
// of the model.
func (d *decoder) node(at span, opset map[string]int) *graph.Node {
	d.alive()
	d.charge(at.at, nodeBytes)
	n := &graph.Node{Attrs: make(map[string]*graph.Attr)}
	overload := ""
	for f := range d.fields(at) {
		switch f.num {
		case 1:
			n.Inputs = append(n.Inputs, d.str(f))
		case 2:
			n.Outputs = append(n.Outputs, d.str(f))
		case 3:
			n.Name = d.str(f)
		case 4:
			n.Op = d.str(f)
		case 5:
			name, a, ref := d.attribute(d.message(f), opset)
			if n.Attrs[name] != nil || d.refs[n][name] != "" {
				d.fail(f.at, "a second attribute %.80q", name)
			}
			if ref == "" || d.refs == nil {
				n.Attrs[name] = a
				continue
			}
			if d.refs[n] == nil {
				d.refs[n] = make(map[string]string)
			}
			d.refs[n][name] = ref
		case 7:
			n.Domain = domain(d.str(f))
		case 8:
			overload = d.str(f)
		}
	}
	n.Op = withOverload(n.Op, overload)
	if n.Op == "" {
		d.fail(at.at, "a node without an operator")
	}
	return n
}

// attribute reads an AttributeProto. In a function it may stand for one of the
// call, ref.
func (d *decoder) attribute(at span, opset map[string]int) (name string, a *graph.Attr, ref string) {
	d.alive()
	d.charge(at.at, attrBytes)
	a = &graph.Attr{}
	var kind, holds graph.AttrKind // as declared, and of the field found
	for f := range d.fields(at) {
		switch f.num {
		case 1:
			name = d.str(f)
		case 2:
			a.Float, holds = d.float(f), graph.AttrFloat
		case 3:
			a.Int, holds = d.int(f), graph.AttrInt
		case 4:
			a.String, holds = d.str(f), graph.AttrString
		case 5:
			_, a.Tensor = d.tensor(d.message(f))
			holds = graph.AttrTensor
		case 6:
			a.Graph, holds = newModel(opset), graph.AttrGraph
			d.graph(a.Graph, d.message(f))
		case 7:
			holds = graph.AttrFloats
			for b := d.fixed(f, 4); len(b) > 0; b = b[4:] {
				a.Floats = append(a.Floats, math.Float32frombits(binary.LittleEndian.Uint32(b)))
			}
		case 8:
			holds = graph.AttrInts
			for at, v := range d.varints(f) {
				if !d.charge(at, wordBytes) {
					break
				}
				a.Ints = append(a.Ints, int64(v))
			}
		case 9:
			a.Strings, holds = append(a.Strings, d.str(f)), graph.AttrStrings
		case 20: // type
			n := d.int(f)
			kind = graph.AttrKind(n)
			if int64(kind) != n {
				d.fail(f.at, "attribute kind %d is not known", n)
			}
		case 21: // ref_attr_name
			if ref = d.str(f); d.refs == nil {
				d.fail(f.at, "attribute %.80q refers to one of a function, and there is none", name)
			}
		case 22:
			_, a.Tensor = d.sparseTensor(d.message(f))
			holds = graph.AttrSparseTensor
		}
	}
	if name == "" {
		d.fail(at.at, "an attribute without a name")
	}
	if ref != "" {
		return name, a, ref
	}
	// The first versions of the format had no type, and an empty list is no
	// field at all.
	if kind == 0 {
		kind = holds
	}
	if a.Kind = kind; kind == 0 {
		d.fail(at.at, "attribute %.80q has no value", name)
	}
	scalar := kind == graph.AttrTensor || kind == graph.AttrGraph || kind == graph.AttrSparseTensor
	if scalar && holds != kind || holds != 0 && holds != kind {
		d.fail(at.at, "attribute %.80q of kind %d holds a value of kind %d", name, kind, holds)
	}
	return name, a, ""
}

// value reads a ValueInfoProto. Values other than tensors have no type in
// graph.
func (d *decoder) value(at span) *graph.Value {
	d.alive()
	d.charge(at.at, valueBytes)
	v := &graph.Value{}
	for f := range d.fields(at) {
		switch f.num {
		case 1:
			v.Name = d.str(f)
		case 2: // type
			for f := range d.fields(d.message(f)) {
				if f.num == 1 { // tensor_type
					d.tensorType(v, d.message(f))
				}
			}
		}
	}
	if v.Name == "" {
		d.fail(at.at, "a value without a name")
	}
	return v
}

func (d *decoder) tensorType(v *graph.Value, at span) {
	for f := range d.fields(at) {
		switch f.num {
		case 1: // elem_type
			n := d.int(f)
			v.DType = graph.DType(n)
			if int64(v.DType) != n || n != 0 && !v.DType.Valid() {
				d.fail(f.at, "element type %d is not known", n)
			}
		case 2: // shape
			v.Shape = []graph.Dim{}
			for f := range d.fields(d.message(f)) {
				if f.num == 1 {
					d.charge(f.at, dimBytes)
					v.Shape = append(v.Shape, d.dim(d.message(f)))
				}
			}
		}
	}
}

func (d *decoder) dim(at span) graph.Dim {
	dim := graph.Dim{Size: -1}
	for f := range d.fields(at) {
		switch f.num {
		case 1: // dim_value
			n := d.int(f)
			dim = graph.Dim{Size: int(n)}
			// Exporters write -1 for an extent that they do not know.
			if n < -1 || int64(dim.Size) != n {
				d.fail(f.at, "extent %d of value, expected a size", n)
			}
		case 2: // dim_param
			if s := d.str(f); s != "" {
				dim = graph.Dim{Symbol: s}
			}
		}
	}
	return dim
}
