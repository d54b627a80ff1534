package prune_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/bench/verify"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/prune"
	"github.com/nnz-dev/nnz/runtime"
)

// largestFile is how large a model is that every test run shrinks, in bytes.
const largestFile = 3 << 20

// TestShrinkFiles prunes channels of all models of the reference files, in turn
// by magnitude and at random, and compares what is left with the masked model.
func TestShrinkFiles(t *testing.T) {
	dir := testdata.Dir(t)
	files, err := filepath.Glob(filepath.Join(dir, "*", "*", "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	shrunk := 0
	for _, file := range files {
		sub := filepath.Dir(file)
		name, _ := filepath.Rel(dir, sub)
		if filepath.Dir(name) == "conformance" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if info, err := os.Stat(file); err != nil || info.Size() > largestFile {
				t.Skipf("larger than %d bytes", largestFile)
			}
			m, err := loader.Load(file)
			if err != nil {
				t.Fatal(err)
			}
			inputs := readInputs(t, m, filepath.Join(sub, "test_data_set_0"))
			groups, err := prune.Groups(m, prune.Shapes{})
			if err != nil {
				t.Fatal(err)
			}
			free := 0
			for _, g := range groups {
				if g.Reason == "" {
					free++
				}
			}
			t.Logf("%d of %d groups may go", free, len(groups))
			for _, g := range groups {
				t.Logf("    %s: %d x %d %s, %d parts", g.Name, g.Channels, g.Width, g.Reason, len(g.Parts))
			}
			if free == 0 {
				return
			}
			shrunk++
			for _, o := range []prune.ChannelOptions{
				{Sparsity: 0.5, Scope: prune.Local},
				{Sparsity: 0.3, Scope: prune.Global, Score: random, RoundTo: 4},
			} {
				masked, _, err := prune.Channels(m, o)
				if err != nil {
					t.Fatal(err)
				}
				small, r, err := prune.Shrink(masked, prune.ShrinkOptions{RoundTo: o.RoundTo})
				if err != nil {
					t.Fatal(err)
				}
				if r.ParametersAfter >= r.ParametersBefore {
					t.Errorf("%d parameters before, %d after", r.ParametersBefore, r.ParametersAfter)
				}
				want := run(t, masked, inputs)
				got := run(t, small, inputs)
				d := difference(t, m, got, want)
				t.Logf("%g: %d of %d parameters are left, difference %.2g", o.Sparsity, r.ParametersAfter, r.ParametersBefore, d)
				if d > 1e-4 {
					t.Errorf("outputs differ by %g of the largest", d)
				}
			}
		})
	}
	if shrunk == 0 {
		t.Error("no model had channels that may go")
	}
}

func random(_ *graph.Model, g prune.Group) ([]float64, error) {
	r := rand.New(rand.NewPCG(1, uint64(g.Channels)))
	s := make([]float64, g.Channels)
	for i := range s {
		s[i] = r.Float64()
	}
	return s, nil
}

// readInputs reads the inputs of a data set, by name or by number.
func readInputs(t *testing.T, m *graph.Model, dir string) map[string]*graph.Tensor {
	t.Helper()
	inputs := make(map[string]*graph.Tensor)
	for i, v := range m.Inputs {
		name, x, err := loader.ReadTensor(filepath.Join(dir, fmt.Sprintf("input_%d.pb", i)))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(m.Inputs, func(v *graph.Value) bool { return v.Name == name }) {
			name = v.Name
		}
		inputs[name] = x
	}
	return inputs
}

// run computes the outputs of a model.
func run(t *testing.T, m *graph.Model, inputs map[string]*graph.Tensor) map[string]runtime.Tensor {
	t.Helper()
	shapes := make(map[string][]int)
	for name, x := range inputs {
		shapes[name] = x.Shape
	}
	plan, err := runtime.Compile(context.Background(), m, runtime.Config{Threads: 1, Shapes: shapes})
	if err != nil {
		t.Fatal(err)
	}
	s := plan.NewSession()
	defer s.Close()
	for name, x := range inputs {
		in, err := s.Input(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := verify.Fill(in, x); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]runtime.Tensor)
	for _, v := range m.Outputs {
		x, err := s.Output(v.Name)
		if err != nil {
			t.Fatal(err)
		}
		x.F, x.I = slices.Clone(x.F), slices.Clone(x.I)
		out[v.Name] = x
	}
	return out
}

// difference returns the largest difference of outputs, as a fraction of the
// largest element of each.
func difference(t *testing.T, m *graph.Model, got, want map[string]runtime.Tensor) float64 {
	t.Helper()
	worst := 0.0
	for _, v := range m.Outputs {
		g, w := got[v.Name], want[v.Name]
		if !slices.Equal(g.Shape, w.Shape) || len(g.F) != len(w.F) {
			t.Fatalf("output %s has shape %v, expected %v", v.Name, g.Shape, w.Shape)
		}
		if !slices.Equal(g.I, w.I) {
			t.Errorf("output %s differs", v.Name)
		}
		largest, diff := 0.0, 0.0
		for i, x := range w.F {
			largest = max(largest, math.Abs(float64(x)))
			if d := math.Abs(float64(x) - float64(g.F[i])); d > diff || d != d {
				diff = d
			}
		}
		if diff > 0 {
			worst = max(worst, diff/largest)
		}
	}
	return worst
}
