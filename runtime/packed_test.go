package runtime

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/loader"
)

// packedModels are models whose weights are packed for each family of kernels
// and in each form: rows in pairs, blocks, blocks with a rest, dense by tiles and
// along lanes, tiles and blocks for vectors, groups.
func packedModels(t testing.TB) map[string]*graph.Model {
	rng := rand.New(rand.NewPCG(7, 8))
	weight := func(sparsity float64, height int, shape ...int) *graph.Tensor {
		w := graph.FromFloats(shape, make([]float32, elements(shape)))
		v, cols := w.Floats(), w.Len()/shape[0]
		for i := 0; i < shape[0]; i += height {
			for j := range cols {
				kept := rng.Float64() >= sparsity
				for r := i; r < min(i+height, shape[0]) && (kept || sparsity == 0); r++ {
					v[r*cols+j] = rng.Float32() - 0.5
				}
			}
		}
		return w.Compact()
	}
	model := func(op string, input []int, w *graph.Tensor, group int) *graph.Model {
		n := &graph.Node{Op: op, Inputs: []string{"x", "w"}, Outputs: []string{"y"}}
		if op == "Conv" {
			n.Set("group", group)
			n.Set("kernel_shape", w.Shape[2:])
			n.Set("pads", []int{w.Shape[2] / 2, w.Shape[3] / 2, w.Shape[2] / 2, w.Shape[3] / 2})
		} else {
			n.Set("transB", 1)
		}
		return &graph.Model{
			Inputs:  []*graph.Value{{Name: "x", DType: graph.Float32, Shape: graph.Dims(input...)}},
			Outputs: []*graph.Value{{Name: "y", DType: graph.Float32}},
			Nodes:   []*graph.Node{n}, Weights: map[string]*graph.Tensor{"w": w}, Opset: map[string]int{"": 17},
		}
	}
	mixed := weight(0.85, 4, 64, 128, 1, 1)
	v := slices.Clone(mixed.Floats())
	for i := 0; i < len(v); i += 53 {
		v[i] = 1
	}
	return map[string]*graph.Model{
		"pairs":   model("Conv", []int{1, 48, 14, 14}, weight(0.8, 1, 64, 48, 3, 3), 1),
		"groups":  model("Conv", []int{1, 64, 14, 14}, weight(0.7, 1, 64, 16, 3, 3), 4),
		"blocks":  model("Conv", []int{1, 128, 14, 14}, weight(0.9, 4, 64, 128, 1, 1), 1),
		"mixed":   model("Conv", []int{1, 128, 14, 14}, graph.FromFloats(mixed.Shape, v).Compact(), 1),
		"dense":   model("Conv", []int{1, 16, 14, 14}, weight(0, 1, 24, 16, 3, 3), 1),
		"matrix":  model("Gemm", []int{40, 96}, weight(0, 1, 50, 96), 1),
		"vector":  model("Gemm", []int{1, 700}, weight(0.8, 1, 70, 700), 1),
		"vectors": model("Gemm", []int{2, 700}, weight(0.9, 4, 70, 700), 1),
	}
}

// once compiles and runs a model and returns the output; ok is whether it came
// to that.
func once(t *testing.T, m *graph.Model, c Config) (y []float32, err error) {
	t.Helper()
	p, err := Compile(context.Background(), m, c)
	if err != nil {
		return nil, err
	}
	s := p.NewSession()
	defer s.Close()
	x, err := s.Input("x")
	if err != nil {
		t.Fatal(err)
	}
	for i := range x.F {
		x.F[i] = float32(i%17) - 8
	}
	if err := s.Run(context.Background()); err != nil {
		return nil, err
	}
	out, err := s.Output("y")
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(out.F), nil
}

// TestPack compiles packed models of which every element but the packed ones is
// out of reach, so that nothing is packed anew: the outputs are the same bits.
func TestPack(t *testing.T) {
	for name, m := range packedModels(t) {
		for _, format := range []string{"", "csr", "bsr4x1", "mixed4x1", "nm2:4"} {
			c := Config{Threads: 2, Format: format}
			want, err := once(t, m, c)
			if err != nil {
				t.Fatal(err)
			}
			packed, err := Pack(context.Background(), m, c)
			if err != nil {
				t.Fatal(err)
			}
			w := packed.Weights["w"]
			dense := len(packed.Packed.Tensors) == 1 // but for the counts: used as it is
			packed.Weights["w"] = graph.Later(w.Shape, w.Key(), func() *graph.Tensor {
				if !dense {
					t.Errorf("%s, %s: elements of the weight were asked for", name, format)
				}
				return w
			})
			got, err := once(t, packed, c)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, %s: packed it gives other outputs", name, format)
			}
		}
	}
}

// TestMutatedPacked puts wrong numbers where packed weights have counts, rows,
// columns, offsets and lengths. Compile refuses, or what it makes runs to its
// end: with the race detector or without, nothing is read or written elsewhere.
func TestMutatedPacked(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	numbers := []int64{0, 1, 2, 3, 4, 5, 7, 63, 64, 127, 128, 255, 1 << 15, 1<<16 - 1, 1 << 20, 1<<31 - 1, 1 << 31, 1<<32 - 1}
	refused, ran := 0, 0
	for _, m := range packedModels(t) {
		c := Config{Threads: 2}
		packed, err := Pack(context.Background(), m, c)
		if err != nil {
			t.Fatal(err)
		}
		keys := slices.Sorted(maps.Keys(packed.Packed.Tensors))
		for range 400 {
			wrong := *packed
			p := *packed.Packed
			p.Tensors = maps.Clone(p.Tensors)
			wrong.Packed = &p
			for range 1 + rng.IntN(2) {
				key := keys[rng.IntN(len(keys))]
				w := p.Tensors[key]
				switch {
				case rng.IntN(10) == 0:
					delete(p.Tensors, key)
				case w == nil || w.Len() == 0:
				case rng.IntN(10) == 0: // shorter
					n := rng.IntN(w.Len())
					short, err := graph.NewTensor(w.DType, []int{n}, w.Raw()[:w.DType.Size(n)])
					if err != nil {
						t.Fatal(err)
					}
					p.Tensors[key] = short
				case w.DType.Integer():
					list := w.Ints()
					i := rng.IntN(len(list))
					if list[i] = numbers[rng.IntN(len(numbers))]; rng.IntN(2) == 0 {
						list[i] = w.Ints()[rng.IntN(len(list))]
					}
					p.Tensors[key] = graph.FromInts(w.DType, w.Shape, list)
				}
			}
			if _, err := once(t, &wrong, c); err != nil {
				refused++
			} else {
				ran++
			}
		}
	}
	t.Logf("%d refused, %d ran", refused, ran)
	if refused == 0 || ran == 0 {
		t.Error("the mutations are too coarse to test anything, or too fine")
	}
}

// FuzzPacked compiles and runs what .nnz files hold, with a checksum that fits
// whatever that is.
func FuzzPacked(f *testing.F) {
	for _, m := range packedModels(f) {
		packed, err := Pack(context.Background(), m, Config{Threads: 1})
		if err != nil {
			f.Fatal(err)
		}
		addFile(f, func(path string) error { return loader.SaveCompiled(path, packed) })
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const block = 1 << 20 // that has a checksum of its own
		if len(data) < 4 || len(data) > block {
			return
		}
		data = slices.Clone(data)
		end := len(data) - 4
		binary.LittleEndian.PutUint32(data[end:], crc32.Checksum(data[:end], crc32.MakeTable(crc32.Castagnoli)))
		m, err := loader.Parse(t.Context(), "m.nnz", data, loader.Options{MaxBytes: 1 << 20})
		if err != nil {
			return
		}
		runHostile(t, m, 1<<20)
	})
}
