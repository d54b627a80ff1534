package builtin

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/binary"
	"io"
	"math"

	"github.com/nnz-dev/nnz/bench/mnist"
	"github.com/nnz-dev/nnz/graph"
)

// The embedded data; data/README.md says where it comes from.
var (
	//go:embed data/lenet5.f32.gz
	lenet5Weights []byte
	//go:embed data/mnist500.u8.gz
	mnist500 []byte
)

// lenet5 is the network of LeCun et al., Gradient-Based Learning Applied to
// Document Recognition, 1998, in the form that became common: two
// convolutions, two linear layers, rectifiers. Its weights are trained; it
// reads images as [MNIST] gives them.
func lenet5(batch int) *graph.Model {
	n, x := newNet("lenet5", batch, 1, 28)
	x = n.relu(n.conv("conv1", x, conv{out: 20, kernel: 5, stride: 1, gain: reluGain}))
	x = n.pool("MaxPool", "maxpool1", x, 2, 2, 0)
	x = n.relu(n.conv("conv2", x, conv{out: 50, kernel: 5, stride: 1, gain: reluGain}))
	x = n.pool("MaxPool", "maxpool2", x, 2, 2, 0)
	x = n.flatten("flatten", x)
	x = n.relu(n.gemm("fc1", x, 500, reluGain))
	x = n.gemm("fc2", x, 10, linearGain)

	raw := unzip(lenet5Weights)
	for _, f := range n.fills {
		for i := range f.dst {
			f.dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		raw = raw[4*len(f.dst):]
	}
	n.fills = nil
	return n.finish(x)
}

// MNIST returns the first 500 images of the MNIST test set, 28 x 28 pixels
// each, and the digits they show. Pixels are normalised as the weights of
// lenet5 expect them, see [mnist.Set.Images].
func MNIST() (images [][]float32, labels []uint8) {
	const count = 500
	raw := unzip(mnist500)
	set := mnist.Set{Raw: raw[:count*mnist.Pixels], Labels: raw[count*mnist.Pixels:]}
	return set.Images(), set.Labels
}

// unzip inflates embedded data. It panics where that is damaged, as the
// program itself then is.
func unzip(data []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		panic("builtin: " + err.Error())
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		panic("builtin: " + err.Error())
	}
	return raw
}
