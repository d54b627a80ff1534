package verify

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime"
)

// writeCase makes a case of y = op(x) with a data set in which the tensor
// files have the names given.
func writeCase(t *testing.T, op string, in, out []float32, inName, outName string) Case {
	t.Helper()
	dir := t.TempDir()
	shape := []int{len(in)}
	m := &graph.Model{
		Inputs:  []*graph.Value{{Name: "x", DType: graph.Float32, Shape: []graph.Dim{{Symbol: "n"}}}},
		Outputs: []*graph.Value{{Name: "y", DType: graph.Float32, Shape: []graph.Dim{{Symbol: "n"}}}},
		Nodes:   []*graph.Node{{Op: op, Inputs: []string{"x"}, Outputs: []string{"y"}}},
		Opset:   map[string]int{"": 17},
		IR:      8,
	}
	set := filepath.Join(dir, "test_data_set_0")
	for _, err := range []error{
		os.Mkdir(set, 0o777),
		loader.Save(filepath.Join(dir, modelFile), m, loader.SaveOptions{}),
		loader.WriteTensor(filepath.Join(set, "input_0.pb"), inName, graph.FromFloats(shape, in)),
		loader.WriteTensor(filepath.Join(set, "output_0.pb"), outName, graph.FromFloats([]int{len(out)}, out)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return Case{Name: "case", Dir: dir, Tolerance: Tolerance{RTol: 1e-3, ATol: 1e-5}}
}

func TestOutcomes(t *testing.T) {
	x := []float32{-1, 2, 3}
	tests := []struct {
		name            string
		op              string
		out             []float32
		inName, outName string
		outcome         Outcome
		reason          string
	}{
		{"equal", "Relu", []float32{0, 2, 3}, "x", "y", Passed, ""},
		{"by position", "Relu", []float32{0, 2, 3}, "", "other", Passed, ""},
		{"different", "Relu", []float32{0, 2, 4}, "x", "y", Failed, "at [2]: got 3, want 4"},
		{"another shape", "Relu", []float32{0, 2}, "x", "y", Failed, "shape"},
		{"unknown op", "FrobnicateTensor", []float32{0, 2, 3}, "x", "y", Skipped, "FrobnicateTensor"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := writeCase(t, test.op, x, test.out, test.inName, test.outName)
			r, err := c.Run(t.Context(), runtime.Config{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Outcome != test.outcome || !strings.Contains(r.Reason, test.reason) {
				t.Errorf("got %+v, want %s: %s", r, test.outcome, test.reason)
			}
			if test.outcome == Passed && r.Sets != 1 {
				t.Errorf("%d data sets were compared, want 1", r.Sets)
			}
		})
	}
}

// A dispute excuses other numbers, and nothing else.
func TestDisputed(t *testing.T) {
	for _, test := range []struct {
		out     []float32
		outcome Outcome
	}{
		{[]float32{0, 2}, Passed},
		{[]float32{0, 3}, Disputed},
		{[]float32{0, 2, 3}, Failed},
	} {
		c := writeCase(t, "Relu", []float32{-1, 2}, test.out, "x", "y")
		c.Disputed = true
		if r, err := c.Run(t.Context(), runtime.Config{}); err != nil || r.Outcome != test.outcome {
			t.Errorf("%v: got %+v, %v, want %s", test.out, r, err, test.outcome)
		}
	}
}

// The shape that Reshape makes is an input of the model.
func TestInputsThatDecideShapes(t *testing.T) {
	c := writeCase(t, "Relu", []float32{1, 2, 3, 4}, []float32{1, 2, 3, 4}, "x", "y")
	m := &graph.Model{
		Inputs: []*graph.Value{
			{Name: "x", DType: graph.Float32, Shape: graph.Dims(4)},
			{Name: "shape", DType: graph.Int64, Shape: graph.Dims(2)},
		},
		Outputs: []*graph.Value{{Name: "y", DType: graph.Float32, Shape: []graph.Dim{{Size: -1}, {Size: -1}}}},
		Nodes:   []*graph.Node{{Op: "Reshape", Inputs: []string{"x", "shape"}, Outputs: []string{"y"}}},
		Opset:   map[string]int{"": 17},
		IR:      8,
	}
	set := filepath.Join(c.Dir, "test_data_set_0")
	for _, err := range []error{
		loader.Save(filepath.Join(c.Dir, modelFile), m, loader.SaveOptions{}),
		loader.WriteTensor(filepath.Join(set, "input_1.pb"), "shape", graph.FromInts(graph.Int64, []int{2}, []int64{2, 2})),
		loader.WriteTensor(filepath.Join(set, "output_0.pb"), "y", graph.FromFloats([]int{2, 2}, []float32{1, 2, 3, 4})),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if r, err := c.Run(t.Context(), runtime.Config{}); err != nil || r.Outcome != Passed {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestDamagedCases(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"no model":    func(dir string) error { return os.Remove(filepath.Join(dir, modelFile)) },
		"no data set": func(dir string) error { return os.RemoveAll(filepath.Join(dir, "test_data_set_0")) },
		"no output":   func(dir string) error { return os.Remove(filepath.Join(dir, "test_data_set_0", "output_0.pb")) },
		"no input":    func(dir string) error { return os.Remove(filepath.Join(dir, "test_data_set_0", "input_0.pb")) },
	} {
		c := writeCase(t, "Relu", []float32{1}, []float32{1}, "x", "y")
		if err := damage(c.Dir); err != nil {
			t.Fatal(err)
		}
		if r, err := c.Run(t.Context(), runtime.Config{}); err != nil || r.Outcome != Failed || r.Reason == "" {
			t.Errorf("%s: got %+v, %v, want a failure", name, r, err)
		}
	}
}

func TestCanceled(t *testing.T) {
	c := writeCase(t, "Relu", []float32{1}, []float32{1}, "x", "y")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := c.Run(ctx, runtime.Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %+v, %v, want the error of the context", r, err)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b/case", "a/deep/case", "a/case/test_data_set_0"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"b/case", "a/deep/case", "a/case", "a/case/test_data_set_0"} {
		if err := os.WriteFile(filepath.Join(dir, name, modelFile), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	cases, err := Find([]string{dir}, Tolerance{RTol: 1})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range cases {
		rel, err := filepath.Rel(dir, c.Dir)
		if err != nil || c.Tolerance.RTol != 1 {
			t.Fatal(c, err)
		}
		got = append(got, filepath.ToSlash(rel))
	}
	if want := "a/case a/deep/case b/case"; strings.Join(got, " ") != want {
		t.Errorf("found %v, want %s", got, want)
	}
	for _, none := range []string{filepath.Join(dir, "b", "none"), t.TempDir()} {
		if _, err := Find([]string{none}, Tolerance{}); err == nil {
			t.Errorf("%s holds no case, but gave no error", none)
		}
	}
}

func TestManifest(t *testing.T) {
	for _, test := range []struct {
		text  string
		valid bool
	}{
		{`[{"test": "node/test_abs", "rtol": 0.001, "atol": 1e-05, "int_lsb": 1, "ort130": "mismatch", "ops": ["Abs"]}]`, true},
		{`[{"test": "../elsewhere"}]`, false},
		{`[{"test": "node`, false},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(test.text), 0o666); err != nil {
			t.Fatal(err)
		}
		cases, err := Manifest(dir)
		if (err == nil) != test.valid {
			t.Errorf("%s: got error %v", test.text, err)
			continue
		}
		if test.valid && (len(cases) != 1 || cases[0].Tolerance != Tolerance{1e-3, 1e-5, 1} || !cases[0].Disputed || cases[0].Dir != filepath.Join(dir, "node", "test_abs")) {
			t.Errorf("%s: got %+v", test.text, cases)
		}
	}
}

// TestReferenceModels runs all networks that exporters wrote, fused and not, and
// from the files that the loader itself writes.
func TestReferenceModels(t *testing.T) {
	var cases []Case
	for _, folder := range []struct {
		name string
		atol float64
	}{{"models", 1e-4}, {"mlperf_tiny", 1e-4}, {"exported", 1e-5}, {"trained", 1e-5}} {
		found, err := Find([]string{testdata.Path(t, folder.name)}, Tolerance{RTol: 1e-3, ATol: folder.atol, LSB: 1})
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, found...)
	}
	unfused, err := runtime.ParsePasses("none")
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range []struct {
		name      string
		config    runtime.Config
		roundTrip bool
	}{
		{"auto", runtime.Config{}, false},
		{"dense", runtime.Config{Mode: runtime.Dense}, false},
		{"sparse", runtime.Config{Mode: runtime.Sparse}, false},
		{"no passes", runtime.Config{SkipPasses: unfused}, false},
		{"round trip", runtime.Config{}, true},
	} {
		for _, c := range cases {
			c.RoundTrip = run.roundTrip
			t.Run(run.name+"/"+filepath.Base(c.Dir), func(t *testing.T) {
				r, err := c.Run(t.Context(), run.config)
				if err != nil || r.Outcome != Passed {
					t.Errorf("%s: %s %s %v", c.Dir, r.Outcome, r.Reason, err)
				}
			})
		}
	}
}

// TestWithoutOnePass leaves out one pass after the other.
func TestWithoutOnePass(t *testing.T) {
	cases, err := Find([]string{testdata.Path(t, "exported")}, Tolerance{RTol: 1e-3, ATol: 1e-5})
	if err != nil {
		t.Fatal(err)
	}
	llama, err := Find([]string{testdata.Path(t, "models", "llama_arch_260K")}, Tolerance{RTol: 1e-3, ATol: 1e-4})
	if err != nil {
		t.Fatal(err)
	}
	names, err := runtime.ParsePasses("none")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		for _, c := range append(cases, llama...) {
			r, err := c.Run(t.Context(), runtime.Config{SkipPasses: []string{name}})
			if err != nil || r.Outcome != Passed {
				t.Errorf("without %s: %s: %s %s %v", name, c.Dir, r.Outcome, r.Reason, err)
			}
		}
	}
}

// TestConformance runs the conformance tests as they are, without passes, and
// from the files that the loader writes of them.
func TestConformance(t *testing.T) {
	cases, err := Manifest(testdata.Path(t, "conformance"))
	if err != nil {
		t.Fatal(err)
	}
	unfused, err := runtime.ParsePasses("none")
	if err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]struct {
		config    runtime.Config
		roundTrip bool
	}{
		"as they are": {},
		"no passes":   {config: runtime.Config{SkipPasses: unfused}},
		"round trip":  {roundTrip: true},
	} {
		t.Run(name, func(t *testing.T) {
			count := make(map[Outcome]int)
			for _, c := range cases {
				c.RoundTrip = run.roundTrip
				r, err := c.Run(t.Context(), run.config)
				if err != nil {
					t.Fatal(err)
				}
				if count[r.Outcome]++; r.Outcome == Failed {
					t.Errorf("%s: %s", r.Case, r.Reason)
				}
			}
			if t.Logf("%v", count); count[Passed] < leastConformance {
				t.Errorf("%d cases passed, expected at least %d", count[Passed], leastConformance)
			}
		})
	}
}

// leastConformance is how many conformance tests pass.
const leastConformance = 941
