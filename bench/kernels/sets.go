package kernels

import (
	"fmt"
	"slices"
	"strings"
)

// A Set is the layers of a network, each distinct shape once, in the order in
// which they first run.
type Set struct {
	Name   string
	Layers []Layer
}

// Sets returns the layers of well-known networks, for images of 224 pixels.
// Products without a constant weight, those of attention, are no layers.
func Sets() []Set {
	return []Set{
		{"resnet50", resNet50()},
		{"mobilenet_v1", mobileNetV1()},
		{"mobilenet_v2", mobileNetV2()},
		{"mobilenet_v3", mobileNetV3()},
		{"vgg16", vgg16()},
		{"bert_128", transformer(768, 128)},
		{"bert_384", transformer(768, 384)},
		{"vit", vit()},
		{"gpt2_n1", gpt2()},
	}
}

// SetNames lists the names of Sets.
func SetNames() []string {
	var names []string
	for _, s := range Sets() {
		names = append(names, s.Name)
	}
	return names
}

// FindSet returns the layers of a set.
func FindSet(name string) ([]Layer, error) {
	sets := Sets()
	i := slices.IndexFunc(sets, func(s Set) bool { return s.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("set %q: expected one of %s", name, strings.Join(SetNames(), ", "))
	}
	return sets[i].Layers, nil
}

// distinct collects layers, each shape once under the name it first had.
type distinct []Layer

func (d *distinct) add(l Layer) {
	bare := func(l Layer) Layer { l.Name = ""; return l }
	if !slices.ContainsFunc(*d, func(have Layer) bool { return bare(have) == bare(l) }) {
		*d = append(*d, l)
	}
}

// resNet50 has its strides in the 3x3 convolutions, as torchvision's. Source:
// He et al., Deep Residual Learning for Image Recognition, 2015.
func resNet50() []Layer {
	var d distinct
	d.add(Layer{Name: "stem", In: 3, Out: 64, Size: 224, Kernel: 7, Stride: 2})
	in, size := 64, 56
	for stage, blocks := range []int{3, 4, 6, 3} {
		width := 64 << stage
		for block := range blocks {
			name, stride := fmt.Sprintf("stage%d.%d", stage+1, block), 1
			if stage > 0 && block == 0 {
				stride = 2
			}
			d.add(Layer{Name: name + ".reduce", In: in, Out: width, Size: size, Kernel: 1, Stride: 1})
			d.add(Layer{Name: name + ".3x3", In: width, Out: width, Size: size, Kernel: 3, Stride: stride})
			d.add(Layer{Name: name + ".expand", In: width, Out: 4 * width, Size: size / stride, Kernel: 1, Stride: 1})
			if block == 0 {
				d.add(Layer{Name: name + ".shortcut", In: in, Out: 4 * width, Size: size, Kernel: 1, Stride: stride})
			}
			in, size = 4*width, size/stride
		}
	}
	d.add(Layer{Name: "classifier", In: in, Out: 1000, Columns: 1})
	return d
}

// mobileNetV1 has the full width. Source: Howard et al., MobileNets, 2017,
// table 1.
func mobileNetV1() []Layer {
	var d distinct
	d.add(Layer{Name: "stem", In: 3, Out: 32, Size: 224, Kernel: 3, Stride: 2})
	in, size := 32, 112
	for i, b := range []struct{ out, stride int }{
		{64, 1}, {128, 2}, {128, 1}, {256, 2}, {256, 1}, {512, 2},
		{512, 1}, {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1},
	} {
		name := fmt.Sprintf("block%d", i+1)
		d.add(Layer{Name: name + ".depthwise", In: in, Out: in, Size: size, Kernel: 3, Stride: b.stride, Groups: in})
		size /= b.stride
		d.add(Layer{Name: name + ".pointwise", In: in, Out: b.out, Size: size, Kernel: 1, Stride: 1})
		in = b.out
	}
	d.add(Layer{Name: "classifier", In: in, Out: 1000, Columns: 1})
	return d
}

// mobileNetV2 is after Sandler et al., MobileNetV2: Inverted Residuals and
// Linear Bottlenecks, 2018, table 2.
func mobileNetV2() []Layer {
	var d distinct
	d.add(Layer{Name: "stem", In: 3, Out: 32, Size: 224, Kernel: 3, Stride: 2})
	in, size, block := 32, 112, 0
	for _, s := range []struct{ expand, out, blocks, stride int }{
		{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1},
	} {
		for i := range s.blocks {
			stride, hidden := 1, in*s.expand
			if i == 0 {
				stride = s.stride
			}
			block++
			name := fmt.Sprintf("block%d", block)
			if s.expand > 1 {
				d.add(Layer{Name: name + ".expand", In: in, Out: hidden, Size: size, Kernel: 1, Stride: 1})
			}
			d.add(Layer{Name: name + ".depthwise", In: hidden, Out: hidden, Size: size, Kernel: 3, Stride: stride, Groups: hidden})
			size /= stride
			d.add(Layer{Name: name + ".project", In: hidden, Out: s.out, Size: size, Kernel: 1, Stride: 1})
			in = s.out
		}
	}
	d.add(Layer{Name: "head", In: in, Out: 1280, Size: size, Kernel: 1, Stride: 1})
	d.add(Layer{Name: "classifier", In: 1280, Out: 1000, Columns: 1})
	return d
}

// mobileNetV3 is the large one, which has 5x5 depthwise layers, without the
// products of single columns of its squeeze and excitation. Source: Howard et
// al., Searching for MobileNetV3, 2019, table 1.
func mobileNetV3() []Layer {
	var d distinct
	d.add(Layer{Name: "stem", In: 3, Out: 16, Size: 224, Kernel: 3, Stride: 2})
	in, size := 16, 112
	for i, b := range []struct{ kernel, hidden, out, stride int }{
		{3, 16, 16, 1}, {3, 64, 24, 2}, {3, 72, 24, 1}, {5, 72, 40, 2}, {5, 120, 40, 1}, {5, 120, 40, 1}, {3, 240, 80, 2}, {3, 200, 80, 1},
		{3, 184, 80, 1}, {3, 184, 80, 1}, {3, 480, 112, 1}, {3, 672, 112, 1}, {5, 672, 160, 2}, {5, 960, 160, 1}, {5, 960, 160, 1},
	} {
		name := fmt.Sprintf("block%d", i+1)
		if b.hidden > in {
			d.add(Layer{Name: name + ".expand", In: in, Out: b.hidden, Size: size, Kernel: 1, Stride: 1})
		}
		d.add(Layer{Name: name + ".depthwise", In: b.hidden, Out: b.hidden, Size: size, Kernel: b.kernel, Stride: b.stride, Groups: b.hidden})
		size /= b.stride
		d.add(Layer{Name: name + ".project", In: b.hidden, Out: b.out, Size: size, Kernel: 1, Stride: 1})
		in = b.out
	}
	d.add(Layer{Name: "head", In: in, Out: 960, Size: size, Kernel: 1, Stride: 1})
	d.add(Layer{Name: "hidden", In: 960, Out: 1280, Columns: 1})
	d.add(Layer{Name: "classifier", In: 1280, Out: 1000, Columns: 1})
	return d
}

// vgg16 is configuration D of Simonyan and Zisserman, Very Deep Convolutional
// Networks for Large-Scale Image Recognition, 2014.
func vgg16() []Layer {
	var d distinct
	in, size := 3, 224
	for stage, s := range []struct{ out, layers int }{{64, 2}, {128, 2}, {256, 3}, {512, 3}, {512, 3}} {
		for i := range s.layers {
			d.add(Layer{Name: fmt.Sprintf("conv%d_%d", stage+1, i+1), In: in, Out: s.out, Size: size, Kernel: 3, Stride: 1})
			in = s.out
		}
		size /= 2
	}
	for i, l := range []struct{ in, out int }{{in * size * size, 4096}, {4096, 4096}, {4096, 1000}} {
		d.add(Layer{Name: fmt.Sprintf("fc%d", i+6), In: l.in, Out: l.out, Columns: 1})
	}
	return d
}

// transformer has the linear layers of an encoder block as of BERT-base.
// Source: Devlin et al., BERT, 2018.
func transformer(width, tokens int) []Layer {
	return []Layer{
		{Name: "attention", In: width, Out: width, Columns: tokens},
		{Name: "ffn_up", In: width, Out: 4 * width, Columns: tokens},
		{Name: "ffn_down", In: 4 * width, Out: width, Columns: tokens},
	}
}

// vit is ViT-B/16 for 14 x 14 patches of 16 pixels and a class token. Source:
// Dosovitskiy et al., An Image is Worth 16x16 Words, 2020.
func vit() []Layer {
	const width, patches = 768, 14 * 14
	layers := []Layer{{Name: "patches", In: 3 * 16 * 16, Out: width, Columns: patches}}
	layers = append(layers, transformer(width, patches+1)...)
	return append(layers, Layer{Name: "classifier", In: width, Out: 1000, Columns: 1})
}

// gpt2 is a decoder of the width of GPT-2 that makes one token at a time.
// Source: Radford et al., Language Models are Unsupervised Multitask Learners,
// 2019.
func gpt2() []Layer {
	const width, vocabulary = 768, 50257
	return []Layer{
		{Name: "qkv", In: width, Out: 3 * width, Columns: 1},
		{Name: "attention", In: width, Out: width, Columns: 1},
		{Name: "ffn_up", In: width, Out: 4 * width, Columns: 1},
		{Name: "ffn_down", In: 4 * width, Out: width, Columns: 1},
		{Name: "vocabulary", In: width, Out: vocabulary, Columns: 1},
	}
}
