package builtin

import (
	"fmt"

	"github.com/nnz-dev/nnz/graph"
)

// mobileNetV1 is the network at full width for images of 224 pixels. Source:
// Howard et al., MobileNets, 2017, table 1.
func mobileNetV1(batch int) *graph.Model {
	n, x := newNet("mobilenet_v1", batch, 3, 224)
	x = n.relu(n.conv("features.0", x, conv{out: 32, kernel: 3, stride: 2, pad: 1, gain: reluGain}))
	for i, l := range []struct{ out, stride int }{
		{64, 1}, {128, 2}, {128, 1}, {256, 2}, {256, 1}, {512, 2},
		{512, 1}, {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1},
	} {
		name := fmt.Sprintf("features.%d", i+1)
		x = n.relu(n.conv(name+".depthwise", x, conv{out: x.channels, kernel: 3, stride: l.stride, pad: 1, groups: x.channels, gain: reluGain}))
		x = n.relu(n.conv(name+".pointwise", x, conv{out: l.out, kernel: 1, stride: 1, gain: reluGain}))
	}
	x = n.flatten("flatten", n.globalPool("avgpool", x))
	return n.finish(n.gemm("classifier", x, 1000, linearGain))
}

// mobileNetV2 is torchvision's mobilenet_v2. Source: Sandler et al.,
// MobileNetV2: Inverted Residuals and Linear Bottlenecks, 2018, table 2.
func mobileNetV2(batch int) *graph.Model {
	n, x := newNet("mobilenet_v2", batch, 3, 224)
	x = n.relu6(n.conv("features.0.0", x, conv{out: 32, kernel: 3, stride: 2, pad: 1, gain: reluGain}))
	block := 1
	for _, s := range []struct{ expand, out, blocks, stride int }{
		{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1},
	} {
		for i := range s.blocks {
			stride := 1
			if i == 0 {
				stride = s.stride
			}
			x = n.invertedResidual(fmt.Sprintf("features.%d", block), x, s.expand, s.out, stride)
			block++
		}
	}
	x = n.relu6(n.conv(fmt.Sprintf("features.%d.0", block), x, conv{out: 1280, kernel: 1, stride: 1, gain: reluGain}))
	x = n.flatten("flatten", n.globalPool("avgpool", x))
	return n.finish(n.gemm("classifier.1", x, 1000, linearGain))
}

// invertedResidual adds a block of an expanding 1x1, a depthwise 3x3 and a
// linear 1x1 convolution.
func (n *net) invertedResidual(name string, x value, expand, out, stride int) value {
	y, layer := x, 0
	hidden := x.channels * expand
	if expand > 1 {
		y = n.relu6(n.conv(name+".conv.0.0", y, conv{out: hidden, kernel: 1, stride: 1, gain: reluGain}))
		layer++
	}
	y = n.relu6(n.conv(fmt.Sprintf("%s.conv.%d.0", name, layer), y,
		conv{out: hidden, kernel: 3, stride: stride, pad: 1, groups: hidden, gain: reluGain}))
	shortcut := stride == 1 && x.channels == out
	project := conv{out: out, kernel: 1, stride: 1, gain: linearGain}
	if shortcut {
		project.gain = branchGain
	}
	y = n.conv(fmt.Sprintf("%s.conv.%d", name, layer+1), y, project)
	if shortcut {
		y = n.add(name+".add", x, y)
	}
	return y
}
