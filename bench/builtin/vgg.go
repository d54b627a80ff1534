package builtin

import (
	"fmt"

	"github.com/nnz-dev/nnz/graph"
)

// vgg16 is torchvision's vgg16. Source: Simonyan and Zisserman, Very Deep
// Convolutional Networks for Large-Scale Image Recognition, 2014, column D.
func vgg16(batch int) *graph.Model {
	n, x := newNet("vgg16", batch, 3, 224)
	i := 0 // index in the Sequential, whose other members are rectifiers and pools
	for _, stage := range [][]int{{64, 64}, {128, 128}, {256, 256, 256}, {512, 512, 512}, {512, 512, 512}} {
		for _, out := range stage {
			x = n.relu(n.conv(fmt.Sprintf("features.%d", i), x, conv{out: out, kernel: 3, stride: 1, pad: 1, gain: reluGain}))
			i += 2
		}
		x = n.pool("MaxPool", fmt.Sprintf("features.%d", i), x, 2, 2, 0)
		i++
	}
	// The adaptive pooling to 7 x 7 does nothing at this size, and is exported
	// as an average over one pixel.
	x = n.pool("AveragePool", "avgpool", x, 1, 1, 0)
	x = n.flatten("flatten", x)
	x = n.relu(n.gemm("classifier.0", x, 4096, reluGain))
	x = n.relu(n.gemm("classifier.3", x, 4096, reluGain))
	return n.finish(n.gemm("classifier.6", x, 1000, linearGain))
}
