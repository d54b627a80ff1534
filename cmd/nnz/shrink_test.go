package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/prune"
)

func TestShrink(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	args := []string{"prune", "builtin:lenet5", "--granularity", "channel", "--scope", "local", "--sparsity", "0.25", "--round-to", "4"}
	out := succeed(t, append(args, "-o", file("small.onnx"), "--explain")...)
	if !strings.Contains(out, "it reaches output") {
		t.Errorf("does not explain what stays:\n%s", out)
	}
	succeed(t, append(args, "-o", file("masked.onnx"), "--keep-shape", "--explain")...)
	succeed(t, "shrink", file("masked.onnx"), "-o", file("again.onnx"), "--round-to", "4", "--json", file("report.json"), "--explain")

	raw, err := os.ReadFile(file("report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r prune.ShrinkReport
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	for _, g := range r.Groups {
		if g.Reason == "" && (g.After%4 != 0 || g.After >= g.Before) {
			t.Errorf("%d of %d channels of %s are left", g.After, g.Before, g.Name)
		}
	}
	sizes := make(map[string]int64)
	for _, name := range []string{"small.onnx", "masked.onnx", "again.onnx"} {
		info, err := os.Stat(file(name))
		if err != nil {
			t.Fatal(err)
		}
		sizes[name] = info.Size()
	}
	if sizes["small.onnx"] != sizes["again.onnx"] || sizes["small.onnx"] > sizes["masked.onnx"]*2/3 {
		t.Errorf("sizes of the files: %v", sizes)
	}
	small, err := loader.Load(t.Context(), file("small.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := loader.Load(t.Context(), file("again.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range small.Weights {
		if a := again.Weights[name]; a == nil || !slices.Equal(a.Floats(), w.Floats()) {
			t.Errorf("weight %s differs by the way it was made", name)
		}
	}

	saveModel(t, file("relu.onnx"), tiny("Relu"))
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"prune", file("relu.onnx"), "-o", file("out.onnx"), "--sparsity=0.5", "--granularity=channel"}, exitUsage, "no channels"},
		{[]string{"prune", "builtin:lenet5", "-o", file("out.onnx"), "--sparsity=50", "--granularity=channel"}, exitUsage, "0.5, not 50"},
		{[]string{"prune", "builtin:lenet5", "-o", file("out.onnx"), "--sparsity=0.5", "--granularity=channel", "--floor=2"}, exitUsage, "floor"},
		{[]string{"shrink", file("none.onnx"), "-o", file("out.onnx")}, exitFile, "none.onnx"},
		{[]string{"shrink", "builtin:lenet5", "-o", file("out.onnx"), "--shape", "x"}, exitUsage, "--shape"},
		{[]string{"shrink", "builtin:lenet5", "-o", file("out.onnx"), "--shape", "x=1x2"}, exitFile, "builtin:lenet5"},
	} {
		code, _, stderr := command(t, c.args...)
		if code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("nnz %s: exit code %d, %s", strings.Join(c.args, " "), code, stderr)
		}
	}
}
