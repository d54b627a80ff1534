// Package graph holds a neural network as ONNX describes one: values, nodes
// that compute values from values, and weights.
//
// A [Model] is plain data. Loaders make it, prune and the passes of the
// runtime rewrite it, and the runtime compiles it; none of them hides state in
// it. The specification followed is the ONNX intermediate representation,
// https://onnx.ai/onnx/repo-docs/IR.html.
package graph

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// A Model is a computation graph with its weights.
//
// Nodes are in topological order once [Model.Validate] has accepted the model.
// Values are identified by name; the empty name stands for an optional input
// or output that is absent.
type Model struct {
	Name    string
	Inputs  []*Value           // what a caller supplies; weights are never listed here
	Outputs []*Value           // what a caller reads
	Nodes   []*Node            // in topological order
	Weights map[string]*Tensor // constants, by value name
	Values  map[string]*Value  // types and shapes of inner values, as far as the file gives them
	Opset   map[string]int     // operator set version by domain; "" is ai.onnx
	Meta    map[string]string  // the file's metadata_props
	IR      int                // ONNX IR version of the file
	// Producer is the tool that wrote the file, as "name version".
	Producer string
	// Packed has weights as package runtime packed them; nil for none.
	Packed *Packed
}

// Packed is weights in the forms that kernels read, by names that say which
// weight it is, in what form and for what places of its input. Package runtime
// makes and reads it; to all others it is tensors, and a weight that is not in
// it is packed when the model is compiled.
type Packed struct {
	ISA     string // instruction set that it was made for
	Version int    // of the forms
	Tensors map[string]*Tensor
}

// A Value is a named edge of the graph: its element type and its shape.
type Value struct {
	Name  string
	DType DType
	Shape []Dim // nil where the rank is unknown; an empty slice is a scalar
}

// A Dim is one extent of a shape: a size, or a symbol that is bound when the
// model is compiled.
type Dim struct {
	Size   int    // meaningful where Symbol is empty; -1 where nothing is known
	Symbol string // such as "batch"
}

// Known reports whether d is a number rather than a symbol or unknown.
func (d Dim) Known() bool { return d.Symbol == "" && d.Size >= 0 }

// Dims makes a shape of known extents.
func Dims(sizes ...int) []Dim {
	dims := make([]Dim, len(sizes))
	for i, n := range sizes {
		dims[i].Size = n
	}
	return dims
}

// A Node computes its outputs from its inputs.
type Node struct {
	Name    string
	Op      string // operator, such as "Conv"
	Domain  string // operator set; "" is ai.onnx, [FusedDomain] is our own
	Inputs  []string
	Outputs []string
	Attrs   map[string]*Attr
}

// FusedDomain is the operator set of nodes that exist only between the passes
// of the runtime and its code generation. No file holds one.
const FusedDomain = "nnz"

// An Attr is a constant parameter of a node. Kind says which field holds it.
type Attr struct {
	Kind    AttrKind
	Float   float32
	Int     int64
	String  string
	Tensor  *Tensor
	Graph   *Model // body of a control-flow operator
	Floats  []float32
	Ints    []int64
	Strings []string
}

// AttrKind is the type of an attribute, numbered as in AttributeProto.
type AttrKind uint8

// The kinds of attribute.
const (
	AttrFloat        AttrKind = 1
	AttrInt          AttrKind = 2
	AttrString       AttrKind = 3
	AttrTensor       AttrKind = 4
	AttrGraph        AttrKind = 5
	AttrFloats       AttrKind = 6
	AttrInts         AttrKind = 7
	AttrStrings      AttrKind = 8
	AttrSparseTensor AttrKind = 11 // held in Tensor, which then is sparse
)

// Int returns the integer attribute name, or def where the node has none.
func (n *Node) Int(name string, def int) int {
	if a := n.Attrs[name]; a != nil && a.Kind == AttrInt {
		return int(a.Int)
	}
	return def
}

// Float returns the float attribute name, or def where the node has none.
func (n *Node) Float(name string, def float32) float32 {
	if a := n.Attrs[name]; a != nil && a.Kind == AttrFloat {
		return a.Float
	}
	return def
}

// Str returns the string attribute name, or def where the node has none.
func (n *Node) Str(name, def string) string {
	if a := n.Attrs[name]; a != nil && a.Kind == AttrString {
		return a.String
	}
	return def
}

// Ints returns a copy of the integer list attribute name, or nil where the
// node has none.
func (n *Node) Ints(name string) []int {
	a := n.Attrs[name]
	if a == nil || a.Kind != AttrInts {
		return nil
	}
	out := make([]int, len(a.Ints))
	for i, v := range a.Ints {
		out[i] = int(v)
	}
	return out
}

// Has reports whether the node carries attribute name.
func (n *Node) Has(name string) bool { return n.Attrs[name] != nil }

// Set stores an attribute. v is an int, float32, string, []int, []float32 or
// *Tensor; any other type panics, as it is a mistake in the calling code.
func (n *Node) Set(name string, v any) {
	if n.Attrs == nil {
		n.Attrs = make(map[string]*Attr)
	}
	switch v := v.(type) {
	case int:
		n.Attrs[name] = &Attr{Kind: AttrInt, Int: int64(v)}
	case float32:
		n.Attrs[name] = &Attr{Kind: AttrFloat, Float: v}
	case string:
		n.Attrs[name] = &Attr{Kind: AttrString, String: v}
	case []int:
		ints := make([]int64, len(v))
		for i, x := range v {
			ints[i] = int64(x)
		}
		n.Attrs[name] = &Attr{Kind: AttrInts, Ints: ints}
	case []float32:
		n.Attrs[name] = &Attr{Kind: AttrFloats, Floats: slices.Clone(v)}
	case *Tensor:
		n.Attrs[name] = &Attr{Kind: AttrTensor, Tensor: v}
	default:
		panic("graph: attribute " + name + " of an unsupported Go type")
	}
}

// Input returns the name of input i, or "" where it is absent.
func (n *Node) Input(i int) string {
	if i < len(n.Inputs) {
		return n.Inputs[i]
	}
	return ""
}

// String names a node for a person: its operator, and its name or, as many
// exporters leave that out, its first output.
func (n *Node) String() string {
	op := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?' // a file may hold anything
	}, n.Op)
	switch {
	case n.Name != "":
		return fmt.Sprintf("%.80s %.80q", op, n.Name)
	case len(n.Outputs) > 0:
		return fmt.Sprintf("%.80s of %.80q", op, n.Outputs[0])
	}
	return fmt.Sprintf("%.80s", op)
}

// Clone copies the graph: nodes, values and maps, so that the copy can be
// rewritten. Tensors are immutable and shared.
func (m *Model) Clone() *Model {
	c := *m
	c.Inputs = cloneValues(m.Inputs)
	c.Outputs = cloneValues(m.Outputs)
	c.Nodes = make([]*Node, len(m.Nodes))
	for i, n := range m.Nodes {
		c.Nodes[i] = n.Clone()
	}
	c.Weights = maps.Clone(m.Weights)
	c.Values = maps.Clone(m.Values)
	c.Opset = maps.Clone(m.Opset)
	c.Meta = maps.Clone(m.Meta)
	return &c
}

// Clone copies a node; attributes are shared, as they are replaced and never
// modified.
func (n *Node) Clone() *Node {
	c := *n
	c.Inputs = slices.Clone(n.Inputs)
	c.Outputs = slices.Clone(n.Outputs)
	c.Attrs = maps.Clone(n.Attrs)
	return &c
}

func cloneValues(vs []*Value) []*Value {
	out := make([]*Value, len(vs))
	for i, v := range vs {
		c := *v
		c.Shape = slices.Clone(v.Shape)
		out[i] = &c
	}
	return out
}
