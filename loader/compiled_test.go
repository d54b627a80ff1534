package loader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
)

// packedModel is a model with a sparse weight, a dense one, a small one, one of
// integers, and something packed.
func packedModel() *graph.Model {
	dense := make([]float32, 40*64)
	for i := range dense {
		dense[i] = float32(i) - 7
	}
	return &graph.Model{
		Inputs:  []*graph.Value{{Name: "x", DType: graph.Float32, Shape: []graph.Dim{{Symbol: "batch"}, {Size: 90}}}},
		Outputs: []*graph.Value{{Name: "y", DType: graph.Float32}},
		Nodes: []*graph.Node{
			{Op: "Gemm", Inputs: []string{"x", "pruned", "bias"}, Outputs: []string{"h"}, Attrs: map[string]*graph.Attr{"transB": {Kind: graph.AttrInt, Int: 1}}},
			{Op: "Gemm", Inputs: []string{"h", "dense"}, Outputs: []string{"g"}, Attrs: map[string]*graph.Attr{"transB": {Kind: graph.AttrInt, Int: 1}}},
			{Op: "Gather", Inputs: []string{"g", "order"}, Outputs: []string{"y"}, Attrs: map[string]*graph.Attr{"axis": {Kind: graph.AttrInt, Int: 1}}},
		},
		Weights: map[string]*graph.Tensor{
			"pruned": pattern(64, 90, 4).Compact(), "bias": graph.FromFloats([]int{64}, make([]float32, 64)),
			"dense": graph.FromFloats([]int{40, 64}, dense),
			"order": graph.FromInts(graph.Int64, []int{2000}, make([]int64, 2000)),
		},
		Opset: map[string]int{"": 17},
		Meta:  map[string]string{"made": "by hand"},
		Packed: &graph.Packed{ISA: "avx2", Version: 3, Tensors: map[string]*graph.Tensor{
			"a/values": graph.FromFloats([]int{5}, []float32{1, 2, 3, 4, 5}),
			"a/order":  graph.FromInts(graph.Int32, []int{3}, []int64{-1, 0, 7}),
		}},
	}
}

func savedModel(t *testing.T) (path string, data []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "model.nnz")
	if err := SaveCompiled(path, packedModel()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, data
}

func TestSaveCompiled(t *testing.T) {
	path, data := savedModel(t)
	want := packedModel()
	f, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	loaded, err := Load(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := Parse(t.Context(), "memory", data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []*graph.Model{f.Model, loaded, parsed} {
		if len(got.Weights) != len(want.Weights) || len(got.Nodes) != len(want.Nodes) || got.Meta["made"] != "by hand" {
			t.Errorf("%d weights, %d nodes, made %q", len(got.Weights), len(got.Nodes), got.Meta["made"])
		}
		for name, w := range want.Weights {
			g := got.Weights[name]
			if g == nil || g.DType != w.DType || !slices.Equal(g.Shape, w.Shape) || !slices.Equal(g.Floats(), w.Floats()) || !slices.Equal(g.Ints(), w.Ints()) {
				t.Errorf("%s: got %+v", name, g)
				continue
			}
			if reflect.TypeOf(g.Sparse()) != reflect.TypeOf(w.Sparse()) {
				t.Errorf("%s is held as %T, want %T", name, g.Sparse(), w.Sparse())
			}
			if large := w.Len() >= minCompact && w.DType == graph.Float32; g.Deferred() != large || large && g.Key() != w.Key() {
				t.Errorf("%s: deferred %t", name, g.Deferred())
			}
		}
		p := got.Packed
		if p == nil || p.ISA != "avx2" || p.Version != 3 || len(p.Tensors) != 2 ||
			!slices.Equal(p.Tensors["a/values"].Floats(), []float32{1, 2, 3, 4, 5}) || !slices.Equal(p.Tensors["a/order"].Ints(), []int64{-1, 0, 7}) {
			t.Errorf("packed: %+v", p)
		}
	}
	// The same model gives the same bytes, read back too.
	again := filepath.Join(t.TempDir(), "again.nnz")
	if err := SaveCompiled(again, f.Model); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(again); err != nil || !bytes.Equal(b, data) {
		t.Errorf("written again it is another file: %v", err)
	}
	// And it is a model that can be written as any.
	if err := Save(filepath.Join(t.TempDir(), "model.onnx"), f.Model, SaveOptions{}); err != nil {
		t.Error(err)
	}
}

// TestDamagedCompiled flips every bit of a file, and cuts it off everywhere.
func TestDamagedCompiled(t *testing.T) {
	_, data := savedModel(t)
	check := func(what string, i int, damaged []byte) {
		t.Helper()
		_, err := Parse(t.Context(), "model.nnz", damaged, Options{})
		var f *FormatError
		if !errors.As(err, &f) || f.File != "model.nnz" {
			t.Errorf("%s %d: error %v", what, i, err)
		}
	}
	damaged := bytes.Clone(data)
	for i := range damaged {
		for bit := range 8 {
			damaged[i] ^= 1 << bit
			check("bit of byte", i, damaged)
			damaged[i] ^= 1 << bit
		}
		check("cut off at byte", i, data[:i:i])
	}
	check("longer, up to byte", len(data), append(bytes.Clone(data), 0))
}

// TestDamagedBlocks flips bits of a file of several blocks, few or close together
// as checksums promise to detect, in each of its parts.
func TestDamagedBlocks(t *testing.T) {
	m := packedModel()
	rng := rand.New(rand.NewPCG(1, 2))
	values := make([]float32, 300_000)
	for i := range values {
		values[i] = rng.Float32()
	}
	m.Weights["large"] = graph.FromFloats([]int{300, 1000}, values)
	m.Weights["zeros"] = pattern(500, 1000, 9).Compact()
	m.Packed.Tensors["b/values"] = graph.FromFloats([]int{len(values)}, values)
	path := filepath.Join(t.TempDir(), "model.nnz")
	if err := SaveCompiled(path, m); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	blocks := sums(len(data))
	if blocks < 3 {
		t.Fatalf("%d bytes have %d checksums", len(data), blocks)
	}
	if _, err := Parse(t.Context(), "model.nnz", data, Options{}); err != nil {
		t.Fatal(err)
	}
	header, end := 8+int(binary.LittleEndian.Uint64(data)), len(data)-sumBytes*blocks
	for _, part := range []struct {
		name     string
		from, to int // bytes
	}{
		{"length of the header", 0, 8},
		{"header", 8, header},
		{"tensors", header, end},
		{"around the first border of blocks", sumBlock - 16, sumBlock + 16},
		{"last block", sumBlock * (blocks - 1), end},
		{"checksums", end, len(data)},
		{"file", 0, len(data)},
	} {
		bit := func() int { return 8*part.from + rng.IntN(8*(part.to-part.from)) }
		for i := range 500 {
			var flipped []int
			switch i % 3 {
			case 0:
				flipped = []int{bit()}
			case 1: // up to three bits, anywhere
				for range 3 {
					flipped = append(flipped, bit())
				}
			case 2: // a burst of up to 32 bits
				from := bit()
				for b := from; b < min(from+32, 8*part.to); b++ {
					if b == from || rng.IntN(2) == 0 {
						flipped = append(flipped, b)
					}
				}
			}
			slices.Sort(flipped)
			flipped = slices.Compact(flipped) // or a bit would be flipped back
			for _, b := range flipped {
				data[b/8] ^= 1 << (b % 8)
			}
			_, err := Parse(t.Context(), "model.nnz", data, Options{})
			if f := (*FormatError)(nil); !errors.As(err, &f) || f.File != "model.nnz" {
				t.Errorf("%s: bits %v: error %v", part.name, flipped, err)
			}
			for _, b := range flipped {
				data[b/8] ^= 1 << (b % 8)
			}
		}
	}
	for range 200 {
		n := rng.IntN(len(data))
		if _, err := Parse(t.Context(), "model.nnz", data[:n:n], Options{}); err == nil {
			t.Errorf("cut off at byte %d: no error", n)
		}
	}
	if _, err := Parse(t.Context(), "model.nnz", data, Options{}); err != nil {
		t.Errorf("the test did not put all bits back: %v", err)
	}
}

// resealed returns the file with the right checksum.
func resealed(data []byte) []byte {
	data = bytes.Clone(data)
	end := len(data) - sumBytes // there is one block
	binary.LittleEndian.PutUint32(data[end:], crc32.Checksum(data[:end], castagnoli))
	return data
}

// TestWrongCompiled changes what the header says, and gives it a right checksum.
func TestWrongCompiled(t *testing.T) {
	_, data := savedModel(t)
	for _, tt := range []struct{ from, to, want string }{
		{`"format":"nnz"`, `"format":"nns"`, `got a safetensors file of format "nns"`},
		{`"version":"1"`, `"version":"2"`, `expected version 1 of the .nnz format, got "2"`},
		{`"packed_version":"3"`, `"packed_version":"x"`, "expected a number"},
		{`"graph":`, `"grapf":`, `expected a tensor "graph"`},
		{`"key/pruned":`, `"kex/pruned":`, `expected a key`},
		{`"values/pruned":`, `"valuez/pruned":`, `expected a key, a shape, bits and values`},
		{`"nonzeros/pruned":`, `"nonzeroz/pruned":`, `expected a key, a shape, bits and values`},
		{`"weight/dense":`, `"weighd/dense":`, "dense"},
		{`"weight/dense":`, `"weight/bias1":`, "dense"},
		{`"weight/order":`, `"weight/bias0":`, "order"},
	} {
		if !bytes.Contains(data, []byte(tt.from)) {
			t.Fatalf("no %s", tt.from)
		}
		wrong := resealed(bytes.Replace(data, []byte(tt.from), []byte(tt.to), 1))
		_, err := Parse(t.Context(), "model.nnz", wrong, Options{})
		var f *FormatError
		if !errors.As(err, &f) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %s", tt.to, err, tt.want)
		}
	}
	if _, err := Parse(t.Context(), "model.nnz", data, Options{MaxBytes: 1000}); err == nil {
		t.Error("the limit of memory is not kept")
	}
}

// FuzzCompiled reads files whose checksum fits: reading and unfolding whatever
// they hold must not do more than return an error.
func FuzzCompiled(f *testing.F) {
	path := filepath.Join(f.TempDir(), "model.nnz")
	if err := SaveCompiled(path, packedModel()); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < sumBytes || len(data) > sumBlock {
			return
		}
		m, err := Parse(t.Context(), "model.nnz", resealed(data), Options{MaxBytes: 1 << 20})
		if err != nil {
			return
		}
		for _, w := range m.Weights {
			w.Floats()
			w.Ints()
		}
	})
}
