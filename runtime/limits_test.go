package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/sparse"
)

// window appends a windowed node with one weight of a channel, which is 1 x 1 for
// "Conv".
func (t *testNet) square(op, x string, kernel, stride, dilation, pad int) string {
	in, k := []string{x}, []int{kernel, kernel}
	if op == "Conv" {
		in = append(in, t.weight(0, 1, 1, 1, kernel, kernel))
	}
	return t.node(op, in, "kernel_shape", k, "strides", []int{stride, stride}, "dilations", []int{dilation, dilation}, "pads", []int{pad, pad, pad, pad})
}

// TestMaxBytesEarly compiles models of a few bytes that ask for a lot of
// memory. They are refused before they get any.
func TestMaxBytesEarly(t *testing.T) {
	net := func(shape []int, nodes func(n *testNet)) *graph.Model {
		n := newNet(shape...)
		nodes(n)
		return n.model()
	}
	csr, err := sparse.NewCSR(1<<13, 1<<13, append(make([]int, 1<<13), 1), []int32{0}, []float32{1})
	if err != nil {
		t.Fatal(err)
	}
	wide, err := graph.NewSparse([]int{1 << 13, 1 << 13}, csr)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		m    *graph.Model
		mode Mode
		want string
	}{
		"large image":  {m: net([]int{1, 1, 40000, 40000}, func(n *testNet) { n.square("Conv", "x", 3, 1, 1, 1) }), want: "limit"},
		"large matrix": {m: net([]int{1 << 14, 1 << 14}, func(n *testNet) { n.node("MatMul", []string{"x", n.weight(0, 1, 1<<14, 2)}) }), want: "limit"},
		"too large":    {m: net([]int{1 << 16, 1 << 16}, func(n *testNet) { n.relu("x") }), want: "the limit is 2147483647"},
		"taps":         {m: net([]int{1, 1, 100, 100}, func(n *testNet) { n.square("Conv", "x", 65, 1, 3, 96) }), want: "limit"},
		"dense of zeros": {m: func() *graph.Model {
			n := newNet(1, 1<<13)
			n.m.Weights["w"] = wide
			n.node("Gemm", []string{"x", "w"}, "transB", 1)
			return n.model()
		}(), mode: Dense, want: "limit"},
		"constants": {m: net([]int{1}, func(n *testNet) {
			a := n.node("ConstantOfShape", []string{n.shape(1<<12, 1<<12)})
			n.node("Add", []string{n.node("MatMul", []string{a, a}), "x"})
		}), want: "limit"},
	} {
		before := allocated()
		_, err := Compile(context.Background(), tt.m, Config{MaxBytes: 1 << 20, Mode: tt.mode, Threads: 1})
		bytes := allocated() - before
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", name, err, tt.want)
		}
		if bytes > compileBytes(tt.m, 1<<20) && bytes > 64<<20 || name == "dense of zeros" && bytes > 64<<20 {
			t.Errorf("%s: %d bytes were allocated", name, bytes)
		}
	}
}

// TestFarWindows: padding that reaches far beyond an image is not laid out, and
// what is in reach comes out as ever.
func TestFarWindows(t *testing.T) {
	const far = 1 << 29
	n := newNet(1, 1, 8, 8)
	a := n.square("Conv", "x", 1, 1, 1, 0)
	a = n.square("Conv", a, 3, far, 1, far)
	n.node("Add", []string{a, n.square("Conv", n.square("MaxPool", n.square("Conv", "x", 1, 1, 1, 0), 3, 3<<10, 1, 2), 1, 1, 1, 0)})
	m := n.model()
	before := allocated()
	p, err := Compile(context.Background(), m, Config{Threads: 1, MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if bytes := allocated() - before; bytes > 32<<20 {
		t.Errorf("%d bytes were allocated", bytes)
	}
	p.NewSession().Close()
	checkModel(t, m)
}

// TestFoldLimits: what takes too long to compute of constants is left for the
// run, as nothing would interrupt it.
func TestFoldLimits(t *testing.T) {
	for _, size := range []int64{64, 1300} {
		n := newNet(1)
		a := n.node("ConstantOfShape", []string{n.shape(size, size)})
		n.node("Add", []string{n.node("MatMul", []string{a, a}), "x"})
		p, err := Compile(context.Background(), n.model(), Config{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		left := slices.ContainsFunc(p.Explain().Steps, func(s LayerReport) bool { return s.Op == "MatMul" || s.Op == "Linear" })
		if left != (size > 1000) {
			t.Errorf("a product of %d x %d is left for the run: %t", size, size, left)
		}
	}
}

func TestNodeLimits(t *testing.T) {
	for name, tt := range map[string]struct {
		nodes func(n *testNet)
		want  string
	}{
		"kernel":   {func(n *testNet) { n.square("MaxPool", "x", 1<<31, 1, 1, 0) }, "a kernel of"},
		"stride":   {func(n *testNet) { n.square("Conv", "x", 1, 1<<31, 1, 0) }, "strides"},
		"dilation": {func(n *testNet) { n.square("Conv", "x", 1, 1, 1<<31, 0) }, "dilations"},
		"padding":  {func(n *testNet) { n.square("Conv", "x", 1, 1, 1, 1<<31) }, "pads"},
		"einsum": {func(n *testNet) {
			a := n.node("Reshape", []string{n.node("Expand", []string{"x", n.shape(1, 1, 128, 128)}), n.shape(128, 128)})
			n.node("Einsum", []string{a, a, a}, "equation", "ab,cd,ef->")
		}, "2^40"},
	} {
		n := newNet(1, 1, 1, 1)
		tt.nodes(n)
		if _, err := Compile(context.Background(), n.model(), Config{Threads: 1}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", name, err, tt.want)
		}
	}
}

// A countdown is a context that ends when it has been asked so many times.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left <= 0 {
		return context.Canceled
	}
	c.left--
	return nil
}

// TestCompileStops: whenever its context ends, Compile does. It looks at that
// once a node at least.
func TestCompileStops(t *testing.T) {
	for name, tt := range map[string]struct {
		m     *graph.Model
		nodes int
	}{
		"nodes": func() (tt struct {
			m     *graph.Model
			nodes int
		}) {
			n := newNet(2, 3)
			for range 300 {
				n.node("Softmax", []string{n.last})
			}
			tt.m, tt.nodes = n.model(), 300
			return tt
		}(),
		"constants": func() (tt struct {
			m     *graph.Model
			nodes int
		}) {
			n := newNet(2, 3)
			a := n.weight(0, 1, 2, 3)
			for range 300 {
				a = n.node("Softmax", []string{a})
			}
			n.node("Add", []string{"x", a})
			tt.m, tt.nodes = n.model(), 300
			return tt
		}(),
	} {
		const most = 1 << 20
		ctx := &countdown{context.Background(), most}
		if _, err := Compile(ctx, tt.m, Config{Threads: 1}); err != nil {
			t.Fatal(err)
		}
		asked := most - ctx.left
		if asked < tt.nodes {
			t.Errorf("%s: the context is looked at %d times for %d nodes", name, asked, tt.nodes)
		}
		for at := 0; at < asked; at += 1 + asked/50 {
			if _, err := Compile(&countdown{context.Background(), at}, tt.m, Config{Threads: 1}); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: cancelled at %d of %d: error %v", name, at, asked, err)
			}
		}
	}
}

// TestLargeGraphStops: a graph of many nodes, all of whose values are alive at
// the end, stops like any other.
func TestLargeGraphStops(t *testing.T) {
	n := newNet(4)
	var all []string
	for i := range 3000 {
		all = append(all, n.node("Exp", []string{"x"}))
		n.m.Nodes[i].Name = fmt.Sprint("n", i)
	}
	n.node("Concat", all, "axis", 0)
	if _, err := Compile(&countdown{context.Background(), 8000}, n.model(), Config{Threads: 1}); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := Compile(context.Background(), n.model(), Config{Threads: 1}); err != nil {
		t.Error(err)
	}
}

// TestSharedWeights: passes make a weight of its own for each of many nodes that
// share one, and layers that follow each other tables. Both are counted.
func TestSharedWeights(t *testing.T) {
	shared := newNet(1, 64, 8, 8)
	w, scale := shared.weight(0, 1, 64, 64, 3, 3), shared.weight(0, 1, 64)
	zeros := shared.weight(1, 1, 64)
	one := graph.FromFloats([]int{64}, slices.Repeat([]float32{1}, 64))
	shared.m.Weights["one"] = one
	for range 500 {
		a := shared.node("Conv", []string{shared.last, w}, "kernel_shape", []int{3, 3}, "pads", []int{1, 1, 1, 1})
		shared.node("BatchNormalization", []string{a, scale, zeros, zeros, "one"})
	}
	tables := newNet(1, 1, 64, 64)
	w = tables.weight(0, 1, 1, 1, 1, 1)
	for range 300 {
		a := tables.node("Conv", []string{tables.last, w}, "kernel_shape", []int{1, 1})
		tables.node("Transpose", []string{a}, "perm", []int{0, 1, 3, 2})
	}
	for name, m := range map[string]*graph.Model{"weights": shared.model(), "tables": tables.model()} {
		before := allocated()
		_, err := Compile(context.Background(), m, Config{MaxBytes: 1 << 20, Threads: 1})
		if err == nil || !strings.Contains(err.Error(), "limit") {
			t.Errorf("%s: error %v", name, err)
		}
		if bytes := allocated() - before; bytes > 48<<20 {
			t.Errorf("%s: %d bytes were allocated", name, bytes)
		}
	}
}

// TestLongChains: what many nodes in a row make is found out once for each.
func TestLongChains(t *testing.T) {
	n := newNet(1, 1, 4, 4)
	n.relu(n.square("Conv", "x", 1, 1, 1, 0))
	for range 1500 {
		n.square("MaxPool", n.last, 3, 1, 1, 1)
	}
	if _, err := Compile(context.Background(), n.model(), Config{Threads: 1}); err != nil {
		t.Error(err)
	}
	twice := newNet(1, 1, 4, 4)
	a := twice.relu(twice.square("Conv", "x", 1, 1, 1, 0))
	for range 12 {
		a = twice.node("Concat", []string{a, a}, "axis", 1)
	}
	twice.square("MaxPool", a, 3, 1, 1, 1)
	if _, err := Compile(context.Background(), twice.model(), Config{Threads: 1}); err != nil {
		t.Error(err)
	}
}
