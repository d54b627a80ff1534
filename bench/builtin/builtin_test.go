package builtin

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/prune"
)

func mustLoad(t *testing.T, name string) *graph.Model {
	t.Helper()
	m, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Parameters are those that torchvision and the papers count, without what
// folding a batch normalisation into its convolution removes: one of its two
// parameters a channel.
func TestNetworks(t *testing.T) {
	cases := []struct {
		name           string
		params, folded int
		convs, gemms   int
		output         []int
	}{
		{"lenet5", 431080, 0, 2, 2, []int{1, 10}},
		{"resnet50", 25557032, 26560, 53, 1, []int{1, 1000}},
		{"mobilenet_v1", 4231976, 10944, 27, 1, []int{1, 1000}},
		{"mobilenet_v2", 3504872, 17056, 52, 1, []int{1, 1000}},
		{"vgg16", 138357544, 0, 13, 3, []int{1, 1000}},
		{"bert_base_128", 109482240, 0, 0, 1, []int{1, 128, 768}},
		{"vit_b_16", 86567656, 0, 1, 13, []int{1, 1000}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := mustLoad(t, c.name)
			params, ops := 0, map[string]int{}
			for _, w := range m.Weights {
				if len(w.Shape) > 0 && w.DType.Float() { // the bounds of a Clip and shapes are no parameters
					params += w.Len()
				}
			}
			for _, n := range m.Nodes {
				ops[n.Op]++
			}
			if params != c.params-c.folded {
				t.Errorf("%d parameters, want %d", params, c.params-c.folded)
			}
			if ops["Conv"] != c.convs || ops["Gemm"] != c.gemms {
				t.Errorf("operators %v, want %d Conv and %d Gemm", ops, c.convs, c.gemms)
			}
			if got := m.Outputs[0].Shape; !slices.Equal(got, graph.Dims(c.output...)) {
				t.Errorf("output shape %v, want %v", got, c.output)
			}
			checkTypes(t, m)
		})
	}
	if len(cases) != len(Names()) {
		t.Errorf("%d cases for the networks %v", len(cases), Names())
	}
}

// checkTypes checks that the graph is valid and that the types it gives are
// those that follow from its inputs.
func checkTypes(t *testing.T, m *graph.Model) {
	t.Helper()
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	types, err := graph.Infer(m, graph.InferOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range m.Nodes {
		v := m.Values[n.Outputs[0]]
		for _, out := range m.Outputs {
			if out.Name == n.Outputs[0] {
				v = out
			}
		}
		got := types[n.Outputs[0]]
		if v == nil || v.Name != n.Outputs[0] || v.DType != got.DType || !slices.Equal(v.Shape, graph.Dims(got.Shape...)) {
			t.Errorf("%s has type %v %v, but %v %v follows", n.Name, v.DType, v.Shape, got.DType, got.Shape)
		}
	}
}

func TestWeightsAreSeeded(t *testing.T) {
	a, b := mustLoad(t, "mobilenet_v1"), mustLoad(t, "mobilenet_v1")
	for name, w := range a.Weights {
		if !slices.Equal(w.Floats(), b.Weights[name].Floats()) {
			t.Fatalf("%s differs between two models", name)
		}
	}
	w := a.Weights["features.13.pointwise.weight"]
	sum, squares := 0.0, 0.0
	for _, x := range w.Floats() {
		sum += float64(x)
		squares += float64(x) * float64(x)
	}
	n := float64(w.Len())
	want := reluGain / math.Sqrt(float64(w.Shape[1]))
	if mean, std := sum/n, math.Sqrt(squares/n); math.Abs(mean) > 0.01*want || math.Abs(std/want-1) > 0.01 {
		t.Errorf("weights of mean %g and deviation %g, want 0 and %g", mean, std, want)
	}
	if slices.Equal(w.Floats()[:8], a.Weights["features.12.pointwise.weight"].Floats()[:8]) {
		t.Error("two layers have the same weights")
	}
}

func TestLoadPruned(t *testing.T) {
	cases := []struct {
		name     string
		sparsity float64
		block    int
	}{
		{"mobilenet_v1@0.9", 0.9, 1},
		{"mobilenet_v1@0.9:4x1", 0.9, 4},
		{"lenet5@0.5", 0.5, 1},
		{"mobilenet_v2@0", 0, 1},
		{"resnet50@2:4", 0.5, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := mustLoad(t, c.name)
			ends := prune.Ends(m)
			for _, l := range prune.Layers(m) {
				values := m.Weights[l.Weight].Floats()
				zeros := 0
				for _, x := range values {
					if x == 0 {
						zeros++
					}
				}
				want := c.sparsity
				if slices.Contains(ends, l.Weight) {
					want = 0
				}
				if got := float64(zeros) / float64(len(values)); math.Abs(got-want) > 0.002 {
					t.Errorf("%s: sparsity %.4f, want %.4f", l.Weight, got, want)
				}
				if c.block > 1 && l.Kind == "Conv" {
					checkBlocks(t, l, values, c.block)
				}
			}
		})
	}
}

// checkBlocks checks that the zeros of a weight come in whole blocks.
func checkBlocks(t *testing.T, l prune.Layer, values []float32, block int) {
	t.Helper()
	cols := len(values) / l.Shape[0]
	for i := 0; i+block <= l.Shape[0]; i += block {
		for j := range cols {
			for k := range block {
				if (values[(i+k)*cols+j] == 0) != (values[i*cols+j] == 0) {
					t.Fatalf("%s: the block at %d, %d is not whole", l.Weight, i, j)
				}
			}
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	cases := map[string]string{
		"alexnet":           "lenet5, resnet50",
		"bert_base_512":     "lenet5, resnet50",
		"":                  "no such network",
		"resnet50@":         "sparsity",
		"resnet50@90":       "fraction",
		"resnet50@-0.1":     "fraction",
		"resnet50@NaN":      "fraction",
		"resnet50@0.9:":     "granularity",
		"resnet50@0.9:4":    "granularity",
		"resnet50@0.9:0x1":  "granularity",
		"resnet50@0.9:axb":  "granularity",
		"resnet50@0.9:4x1x": "granularity",
		"resnet50@4:4":      "pattern",
	}
	for name, want := range cases {
		if _, err := Load(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Load(%q): error %v, want one that says %q", name, err, want)
		}
	}
	if _, err := LoadBatch("lenet5", 0); err == nil {
		t.Error("a batch of 0 images was accepted")
	}
}

func TestMNIST(t *testing.T) {
	images, labels := MNIST()
	if len(images) != 500 || len(labels) != 500 {
		t.Fatalf("%d images and %d labels, want 500", len(images), len(labels))
	}
	var counts [10]int
	for i, l := range labels {
		counts[l]++
		if len(images[i]) != 784 {
			t.Fatalf("image %d has %d pixels", i, len(images[i]))
		}
	}
	// The digits of the first 500 test images.
	if want := [10]int{42, 67, 55, 45, 55, 50, 43, 49, 40, 54}; counts != want {
		t.Errorf("digits %v, want %v", counts, want)
	}
	if got := images[0][0]; got != (0-float32(0.1307))/0.3081 {
		t.Errorf("a black pixel became %v", got)
	}
}

// TestLeNet5Weights checks that the embedded LeNet-5 is the trained one.
func TestLeNet5Weights(t *testing.T) {
	file, err := os.ReadFile(testdata.Path(t, "trained", "lenet5_dense.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	data := file[8+binary.LittleEndian.Uint64(file):]
	m := mustLoad(t, "lenet5")
	for _, name := range []string{"conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"} {
		raw := m.Weights[name].Raw()
		if !bytes.Equal(raw, data[:len(raw)]) {
			t.Errorf("%s differs", name)
		}
		data = data[len(raw):]
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, name := range []string{"resnet50", "resnet50@0.9", "resnet50@0.9:4x1", "vgg16", "bert_base_128", "bert_base_128@0.9", "vit_b_16"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Load(name); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
