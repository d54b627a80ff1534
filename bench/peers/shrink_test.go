package peers_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/bench/peers"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/prune"
	"github.com/nnz-dev/nnz/runtime"
)

// TestShrunkModelsInORT takes half of the channels out of models and has ONNX
// Runtime run the files: its outputs must be ours of the masked models.
func TestShrunkModelsInORT(t *testing.T) {
	modules := os.Getenv("NNZ_PEERS")
	if modules == "" {
		modules = filepath.Join("..", "..", "bin", "peers")
	}
	if _, err := os.Stat(filepath.Join(modules, "node_modules", "onnxruntime-node")); err != nil {
		t.Skip("no ONNX Runtime: make peers installs it, or NNZ_PEERS is the folder that has it")
	}
	for _, name := range []string{
		"exported/mha_block_tiny", "exported/mobilenet_v3_small_tiny", "exported/shufflenet_v2_tiny", "exported/swin_tiny",
		"models/llama_arch_260K", "trained/resnet8_dense.bn.opset17",
	} {
		t.Run(name, func(t *testing.T) {
			dir := testdata.Path(t, filepath.FromSlash(name))
			m, err := loader.Load(t.Context(), filepath.Join(dir, "model.onnx"))
			if err != nil {
				t.Fatal(err)
			}
			masked, _, err := prune.MaskChannels(t.Context(), m, prune.ChannelOptions{Sparsity: 0.5})
			if err != nil {
				t.Fatal(err)
			}
			small, _, err := prune.Shrink(masked, prune.ShrinkOptions{})
			if err != nil {
				t.Fatal(err)
			}
			tmp := t.TempDir()
			o := peers.ORT{Model: filepath.Join(tmp, "small.onnx"), Modules: modules, Threads: 1}
			if err := loader.Save(o.Model, small, loader.SaveOptions{}); err != nil {
				t.Fatal(err)
			}
			inputs := make(map[string]*graph.Tensor)
			var values []graph.Value
			for i, v := range m.Inputs {
				_, x, err := loader.ReadTensor(filepath.Join(dir, "test_data_set_0", fmt.Sprintf("input_%d.pb", i)))
				if err != nil {
					t.Fatal(err)
				}
				inputs[v.Name] = x
				values = append(values, graph.Value{Name: v.Name, DType: x.DType, Shape: graph.Dims(x.Shape...)})
				file := filepath.Join(tmp, fmt.Sprint(i))
				if err := os.WriteFile(file, x.Raw(), 0o600); err != nil {
					t.Fatal(err)
				}
				o.Files = append(o.Files, file)
			}
			got := ortOutput(t, o, values, filepath.Join(tmp, "out"))
			want := firstOutput(t, masked, inputs)
			if len(got) != len(want) {
				t.Fatalf("%d elements, expected %d", len(got), len(want))
			}
			largest, worst := 0.0, 0.0
			for i, x := range want {
				largest = max(largest, math.Abs(float64(x)))
				if d := math.Abs(float64(x) - float64(got[i])); !(d <= worst) {
					worst = d
				}
			}
			if !(worst <= 1e-4*largest) {
				t.Errorf("outputs differ by %g, the largest element is %g", worst, largest)
			}
		})
	}
}

// ortOutput runs a model in ONNX Runtime and returns its first output.
func ortOutput(t *testing.T, o peers.ORT, inputs []graph.Value, file string) []float32 {
	t.Helper()
	p, err := o.Start(t.Context(), inputs)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.(bench.Writer).Write(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[i*4:]))
	}
	return out
}

// firstOutput runs a model here.
func firstOutput(t *testing.T, m *graph.Model, inputs map[string]*graph.Tensor) []float32 {
	t.Helper()
	shapes := make(map[string][]int)
	for name, x := range inputs {
		shapes[name] = x.Shape
	}
	plan, err := runtime.Compile(context.Background(), m, runtime.Config{Threads: 1, Shapes: shapes})
	if err != nil {
		t.Fatal(err)
	}
	s := plan.NewSession()
	defer s.Close()
	for name, x := range inputs {
		in, err := s.Input(name)
		if err != nil {
			t.Fatal(err)
		}
		copy(in.F, x.Floats())
		copy(in.I, x.Ints())
	}
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	out, err := s.Output(m.Outputs[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	return out.F
}
