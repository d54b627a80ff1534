// Package reference runs networks in float64, operator by operator as ONNX
// defines them, for others to be compared with. It has the operators of image
// classifiers and of transformers' encoders, shares no kernel with the runtime,
// and is as slow as it is simple.
package reference

import (
	"context"
	"fmt"

	"github.com/nnz-dev/nnz/graph"
)

// A Tensor is a value in float64, which holds integers up to 2^53 too.
type Tensor struct {
	Shape  []int
	Values []float64
}

// An UnsupportedError says that a model has an operator that is not here.
type UnsupportedError struct{ Node, Op string }

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("node %q: there is no %s in float64", e.Node, e.Op)
}

// operators compute output 0 of a node. Its shape is inferred, its values are
// zero.
var operators = map[string]func(c *call) error{
	"Add": elementwise(func(a, b float64) float64 { return a + b }), "Sub": elementwise(func(a, b float64) float64 { return a - b }),
	"Mul": elementwise(func(a, b float64) float64 { return a * b }), "Div": div,
	"Relu": unary(relu), "Erf": unary(erf), "Tanh": unary(tanh), "Clip": clip,
	"Conv": conv, "Gemm": gemm, "MatMul": matMul,
	"MaxPool": maxPool, "AveragePool": averagePool, "GlobalAveragePool": globalAveragePool,
	"BatchNormalization": batchNormalization, "LayerNormalization": layerNormalization, "Softmax": softmax,
	"Flatten": same, "Reshape": same, "Unsqueeze": same, "Squeeze": same, "Dropout": same, "Identity": same, "Cast": cast,
	"Transpose": transpose, "Concat": concat, "Expand": expand, "Gather": gather, "Slice": slice,
}

// A call is a node with its operands.
type call struct {
	*graph.Node
	opset int
	in    []*Tensor // nil where an optional one is absent
	out   *Tensor
	dtype graph.DType // of the output
}

// Run computes the outputs of a model for inputs by name. An operator that is
// not here gives an [*UnsupportedError].
func Run(ctx context.Context, m *graph.Model, o graph.InferOptions, inputs map[string]Tensor) (map[string]Tensor, error) {
	types, err := graph.Infer(m, o)
	if err != nil {
		return nil, err
	}
	values := make(map[string]*Tensor)
	for name, t := range inputs {
		values[name] = &t
	}
	uses := make(map[string]int)
	for _, n := range m.Nodes {
		for _, name := range n.Inputs {
			uses[name]++
		}
	}
	for _, v := range m.Outputs {
		uses[v.Name]++
	}
	var nodes []*graph.Node // that inference has not computed already
	for _, n := range m.Nodes {
		if c := types[n.Outputs[0]].Const; c != nil {
			if values[n.Outputs[0]] = converted(c); values[n.Outputs[0]] != nil {
				continue
			}
		}
		if !supported(n, uses) {
			return nil, &UnsupportedError{n.Name, n.Op}
		}
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t := types[n.Outputs[0]]
		size, err := elements(t.Shape)
		if err != nil {
			return nil, fmt.Errorf("node %q: output %q: %w", n.Name, n.Outputs[0], err)
		}
		c := &call{Node: n, opset: m.Opset[""], out: &Tensor{t.Shape, make([]float64, size)}, dtype: t.DType}
		for _, name := range n.Inputs {
			x, err := operand(m, values, name)
			if err != nil {
				return nil, fmt.Errorf("node %q: %w", n.Name, err)
			}
			c.in = append(c.in, x)
		}
		if err := operators[n.Op](c); err != nil {
			return nil, fmt.Errorf("node %q: %s: %w", n.Name, n.Op, err)
		}
		values[n.Outputs[0]] = c.out
		for _, name := range n.Inputs {
			if uses[name]--; uses[name] == 0 {
				delete(values, name)
			}
		}
	}
	outputs := make(map[string]Tensor)
	for _, v := range m.Outputs {
		x, err := operand(m, values, v.Name)
		if err != nil {
			return nil, err
		}
		outputs[v.Name] = *x
	}
	return outputs, nil
}

// supported reports whether a node can be computed: as in inference, and if
// nobody uses more than its first output.
func supported(n *graph.Node, uses map[string]int) bool {
	for i, name := range n.Outputs {
		if i > 0 && name != "" && uses[name] > 0 {
			return false
		}
	}
	training := n.Op == "Dropout" && n.Input(2) != "" || n.Int("training_mode", 0) != 0
	return operators[n.Op] != nil && n.Domain == "" && !training
}

// operand returns a value or converts a weight, nil for no name.
func operand(m *graph.Model, values map[string]*Tensor, name string) (*Tensor, error) {
	if name == "" {
		return nil, nil
	}
	if x := values[name]; x != nil {
		return x, nil
	}
	w := m.Weights[name]
	if w == nil {
		return nil, fmt.Errorf("there is no value %q", name)
	}
	t := converted(w)
	if t == nil {
		return nil, fmt.Errorf("weight %q is of %v, expected real numbers or integers", name, w.DType)
	}
	return t, nil
}

// converted returns a tensor in float64, nil for strings and complex numbers.
// The elements of float64 are rounded to float32, as the runtime does.
func converted(x *graph.Tensor) *Tensor {
	t := &Tensor{Shape: x.Shape, Values: make([]float64, 0, x.Len())}
	for _, v := range x.Floats() {
		t.Values = append(t.Values, float64(v))
	}
	for _, v := range x.Ints() {
		t.Values = append(t.Values, float64(v))
	}
	if len(t.Values) != x.Len() {
		return nil
	}
	return t
}

// maxElements bounds a value.
const maxElements = 1 << 28

// elements multiplies extents.
func elements(shape []int) (int, error) {
	n := 1
	for _, d := range shape {
		if d < 0 || d > 0 && n > maxElements/d {
			return 0, fmt.Errorf("shape %v: expected at most %d elements", shape, maxElements)
		}
		n *= d
	}
	return n, nil
}

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// strides are the distances of neighbours along each axis.
func strides(shape []int) []int {
	s := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = n
		n *= shape[i]
	}
	return s
}

// each visits the indices of a shape in memory order.
func each(shape []int, visit func(i int, at []int)) {
	at := make([]int, len(shape))
	for i := range product(shape) {
		visit(i, at)
		for a := len(shape) - 1; a >= 0; a-- {
			if at[a]++; at[a] < shape[a] {
				break
			}
			at[a] = 0
		}
	}
}
