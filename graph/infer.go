package graph

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Type is what shape inference finds out about a value: element type,
// extents, and the value itself where that does not depend on the inputs of
// the model.
type Type struct {
	DType DType
	Shape []int
	Const *Tensor // nil where the value is not known
}

// InferOptions say what the model leaves open.
type InferOptions struct {
	Shapes map[string][]int // shapes of inputs by name; they override the model's
	Dims   map[string]int   // sizes of symbolic extents
	// Fold computes a node whose inputs are all constant, so that the shapes
	// that exporters compute node by node resolve. It may be nil, and may
	// return no outputs for a node that it does not compute.
	Fold func(n *Node, opset int, in []*Tensor) ([]*Tensor, error)
	// MaxFold bounds the elements of all the constants that Fold makes
	// together; 0 allows four times those of the weights, and at least 2^26.
	// What goes beyond is left for the run.
	MaxFold int
	// Open leaves nodes without types whose types depend on what a run computes,
	// and those that read them; otherwise they are an [*OpenError].
	Open bool
}

// An OpenError says that the type of a node's outputs depends on what its
// inputs hold, and those are not constant.
type OpenError struct{ Reason string }

func (e *OpenError) Error() string { return e.Reason }

// UnknownOpError reports a node whose operator Infer has no rule for.
type UnknownOpError struct {
	Node  *Node
	Opset int // version that the model imports of the operator's domain
}

func (e *UnknownOpError) Error() string {
	domain := e.Node.Domain
	if domain == "" {
		domain = "ai.onnx"
	}
	return fmt.Sprintf("the operator is not known in version %d of %.80q", e.Opset, domain)
}

// Infer returns the types of all values of a model that [Model.Validate] has
// accepted: inputs, weights and what nodes compute. Extents of inputs that
// neither the model nor the options give are an error that names them all; an
// operator without a rule gives an [*UnknownOpError]. Errors name the node.
func Infer(m *Model, o InferOptions) (map[string]Type, error) {
	types, err := inputTypes(m, o)
	if err != nil {
		return nil, err
	}
	elements := 0
	for name, w := range m.Weights {
		types[name] = Type{w.DType, w.Shape, w}
		elements += w.Len()
	}
	left := o.MaxFold
	if left == 0 {
		left = max(1<<26, 4*elements)
	}
	for _, n := range m.Nodes {
		c := &call{Node: n, opset: m.Opset[n.Domain], in: make([]Type, len(n.Inputs))}
		known := true
		for i, name := range n.Inputs {
			t, ok := types[name]
			if !ok && name != "" {
				if !o.Open {
					return nil, fmt.Errorf("node %s: input %.80q has no type", n, name)
				}
				known = false
			}
			c.in[i] = t
		}
		if !known {
			continue
		}
		out, err := c.infer()
		var open *OpenError
		if o.Fold != nil && (err == nil || errors.As(err, &open)) {
			out, err = c.fold(out, err, o.Fold, &left)
		}
		if err != nil {
			if o.Open && errors.As(err, &open) {
				continue
			}
			return nil, fmt.Errorf("node %s: %w", n, err)
		}
		for i, name := range n.Outputs {
			if name != "" {
				types[name] = out[i]
			}
		}
	}
	return types, nil
}

// inputTypes resolves the shapes of the inputs.
func inputTypes(m *Model, o InferOptions) (map[string]Type, error) {
	sizes, err := bindSymbols(m, o)
	if err != nil {
		return nil, err
	}
	types := make(map[string]Type, len(m.Inputs)+len(m.Nodes)+len(m.Weights))
	var open []string
	for _, v := range m.Inputs {
		if v.DType == Undefined {
			return nil, fmt.Errorf("input %.80q is not a tensor, or its element type is not given", v.Name)
		}
		shape, ok := o.Shapes[v.Name]
		if !ok {
			var missing []string
			if shape, missing = v.bind(sizes); missing != nil {
				open = append(open, fmt.Sprintf("%.80q: %s", v.Name, strings.Join(missing, ", ")))
				continue
			}
		}
		if _, err := Elements(shape); err != nil {
			return nil, fmt.Errorf("input %.80q: %w", v.Name, err)
		}
		types[v.Name] = Type{DType: v.DType, Shape: slices.Clone(shape)}
	}
	if open != nil {
		return nil, fmt.Errorf("the model leaves the shapes of inputs open: %s: expected sizes for them in Shapes or Dims", strings.Join(open, "; "))
	}
	return types, nil
}

// bindSymbols returns the sizes of symbolic extents: those given, and those
// that the shapes given have in their place.
func bindSymbols(m *Model, o InferOptions) (map[string]int, error) {
	sizes := make(map[string]int, len(o.Dims))
	maps.Copy(sizes, o.Dims)
	used := 0
	for _, v := range m.Inputs {
		shape, ok := o.Shapes[v.Name]
		if !ok {
			continue
		}
		used++
		// Exporters also write an empty shape for one that they do not know.
		if len(v.Shape) > 0 && len(shape) != len(v.Shape) {
			return nil, fmt.Errorf("input %.80q: shape %v, expected %d extents", v.Name, shape, len(v.Shape))
		}
		for i, d := range v.Shape {
			if _, bound := sizes[d.Symbol]; !bound && d.Symbol != "" {
				sizes[d.Symbol] = shape[i]
			}
		}
	}
	if used < len(o.Shapes) {
		names := make([]string, len(m.Inputs))
		for i, v := range m.Inputs {
			names[i] = fmt.Sprintf("%.80q", v.Name)
		}
		return nil, fmt.Errorf("shapes for inputs %q, the model has inputs %s", slices.Sorted(maps.Keys(o.Shapes)), strings.Join(names, ", "))
	}
	return sizes, nil
}

// bind returns the shape with sizes for symbols, and says what has none.
func (v *Value) bind(sizes map[string]int) (shape []int, missing []string) {
	if v.Shape == nil {
		return nil, []string{"the whole shape"}
	}
	shape = make([]int, len(v.Shape))
	for i, d := range v.Shape {
		size, bound := sizes[d.Symbol]
		switch {
		case d.Known():
			shape[i] = d.Size
		case d.Symbol == "":
			missing = append(missing, fmt.Sprintf("extent %d", i))
		case bound:
			shape[i] = size
		default:
			missing = append(missing, fmt.Sprintf("extent %d, %.80q", i, d.Symbol))
		}
	}
	return shape, missing
}

// A call is a node with what is known of its inputs. Absent inputs have the
// zero Type.
type call struct {
	*Node
	opset int
	in    []Type
}

// infer applies the rule of the node's operator. It returns a type for every
// output that the node names, at least.
func (c *call) infer() ([]Type, error) {
	op, ok := operators[c.Op]
	if !ok || c.Domain != "" || c.opset < op.since || op.until != 0 && c.opset > op.until {
		return nil, &UnknownOpError{c.Node, c.opset}
	}
	if n := len(c.in); n < op.min || n > op.max {
		return nil, fmt.Errorf("%d inputs, expected %s", n, CountRange(op.min, op.max))
	}
	for i := range op.min {
		if !c.has(i) {
			return nil, fmt.Errorf("input %d is absent", i)
		}
	}
	out, err := op.infer(c)
	if err != nil {
		return nil, err
	}
	if len(c.Outputs) > len(out) {
		return nil, fmt.Errorf("%d outputs, expected at most %d", len(c.Outputs), len(out))
	}
	for i, t := range out {
		if _, err := Elements(t.Shape); err != nil {
			return nil, fmt.Errorf("output %d: %w", i, err)
		}
	}
	return out, nil
}

// CountRange writes how many there may be, such as "1 to 3".
func CountRange(low, high int) string {
	switch high {
	case low:
		return fmt.Sprint(low)
	case variadic:
		return fmt.Sprintf("at least %d", low)
	}
	return fmt.Sprintf("%d to %d", low, high)
}

// fold computes the node where its inputs are constant and its outputs are not
// yet, and takes the elements that this makes from left. open is the error of
// a node whose outputs have types only then; it stays where the node is not
// computed.
func (c *call) fold(out []Type, open error, fold func(*Node, int, []*Tensor) ([]*Tensor, error), left *int) ([]Type, error) {
	if open == nil {
		out = out[:len(c.Outputs)]
	}
	in := make([]*Tensor, len(c.in))
	elements := 0
	for i, t := range c.in {
		if in[i] = t.Const; t.Const == nil && c.has(i) {
			return out, open
		}
	}
	for _, t := range out {
		n, _ := Elements(t.Shape) // checked by infer
		if elements += n; t.Const != nil || elements > *left {
			return out, nil
		}
	}
	tensors, err := fold(c.Node, c.opset, in)
	if err != nil {
		return nil, err
	}
	if tensors == nil {
		return out, open
	}
	if open != nil {
		out = make([]Type, len(c.Outputs))
		for i, t := range tensors {
			if t != nil {
				out[i] = Type{DType: t.DType, Shape: t.Shape}
				elements += t.Len()
			}
		}
	}
	*left -= elements
	sparse := slices.ContainsFunc(in, func(t *Tensor) bool { return t != nil && t.Sparse() != nil })
	for i := range out {
		t := tensors[i]
		if t == nil {
			continue
		}
		if t.DType != out[i].DType || !slices.Equal(t.Shape, out[i].Shape) {
			return nil, fmt.Errorf("output %d folds to %s %v, expected %s %v", i, t.DType, t.Shape, out[i].DType, out[i].Shape)
		}
		if sparse {
			t = t.Compact()
		}
		out[i].Const = t
	}
	return out, nil
}

// has reports whether input i is there.
func (c *call) has(i int) bool { return i < len(c.in) && c.in[i].DType != Undefined }

// value returns the constant that input i, called name, must be.
func (c *call) value(i int, name string) (*Tensor, error) {
	t := c.in[i].Const
	if t == nil {
		return nil, &OpenError{name + ": expected a constant, got a value that depends on the inputs of the model"}
	}
	return t, nil
}

// ints returns the elements of input i, called name, which must be a constant
// list of integers; nil where it is absent.
func (c *call) ints(i int, name string) ([]int, error) {
	if !c.has(i) {
		return nil, nil
	}
	t, err := c.value(i, name)
	if err != nil {
		return nil, err
	}
	if !t.DType.Integer() || len(t.Shape) > 1 {
		return nil, fmt.Errorf("%s is %s %v, expected a list of integers", name, t.DType, t.Shape)
	}
	list := make([]int, t.Len())
	for j, v := range t.Ints() {
		list[j] = int(v)
	}
	return list, nil
}

// floats returns the elements of input i, called name, which must be a
// constant list of real numbers; nil where it is absent or empty.
func (c *call) floats(i int, name string) ([]float32, error) {
	if !c.has(i) {
		return nil, nil
	}
	t, err := c.value(i, name)
	if err != nil {
		return nil, err
	}
	if !t.DType.Float() || len(t.Shape) > 1 {
		return nil, fmt.Errorf("%s is %s %v, expected a list of real numbers", name, t.DType, t.Shape)
	}
	return t.Floats(), nil
}

// param returns a list of integers that is an attribute before version since
// of the operator set and input i from then on; nil where it is absent.
func (c *call) param(name string, i, since int) ([]int, error) {
	if c.opset < since {
		return c.Ints(name), nil
	}
	return c.ints(i, name)
}

// axis returns an axis among rank that may count from the end.
func axis(a, rank int) (int, error) {
	if a < -rank || a >= rank {
		return 0, fmt.Errorf("axis %d of rank %d", a, rank)
	}
	if a < 0 {
		a += rank
	}
	return a, nil
}

// axisSet returns which of rank axes a list names, each at most once.
func axisSet(list []int, rank int) ([]bool, error) {
	set := make([]bool, rank)
	for _, a := range list {
		a, err := axis(a, rank)
		if err != nil {
			return nil, err
		}
		if set[a] {
			return nil, fmt.Errorf("axis %d appears twice in %v", a, list)
		}
		set[a] = true
	}
	return set, nil
}

// Broadcast returns the shape that two shapes broadcast to as in NumPy:
// aligned at the last extent, where extents of 1 stretch.
func Broadcast(a, b []int) ([]int, error) {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	lead := len(a) - len(b)
	for i, d := range b {
		switch {
		case out[lead+i] == 1:
			out[lead+i] = d
		case d != 1 && d != out[lead+i]:
			return nil, fmt.Errorf("shapes %v and %v do not broadcast", a, b)
		}
	}
	return out, nil
}
