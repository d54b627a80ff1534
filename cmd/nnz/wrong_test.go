package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/npy"
	"github.com/nnz-dev/nnz/kernels/isa"
)

// open is tiny with a batch that the model leaves open.
func open(op string) *graph.Model {
	m := tiny(op)
	m.Inputs[0].Shape[0] = graph.Dim{Symbol: "batch"}
	m.Outputs[0].Shape = nil
	return m
}

// two is a model of two inputs, y = a + b.
func two() *graph.Model {
	m := tiny("Add")
	m.Inputs = []*graph.Value{
		{Name: "a", DType: graph.Float32, Shape: graph.Dims(1, 4)},
		{Name: "b", DType: graph.Float32, Shape: graph.Dims(1, 4)},
	}
	m.Nodes[0].Inputs = []string{"a", "b"}
	return m
}

// linear is a model of one weight.
func linear(rows int) *graph.Model {
	m := tiny("MatMul")
	m.Nodes[0].Inputs = []string{"x", "w"}
	m.Weights = map[string]*graph.Tensor{"w": graph.FromFloats([]int{rows, 4}, make([]float32, 4*rows))}
	return m
}

// external is an ONNX file whose weight is in the file at location.
func external(t *testing.T, location string) []byte {
	t.Helper()
	field := func(num byte, body []byte) []byte { return append([]byte{num<<3 | 2, byte(len(body))}, body...) }
	path := filepath.Join(t.TempDir(), "model.onnx")
	saveModel(t, path, linear(4))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	entry := append(field(1, []byte("location")), field(2, []byte(location))...)
	tensor := slices.Concat([]byte{1 << 3, 4, 1 << 3, 4, 2 << 3, 1}, field(8, []byte("v")), field(13, entry), []byte{14 << 3, 1})
	return append(whole, field(7, field(5, tensor))...) // a message that comes twice is merged
}

// archiveOf is a zip file.
func archiveOf(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, data := range files {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestWrongUse holds what a person reads who has taken a wrong file or a wrong
// flag: which file, which node, what was expected, what to do. $ is the folder
// of the files.
func TestWrongUse(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	t.Setenv(isa.Env, "")
	for name, m := range map[string]*graph.Model{
		"relu.onnx": tiny("Relu"), "open.onnx": open("Relu"), "two.onnx": two(), "linear.onnx": linear(4), "misfit.onnx": linear(5),
		"unknown.onnx": tiny("FrobnicateTensor"),
	} {
		saveModel(t, file(name), m)
	}
	old := tiny("Gelu") // which came with operator set 20
	saveModel(t, file("old.onnx"), old)
	foreign := tiny("Scaler")
	foreign.Nodes[0].Domain, foreign.Opset = "ai.onnx.ml", map[string]int{"": 17, "ai.onnx.ml": 3}
	saveModel(t, file("foreign.onnx"), foreign)
	succeed(t, "export", "lenet5", "-o", file("lenet5.onnx"))
	succeed(t, "compile", "builtin:lenet5@0.9", "-o", file("lenet5.nnz"))
	read := func(name string) []byte {
		b, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	compiled := read("lenet5.nnz")
	flipped := bytes.Clone(compiled)
	flipped[len(flipped)/2] ^= 1
	// A small file is one block, and ends with its checksum.
	summed := func(size int) string { return strconv.Itoa(size - 4) }
	array := func(typ npy.Type, data []byte, shape ...int) []byte {
		var b bytes.Buffer
		if err := npy.Encode(&b, npy.Array{Type: typ, Shape: shape, Data: data}); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for name, b := range map[string][]byte{
		"empty.onnx":   nil,
		"ancient.onnx": append([]byte{1 << 3, 2}, read("relu.onnx")...),
		"cut.onnx":     read("lenet5.onnx")[:100_000],
		"page.onnx":    []byte("<!DOCTYPE html>\n<html><body>Sign in</body></html>"),
		"pointer.onnx": []byte("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 102442450\n"),
		"torch.pt":     archiveOf(t, map[string][]byte{"model/data.pkl": []byte("\x80\x02")}),
		"graph.pb":     []byte("\x0a\x20\x0a\x01x\x12\x0bPlaceholder*\x0e\x0a\x05dtype\x12\x020\x01"),
		"cut.nnz":      compiled[:len(compiled)/2],
		"flipped.nnz":  flipped,
		"later.nnz":    bytes.Replace(compiled, []byte(`"version":"1"`), []byte(`"version":"2"`), 1),
		"lost.onnx":    external(t, "weights.bin"),
		"outside.onnx": external(t, "../weights.bin"),
		"four.npy":     array(npy.Float32, make([]byte, 16), 1, 4),
		"five.npy":     array(npy.Float32, make([]byte, 20), 1, 5),
		"ints.npy":     array(npy.Int64, make([]byte, 32), 1, 4),
		"pointer.npy":  []byte("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 144\n"),
		"other.npz":    archiveOf(t, map[string][]byte{"p.npy": array(npy.Float32, make([]byte, 16), 1, 4), "q.npy": array(npy.Float32, make([]byte, 16), 1, 4)}),
		"cut.npz":      archiveOf(t, map[string][]byte{"x.npy": array(npy.Float32, make([]byte, 16), 1, 4)})[:60],
		"five.bin":     make([]byte, 20),
		"picture.png":  []byte("\x89PNG\r\n\x1a\nand no more"),
		"picture.jpg":  []byte("no picture"),
	} {
		saveBytes(t, file(name), b)
	}
	saveModel(t, file("image.onnx"), func() *graph.Model {
		m := tiny("Relu")
		m.Inputs[0].Shape = graph.Dims(1, 3, 4, 4)
		m.Outputs[0].Shape = graph.Dims(1, 3, 4, 4)
		return m
	}())
	if err := os.Mkdir(file("folder"), 0o777); err != nil {
		t.Fatal(err)
	}

	tests := []struct {
		args string // with spaces between
		code int
		want string
	}{
		{"inspect $/none.onnx", exitFile, `stat $/none.onnx: no such file or directory`},
		{"inspect $/folder", exitFile, `$/folder: a folder, expected an ONNX or .nnz file`},
		{"inspect $/empty.onnx", exitFile, `$/empty.onnx: at byte 0: expected an ONNX model, the file is empty`},
		{"inspect $/cut.onnx", exitFile, `$/cut.onnx: at byte 8: field 7 has 1725786 bytes, but only 99989 are left: the file is cut off or damaged`},
		{"inspect $/page.onnx", exitFile, `$/page.onnx: expected an ONNX or .nnz model, got a web page: download the file itself, such as by the link named raw`},
		{"inspect $/pointer.onnx", exitFile, `$/pointer.onnx: expected an ONNX or .nnz model, got a Git LFS pointer, which stands for the file: run git lfs pull in its repository`},
		{"inspect $/torch.pt", exitFile, `$/torch.pt: expected an ONNX or .nnz model, got a PyTorch file: export it to ONNX with torch.onnx.export`},
		{"inspect $/graph.pb", exitFile, `$/graph.pb: expected an ONNX or .nnz model, got a TensorFlow file: convert it to ONNX with tf2onnx`},
		{"inspect $/four.npy", exitFile, `$/four.npy: expected an ONNX or .nnz model, got a NumPy array`},
		{"inspect $/cut.nnz", exitFile, `$/cut.nnz: at byte 0: the file is damaged: its checksum does not fit the ` + summed(len(compiled)/2) + ` bytes from here on; copy it again, or write it with nnz compile`},
		{"inspect $/flipped.nnz", exitFile, `$/flipped.nnz: at byte 0: the file is damaged: its checksum does not fit the ` + summed(len(compiled)) + ` bytes from here on; copy it again, or write it with nnz compile`},
		{"inspect $/later.nnz", exitFile, `$/later.nnz: at byte 8: expected version 1 of the .nnz format, got "2": write the file again with this version's nnz compile`},
		{"inspect $/lost.onnx", exitFile, `$/lost.onnx: at byte 161: external data of tensor "v": open $/weights.bin: no such file or directory`},
		{"inspect $/outside.onnx", exitFile, `$/outside.onnx: at byte 161: external data of tensor "v": location "../weights.bin", expected a path below the folder of the model`},
		{"inspect $/ancient.onnx", exitFile, `$/ancient.onnx: at byte 1: ONNX IR version 2, expected 3 or later`},
		{"run $/misfit.onnx -i $/four.npy", exitFile, `$/misfit.onnx: node MatMul "node": shapes [1 4] and [5 4] do not multiply`},
		{"run $/unknown.onnx -i $/four.npy", exitUnsupported, `$/unknown.onnx: unsupported node "node": FrobnicateTensor (opset 17): operator FrobnicateTensor is not supported (nnz inspect --ops lists what runs)`},
		{"run $/old.onnx -i $/four.npy", exitUnsupported, `$/old.onnx: unsupported node "node": Gelu (opset 17): version 17 of operator Gelu is not supported, only 20 and later (nnz inspect --ops lists what runs)`},
		{"run $/foreign.onnx -i $/four.npy", exitUnsupported, `$/foreign.onnx: unsupported node "node": ai.onnx.ml.Scaler (opset 3): no operator of domain "ai.onnx.ml" is supported (nnz inspect --ops lists what runs)`},
		{"bench $/unknown.onnx", exitUnsupported, `$/unknown.onnx: unsupported node "node": FrobnicateTensor (opset 17): operator FrobnicateTensor is not supported (nnz inspect --ops lists what runs)`},
		{"compile $/unknown.onnx -o $/out.nnz", exitUnsupported, `$/unknown.onnx: unsupported node "node": FrobnicateTensor (opset 17): operator FrobnicateTensor is not supported (nnz inspect --ops lists what runs)`},

		{"run $/relu.onnx", exitUsage, `no file for x float32 1x4: give each with -i NAME=FILE`},
		{"run $/two.onnx -i a=$/four.npy", exitUsage, `no file for b float32 1x4: give each with -i NAME=FILE`},
		{"run $/two.onnx -i $/four.npy", exitUsage, `input $/four.npy: expected NAME=FILE with the name of one of the model's inputs: a float32 1x4, b float32 1x4`},
		{"run $/relu.onnx -i z=$/four.npy", exitUsage, `input z=$/four.npy: expected NAME=FILE with the name of one of the model's inputs: x float32 1x4`},
		{"run $/relu.onnx -i x=$/none.npy", exitFile, `stat $/none.npy: no such file or directory`},
		{"run $/relu.onnx -i $/ints.npy", exitUsage, `$/ints.npy does not fit input x float32 1x4: it holds int64`},
		{"run $/relu.onnx -i $/five.npy", exitUsage, `$/five.npy does not fit input x float32 1x4: it has shape 1x5`},
		{"run $/relu.onnx -i $/five.bin", exitUsage, `$/five.bin holds 20 bytes, which as raw float32 do not fit input x float32 1x4: expected 16 bytes`},
		{"run $/relu.onnx -i $/pointer.npy", exitFile, `$/pointer.npy: expected a NumPy array, got a Git LFS pointer, which stands for the file: run git lfs pull in its repository`},
		{"run $/relu.onnx -i $/other.npz", exitUsage, `$/other.npz: no array "x", there are ["p" "q"]`},
		{"run $/relu.onnx -i $/cut.npz", exitFile, `$/cut.npz: at byte 0: expected an archive of arrays, got one that is cut off or damaged: zip: not a valid zip file`},
		{"run $/image.onnx -i $/picture.png", exitFile, `$/picture.png: expected a PNG or JPEG picture: unexpected EOF`},
		{"run $/image.onnx -i $/picture.jpg", exitFile, `$/picture.jpg: expected a PNG or JPEG picture: image: unknown format`},
		{"run $/relu.onnx -i $/picture.png", exitUsage, `$/picture.png: a picture does not fit input x float32 1x4: it takes a float32 tensor of four extents`},
		{"run $/relu.onnx -i $/four.npy -o z=$/out.npy", exitUsage, `output z=$/out.npy: expected NAME=FILE with the name of one of the model's outputs: y float32 1x4`},
		{"run $/relu.onnx -i $/four.npy --top 5 -o $/relu.onnx", exitUsage, `$/relu.onnx: that is the model itself, expected another file to write to`},
		{"run $/relu.onnx -i $/four.npy --top=-1", exitUsage, `--top -1: expected a positive number`},

		{"inspect $/open.onnx --dim bacth=8", exitUsage, `--dim bacth: no such extent, the model's inputs are x float32 batchx4`},
		{"inspect $/open.onnx --dim batch=0", exitUsage, `--dim batch=0: expected a positive number`},
		{"inspect $/open.onnx --shape z=1x4", exitUsage, `--shape z=1x4: no such input, the model's inputs are x float32 batchx4`},
		{"inspect $/open.onnx --shape x=1xfour", exitUsage, `--shape x=1xfour: expected NAME=1x3x224x224`},
		{"inspect $/open.onnx --shape x=4", exitUsage, `--shape x=4: expected 2 extents of input x float32 batchx4`},

		{"prune $/lenet5.onnx -o $/out.onnx --sparsity 90", exitUsage, `--sparsity 90: expected a fraction: 0.9, not 90`},
		{"prune $/lenet5.onnx -o $/out.onnx --sparsity=-1", exitUsage, `--sparsity -1: expected a fraction between 0 and 1, such as 0.9`},
		{"prune $/lenet5.onnx -o $/out.onnx --sparsity 0.9 --granularity 4by1", exitUsage, `granularity "4by1": expected weight, a block of outputs x inputs such as 4x1, a pattern such as 2:4, row, filter, column, channel, head, head:SIZE or dim:AXIS`},
		{"prune $/lenet5.onnx -o $/out.onnx --sparsity 0.9 --include conv9", exitUsage, `none of the 4 layers matches include ["conv9"] without exclude []`},
		{"prune $/lenet5.onnx -o $/none/out.onnx --sparsity 0.9", exitFile, `create a temporary file for $/none/out.onnx: no such file or directory`},
		{"prune $/lenet5.onnx -o $/folder --sparsity 0.9", exitFile, `open $/folder: is a directory`},

		{"compile $/lenet5.onnx -o $/none/out.nnz", exitFile, `create a temporary file for $/none/out.nnz: no such file or directory`},
		{"compile $/lenet5.onnx -o $/folder", exitFile, `open $/folder: is a directory`},
		{"compile $/lenet5.onnx -o $/lenet5.onnx", exitUsage, `$/lenet5.onnx: that is the model itself, expected another file to write to`},
		{"prune $/lenet5.onnx -o $/lenet5.onnx --sparsity 0.5", exitUsage, `$/lenet5.onnx: that is the model itself, expected another file to write to`},
		{"prune $/lenet5.onnx -o $/lenet5.onnx --sparsity 0.5 --granularity channel", exitUsage, `$/lenet5.onnx: that is the model itself, expected another file to write to`},
		{"shrink $/lenet5.onnx -o $/lenet5.onnx", exitUsage, `$/lenet5.onnx: that is the model itself, expected another file to write to`},
		{"export builtin:resnet51 -o $/out.onnx", exitUsage, `builtin:resnet51: no such network, there are lenet5, resnet50, mobilenet_v1, mobilenet_v2, vgg16, bert_base_128, vit_b_16`},
		{"inspect builtin:resnet51", exitUsage, `builtin:resnet51: no such network, there are lenet5, resnet50, mobilenet_v1, mobilenet_v2, vgg16, bert_base_128, vit_b_16`},
		{"inspect builtin:lenet5@90", exitUsage, `builtin:lenet5@90: sparsity "90": expected a fraction between 0 and 1, such as 0.9`},
		{"inspect builtin:lenet5@0.9:4by1", exitUsage, `builtin:lenet5@0.9:4by1: granularity "4by1": expected weight, a block of outputs x inputs such as 4x1, a pattern such as 2:4, row, filter, column, channel, head, head:SIZE or dim:AXIS`},
		{"frobnicate", exitUsage, `unexpected argument frobnicate (see nnz --help)`},
		{"inspect --frobnicate $/relu.onnx", exitUsage, `unknown flag --frobnicate (see nnz --help)`},
		{"bench $/relu.onnx --isa mmx", exitUsage, `isa: unknown instruction set "mmx": want one of auto, generic, avx2, avx512, neon`},
		{"bench $/relu.onnx --threads=-2", exitUsage, `--threads -2: expected a positive number`},
		{"bench $/relu.onnx --threads two", exitUsage, `--threads: expected a valid 64 bit int but got "two" (see nnz --help)`},
		{"bench $/relu.onnx --mode fast", exitUsage, `--mode must be one of "auto","dense","sparse" but got "fast" (see nnz --help)`},
		{"cpu --json $/none/cpu.json", exitFile, `create a temporary file for $/none/cpu.json: no such file or directory`},
		{"cpu --json $/folder", exitFile, `open $/folder: is a directory`},
		{"verify $/folder", exitFile, `$/folder: no case there, expected a folder of model.onnx and test_data_set_0, or one that holds such folders`},
		{"verify $/relu.onnx", exitFile, `$/relu.onnx: no case there, expected a folder of model.onnx and test_data_set_0, or one that holds such folders`},
		{"NNZ_ISA=mmx bench $/relu.onnx", exitUsage, `NNZ_ISA: isa: unknown instruction set "mmx": want one of auto, generic, avx2, avx512, neon`},
	}
	for _, i := range []isa.ISA{isa.AVX512, isa.NEON} { // no CPU has both
		if err := i.Check(); err != nil {
			lacks := tests[0]
			lacks.args, lacks.code, lacks.want = fmt.Sprintf("bench $/relu.onnx --isa %s", i), exitUsage, err.Error()
			tests = append(tests, lacks)
		}
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			args := strings.Fields(strings.ReplaceAll(test.args, "$", dir))
			if env, ok := strings.CutPrefix(args[0], isa.Env+"="); ok {
				t.Setenv(isa.Env, env)
				args = args[1:]
			}
			code, _, stderr := command(t, args...)
			got := strings.ReplaceAll(strings.TrimPrefix(strings.TrimSuffix(stderr, "\n"), "nnz: "), dir, "$")
			if code != test.code || got != test.want {
				t.Errorf("exit code %d, want %d\n%s\nwant\n%s", code, test.code, got, test.want)
			}
		})
	}
}
