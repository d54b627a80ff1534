package prune

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
)

func TestRandom(t *testing.T) {
	m := newModel(testLayer{node: graph.Node{Name: "a", Op: "MatMul"}, weight: random(1, 200, 300)},
		testLayer{node: graph.Node{Name: "b", Op: "MatMul"}, weight: random(1, 200, 300)})
	prune := func(seed uint64, o Options) *graph.Model {
		o.Criterion = Random{seed}
		got, _, err := Apply(t.Context(), m, o)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	o := Options{Sparsity: 0.3}
	a, b, c := prune(1, o), prune(1, o), prune(2, o)
	if !slices.Equal(a.Weights["a.weight"].Floats(), b.Weights["a.weight"].Floats()) {
		t.Error("the same seed gives other weights")
	}
	if slices.Equal(a.Weights["a.weight"].Floats(), c.Weights["a.weight"].Floats()) {
		t.Error("another seed gives the same weights")
	}
	if slices.Equal(a.Weights["a.weight"].Floats(), a.Weights["b.weight"].Floats()) {
		t.Error("two layers lose the same weights")
	}
	// Magnitude has no part in it: of 18000 that go about half are larger than the
	// median. One standard deviation is 50.
	before, large := m.Weights["a.weight"].Floats(), 0
	for i, x := range a.Weights["a.weight"].Floats() {
		if x == 0 && abs(before[i]) > 0.6745 {
			large++
		}
	}
	if large < 8700 || large > 9300 {
		t.Errorf("%d of the 18000 that went are large", large)
	}
	// Units of different sizes have the same chances, also over all layers.
	m = newModel(testLayer{node: graph.Node{Name: "long", Op: "MatMul"}, weight: random(1, 90, 1000)},
		testLayer{node: graph.Node{Name: "short", Op: "MatMul"}, weight: random(1, 2, 1000)})
	got := prune(3, Options{Sparsity: 0.5, Granularity: Row{}, Scope: Global{}})
	for name, cols := range map[string]int{"long.weight": 90, "short.weight": 2} {
		if rows := countKey(got.Weights[name].Floats(), 0) / cols; rows < 400 || rows > 600 {
			t.Errorf("%s lost %d of 1000 rows, want about half", name, rows)
		}
	}
}

func floats(v ...float32) *graph.Tensor { return graph.FromFloats([]int{1, len(v)}, v) }

// norm makes the BatchNormalization behind a convolution.
func norm(m *graph.Model, scale ...float32) {
	last := m.Nodes[len(m.Nodes)-1]
	m.Weights["scale"] = graph.FromFloats([]int{len(scale)}, scale)
	m.Nodes = append(m.Nodes, &graph.Node{Name: "bn", Op: "BatchNormalization",
		Inputs: []string{last.Outputs[0], "scale", "b", "mean", "var"}, Outputs: []string{"normed"}})
}

func TestCriteria(t *testing.T) {
	nan := float32(math.NaN())
	conv := testLayer{node: graph.Node{Name: "a", Op: "Conv"}, weight: graph.FromFloats([]int{3, 2, 1, 1}, []float32{9, 9, 8, 8, 1, 1})}
	scaled := newModel(conv)
	norm(scaled, 0.5, -0.1, 2)
	few := newModel(conv)
	norm(few, 1, 2)
	rows := Options{Sparsity: 0.34, Granularity: Filter{}, Scope: Global{}}
	with := func(o Options, c Criterion) Options { o.Criterion = c; return o }
	half := Options{Sparsity: 0.5}
	cases := []struct {
		name string
		m    *graph.Model
		o    Options
		want []float32
		err  string
	}{
		{"scores", newModel(gemm("a", 1, 2, 3, 4)), with(half, Scores{"a.weight": floats(5, -6, 0, 1)}), []float32{1, 2, 0, 0}, ""},
		{"scores, zeros go first", newModel(gemm("a", 1, 0, 3, 4)), with(half, Scores{"a.weight": floats(1, 9, 0, 5)}), []float32{1, 0, 0, 4}, ""},
		{"scores of another shape", newModel(gemm("a", 1, 2)), with(half, Scores{"a.weight": floats(1, 2, 3)}), nil, "[1 2]"},
		{"scores of another weight", newModel(gemm("a", 1, 2)), with(half, Scores{"b": floats(1, 2)}), nil, `"a.weight"`},
		{"scores of integers", newModel(gemm("a", 1, 2)), with(half, Scores{"a.weight": graph.FromInts(graph.Int64, []int{1, 2}, []int64{1, 2})}), nil, "int64"},
		{"taylor", newModel(gemm("a", 1, 2, 3, 4)), with(half, Taylor{map[string]*graph.Tensor{"a.weight": floats(9, 1, 1, -0.5)}}), []float32{1, 0, 3, 0}, ""},
		{"taylor without gradients", newModel(gemm("a", 1, 2)), with(half, Taylor{}), nil, "gradients"},
		{"threshold", newModel(gemm("a", 0.1, -0.5, 0.49, nan)), Options{Scope: Threshold{Value: 0.5}}, []float32{0, -0.5, 0, nan}, ""},
		// The standard deviation is 2.
		{"threshold of 1.5 standard deviations", newModel(gemm("a", 3.1, -1, 2.9, -1)), Options{Scope: Threshold{Value: 1.5, Std: true}}, []float32{3.1, 0, 0, 0}, ""},
		{"threshold and sparsity", newModel(gemm("a", 1, 2)), Options{Sparsity: 0.5, Scope: Threshold{Value: 1}}, nil, "beside a threshold"},
		{"threshold in steps", newModel(gemm("a", 1, 2)), Options{Scope: Threshold{Value: 1}, Schedule: Schedule{Linear, 2}}, nil, "steps"},
		{"count", newModel(gemm("a", 4, 1, 3, 2)), Options{Count: 3}, []float32{4, 0, 0, 0}, ""},
		{"count of what is left", newModel(gemm("a", 4, 0, 3, 2)), Options{Count: 1, OfLeft: true}, []float32{4, 0, 3, 0}, ""},
		{"count above all", newModel(gemm("a", 4, 1)), Options{Count: 3}, nil, "where there are 2"},
		{"count and sparsity", newModel(gemm("a", 4, 1)), Options{Count: 1, Sparsity: 0.5}, nil, "one of them"},
		{"batch normalisation", scaled, with(rows, BNScale()), []float32{9, 9, 0, 0, 1, 1}, ""},
		{"no batch normalisation", newModel(conv), with(rows, BNScale()), nil, "folded"},
		{"batch normalisation of another size", few, with(rows, BNScale()), nil, "expected 3"},
		{"batch normalisation of single weights", scaled, with(half, BNScale()), nil, "row, filter"},
		// Distances 1, 1 and 2 between (9 9), (8 8) and (1 1), times the root of 2.
		{"geometric median", newModel(conv), with(rows, FPGM()), []float32{9, 9, 0, 0, 1, 1}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, _, err := Apply(t.Context(), c.m, c.o)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want one that says %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if v := got.Weights["a.weight"].Floats(); !slices.EqualFunc(v, c.want, same) {
				t.Errorf("the weight is %v, want %v", v, c.want)
			}
		})
	}
}

func TestFPGMDistances(t *testing.T) {
	const rows, cols = 7, 13
	r := rand.New(rand.NewPCG(1, 1))
	v := make([]float32, rows*cols)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	clear(v[2*cols : 3*cols]) // gone
	want := make([]float64, rows)
	for i := range rows {
		for j := range rows {
			s := 0.0
			for k := range cols {
				d := float64(v[i*cols+k]) - float64(v[j*cols+k])
				s += d * d
			}
			if i != 2 && j != 2 {
				want[i] += math.Sqrt(s)
			}
		}
	}
	// The same matrix with outputs along the columns.
	turned := make([]float32, len(v))
	for i, x := range v {
		turned[i%cols*rows+i/cols] = x
	}
	for name, c := range map[string]struct {
		at placement
		v  []float32
	}{"rows": {byRows(1, rows, cols), v}, "columns": {byColumns(1, cols, rows), turned}} {
		got, err := distances(t.Context(), c.at, c.v)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if math.Abs(got[i]-want[i]) > 1e-5*want[i] {
				t.Errorf("%s: filter %d has a distance of %g, want %g", name, i, got[i], want[i])
			}
		}
	}
}

func TestChannelsOfInputs(t *testing.T) {
	n := graph.Node{Name: "a", Op: "Conv"}
	m := newModel(testLayer{node: n, weight: graph.FromFloats([]int{2, 2, 1, 2}, []float32{1, 2, 3, 4, 5, 6, 7, 8})})
	c := &Channels{Name: "given", Inputs: true, Measure: func(_ context.Context, _ *graph.Model, layers []Layer) ([][]float64, error) {
		return [][]float64{{1, 3, 2, 2}}, nil // taps of two channels
	}}
	got, _, err := Apply(t.Context(), m, Options{Sparsity: 0.5, Granularity: Channel{}, Criterion: c})
	if err != nil {
		t.Fatal(err)
	}
	if v := got.Weights["a.weight"].Floats(); !slices.Equal(v, []float32{1, 2, 0, 0, 5, 6, 0, 0}) {
		t.Errorf("the weight is %v, want the second channel gone", v)
	}
	if _, _, err := Apply(t.Context(), m, Options{Sparsity: 0.5, Granularity: Row{}, Criterion: c}); err == nil {
		t.Error("rows were pruned by their inputs")
	}
}

func TestGranularities(t *testing.T) {
	grouped := graph.Node{Name: "a", Op: "Conv"}
	grouped.Set("group", 2)
	cases := []struct {
		name string
		l    testLayer
		g    Granularity
		want []float32
	}{
		{"row of in x out", matrix("MatMul", "a", 2, 2, 5, 1, 5, 2), Row{}, []float32{5, 0, 5, 0}},
		{"column of in x out", matrix("MatMul", "a", 2, 2, 5, 4, 1, 2), Column{}, []float32{5, 4, 0, 0}},
		{"channel of a matrix", matrix("MatMul", "a", 2, 2, 5, 4, 1, 2), Channel{}, []float32{5, 4, 0, 0}},
		{"filter", testLayer{node: graph.Node{Name: "a", Op: "Conv"}, weight: graph.FromFloats([]int{2, 1, 1, 2}, []float32{1, 1, 2, 2})},
			Filter{}, []float32{0, 0, 2, 2}},
		{"channel", testLayer{node: graph.Node{Name: "a", Op: "Conv"}, weight: graph.FromFloats([]int{2, 2, 1, 2}, []float32{1, 1, 9, 9, 2, 2, 3, 3})},
			Channel{}, []float32{0, 0, 9, 9, 0, 0, 3, 3}},
		{"column is a tap", testLayer{node: graph.Node{Name: "a", Op: "Conv"}, weight: graph.FromFloats([]int{2, 1, 1, 2}, []float32{1, 9, 2, 9})},
			Column{}, []float32{0, 9, 0, 9}},
		{"channels of groups", testLayer{node: grouped, weight: graph.FromFloats([]int{4, 1, 1, 1}, []float32{1, 2, 3, 4})},
			Channel{}, []float32{0, 0, 3, 4}},
		{"head of two", matrix("MatMul", "a", 1, 4, 1, 9, 5, 6), Head{2}, []float32{0, 0, 5, 6}},
		{"last axis", matrix("MatMul", "a", 2, 2, 5, 1, 5, 2), Dim(-1), []float32{5, 0, 5, 0}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, r, err := Apply(t.Context(), newModel(c.l), Options{Sparsity: 0.5, Granularity: c.g})
			if err != nil {
				t.Fatal(err)
			}
			if v := got.Weights["a.weight"].Floats(); !slices.Equal(v, c.want) {
				t.Errorf("the weight is %v, want %v", v, c.want)
			}
			gone, all := 0.0, 0.0
			for i, x := range c.l.weight.Floats() {
				all += float64(x * x)
				if c.want[i] == 0 {
					gone += float64(x * x)
				}
			}
			if want := math.Sqrt(gone / all); math.Abs(r.Layers[0].Error-want) > 1e-9 {
				t.Errorf("an error of %g, want %g", r.Layers[0].Error, want)
			}
		})
	}
	for _, g := range []Granularity{Head{3}, Head{}, Dim(2), Dim(-3), Block{0, 1}} {
		if _, _, err := Apply(t.Context(), newModel(matrix("MatMul", "a", 2, 4, make([]float32, 8)...)), Options{Granularity: g}); err == nil {
			t.Errorf("granularity %v was accepted", g)
		}
	}
}

func TestHeadsOfTheGraph(t *testing.T) {
	m := newModel(matrix("MatMul", "q", 3, 6, make([]float32, 18)...), matrix("MatMul", "plain", 6, 2, make([]float32, 12)...))
	m.Nodes = slices.Insert(m.Nodes, 1,
		&graph.Node{Op: "Add", Inputs: []string{"q.bias", "q"}, Outputs: []string{"biased"}},
		&graph.Node{Op: "Reshape", Inputs: []string{"biased", "to"}, Outputs: []string{"heads"}})
	for _, to := range [][]int64{{0, 0, 3, 2}, {0, 0, -1, 2}, {1, 1, 3, -1}} {
		m.Weights["to"] = graph.FromInts(graph.Int64, []int{4}, to)
		_, r, err := Apply(t.Context(), m, Options{Sparsity: 0.34, Granularity: Head{}})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Layers) != 1 || r.Layers[0].Weight != "q.weight" || r.Layers[0].head != 2 {
			t.Errorf("%v: layers %+v, want q.weight with heads of 2", to, r.Layers)
		}
	}
}

func TestOWL(t *testing.T) {
	// Both have 100 weights. The first has an outlier of ten times the others.
	a, b := slices.Repeat([]float32{1}, 100), slices.Repeat([]float32{1}, 100)
	for i := range 100 {
		a[i] += float32(i) / 1000
		b[i] += float32(i) / 1000
	}
	a[50] = 10
	m := newModel(gemm("a", a...), gemm("b", b...))
	if got := zerosIn(t, m, Options{Sparsity: 0.5, Scope: OWL{}}); !slices.Equal(got, []int{42, 58}) {
		t.Errorf("zeros %v, want 0.08 below and above one half", got)
	}
	if got := zerosIn(t, m, Options{Sparsity: 0.98, Scope: OWL{}}); got[1] != 100 || got[0] != 96 {
		t.Errorf("zeros %v, want what the second cannot lose gone from the first", got)
	}
}

func TestMasksGiven(t *testing.T) {
	m := newModel(gemm("a", 1, 2, 0, 4), gemm("b", 5, 6))
	bools, err := graph.NewTensor(graph.Bool, []int{1, 4}, []byte{1, 0, 1, 0})
	if err != nil {
		t.Fatal(err)
	}
	for _, mask := range []*graph.Tensor{bools, floats(1, 0, 1, 0), graph.FromInts(graph.Int64, []int{1, 4}, []int64{1, 0, 1, 0})} {
		masks := Masks{"a.weight": mask}
		if err := masks.Check(m); err != nil {
			t.Fatal(err)
		}
		got, _, err := Apply(t.Context(), m, masks.Options())
		if err != nil {
			t.Fatal(err)
		}
		if v := got.Weights["a.weight"].Floats(); !slices.Equal(v, []float32{1, 0, 0, 0}) {
			t.Errorf("a mask of %s leaves %v", mask.DType, v)
		}
		if v := got.Weights["b.weight"].Floats(); !slices.Equal(v, []float32{5, 6}) {
			t.Errorf("without a mask there is %v", v)
		}
		back := MasksOf(got)
		if v := back["a.weight"].Ints(); !slices.Equal(v, []int64{1, 0, 0, 0}) || !slices.Equal(back["b.weight"].Ints(), []int64{1, 1}) {
			t.Errorf("masks %v of what is left", back)
		}
	}
	two, err := graph.NewTensor(graph.Uint8, []int{1, 4}, []byte{1, 0, 2, 0})
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]struct {
		masks Masks
		want  string
	}{
		"another weight": {Masks{"a.bias": bools}, `"a.bias"`},
		"another shape":  {Masks{"b.weight": bools}, "[1 2]"},
		"a half":         {Masks{"a.weight": floats(1, 0.5, 1, 0)}, "element 1"},
		"a two":          {Masks{"a.weight": two}, "element 2"},
		"NaN":            {Masks{"a.weight": floats(1, 0, 1, float32(math.NaN()))}, "element 3"},
	} {
		if err := bad.masks.Check(m); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: error %v, want one that says %s", name, err, bad.want)
		}
	}
}

func TestNames(t *testing.T) {
	for want, c := range map[string]Criterion{"magnitude": Magnitude{}, "bn-scale": BNScale(), "watcher": &watcherOnly{}} {
		if got := nameOf(c); !strings.HasPrefix(got, want) {
			t.Errorf("%s is named %s", fmt.Sprintf("%T", c), got)
		}
	}
}

type watcherOnly struct{}

func (*watcherOnly) Saliency(_ Layer, v []float32) ([]float32, error) { return v, nil }
