package runtime

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	ref "github.com/nnz-dev/nnz/bench/reference"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
)

// A soaker makes layers at random: shapes, strides, patterns of zeros.
type soaker struct {
	*testNet
	*rand.Rand
}

func (s *soaker) between(lo, hi int) int { return lo + s.IntN(hi-lo+1) }

// pattern adds a weight with zeros of some pattern.
func (s *soaker) pattern(shape ...int) string {
	name := s.testNet.weight(0, 1, shape...)
	w := s.m.Weights[name]
	v, cols := w.Floats(), w.Len()/shape[0]
	sparsity := []float64{0, 0.3, 0.7, 0.9, 0.97}[s.IntN(5)]
	height := []int{1, 1, 1, 2, 4, 8}[s.IntN(6)]
	nm := s.IntN(8) == 0
	for i := range shape[0] {
		for j := range cols {
			at := i*cols + j
			switch {
			case nm:
				if j%4 > 1 {
					v[at] = 0
				}
			case i%height > 0: // like the first row of the block
				if v[(i-i%height)*cols+j] == 0 {
					v[at] = 0
				}
			case s.Float64() < sparsity:
				v[at] = 0
			}
		}
	}
	if s.IntN(6) == 0 { // nothing of one row, and nothing in one column
		row, col := s.IntN(shape[0]), s.IntN(cols)
		for i := range v {
			if i/cols == row || i%cols == col {
				v[i] = 0
			}
		}
	}
	s.m.Weights[name] = graph.FromFloats(shape, v).Compact()
	return name
}

// convolution appends one of images in groups, each of some features.
func (s *soaker) convolution(x string, groups, in, out, h, w int) {
	kh, kw := s.between(1, min(5, h)), s.between(1, min(5, w))
	pads := []int{s.IntN(kh), s.IntN(kw), s.IntN(kh), s.IntN(kw)}
	dilations := []int{1, 1}
	if s.IntN(4) == 0 && h > 2*kh && w > 2*kw {
		dilations = []int{2, 2}
	}
	inputs := []string{x, s.pattern(groups*out, in, kh, kw)}
	if s.IntN(2) == 0 {
		inputs = append(inputs, s.testNet.weight(0, 1, groups*out))
	}
	s.node("Conv", inputs, "kernel_shape", []int{kh, kw}, "strides", []int{s.between(1, 3), s.between(1, 3)}, "pads", pads, "dilations", dilations, "group", groups)
}

// A soakKind is a kind of layer. Of a linear one the bound is that of sums, of
// others tolerance times the largest output.
type soakKind struct {
	name      string
	make      func(s *soaker)
	tolerance float64
}

var soakKinds = []soakKind{
	{"conv", func(s *soaker) {
		groups, in, h, w := 1+s.IntN(4)/3, s.between(1, 40), s.between(1, 30), s.between(1, 30)
		s.input(s.between(1, 2), groups*in, h, w)
		s.convolution("x", groups, in, s.between(1, 40), h, w)
	}, 0},
	{"pointwise", func(s *soaker) {
		in, h := s.between(1, 150), s.between(1, 20)
		s.input(1, in, h, h)
		s.node("Conv", []string{"x", s.pattern(s.between(1, 80), in, 1, 1)}, "kernel_shape", []int{1, 1})
	}, 0},
	{"depthwise", func(s *soaker) {
		c, h, w := s.between(1, 40), s.between(3, 40), s.between(3, 40)
		s.input(1, c, h, w)
		s.convolution("x", c, 1, 1, h, w)
	}, 0},
	{"gemm", func(s *soaker) {
		rows, in := s.between(5, 140), s.between(1, 200)
		s.input(rows, in)
		s.node("Gemm", []string{"x", s.pattern(s.between(1, 100), in)}, "transB", 1)
	}, 0},
	{"vector", func(s *soaker) {
		rows, in := s.between(1, 4), s.between(1, 900)
		s.input(rows, in)
		s.node("Gemm", []string{"x", s.pattern(s.between(1, 200), in)}, "transB", 1)
	}, 0},
	{"matmul", func(s *soaker) {
		in := s.between(1, 100)
		s.input(s.between(1, 3), s.between(1, 60), in)
		s.node("MatMul", []string{"x", s.pattern(in, s.between(1, 100))})
	}, 0},
	{"residual", func(s *soaker) {
		c, h := s.between(1, 40), s.between(1, 20)
		s.input(1, c, h, h)
		a := s.node("Conv", []string{"x", s.pattern(c, c, 3, 3)}, "kernel_shape", []int{3, 3}, "pads", []int{1, 1, 1, 1})
		s.relu(s.node("Add", []string{a, "x"}))
	}, 0},
	{"max pool", func(s *soaker) {
		c, h := s.between(1, 30), s.between(3, 30)
		s.input(1, c, h, h)
		a := s.node("Conv", []string{"x", s.pattern(c, c, 1, 1)}, "kernel_shape", []int{1, 1})
		k, pad := s.between(1, 3), 0
		if k > 1 {
			pad = s.IntN(2)
		}
		s.node("MaxPool", []string{a}, "kernel_shape", []int{k, k}, "strides", []int{s.between(1, 3), s.between(1, 3)}, "pads", []int{pad, pad, pad, pad})
	}, 0x1p-18},
	{"average pool", func(s *soaker) {
		c, h := s.between(1, 30), s.between(3, 30)
		s.input(1, c, h, h)
		a := s.node("Conv", []string{"x", s.pattern(c, c, 1, 1)}, "kernel_shape", []int{1, 1})
		s.node("AveragePool", []string{a}, "kernel_shape", []int{3, 3}, "strides", []int{s.between(1, 3), s.between(1, 3)}, "pads", []int{1, 1, 1, 1}, "count_include_pad", s.IntN(2))
	}, 0x1p-18},
	{"attention", func(s *soaker) {
		heads, size, tokens, batch := s.between(1, 4), s.between(1, 20), s.between(1, 70), s.between(1, 2)
		s.input(batch, tokens, heads*size)
		s.attention("x", "x", batch, tokens, tokens, heads*size, heads, "")
	}, 0x1p-14},
}

func (s *soaker) input(shape ...int) { s.m.Inputs[0].Shape = graph.Dims(shape...) }

// soaked is what became of the cases of a kind.
type soaked struct {
	cases, plans int
	worst        float64 // error over the bound
}

// TestSoak compares random layers on every instruction set with float64. It
// tries a few of each kind, or as many as fit into $NNZ_SOAK, a duration: make
// soak. The bound of linear layers is that of sums in float32, whatever the order:
// (terms + 2) * 2^-24 * sum |w||x|, where terms counts the weights that are not
// zero, biases and residuals.
func TestSoak(t *testing.T) {
	const few = 3
	first, end := uint64(1), time.Time{}
	if s := os.Getenv("NNZ_SOAK"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		first, end = uint64(time.Now().UnixNano()), time.Now().Add(d)
	}
	counts := make([]soaked, len(soakKinds))
	for round := uint64(0); round < few || time.Now().Before(end); round++ {
		for i := range soakKinds {
			soak(t, &soakKinds[i], first+round, &counts[i])
			if t.Failed() {
				t.FailNow()
			}
		}
	}
	for i, c := range counts {
		t.Logf("%-13s %7d layers, %8d plans, worst error %.3f of the bound", soakKinds[i].name, c.cases, c.plans, c.worst)
	}
}

// soak makes a layer and compares it in some configurations on all instruction
// sets.
func soak(t *testing.T, kind *soakKind, seed uint64, count *soaked) {
	rng := rand.New(rand.NewPCG(seed, 9))
	s := &soaker{newNet(1), rng}
	s.testNet.rng = rng
	kind.make(s)
	m := s.model()
	shape := make([]int, len(m.Inputs[0].Shape))
	for i, d := range m.Inputs[0].Shape {
		shape[i] = d.Size
	}
	x := make([]float32, elements(shape))
	for i := range x {
		x[i] = rng.Float32()*2 - 1
	}
	want := inFloat64(t, m, shape, x, func(v float64) float64 { return v })
	bound := make([]float64, len(want))
	if kind.tolerance > 0 {
		most := 0.0
		for _, v := range want {
			most = max(most, math.Abs(v))
		}
		for i := range bound {
			bound[i] = kind.tolerance * most
		}
	} else {
		sizes := inFloat64(t, m, shape, x, math.Abs)
		terms := inFloat64(t, m, shape, x, func(v float64) float64 { return min(1, math.Ceil(math.Abs(v))) })
		for i := range bound {
			bound[i] = (terms[i] + 2) * 0x1p-24 * sizes[i]
		}
	}
	configs := []Config{{Mode: Auto}, {Mode: Sparse}, {Mode: Dense}}
	configs[0].Format = []string{"", "csr", "bsr2x1", "bsr4x1", "bsr8x1", "mixed4x1", "nm2:4", "dense"}[rng.IntN(8)]
	count.cases++
	for _, i := range isa.Supported() {
		for _, c := range configs {
			c.ISA, c.Threads = i, 1+rng.IntN(3)
			p, err := Compile(context.Background(), m, c)
			if err != nil {
				t.Errorf("%s, seed %d, %+v: %v", kind.name, seed, c, err)
				return
			}
			session := p.NewSession()
			got := runOnce(t, session, x)
			session.Close()
			count.plans++
			if len(got) != len(want) {
				t.Errorf("%s, seed %d, %+v: %d outputs, want %d", kind.name, seed, c, len(got), len(want))
				return
			}
			for k, y := range got {
				diff := math.Abs(float64(y) - want[k])
				if !(diff <= bound[k]) {
					t.Errorf("%s, seed %d, %+v: output %d of %d is %g, want %g within %g", kind.name, seed, c, k, len(got), y, want[k], bound[k])
					return
				}
				if diff > 0 {
					count.worst = max(count.worst, diff/bound[k])
				}
			}
		}
	}
}

// inFloat64 runs a model in float64 on what of makes of its weights and inputs.
func inFloat64(t *testing.T, m *graph.Model, shape []int, x []float32, of func(float64) float64) []float64 {
	t.Helper()
	mapped := *m
	mapped.Weights = maps.Clone(m.Weights)
	for name, w := range m.Weights {
		if w.DType == graph.Float32 {
			v := slices.Clone(w.Floats())
			for i := range v {
				v[i] = float32(of(float64(v[i])))
			}
			mapped.Weights[name] = graph.FromFloats(w.Shape, v)
		}
	}
	in := ref.Tensor{Shape: shape, Values: make([]float64, len(x))}
	for i, v := range x {
		in.Values[i] = of(float64(v))
	}
	out, err := ref.Run(context.Background(), &mapped, graph.InferOptions{}, map[string]ref.Tensor{"x": in})
	if err != nil {
		t.Fatal(fmt.Errorf("in float64: %w", err))
	}
	return out[m.Outputs[0].Name].Values
}
