package pass_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/kernels/vec"
	"github.com/nnz-dev/nnz/runtime/ops"
	"github.com/nnz-dev/nnz/runtime/ops/opstest"
	"github.com/nnz-dev/nnz/runtime/pass"
)

// A rewrite is what one pass, after those that prepare for it, makes of a
// graph. An empty after means no change.
type rewrite struct {
	name   string
	passes string
	before string
	after  string
}

// check runs the passes, compares the nodes, and compares the outputs before
// and after on random inputs.
func check(t *testing.T, opset int, cases []rewrite) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := parse(t, opset, c.before)
			types, err := graph.Infer(m, graph.InferOptions{Fold: ops.Eval})
			if err != nil {
				t.Fatal(err)
			}
			inputs := make(map[string]*graph.Tensor)
			r := rand.New(rand.NewPCG(3, 4))
			for _, in := range m.Inputs {
				n, err := graph.Elements(types[in.Name].Shape)
				if err != nil {
					t.Fatal(err)
				}
				v := make([]float32, n)
				for i := range v {
					v[i] = 8 * (r.Float32() - 0.5)
				}
				inputs[in.Name] = graph.FromFloats(types[in.Name].Shape, v)
			}
			run := func(g *pass.Graph) map[string]ops.Tensor {
				t.Helper()
				out, err := opstest.Run(g.Model, g.Types, inputs, vec.For(isa.Detect()))
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			g := &pass.Graph{Model: m.Clone(), Types: types}
			want := run(g)
			for name := range strings.FieldsSeq(c.passes) {
				i := slices.IndexFunc(pass.All, func(p pass.Pass) bool { return p.Name == name })
				if i < 0 {
					t.Fatalf("no pass %s", name)
				}
				if err := pass.All[i].Run(g); err != nil {
					t.Fatal(err)
				}
			}
			if c.after == "" {
				c.after = format(m.Nodes)
			}
			var lines []string
			for line := range strings.Lines(c.after) {
				if line = strings.TrimSpace(line); line != "" {
					lines = append(lines, line)
				}
			}
			if got := strings.TrimSpace(format(g.Nodes)); got != strings.Join(lines, "\n") {
				t.Errorf("got\n%s\nexpected\n%s", got, strings.Join(lines, "\n"))
			}
			got := run(g)
			for name, w := range want {
				stored, err := ops.Store(&w)
				if err != nil {
					t.Fatal(err)
				}
				if err := opstest.Compare(got[name], stored, 1e-5, 1e-5); err != nil {
					t.Errorf("output %s: %v", name, err)
				}
			}
			for name, w := range g.Weights {
				if strings.HasPrefix(name, "sparse") && w.Sparse() == nil {
					t.Errorf("weight %s is not sparse any more", name)
				}
			}
		})
	}
}

// explicit are the attributes that nnz.Conv has for a pointwise window.
const explicit = "dilations=[1 1] group=1 kernel_shape=[1 1] pads=[0 0 0 0] strides=[1 1]"

func TestFold(t *testing.T) {
	check(t, 13, []rewrite{
		{"constants of constants", "fold dead", `
			input x 2 3
			weight a 3
			b = Mul(a, a)
			c = Neg(b)
			y = Add(x, c)
			output y`, `
			y = Add(x, c)`},
		{"shape of an input", "fold dead", `
			input x 2 3 4
			ints minus 1 = -1
			ints zero = 0
			ints axes 1 = 0
			s = Shape(x)
			g = Gather(s, zero)
			u = Unsqueeze(g, axes)
			c = Concat(u, minus) axis=0
			y = Reshape(x, c)
			output y`, `
			y = Reshape(x, c)`},
		{"a constant output", "fold dead", `
			input x 2
			weight a 2
			y = Neg(a)
			z = Neg(x)
			output y z`, `
			z = Neg(x)`},
	})
}

func TestNoop(t *testing.T) {
	check(t, 13, []rewrite{
		{"identities in a row", "noop", `
			input x 2 3
			a = Identity(x)
			b, mask = Dropout(a)
			c = Cast(b) to=1
			y = Neg(c)
			output y`, `
			y = Neg(x)`},
		{"an output keeps its name", "noop", `
			input x 2
			a = Neg(x)
			b = Abs(a)
			y = Identity(a)
			output y b`, `
			y = Neg(x)
			b = Abs(y)`},
		{"an input that is an output stays", "noop", `
			input x 2
			y = Identity(x)
			output y`, ""},
		{"two names of one output stay", "noop", `
			input x 2
			y = Neg(x)
			z = Identity(y)
			output y z`, ""},
		{"moves that move nothing", "noop", `
			input x 1 2 3
			ints same 3 = 1 2 3
			ints zeros 6 = 0 0 0 0 0 0
			ints start 1 = 0
			ints end 1 = 99
			a = Reshape(x, same)
			b = Pad(a, zeros)
			c = Slice(b, start, end)
			d = Expand(c, same)
			e = Transpose(d) perm=[0 1 2]
			f = Concat(e) axis=1
			y = Neg(f)
			output y`, `
			y = Neg(x)`},
		{"moves that only look like it", "noop", `
			input x 2 2
			ints pads 4 = 1 0 -1 0
			ints start 1 = -1
			ints end 1 = -9
			ints axis 1 = 0
			ints step 1 = -1
			a = Pad(x, pads)
			b = Slice(a, start, end, axis, step)
			c = Transpose(b) perm=[1 0]
			d = Cast(c) to=7
			y = Cast(d) to=1
			output y`, ""},
		{"transpose of an axis of one", "noop", `
			input x 2 1 3
			a = Transpose(x) perm=[0 2 1]
			y = Neg(a)
			output y`, `
			a = Reshape(x, a.shape)
			y = Neg(a)`},
		{"sums of few", "noop", `
			input x 2
			a = Sum(x)
			y = Sum(a, x)
			output y`, `
			y = Add(x, x)`},
		{"a mask that is read stays", "noop", `
			input x 2
			a, mask = Dropout(x)
			y = Not(mask)
			z = Neg(a)
			output y z`, ""},
	})
}

func TestDead(t *testing.T) {
	check(t, 13, []rewrite{
		{"unused", "dead", `
			input x 1 1 4 4
			weight w 4
			a = Neg(x)
			b = Add(a, w)
			y, indices = MaxPool(x) kernel_shape=[2 2]
			output y`, `
			y = MaxPool(x) kernel_shape=[2 2]`},
		{"an unused part of a split stays", "dead", `
			input x 4
			a, y = Split(x) axis=0
			output y`, ""},
	})
}

func TestClamp(t *testing.T) {
	check(t, 13, []rewrite{
		{"relu of clip", "clamp dead", `
			input x 8
			weight lo = -1
			weight hi = 2
			a = Clip(x, lo, hi)
			y = Relu(a)
			output y`, `
			y = nnz.Clamp(x) max=2 min=0`},
		{"minimum of relu", "clamp dead", `
			input x 8
			weight six = 6
			a = Relu(x)
			y = Min(six, a)
			output y`, `
			y = nnz.Clamp(x) max=6 min=0`},
		{"disjoint ranges", "clamp dead", `
			input x 8
			weight one = 1
			weight two = 2
			a = Clip(x, , one)
			y = Max(a, two)
			output y`, `
			y = nnz.Clamp(x) max=2 min=2`},
		{"bounds that are not constant", "clamp", `
			input x 8
			input lo
			y = Clip(x, lo)
			output y`, ""},
		{"a maximum that broadcasts", "clamp", `
			input x 1
			weight a 1 1 = 1
			y = Max(x, a)
			output y`, ""},
		{"integers", "clamp", `
			input x 8
			i = Cast(x) to=6
			a = Clip(i)
			y = Cast(a) to=1
			output y`, ""},
	})
	check(t, 6+1, []rewrite{
		{"bounds in attributes", "clamp", `
			input x 8
			y = Clip(x) min=0.5 max=2.5
			output y`, `
			y = nnz.Clamp(x) max=2.5 min=0.5`},
	})
}

func TestHardSwish(t *testing.T) {
	for name, text := range map[string]string{
		"product first":  "m = Mul(x, r)\n y = Div(m, six)",
		"quotient first": "q = Div(r, six)\n y = Mul(q, x)",
		"by a sixth":     "m = Mul(r, x)\n y = Mul(sixth, m)",
		"sixth first":    "q = Mul(r, sixth)\n y = Mul(x, q)",
	} {
		check(t, 13, []rewrite{{name, "clamp hardswish dead", `
			input x 16
			weight three = 3
			weight zero = 0
			weight six = 6
			weight sixth = 0.16666667
			a = Add(x, three)
			r = Clip(a, zero, six)
			` + text + `
			output y`, `
			y = nnz.HardSwish(x)`}})
	}
	check(t, 13, []rewrite{
		{"from hard sigmoid", "hardswish dead", `
			input x 16
			h = HardSigmoid(x) alpha=0.16666667 beta=0.5
			y = Mul(h, x)
			output y`, `
			y = nnz.HardSwish(x)`},
		{"hard sigmoid alone", "clamp hardswish dead", `
			input x 16
			weight three = 3
			weight six = 6
			weight zero = 0
			a = Add(three, x)
			r = Clip(a, zero, six)
			y = Div(r, six)
			output y`, `
			y = HardSigmoid(x) alpha=0.1667 beta=0.5`},
		{"of another value", "hardswish", `
			input x 16
			input z 16
			h = HardSigmoid(x) alpha=0.16666667 beta=0.5
			y = Mul(h, z)
			output y`, ""},
		{"of another slope", "hardswish", `
			input x 16
			h = HardSigmoid(x)
			y = Mul(h, x)
			output y`, ""},
	})
}

func TestConv(t *testing.T) {
	check(t, 13, []rewrite{
		{"defaults", "conv", `
			input x 1 4 5 5
			weight w 2 4 1 1
			y = Conv(x, w)
			output y`, `
			y = nnz.Conv(x, w) ` + explicit},
		{"automatic padding", "conv", `
			input x 1 4 5
			weight w 4 1 2
			weight b 4
			y = Conv(x, w, b) auto_pad=SAME_LOWER group=4 strides=[2]
			output y`, `
			y = nnz.Conv(x, w, b) dilations=[1] group=4 kernel_shape=[2] pads=[1 0] strides=[2]`},
		{"a computed weight", "conv", `
			input x 1 4 5
			input w 4 4 1
			y = Conv(x, w)
			output y`, ""},
	})
}

func TestLinear(t *testing.T) {
	check(t, 13, []rewrite{
		{"gemm", "linear dead", `
			input x 3 4
			weight w 4 2
			weight b 1 2
			y = Gemm(x, w, b)
			output y`, `
			y = nnz.Linear(x, w.T, b.bias)`},
		{"gemm of a turned weight", "linear dead", `
			input x 3 4
			weight w 2 4
			y = Gemm(x, w) transB=1
			output y`, `
			y = nnz.Linear(x, w)`},
		{"factors", "linear dead", `
			input x 3 64
			weight sparse 16 64
			weight b = 2
			y = Gemm(x, sparse, b) transB=1 alpha=0.5 beta=3
			output y`, `
			y = nnz.Linear(x, sparse.alpha, b.bias)`},
		{"matmul of many axes", "linear dead", `
			input x 2 3 64
			weight sparse 64 16
			y = MatMul(x, sparse)
			output y`, `
			y = nnz.Linear(x, sparse.T)`},
		{"matmul of a vector", "linear dead", `
			input x 4
			weight w 4 2
			y = MatMul(x, w)
			output y`, `
			y = nnz.Linear(x, w.T)`},
		{"a turned input", "linear", `
			input x 4 3
			weight w 4 2
			y = Gemm(x, w) transA=1
			output y`, ""},
		{"a bias for each row", "linear", `
			input x 3 4
			weight w 4 2
			weight b 3 1
			y = Gemm(x, w, b)
			output y`, ""},
		{"a weight of three axes", "linear", `
			input x 2 3 4
			weight w 2 4 2
			y = MatMul(x, w)
			output y`, ""},
	})
}

func TestMatMul(t *testing.T) {
	const taps = "dilations=[1] group=1 kernel_shape=[1] pads=[0 0] strides=[1]"
	check(t, 13, []rewrite{
		{"a weight on the left", "matmul dead", `
			input x 5 4 3
			weight sparse 64 4
			y = MatMul(sparse, x)
			output y`, `
			y = nnz.Conv(x, sparse.taps) ` + taps},
		{"a weight on the left of one column", "matmul dead", `
			input x 4 1
			weight w 8 4
			y = MatMul(w, x)
			output y`, `
			y.Reshape = Reshape(x, x.shape)
			y.Linear = nnz.Linear(y.Reshape, w.T)
			y = Reshape(y.Linear, y.Linear.shape)`},
		{"a weight on the left of a vector", "matmul dead", `
			input x 4
			weight w 8 4
			y = MatMul(w, x)
			output y`, `
			y.Reshape = Reshape(x, x.shape)
			y.Linear = nnz.Linear(y.Reshape, w.T)
			y = Reshape(y.Linear, y.Linear.shape)`},
		{"a vector on the left", "matmul dead", `
			input x 2 4 3
			weight w 4
			y = MatMul(w, x)
			output y`, `
			y.Conv = nnz.Conv(x, w.taps) ` + taps + `
			y = Reshape(y.Conv, y.Conv.shape)`},
		{"a vector on the right", "matmul dead", `
			input x 2 4
			weight w 4
			y = MatMul(x, w)
			output y`, `
			y.Linear = nnz.Linear(x, w.T)
			y = Reshape(y.Linear, y.Linear.shape)`},
		{"a weight with axes of one", "matmul dead", `
			input x 5 4
			weight w 1 1 4 2
			y = MatMul(x, w)
			output y`, `
			y.Linear = nnz.Linear(x, w.T)
			y = Reshape(y.Linear, y.Linear.shape)`},
		{"a batch of weights on the left", "matmul dead", `
			input x 6 2 4 3
			weight w 2 5 4
			y = MatMul(w, x)
			output y`, `
			y.Reshape = Reshape(x, x.shape)
			y.Conv = nnz.Conv(y.Reshape, w.taps) dilations=[1] group=2 kernel_shape=[1] pads=[0 0] strides=[1]
			y = Reshape(y.Conv, y.Conv.shape)`},
		{"a batch of weights on the left of one value", "matmul dead", `
			input x 4 3
			weight w 2 5 4
			y = MatMul(w, x)
			output y`, `
			y.Reshape = Reshape(x, x.shape)
			y.Conv = nnz.Conv(y.Reshape, w.taps) ` + taps + `
			y = Reshape(y.Conv, y.Conv.shape)`},
		{"a batch of weights on the right", "matmul dead", `
			input x 2 3 4
			weight w 2 4 5
			y = MatMul(x, w)
			output y`, `
			y.Transpose = Transpose(x) perm=[0 2 1]
			y.Reshape = Reshape(y.Transpose, y.Transpose.shape)
			y.Conv = nnz.Conv(y.Reshape, w.taps) dilations=[1] group=2 kernel_shape=[1] pads=[0 0] strides=[1]
			y.Reshape.1 = Reshape(y.Conv, y.Conv.shape)
			y = Transpose(y.Reshape.1) perm=[0 2 1]`},
		{"batches that broadcast in part", "matmul", `
			input x 1 3 2 4
			weight w 2 3 4 5
			y = MatMul(x, w)
			output y`, ""},
		{"a turned input", "linear matmul dead", `
			input x 4 3
			weight w 4 2
			y = Gemm(x, w) transA=1
			output y`, `
			y.Transpose = Transpose(x) perm=[1 0]
			y = nnz.Linear(y.Transpose, w.T)`},
		{"a bias for each row and factors", "linear matmul dead", `
			input x 3 4
			weight w 2 4
			weight b 3 1
			y = Gemm(x, w, b) transB=1 alpha=0.5 beta=2.5
			output y`, `
			y.Linear = nnz.Linear(x, w.T)
			y = Add(y.Linear, b.scaled)`},
		{"a computed term", "linear matmul dead", `
			input x 3 4
			input c 3 2
			weight w 4 2
			y = Gemm(x, w, c) beta=2.5
			output y`, `
			c.scaled = Mul(c, c.beta)
			y.Linear = nnz.Linear(x, w.T)
			y = Add(y.Linear, c.scaled)`},
		{"a weight on the left of Gemm", "linear matmul dead", `
			input x 3 4
			weight w 3 5
			y = Gemm(w, x) transA=1
			output y`, `
			y.Reshape = Reshape(x, x.shape)
			y.Conv = nnz.Conv(y.Reshape, w.taps) ` + taps + `
			y = Reshape(y.Conv, y.Conv.shape)`},
		{"a weight on the left of Gemm, both turned", "linear matmul dead", `
			input x 4 3
			weight w 3 5
			y = Gemm(w, x) transA=1 transB=1
			output y`, `
			y.Linear = nnz.Linear(x, w.T)
			y = Transpose(y.Linear) perm=[1 0]`},
	})
}

func TestConvTranspose(t *testing.T) {
	check(t, 13, []rewrite{
		{"stride of two, then a clamp", "clamp convtranspose dead", `
			input x 2 4 5 6
			weight sparse 4 3 4 4
			weight b 3
			a = ConvTranspose(x, sparse, b) strides=[2 2] pads=[1 1 1 1]
			y = Relu(a)
			output y`, `
			y.Conv = nnz.Conv(x, sparse.phases, b.phases) clamp_min=0 dilations=[1 1] group=1 kernel_shape=[2 2] pads=[1 1 1 1] strides=[1 1]
			y = nnz.DepthToSpace(y.Conv) blocks=[2 2] skip=[1 1]`},
		{"pixels that no window reaches", "convtranspose dead", `
			input x 1 2 5
			weight w 2 3 2
			y = ConvTranspose(x, w) strides=[3] output_padding=[2]
			output y`, `
			y.Conv = nnz.Conv(x, w.phases) dilations=[1] group=1 kernel_shape=[1] pads=[0 1] strides=[1]
			y = nnz.DepthToSpace(y.Conv) blocks=[3] skip=[0]`},
		{"stride of one", "convtranspose dead", `
			input x 1 4 5 6
			weight w 4 1 3 3
			y = ConvTranspose(x, w) group=4 dilations=[2 1]
			output y`, `
			y = nnz.Conv(x, w.phases) dilations=[2 1] group=4 kernel_shape=[3 3] pads=[4 2 4 2] strides=[1 1]`},
		{"three axes", "convtranspose dead", `
			input x 1 2 3 3 3
			weight w 2 1 2 2 2
			y = ConvTranspose(x, w) strides=[2 2 2]
			output y`, `
			y.Conv = nnz.Conv(x, w.phases) dilations=[1 1 1] group=1 kernel_shape=[1 1 1] pads=[0 0 0 0 0 0] strides=[1 1 1]
			y = nnz.DepthToSpace(y.Conv) blocks=[2 2 2] skip=[0 0 0]`},
		{"a kernel far apart", "convtranspose", `
			input x 1 2 5
			weight w 2 3 2
			y = ConvTranspose(x, w) strides=[2] dilations=[99]
			output y`, ""},
		{"a computed weight", "convtranspose", `
			input x 1 2 5
			input w 2 3 2
			y = ConvTranspose(x, w)
			output y`, ""},
	})
}

func TestRecurrent(t *testing.T) {
	check(t, 14, []rewrite{
		{"both directions", "recurrent dead", `
			input x 5 2 4
			weight w 2 12 4
			weight sparse 2 12 3
			weight b 2 24
			y, , = LSTM(x, w, sparse, b) direction=bidirectional hidden_size=3
			output y`, `
			x.gates = nnz.Linear(x, w.gates, b.gates)
			y, ,  = nnz.LSTM(x.gates, , sparse, b.hidden) direction=bidirectional hidden_size=3`},
		{"batch first, without a bias", "recurrent dead", `
			input x 2 5 4
			weight w 1 9 4
			weight r 1 9 3
			weight h 2 1 3
			y, last = GRU(x, w, r, , , h) layout=1 linear_before_reset=1
			output y last`, `
			x.gates = nnz.Linear(x, w.gates)
			y, last = nnz.GRU(x.gates, , r, , , h) layout=1 linear_before_reset=1`},
		{"computed weights", "recurrent", `
			input x 5 2 4
			input w 1 3 4
			weight r 1 3 3
			y = RNN(x, w, r)
			output y`, ""},
	})
}

func TestPad(t *testing.T) {
	check(t, 13, []rewrite{
		{"into a convolution", "conv pad dead", `
			input x 1 2 4 4
			weight w 2 2 1 1
			ints p 8 = 0 0 1 2 0 0 3 4
			a = Pad(x, p)
			y = Conv(a, w) pads=[1 1 1 1]
			output y`, `
			y = nnz.Conv(x, w) dilations=[1 1] group=1 kernel_shape=[1 1] pads=[2 3 4 5] strides=[1 1]`},
		{"into an average", "pad dead", `
			input x 1 2 4
			ints p 6 = 0 0 1 0 0 0
			a = Pad(x, p)
			y = AveragePool(a) kernel_shape=[2]
			output y`, `
			y = AveragePool(x) count_include_pad=1 kernel_shape=[2] pads=[1 0]`},
		{"an average that leaves out its own padding", "pad", `
			input x 1 2 4
			ints p 6 = 0 0 1 0 0 0
			a = Pad(x, p)
			y = AveragePool(a) kernel_shape=[2] pads=[1 0]
			output y`, ""},
		{"of channels", "conv pad", `
			input x 1 2 4
			weight w 2 3 1
			ints p 6 = 0 1 0 0 0 0
			a = Pad(x, p)
			y = Conv(a, w)
			output y`, `
			a = Pad(x, p)
			y = nnz.Conv(a, w) dilations=[1] group=1 kernel_shape=[1] pads=[0 0] strides=[1]`},
		{"with a value", "pad", `
			input x 1 2 4
			weight v = 1
			ints p 6 = 0 0 1 0 0 0
			a = Pad(x, p, v)
			y = AveragePool(a) kernel_shape=[2]
			output y`, ""},
	})
}

func TestBatchNorm(t *testing.T) {
	check(t, 13, []rewrite{
		{"into a convolution", "conv batchnorm dead", `
			input x 1 8 5 5
			weight sparse 8 8 1 1
			weight b 8
			weight s 8
			weight o 8
			weight m 8
			weight v 8
			a = Conv(x, sparse, b)
			y = BatchNormalization(a, s, o, m, v)
			output y`, `
			y = nnz.Conv(x, sparse, b) ` + explicit},
		{"into a linear layer without a bias", "linear batchnorm dead", `
			input x 3 4
			weight w 4 2
			weight s 2
			weight o 2
			weight m 2
			weight v 2
			a = MatMul(x, w)
			y = BatchNormalization(a, s, o, m, v) epsilon=0.5
			output y`, `
			y = nnz.Linear(x, w.T, w.T.bias)`},
		{"into a transposed convolution of groups", "batchnorm dead", `
			input x 1 4 3 3
			weight w 4 3 2 2
			weight s 6
			weight o 6
			weight m 6
			weight v 6
			a = ConvTranspose(x, w) group=2 strides=[2 2]
			y = BatchNormalization(a, s, o, m, v)
			output y`, `
			y = ConvTranspose(x, w, w.bias) group=2 strides=[2 2]`},
		{"alone", "batchnorm dead", `
			input x 2 3 4
			weight s 3
			weight o 3
			weight m 3
			weight v 3
			y = BatchNormalization(x, s, o, m, v)
			output y`, `
			y = nnz.Affine(x, y.scale, y.shift)`},
		{"another reader of the convolution", "conv batchnorm dead", `
			input x 1 2 3 3
			weight w 2 2 1 1
			weight s 2
			weight o 2
			weight m 2
			weight v 2
			a = Conv(x, w)
			z = Neg(a)
			y = BatchNormalization(a, s, o, m, v)
			output y z`, `
			a = nnz.Conv(x, w) ` + explicit + `
			z = Neg(a)
			y = nnz.Affine(a, y.scale, y.shift)`},
		{"channels that are not the last axis", "linear batchnorm dead", `
			input x 1 2 4
			weight w 4 2
			weight s 2
			weight o 2
			weight m 2
			weight v 2
			a = MatMul(x, w)
			y = BatchNormalization(a, s, o, m, v)
			output y`, `
			a = nnz.Linear(x, w.T)
			y = nnz.Affine(a, y.scale, y.shift)`},
		{"statistics that are computed", "batchnorm", `
			input x 1 2 3
			input s 2
			weight o 2
			weight m 2
			weight v 2
			y = BatchNormalization(x, s, o, m, v)
			output y`, ""},
	})
}

func TestArith(t *testing.T) {
	check(t, 13, []rewrite{
		{"all four", "conv arith dead", `
			input x 1 2 3 3
			weight w 2 2 1 1
			weight b 2
			weight one 1 2 1 1
			weight two 2 1 1
			weight three = 3
			weight four = 4
			c = Conv(x, w, b)
			d = Add(one, c)
			e = Mul(d, two)
			f = Sub(three, e)
			y = Div(f, four)
			output y`, `
			y = nnz.Conv(x, w, b) ` + explicit},
		{"a weight that two layers share", "conv arith dead", `
			input x 1 2 3 3
			weight w 2 2 1 1
			weight two = 2
			c = Conv(x, w)
			z = Conv(x, w)
			y = Mul(c, two)
			output y z`, `
			z = nnz.Conv(x, w) ` + explicit + `
			y = nnz.Conv(x, w.1, w.bias) ` + explicit},
		{"bias of a matmul", "linear arith dead", `
			input x 2 3 4
			weight w 4 5
			weight b 5
			a = MatMul(x, w)
			y = Add(b, a)
			output y`, `
			y = nnz.Linear(x, w.T, w.T.bias)`},
		{"the sole one is a quotient by the output", "conv arith", `
			input x 1 2 3
			weight w 2 2 1
			weight c = 2
			a = Conv(x, w)
			y = Div(c, a)
			output y`, `
			a = nnz.Conv(x, w) dilations=[1] group=1 kernel_shape=[1] pads=[0 0] strides=[1]
			y = Div(c, a)`},
		{"along another axis", "conv arith", `
			input x 1 2 3
			weight w 2 2 1
			weight c 3
			a = Conv(x, w)
			y = Add(a, c)
			output y`, `
			a = nnz.Conv(x, w) dilations=[1] group=1 kernel_shape=[1] pads=[0 0] strides=[1]
			y = Add(a, c)`},
		{"a constant that broadcasts the output", "conv arith", `
			input x 1 2 3
			weight w 2 2 1
			weight c 2 1 1
			a = Conv(x, w)
			y = Add(a, c)
			output y`, `
			a = nnz.Conv(x, w) dilations=[1] group=1 kernel_shape=[1] pads=[0 0] strides=[1]
			y = Add(a, c)`},
	})
}

func TestEpilogue(t *testing.T) {
	const line = "dilations=[1] group=1 kernel_shape=[1] pads=[0 0] strides=[1]"
	check(t, 13, []rewrite{
		{"residual, then clamp", "clamp conv epilogue dead", `
			input x 1 2 3
			weight w 2 2 1
			c = Conv(x, w)
			a = Add(x, c)
			y = Relu(a)
			output y`, `
			y = nnz.Conv(x, w, , x) clamp_min=0 ` + line},
		{"after a clamp nothing is added", "clamp conv epilogue dead", `
			input x 1 2 3
			weight w 2 2 1
			c = Conv(x, w)
			r = Relu(c)
			y = Add(x, r)
			output y`, `
			r = nnz.Conv(x, w) clamp_min=0 ` + line + `
			y = Add(x, r)`},
		{"the later of two layers adds", "conv epilogue dead", `
			input x 1 2 3
			weight w 2 2 1
			weight v 2 2 1
			c = Conv(x, w)
			d = Conv(x, v)
			y = Add(c, d)
			output y`, `
			c = nnz.Conv(x, w) ` + line + `
			y = nnz.Conv(x, v, , c) ` + line},
		{"the residual comes after the layer", "conv epilogue dead", `
			input x 1 2 3
			weight w 2 2 1
			c = Conv(x, w)
			d = Sigmoid(x)
			y = Add(c, d)
			output y`, `
			d = Sigmoid(x)
			y = nnz.Conv(x, w, , d) ` + line},
		{"one residual a layer", "linear epilogue dead", `
			input x 2 4
			weight w 4 4
			c = MatMul(x, w)
			d = Add(c, x)
			y = Add(d, x)
			output y`, `
			d = nnz.Linear(x, w.T, , x)
			y = Add(d, x)`},
		{"a layer that two read", "clamp conv epilogue dead", `
			input x 1 2 3
			weight w 2 2 1
			c = Conv(x, w)
			r = Relu(c)
			y = Add(c, r)
			output y`, `
			c = nnz.Conv(x, w) ` + line + `
			r = nnz.Clamp(c) min=0
			y = Add(c, r)`},
		{"a layer that is an output", "clamp conv epilogue dead", `
			input x 1 2 3
			weight w 2 2 1
			c = Conv(x, w)
			y = Relu(c)
			output c y`, `
			c = nnz.Conv(x, w) ` + line + `
			y = nnz.Clamp(c) min=0`},
		{"a residual that broadcasts", "conv epilogue dead", `
			input x 1 2 3
			input z 1 2 1
			weight w 2 2 1
			c = Conv(x, w)
			y = Add(c, z)
			output y`, `
			c = nnz.Conv(x, w) ` + line + `
			y = Add(c, z)`},
		{"added to itself", "conv epilogue dead", `
			input x 1 2 3
			weight w 2 2 1
			c = Conv(x, w)
			y = Add(c, c)
			output y`, `
			c = nnz.Conv(x, w) ` + line + `
			y = Add(c, c)`},
	})
}
