package loader

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nnz-dev/nnz/graph"
)

// killedEnv names the folder that a child of TestKilled writes to.
const killedEnv = "NNZ_TEST_KILLED"

// killedModel is a model whose weights all are v, of a size that takes a while to
// write.
func killedModel(v float32) *graph.Model {
	m := packedModel()
	for name, shape := range map[string][]int{"dense": {40, 64}, "large": {512, 1024}} {
		values := make([]float32, shape[0]*shape[1])
		for i := range values {
			values[i] = v
		}
		m.Weights[name] = graph.FromFloats(shape, values)
	}
	return m
}

// writers write the files that TestKilled kills the writing of, and read them:
// a reader returns the first weight of the file, and an error where they differ.
var writers = map[string]struct {
	write func(path string, m *graph.Model) error
	read  func(path string) (*graph.Tensor, error)
}{
	"model.onnx": {
		func(path string, m *graph.Model) error { return Save(path, m, SaveOptions{}) },
		readLarge,
	},
	"model.nnz": {SaveCompiled, readLarge},
	"weights.safetensors": {
		func(path string, m *graph.Model) error { return WriteSafetensors(path, m.Weights) },
		func(path string) (*graph.Tensor, error) {
			f, err := ReadSafetensors(path)
			if err != nil {
				return nil, err
			}
			return f.Tensors["large"], nil
		},
	},
	"arrays.npz": {
		func(path string, m *graph.Model) error { return WriteArrays(path, m.Weights) },
		func(path string) (*graph.Tensor, error) {
			f, err := ReadArrays(path, 0)
			if err != nil {
				return nil, err
			}
			return f.Tensors["large"], nil
		},
	},
	"tensor.pb": {
		func(path string, m *graph.Model) error { return WriteTensor(path, "large", m.Weights["large"]) },
		func(path string) (*graph.Tensor, error) {
			_, t, err := ReadTensor(path)
			return t, err
		},
	},
}

func readLarge(path string) (*graph.Tensor, error) {
	m, err := Load(context.Background(), path)
	if err != nil {
		return nil, err
	}
	return m.Weights["large"], nil
}

// TestKilled kills a process that does nothing but write files over, at any
// moment: each must be the old file or the new one, whole.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(killedEnv); dir != "" {
		writeForever(dir)
	}
	if runtime.GOOS == "wasip1" {
		t.Skip("no processes")
	}
	dir := t.TempDir()
	seen := make(map[float32]bool)
	for range 12 {
		before := temporary(t, dir) // what those left that were killed
		child := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		child.Env = append(os.Environ(), killedEnv+"="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); errors.Is(err, syscall.ENOEXEC) {
			t.Skip("an emulator runs this, which cannot run a child: ", err)
		} else if err != nil {
			t.Fatal(err)
		}
		// It says when all files have been written once.
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal("the child does not write: ", err)
		}
		for temporary(t, dir) <= before {
			time.Sleep(100 * time.Microsecond) // until it is in the middle of a file
		}
		time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait()
		for name, w := range writers {
			got, err := w.read(filepath.Join(dir, name))
			if err != nil {
				t.Errorf("after a kill: %v", err)
				continue
			}
			values := got.Floats()
			if len(values) != 512*1024 || !bytes.Equal(got.Raw()[4:], got.Raw()[:4*len(values)-4]) {
				t.Errorf("after a kill: %s is of two writings", name)
			}
			seen[values[0]] = true
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	left := 0
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".tmp") {
			left++
		} else if _, ok := writers[e.Name()]; !ok {
			t.Errorf("a file %s", e.Name())
		}
	}
	t.Logf("%d temporary files were left behind, %d versions seen", left, len(seen))
	if left == 0 {
		t.Error("no kill came while a file was written")
	}
}

// temporary counts the temporary files of a folder.
func temporary(t *testing.T, dir string) int {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.tmp"))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// writeForever writes all files again and again, of another content each time.
func writeForever(dir string) {
	for v := float32(1); ; v++ {
		m := killedModel(v)
		for name, w := range writers {
			if err := w.write(filepath.Join(dir, name), m); err != nil {
				panic(err)
			}
		}
		if v == 1 {
			os.Stdout.WriteString("!")
		}
	}
}
