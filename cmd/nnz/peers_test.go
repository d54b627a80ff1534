package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/bench/peers"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/kernels/isa"
)

// TestBenchPeers compares with engines that are not there.
func TestBenchPeers(t *testing.T) {
	if isa.Detect() == isa.Generic {
		t.Skip("no instruction set to compare")
	}
	t.Setenv("NODE_PATH", "")
	masks := filepath.Join(testdata.Dir(t), "dlmc", "rn50", "magnitude_pruning", "0.8")
	args := []string{"bench", "peers", "--drivers", t.TempDir(), "--masks", masks, "--class", "real masks", "--threads", "1,2", "--runs", "1"}
	var rows []peers.Row
	if err := json.Unmarshal([]byte(succeed(t, append(args, "--json", "-")...)), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0].Threads != 1 || rows[1].Threads != 2 {
		t.Fatalf("rows %+v", rows)
	}
	for _, r := range rows {
		if r.Class != "real masks, N = 128" || !strings.HasSuffix(r.Name, ".smtx") || r.Block != 0 || r.Goal != 0 || r.Ours[isa.Detect().String()] <= 0 {
			t.Errorf("%+v", r)
		}
	}
	if out := succeed(t, args...); !strings.Contains(out, "not measured 2 times: xnnpack sparse: not built") {
		t.Errorf("printed %s", out)
	}
	for _, bad := range [][]string{{"--threads", "0"}, {"--runs", "-1"}, {"--sparsity", "0.5"}, {"--masks", "nowhere"}} {
		if code, _, _ := command(t, append([]string{"bench", "peers"}, bad...)...); code != exitUsage {
			t.Errorf("%v: exit code %d", bad, code)
		}
	}
}

func TestPrintPeers(t *testing.T) {
	ours := func(avx2, avx512 float64) map[string]float64 {
		return map[string]float64{"avx2": avx2, "avx512": avx512}
	}
	rows := []peers.Row{
		{Class: "one", Shape: "8x8x8", Sparsity: 0.9, Block: 1, Threads: 1, Dense: 60, Best: "onednn inner", Format: "csr", Ratio: 6, Goal: 5.7,
			Ours: ours(20, 10), Peers: map[string]float64{"onednn inner": 60, "xnnpack sparse": 50, "libxsmm sparse": 30}},
		{Class: "one", Shape: "8x8x8", Sparsity: 0.9, Block: 1, Threads: 2, Dense: 30, Best: "onednn inner", Format: "csr", Ratio: 5, Ours: ours(12, 6)},
		{Class: "one", Shape: "8x8x8", Sparsity: 0.7, Block: 4, Threads: 1, Dense: 60, Best: "onnxruntime", Format: "bsr4x1", Ratio: 2, Goal: 2.3, Ours: ours(40, 30)},
		{Class: "masks", Name: "a/b.smtx", Shape: "8x8x8", Sparsity: 0.8, Threads: 1, Format: "csr", Goal: 3, Ours: ours(40, 30),
			Missing: map[string]string{"onednn inner": "not\nbuilt", "onednn matmul": "other"}},
	}
	var b strings.Builder
	if err := printPeers(&b, rows, []isa.ISA{isa.AVX2, isa.AVX512}); err != nil {
		t.Fatal(err)
	}
	want := `one; µs
shape   zeros  block  threads  dense  of            XNNPACK  libxsmm sparse  ours avx2  ours avx512  format  ratio  goal
8x8x8  90.0 %    1x1        1   60.0  onednn inner     50.0            30.0       20.0         10.0  csr      6.00   5.7  met
8x8x8  90.0 %    1x1        2   30.0  onednn inner        -               -       12.0          6.0  csr      5.00
8x8x8  70.0 %    4x1        1   60.0  onnxruntime         -               -       40.0         30.0  bsr4x1   2.00   2.3  below

masks; µs
shape   zeros  block  threads  dense  of  XNNPACK  libxsmm sparse  ours avx2  ours avx512  format  ratio  goal
8x8x8  80.0 %               1      -            -               -       40.0         30.0  csr         -     3    a/b.smtx
not measured 1 time: not; built
not measured 1 time: other

`
	if b.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", b.String(), want)
	}
}
