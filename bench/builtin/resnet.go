package builtin

import (
	"fmt"

	"github.com/nnz-dev/nnz/graph"
)

// resnet50 is torchvision's resnet50, whose strides are in the 3x3
// convolutions. Source: He et al., Deep Residual Learning for Image
// Recognition, 2015.
func resnet50(batch int) *graph.Model {
	n, x := newNet("resnet50", batch, 3, 224)
	x = n.relu(n.conv("conv1", x, conv{out: 64, kernel: 7, stride: 2, pad: 3, gain: reluGain}))
	x = n.pool("MaxPool", "maxpool", x, 3, 2, 1)
	for stage, blocks := range []int{3, 4, 6, 3} {
		stride := 2
		if stage == 0 {
			stride = 1
		}
		for block := range blocks {
			x = n.bottleneck(fmt.Sprintf("layer%d.%d", stage+1, block), x, 64<<stage, stride)
			stride = 1
		}
	}
	x = n.flatten("flatten", n.globalPool("avgpool", x))
	return n.finish(n.gemm("fc", x, 1000, linearGain))
}

// bottleneck adds a residual block of 1x1, 3x3 and 1x1 convolutions.
func (n *net) bottleneck(name string, x value, width, stride int) value {
	y := n.relu(n.conv(name+".conv1", x, conv{out: width, kernel: 1, stride: 1, gain: reluGain}))
	y = n.relu(n.conv(name+".conv2", y, conv{out: width, kernel: 3, stride: stride, pad: 1, gain: reluGain}))
	y = n.conv(name+".conv3", y, conv{out: 4 * width, kernel: 1, stride: 1, gain: branchGain})
	if x.channels != y.channels {
		x = n.conv(name+".downsample.0", x, conv{out: 4 * width, kernel: 1, stride: stride, gain: linearGain})
	}
	return n.relu(n.add(name+".add", y, x))
}
