// Package kernels measures single layers: how close each kernel comes to what
// this processor can do, and to a dense layer of the same shape. Layers are
// compiled as models of one layer, so what is timed is what a network would
// run: format, tiles and K-blocks included.
package kernels

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/nnz-dev/nnz/graph"
)

// A Layer is the shape of a convolution over a square image, or of a linear
// layer.
type Layer struct {
	Name    string
	In, Out int // features
	// Size is the side of the input image; 0 makes a linear layer.
	Size int
	// Kernel is the side of the window and Stride its step; 0 means 1. Half the
	// window is padding, as in all networks of [Sets].
	Kernel, Stride int
	Groups         int // of features; 0 means 1
	Columns        int // of a linear layer: tokens or examples
}

func (l Layer) window() int { return cmp.Or(l.Kernel, 1) }
func (l Layer) stride() int { return cmp.Or(l.Stride, 1) }
func (l Layer) groups() int { return cmp.Or(l.Groups, 1) }

// OutSize returns the side of the output image.
func (l Layer) OutSize() int {
	return (l.Size+2*(l.window()/2)-l.window())/l.stride() + 1
}

// Dims returns the extents of the matrix product that the layer is: m outputs,
// k weights for each, n columns.
func (l Layer) Dims() (m, k, n int) {
	m, k, n = l.Out, l.In/l.groups()*l.window()*l.window(), l.Columns
	if l.Size > 0 {
		n = l.OutSize() * l.OutSize()
	}
	return m, k, n
}

// The families of kernels that measurements are grouped by.
const (
	SpMM      = "spmm"      // sparse weights
	SpMV      = "spmv"      // weights of any density, few columns
	GEMM      = "gemm"      // dense weights
	Depthwise = "depthwise" // a group for each feature
	Vec       = "vec"       // no weights: elementwise functions and reductions
)

// Families lists the families.
func Families() []string { return []string{SpMM, SpMV, GEMM, Depthwise, Vec} }

// fewColumns is up to how many columns a product counts as of a vector.
const fewColumns = 4

// Family returns the family that the layer belongs to with a weight of the
// given sparsity.
func (l Layer) Family(sparsity float64) string {
	_, k, n := l.Dims()
	switch {
	case l.groups() > 1 && k == l.window()*l.window():
		return Depthwise
	case n <= fewColumns:
		return SpMV
	case sparsity == 0:
		return GEMM
	}
	return SpMM
}

// String describes the shape: 3x3/2 64-128@56, or 3072x768x128.
func (l Layer) String() string {
	if l.Size == 0 {
		return fmt.Sprintf("%dx%dx%d", l.Out, l.In, l.Columns)
	}
	s := fmt.Sprintf("%dx%d", l.window(), l.window())
	if l.stride() > 1 {
		s += "/" + strconv.Itoa(l.stride())
	}
	s += fmt.Sprintf(" %d-%d@%d", l.In, l.Out, l.Size)
	if l.groups() > 1 {
		s += fmt.Sprintf(" g%d", l.groups())
	}
	return s
}

// ParseShape reads M,K,N as a linear layer of M outputs, K inputs and N
// columns.
func ParseShape(s string) (Layer, error) {
	parts := strings.Split(s, ",")
	if len(parts) != 3 {
		return Layer{}, fmt.Errorf("shape %q: expected M,K,N", s)
	}
	var d [3]int
	for i, p := range parts {
		n, err := strconv.Atoi(strings.TrimSpace(p))
		if err != nil || n < 1 || n > 1<<24 {
			return Layer{}, fmt.Errorf("shape %q: expected M,K,N of positive numbers", s)
		}
		d[i] = n
	}
	if d[0]*d[1] > 1<<30 || d[1]*d[2] > 1<<30 || d[0]*d[2] > 1<<30 {
		return Layer{}, fmt.Errorf("shape %q: a matrix of more than 2^30 elements", s)
	}
	return Layer{Name: s, Out: d[0], In: d[1], Columns: d[2]}, nil
}

// feedChannels is how many features the input of a model has where a feeder
// makes the layer's own input of them.
const feedChannels = 4

// The names of a one-layer model.
const (
	inputName  = "input"  // of the model
	sourceName = "source" // what the measured layer reads
	outputName = "output"
	layerName  = "layer" // the node
)

// Model makes a model of the layer with a weight of m x k elements, out x in.
// Its input is an image, or a row for each column of a linear layer; so is its
// output.
func (l Layer) Model(weight []float32) (*graph.Model, error) {
	m, k, _ := l.Dims()
	if len(weight) != m*k {
		return nil, fmt.Errorf("layer %v: %d weights, expected %d x %d", l, len(weight), m, k)
	}
	g := &graph.Model{Name: l.Name, Weights: make(map[string]*graph.Tensor), Opset: map[string]int{"": 17}, IR: 8}
	if l.Size == 0 {
		n := &graph.Node{Name: layerName, Op: "Gemm", Inputs: []string{inputName, "weight"}, Outputs: []string{outputName}}
		n.Set("transB", 1)
		g.Weights["weight"] = graph.FromFloats([]int{m, k}, weight)
		g.Inputs = []*graph.Value{value(inputName, l.Columns, l.In)}
		g.Outputs = []*graph.Value{value(outputName, l.Columns, l.Out)}
		g.Nodes = []*graph.Node{n}
		return g, nil
	}
	side := l.OutSize()
	g.Inputs = []*graph.Value{value(inputName, 1, l.In, l.Size, l.Size)}
	g.Outputs = []*graph.Value{value(outputName, 1, l.Out, side, side)}
	g.Weights["weight"] = graph.FromFloats([]int{l.Out, l.In / l.groups(), l.window(), l.window()}, weight)
	g.Nodes = []*graph.Node{conv(layerName, inputName, "weight", outputName, l)}
	return g, nil
}

// feed puts a small convolution before the layer's, so that this reads what
// another layer wrote, as in a network: an image with a halo to be filled. What
// it reads becomes an output of the model.
func (l Layer) feed(g *graph.Model) {
	g.Inputs = []*graph.Value{value(inputName, 1, feedChannels, l.Size, l.Size)}
	g.Outputs = append(g.Outputs, value(sourceName, 1, l.In, l.Size, l.Size))
	g.Weights["feed"] = graph.FromFloats([]int{l.In, feedChannels, 1, 1}, normals(l.In*feedChannels, feedSeed))
	g.Nodes[0].Inputs[0] = sourceName
	g.Nodes = append([]*graph.Node{conv("feeder", inputName, "feed", sourceName, Layer{})}, g.Nodes...)
}

// fed reports whether a feeder makes the layer's input: where its window is
// larger than a pixel.
func (l Layer) fed() bool { return l.window() > 1 && l.In > feedChannels }

func value(name string, shape ...int) *graph.Value {
	return &graph.Value{Name: name, DType: graph.Float32, Shape: graph.Dims(shape...)}
}

// conv makes a convolution node with the window of a layer.
func conv(name, x, w, y string, l Layer) *graph.Node {
	n := &graph.Node{Name: name, Op: "Conv", Inputs: []string{x, w}, Outputs: []string{y}}
	pad := l.window() / 2
	n.Set("kernel_shape", []int{l.window(), l.window()})
	n.Set("strides", []int{l.stride(), l.stride()})
	n.Set("pads", []int{pad, pad, pad, pad})
	n.Set("group", l.groups())
	return n
}
