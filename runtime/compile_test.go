package runtime

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/runtime/ops"
)

// testNet builds small graphs node by node.
type testNet struct {
	m    *graph.Model
	rng  *rand.Rand
	last string
}

func newNet(shape ...int) *testNet {
	return &testNet{
		m: &graph.Model{
			Inputs:  []*graph.Value{{Name: "x", DType: graph.Float32, Shape: graph.Dims(shape...)}},
			Weights: map[string]*graph.Tensor{},
			Opset:   map[string]int{"": 17},
			IR:      8,
		},
		rng:  rand.New(rand.NewPCG(1, 2)),
		last: "x",
	}
}

// weight adds a constant of which a share of the elements is zero, in blocks
// of block rows.
func (t *testNet) weight(zeros float64, block int, shape ...int) string {
	v := make([]float32, elements(shape))
	cols := len(v) / shape[0]
	for i := 0; i < shape[0]; i += block {
		for k := range cols {
			if t.rng.Float64() < zeros {
				continue
			}
			for r := i; r < min(i+block, shape[0]); r++ {
				v[r*cols+k] = t.rng.Float32()*2 - 1
			}
		}
	}
	name := fmt.Sprintf("w%d", len(t.m.Weights))
	t.m.Weights[name] = graph.FromFloats(shape, v)
	return name
}

func (t *testNet) shape(v ...int64) string {
	name := fmt.Sprintf("w%d", len(t.m.Weights))
	t.m.Weights[name] = graph.FromInts(graph.Int64, []int{len(v)}, v)
	return name
}

// node appends a node; its output becomes the last value. Attributes follow
// as name, value, name, value.
func (t *testNet) node(op string, inputs []string, attrs ...any) string {
	n := &graph.Node{Op: op, Inputs: inputs, Outputs: []string{fmt.Sprintf("v%d", len(t.m.Nodes))}}
	for i := 0; i < len(attrs); i += 2 {
		n.Set(attrs[i].(string), attrs[i+1])
	}
	t.m.Nodes = append(t.m.Nodes, n)
	t.last = n.Outputs[0]
	return t.last
}

func (t *testNet) model() *graph.Model {
	t.m.Outputs = []*graph.Value{{Name: t.last, DType: graph.Float32}}
	return t.m
}

// reference runs a model operator by operator in row-major order.
func reference(t *testing.T, m *graph.Model, x *graph.Tensor) []float32 {
	t.Helper()
	values := map[string]*graph.Tensor{"x": x}
	for name, w := range m.Weights {
		values[name] = w
	}
	for _, n := range m.Nodes {
		in := make([]*graph.Tensor, len(n.Inputs))
		for i, name := range n.Inputs {
			in[i] = values[name]
		}
		out, err := ops.Eval(n, m.Opset[""], in)
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range n.Outputs {
			values[name] = out[i]
		}
	}
	return values[m.Outputs[0].Name].Floats()
}

// checkModel compiles a model in every mode, for every instruction set and
// some numbers of threads, and compares its output with the reference.
func checkModel(t *testing.T, m *graph.Model, skip ...string) {
	t.Helper()
	checkConfig(t, m, Config{SkipPasses: skip})
}

// checkConfig is checkModel with what else a configuration says.
func checkConfig(t *testing.T, m *graph.Model, cfg Config) {
	t.Helper()
	in := m.Inputs[0]
	shape := make([]int, len(in.Shape))
	for i, d := range in.Shape {
		shape[i] = d.Size
	}
	rng := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, elements(shape))
	for i := range x {
		x[i] = rng.Float32()*2 - 1
	}
	checkOutput(t, m, x, reference(t, m, graph.FromFloats(shape, x)), cfg)
}

// checkOutput does so with the outputs that are wanted for an input.
func checkOutput(t *testing.T, m *graph.Model, x, want []float32, c Config) {
	t.Helper()
	for _, i := range isa.Supported() {
		for _, mode := range []Mode{Auto, Dense, Sparse} {
			var first []float32
			for _, threads := range []int{1, 2, 4} {
				c.ISA, c.Mode, c.Threads = i, mode, threads
				p, err := Compile(context.Background(), m, c)
				if err != nil {
					t.Fatalf("%v %v: %v", i, mode, err)
				}
				s := p.NewSession()
				got := runOnce(t, s, x)
				if first == nil {
					first = got
					worst, at := 0.0, 0
					for k := range want {
						if d := math.Abs(float64(got[k]-want[k])) / (1e-5 + 1e-4*math.Abs(float64(want[k]))); !(d <= worst) {
							worst, at = d, k
						}
					}
					if !(worst <= 1) {
						t.Fatalf("%v %v: element %d is %g, want %g (%.1f times the tolerance)", i, mode, at, got[at], want[at], worst)
					}
				}
				if !slices.Equal(bits(got), bits(first)) {
					t.Fatalf("%v %v: %d threads give other bits than 1", i, mode, threads)
				}
				// Memory is reused between steps, so a second run shows what a
				// first one may hide.
				if again := runOnce(t, s, x); !slices.Equal(bits(again), bits(first)) {
					t.Fatalf("%v %v: the second run differs from the first", i, mode)
				}
				s.Close()
			}
		}
	}
}

func runOnce(t *testing.T, s *Session, x []float32) []float32 {
	t.Helper()
	in, err := s.Input("x")
	if err != nil {
		t.Fatal(err)
	}
	copy(in.F, x)
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	out, err := s.Output(s.plan.outputs[0].name)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(out.F)
}

func bits(v []float32) []uint32 {
	out := make([]uint32, len(v))
	for i, x := range v {
		out[i] = math.Float32bits(x)
	}
	return out
}

func TestConvolution(t *testing.T) {
	for _, c := range []struct {
		n, c, h, w, m, k, stride, dilation, pad, groups int
	}{
		{1, 3, 7, 7, 4, 1, 1, 1, 0, 1},
		{1, 8, 14, 14, 16, 3, 1, 1, 1, 1},
		{1, 8, 28, 28, 9, 3, 1, 1, 1, 1},
		{1, 5, 28, 28, 7, 3, 2, 1, 1, 1},
		{1, 4, 56, 56, 6, 3, 2, 1, 1, 1},
		{1, 3, 64, 48, 8, 7, 2, 1, 3, 1},
		{2, 8, 14, 14, 12, 3, 2, 1, 1, 1},
		{3, 6, 9, 11, 10, 3, 1, 1, 1, 1},
		{1, 6, 28, 28, 8, 5, 1, 1, 0, 1},
		{1, 6, 15, 17, 8, 3, 1, 2, 2, 1},
		{1, 6, 20, 20, 8, 3, 1, 6, 6, 1},
		{1, 8, 13, 13, 8, 3, 3, 1, 1, 1},
		{1, 3, 32, 32, 8, 8, 8, 1, 0, 1},
		{1, 12, 16, 16, 12, 3, 1, 1, 1, 12},
		{1, 12, 17, 15, 24, 3, 2, 1, 1, 12},
		{2, 12, 12, 12, 18, 3, 1, 1, 1, 3},
		{1, 16, 8, 8, 32, 1, 2, 1, 0, 1},
		{1, 32, 4, 4, 40, 1, 1, 1, 0, 4},
		{7, 16, 1, 1, 24, 1, 1, 1, 0, 1},
		{2, 16, 1, 1, 24, 1, 1, 1, 0, 1},
		{1, 4, 5, 5, 6, 5, 1, 1, 0, 1},
		{1, 4, 2, 3, 6, 3, 1, 1, 1, 1},
	} {
		for _, zeros := range []float64{0, 0.5, 0.9} {
			for _, block := range []int{1, 4} {
				name := fmt.Sprintf("%dx%dx%dx%d_m%d_k%d_s%d_d%d_p%d_g%d_%.0f_%d", c.n, c.c, c.h, c.w, c.m, c.k, c.stride, c.dilation, c.pad, c.groups, zeros*100, block)
				if zeros == 0 && block > 1 {
					continue
				}
				t.Run(name, func(t *testing.T) {
					net := newNet(c.n, c.c, c.h, c.w)
					w := net.weight(zeros, block, c.m, c.c/c.groups, c.k, c.k)
					b := net.weight(0, 1, c.m)
					net.node("Conv", []string{"x", w, b}, "kernel_shape", []int{c.k, c.k}, "strides", []int{c.stride, c.stride},
						"dilations", []int{c.dilation, c.dilation}, "pads", []int{c.pad, c.pad, c.pad, c.pad}, "group", c.groups)
					net.node("Relu", []string{net.last})
					checkModel(t, net.model())
				})
			}
		}
	}
}

// TestDropoutMask compiles a Dropout whose mask is read: the output is no mere
// view of the input then.
func TestDropoutMask(t *testing.T) {
	m := outer("y mask", op("Dropout", "x", "y mask"))
	p, err := Compile(context.Background(), m, Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := p.NewSession()
	defer s.Close()
	if err := runGiven(s, given{x: x123}); err != nil {
		t.Fatal(err)
	}
	mask := Tensor{DType: graph.Bool, Shape: []int{2, 3}, I: []int64{1, 1, 1, 1, 1, 1}}
	if err := checkOutputs(s, m, []Tensor{floatsOf([]int{2, 3}, x123...), mask}); err != nil {
		t.Error(err)
	}
}
