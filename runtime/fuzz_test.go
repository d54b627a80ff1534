package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	stdruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/loader"
)

// addFile adds what save writes to the seeds.
func addFile(f *testing.F, save func(path string) error) {
	path := filepath.Join(f.TempDir(), "model")
	if err := save(path); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
}

// FuzzRun compiles and runs whatever the loader accepts, within bounds of
// memory and time: a file must not be able to do more than return an error.
func FuzzRun(f *testing.F) {
	for _, c := range controlCases {
		addFile(f, func(path string) error { return loader.Save(path, c.model(), loader.SaveOptions{}) })
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := loader.Parse(t.Context(), "m.onnx", data, loader.Options{MaxBytes: 1 << 20})
		if err != nil {
			return
		}
		runHostile(t, m, 1<<20)
	})
}

// hostileBytes is the limit of memory for mutated models.
const hostileBytes = 4 << 20

// hostileModels are the models that are mutated: of each way that nodes go
// through Compile, and reference models where there are any.
func hostileModels(t testing.TB) []*graph.Model {
	var list []*graph.Model
	for _, c := range controlCases {
		list = append(list, c.model())
	}
	packed := packedModels(t)
	for _, name := range slices.Sorted(maps.Keys(packed)) {
		list = append(list, packed[name])
	}
	images := newNet(1, 3, 12, 12)
	a := images.conv("x", 3, 16, 3, 2, 0.5)
	a = images.node("Concat", []string{images.conv(images.relu(a), 16, 8, 3, 1, 0.8), images.node("MaxPool", []string{a}, "kernel_shape", []int{3, 3}, "pads", []int{1, 1, 1, 1})}, "axis", 1)
	a = images.node("AveragePool", []string{a}, "kernel_shape", []int{2, 2}, "strides", []int{2, 2})
	a = images.node("ConvTranspose", []string{a, images.weight(0.5, 1, 24, 6, 4, 4)}, "strides", []int{2, 2})
	a = images.node("Resize", []string{a, "", images.shapeScales(1, 1, 2, 2)}, "mode", "linear")
	images.node("Flatten", []string{images.node("GlobalAveragePool", []string{a})})
	volume := newNet(1, 4, 5, 6, 6)
	volume.node("Conv", []string{"x", volume.weight(0.8, 1, 6, 4, 3, 3, 3)}, "kernel_shape", []int{3, 3, 3}, "pads", []int{1, 1, 1, 1, 1, 1}, "strides", []int{2, 1, 1})
	tokens := newNet(1, 12, 16)
	a = tokens.attention("x", "x", 1, 12, 12, 16, 2, "")
	a = tokens.node("LayerNormalization", []string{tokens.node("Add", []string{a, "x"}), tokens.weight(0, 1, 16)}, "axis", -1)
	tokens.node("Gelu", []string{tokens.node("MatMul", []string{a, tokens.weight(0.9, 1, 16, 32)})})
	tokens.m.Opset[""] = 20
	steps := newNet(5, 2, 8)
	a = steps.node("LSTM", []string{"x", steps.weight(0, 1, 1, 24, 8), steps.weight(0.8, 1, 1, 24, 6)}, "hidden_size", 6)
	steps.node("Einsum", []string{a, a}, "equation", "abcd,abce->de")
	for _, n := range []*testNet{images, volume, tokens, steps} {
		list = append(list, n.model())
	}
	paths := testdata.Small(t, 16<<10, "conformance", "node", "*", "model.onnx")
	for i, path := range append(paths, testdata.Small(t, 64<<10, "exported", "*", "model.onnx")...) {
		if i%3 != 0 && i < len(paths) { // many are alike
			continue
		}
		if m, err := loader.Load(t.Context(), path); err == nil {
			list = append(list, m)
		}
	}
	return list
}

// shapeScales adds a constant list of real numbers.
func (t *testNet) shapeScales(v ...float32) string {
	name := fmt.Sprintf("w%d", len(t.m.Weights))
	t.m.Weights[name] = graph.FromFloats([]int{len(v)}, v)
	return name
}

// FuzzMutated takes valid models, makes them wrong in one to three places that
// the seed tells, and reads, compiles and runs what becomes of them.
func FuzzMutated(f *testing.F) {
	models := hostileModels(f)
	for i := range 8 {
		f.Add(uint64(i), uint16(i*len(models)/8))
	}
	f.Fuzz(func(t *testing.T, seed uint64, model uint16) {
		runMutated(t, models[int(model)%len(models)], seed)
	})
}

// TestMutatedModels is FuzzMutated with seeds that stay the same.
func TestMutatedModels(t *testing.T) {
	models := hostileModels(t)
	count := [3]int{}
	for round := range uint64(9000/len(models) + 1) {
		for i, m := range models {
			count[runMutated(t, m, round<<16|uint64(i))]++
			if t.Failed() {
				return
			}
		}
	}
	t.Logf("%d models: %d mutated ones not read, %d not run, %d run", len(models), count[unread], count[refused], count[ran])
	if slices.Min(count[:]) < len(models)/4 {
		t.Error("the mutations are too coarse to test anything, or too fine")
	}
}

// What becomes of a mutated model.
const (
	unread = iota
	refused
	ran
)

func runMutated(t *testing.T, m *graph.Model, seed uint64) int {
	wrong, did := mutated(m, seed)
	defer func() {
		if r := recover(); r != nil || t.Failed() {
			t.Logf("seed %d: %s, of %d nodes, the first %v", seed, strings.Join(did, ", "), len(m.Nodes), m.Nodes[0])
			if r != nil {
				panic(r)
			}
		}
	}()
	var file bytes.Buffer
	if err := loader.Write(&file, wrong, loader.SaveOptions{Sparse: seed%2 > 0}); err != nil {
		return unread
	}
	read, err := loader.Parse(t.Context(), "m.onnx", file.Bytes(), loader.Options{MaxBytes: hostileBytes})
	if err != nil {
		if format := (*loader.FormatError)(nil); !errors.As(err, &format) {
			t.Errorf("not a FormatError: %v", err)
		}
		return unread
	}
	if runHostile(t, read, hostileBytes) {
		return ran
	}
	return refused
}

// compileBytes is what Compile may allocate in all, most of which is garbage at
// once: some times what a plan may take and the weights of the model, and what
// nodes, tables and errors are made of.
func compileBytes(m *graph.Model, limit int64) uint64 {
	weights := int64(0)
	for _, w := range m.Weights {
		weights += 4 * int64(w.Len())
	}
	return uint64(16*(limit+weights) + 8<<20)
}

// runBytes is what NewSession and a run may allocate in all: the limit, and what
// steps and maps are made of. What is compiled for the run adds to it.
func runBytes(p *Plan, m *graph.Model, limit int64) uint64 {
	if p.tail != nil {
		return compileBytes(m, limit)
	}
	return uint64(limit + 64<<10 + 4<<10*int64(len(p.order)))
}

// loops reports whether a model has loops, which leave as much garbage as they
// make trips.
func loops(m *graph.Model) bool {
	return slices.ContainsFunc(m.Nodes, func(n *graph.Node) bool {
		return n.Op == "Loop" || n.Op == "Scan" || slices.ContainsFunc(n.Bodies(), loops)
	})
}

// allocated returns how many bytes were allocated so far, those that have been
// given back included. Metrics of the runtime would be up to a MiB behind.
func allocated() uint64 {
	var s stdruntime.MemStats
	stdruntime.ReadMemStats(&s)
	return s.TotalAlloc
}

// runHostile compiles and runs a model within bounds of memory and time, and
// checks them, and its outputs where it comes to an end.
func runHostile(t *testing.T, m *graph.Model, limit int64) bool {
	defer func() { // a panic is told with the model that led to it
		if r := recover(); r != nil {
			for _, n := range m.Nodes {
				t.Logf("%s %q -> %q %v", n.Op, n.Inputs, n.Outputs, n.Attrs)
			}
			panic(r)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	c := Config{Threads: 1, MaxBytes: limit, Shapes: make(map[string][]int)}
	for _, in := range m.Inputs {
		shape := make([]int, len(in.Shape))
		for i, d := range in.Shape {
			if shape[i] = 2; d.Known() {
				shape[i] = d.Size
			}
		}
		c.Shapes[in.Name] = shape
	}
	start, before := time.Now(), allocated()
	// Nothing but a hang takes minutes, on whatever machine.
	defer func() {
		if d := time.Since(start); d > 3*time.Minute {
			t.Errorf("it ended %v after its context", d)
		}
	}()
	p, err := Compile(ctx, m, c)
	defer func(n uint64) {
		if n > compileBytes(m, limit) {
			t.Errorf("Compile allocated %d bytes, the limit of the plan is %d", n, limit)
		}
	}(allocated() - before)
	if err != nil {
		if strings.TrimSpace(err.Error()) == "" {
			t.Error("an error without a message")
		}
		return false
	}
	before = allocated()
	s := p.NewSession()
	defer s.Close()
	defer func() {
		if n := allocated() - before; !loops(m) && n > runBytes(p, m, limit) {
			t.Errorf("a session and its run allocated %d bytes, the limit is %d", n, limit)
		}
	}()
	for _, in := range p.Inputs() {
		x, err := s.Input(in.Name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range x.F {
			x.F[i] = float32(i)
		}
		for i := range x.I {
			x.I[i] = int64(i&1) ^ 1
		}
	}
	if s.Run(ctx) != nil {
		return false
	}
	for _, out := range m.Outputs {
		y, err := s.Output(out.Name)
		if err != nil {
			t.Error(err)
		} else if n, err := graph.Elements(y.Shape); err != nil || y.DType.Float() && len(y.F) != n || y.DType.Integer() && len(y.I) != n {
			t.Errorf("output %q of shape %v has %d elements: %v", out.Name, y.Shape, len(y.F)+len(y.I), err)
		}
	}
	return true
}
