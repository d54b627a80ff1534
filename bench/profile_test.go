package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/bench/kernels"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime"
)

// testLimits are those of no CPU: 100 GF/s, of which products without blocks
// have operands for 50.
var testLimits = kernels.Limits{Peak: 100, Levels: []kernels.Level{
	{Name: "L1", Bytes: 32 << 10, Read: 100}, {Name: "DRAM", Read: 10},
}}

func profileOf(t *testing.T, name string, mode runtime.Mode, threads int) *Profile {
	t.Helper()
	o := Options{Name: name, Mode: mode, Threads: threads, Runs: 3, Warmup: 1}
	p, err := ProfilePlan(context.Background(), load(t, name), testLimits, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProfilePlan(t *testing.T) {
	cases := []struct {
		name    string
		mode    runtime.Mode
		threads int
		kinds   string // that must be among the steps
	}{
		{"lenet5@0.9", runtime.Auto, 1, "relayout spmm pool spmv"},
		{"lenet5@0.9", runtime.Dense, 1, "relayout gemm pool spmv"},
		{"lenet5@0.9", runtime.Sparse, 2, "relayout spmm pool spmv"},
		{"mobilenet_v1@0.9", runtime.Auto, 1, "relayout gemm spmm spmv depthwise halo pool"},
	}
	for _, c := range cases {
		p := profileOf(t, c.name, c.mode, c.threads)
		if p.Model != c.name || p.Mode != c.mode.String() || p.Threads != c.threads || p.Run.Runs != 3 || !(p.ClockUS > 0) {
			t.Errorf("%s: %+v", c.name, p)
		}
		sum := 0.0
		var kinds []string
		for _, s := range p.Steps {
			kinds = append(kinds, s.Kind)
			sum += s.US
			if !(s.US > 0 && s.Moved > 0 && s.Bound.US > 0 && s.BoundShare > 0) || s.Bound.Name == "" {
				t.Errorf("%s: step %+v", c.name, s)
			}
			if s.M > 0 && (s.Weight == 0 || s.Kernel == "" || s.GFlops == 0 || !(s.ideal > 0)) {
				t.Errorf("%s: product %+v", c.name, s)
			}
			if s.Kind == kindOther {
				t.Errorf("%s: nobody knows what %s is", c.name, s.Op)
			}
			if c.mode == runtime.Dense && s.M > 0 && s.Format != "dense" {
				t.Errorf("%s runs as %s in mode dense", s.Name, s.Format)
			}
		}
		for _, kind := range strings.Fields(c.kinds) {
			if !slices.Contains(kinds, kind) {
				t.Errorf("%s: no step of kind %s among %v", c.name, kind, kinds)
			}
		}
		byKind := 0.0
		steps := 0
		for _, k := range p.Kinds {
			byKind += k.US
			steps += k.Steps
		}
		if steps != len(p.Steps) || math.Abs(byKind-sum) > 1e-6*sum {
			t.Errorf("%s: %d steps of %v us, by kind %d of %v us", c.name, len(p.Steps), sum, steps, byKind)
		}
		if c := p.Costliest(3); len(c) != 3 || c[0].US < c[1].US || c[1].US < c[2].US {
			t.Errorf("the costliest are %+v", c)
		}
		checkWhole(t, p.Waterfall, p.Run.P50*1e3)
	}
}

// What steps have to do follows from the shapes.
func TestProfileWork(t *testing.T) {
	p := profileOf(t, "lenet5@0.9", runtime.Dense, 1)
	for _, s := range p.Steps {
		if s.Name != "fc1" {
			continue
		}
		// 500 outputs of 800 inputs, a tenth of the weights.
		if s.Weight < 4*500*800 || s.Moved != 4*(500+800) {
			t.Errorf("fc1 moves %d bytes and a weight of %d", s.Moved, s.Weight)
		}
		// A weight and a quarter of an activation: 100 GB/s are 40 GF/s.
		if want := 2 * 500 * 800 * 0.1 / 40 / 1e3; math.Abs(s.ideal-want) > 0.01*want {
			t.Errorf("fc1 takes %v us ideally, want %v", s.ideal, want)
		}
		if want := 2 * 500 * 800 * 0.9 / 40 / 1e3; math.Abs(s.zeros-want) > 0.01*want {
			t.Errorf("the zeros of fc1 take %v us, want %v", s.zeros, want)
		}
		if s.Kind != kernels.SpMV || s.Bound.Name != "DRAM" || s.padding != 0 {
			t.Errorf("fc1 is %+v", s)
		}
		return
	}
	t.Error("no step fc1")
}

// What only a run tells the shapes of is in the whole run and no step.
func TestProfileLater(t *testing.T) {
	m := &graph.Model{
		Name:    "nonzero",
		Inputs:  []*graph.Value{{Name: "x", DType: graph.Float32, Shape: graph.Dims(4, 64)}},
		Outputs: []*graph.Value{{Name: "z", DType: graph.Int64}},
		Nodes: []*graph.Node{
			{Name: "relu", Op: "Relu", Inputs: []string{"x"}, Outputs: []string{"y"}},
			{Name: "nonzero", Op: "NonZero", Inputs: []string{"y"}, Outputs: []string{"z"}},
		},
		Opset: map[string]int{"": 17}, IR: 8,
	}
	p, err := ProfilePlan(context.Background(), m, testLimits, Options{Threads: 1, Runs: 2})
	if err != nil {
		t.Fatal(err)
	}
	if p.Model != "nonzero" || p.Later != 1 || len(p.Steps) != 1 || p.Steps[0].Name != "relu" {
		t.Errorf("got %+v", p)
	}
	if last := p.Waterfall[len(p.Waterfall)-1]; last.Name != partLater {
		t.Errorf("the waterfall ends with %+v", last)
	}
	checkWhole(t, p.Waterfall, p.Run.P50*1e3)
}

func TestProfileFields(t *testing.T) {
	raw, err := json.Marshal(Profile{Steps: []ProfileStep{{}}, Kinds: []KindTotal{{}}, Waterfall: []Part{{}}})
	if err != nil {
		t.Fatal(err)
	}
	checkFields(t, raw, map[string]string{
		"":          "model isa threads mode batch sparsity limits run clock_us steps kinds waterfall",
		"limits":    "isa peak_gflops levels",
		"run":       "p50_ms p90_ms p99_ms min_ms mean_ms runs",
		"steps":     "name op kind kernel format m k n sparsity us share moved_bytes weight_bytes gflops bound bound_share traffic_us",
		"kinds":     "kind steps us share bytes",
		"waterfall": "name us share",
	})
}

// checkFields holds the names of the fields of an object and of the objects in
// it, or of the first element of lists.
func checkFields(t *testing.T, raw []byte, want map[string]string) {
	t.Helper()
	var top map[string]json.RawMessage
	if err := json.Unmarshal(raw, &top); err != nil {
		t.Fatal(err)
	}
	for name, names := range want {
		o := top
		if name != "" {
			o = nil
			text := bytes.TrimSuffix(bytes.TrimPrefix(top[name], []byte("[")), []byte("]"))
			if err := json.Unmarshal(text, &o); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for n := range o {
			got = append(got, n)
		}
		expected := strings.Fields(names)
		slices.Sort(got)
		slices.Sort(expected)
		if !slices.Equal(got, expected) {
			t.Errorf("%q has fields %v, want %v", name, got, expected)
		}
	}
}

func TestWriteTrace(t *testing.T) {
	p := &Profile{Model: "m", Mode: "auto", ISA: "generic", Threads: 1, Steps: []ProfileStep{
		{Name: "a", Op: "Conv", Kind: "spmm", Kernel: "k", M: 2, K: 3, N: 4, US: 1.5},
		{Name: "b", Op: "Halo", Kind: "halo", US: 0},
		{Name: "c", Op: "Add", Kind: "elementwise", US: 2},
	}}
	var b bytes.Buffer
	if err := p.WriteTrace(&b); err != nil {
		t.Fatal(err)
	}
	var trace struct {
		TraceEvents []struct {
			Name, Cat, Ph string
			TS            float64
			Dur           *float64
			PID, TID      int
			Args          map[string]any
		}
	}
	if err := json.Unmarshal(b.Bytes(), &trace); err != nil {
		t.Fatal(err)
	}
	at, names := 0.0, ""
	for _, e := range trace.TraceEvents {
		if e.Ph == "M" {
			continue
		}
		if e.Ph != "X" || e.TS != at || e.Dur == nil || e.PID == 0 || e.Cat == "" {
			t.Errorf("event %+v, expected it at %v", e, at)
			continue
		}
		at += *e.Dur
		names += e.Name
	}
	if at != 3.5 || names != "abc" || trace.TraceEvents[2].Args["kernel"] != "k" {
		t.Errorf("the trace ends at %v with steps %q: %s", at, names, &b)
	}
}

// checkWhole checks that the parts of a waterfall add up.
func checkWhole(t *testing.T, parts []Part, whole float64) {
	t.Helper()
	us, share := 0.0, 0.0
	for _, p := range parts {
		us += p.US
		share += p.Share
	}
	if math.Abs(us-whole) > 1e-9*whole || math.Abs(share-1) > 1e-9 {
		t.Errorf("the parts of %v us add up to %v us, %v of it: %+v", whole, us, share, parts)
	}
}

func TestWaterfall(t *testing.T) {
	product := func(us, ideal, padding, zeros, traffic float64) ProfileStep {
		return ProfileStep{Kind: "spmm", US: us, ideal: ideal, padding: padding, zeros: zeros, TrafficUS: traffic}
	}
	cases := []struct {
		name  string
		whole float64
		gaps  float64
		later bool
		steps []ProfileStep
		want  map[string]float64
	}{
		{"computes", 100, 4, false, []ProfileStep{product(90, 50, 10, 5, 20)},
			map[string]float64{"ideal": 50, "padding": 10, "stored_zeros": 5, "kernels": 25, "dispatch": 4, "scatter": 6}},
		{"waits for bytes", 90, 0, false, []ProfileStep{product(90, 10, 0, 0, 40)},
			map[string]float64{"ideal": 10, "traffic": 30, "kernels": 50}},
		{"faster than its bound", 100, 0, false, []ProfileStep{product(90, 100, 0, 0, 20)},
			map[string]float64{"ideal": 100, "kernels": -10, "scatter": 10}},
		{"all kinds", 100, 0, true, []ProfileStep{
			product(20, 10, 0, 0, 0),
			{Kind: "depthwise", US: 10, ideal: 4, padding: 3, TrafficUS: 9},
			{Kind: "attention", US: 8, ideal: 3},
			{Kind: "halo", US: 1}, {Kind: "halo", US: 2}, {Kind: "relayout", US: 4}, {Kind: "pool", US: 5},
			{Kind: "elementwise", US: 6}, {Kind: "norm", US: 7}, {Kind: "softmax", US: 8}, {Kind: "other", US: 9},
		}, map[string]float64{"ideal": 17, "kernels": 10, "depthwise": 6, "attention": 5, "halo": 3, "relayout": 4, "pool": 5,
			"elementwise": 6, "norm": 7, "softmax": 8, "other": 9, "later": 20}},
		{"no steps", 5, 0, false, nil, map[string]float64{"scatter": 5}},
	}
	for _, c := range cases {
		parts := waterfall(c.whole, c.steps, c.gaps, c.later)
		checkWhole(t, parts, c.whole)
		if len(parts) != len(c.want) {
			t.Errorf("%s: %+v, want %v", c.name, parts, c.want)
		}
		for _, p := range parts {
			if math.Abs(p.US-c.want[p.Name]) > 1e-9 {
				t.Errorf("%s: %s takes %v us, want %v", c.name, p.Name, p.US, c.want[p.Name])
			}
		}
	}
}
