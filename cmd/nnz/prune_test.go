package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/bench/builtin"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/loader"
)

// TestPruneFlags holds what each wrong combination says.
func TestPruneFlags(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	out := file("out.onnx")
	zeros := make([]float32, 10*500)
	write := func(name string, tensors map[string]*graph.Tensor) string {
		t.Helper()
		if err := loader.WriteArrays(file(name), tensors); err != nil {
			t.Fatal(err)
		}
		return file(name)
	}
	two := slices.Clone(zeros)
	two[7] = 2
	masks := map[string]string{
		"shape": write("shape.npz", map[string]*graph.Tensor{"fc2.weight": graph.FromFloats([]int{500, 10}, zeros)}),
		"name":  write("name.npz", map[string]*graph.Tensor{"fc9.weight": graph.FromFloats([]int{10, 500}, zeros)}),
		"value": write("value.npz", map[string]*graph.Tensor{"fc2.weight": graph.FromFloats([]int{10, 500}, two)}),
	}
	saveBytes(t, file("bad.npz"), []byte("no archive"))
	saveFloats(t, file("one.npy"), []int{10, 500}, zeros)
	cases := []struct {
		flags string
		code  int
		want  string
	}{
		{"", exitUsage, "how much goes"},
		{"--sparsity=0.5 --count=3", exitUsage, "--sparsity and --count"},
		{"--sparsity=0.5 --granularity=2:4", exitUsage, "--granularity 2:4"},
		{"--sparsity=0.5 --threshold=1", exitUsage, "--threshold"},
		{"--sparsity=0.5 --layer=fc1.weight=0.5", exitUsage, "--layer"},
		{"--sparsity=0.5 --masks=" + masks["shape"], exitUsage, "--masks"},
		{"--granularity=2:4 --scope=global", exitUsage, "--scope"},
		{"--granularity=4:2", exitUsage, "N:M"},
		{"--granularity=2:4 --of-left", exitUsage, "--of-left"},
		{"--count=-1", exitUsage, "--count -1"},
		{"--count=500000000", exitUsage, "count of 500000000"},
		{"--sparsity=0.5 --scope=local --floor=0.1", exitUsage, "floor"},
		{"--sparsity=0.5 --floor=2", exitUsage, "floor"},
		{"--sparsity=0.5 --steps=3", exitUsage, "one-shot"},
		{"--sparsity=0.5 --schedule=cubic --steps=-3", exitUsage, "steps"},
		{"--sparsity=0.5 --schedule=square", exitUsage, "square"},
		{"--sparsity=0.5 --norm=l3", exitUsage, "l3"},
		{"--method=threshold", exitUsage, "--threshold"},
		{"--sparsity=0.5 --method=threshold", exitUsage, "--threshold"},
		{"--threshold=abc", exitUsage, "1.5std"},
		{"--threshold=-1", exitUsage, "1.5std"},
		{"--threshold=1 --steps=2 --schedule=linear", exitUsage, "threshold"},
		{"--sparsity=0.5 --method=scores", exitUsage, "--scores"},
		{"--sparsity=0.5 --scores=" + file("one.npy"), exitUsage, "--method scores"},
		{"--sparsity=0.5 --method=scores --scores=" + file("one.npy"), exitUsage, "--include"},
		{"--sparsity=0.5 --method=scores --scores=" + file("scores.txt"), exitUsage, ".npz"},
		{"--sparsity=0.5 --method=scores --scores=" + file("nothing.npz"), exitFile, "nothing.npz"},
		{"--sparsity=0.5 --method=scores --scores=" + file("bad.npz"), exitFile, "bad.npz"},
		{"--sparsity=0.5 --method=taylor", exitUsage, "--gradients"},
		{"--sparsity=0.5 --method=bn-scale", exitUsage, "row, filter"},
		{"--sparsity=0.5 --method=bn-scale --granularity=filter", exitUsage, "BatchNormalization"},
		{"--sparsity=0.5 --granularity=head", exitUsage, "head:64"},
		{"--sparsity=0.5 --granularity=head:7", exitUsage, "heads of 7"},
		{"--sparsity=0.5 --granularity=dim:9", exitUsage, "axis 9"},
		{"--layer=fc9.weight=0.5", exitUsage, "fc9.weight"},
		{"--layer=fc1.weight=50", exitUsage, "fraction"},
		{"--masks=" + masks["shape"], exitFile, "expected [10 500]"},
		{"--masks=" + masks["name"], exitFile, "fc9.weight"},
		{"--masks=" + masks["value"], exitFile, "element 7 is 2"},
		{"--masks=" + masks["shape"] + " --method=random", exitUsage, "--masks"},
		{"--sparsity=0.5 --save-masks=masks.txt", exitUsage, "--save-masks masks.txt"},
	}
	for _, c := range cases {
		args := append([]string{"prune", "builtin:lenet5", "-o", out}, strings.Fields(c.flags)...)
		code, _, stderr := command(t, args...)
		if code != c.code || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d, want %d and %q: %s", c.flags, code, c.code, c.want, stderr)
		}
		if _, err := os.Stat(out); err == nil {
			t.Fatalf("%s wrote a file", c.flags)
		}
	}
}

// zerosOf reads how many zeros each weight of a file has.
func zerosOf(t *testing.T, file string) map[string]int {
	t.Helper()
	m, err := loader.Load(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make(map[string]int)
	for name, w := range m.Weights {
		for _, x := range w.Floats() {
			if x == 0 {
				zeros[name]++
			}
		}
	}
	return zeros
}

func TestPruneMethods(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	lenet, err := builtin.Load("lenet5")
	if err != nil {
		t.Fatal(err)
	}
	// Scores that say the opposite of the magnitude.
	scores := make(map[string]*graph.Tensor)
	for _, name := range []string{"conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight"} {
		w := lenet.Weights[name]
		v := slices.Clone(w.Floats())
		for i, x := range v {
			v[i] = 1 / x
		}
		scores[name] = graph.FromFloats(w.Shape, v)
	}
	if err := loader.WriteSafetensors(file("scores.safetensors"), scores); err != nil {
		t.Fatal(err)
	}
	saveFloats(t, file("fc2.npy"), []int{10, 500}, scores["fc2.weight"].Floats())
	const total = 500 + 25000 + 400000 + 5000
	cases := []struct {
		flags string
		want  map[string]int
		all   int // zeros, 0 where it is none of a count
	}{
		{"--sparsity=0.5", nil, total / 2},
		{"--sparsity=0.5 --scope=local", map[string]int{"conv1.weight": 250, "fc2.weight": 2500}, total / 2},
		{"--sparsity=0.9 --method=lamp", nil, total * 9 / 10},
		{"--sparsity=0.9 --scope=global-normalized --floor=0.5", nil, 0},
		{"--sparsity=0.9 --scope=erk", nil, total * 9 / 10},
		{"--sparsity=0.9 --scope=owl", nil, total * 9 / 10},
		{"--sparsity=0.5 --method=random --seed=7", nil, total / 2},
		{"--sparsity=0.5 --method=scores --scores=" + file("scores.safetensors"), nil, total / 2},
		{"--sparsity=0.5 --include=fc2.weight --method=scores --scores=" + file("fc2.npy"), map[string]int{"fc1.weight": 0, "fc2.weight": 2500}, 2500},
		{"--sparsity=0.5 --method=taylor --gradients=" + file("scores.safetensors"), nil, total / 2},
		{"--count=1000", nil, 1000},
		{"--layer=conv2.weight=0.2", map[string]int{"conv2.weight": 5000}, 5000},
		{"--granularity=2:4", map[string]int{"fc1.weight": 200000}, 0},
		{"--sparsity=0.4 --granularity=filter --norm=l2 --scope=local", map[string]int{"conv1.weight": 200, "conv2.weight": 10000}, 0},
		{"--sparsity=0.4 --granularity=filter --method=fpgm --scope=local --include=Conv", map[string]int{"conv1.weight": 200, "conv2.weight": 10000}, 0},
		{"--sparsity=0.5 --granularity=dim:0 --norm=-inf --scope=local", map[string]int{"conv1.weight": 250}, 0},
		{"--sparsity=0.9 --schedule=cubic --steps=3", nil, total * 9 / 10},
		{"--method=threshold --threshold=1std", nil, 0},
	}
	for _, c := range cases {
		out := file("out.onnx")
		args := append([]string{"prune", "builtin:lenet5", "-o", out, "--json", file("report.json")}, strings.Fields(c.flags)...)
		if table := succeed(t, args...); !strings.HasPrefix(table, "by ") {
			t.Errorf("%s prints %q", c.flags, table)
		}
		zeros, all := zerosOf(t, out), 0
		for name := range scores {
			all += zeros[name]
		}
		if c.all != 0 && (all < c.all-2 || all > c.all+2) { // rounded in each layer
			t.Errorf("%s: %d zeros, want %d", c.flags, all, c.all)
		}
		for name, want := range c.want {
			if zeros[name] != want {
				t.Errorf("%s: %d zeros of %s, want %d", c.flags, zeros[name], name, want)
			}
		}
		var report struct {
			Criterion, Scope string
			ZerosAfter       int `json:"zeros_after"`
			Layers           []struct {
				Weight     string
				ZerosAfter int `json:"zeros_after"`
				Error      float64
			}
		}
		text, err := os.ReadFile(file("report.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &report); err != nil {
			t.Fatal(err)
		}
		if report.Criterion == "" || report.Scope == "" {
			t.Errorf("%s: report %s", c.flags, text)
		}
		for _, l := range report.Layers {
			if l.ZerosAfter != zeros[l.Weight] || (l.Error > 0) != (l.ZerosAfter > 0) || l.Error > 1 {
				t.Errorf("%s: report of %+v, where the file has %d zeros", c.flags, l, zeros[l.Weight])
			}
		}
	}
}

// TestPruneMasks writes masks and applies them to the network before: what
// comes out is the same file.
func TestPruneMasks(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	for _, masks := range []string{"masks.npz", "masks.safetensors"} {
		succeed(t, "prune", "builtin:lenet5", "--sparsity=0.8", "-o", file("want.onnx"), "--save-masks", file(masks))
		want, err := os.ReadFile(file("want.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		succeed(t, "prune", "builtin:lenet5", "--sparsity=0.8", "-o", file("sparse.onnx"), "--sparse-initializers")
		for _, from := range []string{masks, "want.onnx", "sparse.onnx"} {
			succeed(t, "prune", "builtin:lenet5", "--masks", file(from), "-o", file("got.onnx"))
			got, err := os.ReadFile(file("got.onnx"))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("the masks of %s give another file", from)
			}
		}
	}
	lenet, err := builtin.Load("lenet5")
	if err != nil {
		t.Fatal(err)
	}
	f, err := loader.ReadSafetensors(file("masks.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(f.Tensors) != 8 || !slices.Equal(f.Tensors["fc1.weight_orig"].Floats(), lenet.Weights["fc1.weight"].Floats()) {
		t.Errorf("%d tensors, want the masks and the weights of before", len(f.Tensors))
	}
}
