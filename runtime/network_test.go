package runtime

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
)

// conv appends a 3x3 or 1x1 convolution of "same" size.
func (t *testNet) conv(x string, in, out, k, stride int, zeros float64) string {
	return t.node("Conv", []string{x, t.weight(zeros, 1, out, in, k, k), t.weight(0, 1, out)},
		"kernel_shape", []int{k, k}, "strides", []int{stride, stride}, "pads", []int{k / 2, k / 2, k / 2, k / 2})
}

func (t *testNet) relu(x string) string { return t.node("Relu", []string{x}) }

// TestNetworks compiles shapes of graph that the layouts, the sharing of
// memory and the fused epilogues have to get right together.
func TestNetworks(t *testing.T) {
	for name, build := range networks() {
		t.Run(name, func(t *testing.T) { checkModel(t, build().model()) })
	}
}

// TestSkippedPasses compiles the same networks without any pass and with each
// of them left out: they make a network faster, never right.
func TestSkippedPasses(t *testing.T) {
	for name, build := range networks() {
		t.Run(name, func(t *testing.T) {
			checkModel(t, build().model(), passNames()...)
			for _, skip := range passNames() {
				checkModel(t, build().model(), skip)
			}
		})
	}
	n := newNet(1, 4)
	n.relu("x")
	if _, err := Compile(context.Background(), n.model(), Config{SkipPasses: []string{"nonesuch"}}); err == nil {
		t.Error("a pass that is not there was skipped")
	}
}

func networks() map[string]func() *testNet {
	return map[string]func() *testNet{
		"residual block": func() *testNet {
			n := newNet(1, 8, 14, 14)
			a := n.relu(n.conv("x", 8, 16, 3, 1, 0.8))
			b := n.relu(n.conv(a, 16, 8, 1, 1, 0.8))
			b = n.relu(n.conv(b, 8, 8, 3, 1, 0.8))
			b = n.conv(b, 8, 16, 1, 1, 0.8)
			a = n.relu(n.node("Add", []string{b, a}))
			n.conv(a, 16, 8, 3, 1, 0)
			return n
		},
		"residual of two convolutions": func() *testNet {
			n := newNet(2, 8, 28, 28)
			a := n.conv("x", 8, 16, 1, 2, 0.8)
			b := n.conv(n.relu(n.conv("x", 8, 8, 3, 1, 0.8)), 8, 16, 3, 2, 0.8)
			n.relu(n.node("Add", []string{a, b}))
			n.node("GlobalAveragePool", []string{n.last})
			n.node("Flatten", []string{n.last})
			n.node("Gemm", []string{n.last, n.weight(0.5, 1, 10, 16), n.weight(0, 1, 10)}, "transB", 1)
			return n
		},
		"fire module": func() *testNet {
			n := newNet(1, 8, 27, 27)
			s := n.relu(n.conv("x", 8, 4, 1, 1, 0))
			a := n.relu(n.conv(s, 4, 8, 1, 1, 0))
			b := n.relu(n.conv(s, 4, 8, 3, 1, 0))
			c := n.node("Concat", []string{a, b}, "axis", 1)
			c = n.node("MaxPool", []string{c}, "kernel_shape", []int{3, 3}, "strides", []int{2, 2})
			n.conv(c, 16, 8, 3, 1, 0.7)
			return n
		},
		"concat of a value with itself and of one read later": func() *testNet {
			n := newNet(1, 4, 9, 9)
			a := n.relu(n.conv("x", 4, 4, 3, 1, 0))
			b := n.node("Concat", []string{a, a, n.conv(a, 4, 4, 3, 1, 0)}, "axis", 1)
			n.node("Add", []string{n.conv(b, 12, 4, 1, 1, 0), n.node("Sigmoid", []string{a})})
			return n
		},
		"pool of negative values with padding": func() *testNet {
			n := newNet(1, 4, 15, 15)
			a := n.conv("x", 4, 6, 3, 1, 0)
			a = n.node("MaxPool", []string{a}, "kernel_shape", []int{3, 3}, "strides", []int{2, 2}, "pads", []int{1, 1, 1, 1})
			n.conv(a, 6, 4, 3, 1, 0)
			return n
		},
		"average pools": func() *testNet {
			n := newNet(2, 4, 15, 13)
			a := n.conv("x", 4, 6, 3, 1, 0)
			b := n.node("AveragePool", []string{a}, "kernel_shape", []int{3, 3}, "strides", []int{2, 2}, "pads", []int{1, 1, 1, 1})
			c := n.node("AveragePool", []string{a}, "kernel_shape", []int{3, 3}, "strides", []int{2, 2}, "pads", []int{1, 1, 1, 1}, "count_include_pad", 1)
			d := n.node("AveragePool", []string{a}, "kernel_shape", []int{2, 2}, "strides", []int{2, 2}, "ceil_mode", 1)
			n.node("Sub", []string{n.node("Add", []string{b, c}), d})
			return n
		},
		"squeeze and excitation": func() *testNet {
			n := newNet(2, 4, 10, 10)
			a := n.node("HardSwish", []string{n.conv("x", 4, 8, 3, 1, 0.5)})
			s := n.node("GlobalAveragePool", []string{a})
			s = n.relu(n.conv(s, 8, 4, 1, 1, 0))
			s = n.node("HardSigmoid", []string{n.conv(s, 4, 8, 1, 1, 0)})
			a = n.node("Mul", []string{s, a})
			n.node("Add", []string{n.conv(a, 8, 4, 1, 1, 0), "x"})
			return n
		},
		"batch normalisation and arithmetic by feature": func() *testNet {
			n := newNet(1, 4, 8, 8)
			a := n.node("Concat", []string{n.conv("x", 4, 4, 3, 1, 0), n.conv("x", 4, 4, 1, 1, 0)}, "axis", 1)
			mean, scale := n.weight(0, 1, 8), n.weight(0, 1, 8)
			variance := n.node("Abs", []string{n.weight(0, 1, 8)})
			a = n.node("BatchNormalization", []string{a, scale, mean, mean, variance})
			a = n.node("Mul", []string{a, n.weight(0, 1, 1, 8, 1, 1)})
			a = n.node("Sub", []string{a, n.weight(0, 1, 8, 1, 1)})
			a = n.node("Tanh", []string{a})
			n.conv(a, 8, 4, 3, 1, 0)
			return n
		},
		"perceptron on many rows": func() *testNet {
			n := newNet(37, 30)
			a := n.relu(n.node("Gemm", []string{"x", n.weight(0.9, 4, 24, 30), n.weight(0, 1, 24)}, "transB", 1))
			b := n.node("MatMul", []string{a, n.weight(0.6, 1, 24, 24)})
			b = n.node("Add", []string{b, a})
			b = n.node("Sigmoid", []string{b})
			n.node("Gemm", []string{b, n.weight(0, 1, 24, 5)})
			return n
		},
		"tokens": func() *testNet {
			n := newNet(2, 9, 16)
			a := n.node("MatMul", []string{"x", n.weight(0.8, 1, 16, 32)})
			a = n.node("Add", []string{a, n.weight(0, 1, 32)})
			a = n.node("Tanh", []string{a})
			a = n.node("MatMul", []string{a, n.weight(0.8, 1, 32, 16)})
			a = n.node("Add", []string{a, "x"})
			n.node("Softmax", []string{a}, "axis", -1)
			return n
		},
		"activations of transformers": func() *testNet {
			n := newNet(2, 9, 16)
			a := n.node("MatMul", []string{"x", n.weight(0.8, 1, 16, 32)})
			a = n.node("Gelu", []string{a})
			a = n.node("MatMul", []string{a, n.weight(0.8, 1, 32, 16)})
			a = n.node("Gelu", []string{a}, "approximate", "tanh")
			a = n.node("MatMul", []string{a, n.weight(0, 1, 16, 16)})
			a = n.node("Mul", []string{n.node("Sigmoid", []string{a}), a})
			n.node("MatMul", []string{n.node("Erf", []string{a}), n.weight(0, 1, 16, 8)})
			n.m.Opset[""] = 20
			return n
		},
		"convolution of rows": func() *testNet {
			n := newNet(2, 6, 40)
			a := n.node("Conv", []string{"x", n.weight(0.7, 1, 8, 6, 5), n.weight(0, 1, 8)}, "kernel_shape", []int{5}, "strides", []int{2}, "pads", []int{2, 2})
			a = n.relu(a)
			n.node("Conv", []string{a, n.weight(0, 1, 8, 1, 3), n.weight(0, 1, 8)}, "kernel_shape", []int{3}, "pads", []int{1, 1}, "group", 8)
			return n
		},
		"valid convolutions and flatten": func() *testNet {
			n := newNet(1, 1, 28, 28)
			a := n.node("Conv", []string{"x", n.weight(0.3, 1, 6, 1, 5, 5), n.weight(0, 1, 6)}, "kernel_shape", []int{5, 5})
			a = n.node("MaxPool", []string{n.relu(a)}, "kernel_shape", []int{2, 2}, "strides", []int{2, 2})
			a = n.node("Conv", []string{a, n.weight(0.9, 1, 10, 6, 5, 5), n.weight(0, 1, 10)}, "kernel_shape", []int{5, 5})
			a = n.node("MaxPool", []string{n.relu(a)}, "kernel_shape", []int{2, 2}, "strides", []int{2, 2})
			a = n.node("Reshape", []string{a, n.shape(1, -1)})
			n.node("Gemm", []string{a, n.weight(0.9, 1, 20, 160), n.weight(0, 1, 20)}, "transB", 1)
			return n
		},
		"channel shuffle": func() *testNet {
			n := newNet(1, 8, 6, 6)
			a := n.conv("x", 8, 8, 3, 1, 0)
			a = n.node("Reshape", []string{a, n.shape(1, 2, 4, 6, 6)})
			a = n.node("Transpose", []string{a}, "perm", []int{0, 2, 1, 3, 4})
			a = n.node("Reshape", []string{a, n.shape(1, 8, 6, 6)})
			n.conv(a, 8, 4, 3, 1, 0)
			return n
		},
		"a value in both placements": func() *testNet {
			n := newNet(1, 4, 12, 12)
			a := n.relu(n.conv("x", 4, 4, 3, 1, 0))
			b := n.node("Transpose", []string{a}, "perm", []int{0, 1, 3, 2})
			n.node("Add", []string{n.conv(a, 4, 4, 3, 2, 0), n.conv(b, 4, 4, 3, 2, 0)})
			return n
		},
	}
}

// TestConcatCopiesNothing joins what two convolutions write in its place.
func TestConcatCopiesNothing(t *testing.T) {
	m := networks()["fire module"]().model()
	p, err := Compile(context.Background(), m, Config{})
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(m.Nodes, func(n *graph.Node) bool { return n.Op == "Concat" })
	for _, s := range p.Explain().Steps {
		if s.Op == "Concat" || s.Op == "Relayout" && slices.Contains(m.Nodes[at].Inputs, s.Name) {
			t.Errorf("%s of %s: %s", s.Op, s.Name, s.Why)
		}
	}
}

func TestRunAllocatesNothing(t *testing.T) {
	n := newNet(1, 8, 28, 28)
	a := n.relu(n.conv("x", 8, 16, 3, 1, 0.8))
	a = n.node("MaxPool", []string{a}, "kernel_shape", []int{3, 3}, "strides", []int{2, 2}, "pads", []int{1, 1, 1, 1})
	a = n.node("GlobalAveragePool", []string{n.conv(a, 16, 8, 3, 1, 0)})
	n.node("Softmax", []string{n.node("Flatten", []string{a})}, "axis", 1)
	allocatesNothing(t, n.model())
}

// allocatesNothing checks that runs of a model on any instruction set, on one
// and two threads, do not allocate.
func allocatesNothing(t *testing.T, m *graph.Model) {
	t.Helper()
	for _, i := range isa.Supported() {
		for _, threads := range []int{1, 2} {
			p, err := Compile(context.Background(), m, Config{ISA: i, Threads: threads})
			if err != nil {
				t.Fatal(err)
			}
			s := p.NewSession()
			defer s.Close()
			ctx := context.Background()
			if got := testing.AllocsPerRun(20, func() {
				if err := s.Run(ctx); err != nil {
					t.Fatal(err)
				}
			}); got != 0 {
				t.Errorf("%v, %d threads: %v allocations a run, want 0", i, threads, got)
			}
		}
	}
}

func TestRunOfOtherLayersAllocatesNothing(t *testing.T) {
	n := newNet(2, 8, 28)
	a := n.node("ConvTranspose", []string{"x", n.weight(0.8, 1, 8, 12, 4)}, "strides", []int{2})
	a = n.node("MatMul", []string{n.weight(0.8, 1, 16, 12), a})
	a = n.node("Transpose", []string{a}, "perm", []int{2, 0, 1})
	for _, op := range []string{"LSTM", "GRU"} {
		gates := map[string]int{"LSTM": 4, "GRU": 3}[op]
		a = n.node(op, []string{a, n.weight(0.8, 1, 2, gates*16, 16), n.weight(0.8, 1, 2, gates*16, 16)}, "hidden_size", 16, "direction", "bidirectional")
		a = n.node("ReduceSum", []string{a, n.shape(1)}, "keepdims", 0)
	}
	allocatesNothing(t, n.model())
}

func TestUnsupportedListsEveryNode(t *testing.T) {
	n := newNet(1, 4)
	n.node("Frobnicate", []string{"x"})
	n.node("Relu", []string{n.last})
	n.node("Defrobnicate", []string{n.last})
	_, err := Compile(context.Background(), n.model(), Config{})
	var u *UnsupportedError
	if !errors.As(err, &u) || len(u.Nodes) != 2 || u.Nodes[0].Op != "Frobnicate" || u.Nodes[1].Op != "Defrobnicate" {
		t.Fatalf("got %v, want both unknown operators", err)
	}
}

func TestCancelledContext(t *testing.T) {
	n := newNet(1, 4, 8, 8)
	n.conv("x", 4, 4, 3, 1, 0)
	ctx, cancel := context.WithCancel(context.Background())
	p, err := Compile(ctx, n.model(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := p.NewSession()
	defer s.Close()
	cancel()
	if err := s.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v, want context.Canceled", err)
	}
	if _, err := Compile(ctx, n.model(), Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Compile: %v, want context.Canceled", err)
	}
}

func TestMaxBytes(t *testing.T) {
	n := newNet(1, 4, 64, 64)
	n.conv("x", 4, 64, 3, 1, 0)
	if _, err := Compile(context.Background(), n.model(), Config{MaxBytes: 1 << 16}); err == nil {
		t.Error("a plan of a megabyte compiled within 64 KiB")
	}
}
