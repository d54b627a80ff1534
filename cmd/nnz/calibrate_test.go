package main

import (
	"bytes"
	"image/color"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/bench/builtin"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/npy"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/prune"
)

// noise returns a float32 tensor of random numbers, which depend on each other
// along the last axis.
func noise(seed uint64, shape ...int) *graph.Tensor {
	r := rand.New(rand.NewPCG(seed, 0))
	n, _ := graph.Elements(shape)
	v := make([]float32, n)
	for i := range v {
		if v[i] = float32(r.NormFloat64()); i%shape[len(shape)-1] > 0 {
			v[i] += v[i-1] / 2
		}
	}
	return graph.FromFloats(shape, v)
}

// product is a model of one product of open batch, y = x·w, and of a bias.
func product() *graph.Model {
	batch := graph.Dim{Symbol: "batch"}
	return &graph.Model{
		Inputs:  []*graph.Value{{Name: "x", DType: graph.Float32, Shape: []graph.Dim{batch, {Size: 32}}}},
		Outputs: []*graph.Value{{Name: "y", DType: graph.Float32, Shape: []graph.Dim{batch, {Size: 8}}}},
		Nodes:   []*graph.Node{{Name: "node", Op: "Gemm", Inputs: []string{"x", "w", "b"}, Outputs: []string{"y"}}},
		Weights: map[string]*graph.Tensor{"w": noise(1, 32, 8), "b": noise(2, 8)},
		Opset:   map[string]int{"": 17},
		IR:      8,
	}
}

func writeNPY(t *testing.T, path string, a *graph.Tensor) {
	t.Helper()
	var b bytes.Buffer
	if err := npy.Encode(&b, npy.Array{Type: npy.Float32, Shape: a.Shape, Data: a.Raw()}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestPruneWithData prunes with every method and recovery that looks at data:
// what comes out has the zeros asked for, and is nearer to the dense model with a
// recovery than without.
func TestPruneWithData(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	m := product()
	saveModel(t, file("model.onnx"), m)
	x := noise(3, 100, 32)
	writeNPY(t, file("x.npy"), x)
	c := prune.Calibration{Data: prune.Sets(map[string]*graph.Tensor{"x": x})}
	distance := func(flags ...string) float64 {
		args := append([]string{"prune", file("model.onnx"), "--sparsity=0.5", "--scope=local", "--calibrate=" + file("x.npy"), "-o", file("out.onnx")}, flags...)
		succeed(t, args...)
		pruned, err := loader.Load(t.Context(), file("out.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		zeros := 0
		for _, w := range pruned.Weights["w"].Floats() {
			if w == 0 {
				zeros++
			}
		}
		if zeros != 128 {
			t.Errorf("%v: %d zeros of 256, want 128", flags, zeros)
		}
		errors, err := prune.OutputErrors(t.Context(), m, pruned, c)
		if err != nil {
			t.Fatal(err)
		}
		return errors["y"]
	}
	magnitude := distance()
	for _, flags := range [][]string{
		{"--method=wanda"}, {"--method=obd"}, {"--method=obs"}, {"--method=sparsegpt"},
		{"--recover=bias"}, {"--recover=refit"}, {"--recover=sparsegpt"},
		{"--method=sparsegpt", "--recover=refit"}, {"--method=sparsegpt", "--granularity=2x1"},
	} {
		d := distance(flags...)
		recovers := strings.Contains(strings.Join(flags, " "), "recover") || flags[0] == "--method=sparsegpt" && len(flags) == 1
		if recovers && !(d < magnitude) {
			t.Errorf("%v: error %g, by magnitude alone %g", flags, d, magnitude)
		}
	}
	code, _, stderr := command(t, "prune", file("model.onnx"), "--sparsity=0.5", "--method=wanda", "-o", file("out.onnx"))
	if code != exitDone || !strings.Contains(stderr, "random") {
		t.Errorf("exit code %d without data, and it said %q", code, stderr)
	}
}

// TestData reads calibration data in all forms.
func TestData(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	m := product()
	picture := tiny("Relu")
	picture.Inputs[0].Shape = graph.Dims(1, 1, 4, 6)
	fixed := product()
	fixed.Inputs[0].Shape[0] = graph.Dim{Size: 5}
	digits, err := builtin.Load("lenet5")
	if err != nil {
		t.Fatal(err)
	}
	writeNPY(t, file("x.npy"), noise(1, 40, 32))
	for _, sub := range []string{"arrays", "pictures", "sets/test_data_set_0", "sets/test_data_set_1", "empty"} {
		if err := os.MkdirAll(file(sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a.npy", "b.npy", "c.npy"} {
		writeNPY(t, file("arrays/"+name), noise(1, 2, 32))
	}
	for _, name := range []string{"1.png", "2.png"} {
		p := writePNG(t, 12, 8, func(y, x int) color.Color { return color.Gray{uint8(20 * y)} })
		if err := os.Rename(p, file("pictures/"+name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file("pictures/notes.txt"), []byte("none"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{"sets/test_data_set_0", "sets/test_data_set_1"} {
		if err := loader.WriteTensor(file(set+"/input_0.pb"), "x", noise(2, 3, 32)); err != nil {
			t.Fatal(err)
		}
	}
	cases := []struct {
		name, path string
		m          *graph.Model
		samples    int
		want       []int // first extents of the sets
		fails      string
	}{
		{"an array", file("x.npy"), m, 128, []int{16, 16, 8}, ""},
		{"some of an array", file("x.npy"), m, 16, []int{16}, ""},
		{"an array for a fixed batch", file("x.npy"), fixed, 12, []int{5, 5}, ""},
		{"a folder of arrays", file("arrays"), m, 2, []int{2, 2}, ""},
		{"a folder of pictures", file("pictures"), picture, 9, []int{1, 1}, ""},
		{"data sets", file("sets"), m, 9, []int{3, 3}, ""},
		{"MNIST", testdata.Path(t, "datasets", "mnist"), digits, 3, []int{1, 1, 1}, ""},
		{"an empty folder", file("empty"), m, 9, nil, "no .npy"},
		{"no file", file("none"), m, 9, nil, "none"},
		{"a file of another kind", file("pictures/notes.txt"), m, 9, nil, ".npz"},
		{"arrays that do not fit", file("arrays"), picture, 9, nil, "does not fit"},
		{"no samples", file("x.npy"), m, 0, nil, "--calibrate-samples 0"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			sets, err := dataFlags{Calibrate: c.path, CalibrateSamples: c.samples}.read(c.m)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Errorf("error %v, want one with %q", err, c.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []int
			for _, s := range sets {
				got = append(got, s[c.m.Inputs[0].Name].Shape[0])
			}
			if len(got) != len(c.want) {
				t.Fatalf("sets of %v examples, want %v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Fatalf("sets of %v examples, want %v", got, c.want)
				}
			}
		})
	}
}
