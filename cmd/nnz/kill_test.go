package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/loader"
)

// killedEnv names the file that a child of TestKilled writes to.
const killedEnv = "NNZ_TEST_KILLED"

// elementsKilled is how many elements an output of the model of TestKilled has.
const elementsKilled = 1 << 18

// written are the commands that TestKilled kills, by the file that they write,
// whose name they end with; DIR is its folder.
var written = map[string]string{
	"output.npy":        "run DIR/relu.onnx -i DIR/input.npy -o",
	"output.pb":         "run DIR/relu.onnx -i DIR/input.npy -o",
	"output.f32":        "run DIR/relu.onnx -i DIR/input.npy -o",
	"report.json":       "inspect builtin:lenet5 --json",
	"trace.json":        "bench builtin:lenet5 --profile --runs 1 --threads 1 --trace",
	"sweep.html":        "sweep builtin:lenet5 --sparsities 0.5 --examples 1 --html",
	"chart.svg":         "bench networks --from DIR/results.json --chart",
	"kernels.txt":       "bench kernels --shape 64,64,49 --sparsity 0.5 --runs 1 --benchfmt",
	"exported.onnx":     "export lenet5 -o",
	"compiled.nnz":      "compile builtin:lenet5 -o",
	"pruned.onnx":       "prune builtin:lenet5 --sparsity 0.5 -o",
	"shrunk.onnx":       "shrink builtin:lenet5 -o",
	"masks.npz":         "prune builtin:lenet5 --sparsity 0.5 -o DIR/masked.onnx --save-masks",
	"masks.safetensors": "prune builtin:lenet5 --sparsity 0.5 -o DIR/masked.onnx --save-masks",
}

// whole reads a file that a command of written writes.
func whole(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	ends := func(text string) error {
		if !bytes.HasSuffix(data, []byte(text)) {
			return fmt.Errorf("does not end with %q", text)
		}
		return nil
	}
	switch filepath.Ext(path) {
	case ".json":
		return json.Unmarshal(data, new(any))
	case ".html":
		return ends("</html>\n")
	case ".svg":
		return ends("</svg>\n")
	case ".txt":
		return ends("\n")
	case ".f32":
		if len(data) != 4*elementsKilled {
			err = fmt.Errorf("%d bytes", len(data))
		}
	case ".pb":
		_, _, err = loader.ReadTensor(path)
	case ".npy", ".npz":
		var f *loader.TensorFile
		if f, err = loader.ReadArrays(path, 0); err == nil {
			err = f.Close()
		}
	case ".safetensors":
		var f *loader.TensorFile
		if f, err = loader.ReadSafetensors(path); err == nil {
			err = f.Close()
		}
	default:
		_, err = loader.Load(context.Background(), path)
	}
	return err
}

// TestKilled kills commands while they write over a file: that must be the old
// one or the new one, whole. Another name of the old file shows what is written
// into instead of replaced, however short that takes.
func TestKilled(t *testing.T) {
	if path := os.Getenv(killedEnv); path != "" {
		writeForever(path)
	}
	if runtime.GOOS == "wasip1" {
		t.Skip("no processes")
	}
	dir := t.TempDir()
	model := tiny("Relu")
	model.Inputs[0].Shape, model.Outputs[0].Shape = graph.Dims(elementsKilled), graph.Dims(elementsKilled)
	saveModel(t, filepath.Join(dir, "relu.onnx"), model)
	saveFloats(t, filepath.Join(dir, "input.npy"), []int{elementsKilled}, make([]float32, elementsKilled))
	results, err := json.Marshal([]*bench.NetworkReport{{Network: "net", Cells: []bench.NetworkCell{{Engine: "nnz", Variant: "dense", Threads: 1, RatioPeer: 1}}}})
	if err != nil {
		t.Fatal(err)
	}
	saveBytes(t, filepath.Join(dir, "results.json"), results)

	left := 0
	for name := range written {
		path := filepath.Join(dir, name)
		kept := filepath.Join(t.TempDir(), name)
		saveBytes(t, path, []byte("old"))
		if err := os.Link(path, kept); err != nil {
			t.Fatal(err)
		}
		left += kill(t, path)
		if old, err := os.ReadFile(kept); err != nil || string(old) != "old" {
			t.Errorf("%s is written into: %d bytes, %v", name, len(old), err)
		}
		if got, err := os.ReadFile(path); err == nil && string(got) == "old" {
			continue
		}
		if err := whole(path); err != nil {
			t.Errorf("after a kill: %s: %v", name, err)
		}
	}
	if left == 0 {
		t.Error("no kill came while a file was written")
	}
	t.Logf("%d of %d kills came while a file was written", left, len(written))
}

// kill runs a child that writes a file, kills it soon after it has begun to, and
// returns how many temporary files that leaves.
func kill(t *testing.T, path string) int {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	child.Env = append(os.Environ(), killedEnv+"="+path)
	child.Stdout, child.Stderr = os.Stderr, os.Stderr
	before, temporary := stat(t, path), temporaries(t, path)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); temporaries(t, path) == temporary; {
		// What writes without a temporary file has begun when the file changes.
		if now := stat(t, path); now.Size() != before.Size() || now.ModTime() != before.ModTime() {
			break
		}
		if time.Now().After(end) {
			t.Errorf("%s is not written", path)
			break
		}
		time.Sleep(100 * time.Microsecond)
	}
	time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	return temporaries(t, path) - temporary
}

func stat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// temporaries counts the temporary files beside a file.
func temporaries(t *testing.T, path string) int {
	t.Helper()
	list, err := filepath.Glob(path + ".*.tmp")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// writeForever writes a file of written again and again.
func writeForever(path string) {
	dir, name := filepath.Split(path)
	var args []string
	for _, arg := range strings.Fields(written[name]) {
		args = append(args, strings.Replace(arg, "DIR/", dir, 1))
	}
	args = append(args, path)
	for {
		if code := run(context.Background(), args, io.Discard, os.Stderr); code != exitDone {
			os.Exit(code)
		}
	}
}
