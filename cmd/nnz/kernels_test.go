package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/internal/testdata"
)

func TestBenchKernels(t *testing.T) {
	out := succeed(t, "bench", "kernels", "--shape", "64,64,49", "--sparsity", "0.5,0.9", "--runs", "3", "--threads", "1,2", "--json", "-")
	var r kernelsReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Limits) != 1 || len(r.Results) != 6 { // dense and two sparsities, on two numbers of threads
		t.Fatalf("%d limits, %d results", len(r.Limits), len(r.Results))
	}
	for i, x := range r.Results {
		if want := []float64{0, 0, 0.5, 0.5, 0.9, 0.9}[i]; x.Sparsity != want || x.US <= 0 || x.Threads != 1+i%2 {
			t.Errorf("result %d: %+v", i, x)
		}
	}
	table := succeed(t, "bench", "kernels", "--shape", "64,64,1", "--sparsity", "0.9", "--runs", "3")
	if !strings.Contains(table, "spmv") || !strings.Contains(table, "FMA") {
		t.Errorf("printed %s", table)
	}
}

func TestBenchKernelsBenchfmt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new.txt")
	succeed(t, "bench", "kernels", "--shape", "64,64,49", "--sparsity", "0.9", "--runs", "3", "--threads", "2", "--benchfmt", file)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^BenchmarkLayer/family=spmm/shape=64x64x49/zeros=0\.9/kernel=\w+-2\t1\t\d+ ns/op\t[\d.]+ GF/s$`)
	if got := line.FindAllString(string(b), -1); len(got) != 3 || !strings.HasPrefix(string(b), "goos: ") {
		t.Errorf("%d lines of the sparse layer in\n%s", len(got), b)
	}
	if code, _, _ := command(t, "bench", "kernels", "--choices", "--benchfmt", file); code != exitUsage {
		t.Errorf("--choices: exit code %d", code)
	}
}

func TestBenchKernelChoices(t *testing.T) {
	masks := filepath.Join(testdata.Dir(t), "dlmc", "rn50", "magnitude_pruning", "0.8")
	out := succeed(t, "bench", "kernels", "--set", "dlmc", "--masks", masks, "--columns", "49", "--runs", "3", "--choices", "--json", "-")
	var r kernelsReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Choices) != 1 || len(r.Choices[0].Measured) < 2 {
		t.Fatalf("choices %+v", r.Choices)
	}
	table := succeed(t, "bench", "kernels", "--shape", "64,64,49", "--sparsity", "0.9", "--runs", "3", "--choices")
	if !strings.Contains(table, "of 1 choices") {
		t.Errorf("printed %s", table)
	}
}

// TestBenchKernelPatterns: --nm makes N:M weights, --scatter adds to blocks,
// and every format that then is a candidate gives the same output.
func TestBenchKernelPatterns(t *testing.T) {
	for _, tt := range []struct {
		args     []string
		sparsity float64
		formats  []string
	}{
		{[]string{"--nm", "2:4"}, 0.5, []string{"dense", "csr", "nm2:4"}},
		{[]string{"--nm", "1:4"}, 0.75, []string{"dense", "csr", "nm1:4"}},
		{[]string{"--sparsity", "0.9", "--block", "4", "--scatter", "0.02"}, 0.88, []string{"csr", "bsr4x1", "mixed4x1"}},
	} {
		args := append([]string{"bench", "kernels", "--shape", "64,256,49", "--runs", "3", "--choices", "--json", "-"}, tt.args...)
		var r kernelsReport
		if err := json.Unmarshal([]byte(succeed(t, args...)), &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Choices) != 1 || math.Abs(r.Choices[0].Sparsity-tt.sparsity) > 0.01 {
			t.Fatalf("%v: choices %+v", tt.args, r.Choices)
		}
		for _, f := range tt.formats {
			if r.Choices[0].Measured[f] <= 0 {
				t.Errorf("%v: measured %v, not %s", tt.args, r.Choices[0].Measured, f)
			}
		}
	}
}
