package nnz_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz"
	"github.com/nnz-dev/nnz/bench/builtin"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime"
)

// bound returns the shapes of a model's inputs: those given, and others with 1
// for what the model leaves open.
func bound(m *nnz.Model, given map[string][]int) map[string][]int {
	shapes := make(map[string][]int)
	for _, in := range m.Inputs {
		shape := make([]int, len(in.Shape))
		for i, d := range in.Shape {
			if shape[i] = 1; d.Known() {
				shape[i] = d.Size
			}
		}
		shapes[in.Name] = shape
	}
	maps.Copy(shapes, given)
	return shapes
}

// outputs runs a model once and returns the bits of its outputs, by name.
func outputs(m *nnz.Model, c nnz.Config) (map[string][]uint64, error) {
	c.Shapes = bound(m, c.Shapes)
	plan, err := nnz.Compile(context.Background(), m, c)
	if err != nil {
		return nil, err
	}
	s := plan.NewSession()
	defer s.Close()
	for _, v := range plan.Inputs() {
		in, err := s.Input(v.Name)
		if err != nil {
			return nil, err
		}
		for i := range in.F {
			in.F[i] = float32(i%23)/8 - 1
		}
		for i := range in.I {
			in.I[i] = int64(i % 2)
		}
	}
	if err := s.Run(context.Background()); err != nil {
		return nil, err
	}
	bits := make(map[string][]uint64)
	for _, v := range m.Outputs {
		out, err := s.Output(v.Name)
		if err != nil {
			return nil, err
		}
		list := []uint64{}
		for _, v := range out.F {
			list = append(list, uint64(math.Float32bits(v)))
		}
		for _, v := range out.I {
			list = append(list, uint64(v))
		}
		bits[v.Name] = list
	}
	return bits, nil
}

func same(t *testing.T, what string, got, want map[string][]uint64) {
	t.Helper()
	for name, w := range want {
		if !slices.Equal(got[name], w) {
			t.Errorf("%s: output %q differs in bits", what, name)
		}
	}
}

// compiled writes a model as a .nnz file, packed for c, and opens it.
func compiled(t *testing.T, m *nnz.Model, c nnz.Config) (*loader.File, string) {
	t.Helper()
	packed, err := runtime.Pack(context.Background(), m, c)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.nnz")
	if err := loader.SaveCompiled(path, packed); err != nil {
		t.Fatal(err)
	}
	f, err := loader.Open(t.Context(), path, loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, path
}

// checkCompiled holds what a .nnz file of a model puts out against what the
// model does.
func checkCompiled(t *testing.T, m *nnz.Model, c nnz.Config) {
	t.Helper()
	want, err := outputs(m, c)
	if err != nil {
		t.Fatal(err)
	}
	c.Shapes = bound(m, c.Shapes)
	f, _ := compiled(t, m, c)
	got, err := outputs(f.Model, c)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "from .nnz", got, want)
}

func TestCompiledNetworks(t *testing.T) {
	names := []string{"lenet5", "lenet5@0.9:4x1", "mobilenet_v1@0.9", "mobilenet_v2@0.8:4x1"}
	if !testing.Short() {
		names = append(names, "resnet50", "resnet50@0.9", "resnet50@0.9:4x1", "bert_base_128@0.9", "vit_b_16@0.95", "vgg16@0.9")
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			m, err := builtin.Load(name)
			if err != nil {
				t.Fatal(err)
			}
			checkCompiled(t, m, nnz.Config{})
		})
	}
}

func TestCompiledModels(t *testing.T) {
	for _, dir := range []string{"exported", "trained", "models", "mlperf_tiny"} {
		files, err := filepath.Glob(filepath.Join(testdata.Dir(t), dir, "*", "model.onnx"))
		if err != nil || files == nil {
			t.Fatalf("no models in %s: %v", dir, err)
		}
		for _, file := range files {
			t.Run(dir+"/"+filepath.Base(filepath.Dir(file)), func(t *testing.T) {
				m, err := nnz.Load(t.Context(), file)
				if err != nil {
					t.Fatal(err)
				}
				c := nnz.Config{Shapes: make(map[string][]int)}
				inputs, err := filepath.Glob(filepath.Join(filepath.Dir(file), "test_data_set_0", "input_*.pb"))
				if err != nil {
					t.Fatal(err)
				}
				for i, input := range inputs {
					name, tensor, err := loader.ReadTensor(input)
					if err != nil {
						t.Fatal(err)
					}
					if !slices.ContainsFunc(m.Inputs, func(v *graph.Value) bool { return v.Name == name }) {
						name = m.Inputs[i].Name
					}
					c.Shapes[name] = tensor.Shape
				}
				checkCompiled(t, m, c)
			})
		}
	}
}

// TestCompiledElsewhere runs a .nnz file as it was not packed for.
func TestCompiledElsewhere(t *testing.T) {
	m, err := builtin.Load("lenet5@0.9:4x1")
	if err != nil {
		t.Fatal(err)
	}
	f, path := compiled(t, m, nnz.Config{Threads: 1})
	batch := map[string][]int{m.Inputs[0].Name: {3, 1, 28, 28}}
	for name, c := range map[string]nnz.Config{
		"two threads":  {Threads: 2},
		"dense":        {Mode: nnz.Dense},
		"sparse":       {Mode: nnz.Sparse},
		"a batch":      {Shapes: batch},
		"without qkv":  {SkipPasses: []string{"qkv"}},
		"no fusion":    {SkipPasses: []string{"epilogue", "batchnorm", "clamp"}},
		"generic code": {ISA: isa.Generic},
	} {
		want, err := outputs(m, c)
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := outputs(f.Model, c)
		if err != nil {
			t.Fatal(name, err)
		}
		same(t, name, got, want)
	}
	// The facade reads it, too; and versions that it does not know it packs anew.
	loaded, err := nnz.Load(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Packed == nil || len(loaded.Packed.Tensors) == 0 {
		t.Fatal("nothing is packed")
	}
	want, err := outputs(m, nnz.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []int{loaded.Packed.Version, 99} {
		loaded.Packed.Version = version
		got, err := outputs(loaded, nnz.Config{})
		if err != nil {
			t.Fatal(err)
		}
		same(t, fmt.Sprint("version ", version), got, want)
	}
}
