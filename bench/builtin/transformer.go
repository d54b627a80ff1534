package builtin

import (
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/graph"
)

// shaped appends a node whose real output of the given shape has the node's
// name, and returns that.
func (n *net) shaped(op, name string, shape []int, inputs ...string) (*graph.Node, string) {
	node := &graph.Node{Name: name, Op: op, Inputs: inputs, Outputs: []string{name}}
	n.model.Nodes = append(n.model.Nodes, node)
	n.model.Values[name] = &graph.Value{Name: name, DType: graph.Float32, Shape: graph.Dims(shape...)}
	return node, name
}

// shape returns the shape of a value that shaped made.
func (n *net) shape(name string) []int {
	var dims []int
	for _, d := range n.model.Values[name].Shape {
		dims = append(dims, d.Size)
	}
	return dims
}

// scalar returns a constant of one number.
func (n *net) scalar(name string, v float32) string {
	n.model.Weights[name] = graph.FromFloats([]int{}, []float32{v})
	return name
}

// ints returns a constant list of integers.
func (n *net) ints(name string, v ...int) string {
	list := make([]int64, len(v))
	for i, x := range v {
		list[i] = int64(x)
	}
	n.model.Weights[name] = graph.FromInts(graph.Int64, []int{len(v)}, list)
	return name
}

// dense adds a linear layer over the last axis as exporters write one of more
// than two axes: MatMul with a weight that is in x out, and Add.
func (n *net) dense(name, x string, out int, gain float64) string {
	shape := n.shape(x)
	last := len(shape) - 1
	in := shape[last]
	shape[last] = out
	_, y := n.shaped("MatMul", name+".matmul", shape, x, n.weight(name+".weight", gain/math.Sqrt(float64(in)), in, out))
	_, y = n.shaped("Add", name, shape, n.weight(name+".bias", biasStd, out), y)
	return y
}

// layerNorm adds normalisation over the last axis, with scales of one.
func (n *net) layerNorm(name, x string, epsilon float32) string {
	shape := n.shape(x)
	width := shape[len(shape)-1]
	ones := make([]float32, width)
	for i := range ones {
		ones[i] = 1
	}
	n.model.Weights[name+".weight"] = graph.FromFloats([]int{width}, ones)
	node, y := n.shaped("LayerNormalization", name, shape, x, name+".weight", n.weight(name+".bias", biasStd, width))
	node.Set("axis", -1)
	node.Set("epsilon", epsilon)
	return y
}

// gelu adds x · (1 + erf(x/√2)) / 2, by the nodes that exporters write.
func (n *net) gelu(name, x string) string {
	shape := n.shape(x)
	_, y := n.shaped("Div", name+".div", shape, x, n.scalar("gelu.root2", math.Sqrt2))
	_, y = n.shaped("Erf", name+".erf", shape, y)
	_, y = n.shaped("Add", name+".add", shape, y, n.scalar("gelu.one", 1))
	_, y = n.shaped("Mul", name+".mul", shape, x, y)
	_, y = n.shaped("Mul", name, shape, y, n.scalar("gelu.half", 0.5))
	return y
}

func (n *net) reshape(name, x string, shape ...int) string {
	_, y := n.shaped("Reshape", name, shape, x, n.ints(name+".shape", shape...))
	return y
}

func (n *net) transpose(name, x string, perm ...int) string {
	from := n.shape(x)
	shape := make([]int, len(perm))
	for i, p := range perm {
		shape[i] = from[p]
	}
	node, y := n.shaped("Transpose", name, shape, x)
	node.Set("perm", perm)
	return y
}

// first takes the first token of [batch, tokens, features].
func (n *net) first(name, x string) value {
	shape := n.shape(x)
	n.model.Weights[name+".index"] = graph.FromInts(graph.Int64, []int{}, []int64{0})
	node, y := n.shaped("Gather", name, []int{shape[0], shape[2]}, x, name+".index")
	node.Set("axis", 1)
	return value{name: y, batch: shape[0], channels: shape[2]}
}

// sum adds two values of equal shape.
func (n *net) sum(name, a, b string) string {
	_, y := n.shaped("Add", name, n.shape(a), a, b)
	return y
}

// softmax runs over the last axis.
func (n *net) softmax(name, x string) string {
	node, y := n.shaped("Softmax", name, n.shape(x), x)
	node.Set("axis", -1)
	return y
}

func layerName(prefix string, i int) string { return fmt.Sprintf("%s%d", prefix, i) }
