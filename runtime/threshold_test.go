package runtime

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/loader"
)

// small gives the layer that makes a value a threshold, of input number operand.
type small struct {
	layer   string
	operand int
	limit   float32
	density float64
}

// withThresholds returns a model with thresholds in its metadata, and one that
// has them as nodes, for the reference.
func withThresholds(m *graph.Model, list ...small) (marked, explicit *graph.Model) {
	marked, explicit = m.Clone(), m.Clone()
	explicit.Nodes = nil
	for _, n := range m.Nodes {
		n = n.Clone()
		for _, s := range list {
			if s.layer != n.Outputs[0] {
				continue
			}
			marked.SetActivationThreshold(n, graph.ActivationThreshold{Limit: s.limit, Density: s.density})
			node := &graph.Node{Op: "Shrink", Inputs: []string{n.Inputs[s.operand]}, Outputs: []string{s.layer + ".in"}}
			node.Set("lambd", s.limit)
			explicit.Nodes = append(explicit.Nodes, node)
			n.Inputs[s.operand] = s.layer + ".in"
		}
		explicit.Nodes = append(explicit.Nodes, n)
	}
	return marked, explicit
}

// uniform returns n numbers between -1 and 1.
func uniform(n int) []float32 {
	rng := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, n)
	for i := range x {
		x[i] = rng.Float32()*2 - 1
	}
	return x
}

// TestThresholds compares layers with thresholds with nodes that do the same
// before them, in every mode, on every instruction set and for threads: by
// columns where there is one vector, with zeros set where there are more, and in
// each layout.
func TestThresholds(t *testing.T) {
	nets := map[string]func(zeros float64) (*testNet, []small){
		"beside weights of a convolution": func(zeros float64) (*testNet, []small) {
			n := newNet(1, 12, 9, 9)
			a := n.conv("x", 12, 20, 3, 1, zeros)
			return n, []small{{a, 0, 0.4, 0.6}}
		},
		"a convolution of one pixel": func(zeros float64) (*testNet, []small) {
			n := newNet(1, 90, 1, 1)
			a := n.conv("x", 90, 50, 1, 1, zeros)
			return n, []small{{a, 0, 0.4, 0.6}}
		},
		"behind a flat view": func(zeros float64) (*testNet, []small) {
			n := newNet(1, 6, 6, 6)
			a := n.node("GlobalAveragePool", []string{n.relu(n.conv("x", 6, 130, 3, 1, zeros))})
			a = n.node("Gemm", []string{n.node("Flatten", []string{a}), n.weight(zeros, 1, 40, 130)}, "transB", 1)
			return n, []small{{a, 0, 0.02, 0.5}}
		},
		"layers that share an input": func(zeros float64) (*testNet, []small) {
			n := newNet(1, 1, 70)
			a := n.node("MatMul", []string{"x", n.weight(zeros, 1, 70, 64)})
			b := n.node("MatMul", []string{"x", n.weight(zeros, 1, 70, 64)})
			c := n.node("MatMul", []string{"x", n.weight(zeros, 1, 70, 64)})
			n.node("Add", []string{n.node("Mul", []string{a, b}), c})
			return n, []small{{a, 0, 0.3, 0.7}, {b, 0, 0.3, 0.7}}
		},
		"a weight on the left": func(zeros float64) (*testNet, []small) {
			n := newNet(70, 1)
			a := n.node("MatMul", []string{n.weight(zeros, 1, 50, 70), "x"})
			return n, []small{{a, 1, 0.5, 0.5}}
		},
		"a residual and two layers": func(zeros float64) (*testNet, []small) {
			n := newNet(1, 60)
			a := n.relu(n.node("Gemm", []string{"x", n.weight(zeros, 1, 90, 60), n.weight(0, 1, 90)}, "transB", 1))
			n.node("Add", []string{n.node("Gemm", []string{a, n.weight(zeros, 1, 60, 90)}, "transB", 1), "x"})
			return n, []small{{n.m.Nodes[0].Outputs[0], 0, 0.25, 0.75}, {n.m.Nodes[2].Outputs[0], 0, 0, 0.3}}
		},
	}
	for _, columns := range []int{1, 3, 7, 40} {
		nets[fmt.Sprintf("%d columns", columns)] = func(zeros float64) (*testNet, []small) {
			n := newNet(columns, 80)
			a := n.node("Gemm", []string{"x", n.weight(zeros, 1, 80, 270), n.weight(0, 1, 270)})
			return n, []small{{a, 0, 0.5, 0.5}}
		}
	}
	for name, net := range nets {
		for _, zeros := range []float64{0, 0.8} {
			t.Run(fmt.Sprintf("%s/%.1f", name, zeros), func(t *testing.T) {
				n, list := net(zeros)
				marked, explicit := withThresholds(n.model(), list...)
				shape := make([]int, len(marked.Inputs[0].Shape))
				for i, d := range marked.Inputs[0].Shape {
					shape[i] = d.Size
				}
				x := uniform(elements(shape))
				want := reference(t, explicit, graph.FromFloats(shape, x))
				for _, format := range []string{"columns", "masked"} {
					checkOutput(t, marked, x, want, Config{Format: format})
				}
			})
		}
	}
}

// TestThresholdChoice checks what the layer runs on, by mode, weight and expected
// density.
func TestThresholdChoice(t *testing.T) {
	for _, c := range []struct {
		size, columns  int
		zeros, density float64
		mode           Mode
		format         string
		skipped        bool
	}{
		{512, 1, 0, 0.5, Auto, "columns", true},
		{512, 1, 0, 1, Auto, "dense", false},
		{512, 1, 0, 0.5, Dense, "dense", false},
		{512, 2, 0, 0.5, Auto, "dense", false},
		{512, 1, 0.5, 0.5, Sparse, "columns", true},
		{512, 1, 0.95, 0.9, Auto, "csr", false},
		{1600, 1, 0.8, 0.2, Auto, "masked", true},
	} {
		n := newNet(c.columns, c.size)
		a := n.node("Gemm", []string{"x", n.weight(c.zeros, 1, c.size, c.size)})
		m, _ := withThresholds(n.model(), small{a, 0, 0.5, c.density})
		for _, i := range isa.Supported() {
			p, err := Compile(context.Background(), m, Config{ISA: i, Mode: c.mode})
			if err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(p.Explain().Steps, func(s LayerReport) bool { return s.M > 0 })
			s := p.Explain().Steps[at]
			if s.Activations == nil || s.Activations.Threshold != 0.5 || math.Abs(s.Activations.Density-c.density) > 1e-6 {
				t.Fatalf("%+v: activations %+v", c, s.Activations)
			}
			if i == isa.AVX512 && s.Format != c.format || s.Activations.Skipped != (s.Format == "columns" || s.Format == "masked") || i == isa.AVX512 && s.Activations.Skipped != c.skipped {
				t.Errorf("%+v on %v: format %s, %+v: %s; %v", c, i, s.Format, *s.Activations, s.Why, s.Predicted)
			}
			if s.Activations.Skipped && !strings.Contains(s.Why, "activations are left out") {
				t.Errorf("%+v: %s", c, s.Why)
			}
		}
	}
}

// TestSkipZeros checks that layers after a ReLU leave zeros out where that is
// asked for, to the bit what they give otherwise on the same kernel.
func TestSkipZeros(t *testing.T) {
	n := newNet(1, 60)
	a := n.relu(n.node("Gemm", []string{"x", n.weight(0, 1, 60, 200)}))
	n.node("Gemm", []string{a, n.weight(0, 1, 200, 300)})
	x := uniform(60)
	m := n.model()
	checkOutput(t, m, x, reference(t, m, graph.FromFloats([]int{1, 60}, x)), Config{SkipZeros: true})
	p, err := Compile(context.Background(), m, Config{SkipZeros: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []bool
	for _, s := range p.Explain().Steps {
		if s.M > 0 {
			got = append(got, s.Activations != nil && s.Activations.Skipped && s.Activations.Threshold == 0)
		}
	}
	if !slices.Equal(got, []bool{false, true}) {
		t.Errorf("zeros are left out of layers %v, want the second alone", got)
	}
}

// TestThresholdOfNaN checks that a NaN is above every threshold, in every mode
// and number of columns, and that no Inf of a weight meets what is left out.
func TestThresholdOfNaN(t *testing.T) {
	for _, columns := range []int{1, 3, 9} {
		n := newNet(columns, 64)
		w := n.weight(0, 1, 64, 40)
		a := n.node("Gemm", []string{"x", w})
		m, _ := withThresholds(n.model(), small{a, 0, 0.5, 0.5})
		for _, mode := range []Mode{Auto, Dense, Sparse} {
			p, err := Compile(context.Background(), m, Config{Mode: mode, Format: map[Mode]string{Auto: "columns"}[mode]})
			if err != nil {
				t.Fatal(err)
			}
			s := p.NewSession()
			x := uniform(columns * 64)
			x[63] = float32(math.NaN())
			for i, v := range runOnce(t, s, x) {
				if (v != v) != (i < 40) {
					t.Errorf("%d columns, %v: element %d is %v", columns, mode, i, v)
				}
			}
			s.Close()
		}
	}
}

// TestThresholdsSurviveFiles writes a model and compiles what is read.
func TestThresholdsSurviveFiles(t *testing.T) {
	n := newNet(1, 300)
	a := n.node("Gemm", []string{"x", n.weight(0.5, 1, 300, 200)})
	m, _ := withThresholds(n.model(), small{a, 0, 0.123456789, 0.25})
	x := uniform(300)
	run := func(m *graph.Model) []float32 {
		p, err := Compile(context.Background(), m, Config{})
		if err != nil {
			t.Fatal(err)
		}
		s := p.NewSession()
		defer s.Close()
		return runOnce(t, s, x)
	}
	want := run(m)
	packed, err := Pack(context.Background(), m, Config{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, save := range map[string]func(path string) error{
		"m.onnx": func(path string) error { return loader.Save(path, m, loader.SaveOptions{}) },
		"m.nnz":  func(path string) error { return loader.SaveCompiled(path, packed) },
	} {
		path := filepath.Join(dir, name)
		if err := save(path); err != nil {
			t.Fatal(err)
		}
		file, err := loader.Load(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		list, err := file.ActivationThresholds()
		if want := (graph.ActivationThreshold{Limit: 0.123456789, Density: 0.25}); err != nil || len(list) != 1 || list[a] != want {
			t.Errorf("%s: thresholds %v, %v", name, list, err)
		}
		if got := run(file); !slices.Equal(bits(got), bits(want)) {
			t.Errorf("%s: other outputs", name)
		}
	}
}

// TestThresholdErrors checks that metadata that makes no sense is an error which
// names it.
func TestThresholdErrors(t *testing.T) {
	for _, c := range []struct{ key, value string }{
		{"v0", ""}, {"v0", "1"}, {"v0", "-1 0.5"}, {"v0", "NaN 0.5"}, {"v0", "Inf 0.5"}, {"v0", "1e60 0.5"}, {"v0", "1 1.5"}, {"v0", "1 NaN"}, {"v0", "1 0.5 2"},
		{"", "1 0.5"}, {"x", "1 0.5"}, {"v1", "1 0.5"}, {"nothing", "1 0.5"},
	} {
		n := newNet(1, 8)
		n.relu(n.node("MatMul", []string{"x", n.weight(0, 1, 8, 8)}))
		m := n.model()
		m.Meta = map[string]string{"nnz.activation_threshold." + c.key: c.value}
		if _, err := Compile(context.Background(), m, Config{}); err == nil || !strings.Contains(err.Error(), "nnz.activation_threshold."+c.key) {
			t.Errorf("threshold %q of %q: error %v", c.value, c.key, err)
		}
	}
	// Attributes that only the runtime sets may stand in a file, too.
	for _, limit := range []float32{-1, float32(math.NaN())} {
		n := newNet(1, 8)
		n.node("MatMul", []string{"x", n.weight(0, 1, 8, 8)}, "activation_threshold", limit)
		if _, err := Compile(context.Background(), n.model(), Config{}); err == nil {
			t.Errorf("an attribute of %v: no error", limit)
		}
	}
}

func TestThresholdsAllocateNothing(t *testing.T) {
	for _, columns := range []int{1, 3} {
		n := newNet(columns, 700)
		a := n.relu(n.node("Gemm", []string{"x", n.weight(0, 1, 700, 600)}))
		b := n.node("Gemm", []string{a, n.weight(0.5, 1, 600, 600)})
		m, _ := withThresholds(n.model(), small{n.m.Nodes[0].Outputs[0], 0, 0.5, 0.5}, small{b, 0, 0.5, 0.1})
		allocatesNothing(t, m)
	}
}
