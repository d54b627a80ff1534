package sweep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/bench/builtin"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/prune"
	"github.com/nnz-dev/nnz/runtime"
)

// lenet is the trained network with images, of which n are taken.
func lenet(t *testing.T, n int) (*graph.Model, *Data) {
	t.Helper()
	m, err := builtin.Load("lenet5")
	if err != nil {
		t.Fatal(err)
	}
	d := &Data{}
	images, labels := builtin.MNIST()
	for i := range n {
		d.Sets = append(d.Sets, map[string]*graph.Tensor{m.Inputs[0].Name: graph.FromFloats([]int{1, 1, 28, 28}, images[i])})
		d.Labels = append(d.Labels, int(labels[i]))
	}
	return m, d
}

// accuracy measures a model by other means than a judge.
func accuracy(t *testing.T, m *graph.Model, n int) float64 {
	t.Helper()
	images, labels := builtin.MNIST()
	r, err := bench.Accuracy(context.Background(), m, images[:n], labels[:n], runtime.Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	return r.Accuracy
}

func apply(t *testing.T, m *graph.Model, o prune.Options) *graph.Model {
	t.Helper()
	pruned, _, err := prune.Apply(context.Background(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	return pruned
}

var quick = bench.Options{Name: "lenet5", Threads: 1, Runs: 1, Warmup: 1}

func TestRun(t *testing.T) {
	const n = 200
	m, data := lenet(t, n)
	o := Options{Bench: quick, Sparsities: []float64{.5, .9}, Data: data}
	for _, measure := range []bool{false, true} {
		o.Measure = measure
		last := -1.0
		o.Bench.Progress = func(done float64) {
			if done < last-1e-9 || done > 1 {
				t.Errorf("progress goes from %v to %v", last, done)
			}
			last = done
		}
		r, err := Run(context.Background(), m, o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Error != "outputs" || r.Examples != n || *r.Accuracy != accuracy(t, m, n) || r.Measured() != measure || len(r.Layers) != 4 {
			t.Fatalf("%+v", r)
		}
		for _, l := range r.Layers {
			if len(l.Weights) != 1 || l.Size != m.Weights[l.Weights[0]].Len() || l.M*l.K != l.Size || len(l.Points) != 3 {
				t.Errorf("layer %+v", l)
			}
			for k, p := range l.Points {
				s := r.Sparsities[k]
				alone := apply(t, m, prune.Options{Sparsity: s, Include: l.Weights})
				if p.Sparsity != s || math.Abs(p.Zeros-s) > .002 || *p.Accuracy != accuracy(t, alone, n) {
					t.Errorf("%s at %v: %+v", l.Name, s, p)
				}
				if (p.Error == 0) != (k == 0) || k > 0 && p.Error <= l.Points[k-1].Error {
					t.Errorf("%s at %v: error %v", l.Name, s, p.Error)
				}
				if !(p.PredictedUS > 0) || (p.MeasuredUS > 0) != measure || p.Format == "" || p.Kernel == "" {
					t.Errorf("%s at %v: %+v", l.Name, s, p)
				}
			}
			if p := l.Points; p[2].PredictedUS >= p[0].PredictedUS {
				t.Errorf("%s: %v us are predicted dense, %v at 0.9", l.Name, p[0].PredictedUS, p[2].PredictedUS)
			}
		}
		for k, w := range r.Uniform {
			all := apply(t, m, prune.Options{Sparsity: r.Sparsities[k]})
			if *w.Accuracy != accuracy(t, all, n) || !(w.MS > 0) {
				t.Errorf("all layers at %v: %+v", r.Sparsities[k], w)
			}
		}
		for i, w := range r.Front {
			if i > 0 && (w.MS <= r.Front[i-1].MS || w.Error >= r.Front[i-1].Error) {
				t.Errorf("front: %+v after %+v", w, r.Front[i-1])
			}
		}
		if end := r.Front[len(r.Front)-1]; end.Error != 0 || end.Zeros != 0 {
			t.Errorf("the front ends at %+v, not at the dense model", end)
		}
		var page bytes.Buffer
		if err := r.Page().Write(&page); err != nil || !strings.Contains(page.String(), "<td>conv2</td>") {
			t.Errorf("page: %v", err)
		}
	}
}

// TestRunWeights holds the errors of weights to their definition.
func TestRunWeights(t *testing.T) {
	m, _ := lenet(t, 0)
	r, err := Run(context.Background(), m, Options{Bench: quick, Sparsities: []float64{.8}, Prune: prune.Options{Include: []string{"fc1"}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Layers) != 1 || r.Error != "weights" || r.Accuracy != nil {
		t.Fatalf("%+v", r)
	}
	name := r.Layers[0].Weights[0]
	after := apply(t, m, prune.Options{Sparsity: .8, Include: []string{name}}).Weights[name].Floats()
	lost, all := 0.0, 0.0
	for i, x := range m.Weights[name].Floats() {
		lost += math.Pow(float64(x-after[i]), 2)
		all += math.Pow(float64(x), 2)
	}
	if want := math.Sqrt(lost / all); math.Abs(r.Layers[0].Points[1].Error-want) > 1e-9 || math.Abs(r.Uniform[1].Error-want) > 1e-9 {
		t.Errorf("error %v, want %v", r.Layers[0].Points[1].Error, want)
	}
}

func TestRunMistakes(t *testing.T) {
	m, data := lenet(t, 3)
	short := &Data{Sets: data.Sets, Labels: data.Labels[:2]}
	long := &Data{Sets: data.Sets[:2], Labels: data.Labels}
	tests := []struct {
		name string
		o    Options
		says string
	}{
		{"falling", Options{Sparsities: []float64{.9, .5}}, "rising"},
		{"percent", Options{Sparsities: []float64{50}}, "at most 1"},
		{"dense twice", Options{Sparsities: []float64{0}}, "above 0"},
		{"no layer", Options{Prune: prune.Options{Include: []string{"none"}}}, "none"},
		{"no sets", Options{Data: &Data{}}, "no data"},
		{"few labels", Options{Data: short}, "2 labels"},
		{"many labels", Options{Data: long}, "3 labels"},
		{"other input", Options{Data: &Data{Sets: []map[string]*graph.Tensor{{"y": nil}}}}, "no data for input"},
		{"other shape", Options{Data: &Data{Sets: []map[string]*graph.Tensor{{m.Inputs[0].Name: graph.FromFloats([]int{2, 2}, make([]float32, 4))}}}}, "input"},
	}
	for _, test := range tests {
		if _, err := Run(context.Background(), m, test.o); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: error %v", test.name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, m, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: error %v", err)
	}
}

func TestLayersOf(t *testing.T) {
	weight := func(name string, shape ...int) prune.Layer {
		return prune.Layer{Weight: name, Node: "node " + name, Kind: "MatMul", Shape: shape}
	}
	step := func(name string, m, k int) runtime.LayerReport {
		return runtime.LayerReport{Name: name, M: m, K: k, N: 7}
	}
	taken := []prune.Layer{weight("q", 8, 4), weight("k", 8, 4), weight("v", 8, 4), weight("o", 4, 8), weight("folded", 4, 4), weight("last", 3, 4)}
	tests := []struct {
		name  string
		steps []runtime.LayerReport
		want  []string // the weights of the layers, and the outputs of their steps
	}{
		{"each alone", []runtime.LayerReport{step("q", 8, 4), step("k", 8, 4), step("v", 8, 4), step("o", 4, 8), step("folded", 4, 4), step("last", 3, 4)},
			[]string{"[q] 8", "[k] 8", "[v] 8", "[o] 4", "[folded] 4", "[last] 3"}},
		{"merged", []runtime.LayerReport{step("q", 24, 4), step("o", 4, 8), step("last", 3, 4)},
			[]string{"[q k v] 24", "[o] 4", "[folded] 0", "[last] 3"}},
		{"a step without a weight", []runtime.LayerReport{{Name: "q"}, step("q", 24, 4), step("o", 4, 8), step("last", 3, 4)},
			[]string{"[q k v] 24", "[o] 4", "[folded] 0", "[last] 3"}},
		{"no steps", nil, []string{"[q] 0", "[k] 0", "[v] 0", "[o] 0", "[folded] 0", "[last] 0"}},
	}
	for _, test := range tests {
		var got []string
		for _, l := range layersOf(taken, test.steps) {
			got = append(got, fmt.Sprint(l.Weights, l.M))
			if l.Name != "node "+l.Weights[0] {
				t.Errorf("%s: %s is called %q", test.name, l.Weights[0], l.Name)
			}
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestNameNodes finds the weights of nameless nodes, through an Identity too.
func TestNameNodes(t *testing.T) {
	w := graph.FromFloats([]int{4, 4}, make([]float32, 16))
	m := &graph.Model{
		Inputs:  []*graph.Value{{Name: "x", DType: graph.Float32, Shape: graph.Dims(1, 4)}},
		Outputs: []*graph.Value{{Name: "z"}},
		Nodes: []*graph.Node{
			{Op: "Identity", Inputs: []string{"w"}, Outputs: []string{"same"}},
			{Op: "MatMul", Inputs: []string{"x", "same"}, Outputs: []string{"y"}},
			{Op: "Relu", Name: "relu", Inputs: []string{"y"}, Outputs: []string{"z"}},
		},
		Weights: map[string]*graph.Tensor{"w": w},
	}
	named := nameNodes(m)
	if got := []string{named.Nodes[0].Name, named.Nodes[1].Name, named.Nodes[2].Name}; !reflect.DeepEqual(got, []string{"", "w", "relu"}) {
		t.Errorf("names %q", got)
	}
	if m.Nodes[1].Name != "" {
		t.Error("the model is not left as it is")
	}
}

func TestCompare(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	tests := []struct {
		name      string
		integer   bool
		want, got []float64
		lost, all float64
		says      string
	}{
		{"equal", false, []float64{3, 4}, []float64{3, 4}, 0, 25, ""},
		{"differ", false, []float64{3, 4}, []float64{3, 2}, 4, 25, ""},
		{"not finite alike", false, []float64{nan, inf, 1}, []float64{nan, inf, 2}, 1, 1, ""},
		{"NaN", false, []float64{1}, []float64{nan}, 0, 0, "element 0 is NaN"},
		{"infinite", false, []float64{1, -inf}, []float64{1, inf}, 0, 0, "element 1"},
		{"integers", true, []float64{100, 7, 9}, []float64{3, 7, 8}, 2, 3, ""},
		{"length", false, []float64{1}, nil, 0, 0, "0 elements"},
	}
	for _, test := range tests {
		j := &judge{integer: []bool{test.integer}}
		lost, all, err := j.compare(0, test.want, test.got)
		if lost != test.lost || all != test.all || (err != nil) != (test.says != "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v of %v, %v", test.name, lost, all, err)
		}
	}
}

// TestWithin chooses for latencies from a table that is known.
func TestWithin(t *testing.T) {
	layer := func(us ...float64) Layer {
		l := Layer{Size: 100}
		for k, x := range us {
			l.Points = append(l.Points, Point{Sparsity: .5 * float64(k), Zeros: .5 * float64(k), MeasuredUS: x, Error: float64(k)})
		}
		return l
	}
	// All else takes 100 us, and runs twice what steps say.
	table := &table{sparsities: []float64{0, .5, 1}, layers: []Layer{layer(1000, 500, 100), layer(400, 350, 300)}, rest: 100, scale: 2}
	tests := []struct {
		ms    float64
		picks []int // nil where it cannot be reached
		got   float64
	}{
		{4, []int{0, 0}, 3},
		{2.5, []int{1, 0}, 2},
		{1.95, []int{1, 1}, 1.9},
		{1.3, []int{2, 0}, 1.2},
		{1.01, []int{2, 2}, 1},
		{.99, nil, 0},
	}
	for _, test := range tests {
		picks, err := table.within(test.ms)
		var unreachable *UnreachableError
		if test.picks == nil {
			if !errors.As(err, &unreachable) || math.Abs(unreachable.FastestMS-1) > 1e-9 || math.Abs(unreachable.DenseMS-3) > 1e-9 || unreachable.Sparsity != 1 {
				t.Errorf("%v ms: %v, error %v", test.ms, picks, err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(picks, test.picks) || math.Abs(table.whole(picks).MS-test.got) > 1e-9 {
			t.Errorf("%v ms: %v, want %v; error %v", test.ms, picks, test.picks, err)
		}
	}
}

// TestSearch searches a table that is known for the fastest choice.
func TestSearch(t *testing.T) {
	table := &table{sparsities: []float64{0, .5, .9}, scale: 1}
	for range 3 {
		table.layers = append(table.layers, Layer{Size: 1, Points: []Point{
			{MeasuredUS: 100}, {MeasuredUS: 50, Error: .1}, {MeasuredUS: 10, Error: .4},
		}})
	}
	// What is lost is that of errors that add up, so that the first guess
	// is too much.
	loss := func(picks []int) float64 {
		sum := 0.0
		for i, k := range picks {
			sum += table.layers[i].Points[k].Error
		}
		return sum
	}
	tests := []struct{ drop, us float64 }{
		{.05, 300}, {.1, 250}, {.25, 200}, {.31, 150}, {.45, 150}, {.6, 110}, {.9, 70}, {1.21, 30}, {9, 30},
	}
	for _, test := range tests {
		tried := 0
		picks, err := table.search(test.drop, func(picks []int) (float64, error) {
			tried++
			return loss(picks), nil
		})
		if got := table.whole(picks).MS * 1e3; err != nil || math.Abs(got-test.us) > 1e-9 || loss(picks) > test.drop+1e-12 || tried > 12 {
			t.Errorf("drop %v: %v take %v us and lose %v, want %v us; %d tried; error %v", test.drop, picks, got, loss(picks), test.us, tried, err)
		}
	}
	broken := errors.New("broken")
	if _, err := table.search(.1, func([]int) (float64, error) { return 0, broken }); err != broken {
		t.Errorf("error %v", err)
	}
}

// TestForLatency holds what a choice says to the model that it makes; how long
// that takes depends on the machine.
func TestForLatency(t *testing.T) {
	m, data := lenet(t, 50)
	o := Options{Bench: quick, Data: data, Sparsities: []float64{.5, .9}}
	for _, d := range []*Data{data, nil} {
		o.Data = d
		c, err := ForLatency(context.Background(), m, time.Hour, o)
		if err != nil || len(c.Sparsity) > 0 || c.Zeros != 0 || c.Expected.Error != 0 || c.BudgetMS != 3.6e6 {
			t.Fatalf("an hour: %+v, %v", c, err)
		}
		var unreachable *UnreachableError
		if _, err := ForLatency(context.Background(), m, time.Nanosecond, o); !errors.As(err, &unreachable) || !(unreachable.FastestMS > 1e-6) {
			t.Errorf("a nanosecond: %v", err)
		}
	}
	if _, err := ForLatency(context.Background(), m, 0, o); err == nil || !strings.Contains(err.Error(), "positive") {
		t.Errorf("no time: %v", err)
	}
}

func TestForDrop(t *testing.T) {
	const n = 200
	m, data := lenet(t, n)
	o := Options{Bench: quick, Data: data, Sparsities: []float64{.5, .8, .9, .95}}
	dense := accuracy(t, m, n)
	for _, labels := range [][]int{data.Labels, nil} {
		o.Data = &Data{Sets: data.Sets, Labels: labels}
		for _, drop := range []float64{.02, .2} {
			c, err := ForDrop(context.Background(), m, drop, o)
			if err != nil {
				t.Fatal(err)
			}
			pruned := apply(t, m, prune.Options{Scope: c.Sparsity})
			if err := c.Measure(context.Background(), m, pruned, o); err != nil {
				t.Fatal(err)
			}
			if labels != nil {
				if got := accuracy(t, pruned, n); dense-got > drop || *c.Expected.Accuracy != got || *c.Measured.Accuracy != got || *c.Dense.Accuracy != dense {
					t.Errorf("drop %v: accuracy %v of %v, %+v", drop, got, dense, c)
				}
			} else if c.Measured.Error > drop || math.Abs(c.Measured.Error-c.Expected.Error) > 1e-12 {
				t.Errorf("error %v: %+v", drop, c)
			}
			if !(c.Measured.MS > 0 && c.Dense.MS > 0 && c.Expected.MS > 0) || c.MaxDrop != drop {
				t.Errorf("drop %v: %+v", drop, c)
			}
			var page bytes.Buffer
			if err := c.Page().Write(&page); err != nil || !strings.Contains(page.String(), "<td>conv2</td>") {
				t.Errorf("page: %v", err)
			}
		}
	}
	o.Data = nil
	if _, err := ForDrop(context.Background(), m, .01, o); err == nil || !strings.Contains(err.Error(), "data") {
		t.Errorf("no data: %v", err)
	}
	if _, err := ForDrop(context.Background(), m, 1, o); err == nil || !strings.Contains(err.Error(), "fraction") {
		t.Errorf("all: %v", err)
	}
}
