package builtin

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"sync"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/huge"
)

// A net is a model under construction. Every method that adds a node names it
// and its output alike, and returns that output.
type net struct {
	model *graph.Model
	fills []fill
}

// A value is an output of a node: batch x channels x height x width, or batch
// x channels where height is 0.
type value struct {
	name                           string
	batch, channels, height, width int
}

// A fill is a weight whose elements are still to be drawn from a normal
// distribution.
type fill struct {
	name string
	dst  []float32
	std  float64
}

// Gains of a layer: the root of the factor by which the second moment of
// activations grows. Weights are drawn with the variance gain²/fan-in, so that
// it stays level through the network.
//
// Source: He et al., Delving Deep into Rectifiers, 2015.
const (
	reluGain   = math.Sqrt2 // a rectifier follows, and halves the second moment
	linearGain = 1
	branchGain = 0.5 // the sum with the shortcut grows by a quarter only
)

// biasStd is the standard deviation of biases: small beside activations of
// about 1.
const biasStd = 0.01

func newNet(name string, batch, channels, size int) (*net, value) {
	in := value{"input", batch, channels, size, size}
	return &net{model: &graph.Model{
		Name:     name,
		Inputs:   []*graph.Value{in.typed()},
		Weights:  make(map[string]*graph.Tensor),
		Values:   make(map[string]*graph.Value),
		Opset:    map[string]int{"": 17},
		IR:       8,
		Producer: "nnz",
	}}, in
}

func (v value) typed() *graph.Value {
	shape := graph.Dims(v.batch, v.channels)
	if v.height > 0 {
		shape = graph.Dims(v.batch, v.channels, v.height, v.width)
	}
	return &graph.Value{Name: v.name, DType: graph.Float32, Shape: shape}
}

// node appends a node that computes out.
func (n *net) node(op string, out value, inputs ...string) (*graph.Node, value) {
	node := &graph.Node{Name: out.name, Op: op, Inputs: inputs, Outputs: []string{out.name}}
	n.model.Nodes = append(n.model.Nodes, node)
	n.model.Values[out.name] = out.typed()
	return node, out
}

// weight adds a weight of random elements.
func (n *net) weight(name string, std float64, shape ...int) string {
	t := 1
	for _, d := range shape {
		t *= d
	}
	v := huge.Make[float32](t) // dense layers may use it where it lies
	n.model.Weights[name] = graph.FromFloats(shape, v)
	n.fills = append(n.fills, fill{name, v, std})
	return name
}

// A conv is the shape of a square convolution. No groups means one.
type conv struct {
	out, kernel, stride, pad, groups int
	gain                             float64
}

func (n *net) conv(name string, x value, c conv) value {
	c.groups = max(1, c.groups)
	out := x
	out.name, out.channels = name, c.out
	out.height = (x.height+2*c.pad-c.kernel)/c.stride + 1
	out.width = (x.width+2*c.pad-c.kernel)/c.stride + 1
	in := x.channels / c.groups
	node, out := n.node("Conv", out, x.name,
		n.weight(name+".weight", c.gain/math.Sqrt(float64(in*c.kernel*c.kernel)), c.out, in, c.kernel, c.kernel),
		n.weight(name+".bias", biasStd, c.out))
	node.Set("dilations", []int{1, 1})
	node.Set("group", c.groups)
	node.Set("kernel_shape", []int{c.kernel, c.kernel})
	node.Set("pads", []int{c.pad, c.pad, c.pad, c.pad})
	node.Set("strides", []int{c.stride, c.stride})
	return out
}

func (n *net) gemm(name string, x value, features int, gain float64) value {
	out := value{name: name, batch: x.batch, channels: features}
	node, out := n.node("Gemm", out, x.name,
		n.weight(name+".weight", gain/math.Sqrt(float64(x.channels)), features, x.channels),
		n.weight(name+".bias", biasStd, features))
	node.Set("alpha", float32(1))
	node.Set("beta", float32(1))
	node.Set("transB", 1)
	return out
}

func (n *net) relu(x value) value {
	in := x.name
	x.name += ".relu"
	_, out := n.node("Relu", x, in)
	return out
}

// relu6 clamps to 0 … 6, by a Clip as exporters write it.
func (n *net) relu6(x value) value {
	for name, v := range map[string]float32{"relu6.min": 0, "relu6.max": 6} {
		if n.model.Weights[name] == nil {
			n.model.Weights[name] = graph.FromFloats([]int{}, []float32{v})
		}
	}
	in := x.name
	x.name += ".relu6"
	_, out := n.node("Clip", x, in, "relu6.min", "relu6.max")
	return out
}

func (n *net) add(name string, a, b value) value {
	out := a
	out.name = name
	_, out = n.node("Add", out, a.name, b.name)
	return out
}

// pool adds a MaxPool or AveragePool over square windows.
func (n *net) pool(op, name string, x value, kernel, stride, pad int) value {
	out := x
	out.name = name
	out.height = (x.height+2*pad-kernel)/stride + 1
	out.width = (x.width+2*pad-kernel)/stride + 1
	node, out := n.node(op, out, x.name)
	node.Set("ceil_mode", 0)
	node.Set("kernel_shape", []int{kernel, kernel})
	node.Set("pads", []int{pad, pad, pad, pad})
	node.Set("strides", []int{stride, stride})
	return out
}

func (n *net) globalPool(name string, x value) value {
	out := x
	out.name, out.height, out.width = name, 1, 1
	_, out = n.node("GlobalAveragePool", out, x.name)
	return out
}

func (n *net) flatten(name string, x value) value {
	out := value{name: name, batch: x.batch, channels: x.channels * x.height * x.width}
	node, out := n.node("Flatten", out, x.name)
	node.Set("axis", 1)
	return out
}

// finish names the output and draws the weights.
func (n *net) finish(out value) *graph.Model {
	last := n.model.Nodes[len(n.model.Nodes)-1]
	delete(n.model.Values, out.name)
	out.name = "output"
	last.Outputs[0] = out.name
	n.model.Outputs = []*graph.Value{out.typed()}
	n.draw()
	return n.model
}

// draw fills the weights, each from a stream of its own that is seeded by the
// names of network and weight, so that neither the order nor the number of
// goroutines changes a value.
func (n *net) draw() {
	work := make(chan fill)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for f := range work {
				h := fnv.New64a()
				h.Write([]byte(n.model.Name + "/" + f.name))
				r := rand.New(rand.NewPCG(h.Sum64(), 0))
				for i := range f.dst {
					f.dst[i] = float32(r.NormFloat64() * f.std)
				}
			}
		})
	}
	for _, f := range n.fills {
		work <- f
	}
	close(work)
	wg.Wait()
}
