package bench

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nnz-dev/nnz/runtime"
)

func TestBuiltinNetwork(t *testing.T) {
	n, err := BuiltinNetwork("lenet5", []string{"0", "0.9:4x1", "2:4"})
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		name     string
		mode     runtime.Mode
		sparsity float64 // of the hidden layers, the most of all weights
	}{{"dense", runtime.Dense, 0}, {"0", runtime.Auto, 0}, {"0.9:4x1", runtime.Auto, 0.9}, {"2:4", runtime.Auto, 0.5}}
	if len(n.Variants) != len(want) {
		t.Fatalf("%d variants, want %d", len(n.Variants), len(want))
	}
	for i, w := range want {
		v := n.Variants[i]
		m, err := v.Load()
		if err != nil {
			t.Fatal(err)
		}
		zeros, all := 0, 0
		for _, x := range m.Weights {
			if !x.DType.Float() {
				continue
			}
			for _, f := range x.Floats() {
				all++
				if f == 0 {
					zeros++
				}
			}
		}
		if got := float64(zeros) / float64(all); v.Name != w.name || v.Mode != w.mode || math.Abs(got-w.sparsity) > 0.05 {
			t.Errorf("variant %s, %v, of %.3f zeros, want %+v", v.Name, v.Mode, got, w)
		}
	}
	for _, bad := range [][2]string{{"lenet5", "1.5"}, {"lenet5", "0.9:4x"}, {"lenet5", "5:4"}, {"lenet5", ""}, {"lenet5@0.9", "0"}, {"alexnet", "0"}} {
		if _, err := BuiltinNetwork(bad[0], []string{bad[1]}); err == nil {
			t.Errorf("%v: no error", bad)
		}
	}
}

// A rival is an engine that takes a fixed time and gives fixed outputs.
type rival struct {
	turns  *[]string
	open   *int
	name   string
	output []float32
	fail   bool // it does not run
}

func (r rival) Engine() (name, version string) { return r.name, "1.0" }
func (r rival) Run(ctx context.Context) (time.Duration, error) {
	if r.fail {
		return 0, errors.New("out of memory")
	}
	*r.turns = append(*r.turns, r.name)
	return 5 * time.Millisecond, ctx.Err()
}
func (r rival) Close() error { *r.open--; return nil }
func (r rival) Write(_ context.Context, path string) error {
	var b []byte
	for _, x := range r.output {
		b = binary.NativeEndian.AppendUint32(b, math.Float32bits(x))
	}
	return os.WriteFile(path, b, 0o600)
}

// lenetOutputs runs the network on the inputs that a peer was given.
func lenetOutputs(t *testing.T, j PeerJob) []float32 {
	t.Helper()
	data, err := os.ReadFile(j.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(j.Model); err != nil {
		t.Error(err)
	}
	plan, err := runtime.Compile(context.Background(), load(t, "lenet5"), runtime.Config{Mode: runtime.Dense})
	if err != nil {
		t.Fatal(err)
	}
	s := plan.NewSession()
	defer s.Close()
	in, err := s.Input(plan.Inputs()[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range in.F {
		in.F[i] = math.Float32frombits(binary.NativeEndian.Uint32(data[4*i:]))
	}
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	out, err := s.Output(plan.Outputs()[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(out.F)
}

func TestCompareNetwork(t *testing.T) {
	n, err := BuiltinNetwork("lenet5", []string{"0.9", "2:4"})
	if err != nil {
		t.Fatal(err)
	}
	var turns []string
	open := 0
	start := func(name string, change float32, fail bool) NetworkPeer {
		return NetworkPeer{name, func(_ context.Context, j PeerJob) (Peer, error) {
			if name == "absent" {
				return nil, errors.New("not installed")
			}
			y := lenetOutputs(t, j)
			y[3] += change
			open++
			return rival{&turns, &open, fmt.Sprint(name), y, fail}, nil
		}}
	}
	o := NetworkOptions{Threads: []int{1, 2}, Runs: 4, Float64: true, Peers: []NetworkPeer{
		start("right", 0, false), start("wrong", 1, false), start("NaN", float32(math.NaN()), false), start("absent", 0, false),
	}}
	r, err := CompareNetwork(context.Background(), n, o)
	if err != nil {
		t.Fatal(err)
	}
	if open != 0 {
		t.Errorf("%d peers are left open", open)
	}
	if r.Reference != "float64" {
		t.Errorf("checked against %s", r.Reference)
	}
	var cells []string
	for _, c := range r.Cells {
		cells = append(cells, fmt.Sprint(c.Engine, " ", c.Variant, " ", c.Threads))
		if c.Runs != 4 || !(c.P50 > 0) || !c.Checked || !(c.Bound > 0) || c.MaxError > c.Bound {
			t.Errorf("%+v", c)
		}
		if c.Engine == "right" {
			if c.P50 != 5 || c.RatioPeer != 1 || c.MaxError > 1e-6 {
				t.Errorf("%+v", c)
			}
		} else if math.Abs(c.RatioPeer-5/c.P50) > 1e-9*c.RatioPeer || c.Variant == "0.9" && math.Abs(c.Sparsity-0.9) > 0.05 {
			t.Errorf("%+v", c)
		}
		if (c.Threads == 1 || c.Variant == denseVariant && c.Engine == "right") && c.Scaling != 1 {
			t.Errorf("%+v", c)
		}
	}
	want := []string{"nnz dense 1", "nnz 0.9 1", "nnz 2:4 1", "right dense 1", "nnz dense 2", "nnz 0.9 2", "nnz 2:4 2", "right dense 2"}
	if !slices.Equal(cells, want) {
		t.Errorf("cells %v, want %v", cells, want)
	}
	if slices.Contains(turns, "wrong") || slices.Contains(turns, "NaN") {
		t.Error("an engine with wrong outputs was timed")
	}
	if r.Missing["absent"] != "not installed" || len(r.Missing) != 1 {
		t.Errorf("missing %v", r.Missing)
	}
	if len(r.Wrong) != 4 || !strings.Contains(r.Wrong["wrong, threads 2"], "bound") || !strings.Contains(r.Wrong["NaN, threads 1"], "NaN") {
		t.Errorf("wrong %v", r.Wrong)
	}

	o.Peers = []NetworkPeer{start("right", 0, false), start("fails", 0, true)}
	if _, err := CompareNetwork(context.Background(), n, o); err == nil || !strings.Contains(err.Error(), "out of memory") {
		t.Errorf("a run that fails: error %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	o.Peers = o.Peers[:1]
	o.Progress = func(done float64) {
		if done > 0 {
			cancel()
		}
	}
	if _, err := CompareNetwork(ctx, n, o); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: error %v", err)
	}
	if open != 0 {
		t.Errorf("%d peers are left open after errors", open)
	}
}

func TestCheck(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		name       string
		want, got  []float64
		integer    bool
		max, bound float64
		err        string
	}{
		{"equal", []float64{1, -2}, []float64{1, -2}, false, 0, 2e-4, ""},
		{"within", []float64{1, -2}, []float64{1.0001, -2}, false, 1e-4, 2e-4, ""},
		{"beyond", []float64{1, -2}, []float64{1.0003, -2}, false, 0, 0, "bound"},
		{"same NaN and infinity", []float64{nan, inf, 1}, []float64{nan, inf, 1}, false, 0, 1e-4, ""},
		{"a NaN", []float64{1}, []float64{nan}, false, 0, 0, "element 0 is NaN"},
		{"no infinity", []float64{1, inf}, []float64{1, 3}, false, 0, 0, "element 1 is 3"},
		{"too few", []float64{1, 2}, []float64{1}, false, 0, 0, "1 elements"},
		{"integers", []float64{100000, 7}, []float64{100000, 8}, true, 0, 0, "bound is 0"},
	} {
		var cell NetworkCell
		err := cell.check([]output{{"y", c.want, c.integer}}, []output{{"y", c.got, c.integer}})
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.err)
		}
		if cell.Checked != (err == nil) || math.Abs(cell.MaxError-c.max) > 1e-9 || math.Abs(cell.Bound-c.bound) > 1e-9 {
			t.Errorf("%s: %+v", c.name, cell)
		}
	}
}

func TestNetworkGoals(t *testing.T) {
	for name, goals := range networkGoals {
		if _, err := BuiltinNetwork(name, nil); err != nil || !slices.Contains(DefaultNetworks, name) {
			t.Errorf("goals of %s: %v", name, err)
		}
		for v := range goals {
			if v != denseVariant && !slices.Contains(DefaultSpecs, v) {
				t.Errorf("%s: a goal of %s, which is not measured", name, v)
			}
		}
	}
	for _, c := range []struct {
		ratio, goal, floor float64
		want               string
	}{{5, 5, 4, "met"}, {4.5, 5, 4, "floor"}, {3.9, 5, 4, "below"}, {4.9, 5, 0, "below"}, {5, 0, 0, ""}, {0, 5, 4, ""}} {
		if got := (NetworkCell{RatioPeer: c.ratio, Goal: c.goal, Floor: c.floor}).Verdict(); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// TestNetworkFields holds the report's fields to the names that are read.
func TestNetworkFields(t *testing.T) {
	b, err := json.Marshal(NetworkReport{Cells: []NetworkCell{{}}, Missing: map[string]string{"a": ""}, Wrong: map[string]string{"a": ""}})
	if err != nil {
		t.Fatal(err)
	}
	var top map[string]any
	if err := json.Unmarshal(b, &top); err != nil {
		t.Fatal(err)
	}
	for _, f := range strings.Fields("network isa batch reference cells missing wrong") {
		if _, ok := top[f]; !ok {
			t.Errorf("no field %s", f)
		}
	}
	cell := top["cells"].([]any)[0].(map[string]any)
	for _, f := range strings.Fields("engine variant sparsity threads p50_ms p90_ms p99_ms min_ms mean_ms runs ratio_peer ratio_dense scaling goal floor checked max_error bound") {
		if _, ok := cell[f]; !ok {
			t.Errorf("no field %s of a cell", f)
		}
	}
}
