package runtime

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime/ops"
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
		m, err := loader.Parse("m.onnx", data, loader.Options{MaxBytes: 1 << 20})
		if err != nil {
			return
		}
		runHostile(t, m)
	})
}

// TestMutatedModels does the same with models that are wrong in one or two
// places each: another operator, another input, another number.
func TestMutatedModels(t *testing.T) {
	names := ops.Names()
	rng := rand.New(rand.NewPCG(5, 6))
	numbers := []int64{-1 << 62, -3, -1, 0, 1, 2, 5, 1 << 20, 1 << 40, math.MaxInt64}
	number := func() int64 { return numbers[rng.IntN(len(numbers))] }
	var nodes func(m *graph.Model) []*graph.Node
	nodes = func(m *graph.Model) (list []*graph.Node) {
		for _, n := range m.Nodes {
			list = append(list, n)
			for _, body := range n.Bodies() {
				list = append(list, nodes(body)...)
			}
		}
		return list
	}
	ran := 0
	for range 300 {
		for _, c := range controlCases {
			m := c.model()
			all := nodes(m)
			var values []string
			for _, n := range all {
				values = append(values, slices.Concat(n.Inputs, n.Outputs)...)
			}
			for range 1 + rng.IntN(2) {
				n := all[rng.IntN(len(all))]
				switch rng.IntN(4) {
				case 0:
					n.Op = names[rng.IntN(len(names))]
				case 1:
					if len(n.Inputs) > 0 {
						n.Inputs[rng.IntN(len(n.Inputs))] = values[rng.IntN(len(values))]
					}
				case 2:
					keys := slices.Sorted(maps.Keys(m.Weights))
					name := keys[rng.IntN(len(keys))]
					if w := m.Weights[name]; w.DType == graph.Int64 {
						list := w.Ints()
						list[rng.IntN(len(list))] = number()
						m.Weights[name] = graph.FromInts(w.DType, w.Shape, list)
					}
				case 3:
					for name, a := range n.Attrs {
						switch a.Kind {
						case graph.AttrInt:
							n.Set(name, int(number()))
						case graph.AttrInts:
							n.Set(name, []int{int(number())})
						}
					}
				}
			}
			if m.Validate() == nil && runHostile(t, m) {
				ran++
			}
			if t.Failed() {
				return
			}
		}
	}
	t.Logf("%d models ran", ran)
	if ran == 0 {
		t.Error("no model ran to its end: the mutations are too coarse to test anything")
	}
}

// runHostile compiles and runs a model within bounds, and checks its outputs
// where it comes to an end.
func runHostile(t *testing.T, m *graph.Model) bool {
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
	c := Config{Threads: 1, MaxBytes: 1 << 20, Shapes: make(map[string][]int)}
	for _, in := range m.Inputs {
		shape := make([]int, len(in.Shape))
		for i, d := range in.Shape {
			if shape[i] = 2; d.Known() {
				shape[i] = d.Size
			}
		}
		c.Shapes[in.Name] = shape
	}
	p, err := Compile(ctx, m, c)
	if err != nil {
		return false
	}
	s := p.NewSession()
	defer s.Close()
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
