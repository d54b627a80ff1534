package main

import (
	"encoding/json"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/prune"
)

// TestPruneActivations writes thresholds into a model, with and without zeros in
// its weights.
func TestPruneActivations(t *testing.T) {
	for _, sparsity := range [][]string{nil, {"--sparsity", "0.5"}} {
		path := filepath.Join(t.TempDir(), "out.onnx")
		args := append([]string{"prune", "builtin:lenet5", "-o", path, "--activation-sparsity", "0.6", "--json", "-"}, sparsity...)
		code, out, errs := command(t, args...)
		if code != exitDone || !strings.Contains(errs, "random numbers") {
			t.Fatalf("exit code %d: %s", code, errs)
		}
		var report struct{ Activations prune.ActivationReport }
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatal(err)
		}
		m, err := loader.Load(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		list, err := m.ActivationThresholds()
		if err != nil || len(list) == 0 || len(list) != len(report.Activations.Layers) {
			t.Errorf("%d thresholds, %d in the report; %v", len(list), len(report.Activations.Layers), err)
		}
		// More than that are zeros before the first of its layers.
		if r := report.Activations; r.Target != 0.6 || math.Abs(r.Layers[len(r.Layers)-1].Sparsity-0.6) > 0.01 || r.Sparsity < 0.59 {
			t.Errorf("report %+v", r)
		}
	}
	for _, bad := range []string{"-0.1", "60", "NaN"} {
		if code, _, errs := command(t, "prune", "builtin:lenet5", "-o", filepath.Join(t.TempDir(), "x.onnx"), "--activation-sparsity", bad); code != exitUsage {
			t.Errorf("--activation-sparsity %s: exit code %d: %s", bad, code, errs)
		}
	}
}
