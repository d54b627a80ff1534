package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/bench/builtin"
	"github.com/nnz-dev/nnz/bench/sweep"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime"
)

func sweepOf(t *testing.T, args ...string) sweep.Report {
	t.Helper()
	var r sweep.Report
	if err := json.Unmarshal([]byte(succeed(t, append([]string{"sweep", "--json=-"}, args...)...)), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSweep(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.html")
	out := succeed(t, "sweep", "builtin:lenet5", "--sparsities=0.5,0.9", "--examples=20", "--granularity=4x1", "--html", page)
	for _, want := range []string{"conv2", "accuracy lost", "predicted by the cost model", "20 examples", "90.0 %"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "<td>conv2</td>") {
		t.Errorf("page: %v", err)
	}
	if r := sweepOf(t, "builtin:lenet5", "--sparsities=0.5", "--examples=2", "--measure", "--runs=1"); !r.Measured() || r.Examples != 2 || len(r.Layers) != 4 {
		t.Errorf("%+v", r)
	}
}

// TestSweepData reads the same images from files as the network brings along.
func TestSweepData(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	const n = 12
	images, labels := builtin.MNIST()
	saveFloats(t, file("x.npy"), []int{n, 1, 28, 28}, slices.Concat(images[:n]...))
	classes := make([]int64, n)
	for i := range classes {
		classes[i] = int64(labels[i])
	}
	if err := writeTensor(file("labels.npy"), "", runtime.Tensor{DType: graph.Int64, Shape: []int{n}, I: classes}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		set := file("sets/test_data_set_" + string(rune('0'+i)))
		if i > 9 {
			set = file("sets/test_data_set_1" + string(rune('0'+i-10)))
		}
		if err := os.MkdirAll(set, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := loader.WriteTensor(filepath.Join(set, "input_0.pb"), "image", graph.FromFloats([]int{1, 1, 28, 28}, images[i])); err != nil {
			t.Fatal(err)
		}
	}
	want := sweepOf(t, "builtin:lenet5", "--sparsities=0.8", "--examples=12")
	for _, args := range [][]string{
		{"--data", file("x.npy"), "--labels", file("labels.npy")},
		{"--data", file("x.npy")},
		{"--data", file("sets")},
	} {
		r := sweepOf(t, append([]string{"builtin:lenet5", "--sparsities=0.8"}, args...)...)
		if (r.Accuracy != nil) != (len(args) > 2) || r.Examples != n {
			t.Errorf("%v: accuracy %v on %d examples", args, r.Accuracy, r.Examples)
		}
		for i, l := range r.Layers {
			if w := want.Layers[i].Points[1]; l.Points[1].Error != w.Error || r.Accuracy != nil && *l.Points[1].Accuracy != *w.Accuracy {
				t.Errorf("%v: %s has %+v, want %+v", args, l.Name, l.Points[1], w)
			}
		}
	}
	if r := sweepOf(t, "builtin:lenet5", "--sparsities=0.8", "--data", file("sets/test_data_set_3")); r.Examples != 1 {
		t.Errorf("%d examples of one set", r.Examples)
	}
	code, _, stderr := command(t, "sweep", "builtin:lenet5", "--sparsities=0.8", "--data", file("x.npy"), "--labels", file("x.npy"))
	if code != exitUsage || !strings.Contains(stderr, "whole numbers") {
		t.Errorf("images for labels: exit code %d, %s", code, stderr)
	}
}

// TestSweepRandom warns where there is no data.
func TestSweepRandom(t *testing.T) {
	m, err := builtin.Load("lenet5")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "lenet5.onnx")
	saveModel(t, path, m)
	code, stdout, stderr := command(t, "sweep", path, "--sparsities=0.9", "--examples=3")
	if code != exitDone || !strings.Contains(stderr, "warning: no --data") || !strings.Contains(stdout, "3 examples") {
		t.Errorf("exit code %d, %s, %s", code, stdout, stderr)
	}
}

// TestPruneMaxDrop holds the file that is written to what was asked for. How
// much goes is up to the latencies that are measured.
func TestPruneMaxDrop(t *testing.T) {
	dir := t.TempDir()
	path, page := filepath.Join(dir, "out.onnx"), filepath.Join(dir, "page.html")
	var r pruneReport
	out := succeed(t, "prune", "builtin:lenet5", "-o", path, "--max-drop=1%", "--runs=1", "--threads=1", "--json=-", "--html", page)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	m, err := loader.Load(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	images, labels := builtin.MNIST()
	got, err := bench.Accuracy(t.Context(), m, images, labels, runtime.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c := r.Choice
	if c == nil || *c.Measured.Accuracy != got.Accuracy || *c.Dense.Accuracy-got.Accuracy > .01 || math.Abs(c.Zeros-r.Sparsity) > 1e-9 {
		t.Errorf("accuracy %v, %+v", got.Accuracy, r)
	}
	if _, err := os.Stat(page); err != nil {
		t.Error(err)
	}
}

// TestPruneBudget asks for more time than there is need of.
func TestPruneBudget(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.onnx")
	out := succeed(t, "prune", "builtin:lenet5", "-o", path, "--budget=1h", "--runs=1")
	for _, want := range []string{"asked for 1h0m0s", "expected", "measured", "dense"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
	m, err := loader.Load(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range m.Weights {
		if slices.Contains(w.Floats(), 0) {
			t.Errorf("weight %s has zeros", name)
		}
	}
	code, stdout, stderr := command(t, "prune", filepath.Join(testdata.Path(t, "trained", "lenet_300_100_dense.opset17"), "model.onnx"), "-o", path, "--budget=1h", "--runs=1")
	if code != exitDone || !strings.Contains(stderr, "those of the weights") || !strings.Contains(stdout, "stay as they are") {
		t.Errorf("without data: exit code %d, %s, %s", code, stdout, stderr)
	}
}
