package prune_test

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
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

// modelFiles lists the models of the reference files up to a size, by the
// folders that they are in.
func modelFiles(t *testing.T, folders ...string) map[string]string {
	t.Helper()
	dir := testdata.Dir(t)
	files := make(map[string]string)
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(dir, folder), func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "model.onnx" {
				return err
			}
			info, err := d.Info()
			name, _ := filepath.Rel(dir, filepath.Dir(file))
			if err == nil && info.Size() <= largestFile {
				files[filepath.ToSlash(name)] = file
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(files) == 0 {
		t.Fatal("no models")
	}
	return files
}

// TestGroupsOfEveryFile ties all models there are, those of single operators
// too: they have groups, or an error says why not.
func TestGroupsOfEveryFile(t *testing.T) {
	refused := 0
	files := modelFiles(t, "conformance")
	for name, file := range files {
		m, err := loader.Load(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := prune.Groups(m, prune.Shapes{}); err != nil {
			t.Logf("%s: %v", name, err)
			refused++
		}
	}
	if refused > len(files)/20 {
		t.Errorf("%d of %d models have no groups", refused, len(files))
	}
}

// TestShrinkFiles prunes channels of all networks of the reference files and
// compares what is left with the masked model: by magnitude, at random, and with
// only the rows of weights set to zero, so that channels hold constants.
func TestShrinkFiles(t *testing.T) {
	for name, file := range modelFiles(t, "exported", "trained", "models", "mlperf_tiny") {
		t.Run(name, func(t *testing.T) {
			m, err := loader.Load(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			groups, err := prune.Groups(m, prune.Shapes{})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(groups, func(g prune.Group) bool { return g.Reason == "" }) {
				if !strings.Contains(name, "int8") && !slices.Contains(staying, name) {
					t.Errorf("no channel may go: %+v", groups)
				}
				return
			}
			inputs := readInputs(t, m, filepath.Join(filepath.Dir(file), "test_data_set_0"))
			for what, o := range map[string]prune.ChannelOptions{
				"local magnitude": {Sparsity: 0.5, Norm: prune.L2},
				"global random":   {Sparsity: 0.3, Scope: prune.Global{}, Score: seeded(1), RoundTo: 4},
			} {
				masked, mr, err := prune.MaskChannels(t.Context(), m, o)
				if err != nil {
					t.Fatal(err)
				}
				small, r, err := prune.Shrink(masked, prune.ShrinkOptions{RoundTo: o.RoundTo})
				if err != nil {
					t.Fatal(err)
				}
				for i, g := range r.Groups {
					if g.After > mr.Groups[i].After {
						t.Errorf("%s: %d of %d channels of %s are left, expected %d", what, g.After, g.Before, g.Name, mr.Groups[i].After)
					}
				}
				compare(t, what, masked, small, r, inputs)
			}
			masked := maskRows(m, groups, 4)
			small, r, err := prune.Shrink(masked, prune.ShrinkOptions{})
			if err != nil {
				t.Fatal(err)
			}
			compare(t, "rows", masked, small, r, inputs)
		})
	}
}

// staying are networks of which no channel may go: what their layers make is
// normalised over, goes into recurrent layers, or is of integers.
var staying = []string{
	"exported/lstm_gru_tagger_tiny", "exported/tcn_tiny", "models/dtln_2", "models/mnist_quantized_connxr", "models/tract_byte_bidi_lstm",
}

func compare(t *testing.T, what string, masked, small *graph.Model, r prune.ShrinkReport, inputs map[string]*graph.Tensor) {
	t.Helper()
	d := difference(t, masked, run(t, small, inputs), run(t, masked, inputs))
	t.Logf("%s: %d of %d parameters are left, difference %.2g", what, r.ParametersAfter, r.ParametersBefore, d)
	if !(d <= 1e-4) {
		t.Errorf("%s: outputs differ by %g of the largest", what, d)
	}
	if what != "rows" && r.ParametersAfter >= r.ParametersBefore {
		t.Errorf("%s: %d parameters before, %d after", what, r.ParametersBefore, r.ParametersAfter)
	}
}

// maskRows sets to zero the rows of some channels' weights, but neither biases
// nor what reads the channels.
func maskRows(m *graph.Model, groups []prune.Group, seed uint64) *graph.Model {
	r := rand.New(rand.NewPCG(3, seed))
	out := m.Clone()
	for _, g := range groups {
		zero := make([]bool, g.Channels)
		for ch := range zero {
			zero[ch] = r.IntN(3) == 0
		}
		for _, p := range g.Parts {
			w := out.Weights[p.Value]
			if p.Role != prune.Out || p.Channel == nil || w == nil {
				continue
			}
			values := slices.Clone(w.Floats())
			inner := 1
			for _, d := range w.Shape[p.Axis+1:] {
				inner *= d
			}
			for i := range values {
				if ch := p.Channel[i/inner%w.Shape[p.Axis]]; ch >= 0 && zero[ch] {
					values[i] = 0
				}
			}
			out.Weights[p.Value] = graph.FromFloats(w.Shape, values)
		}
	}
	return out
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

type tensor = runtime.Tensor

// run computes the outputs of a model.
func run(t *testing.T, m *graph.Model, inputs map[string]*graph.Tensor) map[string]tensor {
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
	out := make(map[string]tensor)
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
func difference(t *testing.T, m *graph.Model, got, want map[string]tensor) float64 {
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
