package prune_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/prune"
)

// A net builds a model, node by node.
type net struct {
	graph.Model
	r *rand.Rand
}

func newNet(opset int, shapes ...[]int) *net {
	b := &net{r: rand.New(rand.NewPCG(1, 2))}
	b.Opset = map[string]int{"": opset}
	b.Weights = make(map[string]*graph.Tensor)
	b.IR = 8
	for i, s := range shapes {
		b.Inputs = append(b.Inputs, &graph.Value{Name: fmt.Sprintf("x%d", i), DType: graph.Float32, Shape: graph.Dims(s...)})
	}
	return b
}

// w adds a random weight.
func (b *net) w(shape ...int) string {
	n := 1
	for _, d := range shape {
		n *= d
	}
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(b.r.NormFloat64())
	}
	return b.weight(graph.FromFloats(shape, v))
}

// ints adds a list of integers.
func (b *net) ints(v ...int64) string {
	return b.weight(graph.FromInts(graph.Int64, []int{len(v)}, v))
}

func (b *net) weight(t *graph.Tensor) string {
	name := fmt.Sprintf("w%d", len(b.Weights))
	b.Weights[name] = t
	return name
}

type attrs map[string]any

// op adds a node of one output.
func (b *net) op(op string, a attrs, in ...string) string { return b.ops(op, 1, a, in...)[0] }

// ops adds a node of several outputs.
func (b *net) ops(op string, outputs int, a attrs, in ...string) []string {
	n := &graph.Node{Op: op, Name: fmt.Sprintf("%s%d", strings.ToLower(op), len(b.Nodes)), Inputs: in}
	for k, v := range a {
		n.Set(k, v)
	}
	for i := range outputs {
		n.Outputs = append(n.Outputs, fmt.Sprintf("%s.%d", n.Name, i))
	}
	b.Nodes = append(b.Nodes, n)
	return n.Outputs
}

// conv adds a 1x1 convolution from in to out channels, with a bias.
func (b *net) conv(x string, in, out int) string {
	return b.op("Conv", nil, x, b.w(out, in, 1, 1), b.w(out))
}

func (b *net) done(outputs ...string) *graph.Model {
	for _, name := range outputs {
		b.Outputs = append(b.Outputs, &graph.Value{Name: name, DType: graph.Float32})
	}
	return &b.Model
}

// shrinkNets are models with what their groups must be: channels x width each,
// or a part of the reason why there are none that may go.
var shrinkNets = []struct {
	name  string
	want  string // "channels x width" of the groups that may go, in order
	build func() *graph.Model
}{
	{"chain", "6x1", func() *graph.Model {
		b := newNet(17, []int{1, 3, 5, 5})
		return b.done(b.conv(b.op("Relu", nil, b.conv("x0", 3, 6)), 6, 4))
	}},
	{"residual", "6x1 5x1", func() *graph.Model {
		b := newNet(17, []int{1, 3, 5, 5})
		x := b.conv("x0", 3, 6)
		y := b.conv(b.op("Relu", nil, b.conv(x, 6, 5)), 5, 6)
		return b.done(b.conv(b.op("Add", nil, x, y), 6, 2))
	}},
	{"residual to the input", "5x1", func() *graph.Model {
		b := newNet(17, []int{1, 3, 5, 5})
		return b.done(b.op("Add", nil, "x0", b.conv(b.op("Relu", nil, b.conv("x0", 3, 5)), 5, 3)))
	}},
	{"concat", "6x1 5x1", func() *graph.Model {
		b := newNet(17, []int{1, 3, 5, 5})
		y := b.op("Concat", attrs{"axis": 1}, b.conv("x0", 3, 6), "x0", b.conv("x0", 3, 5))
		return b.done(b.conv(y, 14, 4))
	}},
	{"zero padding of channels", "4x1", func() *graph.Model {
		b := newNet(17, []int{1, 3, 5, 5})
		y := b.op("Pad", nil, b.conv("x0", 3, 4), b.ints(0, 1, 0, 0, 0, 2, 0, 0))
		return b.done(b.conv(y, 7, 4))
	}},
	{"depthwise", "6x1", func() *graph.Model {
		b := newNet(17, []int{1, 3, 6, 6})
		y := b.op("Conv", attrs{"group": 6, "pads": []int{1, 1, 1, 1}}, b.conv("x0", 3, 6), b.w(6, 1, 3, 3), b.w(6))
		return b.done(b.conv(b.op("Clip", nil, y, b.weight(graph.FromFloats([]int{}, []float32{0})), b.weight(graph.FromFloats([]int{}, []float32{6}))), 6, 4))
	}},
	{"depthwise of two outputs", "4x1", func() *graph.Model {
		b := newNet(17, []int{1, 4, 6, 6})
		y := b.op("Conv", attrs{"group": 4}, b.conv("x0", 4, 4), b.w(8, 1, 3, 3), b.w(8))
		return b.done(b.conv(y, 8, 4))
	}},
	{"many small groups", "4x2", func() *graph.Model {
		b := newNet(17, []int{1, 3, 6, 6})
		y := b.op("Conv", attrs{"group": 4}, b.conv("x0", 3, 8), b.w(12, 2, 3, 3), b.w(12))
		return b.done(b.conv(y, 12, 4))
	}},
	{"few large groups", "5x2 3x2", func() *graph.Model {
		b := newNet(17, []int{1, 3, 6, 6})
		y := b.op("Conv", attrs{"group": 2}, b.conv("x0", 3, 10), b.w(6, 5, 3, 3), b.w(6))
		return b.done(b.conv(y, 6, 4))
	}},
	{"transposed", "5x1 4x1", func() *graph.Model {
		b := newNet(17, []int{1, 3, 6, 6})
		y := b.op("ConvTranspose", attrs{"strides": []int{2, 2}}, b.conv("x0", 3, 5), b.w(5, 4, 2, 2), b.w(4))
		return b.done(b.conv(y, 4, 2))
	}},
	{"transposed in groups", "4x2 3x2", func() *graph.Model {
		b := newNet(17, []int{1, 3, 6, 6})
		y := b.op("ConvTranspose", attrs{"group": 2}, b.conv("x0", 3, 8), b.w(8, 3, 2, 2), b.w(6))
		return b.done(b.conv(y, 6, 2))
	}},
	{"transposed depthwise", "4x1", func() *graph.Model {
		b := newNet(17, []int{1, 3, 6, 6})
		y := b.op("ConvTranspose", attrs{"group": 4}, b.conv("x0", 3, 4), b.w(4, 1, 2, 2), b.w(4))
		return b.done(b.conv(y, 4, 2))
	}},
	{"batch normalisation", "6x1", func() *graph.Model {
		b := newNet(17, []int{1, 3, 5, 5})
		variance := b.weight(graph.FromFloats([]int{6}, []float32{1, 2, 3, .5, .1, 4}))
		y := b.op("BatchNormalization", nil, b.conv("x0", 3, 6), b.w(6), b.w(6), b.w(6), variance)
		return b.done(b.conv(b.op("Relu", nil, y), 6, 4))
	}},
	{"squeeze and excite", "8x1 3x1", func() *graph.Model {
		b := newNet(17, []int{1, 3, 5, 5})
		x := b.op("HardSwish", nil, b.conv("x0", 3, 8))
		s := b.op("HardSigmoid", nil, b.conv(b.op("Relu", nil, b.conv(b.op("GlobalAveragePool", nil, x), 8, 3)), 3, 8))
		return b.done(b.conv(b.op("Mul", nil, s, x), 8, 4))
	}},
	{"flatten", "6x1 5x1", func() *graph.Model {
		b := newNet(17, []int{2, 3, 4, 4})
		y := b.op("Flatten", nil, b.op("MaxPool", attrs{"kernel_shape": []int{2, 2}, "strides": []int{2, 2}}, b.conv("x0", 3, 6)))
		y = b.op("Gemm", attrs{"transB": 1, "alpha": float32(0.5), "beta": float32(2)}, y, b.w(5, 24), b.w(5))
		return b.done(b.op("Gemm", nil, b.op("Sigmoid", nil, y), b.w(5, 3), b.w(1, 3)))
	}},
	{"channels last", "6x1 7x1", func() *graph.Model {
		b := newNet(17, []int{1, 3, 4, 4})
		y := b.op("Transpose", attrs{"perm": []int{0, 2, 3, 1}}, b.conv("x0", 3, 6))
		y = b.op("Tanh", nil, b.op("Add", nil, b.op("MatMul", nil, y, b.w(6, 7)), b.w(7)))
		return b.done(b.op("MatMul", nil, y, b.w(7, 2)))
	}},
	{"weight on the left", "6x1", func() *graph.Model {
		b := newNet(17, []int{3, 9})
		y := b.op("Relu", nil, b.op("MatMul", nil, b.w(6, 3), "x0"))
		return b.done(b.op("MatMul", nil, b.w(2, 6), y))
	}},
	{"transposed weight", "6x1", func() *graph.Model {
		b := newNet(17, []int{5, 3})
		y := b.op("MatMul", nil, "x0", b.op("Transpose", nil, b.w(6, 3)))
		return b.done(b.op("MatMul", nil, b.op("Relu", nil, y), b.op("Identity", nil, b.w(6, 2))))
	}},
	{"shared weight", "4x1", func() *graph.Model {
		b := newNet(17, []int{5, 4})
		w := b.w(4, 4)
		x := b.op("MatMul", nil, "x0", b.w(4, 4))
		y := b.op("Relu", nil, b.op("MatMul", nil, x, w))
		y = b.op("Relu", nil, b.op("MatMul", nil, y, w))
		return b.done(b.op("MatMul", nil, y, b.w(4, 3)))
	}},
	{"split", "8x1", func() *graph.Model {
		b := newNet(13, []int{1, 3, 4, 4})
		y := b.ops("Split", 2, attrs{"axis": 1}, b.conv("x0", 3, 8), b.ints(3, 5))
		return b.done(b.conv(y[0], 3, 2), b.conv(y[1], 5, 2))
	}},
	{"equal split", "8x1", func() *graph.Model {
		b := newNet(11, []int{1, 3, 4, 4})
		y := b.ops("Split", 2, attrs{"axis": 1}, b.conv("x0", 3, 8))
		return b.done(b.conv(y[0], 4, 2), b.conv(y[1], 4, 2))
	}},
	{"equal split of version 18", "8x1", func() *graph.Model {
		b := newNet(18, []int{1, 3, 4, 4})
		y := b.ops("Split", 2, attrs{"axis": 1, "num_outputs": 2}, b.conv("x0", 3, 8))
		return b.done(b.conv(y[0], 4, 2), b.conv(y[1], 4, 2))
	}},
	{"gated linear unit", "4x2", func() *graph.Model {
		b := newNet(13, []int{1, 3, 4, 4})
		y := b.ops("Split", 2, attrs{"axis": 1}, b.conv("x0", 3, 8))
		return b.done(b.conv(b.op("Mul", nil, y[0], b.op("Sigmoid", nil, y[1])), 4, 2))
	}},
	{"slice", "8x1", func() *graph.Model {
		b := newNet(13, []int{1, 3, 4, 4})
		x := b.conv("x0", 3, 8)
		y := b.op("Slice", nil, x, b.ints(2, 0), b.ints(-1, 1<<40), b.ints(1, 2))
		return b.done(b.conv(y, 5, 2), b.conv(x, 8, 2))
	}},
	{"slice of version 9", "8x1", func() *graph.Model {
		b := newNet(9, []int{1, 3, 4, 4})
		x := b.conv("x0", 3, 8)
		y := b.op("Slice", attrs{"starts": []int{2}, "ends": []int{7}, "axes": []int{1}}, x)
		return b.done(b.conv(y, 5, 2), b.conv(x, 8, 2))
	}},
	{"every second channel", "takes every", func() *graph.Model {
		b := newNet(13, []int{1, 3, 4, 4})
		y := b.op("Slice", nil, b.conv("x0", 3, 8), b.ints(0), b.ints(8), b.ints(1), b.ints(2))
		return b.done(b.conv(y, 4, 2))
	}},
	{"shuffle by indices", "6x1", func() *graph.Model {
		b := newNet(13, []int{1, 3, 4, 4})
		y := b.op("Gather", attrs{"axis": 1}, b.conv("x0", 3, 6), b.ints(0, 3, -5, 4, 2, 5))
		return b.done(b.conv(y, 6, 2))
	}},
	{"shuffle by reshape", "4x2", func() *graph.Model {
		b := newNet(13, []int{1, 3, 4, 4})
		y := b.op("Reshape", nil, b.conv("x0", 3, 8), b.ints(1, 2, 4, 4, 4))
		y = b.op("Transpose", attrs{"perm": []int{0, 2, 1, 3, 4}}, y)
		return b.done(b.conv(b.op("Reshape", nil, y, b.ints(0, -1, 4, 4)), 8, 2))
	}},
	{"shape that is computed", "8x1", func() *graph.Model {
		b := newNet(13, []int{2, 3, 4, 4})
		x := b.conv("x0", 3, 8)
		n := b.op("Gather", nil, b.op("Shape", nil, x), b.ints(0))
		y := b.op("Reshape", nil, x, b.op("Concat", attrs{"axis": 0}, n, b.ints(128)))
		return b.done(b.op("MatMul", nil, y, b.w(128, 3)))
	}},
	{"computing with a shape", "8x1", func() *graph.Model {
		b := newNet(13, []int{2, 3, 4, 4})
		x := b.conv("x0", 3, 8)
		channels := b.op("Cast", attrs{"to": 1}, b.op("Gather", nil, b.op("Shape", nil, x), b.ints(1)))
		return b.done(b.conv(b.op("Div", nil, x, b.op("Sqrt", nil, channels)), 8, 2))
	}},
	{"resize to sizes", "6x1", func() *graph.Model {
		b := newNet(13, []int{1, 3, 4, 4})
		y := b.op("Resize", attrs{"mode": "nearest"}, b.conv("x0", 3, 6), "", "", b.ints(1, 6, 8, 8))
		return b.done(b.conv(y, 6, 2))
	}},
	{"depth to space", "3x4", func() *graph.Model {
		b := newNet(13, []int{1, 3, 4, 4})
		y := b.op("DepthToSpace", attrs{"blocksize": 2, "mode": "CRD"}, b.conv("x0", 3, 12))
		return b.done(b.conv(y, 3, 2))
	}},
	{"depth to space, depth first", "3x4", func() *graph.Model {
		b := newNet(13, []int{1, 3, 4, 4})
		y := b.op("DepthToSpace", attrs{"blocksize": 2}, b.conv("x0", 3, 12))
		return b.done(b.conv(y, 3, 2))
	}},
	{"space to depth", "5x1", func() *graph.Model {
		b := newNet(13, []int{1, 3, 4, 4})
		y := b.op("SpaceToDepth", attrs{"blocksize": 2}, b.conv("x0", 3, 5))
		return b.done(b.conv(y, 20, 2))
	}},
	{"attention", "2x8", func() *graph.Model { // four heads of queries for two of keys
		b := newNet(23, []int{1, 5, 6})
		q, k, v := b.op("MatMul", nil, "x0", b.w(6, 16)), b.op("MatMul", nil, "x0", b.w(6, 8)), b.op("MatMul", nil, "x0", b.w(6, 8))
		y := b.op("Attention", attrs{"q_num_heads": 4, "kv_num_heads": 2}, q, k, v, b.w(4, 5, 5))
		return b.done(b.op("MatMul", nil, y, b.w(16, 6)))
	}},
	{"attention with an axis of heads", "3x4", func() *graph.Model {
		b := newNet(23, []int{1, 5, 6})
		head := func() string {
			y := b.op("Reshape", nil, b.op("MatMul", nil, "x0", b.w(6, 12)), b.ints(0, 0, 3, 4))
			return b.op("Transpose", attrs{"perm": []int{0, 2, 1, 3}}, y)
		}
		y := b.op("Transpose", attrs{"perm": []int{0, 2, 1, 3}}, b.op("Attention", nil, head(), head(), head(), b.w(3, 5, 5)))
		return b.done(b.op("MatMul", nil, b.op("Reshape", nil, y, b.ints(0, 0, -1)), b.w(12, 6)))
	}},
	{"attention from parts", "3x4", func() *graph.Model {
		b := newNet(17, []int{1, 5, 6})
		head := func(perm ...int) string {
			y := b.op("Add", nil, b.op("MatMul", nil, "x0", b.w(6, 12)), b.w(12))
			return b.op("Transpose", attrs{"perm": perm}, b.op("Reshape", nil, y, b.ints(0, 0, 3, 4)))
		}
		s := b.op("Softmax", attrs{"axis": -1}, b.op("MatMul", nil, head(0, 2, 1, 3), head(0, 2, 3, 1)))
		y := b.op("Transpose", attrs{"perm": []int{0, 2, 1, 3}}, b.op("MatMul", nil, s, head(0, 2, 1, 3)))
		return b.done(b.op("MatMul", nil, b.op("Reshape", nil, y, b.ints(0, 0, 12)), b.w(12, 6)))
	}},
	{"one head", "7x1 8x1", func() *graph.Model {
		b := newNet(17, []int{1, 5, 6})
		q, k, v := b.op("MatMul", nil, "x0", b.w(6, 7)), b.op("MatMul", nil, "x0", b.w(6, 7)), b.op("MatMul", nil, "x0", b.w(6, 8))
		s := b.op("Softmax", attrs{"axis": -1}, b.op("MatMul", nil, q, b.op("Transpose", attrs{"perm": []int{0, 2, 1}}, k)))
		return b.done(b.op("MatMul", nil, b.op("MatMul", nil, s, v), b.w(8, 6)))
	}},
	{"output", "reaches output", func() *graph.Model {
		b := newNet(17, []int{1, 3, 4, 4})
		return b.done(b.op("Relu", nil, b.conv("x0", 3, 6)))
	}},
	{"layer normalisation", "normalises", func() *graph.Model {
		b := newNet(17, []int{5, 3})
		y := b.op("LayerNormalization", nil, b.op("MatMul", nil, "x0", b.w(3, 6)), b.w(6), b.w(6))
		return b.done(b.op("MatMul", nil, y, b.w(6, 2)))
	}},
	{"softmax", "normalises", func() *graph.Model {
		b := newNet(17, []int{5, 3})
		return b.done(b.op("MatMul", nil, b.op("Softmax", nil, b.op("MatMul", nil, "x0", b.w(3, 6))), b.w(6, 2)))
	}},
	{"mean over channels", "reduces", func() *graph.Model {
		b := newNet(17, []int{1, 3, 4, 4})
		x := b.conv("x0", 3, 6)
		return b.done(b.conv(b.op("Sub", nil, x, b.op("ReduceMean", attrs{"axes": []int{1}}, x)), 6, 2))
	}},
	{"neighbouring channels", "normalises", func() *graph.Model {
		b := newNet(17, []int{1, 3, 4, 4})
		return b.done(b.conv(b.op("LRN", attrs{"size": 3}, b.conv("x0", 3, 6)), 6, 2))
	}},
	{"an operator that is not understood", "not understood", func() *graph.Model {
		b := newNet(17, []int{1, 3, 4, 4})
		return b.done(b.conv(b.op("CumSum", nil, b.conv("x0", 3, 6), b.ints(1)), 6, 2))
	}},
	{"computed weight", "computed", func() *graph.Model {
		b := newNet(17, []int{5, 3})
		return b.done(b.op("MatMul", nil, b.op("MatMul", nil, "x0", b.op("Mul", nil, b.w(3, 6), b.w(6))), b.w(6, 2)))
	}},
}

// TestShrinkNets masks random channels of each net and shrinks it: the outputs
// stay, and exactly the masked channels are gone.
func TestShrinkNets(t *testing.T) {
	for _, c := range shrinkNets {
		t.Run(c.name, func(t *testing.T) {
			m := c.build()
			groups, err := prune.Groups(m, prune.Shapes{})
			if err != nil {
				t.Fatal(err)
			}
			var got, reasons []string
			for _, g := range groups {
				if g.Reason == "" {
					got = append(got, fmt.Sprintf("%dx%d", g.Channels, g.Width))
				}
				reasons = append(reasons, g.Reason)
			}
			if len(got) == 0 {
				if !strings.Contains(strings.Join(reasons, "; "), c.want) {
					t.Errorf("no channel may go as %q, expected %q", reasons, c.want)
				}
				return
			}
			if g := strings.Join(got, " "); g != c.want {
				t.Fatalf("groups %q, expected %q (%q)", g, c.want, reasons)
			}
			inputs := randomInputs(m)
			for seed := range uint64(6) {
				masked, mr, err := prune.MaskChannels(t.Context(), m, prune.ChannelOptions{Sparsity: 0.15 + 0.1*float64(seed), Score: seeded(seed)})
				if err != nil {
					t.Fatal(err)
				}
				small, r, err := prune.Shrink(masked, prune.ShrinkOptions{})
				if err != nil {
					t.Fatal(err)
				}
				for i, g := range r.Groups {
					if want := mr.Groups[i].After; g.After != want {
						t.Errorf("%d of %d channels of %s are left, expected %d", g.After, g.Before, g.Name, want)
					}
				}
				if d := difference(t, m, run(t, small, inputs), run(t, masked, inputs)); !(d < 1e-5) {
					t.Errorf("outputs differ by %g", d)
				}
				masked = maskRows(m, groups, seed)
				small, _, err = prune.Shrink(masked, prune.ShrinkOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if d := difference(t, m, run(t, small, inputs), run(t, masked, inputs)); !(d < 1e-5) {
					t.Errorf("with rows set to zero outputs differ by %g", d)
				}
			}
		})
	}
}

// TestUnknownOperator leaves alone what an operator without a rule touches, and
// shrinks the rest.
func TestUnknownOperator(t *testing.T) {
	b := newNet(17, []int{1, 3, 4, 4})
	y := b.conv(b.op("Relu", nil, b.conv("x0", 3, 6)), 6, 2)
	m := b.done(b.conv(b.op("Frobnicate", nil, y), 2, 2))
	masked, _, err := prune.MaskChannels(t.Context(), m, prune.ChannelOptions{Sparsity: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	small, r, err := prune.Shrink(masked, prune.ShrinkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if g := r.Groups[0]; g.After != 3 || !slices.Equal(small.Weights["w2"].Shape, []int{2, 3, 1, 1}) {
		t.Errorf("%d channels and a weight of %v are left", g.After, small.Weights["w2"].Shape)
	}
	for _, g := range r.Groups[1:] {
		if !strings.Contains(g.Reason, "Frobnicate") && !strings.Contains(g.Reason, "shape") {
			t.Errorf("%s stays as %q", g.Name, g.Reason)
		}
	}
}

// seeded returns a score at random.
func seeded(seed uint64) func(prune.Group) ([]float64, error) {
	return func(g prune.Group) ([]float64, error) {
		r := rand.New(rand.NewPCG(seed, uint64(g.Channels)))
		s := make([]float64, g.Channels)
		for i := range s {
			s[i] = r.Float64()
		}
		return s, nil
	}
}

// randomInputs makes the inputs of a model whose shapes are known.
func randomInputs(m *graph.Model) map[string]*graph.Tensor {
	r := rand.New(rand.NewPCG(5, 6))
	inputs := make(map[string]*graph.Tensor)
	for _, v := range m.Inputs {
		shape, n := make([]int, len(v.Shape)), 1
		for i, d := range v.Shape {
			shape[i] = d.Size
			n *= d.Size
		}
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(r.NormFloat64())
		}
		inputs[v.Name] = graph.FromFloats(shape, values)
	}
	return inputs
}

// TestConstantsAreFolded sets the weights of a channel to zero, so that it holds
// activation(bias), and looks at what becomes of it.
func TestConstantsAreFolded(t *testing.T) {
	conv := func(b *net, pads int, x string) string {
		return b.op("Conv", attrs{"pads": slices.Repeat([]int{pads}, 4)}, x, b.w(4, 6, 3, 3), b.w(4))
	}
	cases := []struct {
		name        string
		left        int
		stays       string // why channels stay
		approximate bool
		build       func(b *net, x string) string
	}{
		{"convolution", 3, "", false, func(b *net, x string) string { return conv(b, 0, x) }},
		{"without a bias", 3, "", false, func(b *net, x string) string { return b.op("Conv", nil, x, b.w(4, 6, 1, 1)) }},
		{"padded", 6, "border", false, func(b *net, x string) string { return conv(b, 1, x) }},
		{"padded, zero", 1, "", false, func(b *net, x string) string { return conv(b, 1, b.op("Mul", nil, x, b.zeros(6, 1, 1))) }},
		{"depthwise", 3, "", false, func(b *net, x string) string {
			return conv(b, 0, b.op("Tanh", nil, b.op("Conv", attrs{"group": 6}, x, b.w(6, 1, 2, 2), b.w(6))))
		}},
		{"padded depthwise", 6, "", false, func(b *net, x string) string {
			return conv(b, 0, b.op("Conv", attrs{"group": 6, "pads": []int{1, 1, 1, 1}}, x, b.w(6, 1, 3, 3), b.w(6)))
		}},
		{"pool and classifier", 3, "", false, func(b *net, x string) string {
			y := b.op("Flatten", nil, b.op("GlobalAveragePool", nil, b.op("MaxPool", attrs{"kernel_shape": []int{2, 2}, "pads": []int{1, 1, 1, 1}}, x)))
			return b.op("Gemm", attrs{"alpha": float32(2), "beta": float32(3)}, y, b.w(6, 3), b.w(3))
		}},
		{"average pool", 3, "", false, func(b *net, x string) string {
			return conv(b, 0, b.op("AveragePool", attrs{"kernel_shape": []int{2, 2}}, x))
		}},
		{"padded average pool", 6, "", false, func(b *net, x string) string {
			return conv(b, 0, b.op("AveragePool", attrs{"kernel_shape": []int{2, 2}, "pads": []int{1, 1, 1, 1}, "count_include_pad": 1}, x))
		}},
		{"flat images", 3, "", false, func(b *net, x string) string {
			return b.op("Gemm", nil, b.op("Flatten", nil, x), b.w(6*36, 3))
		}},
		{"product without a bias", 3, "", false, func(b *net, x string) string {
			return b.op("MatMul", nil, b.op("Transpose", attrs{"perm": []int{0, 2, 3, 1}}, x), b.w(6, 3))
		}},
		{"arithmetic", 3, "", false, func(b *net, x string) string {
			return conv(b, 0, b.op("Exp", nil, b.op("Sub", nil, b.op("Mul", nil, x, b.w(6, 1, 1)), b.w(1, 6, 1, 1))))
		}},
		{"positions", 6, "", false, func(b *net, x string) string { return conv(b, 0, b.op("Add", nil, x, b.w(6, 6, 6))) }},
		{"batch normalisation", 3, "", false, func(b *net, x string) string {
			variance := b.weight(graph.FromFloats([]int{6}, []float32{1, 2, 3, .5, .1, 4}))
			return conv(b, 0, b.op("BatchNormalization", nil, x, b.w(6), b.w(6), b.w(6), variance))
		}},
		{"transposed convolution", 6, "do not all see", false, func(b *net, x string) string {
			return b.op("ConvTranspose", nil, x, b.w(6, 3, 2, 2))
		}},
		{"product of activations", 6, "", false, func(b *net, x string) string {
			y := b.op("Reshape", nil, x, b.ints(6, 36))
			return b.op("MatMul", nil, b.op("Transpose", nil, y), y)
		}},
		{"padded, approximately", 3, "", true, func(b *net, x string) string { return conv(b, 1, x) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := newNet(17, []int{1, 3, 6, 6})
			x := b.conv("x0", 3, 6)
			m := b.done(c.build(b, b.op("Sigmoid", nil, x)))
			w := slices.Clone(m.Weights["w0"].Floats())
			clear(w[:9]) // three of six channels
			m.Weights["w0"] = graph.FromFloats([]int{6, 3, 1, 1}, w)
			before := maps.Clone(m.Weights)
			small, r, err := prune.Shrink(m, prune.ShrinkOptions{Approximate: c.approximate})
			if err != nil {
				t.Fatal(err)
			}
			g := r.Groups[0]
			if g.Before != 6 || g.After != c.left || (g.Constant > 0) != (c.stays != "") || !strings.Contains(g.Stays, c.stays) {
				t.Errorf("%d of %d channels are left, expected %d; %d stay as %q, expected %q", g.After, g.Before, c.left, g.Constant, g.Stays, c.stays)
			}
			inputs := randomInputs(m)
			got, want := run(t, small, inputs), run(t, m, inputs)
			if c.approximate {
				inside(got)
				inside(want)
			}
			if d := difference(t, m, got, want); !(d < 1e-5) {
				t.Errorf("outputs differ by %g", d)
			}
			if !maps.Equal(before, m.Weights) {
				t.Error("the model that was given has changed")
			}
		})
	}
}

func (b *net) zeros(shape ...int) string {
	name := b.w(shape...)
	b.Weights[name] = graph.FromFloats(shape, make([]float32, b.Weights[name].Len()))
	return name
}

// inside sets the border of images of 6 x 6 pixels to zero.
func inside(out map[string]tensor) {
	for _, x := range out {
		for i := range x.F {
			if row, col := i/6%6, i%6; row == 0 || row == 5 || col == 0 || col == 5 {
				x.F[i] = 0
			}
		}
	}
}
