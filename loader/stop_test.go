package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/nnz-dev/nnz/graph"
)

// A countdown is a context that ends when it has been looked at so many times.
type countdown struct {
	context.Context
	left atomic.Int64 // below 0: how often it was looked at since
}

func lookedAt(most int) *countdown {
	c := &countdown{Context: context.Background()}
	c.left.Store(int64(most))
	return c
}

func (c *countdown) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// endsIn checks that err is ctx's, with the name of a file and of nothing else.
func endsIn(t *testing.T, what string, err, want error, file string) {
	t.Helper()
	if !errors.Is(err, want) || err.Error() != file+": "+want.Error() || errors.As(err, new(*FormatError)) {
		t.Errorf("%s: %T %v, want %s: %v", what, err, err, file, want)
	}
}

// manyWeights is a model of n products with a weight each, of 128 KiB.
func manyWeights(n int) *graph.Model {
	m := &graph.Model{
		Inputs:  []*graph.Value{{Name: "v0", DType: graph.Float32, Shape: graph.Dims(1, 256)}},
		Outputs: []*graph.Value{{Name: fmt.Sprint("v", n), DType: graph.Float32}},
		Weights: make(map[string]*graph.Tensor),
		Opset:   map[string]int{"": 17},
	}
	values := make([]float32, 256*128)
	for i := range values {
		values[i] = float32(i + 1)
	}
	for i := range n {
		w := fmt.Sprint("w", i)
		m.Weights[w] = graph.FromFloats([]int{256, 128}, values)
		m.Nodes = append(m.Nodes, &graph.Node{Op: "MatMul", Inputs: []string{fmt.Sprint("v", i), w}, Outputs: []string{fmt.Sprint("v", i+1)}})
	}
	return m
}

// chain writes n nodes from x to y.
func chain(n int, to func(in, out string) *message) []*message {
	nodes := make([]*message, n)
	for i := range nodes {
		in, out := fmt.Sprint("v", i), fmt.Sprint("v", i+1)
		if i == 0 {
			in = "x"
		}
		if i == n-1 {
			out = "y"
		}
		nodes[i] = to(in, out)
	}
	return nodes
}

// inFiles is a model of n weights, each in a file of its own.
func inFiles(n int) []byte {
	return onnxModel(func(g *message) {
		for i := range n {
			g.message(5, build(func(m *message) {
				m.int(1, 1)
				m.int(2, 1)
				m.str(8, fmt.Sprint("w", i))
				m.message(13, keyValue("location", fmt.Sprint(i)))
				m.int(14, 1)
			}))
		}
		g.message(12, encodeValue(&graph.Value{Name: "w0"}))
	})
}

// TestLoadStops: whenever its context ends, loading does, having looked at it once
// for each of what there are many of, in every step over these.
func TestLoadStops(t *testing.T) {
	const many = 100
	dir := t.TempDir()
	onnx, nnz := filepath.Join(dir, "m.onnx"), filepath.Join(dir, "m.nnz")
	weights := manyWeights(many)
	if err := Save(onnx, weights, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := SaveCompiled(nnz, weights); err != nil {
		t.Fatal(err)
	}
	compiled, err := os.ReadFile(nnz)
	if err != nil {
		t.Fatal(err)
	}
	relu := func(in, out string) *message { return call("Relu", in, out) }
	opset := func(version int64) []byte {
		return build(func(m *message) { m.message(8, build(func(m *message) { m.int(2, version) })) }).contents()
	}
	first := def("F0", names("x"), names("y"), func(m *message) { m.message(7, call("Neg", "x", "y")) })
	parse := func(data []byte, o Options) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := Parse(ctx, "model", data, o)
			return err
		}
	}
	graphOf := func(fill func(g *message)) func(ctx context.Context) error {
		return parse(onnxModel(func(g *message) {
			addNet(g)
			fill(g)
		}), Options{})
	}
	for _, tt := range []struct {
		name  string
		load  func(ctx context.Context) error
		file  string
		least int // looks
	}{
		{"nodes", parse(functionModel(chain(many, relu)), Options{}), "model", many},
		{"old nodes", parse(bytes.Replace(functionModel(chain(many, relu)), opset(17), opset(6), 1), Options{}), "model", 2 * many},
		{"tensors", graphOf(func(g *message) {
			for i := range many {
				g.message(5, floatTensor(fmt.Sprint("t", i), []int64{1}, 1))
			}
		}), "model", many},
		{"values", graphOf(func(g *message) {
			for i := range many {
				g.message(13, encodeValue(&graph.Value{Name: fmt.Sprint("t", i)}))
			}
		}), "model", many},
		{"attributes", graphOf(func(g *message) {
			var attrs []*message
			for i := range many {
				attrs = append(attrs, floatAttr(fmt.Sprint("a", i), 1))
			}
			g.message(1, node("Relu", []string{"y"}, []string{"z"}, attrs...))
		}), "model", many},
		{"graphs", graphOf(func(g *message) {
			var attrs []*message
			for i := range many {
				attrs = append(attrs, attr(fmt.Sprint("g", i), graph.AttrGraph, func(m *message) { m.message(6, build(func(*message) {})) }))
			}
			g.message(1, node("Relu", []string{"y"}, []string{"z"}, attrs...))
		}), "model", 2 * many}, // with the attribute that holds it
		{"functions", func() func(ctx context.Context) error {
			var all []*message
			for i := range many {
				all = append(all, def(fmt.Sprint("F", i), names("x"), names("y"), func(m *message) {}))
			}
			return parse(functionModel(chain(1, relu), all...), Options{})
		}(), "model", many},
		{"calls", parse(functionModel(chain(many, func(in, out string) *message { return pkg(call("F0", in, out)) }), first), Options{}),
			"model", 3 * many}, // nodes, calls, and what stands for them
		{"calls of calls", func() func(ctx context.Context) error {
			all := []*message{first}
			for i := range 6 {
				all = append(all, def(fmt.Sprint("F", i+1), names("x"), names("y"), func(m *message) {
					m.message(7, pkg(call(fmt.Sprint("F", i), "x", "t")))
					m.message(7, pkg(call(fmt.Sprint("F", i), "t", "y")))
				}))
			}
			return parse(functionModel([]*message{pkg(call("F6", "x", "y"))}, all...), Options{})
		}(), "model", 1 + 2 + 4 + 8 + 16 + 32 + 64 + 64}, // few nodes become many
		{"weights", func(ctx context.Context) error {
			f, err := Open(ctx, onnx, Options{})
			if err != nil {
				return err
			}
			return f.Close()
		}, onnx, 3 * many}, // tensors, nodes, and whether they are sparse
		{"copies of weights", func(ctx context.Context) error { _, err := Load(ctx, onnx); return err }, onnx, 5 * many},
		{"weights in files", parse(inFiles(many), Options{External: func(string) ([]byte, error) { return make([]byte, 4), nil }}), "model", 2 * many},
		{"a .nnz file", func(ctx context.Context) error { _, err := Load(ctx, nnz); return err }, nnz, 3*many + sums(len(compiled))},
		{"a .nnz file in memory", parse(compiled, Options{}), "model", 3*many + sums(len(compiled))},
		{"a reader", func(ctx context.Context) error {
			_, err := LoadReader(ctx, "model", iotest.OneByteReader(bytes.NewReader(onnxModel(addNet))), Options{})
			return err
		}, "model", len(onnxModel(addNet))},
	} {
		const most = 1 << 30
		ctx := lookedAt(most)
		if err := tt.load(ctx); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		asked := most - int(ctx.left.Load())
		if asked < tt.least {
			t.Errorf("%s: the context is looked at %d times, expected %d at least", tt.name, asked, tt.least)
		}
		for at := 0; at < asked; at += 1 + asked/20 {
			ctx := lookedAt(at)
			endsIn(t, fmt.Sprintf("%s, ended at %d of %d", tt.name, at, asked), tt.load(ctx), context.Canceled, tt.file)
			// Each goroutine may look once more, and so may who waits for them.
			if more := -int(ctx.left.Load()); more > runtime.GOMAXPROCS(0)+5 {
				t.Errorf("%s, ended at %d of %d: it went on, and looked %d times more", tt.name, at, asked, more)
			}
		}
		late, cancel := context.WithTimeout(t.Context(), -1)
		endsIn(t, tt.name+", too late", tt.load(late), context.DeadlineExceeded, tt.file)
		cancel()
	}
}

// TestLoadStopsWithin ends the context while what the caller gives is read: no
// more of that is.
func TestLoadStopsWithin(t *testing.T) {
	data := inFiles(10)
	// step is called for each read and file, and ends the context in the fourth.
	for name, load := range map[string]func(ctx context.Context, step func() error) error{
		"reads": func(ctx context.Context, step func() error) error {
			r := iotest.OneByteReader(bytes.NewReader(data))
			_, err := LoadReader(ctx, "model", readerFunc(func(p []byte) (int, error) {
				_ = step()
				return r.Read(p)
			}), Options{})
			return err
		},
		"limited reads": func(ctx context.Context, step func() error) error {
			_, err := LoadReader(ctx, "model", readerFunc(func(p []byte) (int, error) {
				_ = step()
				return 1, nil
			}), Options{MaxBytes: 1 << 20})
			return err
		},
		"files": func(ctx context.Context, step func() error) error {
			_, err := Parse(ctx, "model", data, Options{External: func(string) ([]byte, error) {
				_ = step()
				return make([]byte, 4), nil
			}})
			return err
		},
		// Such as from a store that knows the context.
		"files that are not had then": func(ctx context.Context, step func() error) error {
			_, err := Parse(ctx, "model", data, Options{External: func(string) ([]byte, error) { return make([]byte, 4), step() }})
			return err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		steps := 0
		err := load(ctx, func() error {
			if steps++; steps == 4 {
				cancel()
			}
			return ctx.Err()
		})
		endsIn(t, name, err, context.Canceled, "model")
		if steps != 4 {
			t.Errorf("%s: %d, expected none after the fourth", name, steps)
		}
		cancel()
	}

	// What a file looks like does not matter where nobody has the time to read it.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Parse(ctx, "model", []byte("\x0a\x20\x0a\x01x\x12\x0bPlaceholder*\x0e\x0a\x05dtype\x12\x020\x01"), Options{})
	endsIn(t, "a foreign file", err, context.Canceled, "model")
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
