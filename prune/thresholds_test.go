package prune

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime"
)

// perceptron is x [n, 40] through a Gemm, a Relu and a MatMul.
func perceptron() *graph.Model {
	rng := rand.New(rand.NewPCG(1, 1))
	weight := func(shape ...int) *graph.Tensor {
		v := make([]float32, shape[0]*shape[1])
		for i := range v {
			v[i] = float32(rng.NormFloat64())
		}
		return graph.FromFloats(shape, v)
	}
	gemm := &graph.Node{Name: "first", Op: "Gemm", Inputs: []string{"x", "w1"}, Outputs: []string{"h"}}
	gemm.Set("transB", 1)
	return &graph.Model{
		Inputs:  []*graph.Value{{Name: "x", DType: graph.Float32, Shape: []graph.Dim{{Symbol: "n", Size: -1}, {Size: 40}}}},
		Outputs: []*graph.Value{{Name: "y", DType: graph.Float32}},
		Nodes: []*graph.Node{
			gemm,
			{Name: "relu", Op: "Relu", Inputs: []string{"h"}, Outputs: []string{"r"}},
			{Name: "second", Op: "MatMul", Inputs: []string{"r", "w2"}, Outputs: []string{"y"}},
		},
		Weights: map[string]*graph.Tensor{"w1": weight(100, 40), "w2": weight(100, 30)},
		Opset:   map[string]int{"": 17}, IR: 8,
		Meta: map[string]string{"kept": "as it is"},
	}
}

// TestSparsifyActivations compares thresholds with what sorting all inputs of a
// layer gives.
func TestSparsifyActivations(t *testing.T) {
	m := perceptron()
	data, err := RandomData(m, map[string]int{"n": 50}, 4, 1)
	if err != nil {
		t.Fatal(err)
	}
	inputs := map[string][]float64{} // of x and r, sorted
	p := newProbe(m, []string{"x", "r"}, runtime.Config{})
	defer p.close()
	for set, err := range data {
		if err != nil {
			t.Fatal(err)
		}
		err := p.run(context.Background(), set, func(value valueFunc) error {
			for _, name := range []string{"x", "r"} {
				v, err := value(name)
				if err != nil {
					return err
				}
				for _, x := range v.F {
					inputs[name] = append(inputs[name], math.Abs(float64(x)))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range inputs {
		slices.Sort(v)
	}
	for _, target := range []float64{0, 0.25, 0.4, 0.5, 0.7, 0.9, 1} {
		out, r, err := SparsifyActivations(context.Background(), m, ActivationOptions{Sparsity: target, Data: data})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Layers) != 2 || r.Sets != 4 || r.Target != target {
			t.Fatalf("report %+v", r)
		}
		list, err := out.ActivationThresholds()
		if err != nil || len(list) != 2 || out.Meta["kept"] == "" || len(m.Meta) != 1 {
			t.Fatalf("metadata %v, %v; that of the model itself %v", out.Meta, err, m.Meta)
		}
		for i, l := range r.Layers {
			name := []string{"x", "r"}[i]
			sorted := inputs[name]
			upTo := float64(len(sorted)) // inputs that are taken for zero
			for i, v := range sorted {
				if v > float64(l.Threshold) {
					upTo = float64(i)
					break
				}
			}
			got := upTo / float64(len(sorted))
			want := target
			if name == "r" { // half of it are zeros
				want = max(want, float64(countZeros(sorted))/float64(len(sorted)))
			}
			if l.Input != name || l.Count != len(sorted) || got != l.Sparsity || math.Abs(got-want) > 0.005 {
				t.Errorf("target %v: %+v: %v of the inputs are up to the threshold", target, l, got)
			}
			if target == 0 && l.Threshold != 0 {
				t.Errorf("a threshold of %v where zeros alone are asked for", l.Threshold)
			}
			layer := list[[]string{"h", "y"}[i]]
			if layer.Limit != l.Threshold || layer.Density != 1-l.Sparsity {
				t.Errorf("the model has %+v of %s, the report %+v", layer, l.Node, l)
			}
		}
	}
}

func countZeros(v []float64) (n int) {
	for _, x := range v {
		if x == 0 {
			n++
		}
	}
	return n
}

// TestSparsifiedAgain checks that thresholds replace those that there are, and do
// not count while the model is calibrated.
func TestSparsifiedAgain(t *testing.T) {
	m := perceptron()
	data, err := RandomData(m, nil, 8, 1)
	if err != nil {
		t.Fatal(err)
	}
	options := ActivationOptions{Sparsity: 0.5, Data: data}
	first, want, err := SparsifyActivations(context.Background(), m, options)
	if err != nil {
		t.Fatal(err)
	}
	_, got, err := SparsifyActivations(context.Background(), first, options)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, then %v; %v", want, got, err)
	}
	options.Exclude = []string{"first"}
	second, got, err := SparsifyActivations(context.Background(), first, options)
	if err != nil || len(got.Layers) != 1 || got.Layers[0].Node != "second" {
		t.Fatalf("%+v, %v", got, err)
	}
	if list, err := second.ActivationThresholds(); err != nil || len(list) != 1 {
		t.Errorf("thresholds %v, %v", list, err)
	}
}

// TestHistogram looks at values that fall between buckets, at atoms, and at
// what is no number.
func TestHistogram(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		x        []float32
		sparsity float64
		got      float64
		lo, hi   float32 // where the threshold may lie
	}{
		{[]float32{1, -2, 3, -4}, 0.5, 0.5, 2, 3},
		{[]float32{1, -2, 3, -4}, 0, 0, 0, 0},
		{[]float32{1, -2, 3, -4}, 1, 1, 4, 4.1},
		{[]float32{0, 0, 0, 4}, 0.5, 0.75, 0, 0},
		{[]float32{-0.4, -0.4, -0.4, -0.4, 1, 2}, 0.3, 0, 0, 0.39}, // none is closer than two thirds
		{[]float32{-0.4, -0.4, -0.4, -0.4, 1, 2}, 0.5, 4. / 6, 0.4, 0.41},
		{[]float32{nan, nan, 1, 2}, 1, 0.5, 2, 2.1},
		{[]float32{inf, -inf, 1, 2}, 1, 0.5, 2, 2.1},
		{[]float32{math.SmallestNonzeroFloat32, 1}, 0.5, 0.5, math.SmallestNonzeroFloat32, 0.1},
		{[]float32{math.SmallestNonzeroFloat32, 1}, 0, 0, 0, 0},
		{[]float32{math.MaxFloat32}, 1, 0, 0, math.MaxFloat32}, // its bucket ends at Inf
		{nil, 0.5, 0, 0, 0},
	} {
		s := newMagnitudes()
		s.add(c.x)
		limit, got := s.limit(c.sparsity)
		if math.Abs(got-c.got) > 1e-12 || limit < c.lo || limit > c.hi {
			t.Errorf("%v of %v: %v up to %v, want %v up to %v to %v", c.sparsity, c.x, got, limit, c.got, c.lo, c.hi)
		}
	}
}

func TestSparsifyErrors(t *testing.T) {
	m := perceptron()
	data, err := RandomData(m, nil, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	broken := Data(func(yield func(map[string]*graph.Tensor, error) bool) { yield(nil, errors.New("unreadable")) })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		ctx     context.Context
		options ActivationOptions
		want    string
	}{
		{context.Background(), ActivationOptions{Sparsity: -0.1, Data: data}, "between 0 and 1"},
		{context.Background(), ActivationOptions{Sparsity: 50, Data: data}, "between 0 and 1"},
		{context.Background(), ActivationOptions{Sparsity: math.NaN(), Data: data}, "between 0 and 1"},
		{context.Background(), ActivationOptions{Data: Sets()}, "no data"},
		{context.Background(), ActivationOptions{Data: broken}, "unreadable"},
		{context.Background(), ActivationOptions{Data: Sets(map[string]*graph.Tensor{})}, `"x"`},
		{context.Background(), ActivationOptions{Data: data, Include: []string{"third"}}, "third"},
		{context.Background(), ActivationOptions{Data: data, Exclude: []string{"*"}}, "exclude"},
		{ctx, ActivationOptions{Data: data}, "canceled"},
	} {
		if _, _, err := SparsifyActivations(c.ctx, m, c.options); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want one with %q", c.options, err, c.want)
		}
	}
}
