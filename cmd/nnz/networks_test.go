package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/internal/testdata"
)

// TestBenchNetworks compares with an engine that is not there, then reads the
// results.
func TestBenchNetworks(t *testing.T) {
	t.Setenv("NODE_PATH", "")
	file := testdata.Path(t, "trained", "lenet5_pruned90_global.opset17", "model.onnx")
	results := filepath.Join(t.TempDir(), "results.json")
	out := succeed(t, "bench", "networks", file, "--network", "lenet5", "--sparsity", "0.9,2:4", "--threads", "1,2", "--runs", "1",
		"--drivers", t.TempDir(), "--json", results)
	for _, want := range []string{"lenet5: ", "lenet5_pruned90_global.opset17/model.onnx: ", "not measured: onnxruntime: ", "two threads are at least ", "as given"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	data, err := os.ReadFile(results)
	if err != nil {
		t.Fatal(err)
	}
	var reports []*bench.NetworkReport
	if err := json.Unmarshal(data, &reports); err != nil {
		t.Fatal(err)
	}
	if len(reports) != 2 {
		t.Fatalf("%d networks", len(reports))
	}
	for i, want := range []string{"dense 0.9 2:4 dense 0.9 2:4", "dense as given dense as given"} {
		var variants []string
		for _, c := range reports[i].Cells {
			variants = append(variants, c.Variant)
			if c.P50 <= 0 || c.Runs != 1 || !c.Checked {
				t.Errorf("%+v", c)
			}
		}
		if got := strings.Join(variants, " "); got != want {
			t.Errorf("variants %s, want %s", got, want)
		}
	}
	if s := reports[1].Cells[1].Sparsity; s < 0.85 || s > 0.95 {
		t.Errorf("the pruned file has %g zeros", s)
	}
	if again := succeed(t, "bench", "networks", "--from", results); again != out {
		t.Errorf("printed\n%s\nof the results, want\n%s", again, out)
	}
	if code, _, stderr := command(t, "bench", "networks", "--from", results, "--chart", filepath.Join(t.TempDir(), "a.svg")); code != exitFile || !strings.Contains(stderr, "nothing to draw") {
		t.Errorf("a chart of nothing: exit code %d, %s", code, stderr)
	}
	broken := filepath.Join(t.TempDir(), "broken.json")
	for _, content := range []string{"", "{}", "[null]"} {
		if err := os.WriteFile(broken, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := command(t, "bench", "networks", "--from", broken); code != exitFile || !strings.Contains(stderr, "broken.json") {
			t.Errorf("%q: exit code %d, %s", content, code, stderr)
		}
	}
	for _, bad := range [][]string{
		{"--threads", "0"}, {"--threads", "1,1"}, {"--runs", "-1"}, {"--time", "0s"}, {"--sparsity", "90"}, {"--sparsity", "0.9,0.9"},
		{"--network", "alexnet"}, {"builtin:lenet5"}, {"--from", results, "--runs", "3"},
	} {
		if code, _, _ := command(t, slices.Concat([]string{"bench", "networks"}, bad)...); code != exitUsage {
			t.Errorf("%v: exit code %d", bad, code)
		}
	}
}

func TestPrintNetwork(t *testing.T) {
	r := &bench.NetworkReport{
		Network: "net", ISA: "avx512", Batch: 1, Reference: "dense kernels",
		Cells: []bench.NetworkCell{
			{Engine: "nnz", Variant: "dense", Threads: 1, Latency: bench.Latency{P50: 40, P99: 41, Runs: 9}, RatioPeer: 1.1, RatioDense: 1, Scaling: 1, Goal: 1, Checked: true, Bound: 1e-4},
			{Engine: "nnz", Variant: "0.9", Sparsity: 0.9, Threads: 1, Latency: bench.Latency{P50: 10, P99: 11, Runs: 9}, RatioPeer: 4.4, RatioDense: 4, Scaling: 1, Goal: 5, Floor: 4, Checked: true, MaxError: 1e-6, Bound: 1e-4},
			{Engine: "nnz", Variant: "0.9", Sparsity: 0.9, Threads: 2, Latency: bench.Latency{P50: 6, P99: 7, Runs: 9}, Scaling: 10. / 6},
			{Engine: "onnxruntime", Version: "1.2", Variant: "dense", Threads: 2, Latency: bench.Latency{P50: 40, P99: 41, Runs: 9}, Scaling: 1.2},
		},
		Missing: map[string]string{"other": "not\ninstalled"},
		Wrong:   map[string]string{"nnz 0.95, threads 1": "output \"y\" differs"},
	}
	var b strings.Builder
	if err := printNetwork(&b, r); err != nil {
		t.Fatal(err)
	}
	want := `net: avx512, batch 1; ms, ratios of medians
engine           variant   zeros  threads     p50     p99  runs  of ORT  goal  floor         of dense  of 1 thread    error    bound
nnz              dense     0.0 %        1  40.000  41.000     9    1.10     1         met        1.00         1.00  0.0e+00  1.0e-04
nnz              0.9      90.0 %        1  10.000  11.000     9    4.40     5      4  floor      4.00         1.00  1.0e-06  1.0e-04
nnz              0.9      90.0 %        2   6.000   7.000     9       -                             -         1.67        -        -
onnxruntime 1.2  dense     0.0 %        2  40.000  41.000     9       -                             -         1.20        -        -
two threads are at least 1.67 times as fast as one, goal 1.8: below
outputs of ours are within their bounds of dense kernels on the same weights, others of the dense network's
not measured: other: not; installed
WRONG, not measured: nnz 0.95, threads 1: output "y" differs

`
	if b.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", b.String(), want)
	}
}
