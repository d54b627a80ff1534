package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image/color"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/npy"
	"github.com/nnz-dev/nnz/loader"
)

// command runs the program.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(context.Background(), args, &out, &err)
	return code, out.String(), err.String()
}

// succeed runs the program, which must not fail, and returns what it printed.
func succeed(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := command(t, args...)
	if code != exitDone || stderr != "" {
		t.Fatalf("nnz %s: exit code %d, %s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// tiny is a model of one node, y = op(x), of four numbers.
func tiny(op string) *graph.Model {
	return &graph.Model{
		Inputs:  []*graph.Value{{Name: "x", DType: graph.Float32, Shape: graph.Dims(1, 4)}},
		Outputs: []*graph.Value{{Name: "y", DType: graph.Float32, Shape: graph.Dims(1, 4)}},
		Nodes:   []*graph.Node{{Name: "node", Op: op, Inputs: []string{"x"}, Outputs: []string{"y"}}},
		Opset:   map[string]int{"": 17},
		IR:      8,
	}
}

func saveModel(t *testing.T, path string, m *graph.Model) {
	t.Helper()
	if err := loader.Save(path, m, loader.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
}

func saveFloats(t *testing.T, path string, shape []int, v []float32) {
	t.Helper()
	var b bytes.Buffer
	if err := npy.Encode(&b, npy.Array{Type: npy.Float32, Shape: shape, Data: graph.FromFloats(shape, v).Raw()}); err != nil {
		t.Fatal(err)
	}
	saveBytes(t, path, b.Bytes())
}

func saveBytes(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
}

// TestMistakes makes every mistake that a user can make: each must end with
// its exit code and one line.
func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	saveModel(t, file("relu.onnx"), tiny("Relu"))
	saveModel(t, file("unknown.onnx"), tiny("FrobnicateTensor"))
	succeed(t, "export", "lenet5", "-o", file("lenet5.onnx"))
	whole, err := os.ReadFile(file("lenet5.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	saveBytes(t, file("truncated.onnx"), whole[:len(whole)*2/3])
	saveBytes(t, file("zeros.onnx"), make([]byte, 4096))
	saveBytes(t, file("empty.onnx"), nil)
	saveBytes(t, file("garbage.npy"), []byte("garbage"))
	picture, err := os.ReadFile(writePNG(t, 28, 28, func(y, x int) color.Color { return color.White }))
	if err != nil {
		t.Fatal(err)
	}
	saveBytes(t, file("picture.png"), picture)
	saveBytes(t, file("picture.onnx"), picture)
	saveFloats(t, file("four.npy"), []int{1, 4}, []float32{-1, 0, 1, 2})
	saveFloats(t, file("five.npy"), []int{1, 5}, make([]float32, 5))
	saveBytes(t, file("five.bin"), make([]byte, 20))
	saveBytes(t, file("bad.smtx"), []byte("3, 3, 9\n0 1"))
	if err := os.Mkdir(file("nothing"), 0o777); err != nil {
		t.Fatal(err)
	}

	tests := []struct {
		name string
		args []string
		code int
		says string // in the one line
	}{
		{"unknown command", []string{"frobnicate"}, exitUsage, "frobnicate"},
		{"unknown flag", []string{"inspect", "--frobnicate", file("relu.onnx")}, exitUsage, "--frobnicate"},
		{"unknown pass", []string{"inspect", "--passes", "-geru", file("relu.onnx")}, exitUsage, "gelu"},
		{"no model", []string{"inspect"}, exitUsage, "model"},
		{"a model and the operators", []string{"inspect", "--ops", file("relu.onnx")}, exitUsage, "--ops"},
		{"no such file", []string{"inspect", file("none.onnx")}, exitFile, "none.onnx"},
		{"a folder", []string{"inspect", dir}, exitFile, dir},
		{"truncated", []string{"inspect", file("truncated.onnx")}, exitFile, "truncated.onnx"},
		{"zeros", []string{"inspect", file("zeros.onnx")}, exitFile, "zeros.onnx"},
		{"empty", []string{"inspect", file("empty.onnx")}, exitFile, "empty.onnx"},
		{"a picture", []string{"bench", file("picture.onnx")}, exitFile, "picture.onnx"},
		{"unknown op", []string{"bench", file("unknown.onnx")}, exitUnsupported, "FrobnicateTensor"},
		{"unknown op, run", []string{"run", file("unknown.onnx"), "-i", file("four.npy")}, exitUnsupported, "FrobnicateTensor"},
		{"unknown builtin", []string{"inspect", "builtin:resnet51"}, exitUsage, "resnet50"},
		{"percent for a fraction in a builtin", []string{"inspect", "builtin:lenet5@90"}, exitUsage, "0.9"},
		{"unknown ISA", []string{"bench", file("relu.onnx"), "--isa", "mmx"}, exitUsage, "mmx"},
		{"negative threads", []string{"bench", file("relu.onnx"), "--threads=-1"}, exitUsage, "--threads"},
		{"no number of threads", []string{"bench", file("relu.onnx"), "--threads", "two"}, exitUsage, "two"},
		{"trace without a profile", []string{"bench", file("relu.onnx"), "--trace", file("trace.json")}, exitUsage, "--profile"},
		{"profile of a peer", []string{"bench", file("relu.onnx"), "--profile", "--peer", "ort"}, exitUsage, "--peer"},
		{"profile of a matrix", []string{"bench", file("bad.smtx"), "--profile"}, exitUsage, "matrices"},
		{"two things at once", []string{"bench", file("relu.onnx"), "--profile", "--break-even"}, exitUsage, "--break-even"},
		{"break-even of a mode", []string{"bench", file("relu.onnx"), "--break-even", "--mode", "dense"}, exitUsage, "--mode"},
		{"imposed percent", []string{"bench", "builtin:lenet5", "--impose", "90"}, exitUsage, "--impose 90"},
		{"imposed pattern", []string{"bench", "builtin:lenet5", "--impose", "4:2"}, exitUsage, "N:M"},
		{"imposed on a matrix", []string{"bench", file("bad.smtx"), "--impose", "0.9"}, exitUsage, "matrices"},
		{"imposed break-even", []string{"bench", "builtin:lenet5", "--impose", "0.9", "--break-even"}, exitUsage, "--impose"},
		{"imposed without weights", []string{"bench", file("relu.onnx"), "--impose", "0.9"}, exitFile, "no constant"},
		{"break-even without weights", []string{"bench", file("relu.onnx"), "--break-even"}, exitFile, "no constant"},
		{"unknown mode", []string{"bench", file("relu.onnx"), "--mode", "fast"}, exitUsage, "fast"},
		{"unknown peer", []string{"bench", file("relu.onnx"), "--peer", "abacus"}, exitUsage, "abacus"},
		{"unknown set of layers", []string{"bench", "kernels", "--set", "alexnet"}, exitUsage, "alexnet"},
		{"unknown family", []string{"bench", "kernels", "--family", "fft"}, exitUsage, "fft"},
		{"bad product", []string{"bench", "kernels", "--shape", "3,4"}, exitUsage, "M,K,N"},
		{"bad fraction of zeros", []string{"bench", "kernels", "--shape", "3,4,5", "--sparsity", "90"}, exitUsage, "--sparsity"},
		{"bad pattern", []string{"bench", "kernels", "--shape", "3,4,5", "--nm", "4:2"}, exitUsage, "--nm 4:2"},
		{"scattered percent", []string{"bench", "kernels", "--shape", "3,4,5", "--scatter", "2"}, exitUsage, "--scatter 2"},
		{"masks without a folder", []string{"bench", "kernels", "--set", "dlmc"}, exitUsage, "--masks"},
		{"two models", []string{"bench", file("relu.onnx"), file("relu.onnx")}, exitUsage, "one model"},
		{"bad matrix", []string{"bench", file("bad.smtx")}, exitFile, "bad.smtx"},
		{"folder without matrices", []string{"bench", file("nothing")}, exitFile, "nothing"},

		{"percent for a fraction", []string{"prune", file("lenet5.onnx"), "-o", file("out.onnx"), "--sparsity", "90"}, exitUsage, "0.9, not 90"},
		{"negative sparsity", []string{"prune", file("lenet5.onnx"), "-o", file("out.onnx"), "--sparsity=-1"}, exitUsage, "between 0 and 1"},
		{"NaN sparsity", []string{"prune", file("lenet5.onnx"), "-o", file("out.onnx"), "--sparsity=NaN"}, exitUsage, "between 0 and 1"},
		{"no sparsity", []string{"prune", file("lenet5.onnx"), "-o", file("out.onnx")}, exitUsage, "--sparsity"},
		{"unknown method", []string{"prune", file("lenet5.onnx"), "-o", file("out.onnx"), "--sparsity=0.5", "--method=guess"}, exitUsage, "magnitude"},
		{"unknown scope", []string{"prune", file("lenet5.onnx"), "-o", file("out.onnx"), "--sparsity=0.5", "--scope=cosmic"}, exitUsage, "global"},
		{"bad granularity", []string{"prune", file("lenet5.onnx"), "-o", file("out.onnx"), "--sparsity=0.5", "--granularity=4by1"}, exitUsage, "4x1"},
		{"nothing to prune", []string{"prune", file("relu.onnx"), "-o", file("out.onnx"), "--sparsity=0.5"}, exitUsage, "no constant"},
		{"no layer matches", []string{"prune", file("lenet5.onnx"), "-o", file("out.onnx"), "--sparsity=0.5", "--include=nope"}, exitUsage, "nope"},
		{"output into nowhere", []string{"prune", file("lenet5.onnx"), "-o", file("none/out.onnx"), "--sparsity=0.5"}, exitFile, "none"},

		{"sparsity and a budget", []string{"prune", "builtin:lenet5", "-o", file("out.onnx"), "--sparsity=0.5", "--budget=1ms"}, exitUsage, "--budget"},
		{"budget and drop", []string{"prune", "builtin:lenet5", "-o", file("out.onnx"), "--max-drop=1%", "--budget=1ms"}, exitUsage, "--max-drop"},
		{"budget without a unit", []string{"prune", "builtin:lenet5", "-o", file("out.onnx"), "--budget=10"}, exitUsage, "--budget"},
		{"negative budget", []string{"prune", "builtin:lenet5", "-o", file("out.onnx"), "--budget=-1ms"}, exitUsage, "--budget -1ms"},
		{"budget out of reach", []string{"prune", "builtin:lenet5", "-o", file("out.onnx"), "--budget=1ns", "--runs=1"}, exitUsage, "cannot be reached"},
		{"budget and scope", []string{"prune", "builtin:lenet5", "-o", file("out.onnx"), "--budget=1ms", "--scope=local"}, exitUsage, "--scope or --floor with --budget"},
		{"budget without weights", []string{"prune", file("relu.onnx"), "-o", file("out.onnx"), "--budget=1ms"}, exitUsage, "no constant"},
		{"drop in words", []string{"prune", "builtin:lenet5", "-o", file("out.onnx"), "--max-drop=little"}, exitUsage, "--max-drop little"},
		{"drop of all", []string{"prune", "builtin:lenet5", "-o", file("out.onnx"), "--max-drop=100%"}, exitUsage, "--max-drop 100%"},
		{"falling sparsities", []string{"sweep", "builtin:lenet5", "--sparsities=0.9,0.5"}, exitUsage, "--sparsities"},
		{"sparsities in per cent", []string{"sweep", "builtin:lenet5", "--sparsities=90"}, exitUsage, "--sparsities"},
		{"sweep of no weights", []string{"sweep", file("relu.onnx")}, exitUsage, "no constant"},
		{"sweep of no layer", []string{"sweep", "builtin:lenet5", "--include=nope"}, exitUsage, "nope"},
		{"sweep on no data", []string{"sweep", "builtin:lenet5", "--data", file("none.npz")}, exitFile, "none.npz"},
		{"sweep on garbage", []string{"sweep", "builtin:lenet5", "--data", file("garbage.npy")}, exitFile, "garbage.npy"},
		{"sweep on an empty folder", []string{"sweep", "builtin:lenet5", "--data", file("nothing")}, exitUsage, "no .npy, .pb, .png or .jpg file in it"},
		{"sweep on data of another rank", []string{"sweep", "builtin:lenet5", "--data", file("four.npy")}, exitUsage, "does not fit input"},
		{"labels without data", []string{"sweep", "builtin:lenet5", "--labels", file("four.npy")}, exitUsage, "--labels"},
		{"page into nowhere", []string{"sweep", "builtin:lenet5", "--sparsities=0.5", "--examples=1", "--html", file("none/x.html")}, exitFile, "none"},

		{"missing input", []string{"run", file("relu.onnx")}, exitUsage, "x float32 1x4"},
		{"unknown input", []string{"run", file("relu.onnx"), "-i", "z=" + file("four.npy")}, exitUsage, "x float32 1x4"},
		{"input twice", []string{"run", file("relu.onnx"), "-i", file("four.npy"), "-i", "x=" + file("four.npy")}, exitUsage, "second"},
		{"wrong input shape", []string{"run", file("relu.onnx"), "-i", file("five.npy")}, exitUsage, "1x5"},
		{"wrong raw size", []string{"run", file("relu.onnx"), "-i", file("five.bin")}, exitUsage, "20 bytes"},
		{"input file missing", []string{"run", file("relu.onnx"), "-i", file("six.npy")}, exitFile, "six.npy"},
		{"garbage for an array", []string{"run", file("relu.onnx"), "-i", file("garbage.npy")}, exitFile, "garbage.npy"},
		{"garbage for a tensor", []string{"run", file("relu.onnx"), "-i", file("picture.onnx")}, exitUsage, "picture.onnx"},
		{"a picture for a vector", []string{"run", file("relu.onnx"), "-i", file("picture.png")}, exitUsage, "picture"},
		{"unknown output", []string{"run", file("relu.onnx"), "-i", file("four.npy"), "-o", "z=" + file("z.npy")}, exitUsage, "y float32 1x4"},
		{"output file nowhere", []string{"run", file("relu.onnx"), "-i", file("four.npy"), "-o", file("none/y.npy")}, exitFile, "none"},

		{"no cases", []string{"verify", file("nothing")}, exitFile, "nothing"},
		{"no folder", []string{"verify", file("none")}, exitFile, "none"},
		{"no argument", []string{"verify"}, exitUsage, "DIR"},
		{"no manifest", []string{"verify", "--manifest", file("nothing")}, exitFile, "manifest.json"},
		{"negative tolerance", []string{"verify", "--rtol=-1", dir}, exitUsage, "--rtol"},
		{"JSON into nowhere", []string{"cpu", "--json", file("none/cpu.json")}, exitFile, "none"},
		{"export of no network", []string{"export", "alexnet", "-o", file("out.onnx")}, exitUsage, "alexnet"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := command(t, test.args...)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			line, ok := strings.CutSuffix(stderr, "\n")
			if !ok || strings.Contains(line, "\n") || !strings.HasPrefix(line, "nnz: ") {
				t.Errorf("standard error is not one line: %q", stderr)
			}
			if !strings.Contains(line, test.says) {
				t.Errorf("the line is %q, want one with %q", line, test.says)
			}
			if stdout != "" {
				t.Errorf("standard output is %q", stdout)
			}
		})
	}
	left, err := filepath.Glob(file("*out*"))
	if err != nil || len(left) > 0 {
		t.Errorf("files were left behind: %v, %v", left, err)
	}
}

// TestBenchImpose measures a model as it would be pruned: as the builtin network
// that is pruned so, of the same name.
func TestBenchImpose(t *testing.T) {
	for _, spec := range []string{"0.9", "0.9:4x1", "2:4"} {
		sparsity := func(args ...string) (sparsity float64, imposed string) {
			var r bench.Report
			out := succeed(t, append([]string{"bench", "--runs=1", "--json=-"}, args...)...)
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				t.Fatal(err)
			}
			return r.Sparsity, r.Imposed
		}
		want, none := sparsity("builtin:lenet5@" + spec)
		got, imposed := sparsity("builtin:lenet5", "--impose", spec)
		if got != want || got == 0 || imposed != spec || none != "" {
			t.Errorf("%s: %v zeros imposed as %q, want %v; %q of what is pruned already", spec, got, imposed, want, none)
		}
		if out := succeed(t, "bench", "builtin:lenet5", "--runs=1", "--impose", spec); !strings.Contains(out, "accuracy is not considered") {
			t.Errorf("%s: nothing about accuracy in %s", spec, out)
		}
	}
}

func TestUnknownISAInTheEnvironment(t *testing.T) {
	t.Setenv("NNZ_ISA", "mmx")
	for _, args := range [][]string{{"cpu"}, {"bench", "builtin:lenet5"}} {
		code, _, stderr := command(t, args...)
		if code != exitUsage || !strings.Contains(stderr, "NNZ_ISA") {
			t.Errorf("%v: exit code %d, %q", args, code, stderr)
		}
	}
}

func TestInspectUnsupported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "unknown.onnx")
	saveModel(t, path, tiny("FrobnicateTensor"))
	code, stdout, stderr := command(t, "inspect", path)
	if code != exitUnsupported || !strings.Contains(stdout, "x float32") || !strings.Contains(stderr, "FrobnicateTensor") {
		t.Errorf("exit code %d, printed %q and %q", code, stdout, stderr)
	}
}

func TestInspectOps(t *testing.T) {
	out := succeed(t, "inspect", "--ops")
	for _, want := range []string{"LayerNormalization", "Upsample", "RandomNormal"} {
		if !strings.Contains(out, want) {
			t.Errorf("the list of operators lacks %s", want)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"-h"}} {
		out := succeed(t, args...)
		for _, name := range []string{"inspect", "prune", "sweep", "run", "bench", "verify", "export", "cpu", "demo"} {
			if !strings.Contains(out, "\n  "+name) {
				t.Errorf("the help for %v lacks %s", args, name)
			}
		}
	}
	if out := succeed(t, "prune", "--help"); !strings.Contains(out, "--sparsity") {
		t.Errorf("the help of a command lacks its flags: %s", out)
	}
	if out := succeed(t, "--version"); !strings.HasPrefix(out, "nnz ") {
		t.Errorf("--version prints %q", out)
	}
}

func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	// Nobody has the time to find out what is wrong with it.
	broken := filepath.Join(t.TempDir(), "broken.onnx")
	if err := os.WriteFile(broken, []byte("not a model"), 0o666); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, args := range [][]string{
		{"bench", "builtin:lenet5"},
		{"demo"},
		{"inspect", "builtin:lenet5"},
		{"inspect", broken},
		{"shrink", broken, "-o", filepath.Join(dir, "out.onnx")},
		{"export", "lenet5", "-o", filepath.Join(dir, "out.onnx")},
		{"prune", "builtin:lenet5", "--sparsity=0.5", "-o", filepath.Join(dir, "out.onnx")},
		{"prune", "builtin:lenet5", "--max-drop=1%", "-o", filepath.Join(dir, "out.onnx")},
		{"sweep", "builtin:lenet5"},
	} {
		var stderr bytes.Buffer
		if code := run(ctx, args, io.Discard, &stderr); code != exitInterrupted || stderr.String() != "nnz: interrupted\n" {
			t.Errorf("%v: exit code %d, %q", args, code, stderr.String())
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("files were left behind: %v, %v", files, err)
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	saveModel(t, file("relu.onnx"), tiny("Relu"))
	saveFloats(t, file("x.npy"), []int{1, 4}, []float32{-1, 0, 1, 2})
	want := []float32{0, 0, 1, 2}

	// Each format is written by one run and read by the next.
	in := file("x.npy")
	for _, out := range []string{"y.npy", "y.pb", "y.bin"} {
		succeed(t, "run", file("relu.onnx"), "-i", "x="+in, "-o", "y="+file(out))
		got, err := (&runCmd{}).read(file(out), tiny("Relu").Outputs[0])
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range got.Floats() {
			if v != want[i] {
				t.Errorf("%s holds %v, want %v", out, got.Floats(), want)
				break
			}
		}
		in = file(out)
	}

	var r runReport
	if err := json.Unmarshal([]byte(succeed(t, "run", file("relu.onnx"), "-i", in, "--json", "-", "--top", "2")), &r); err != nil {
		t.Fatal(err)
	}
	o := r.Outputs[0]
	if o.Min != 0 || o.Max != 2 || o.Mean != 0.75 || len(r.Top) != 1 || r.Top[0][0].Index != 3 || r.Top[0][1].Index != 2 {
		t.Errorf("got %+v", r)
	}
}

// TestCompile writes a .nnz file, which is then a model like any other.
func TestCompile(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	saveFloats(t, file("x.npy"), []int{1, 1, 28, 28}, make([]float32, 28*28))
	network := "builtin:lenet5@0.9"
	if got := succeed(t, "compile", network, "-o", file("lenet5.nnz"), "--threads", "2"); !strings.Contains(got, "2 threads") {
		t.Errorf("compile printed %q", got)
	}
	succeed(t, "compile", file("lenet5.nnz"), "-o", file("again.nnz"), "--json", file("report.json"))
	want := succeed(t, "run", network, "-i", file("x.npy"), "--json", "-")
	for _, name := range []string{"lenet5.nnz", "again.nnz"} {
		if got := succeed(t, "run", file(name), "-i", file("x.npy"), "--json", "-"); got != want {
			t.Errorf("%s gives\n%s\nnot\n%s", name, got, want)
		}
	}
	var layers [2]struct {
		Layers []struct{ Name, Format, Kernel string }
	}
	for i, name := range []string{network, file("lenet5.nnz")} {
		if err := json.Unmarshal([]byte(succeed(t, "inspect", name, "--json", "-")), &layers[i]); err != nil {
			t.Fatal(err)
		}
	}
	if len(layers[0].Layers) == 0 || !slices.Equal(layers[0].Layers, layers[1].Layers) {
		t.Errorf("inspect shows %+v, and of the .nnz file %+v", layers[0], layers[1])
	}
	succeed(t, "bench", file("lenet5.nnz"), "--runs", "2", "--json", file("bench.json"))
	succeed(t, "prune", file("lenet5.nnz"), "--sparsity", "0.95", "-o", file("pruned.onnx"))
	whole, err := os.ReadFile(file("lenet5.nnz"))
	if err != nil {
		t.Fatal(err)
	}
	whole[len(whole)/2] ^= 4
	saveBytes(t, file("damaged.nnz"), whole)
	if code, _, stderr := command(t, "run", file("damaged.nnz"), "-i", file("x.npy")); code != exitFile || !strings.Contains(stderr, "damaged.nnz: at byte 0: the file is damaged") {
		t.Errorf("a damaged file: exit code %d, %s", code, stderr)
	}
}

func TestPrune(t *testing.T) {
	dir := t.TempDir()
	for _, flags := range [][]string{{}, {"--sparse-initializers"}} {
		out := filepath.Join(dir, "pruned.onnx")
		args := append([]string{"prune", "builtin:lenet5", "--sparsity=0.9", "--json", filepath.Join(dir, "report.json"), "-o", out}, flags...)
		succeed(t, args...)
		var report struct {
			Sparsity float64 `json:"sparsity"`
		}
		text, err := os.ReadFile(filepath.Join(dir, "report.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &report); err != nil {
			t.Fatal(err)
		}
		var r struct {
			Parameters, Zeros int
			Layers            []struct{ Sparsity float64 }
		}
		if err := json.Unmarshal([]byte(succeed(t, "inspect", out, "--json", "-")), &r); err != nil {
			t.Fatal(err)
		}
		if got := ratio(r.Zeros, r.Parameters); report.Sparsity < 0.8999 || got < 0.898 || got > 0.9 || len(r.Layers) != 4 {
			t.Errorf("%v: the report says %v, the file has %d zeros of %d parameters in %d layers", flags, report.Sparsity, r.Zeros, r.Parameters, len(r.Layers))
		}
	}
}

// TestBench holds the names of fields that scripts read.
func TestBench(t *testing.T) {
	var r map[string]any
	out := succeed(t, "bench", "builtin:lenet5@0.9", "--runs", "3", "--threads", "1", "--json", "-")
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"model", "isa", "threads", "batch", "sparsity", "dense", "sparse", "speedup", "max_abs_diff", "model_bytes", "packed_bytes", "peak_bytes", "layers"} {
		if r[field] == nil {
			t.Errorf("no field %s in %s", field, out)
		}
	}
	if r["model"] != "builtin:lenet5@0.9" || r["threads"] != 1. || r["batch"] != 1. || r["max_abs_diff"].(float64) > 1e-4 {
		t.Errorf("got %s", out)
	}
	table := succeed(t, "bench", "builtin:lenet5@0.9", "--runs", "3")
	for _, text := range []string{"conv2", "50 x 500 x 64", "90.0 %", "median ms"} {
		if !strings.Contains(table, text) {
			t.Errorf("the table lacks %q:\n%s", text, table)
		}
	}
}

func TestBenchProfile(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace.json")
	flags := []string{"bench", "builtin:lenet5@0.9", "--profile", "--runs", "3", "--threads", "1", "--trace", trace}
	table := succeed(t, flags...)
	for _, text := range []string{"conv2", "500 x 800 x 1", "of bound", "the costliest", "waterfall", "ideal", "a whole run"} {
		if !strings.Contains(table, text) {
			t.Errorf("the table lacks %q:\n%s", text, table)
		}
	}
	var r bench.Profile
	if err := json.Unmarshal([]byte(succeed(t, append(flags, "--mode", "dense", "--json", "-")...)), &r); err != nil {
		t.Fatal(err)
	}
	if r.Model != "builtin:lenet5@0.9" || r.Mode != "dense" || len(r.Steps) == 0 || len(r.Waterfall) == 0 || r.Limits.ISA != r.ISA {
		t.Errorf("got %+v", r)
	}
	var events struct {
		TraceEvents []struct{ Ph string }
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &events); err != nil {
		t.Fatal(err)
	}
	steps := 0
	for _, e := range events.TraceEvents {
		if e.Ph == "X" {
			steps++
		}
	}
	if steps != len(r.Steps) {
		t.Errorf("the trace has %d steps, the plan %d: %s", steps, len(r.Steps), text)
	}
}

func TestBenchBreakEven(t *testing.T) {
	flags := []string{"bench", "builtin:lenet5@0.9", "--break-even", "--runs", "2", "--threads", "1"}
	table := succeed(t, flags...)
	for _, text := range []string{"90.0 %", "95.0 %", "auto at worst"} {
		if !strings.Contains(table, text) {
			t.Errorf("the table lacks %q:\n%s", text, table)
		}
	}
	var r bench.BreakEven
	if err := json.Unmarshal([]byte(succeed(t, append(flags, "--json", "-")...)), &r); err != nil {
		t.Fatal(err)
	}
	if r.Model != "builtin:lenet5@0.9" || len(r.Rungs) != 2 {
		t.Errorf("got %+v", r)
	}
}

func TestBenchMatrices(t *testing.T) {
	dir := t.TempDir()
	// Two rows of four columns with three nonzeros, as row pointers and columns.
	saveBytes(t, filepath.Join(dir, "small.smtx"), []byte("2, 4, 3\n0 1 3\n2 0 3\n"))
	var r []struct {
		File     string
		M, K, N  int
		Sparsity float64
		Speedup  float64
	}
	out := succeed(t, "bench", dir, "--columns", "16", "--runs", "3", "--json", "-")
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if len(r) != 1 || r[0].M != 2 || r[0].K != 4 || r[0].N != 16 || r[0].Sparsity != 0.625 || r[0].Speedup <= 0 {
		t.Errorf("got %+v", r)
	}
}

func TestVerify(t *testing.T) {
	dir := t.TempDir()
	x, y := graph.FromFloats([]int{1, 4}, []float32{-1, 0, 1, 2}), graph.FromFloats([]int{1, 4}, []float32{0, 0, 1, 2})
	for name, op := range map[string]string{"good": "Relu", "bad": "Abs", "unknown": "FrobnicateTensor"} {
		set := filepath.Join(dir, name, "test_data_set_0")
		if err := os.MkdirAll(set, 0o777); err != nil {
			t.Fatal(err)
		}
		saveModel(t, filepath.Join(dir, name, "model.onnx"), tiny(op))
		for file, tensor := range map[string]*graph.Tensor{"input_0.pb": x, "output_0.pb": y} {
			if err := loader.WriteTensor(filepath.Join(set, file), "", tensor); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		cases []string
		code  int
		last  string
	}{
		{[]string{"good"}, exitDone, "1 passed, 0 failed, 0 skipped"},
		{[]string{"good", "unknown"}, exitDone, "1 passed, 0 failed, 1 skipped"},
		{[]string{"unknown"}, exitUnsupported, "0 passed, 0 failed, 1 skipped"},
		{[]string{"bad", "good", "unknown"}, exitFailed, "1 passed, 1 failed, 1 skipped"},
		{[]string{"."}, exitFailed, "1 passed, 1 failed, 1 skipped"},
	}
	for _, test := range tests {
		args := []string{"verify"}
		for _, name := range test.cases {
			args = append(args, filepath.Join(dir, name))
		}
		code, stdout, _ := command(t, args...)
		lines := strings.Split(strings.TrimSpace(stdout), "\n")
		if code != test.code || lines[len(lines)-1] != test.last {
			t.Errorf("%v: exit code %d, printed %q; want %d and %q last", test.cases, code, lines, test.code, test.last)
		}
	}
}

func TestExportedNetworkIsTheBuiltin(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lenet5.onnx")
	input := filepath.Join(t.TempDir(), "x.npy")
	pixels := make([]float32, 28*28)
	for i := range pixels {
		pixels[i] = float32(i%28) / 28
	}
	saveFloats(t, input, []int{1, 1, 28, 28}, pixels)
	succeed(t, "export", "builtin:lenet5@0.9", "-o", path)
	builtin := succeed(t, "run", "builtin:lenet5@0.9", "-i", input, "--json", "-")
	if file := succeed(t, "run", path, "-i", input, "--json", "-"); file != builtin {
		t.Errorf("the file computes %s, the network %s", file, builtin)
	}
}

func TestCPU(t *testing.T) {
	var r cpuReport
	if err := json.Unmarshal([]byte(succeed(t, "cpu", "--json", "-")), &r); err != nil {
		t.Fatal(err)
	}
	families := make(map[string]int)
	for _, k := range r.Kernels {
		if k.Chosen && k.ISA == r.ISA && k.Runs {
			families[k.Family]++
		}
	}
	if r.Cores < 1 || families["spmm"] == 0 || families["spmv"] == 0 || families["vec"] == 0 {
		t.Errorf("got %+v", r)
	}
}

func TestFormatting(t *testing.T) {
	for got, want := range map[string]string{
		count(0): "0", count(999): "999", count(1000): "1,000", count(25557032): "25,557,032", count(-1000): "-1,000",
		size(1023): "1023 B", size(1024): "1.0 KiB", size(102552000): "97.8 MiB", size(5 << 40): "5120.0 GiB",
		percent(0.9): "90.0 %", plural(1, "node"): "1 node", plural(2000, "node"): "2,000 nodes",
		shape(nil): "scalar", shape([]int{64, 3, 7, 7}): "64x3x7x7",
		shorten("abcdefgh", 8): "abcdefgh", shorten("abcdefghi", 8): "abcd…ghi",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
