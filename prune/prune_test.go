package prune

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/sparse"
)

// A layer of a test model: a node and its weight.
type testLayer struct {
	node   graph.Node
	weight *graph.Tensor
	left   bool // the weight is the first input
}

// newModel chains layers. Weights are named after their nodes.
func newModel(layers ...testLayer) *graph.Model {
	m := &graph.Model{Weights: map[string]*graph.Tensor{}}
	x := "input"
	for _, l := range layers {
		n := l.node
		w := n.Name + ".weight"
		m.Weights[w] = l.weight
		n.Inputs = []string{x, w, n.Name + ".bias"}
		if l.left {
			n.Inputs = []string{w, x}
		}
		m.Weights[n.Name+".bias"] = graph.FromFloats([]int{2}, []float32{0.001, 0.002})
		x = n.Name
		n.Outputs = []string{x}
		m.Nodes = append(m.Nodes, &n)
	}
	return m
}

func gemm(name string, v ...float32) testLayer {
	n := graph.Node{Name: name, Op: "Gemm"}
	n.Set("transB", 1)
	return testLayer{node: n, weight: graph.FromFloats([]int{1, len(v)}, v)}
}

func matrix(op, name string, rows, cols int, v ...float32) testLayer {
	return testLayer{node: graph.Node{Name: name, Op: op}, weight: graph.FromFloats([]int{rows, cols}, v)}
}

func random(seed uint64, shape ...int) *graph.Tensor {
	n, _ := graph.Elements(shape)
	r := rand.New(rand.NewPCG(seed, 0))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return graph.FromFloats(shape, v)
}

func TestMagnitude(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	attr := func(l testLayer, name string, v any) testLayer { l.node.Set(name, v); return l }
	cases := []struct {
		name   string
		layers []testLayer
		o      Options
		want   [][]float32
	}{
		{"half", []testLayer{gemm("a", 4, -1, 3, -2)}, Options{Sparsity: 0.5}, [][]float32{{4, 0, 3, 0}}},
		{"none", []testLayer{gemm("a", 4, -1, 3, -2)}, Options{}, [][]float32{{4, -1, 3, -2}}},
		{"all", []testLayer{gemm("a", 4, nan, 3, -2)}, Options{Sparsity: 1}, [][]float32{{0, 0, 0, 0}}},
		{"halves round to even, down", []testLayer{gemm("a", 1, 2, 3, 4, 5)}, Options{Sparsity: 0.5}, [][]float32{{0, 0, 3, 4, 5}}},
		{"halves round to even, up", []testLayer{gemm("a", 1, 2, 3)}, Options{Sparsity: 0.5}, [][]float32{{0, 0, 3}}},
		{"ties go by index", []testLayer{gemm("a", 2, -1, 1, 1, -1)}, Options{Sparsity: 0.4}, [][]float32{{2, 0, 0, 1, -1}}},
		{"zeros count", []testLayer{gemm("a", 5, 0, 1, 0, 2, 3)}, Options{Sparsity: 0.5}, [][]float32{{5, 0, 0, 0, 2, 3}}},
		{"more zeros than asked for", []testLayer{gemm("a", 0, 0, 1, 0)}, Options{Sparsity: 0.5}, [][]float32{{0, 0, 1, 0}}},
		{"NaN and infinity are large", []testLayer{gemm("a", nan, inf, 1, 2)}, Options{Sparsity: 0.75}, [][]float32{{nan, 0, 0, 0}}},
		{"subnormal", []testLayer{gemm("a", 1e-40, 2e-40, -3e-40, 1)}, Options{Sparsity: 0.5}, [][]float32{{0, 0, -3e-40, 1}}},
		{"local", []testLayer{gemm("a", 1, 2), gemm("b", 3, 4)}, Options{Sparsity: 0.5}, [][]float32{{0, 2}, {0, 4}}},
		{"global", []testLayer{gemm("a", 1, 2), gemm("b", 3, 4)}, Options{Sparsity: 0.5, Scope: Global{}}, [][]float32{{0, 0}, {3, 4}}},
		{"global ties go by layer", []testLayer{gemm("a", 1, 2), gemm("b", 1, 1)}, Options{Sparsity: 0.5, Scope: Global{}}, [][]float32{{0, 2}, {0, 1}}},
		{"blocks along rows of out x in", []testLayer{attr(matrix("Gemm", "a", 2, 3, 1, 9, 2, 1, 0, 3), "transB", 1)},
			Options{Sparsity: 0.7, Granularity: Block{2, 1}}, [][]float32{{0, 9, 0, 0, 0, 0}}},
		{"blocks along columns of in x out", []testLayer{matrix("MatMul", "a", 3, 2, 1, 1, 9, 0, 2, 3)},
			Options{Sparsity: 0.7, Granularity: Block{2, 1}}, [][]float32{{0, 0, 9, 0, 0, 0}}},
		{"a weight on the left", []testLayer{{node: graph.Node{Name: "a", Op: "MatMul"}, left: true,
			weight: graph.FromFloats([]int{2, 3}, []float32{1, 9, 2, 1, 0, 3})}},
			Options{Sparsity: 0.7, Granularity: Block{2, 1}}, [][]float32{{0, 9, 0, 0, 0, 0}}},
		{"L1 keeps two middling weights", []testLayer{matrix("MatMul", "a", 2, 2, 3, 3, 5, 0)},
			Options{Sparsity: 0.5, Granularity: Block{2, 1}, Norm: L1}, [][]float32{{3, 3, 0, 0}}},
		{"L2 keeps one large weight", []testLayer{matrix("MatMul", "a", 2, 2, 3, 3, 5, 0)},
			Options{Sparsity: 0.5, Granularity: Block{2, 1}, Norm: L2}, [][]float32{{0, 0, 5, 0}}},
		{"a ragged block", []testLayer{matrix("MatMul", "a", 1, 3, 1, 1, 3)},
			Options{Sparsity: 0.5, Granularity: Block{2, 1}}, [][]float32{{0, 0, 3}}},
		{"blocks stay inside a group", []testLayer{attr(testLayer{node: graph.Node{Name: "a", Op: "Conv"},
			weight: graph.FromFloats([]int{2, 1, 1, 2}, []float32{1, 4, 2, 3})}, "group", 2)},
			Options{Sparsity: 0.5, Granularity: Block{2, 1}}, [][]float32{{0, 4, 0, 3}}},
		{"blocks stay inside a matrix of a batch", []testLayer{{node: graph.Node{Name: "a", Op: "MatMul"},
			weight: graph.FromFloats([]int{2, 2, 2}, []float32{1, 1, 5, 5, 6, 6, 2, 2})}},
			Options{Sparsity: 0.5, Granularity: Block{2, 2}}, [][]float32{{0, 0, 0, 0, 6, 6, 2, 2}}},
		{"2:4 along rows of out x in", []testLayer{attr(matrix("Gemm", "a", 2, 6, 1, -9, 2, 1, 3, 4, 5, 5, -5, 5, 0, nan), "transB", 1)},
			Options{Granularity: Pattern{2, 4}}, [][]float32{{0, -9, 2, 0, 3, 4, 0, 0, -5, 5, 0, nan}}},
		{"1:2 along columns of in x out", []testLayer{matrix("MatMul", "a", 3, 2, 1, 2, 3, 1, 4, 5)},
			Options{Granularity: Pattern{1, 2}}, [][]float32{{0, 2, 3, 0, 4, 5}}},
		{"include", []testLayer{gemm("a", 1, 2), gemm("b", 3, 4)}, Options{Sparsity: 0.5, Include: []string{"b.w*"}}, [][]float32{{1, 2}, {0, 4}}},
		{"everything excluded", []testLayer{gemm("a", 1, 2), gemm("b", 3, 4)}, Options{Sparsity: 0.5, Exclude: []string{"?"}}, nil},
		{"exclude by kind", []testLayer{gemm("a", 1, 2), matrix("MatMul", "b", 1, 2, 3, 4)}, Options{Sparsity: 0.5, Exclude: []string{"MatMul"}}, [][]float32{{0, 2}, {3, 4}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := newModel(c.layers...)
			before := m.Clone()
			got, r, err := Apply(t.Context(), m, c.o)
			if c.want == nil {
				if err == nil {
					t.Fatal("no error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			zeros := 0
			for i, l := range c.layers {
				name := l.node.Name + ".weight"
				v := got.Weights[name].Floats()
				if !slices.EqualFunc(v, c.want[i], same) {
					t.Errorf("layer %d is %v, want %v", i, v, c.want[i])
				}
				if m.Weights[name] != before.Weights[name] {
					t.Error("the input model changed")
				}
			}
			for _, l := range r.Layers {
				n := 0
				for _, x := range got.Weights[l.Weight].Floats() {
					if x == 0 {
						n++
					}
				}
				if l.ZerosAfter != n || l.Weights != m.Weights[l.Weight].Len() {
					t.Errorf("%s: report %+v, %d zeros", l.Weight, l, n)
				}
				zeros += n
			}
			if r.ZerosAfter != zeros || r.Sparsity != float64(zeros)/float64(r.Weights) {
				t.Errorf("report %+v, %d zeros", r, zeros)
			}
		})
	}
}

// same compares exactly, and takes NaNs to be equal.
func same(a, b float32) bool { return a == b || a != a && b != b }

func TestApplyOnLargeLayers(t *testing.T) {
	conv := testLayer{node: graph.Node{Name: "conv", Op: "Conv"}, weight: random(1, 32, 16, 3, 3)}
	m := newModel(conv, testLayer{node: graph.Node{Name: "fc", Op: "MatMul"}, weight: random(2, 200, 300)})
	for _, s := range []float64{0.1, 0.5, 0.9, 0.999} {
		for _, scope := range []Scope{Local{}, Global{}} {
			got, r, err := Apply(t.Context(), m, Options{Sparsity: s, Scope: scope})
			if err != nil {
				t.Fatal(err)
			}
			// The oracle sorts: what is left must be the largest magnitudes.
			var all, kept []float32
			for _, l := range r.Layers {
				before, after := m.Weights[l.Weight].Floats(), got.Weights[l.Weight].Floats()
				var left []float32
				for i := range after {
					if after[i] != 0 {
						left = append(left, abs(after[i]))
					}
					if after[i] != 0 && after[i] != before[i] {
						t.Fatalf("%s[%d] changed", l.Weight, i)
					}
				}
				if scope == (Local{}) {
					checkLargest(t, before, left, s)
				}
				for _, x := range left {
					if x < l.Threshold {
						t.Errorf("%s keeps %g below its threshold %g", l.Weight, x, l.Threshold)
					}
				}
				all, kept = append(all, before...), append(kept, left...)
			}
			if scope == (Global{}) {
				checkLargest(t, all, kept, s)
			}
		}
	}
	got, _, _ := Apply(t.Context(), m, Options{Sparsity: 0.9})
	if _, ok := got.Weights["conv.weight"].Sparse().(*sparse.CSR); !ok {
		t.Error("a weight of 90 % zeros is not stored as CSR")
	}
	got, _, _ = Apply(t.Context(), m, Options{Sparsity: 0.9, Granularity: Block{4, 1}})
	if _, ok := got.Weights["conv.weight"].Sparse().(*sparse.BSR); !ok {
		t.Error("a weight of 4x1 blocks is not stored in blocks")
	}
	// Pruning what is pruned, and stored sparse, further ends at the same place.
	a, _, _ := Apply(t.Context(), m, Options{Sparsity: 0.95})
	b, _, _ := Apply(t.Context(), got, Options{Sparsity: 0.5})
	half, _, _ := Apply(t.Context(), m, Options{Sparsity: 0.6})
	c, _, _ := Apply(t.Context(), half, Options{Sparsity: 0.95})
	if !slices.Equal(a.Weights["fc.weight"].Floats(), c.Weights["fc.weight"].Floats()) {
		t.Error("two steps end elsewhere than one")
	}
	if !slices.Equal(b.Weights["fc.weight"].Floats(), got.Weights["fc.weight"].Floats()) {
		t.Error("a sparsity below what is there changed a weight")
	}
}

func abs(x float32) float32 { return float32(math.Abs(float64(x))) }

func checkLargest(t *testing.T, before, kept []float32, sparsity float64) {
	t.Helper()
	want := make([]float32, len(before))
	for i, x := range before {
		want[i] = abs(x)
	}
	slices.Sort(want)
	want = want[int(math.RoundToEven(sparsity*float64(len(want)))):]
	slices.Sort(kept)
	if !slices.Equal(kept, want) {
		t.Errorf("at %g, %d weights are left that are not the %d largest", sparsity, len(kept), len(want))
	}
}

func TestOtherTypesKeepTheirType(t *testing.T) {
	cases := []struct {
		dt  graph.DType
		raw []byte // 1, -2, 0.5, 4
	}{
		{graph.Float16, []byte{0x00, 0x3c, 0x00, 0xc0, 0x00, 0x38, 0x00, 0x44}},
		{graph.BFloat16, []byte{0x80, 0x3f, 0x00, 0xc0, 0x00, 0x3f, 0x80, 0x40}},
		{graph.Float64, []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f, 0, 0, 0, 0, 0, 0, 0x10, 0x40}},
	}
	for _, c := range cases {
		w, err := graph.NewTensor(c.dt, []int{2, 2}, c.raw)
		if err != nil {
			t.Fatal(err)
		}
		m := newModel(testLayer{node: graph.Node{Name: "a", Op: "MatMul"}, weight: w})
		got, _, err := Apply(t.Context(), m, Options{Sparsity: 0.5})
		if err != nil {
			t.Fatal(err)
		}
		a := got.Weights["a.weight"]
		if v := a.Floats(); a.DType != c.dt || !slices.Equal(v, []float32{0, -2, 0, 4}) {
			t.Errorf("%s became %s %v", c.dt, a.DType, v)
		}
	}
}

func TestLayers(t *testing.T) {
	conv := func(name string, group int, shape ...int) testLayer {
		n := graph.Node{Name: name, Op: "Conv"}
		n.Set("group", group)
		return testLayer{node: n, weight: random(1, shape...)}
	}
	m := newModel(
		conv("stem", 1, 8, 3, 3, 3),
		conv("dw", 8, 8, 1, 3, 3),
		conv("grouped", 2, 8, 4, 1, 1),
		testLayer{node: graph.Node{Name: "relu", Op: "Relu"}, weight: random(1, 2, 2)},
		testLayer{node: graph.Node{Name: "int8", Op: "MatMul"}, weight: graph.FromInts(graph.Int8, []int{2, 2}, make([]int64, 4))},
		testLayer{node: graph.Node{Name: "vector", Op: "MatMul"}, weight: random(1, 8)},
		testLayer{node: graph.Node{Name: "foreign", Op: "MatMul", Domain: "com.example"}, weight: random(1, 2, 2)},
		matrix("MatMul", "fc", 2, 2, 1, 2, 3, 4),
	)
	m.Nodes = append(m.Nodes,
		&graph.Node{Op: "Identity", Inputs: []string{"stem.weight"}, Outputs: []string{"shared"}},
		&graph.Node{Name: "again", Op: "Conv", Inputs: []string{"fc", "shared"}, Outputs: []string{"again"}},
		&graph.Node{Name: "activations", Op: "MatMul", Inputs: []string{"fc", "again"}, Outputs: []string{"out"}})
	var got []string
	for _, l := range Layers(m) {
		got = append(got, l.Kind+" "+l.Weight)
	}
	want := []string{"Conv stem.weight", "DepthwiseConv dw.weight", "Conv grouped.weight", "MatMul fc.weight"}
	if !slices.Equal(got, want) {
		t.Errorf("layers %q, want %q", got, want)
	}
	if got, want := Ends(m), []string{"stem.weight", "fc.weight"}; !slices.Equal(got, want) {
		t.Errorf("ends %q, want %q", got, want)
	}
}

func TestMagnitudeRefuses(t *testing.T) {
	m := newModel(gemm("a", 1, 2))
	cases := []struct {
		name string
		m    *graph.Model
		o    Options
		want string
	}{
		{"sparsity in percent", m, Options{Sparsity: 90}, "fraction"},
		{"negative sparsity", m, Options{Sparsity: -0.1}, "fraction"},
		{"NaN", m, Options{Sparsity: math.NaN()}, "fraction"},
		{"half a block", m, Options{Sparsity: 0.5, Granularity: Block{Rows: 4}}, "block"},
		{"no pattern", m, Options{Granularity: Pattern{4, 4}}, "M-1"},
		{"a pattern and a sparsity", m, Options{Granularity: Pattern{2, 4}, Sparsity: 0.5}, "beside it"},
		{"nothing included", m, Options{Sparsity: 0.5, Include: []string{"b*"}}, "matches"},
		{"nothing to prune", newModel(), Options{Sparsity: 0.5}, "Conv, Gemm or MatMul"},
	}
	for _, c := range cases {
		if _, _, err := Apply(t.Context(), c.m, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %q", c.name, err, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, s := range []string{"weight", "4x1", "1x4", "8x8", "2:4", "row", "filter", "column", "channel", "head", "head:64", "dim:-1"} {
		if g, err := ParseGranularity(s); err != nil || g.String() != s {
			t.Errorf("granularity %q reads as %v, error %v", s, g, err)
		}
	}
	for _, s := range []string{"local", "global", "global-normalized", "lamp", "erk", "owl"} {
		if v, err := ParseScope(s, 0); err != nil || v.String() != s {
			t.Errorf("scope %q reads as %v, error %v", s, v, err)
		}
	}
	for _, s := range []string{"l0", "l1", "l2", "inf", "-inf"} {
		if v, err := ParseNorm(s); err != nil || v.String() != s {
			t.Errorf("norm %q reads as %v, error %v", s, v, err)
		}
	}
	for _, s := range []string{"2:4", "1:16"} {
		if p, err := ParsePattern(s); err != nil || p.String() != s {
			t.Errorf("pattern %q reads as %v, error %v", s, p, err)
		}
	}
	for _, s := range []string{"", "2", "2:", "4:4", "0:4", "-1:4", "2:4:1"} {
		if _, err := ParsePattern(s); err == nil {
			t.Errorf("pattern %q was accepted", s)
		}
	}
	if _, err := ParseScope("layer", 0); err == nil {
		t.Error("scope \"layer\" was accepted")
	}
	if _, err := ParseNorm("l3"); err == nil {
		t.Error("norm \"l3\" was accepted")
	}
}

func BenchmarkMagnitudeGlobal(b *testing.B) {
	m := newModel(testLayer{node: graph.Node{Name: "a", Op: "MatMul"}, weight: random(1, 4096, 4096)})
	b.SetBytes(int64(m.Weights["a.weight"].Bytes()))
	for b.Loop() {
		if _, _, err := Apply(b.Context(), m, Options{Sparsity: 0.9, Scope: Global{}}); err != nil {
			b.Fatal(err)
		}
	}
}
