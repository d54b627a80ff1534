package runtime

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime/ops"
)

// onKernels checks that every product of a model with a weight runs on the
// product kernels: that no row-major operator is one, and that products many
// layers have a format.
func onKernels(t *testing.T, m *graph.Model, products int) {
	t.Helper()
	p, err := Compile(context.Background(), m, Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Explain().Steps {
		if s.Format != "" && s.Kernel != "" && s.NNZ > 0 {
			products--
		} else if slices.Contains([]string{"MatMul", "Gemm", "Conv", "ConvTranspose", "Linear", "LSTM", "GRU", "RNN", "Attention"}, s.Op) && s.Kernel == "" {
			t.Errorf("%s runs as: %s", s.Op, s.Why)
		}
	}
	if products != 0 {
		t.Errorf("%d products more than run on kernels", products)
	}
}

// TestMatMul multiplies by weights on either side.
func TestMatMul(t *testing.T) {
	for _, c := range []struct {
		x, w []int
		left bool
	}{
		{[]int{7, 20}, []int{20, 24}, false},
		{[]int{2, 9, 20}, []int{20, 24}, false},
		{[]int{2, 9, 20}, []int{1, 20, 24}, false},
		{[]int{20}, []int{20, 24}, false},
		{[]int{3, 20}, []int{20}, false},
		{[]int{3, 5, 20}, []int{3, 20, 24}, false},
		{[]int{2, 3, 17, 20}, []int{3, 20, 24}, false},
		{[]int{5, 20}, []int{3, 20, 24}, false},
		{[]int{20, 33}, []int{24, 20}, true},
		{[]int{3, 20, 33}, []int{24, 20}, true},
		{[]int{2, 3, 20, 5}, []int{24, 20}, true},
		{[]int{3, 20, 5}, []int{3, 24, 20}, true},
		{[]int{2, 3, 20, 5}, []int{3, 24, 20}, true},
		{[]int{20, 5}, []int{3, 24, 20}, true},
		{[]int{20}, []int{24, 20}, true},
		{[]int{6, 20, 1}, []int{24, 20}, true},
		{[]int{20, 33}, []int{20}, true},
	} {
		for _, zeros := range []float64{0, 0.8} {
			t.Run(fmt.Sprintf("%v_%v_%t_%.0f", c.x, c.w, c.left, zeros*100), func(t *testing.T) {
				n := newNet(c.x...)
				w := n.weight(zeros, 1, c.w...)
				if c.left {
					n.node("MatMul", []string{w, "x"})
				} else {
					n.node("MatMul", []string{"x", w})
				}
				onKernels(t, n.model(), 1)
				checkModel(t, n.model())
			})
		}
	}
}

// TestGemm multiplies by weights with factors, terms and turned operands.
func TestGemm(t *testing.T) {
	for _, left := range []bool{false, true} {
		for _, turn := range []struct{ a, b int }{{0, 0}, {0, 1}, {1, 0}, {1, 1}} {
			for _, term := range [][]int{nil, {9}, {30, 1}, {30, 9}} {
				t.Run(fmt.Sprintf("left=%t_turn=%v_c=%v", left, turn, term), func(t *testing.T) {
					a, b := []int{30, 20}, []int{20, 9}
					if turn.a != 0 {
						slices.Reverse(a)
					}
					if turn.b != 0 {
						slices.Reverse(b)
					}
					x, w := a, b
					if left {
						x, w = b, a
					}
					n := newNet(x...)
					in := []string{"x", n.weight(0.7, 1, w...)}
					if left {
						slices.Reverse(in)
					}
					if term != nil {
						in = append(in, n.weight(0, 1, term...))
					}
					n.node("Gemm", in, "transA", turn.a, "transB", turn.b, "alpha", float32(0.5), "beta", float32(2))
					onKernels(t, n.model(), 1)
					checkModel(t, n.model())
				})
			}
		}
	}
}

func TestConvTranspose(t *testing.T) {
	type attrs struct{ kernel, strides, dilations, pads, extra, shape []int }
	for _, c := range []struct {
		x      []int
		m      int
		groups int
		attrs
	}{
		{[]int{1, 8, 7, 7}, 6, 1, attrs{kernel: []int{2, 2}, strides: []int{2, 2}}},
		{[]int{1, 8, 14, 14}, 6, 1, attrs{kernel: []int{4, 4}, strides: []int{2, 2}, pads: []int{1, 1, 1, 1}}},
		{[]int{2, 8, 9, 11}, 6, 1, attrs{kernel: []int{3, 3}, strides: []int{2, 2}, pads: []int{1, 1, 1, 1}, extra: []int{1, 1}}},
		{[]int{1, 8, 9, 11}, 6, 1, attrs{kernel: []int{3, 3}, strides: []int{2, 2}, pads: []int{1, 0, 1, 2}}},
		{[]int{1, 8, 12, 12}, 6, 1, attrs{kernel: []int{3, 3}, strides: []int{1, 1}, pads: []int{1, 1, 1, 1}}},
		{[]int{1, 8, 12, 12}, 6, 1, attrs{kernel: []int{3, 3}, strides: []int{1, 1}, dilations: []int{2, 3}, pads: []int{1, 1, 0, 0}}},
		{[]int{1, 8, 6, 5}, 6, 1, attrs{kernel: []int{3, 2}, strides: []int{3, 2}, dilations: []int{2, 1}}},
		{[]int{1, 8, 6, 5}, 6, 1, attrs{kernel: []int{2, 3}, strides: []int{4, 1}}},
		{[]int{1, 8, 6, 5}, 4, 2, attrs{kernel: []int{4, 4}, strides: []int{2, 2}, pads: []int{1, 1, 1, 1}}},
		{[]int{1, 8, 6, 5}, 1, 8, attrs{kernel: []int{4, 4}, strides: []int{2, 2}, pads: []int{1, 1, 1, 1}}},
		{[]int{1, 8, 6, 5}, 4, 1, attrs{kernel: []int{1, 1}, strides: []int{2, 2}, extra: []int{1, 1}}},
		{[]int{1, 8, 6, 6}, 4, 1, attrs{kernel: []int{2, 2}, strides: []int{1, 1}, pads: []int{2, 2, 2, 2}}},
		{[]int{1, 8, 6, 6}, 4, 1, attrs{kernel: []int{3, 3}, strides: []int{2, 2}, shape: []int{15, 17}}},
		{[]int{1, 8, 6, 6}, 4, 1, attrs{kernel: []int{3, 3}, strides: []int{2, 2}, shape: []int{8, 6}}},
		{[]int{2, 8, 40}, 6, 1, attrs{kernel: []int{16}, strides: []int{8}, pads: []int{4, 4}}},
		{[]int{1, 8, 21}, 6, 1, attrs{kernel: []int{5}, strides: []int{3}, pads: []int{2, 0}, extra: []int{2}}},
	} {
		for _, zeros := range []float64{0, 0.8} {
			t.Run(fmt.Sprintf("%v_%d_g%d_%+v_%.0f", c.x, c.m, c.groups, c.attrs, zeros*100), func(t *testing.T) {
				n := newNet(c.x...)
				var a []any
				for name, v := range map[string][]int{"kernel_shape": c.kernel, "strides": c.strides, "dilations": c.dilations, "pads": c.pads, "output_padding": c.extra, "output_shape": c.shape} {
					if v != nil {
						a = append(a, name, v)
					}
				}
				w := n.weight(zeros, 1, append([]int{c.x[1], c.m}, c.kernel...)...)
				n.node("ConvTranspose", []string{"x", w, n.weight(0, 1, c.m*c.groups)}, append(a, "group", c.groups)...)
				n.relu(n.last)
				onKernels(t, n.model(), 1)
				checkModel(t, n.model())
			})
		}
	}
}

// TestDepthToSpace rearranges the channels of images that kernels have made.
func TestDepthToSpace(t *testing.T) {
	for _, mode := range []string{"DCR", "CRD"} {
		for _, b := range []int{2, 3} {
			t.Run(fmt.Sprintf("%s_%d", mode, b), func(t *testing.T) {
				n := newNet(2, 4, 9, 7)
				a := n.conv("x", 4, 5*b*b, 3, 1, 0)
				a = n.node("DepthToSpace", []string{a}, "blocksize", b, "mode", mode)
				n.node("Add", []string{n.conv(a, 5, 4, 3, 1, 0), n.conv(a, 5, 4, 1, 1, 0)})
				checkModel(t, n.model())
			})
		}
	}
}

func TestRecurrent(t *testing.T) {
	const steps, batch, inputs = 7, 3, 12
	for _, c := range []struct {
		op      string
		gates   int
		hidden  int
		lengths bool
		attrs   []any
	}{
		{"LSTM", 4, 20, false, nil},
		{"LSTM", 4, 20, true, []any{"direction", "bidirectional"}},
		{"LSTM", 4, 20, true, []any{"direction", "reverse", "clip", float32(0.5), "input_forget", 1}},
		{"LSTM", 4, 20, false, []any{"layout", 1, "direction", "bidirectional"}},
		{"LSTM", 4, 160, false, nil}, // a weight that threads share
		{"GRU", 3, 20, false, nil},
		{"GRU", 3, 20, true, []any{"direction", "bidirectional"}},
		{"GRU", 3, 20, true, []any{"linear_before_reset", 1, "direction", "reverse"}},
		{"GRU", 3, 20, false, []any{"layout", 1}},
		{"RNN", 1, 20, false, nil},
		{"RNN", 1, 20, true, []any{"direction", "bidirectional"}},
	} {
		for _, zeros := range []float64{0, 0.8} {
			t.Run(fmt.Sprintf("%s_%d_%v_%.0f", c.op, c.hidden, c.attrs, zeros*100), func(t *testing.T) {
				hidden := c.hidden
				x, lead := []int{steps, batch, inputs}, 1
				state := []int{0, batch, hidden}
				for i, a := range c.attrs {
					switch a {
					case "layout":
						x, state = []int{batch, steps, inputs}, []int{batch, 0, hidden}
					case "direction":
						if c.attrs[i+1] == "bidirectional" {
							lead = 2
						}
					}
				}
				state[slices.Index(state, 0)] = lead
				n := newNet(x...)
				n.m.Opset[""] = 22
				rows := c.gates * hidden
				in := []string{"x", n.weight(zeros, 1, lead, rows, inputs), n.weight(zeros, 1, lead, rows, hidden), n.weight(0, 1, lead, 2*rows), ""}
				if c.lengths {
					in[4] = "lengths"
					n.m.Weights["lengths"] = graph.FromInts(graph.Int32, []int{batch}, []int64{steps, 2, 5})
				}
				in = append(in, n.weight(0, 1, state...))
				if c.op == "LSTM" {
					in = append(in, n.weight(0, 1, state...), n.weight(0, 1, lead, 3*hidden))
				}
				n.node(c.op, in, append(c.attrs, "hidden_size", hidden)...)
				node := n.m.Nodes[0]
				if c.op == "RNN" && lead == 2 {
					node.Attrs["activations"] = &graph.Attr{Kind: graph.AttrStrings, Strings: []string{"Relu", "Softsign"}}
				}
				all, last := node.Outputs[0], "last"
				node.Outputs = append(node.Outputs, last)
				// The last hidden state, as often as all has steps, and all.
				sum := n.node("ReduceSum", []string{last}, "keepdims", 0)
				n.node("Add", []string{all, sum})
				onKernels(t, n.model(), 2)
				checkModel(t, n.model())
			})
		}
	}
}

// TestVolumes convolves volumes, with what usually stands around that.
func TestVolumes(t *testing.T) {
	for _, c := range []struct {
		x                                 []int // images, channels, planes, rows, columns
		m, groups                         int
		kernel, strides, dilations, begin []int
		end                               []int
	}{
		{[]int{1, 4, 5, 8, 9}, 6, 1, []int{3, 3, 3}, []int{1, 1, 1}, []int{1, 1, 1}, []int{1, 1, 1}, []int{1, 1, 1}},
		{[]int{2, 4, 6, 7, 7}, 6, 1, []int{3, 3, 3}, []int{2, 2, 2}, []int{1, 1, 1}, []int{1, 1, 1}, []int{1, 1, 1}},
		{[]int{2, 4, 3, 7, 7}, 6, 1, []int{1, 1, 1}, []int{1, 1, 1}, []int{1, 1, 1}, []int{0, 0, 0}, []int{0, 0, 0}},
		{[]int{2, 4, 3, 7, 7}, 6, 2, []int{1, 3, 3}, []int{1, 1, 1}, []int{1, 1, 1}, []int{0, 1, 1}, []int{0, 1, 1}},
		{[]int{2, 4, 7, 6, 6}, 6, 1, []int{3, 1, 1}, []int{1, 1, 1}, []int{2, 1, 1}, []int{2, 0, 0}, []int{1, 0, 0}},
		{[]int{1, 4, 6, 12, 12}, 6, 1, []int{2, 4, 4}, []int{2, 4, 4}, []int{1, 1, 1}, []int{0, 0, 0}, []int{0, 0, 0}},
		{[]int{1, 8, 6, 8, 8}, 8, 8, []int{3, 3, 3}, []int{1, 2, 2}, []int{1, 1, 1}, []int{1, 1, 1}, []int{1, 1, 1}},
		{[]int{1, 4, 6, 8, 8}, 8, 1, []int{1, 1, 1}, []int{2, 2, 2}, []int{1, 1, 1}, []int{0, 0, 0}, []int{0, 0, 0}},
		{[]int{1, 4, 4, 4, 4}, 8, 1, []int{2, 7, 7}, []int{1, 1, 1}, []int{3, 1, 1}, []int{0, 3, 3}, []int{0, 3, 3}},
	} {
		for _, zeros := range []float64{0, 0.8} {
			t.Run(fmt.Sprintf("%v_%d_g%d_k%v_s%v_d%v_%v_%v_%.0f", c.x, c.m, c.groups, c.kernel, c.strides, c.dilations, c.begin, c.end, zeros*100), func(t *testing.T) {
				n := newNet(c.x...)
				a := n.node("Conv", []string{"x", n.weight(zeros, 1, append([]int{c.m, c.x[1] / c.groups}, c.kernel...)...), n.weight(0, 1, c.m)},
					"kernel_shape", c.kernel, "strides", c.strides, "dilations", c.dilations, "pads", slices.Concat(c.begin, c.end), "group", c.groups)
				a = n.node("Sigmoid", []string{a})
				a = n.node("Mul", []string{a, n.weight(0, 1, c.m, 1, 1, 1)})
				b := n.node("Conv", []string{a, n.weight(zeros, 1, c.m, c.m, 3, 3, 3)}, "kernel_shape", []int{3, 3, 3}, "pads", []int{1, 1, 1, 1, 1, 1})
				b = n.node("Concat", []string{n.relu(n.node("Add", []string{b, a})), a}, "axis", 1)
				onKernels(t, n.model(), 2)
				checkModel(t, n.model())
				pool := n.node("MaxPool", []string{b}, "kernel_shape", []int{1, 1, 1})
				n.node("Flatten", []string{n.node("Add", []string{n.node("GlobalAveragePool", []string{b}), pool})})
				checkModel(t, n.model())
			})
		}
	}
}

// TestHalfPrecision compiles weights, inputs and outputs of 16 bits: they are
// computed in float32, as the same numbers in 32 bits are.
func TestHalfPrecision(t *testing.T) {
	for _, dt := range []graph.DType{graph.Float16, graph.BFloat16} {
		n := newNet(2, 8, 28)
		a := n.node("Conv", []string{"x", n.weight(0.8, 1, 16, 8, 3), n.weight(0, 1, 16)}, "kernel_shape", []int{3}, "pads", []int{1, 1})
		a = n.node("ConvTranspose", []string{n.relu(a), n.weight(0.8, 1, 16, 12, 4)}, "strides", []int{2})
		a = n.node("MatMul", []string{n.weight(0.8, 1, 16, 12), a})
		a = n.node("Transpose", []string{a}, "perm", []int{2, 0, 1})
		a = n.node("LSTM", []string{a, n.weight(0.8, 1, 1, 64, 16), n.weight(0.8, 1, 1, 64, 16)}, "hidden_size", 16)
		a = n.node("MatMul", []string{a, n.weight(0.8, 1, 16, 32)})
		wide := n.model()
		narrow := wide.Clone()
		narrow.Inputs = []*graph.Value{{Name: "x", DType: dt, Shape: wide.Inputs[0].Shape}}
		narrow.Outputs = []*graph.Value{{Name: a, DType: dt}}
		for name, w := range wide.Weights {
			x := ops.Load(w)
			x.DType = dt
			half, err := ops.Store(&x)
			if err != nil {
				t.Fatal(err)
			}
			narrow.Weights[name] = half
			wide.Weights[name] = graph.FromFloats(w.Shape, half.Floats())
		}
		rng := rand.New(rand.NewPCG(3, 4))
		x := make([]float32, 2*8*28)
		for i := range x {
			x[i] = float32(rng.IntN(256)-128) / 64
		}
		var outputs [2][]float32
		for i, m := range []*graph.Model{wide, narrow} {
			onKernels(t, m, 6)
			p, err := Compile(context.Background(), m, Config{})
			if err != nil {
				t.Fatal(err)
			}
			s := p.NewSession()
			defer s.Close()
			outputs[i] = runOnce(t, s, x)
		}
		if !slices.Equal(bits(outputs[0]), bits(outputs[1])) {
			t.Errorf("%v: other results than in float32", dt)
		}
	}
}

// attention appends attention of heads over x [batch, tokens, features], with
// keys and values from another value of as many features.
func (t *testNet) attention(x, from string, batch, tokens, keys, features, heads int, mask string) string {
	size := features / heads
	head := func(x string, n int, perm ...int) string {
		a := t.node("MatMul", []string{x, t.weight(0.8, 1, features, features)})
		a = t.node("Reshape", []string{a, t.shape(int64(batch), int64(n), int64(heads), int64(size))})
		return t.node("Transpose", []string{a}, "perm", perm)
	}
	q, k, v := head(x, tokens, 0, 2, 1, 3), head(from, keys, 0, 2, 3, 1), head(from, keys, 0, 2, 1, 3)
	s := t.node("MatMul", []string{q, k})
	scale := fmt.Sprintf("w%d", len(t.m.Weights))
	t.m.Weights[scale] = graph.FromFloats(nil, []float32{0.5})
	s = t.node("Mul", []string{s, scale})
	if mask != "" {
		s = t.node("Add", []string{s, mask})
	}
	a := t.node("MatMul", []string{t.node("Softmax", []string{s}, "axis", -1), v})
	a = t.node("Transpose", []string{a}, "perm", []int{0, 2, 1, 3})
	return t.node("Reshape", []string{a, t.shape(int64(batch), int64(tokens), int64(features))})
}

// TestAttention runs attention on the product kernels: over sequences that
// fill blocks of queries and vectors, or do not, with masks of any shape.
func TestAttention(t *testing.T) {
	for _, c := range []struct {
		batch, tokens, keys, features, heads int
		mask                                 []int
		causal                               bool
	}{
		{tokens: 16, keys: 16, features: 32, heads: 2},
		{tokens: 37, keys: 37, features: 30, heads: 5},
		{tokens: 300, keys: 300, features: 16, heads: 2},
		{tokens: 9, keys: 23, features: 24, heads: 3},
		{tokens: 20, keys: 20, features: 24, heads: 3, mask: []int{1, 1, 1, 20}},
		{tokens: 20, keys: 20, features: 24, heads: 3, mask: []int{1, 3, 20, 20}},
		{tokens: 19, keys: 20, features: 24, heads: 3, mask: []int{19, 1}},
		{tokens: 21, keys: 21, features: 24, heads: 3, causal: true},
		{batch: 3, tokens: 21, keys: 21, features: 24, heads: 3, causal: true},
		{batch: 2, tokens: 20, keys: 20, features: 24, heads: 3, mask: []int{2, 1, 1, 20}},
		{batch: 2, tokens: 5, keys: 17, features: 24, heads: 3, mask: []int{2, 3, 5, 17}},
		// Queries and keys in parts, of which the last may be smaller.
		{tokens: 197, keys: 197, features: 24, heads: 3},
		{tokens: 130, keys: 150, features: 24, heads: 3, mask: []int{1, 3, 130, 150}},
		{tokens: 140, keys: 20, features: 24, heads: 3, mask: []int{1, 1, 1, 20}},
		{tokens: 600, keys: 600, features: 12, heads: 3, causal: true},
		{batch: 2, tokens: 90, keys: 90, features: 24, heads: 3, causal: true},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			batch := max(c.batch, 1)
			n := newNet(batch, c.tokens, c.features)
			from := "x"
			if c.keys != c.tokens {
				from = n.node("Slice", []string{n.node("Concat", []string{"x", "x", "x", "x"}, "axis", 1), n.shape(3), n.shape(int64(3 + c.keys)), n.shape(1)})
			}
			mask := ""
			if c.mask != nil {
				// Computed, as that of a batch of sequences is.
				size := elements(c.mask)
				flat := n.node("Reshape", []string{"x", n.shape(-1)})
				all := n.node("Concat", slices.Repeat([]string{flat}, 1+size/(batch*c.tokens*c.features)), "axis", 0)
				part := n.node("Slice", []string{all, n.shape(0), n.shape(int64(size))})
				dims := make([]int64, len(c.mask))
				for i, d := range c.mask {
					dims[i] = int64(d)
				}
				mask = n.node("Reshape", []string{part, n.shape(dims...)})
			}
			if c.causal {
				mask = fmt.Sprintf("w%d", len(n.m.Weights))
				v := make([]float32, c.tokens*c.keys)
				for i := range v {
					if i%c.keys > i/c.keys {
						v[i] = float32(math.Inf(-1))
					}
				}
				n.m.Weights[mask] = graph.FromFloats([]int{c.tokens, c.keys}, v)
			}
			a := n.attention("x", from, batch, c.tokens, c.keys, c.features, c.heads, mask)
			b := n.node("Add", []string{n.node("Sigmoid", []string{a}), "x"})
			n.node("Add", []string{n.node("MatMul", []string{a, n.weight(0, 1, c.features, c.features)}), b})
			products := 2 // one for Q, K and V
			if c.keys != c.tokens {
				products = 4
			}
			onKernels(t, n.model(), products)
			p, err := Compile(context.Background(), n.model(), Config{})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(p.Explain().Steps, func(s LayerReport) bool { return s.Op == "Attention" && s.Kernel != "" }) {
				t.Error("no attention runs on the product kernels")
			}
			checkModel(t, n.model())
			allocatesNothing(t, n.model())
		})
	}
}

// TestNormalisationOfColumns normalises between linear layers.
func TestNormalisationOfColumns(t *testing.T) {
	for _, op := range []string{"LayerNormalization", "RMSNormalization"} {
		for _, bias := range []bool{false, true} {
			n := newNet(2, 19, 24)
			n.m.Opset[""] = 23
			a := n.node("MatMul", []string{"x", n.weight(0.8, 1, 24, 40)})
			in := []string{a, n.weight(0, 1, 40)}
			if bias && op == "LayerNormalization" {
				in = append(in, n.weight(0, 1, 40))
			}
			b := n.node(op, in, "axis", -1)
			b = n.node("MatMul", []string{b, n.weight(0.8, 1, 40, 40)})
			b = n.node("Add", []string{a, b}) // a is read after its normalisation
			n.node("MatMul", []string{n.node(op, append([]string{b}, in[1:]...), "axis", -1), n.weight(0, 1, 40, 24)})
			p, err := Compile(context.Background(), n.model(), Config{})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range p.Explain().Steps {
				if s.Why == "row-major operator" {
					t.Errorf("%s runs as: %s", s.Op, s.Why)
				}
			}
			checkModel(t, n.model())
			allocatesNothing(t, n.model())
		}
	}
}

// TestNormalisationBeforeLinear: what a normalisation reads is brought to
// features by columns once, for it and for the residual behind.
func TestNormalisationBeforeLinear(t *testing.T) {
	n := newNet(1, 40, 24)
	n.m.Opset[""] = 20
	x := n.node("Softmax", []string{"x"}, "axis", -1) // row-major
	a := n.node("LayerNormalization", []string{x, n.weight(0, 1, 24), n.weight(0, 1, 24)}, "axis", -1)
	a = n.node("Gelu", []string{n.node("MatMul", []string{a, n.weight(0.8, 1, 24, 40)})})
	n.node("Add", []string{n.node("MatMul", []string{a, n.weight(0.8, 1, 40, 24)}), x})
	p, err := Compile(context.Background(), n.model(), Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	into := 0
	for _, s := range p.Explain().Steps {
		if s.Op == "Relayout" && s.Why == "into lane-split images" {
			into++
		}
	}
	if into != 1 {
		t.Errorf("%d steps bring values to features by columns, want 1", into)
	}
	checkModel(t, n.model())
}
