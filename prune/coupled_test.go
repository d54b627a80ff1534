package prune_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/prune"
)

// twoLayers has 8 channels whose weights grow with the index, and then 4 that
// are a hundred times as large and shrink with it.
func twoLayers() *graph.Model {
	b := newNet(17, []int{5, 2})
	first, second := make([]float32, 16), make([]float32, 32)
	for i := range first {
		first[i] = float32(1 + i%8)
	}
	for i := range second {
		second[i] = float32(100 * (4 - i%4))
	}
	x := b.op("MatMul", nil, "x0", b.weight(graph.FromFloats([]int{2, 8}, first)))
	x = b.op("MatMul", nil, b.op("Relu", nil, x), b.weight(graph.FromFloats([]int{8, 4}, second)))
	m := b.done(b.op("MatMul", nil, b.op("Relu", nil, x), b.w(4, 3)))
	m.Weights["w2"] = graph.FromFloats([]int{4, 3}, slices.Repeat([]float32{1}, 12))
	return m
}

// zeroColumns lists the columns of a matrix that are zero.
func zeroColumns(t *graph.Tensor) []int {
	var zero []int
	cols := t.Shape[1]
	for c := range cols {
		some := false
		for i, v := range t.Floats() {
			some = some || i%cols == c && v != 0
		}
		if !some {
			zero = append(zero, c)
		}
	}
	return zero
}

func TestMaskChannels(t *testing.T) {
	// The columns of the first layer grow, the rows that read them are alike.
	cases := []struct {
		name          string
		o             prune.ChannelOptions
		first, second []int // columns that are zero
	}{
		{"local", prune.ChannelOptions{Sparsity: 0.25}, []int{0, 1}, []int{3}},
		{"halves go to even", prune.ChannelOptions{Sparsity: 0.3125}, []int{0, 1}, []int{3}},
		{"nothing", prune.ChannelOptions{}, nil, nil},
		{"one stays", prune.ChannelOptions{Sparsity: 1}, []int{0, 1, 2, 3, 4, 5, 6}, []int{1, 2, 3}},
		{"global", prune.ChannelOptions{Sparsity: 0.25, Scope: prune.Global{}}, []int{0}, []int{2, 3}},
		{"floor", prune.ChannelOptions{Sparsity: 0.5, Scope: prune.Global{}, Floor: 0.5}, []int{0, 1, 2, 3}, []int{2, 3}},
		{"rounded", prune.ChannelOptions{Sparsity: 0.5, RoundTo: 3}, []int{0, 1}, []int{3}},
		{"rounded to more than there are", prune.ChannelOptions{Sparsity: 0.5, RoundTo: 16}, nil, nil},
		{"include", prune.ChannelOptions{Sparsity: 0.5, Include: []string{"w1"}}, nil, []int{2, 3}},
		{"exclude", prune.ChannelOptions{Sparsity: 0.5, Exclude: []string{"matmul2"}}, []int{0, 1, 2, 3}, nil},
		{"ties", prune.ChannelOptions{Sparsity: 0.5, Score: func(g prune.Group) ([]float64, error) { return make([]float64, g.Channels), nil }},
			[]int{0, 1, 2, 3}, []int{0, 1}},
		{"scores", prune.ChannelOptions{Sparsity: 0.5, Score: func(g prune.Group) ([]float64, error) {
			s := prune.Magnitudes(g, prune.L1)
			for i := range s {
				s[i] = -s[i]
			}
			return s, nil
		}}, []int{4, 5, 6, 7}, []int{0, 1}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := twoLayers()
			before := m.Weights["w0"]
			masked, r, err := prune.MaskChannels(t.Context(), m, c.o)
			if err != nil {
				t.Fatal(err)
			}
			if m.Weights["w0"] != before {
				t.Error("the model that was given has changed")
			}
			first, second := zeroColumns(masked.Weights["w0"]), zeroColumns(masked.Weights["w1"])
			if !slices.Equal(first, c.first) || !slices.Equal(second, c.second) {
				t.Errorf("columns %v and %v are zero, expected %v and %v", first, second, c.first, c.second)
			}
			if got := []int{r.Groups[0].After, r.Groups[1].After}; !slices.Equal(got, []int{8 - len(first), 4 - len(second)}) {
				t.Errorf("the report has %v channels left", got)
			}
			small, _, err := prune.Shrink(masked, prune.ShrinkOptions{RoundTo: c.o.RoundTo})
			if err != nil {
				t.Fatal(err)
			}
			if got := small.Weights["w1"].Shape; !slices.Equal(got, []int{8 - len(first), 4 - len(second)}) {
				t.Errorf("a weight of %v is left", got)
			}
		})
	}
}

func TestMagnitudes(t *testing.T) {
	groups, err := prune.Groups(twoLayers(), prune.Shapes{})
	if err != nil {
		t.Fatal(err)
	}
	// A column of two, and a row of 400 + 300 + 200 + 100.
	if got, want := prune.Magnitudes(groups[0], prune.L1)[2], 3+3+1000.; got != want {
		t.Errorf("L1 norm %g, expected %g", got, want)
	}
	// A column of eight, and a row of three.
	if got, want := fmt.Sprintf("%.4f", prune.Magnitudes(groups[1], prune.L2)[3]), "282.8480"; got != want {
		t.Errorf("L2 norm %s, expected %s", got, want)
	}
	for _, g := range groups[:2] {
		for _, p := range g.Parts {
			if len(p.Channel) != p.Constant.Shape[p.Axis] || p.Activation == "" || len(p.ActivationChannel) != g.Channels {
				t.Errorf("%s: part %+v", g.Name, p)
			}
		}
	}
}

func TestChannelsRefuses(t *testing.T) {
	lone := newNet(17, []int{5, 2})
	stays := lone.done(lone.op("MatMul", nil, "x0", lone.w(2, 3)))
	open := newNet(17, []int{5, 2})
	open.Inputs[0].Shape = nil
	unknown := open.done(open.op("MatMul", nil, "x0", open.w(2, 3)))
	cases := []struct {
		name string
		m    *graph.Model
		o    prune.ChannelOptions
		want string
	}{
		{"percent", twoLayers(), prune.ChannelOptions{Sparsity: 25}, "fraction"},
		{"floor", twoLayers(), prune.ChannelOptions{Floor: -1}, "fraction"},
		{"multiple", twoLayers(), prune.ChannelOptions{RoundTo: -8}, "multiple"},
		{"pattern", twoLayers(), prune.ChannelOptions{Include: []string{"conv*"}}, "none of the 2 groups"},
		{"no channels", stays, prune.ChannelOptions{Sparsity: 0.5}, "all 1 layers"},
		{"open rank", unknown, prune.ChannelOptions{Sparsity: 0.5}, "x0"},
		{"scores", twoLayers(), prune.ChannelOptions{Score: func(prune.Group) ([]float64, error) { return nil, nil }}, "0 scores for 8 channels"},
	}
	for _, c := range cases {
		if _, _, err := prune.MaskChannels(t.Context(), c.m, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, expected one that says %q", c.name, err, c.want)
		}
	}
	if _, _, err := prune.Shrink(twoLayers(), prune.ShrinkOptions{RoundTo: -1}); err == nil {
		t.Error("a multiple of -1 was accepted")
	}
}

// TestOpenSizes shrinks a model whose batch and length are open: it must be
// right for sizes that nobody tried.
func TestOpenSizes(t *testing.T) {
	b := newNet(17, []int{0, 0, 6})
	b.Inputs[0].Shape[0] = graph.Dim{Symbol: "batch"}
	b.Inputs[0].Shape[1] = graph.Dim{Size: -1}
	shape := b.op("Shape", nil, "x0")
	size := func(axis int64) string { return b.op("Gather", nil, shape, b.ints(axis)) }
	// As PyTorch exports it: batch and heads are one axis.
	batchHeads := b.op("Mul", nil, size(0), b.ints(3))
	head := func(perm ...int) string {
		y := b.op("Transpose", attrs{"perm": []int{1, 0, 2}}, b.op("MatMul", nil, "x0", b.w(6, 12)))
		y = b.op("Reshape", nil, y, b.op("Concat", attrs{"axis": 0}, size(1), batchHeads, b.ints(4)))
		return b.op("Transpose", attrs{"perm": perm}, y)
	}
	s := b.op("Softmax", attrs{"axis": -1}, b.op("MatMul", nil, head(1, 0, 2), head(1, 2, 0)))
	y := b.op("Transpose", attrs{"perm": []int{1, 0, 2}}, b.op("MatMul", nil, s, head(1, 0, 2)))
	y = b.op("Reshape", nil, y, b.op("Concat", attrs{"axis": 0}, size(1), size(0), b.ints(12)))
	m := b.done(b.op("MatMul", nil, y, b.w(12, 5)))
	masked, _, err := prune.MaskChannels(t.Context(), m, prune.ChannelOptions{Sparsity: 0.4})
	if err != nil {
		t.Fatal(err)
	}
	small, r, err := prune.Shrink(masked, prune.ShrinkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if g := r.Groups[0]; g.Before != 3 || g.After != 2 || g.Width != 4 {
		t.Errorf("group %+v, expected two of three heads of four", g)
	}
	for _, shape := range [][]int{{1, 1, 6}, {4, 7, 6}, {5, 3, 6}} {
		m.Inputs[0].Shape = graph.Dims(shape...)
		inputs := randomInputs(m)
		if d := difference(t, m, run(t, small, inputs), run(t, masked, inputs)); !(d < 1e-5) {
			t.Errorf("for an input of %v outputs differ by %g", shape, d)
		}
	}
}
