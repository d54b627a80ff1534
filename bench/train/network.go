package train

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/nnz-dev/nnz/graph"
)

// A Network is linear layers with rectifiers between them; the largest of its
// outputs is the class.
type Network struct{ Layers []*Layer }

// A Layer is y = Weight·x + Bias.
type Layer struct {
	In, Out int
	Weight  []float32 // Out x In
	Bias    []float32 // Out
}

// Random makes a network of so many inputs, hidden neurons and outputs. Weights
// are drawn from a normal distribution of variance 2/In, biases are 0.
//
// Source: He et al., Delving Deep into Rectifiers, 2015.
func Random(seed uint64, widths ...int) *Network {
	n := &Network{}
	r := stream(seed, weightStream)
	for i := range widths[:len(widths)-1] {
		l := &Layer{In: widths[i], Out: widths[i+1]}
		l.Weight, l.Bias = make([]float32, l.Out*l.In), make([]float32, l.Out)
		std := math.Sqrt(2 / float64(l.In))
		for j := range l.Weight {
			l.Weight[j] = float32(r.NormFloat64() * std)
		}
		n.Layers = append(n.Layers, l)
	}
	return n
}

// The streams of random numbers, so that none shifts another.
const (
	weightStream = iota
	orderStream
	dropoutStream // and on, one a layer
)

func stream(seed uint64, n int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(n))) }

// BatchSymbol is the extent of a model that is open: how many examples it runs
// at once.
const BatchSymbol = "batch"

// Model returns the network as a graph of Gemm and Relu, which shares no memory
// with it. The input is BatchSymbol x inputs, the output BatchSymbol x outputs,
// scores without softmax.
func (n *Network) Model(name string) *graph.Model {
	m := &graph.Model{
		Name:     name,
		Weights:  make(map[string]*graph.Tensor),
		Values:   make(map[string]*graph.Value),
		Opset:    map[string]int{"": 17},
		IR:       8,
		Producer: "nnz",
	}
	value := func(name string, features int) *graph.Value {
		return &graph.Value{Name: name, DType: graph.Float32, Shape: []graph.Dim{{Symbol: BatchSymbol}, {Size: features}}}
	}
	x := value("input", n.Layers[0].In)
	m.Inputs = []*graph.Value{x}
	node := func(op, name string, features int, inputs ...string) *graph.Node {
		x = value(name, features)
		m.Values[name] = x
		node := &graph.Node{Name: name, Op: op, Inputs: inputs, Outputs: []string{name}}
		m.Nodes = append(m.Nodes, node)
		return node
	}
	for i, l := range n.Layers {
		name := fmt.Sprintf("fc%d", i+1)
		weight, bias := name+".weight", name+".bias"
		m.Weights[weight] = graph.FromFloats([]int{l.Out, l.In}, append([]float32(nil), l.Weight...))
		m.Weights[bias] = graph.FromFloats([]int{l.Out}, append([]float32(nil), l.Bias...))
		node("Gemm", name, l.Out, x.Name, weight, bias).Set("transB", 1)
		if i < len(n.Layers)-1 {
			node("Relu", name+".relu", l.Out, x.Name)
		}
	}
	delete(m.Values, x.Name)
	m.Outputs = []*graph.Value{x}
	return m
}
