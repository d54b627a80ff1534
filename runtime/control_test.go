package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime/pass"
)

// op makes a node; values are separated by spaces, and "_" is an absent one.
func op(name, in, out string, attrs ...any) *graph.Node {
	list := func(s string) []string {
		names := strings.Fields(s)
		for i, n := range names {
			if n == "_" {
				names[i] = ""
			}
		}
		return names
	}
	n := &graph.Node{Op: name, Inputs: list(in), Outputs: list(out)}
	for i := 0; i < len(attrs); i += 2 {
		if body, ok := attrs[i+1].(*graph.Model); ok {
			if n.Attrs == nil {
				n.Attrs = make(map[string]*graph.Attr)
			}
			n.Attrs[attrs[i].(string)] = &graph.Attr{Kind: graph.AttrGraph, Graph: body}
			continue
		}
		n.Set(attrs[i].(string), attrs[i+1])
	}
	return n
}

// weights are those that the models below may use, in any of their graphs.
func constants() map[string]*graph.Tensor {
	bools := func(v int64) *graph.Tensor { return graph.FromInts(graph.Bool, []int{}, []int64{v}) }
	ints := func(v ...int64) *graph.Tensor { return graph.FromInts(graph.Int64, []int{len(v)}, v) }
	return map[string]*graph.Tensor{
		"true": bools(1), "false": bools(0), "zero": ints(0), "one": ints(1), "three": graph.FromInts(graph.Int64, []int{}, []int64{3}),
		"none": graph.FromInts(graph.Int64, []int{}, []int64{0}),
		"half": graph.FromFloats([]int{}, []float32{.5}), "two": graph.FromFloats([]int{}, []float32{2}), "minus": ints(-1),
		"huge": ints(1<<20, 1<<12),
		"eye":  graph.FromFloats([]int{2, 2}, []float32{1, 0, 0, 1}),
	}
}

// inner makes the graph of an attribute. Its inputs have no types, as exporters
// leave them out.
func inner(in, out string, nodes ...*graph.Node) *graph.Model {
	m := &graph.Model{Nodes: nodes}
	for _, name := range strings.Fields(in) {
		m.Inputs = append(m.Inputs, &graph.Value{Name: name})
	}
	for _, name := range strings.Fields(out) {
		m.Outputs = append(m.Outputs, &graph.Value{Name: name})
	}
	return m
}

// outer makes a model whose inputs are x [2, 3] float32, c bool and n int64.
func outer(out string, nodes ...*graph.Node) *graph.Model {
	m := inner("", out, nodes...)
	m.Inputs = []*graph.Value{
		{Name: "x", DType: graph.Float32, Shape: graph.Dims(2, 3)},
		{Name: "c", DType: graph.Bool, Shape: graph.Dims()},
		{Name: "n", DType: graph.Int64, Shape: graph.Dims()},
	}
	m.Opset = map[string]int{"": 17}
	m.Weights = constants()
	return m
}

// given are inputs of outer.
type given struct {
	x    []float32
	c, n int64
}

func floatsOf(shape []int, v ...float32) Tensor {
	return Tensor{DType: graph.Float32, Shape: shape, F: v}
}

func intsOf(shape []int, v ...int64) Tensor { return Tensor{DType: graph.Int64, Shape: shape, I: v} }

// runGiven runs a session of an outer model.
func runGiven(s *Session, g given) error {
	for name, f := range map[string]func(Tensor){
		"x": func(t Tensor) { copy(t.F, g.x) },
		"c": func(t Tensor) { t.I[0] = g.c },
		"n": func(t Tensor) { t.I[0] = g.n },
	} {
		t, err := s.Input(name)
		if err != nil {
			return err
		}
		f(t)
	}
	return s.Run(context.Background())
}

func checkOutputs(s *Session, m *graph.Model, want []Tensor) error {
	for i, w := range want {
		got, err := s.Output(m.Outputs[i].Name)
		if err != nil {
			return err
		}
		if got.DType != w.DType || !slices.Equal(got.Shape, w.Shape) || !slices.Equal(got.F, w.F) || !slices.Equal(got.I, w.I) {
			return fmt.Errorf("output %q is %v, want %v", m.Outputs[i].Name, got, w)
		}
	}
	return nil
}

type controlRun struct {
	given
	want []Tensor
}

var x123 = []float32{1, 2, 3, 4, 5, 6}

var controlCases = []struct {
	name  string
	model func() *graph.Model
	runs  []controlRun
}{
	{"columns that are not zero, through layers", func() *graph.Model {
		return outer("y i",
			op("ReduceSum", "x zero", "sums", "keepdims", 0),
			op("NonZero", "sums", "at"),
			op("Squeeze", "at zero", "i"),
			op("Gather", "x i", "cols", "axis", 1),
			op("MatMul", "eye cols", "p"),
			op("Relu", "p", "y"))
	}, []controlRun{
		{given{x: []float32{0, 1, 2, 0, -1, 3}}, []Tensor{floatsOf([]int{2, 1}, 2, 3), intsOf([]int{1}, 2)}},
		{given{x: x123}, []Tensor{floatsOf([]int{2, 3}, x123...), intsOf([]int{3}, 0, 1, 2)}},
		{given{x: make([]float32, 6)}, []Tensor{floatsOf([]int{2, 0}, []float32{}...), intsOf([]int{0}, []int64{}...)}},
	}},
	{"sizes that a run tells, twice over", func() *graph.Model {
		return outer("y k",
			op("NonZero", "x", "at"),
			op("Shape", "at", "s", "start", 1),
			op("ReduceMax", "x", "m", "keepdims", 0),
			op("Cast", "m", "mi", "to", 7),
			op("Unsqueeze", "mi zero", "k1"),
			op("Min", "k1 s", "k"),
			op("Reshape", "x minus", "flat"),
			op("TopK", "flat k", "best at_"),
			op("Slice", "best zero k", "y"))
	}, []controlRun{
		{given{x: []float32{0, 1, 2, 0, -1, 3}}, []Tensor{floatsOf([]int{3}, 3, 2, 1), intsOf([]int{1}, 3)}},
		{given{x: []float32{0, 5, 0, 0, 0, 0}}, []Tensor{floatsOf([]int{1}, 5), intsOf([]int{1}, 1)}},
	}},
	{"a range and a fill of lengths that a run tells", func() *graph.Model {
		return outer("r f",
			op("Range", "none n three", "r"),
			op("Shape", "r", "s"),
			op("Expand", "half s", "f"))
	}, []controlRun{
		{given{x: x123, n: 7}, []Tensor{intsOf([]int{3}, 0, 3, 6), floatsOf([]int{3}, .5, .5, .5)}},
		{given{x: x123, n: 0}, []Tensor{intsOf([]int{0}, []int64{}...), floatsOf([]int{0}, []float32{}...)}},
	}},
	{"branches of different shapes, one of them nested", func() *graph.Model {
		deep := op("If", "big", "d",
			"then_branch", inner("", "x"), // an output that is a captured value
			"else_branch", inner("", "q", op("Mul", "h two", "q")))
		return outer("y z",
			op("Mul", "x half", "h"),
			op("If", "c", "y z",
				"then_branch", inner("", "t1 t2", op("ReduceSum", "h", "t1", "keepdims", 0), op("Neg", "x", "t2")),
				"else_branch", inner("", "d h", op("Greater", "n three", "big"), deep)))
	}, []controlRun{
		{given{x: x123, c: 1}, []Tensor{floatsOf([]int{}, 10.5), floatsOf([]int{2, 3}, -1, -2, -3, -4, -5, -6)}},
		{given{x: x123, c: 0, n: 4}, []Tensor{floatsOf([]int{2, 3}, x123...), floatsOf([]int{2, 3}, .5, 1, 1.5, 2, 2.5, 3)}},
		{given{x: x123, c: 0, n: 3}, []Tensor{floatsOf([]int{2, 3}, x123...)}},
	}},
	{"what follows a branch", func() *graph.Model {
		return outer("y",
			op("If", "c", "b",
				"then_branch", inner("", "t", op("Transpose", "x", "t")),
				"else_branch", inner("", "e", op("MatMul", "eye x", "e"))),
			op("Shape", "b", "s"),
			op("Reshape", "x s", "r"),
			op("Add", "r b", "y"))
	}, []controlRun{
		{given{x: x123, c: 1}, []Tensor{floatsOf([]int{3, 2}, 2, 6, 5, 9, 8, 12)}},
		{given{x: x123, c: 0}, []Tensor{floatsOf([]int{2, 3}, 2, 4, 6, 8, 10, 12)}},
	}},
	{"a loop that counts, swaps and stacks", func() *graph.Model {
		return outer("a b s",
			op("Mul", "x two", "x2"),
			op("Loop", "n c x x2", "a b s", "body", inner("i go p q", "go q p sum",
				op("Add", "p q", "pq"), op("ReduceSum", "pq", "t", "keepdims", 0),
				op("Cast", "i", "fi", "to", 1), op("Add", "t fi", "sum"))))
	}, []controlRun{
		{given{x: x123, c: 1, n: 3}, []Tensor{floatsOf([]int{2, 3}, 2, 4, 6, 8, 10, 12), floatsOf([]int{2, 3}, x123...), floatsOf([]int{3}, 63, 64, 65)}},
		{given{x: x123, c: 1, n: 0}, []Tensor{floatsOf([]int{2, 3}, x123...), floatsOf([]int{2, 3}, 2, 4, 6, 8, 10, 12), floatsOf([]int{0}, []float32{}...)}},
		{given{x: x123, c: 0, n: 3}, []Tensor{floatsOf([]int{2, 3}, x123...), floatsOf([]int{2, 3}, 2, 4, 6, 8, 10, 12), floatsOf([]int{0}, []float32{}...)}},
		{given{x: x123, c: 1, n: -5}, []Tensor{floatsOf([]int{2, 3}, x123...)}},
	}},
	{"a loop that ends by its condition and grows", func() *graph.Model {
		return outer("list",
			op("Loop", "_ true one", "list", "body", inner("i c0 l", "go l2",
				op("Shape", "l", "len"), op("Concat", "l len", "l2", "axis", 0),
				op("Squeeze", "len", "len0"), op("Less", "len0 n", "go"))))
	}, []controlRun{
		{given{x: x123, n: 3}, []Tensor{intsOf([]int{4}, 1, 1, 2, 3)}},
		{given{x: x123, n: 1}, []Tensor{intsOf([]int{2}, 1, 1)}},
	}},
	{"a loop without end that its condition stops, of no carried value", func() *graph.Model {
		return outer("s", op("Loop", "_ _", "s", "body", inner("i c0", "go i2", op("Less", "i n", "go"), op("Identity", "i", "i2"))))
	}, []controlRun{{given{x: x123, n: 2}, []Tensor{intsOf([]int{3}, 0, 1, 2)}}}},
	{"a loop in a loop that captures from both around it", func() *graph.Model {
		nested := op("Loop", "i true none", "cnt",
			"body", inner("j c2 acc", "c2 acc2", op("Add", "i j", "ij"), op("Add", "ij n", "ijn"), op("Add", "acc ijn", "acc2")))
		return outer("s", op("Loop", "n _", "s", "body", inner("i c1", "c1 cnt", nested)))
	}, []controlRun{{given{x: x123, n: 3}, []Tensor{intsOf([]int{3}, 0, 4, 5+6)}}}},
	{"stacks whose elements have extents that only a run tells, of no trip", func() *graph.Model {
		body := inner("i c1", "c1 z", op("NonZero", "x", "z"))
		body.Outputs[1].DType, body.Outputs[1].Shape = graph.Int64, []graph.Dim{{Size: 2}, {Symbol: "many"}}
		return outer("s", op("Loop", "n true", "s", "body", body))
	}, []controlRun{
		{given{x: []float32{0, 0, 9, 0, 0, 0}, n: 2}, []Tensor{intsOf([]int{2, 2, 1}, 0, 2, 0, 2)}},
		{given{x: x123, n: 0}, []Tensor{intsOf([]int{0, 2, 0}, []int64{}...)}},
	}},
	{"scan, forwards", func() *graph.Model {
		return outer("sum all",
			op("ReduceSum", "x zero", "s0", "keepdims", 0),
			op("Scan", "s0 x", "sum all", "num_scan_inputs", 1,
				"body", inner("st row", "st2 twice", op("Add", "st row", "st2"), op("Mul", "st2 two", "twice"))))
	}, []controlRun{{given{x: x123}, []Tensor{floatsOf([]int{3}, 10, 14, 18), floatsOf([]int{2, 3}, 12, 18, 24, 20, 28, 36)}}}},
	{"scan, backwards along columns, stacked backwards as columns", func() *graph.Model {
		return outer("last all",
			op("ReduceSum", "x one", "s0", "keepdims", 0),
			op("Scan", "s0 x", "last all", "num_scan_inputs", 1,
				"scan_input_axes", []int{-1}, "scan_input_directions", []int{1},
				"scan_output_axes", []int{1}, "scan_output_directions", []int{1},
				"body", inner("st col", "st2 st2", op("Sub", "st col", "st2"))))
	}, []controlRun{{given{x: x123}, []Tensor{floatsOf([]int{2}, 0, 0), floatsOf([]int{2, 3}, 0, 1, 3, 0, 4, 9)}}}},
	{"scan of two inputs in two directions, without state", func() *graph.Model {
		return outer("y", op("Scan", "x x", "y", "num_scan_inputs", 2, "scan_input_directions", []int{0, 1},
			"body", inner("a b", "d", op("Sub", "a b", "d"))))
	}, []controlRun{{given{x: x123}, []Tensor{floatsOf([]int{2, 3}, -3, -3, -3, 3, 3, 3)}}}},
	{"scan of nothing", func() *graph.Model {
		return outer("st all",
			op("NonZero", "x", "at"), op("Transpose", "at", "list"),
			op("Scan", "none list", "st all", "num_scan_inputs", 1,
				"body", inner("s row", "s2 row2", op("ReduceSum", "row", "r", "keepdims", 0), op("Add", "s r", "s2"), op("Identity", "row", "row2"))))
	}, []controlRun{
		{given{x: make([]float32, 6)}, []Tensor{intsOf([]int{}, 0), intsOf([]int{0, 2}, []int64{}...)}},
		{given{x: []float32{0, 0, 9, 0, 9, 0}}, []Tensor{intsOf([]int{}, 4), intsOf([]int{2, 2}, 0, 2, 1, 1)}},
	}},
}

// TestControl runs each model several times in one session, so that plans and
// sessions of parts are used again, and with and without passes.
func TestControl(t *testing.T) {
	for _, c := range controlCases {
		t.Run(c.name, func(t *testing.T) {
			for _, skip := range [][]string{nil, passNames()} {
				m := c.model()
				if err := m.Validate(); err != nil {
					t.Fatal(err)
				}
				p, err := Compile(context.Background(), m, Config{SkipPasses: skip})
				if err != nil {
					t.Fatal(err)
				}
				if len(p.Explain().Later) == 0 {
					t.Error("Explain lists nothing that waits for a run")
				}
				s := p.NewSession()
				if _, err := s.Output(m.Outputs[0].Name); err == nil {
					t.Error("an output is there before the first run")
				}
				for round := range 2 {
					for i, r := range c.runs {
						if err := runGiven(s, r.given); err != nil {
							t.Fatalf("round %d, run %d: %v", round, i, err)
						}
						if err := checkOutputs(s, m, r.want); err != nil {
							t.Errorf("round %d, run %d: %v", round, i, err)
						}
					}
				}
				s.Close()
			}
		})
	}
}

// TestControlConcurrently runs sessions of one plan in goroutines, which meet
// at the plans of its parts.
func TestControlConcurrently(t *testing.T) {
	for _, c := range controlCases {
		m := c.model()
		p, err := Compile(context.Background(), m, Config{Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for g := range 4 {
			group.Go(func() {
				s := p.NewSession()
				defer s.Close()
				for i := range 6 {
					r := c.runs[(g+i)%len(c.runs)]
					if err := runGiven(s, r.given); err != nil {
						t.Errorf("%s: %v", c.name, err)
					} else if err := checkOutputs(s, m, r.want); err != nil {
						t.Errorf("%s: %v", c.name, err)
					}
				}
			})
		}
		group.Wait()
	}
}

// TestConstantConditions checks that an If whose condition is constant leaves
// nothing for a run to decide, however deep, and that names of the branch that
// are those of the graph around do not collide.
func TestConstantConditions(t *testing.T) {
	build := func() *graph.Model {
		deep := op("If", "known", "d", "then_branch", inner("", "y", op("Neg", "h", "y")), "else_branch", inner("", "x"))
		branch := inner("", "d h", op("Shape", "h", "s"), op("Gather", "s zero", "rows"), op("Less", "rows three", "known"), deep, op("Mul", "x two", "h"))
		branch.Weights = map[string]*graph.Tensor{"half": graph.FromFloats([]int{}, []float32{9})}
		branch.Nodes = append(branch.Nodes, op("Mul", "x half", "unused"))
		return outer("y h2 again",
			op("If", "true", "y h2", "then_branch", branch, "else_branch", inner("", "x x")),
			op("Mul", "x half", "again"))
	}
	want := []Tensor{floatsOf([]int{2, 3}, -2, -4, -6, -8, -10, -12), floatsOf([]int{2, 3}, 2, 4, 6, 8, 10, 12), floatsOf([]int{2, 3}, .5, 1, 1.5, 2, 2.5, 3)}
	for _, skip := range [][]string{nil, {pass.Branch}} {
		m := build()
		if err := m.Validate(); err != nil {
			t.Fatal(err)
		}
		p, err := Compile(context.Background(), m, Config{SkipPasses: skip})
		if err != nil {
			t.Fatal(err)
		}
		if later := p.Explain().Later; (later == nil) != (skip == nil) {
			t.Errorf("skipping %q: %v wait for a run", skip, later)
		}
		s := p.NewSession()
		if err := runGiven(s, given{x: x123}); err != nil {
			t.Fatal(err)
		}
		if err := checkOutputs(s, m, want); err != nil {
			t.Error(err)
		}
		s.Close()
	}
}

func TestControlErrors(t *testing.T) {
	stop := inner("", "y", op("Identity", "x", "y"))
	for _, c := range []struct {
		name  string
		model *graph.Model
		given given
		max   int64
		want  string // of Compile or of Run
	}{
		{"no body", outer("y", op("Loop", "n c", "y")), given{}, 0, "expected a graph"},
		{"one branch", outer("y", op("If", "c", "y", "then_branch", stop)), given{}, 0, "graphs"},
		{"a third branch", outer("y", op("If", "c", "y", "then_branch", stop, "else_branch", stop, "a_branch", stop)), given{}, 0, "graphs"},
		{"branches of too few outputs", outer("y z", op("If", "c", "y z", "then_branch", stop, "else_branch", stop)), given{}, 0, "expected 0 and 2"},
		{"a body of too few inputs", outer("y", op("Loop", "n c x", "y", "body", inner("i c0", "c0 i"))), given{}, 0, "expected 3 and 2"},
		{"no scanned inputs", outer("y", op("Scan", "x", "y", "body", inner("i", "i"))), given{}, 0, "num_scan_inputs"},
		{"a scan of version 8", func() *graph.Model {
			m := outer("y", op("Scan", "_ x", "y", "num_scan_inputs", 1, "body", inner("i", "i")))
			m.Opset[""] = 8
			return m
		}(), given{}, 0, "version 8 of operator Scan"},
		{"an unknown operator in a branch", outer("y", op("If", "c", "y", "then_branch", inner("", "y", op("Nonesuch", "x", "y")), "else_branch", stop)), given{}, 0, "Nonesuch is not supported"},
		{"a condition that is no bool", outer("y", op("If", "n", "y", "then_branch", stop, "else_branch", stop)), given{}, 0, "expected one element of bool"},
		{"a body whose condition is a list", outer("y", op("Loop", "n c", "y", "body", inner("i c0", "x i"))), given{c: 1, n: 1}, 0, "the condition that the body puts out"},
		{"a carried value of another type", outer("y", op("Loop", "n c x", "y", "body", inner("i c0 p", "c0 i"))), given{c: 1, n: 1}, 0, "carried value 0 is float32, and becomes int64"},
		{"stacked shapes that differ", outer("y l", op("Loop", "n c zero", "y l", "body", inner("i c0 p", "c0 q q2", op("Concat", "p p", "q", "axis", 0), op("Identity", "q", "q2")))), given{c: 1, n: 2}, 0, "output 1 of trip 1"},
		{"a body's input of another type", func() *graph.Model {
			b := inner("i c0 p", "c0 p")
			b.Inputs[2].DType = graph.Float64
			return outer("y", op("Loop", "n c x", "y", "body", b))
		}(), given{c: 1, n: 1}, 0, `input "p" is float32, expected float64`},
		{"scanned inputs of different lengths", outer("y", op("Scan", "x x", "y", "num_scan_inputs", 2, "scan_input_axes", []int{0, 1}, "body", inner("a b", "a"))), given{}, 0, "has 3 slices, the first has 2"},
		{"an axis that is not there", outer("y", op("Scan", "x", "y", "num_scan_inputs", 1, "scan_input_axes", []int{2}, "body", inner("a", "a"))), given{}, 0, "axis 2 of rank 2"},
		{"a direction that is none", outer("y", op("Scan", "x", "y", "num_scan_inputs", 1, "scan_input_directions", []int{2}, "body", inner("a", "a"))), given{}, 0, "expected 0 or 1"},
		{"a loop that grows", outer("y", op("Loop", "_ _ x", "y", "body", inner("i c0 p", "true q", op("Concat", "p p", "q", "axis", 0)))), given{}, 1 << 20, "limit"},
		{"a loop that stacks without end", outer("y", op("Loop", "_ _", "y", "body", inner("i c0", "true q", op("Identity", "x", "q")))), given{}, 1 << 16, "are left of the limit"},
		{"a size that data makes huge", outer("y", op("Mul", "n huge", "s"), op("Expand", "half s", "y")), given{n: 1}, 0, "more than the limit"},
		{"the same behind what data decides", outer("y", op("NonZero", "x", "at"), op("Shape", "at", "s0"), op("Mul", "s0 huge", "s"), op("ConstantOfShape", "s", "y")), given{x: x123}, 1 << 20, "limit"},
		{"what no trip has stacked, of unknown type", outer("y", op("Loop", "n c", "y", "body", inner("i c0", "c0 z", op("NonZero", "x", "z")))), given{}, 0, "is not given"},
		{"an output of another type", func() *graph.Model {
			m := outer("y", op("NonZero", "x", "y"))
			m.Outputs[0].DType = graph.Float32
			return m
		}(), given{x: x123}, 0, "the model says float32"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.model.Validate(); err != nil {
				t.Fatal(err)
			}
			p, err := Compile(context.Background(), c.model, Config{MaxBytes: c.max})
			if err == nil {
				s := p.NewSession()
				defer s.Close()
				if err = runGiven(s, c.given); err == nil {
					t.Fatal("no error")
				}
				if _, err := s.Output("y"); err == nil {
					t.Error("an output is there after a run that failed")
				}
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestLoopWithoutEnd checks that a context stops what would run for ever.
func TestLoopWithoutEnd(t *testing.T) {
	for name, body := range map[string]*graph.Model{
		"of nodes":   inner("i c0 p", "true q", op("Mul", "p half", "q")),
		"of nothing": inner("i c0 p", "true p"),
	} {
		m := outer("y", op("Loop", "_ _ x", "y", "body", body))
		p, err := Compile(context.Background(), m, Config{})
		if err != nil {
			t.Fatal(err)
		}
		s := p.NewSession()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		if err := s.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a loop %s: %v", name, err)
		}
		cancel()
		s.Close()
	}
}

// TestLongTail checks that shapes may depend on data again and again, but not
// for ever.
func TestLongTail(t *testing.T) {
	build := func(n int) *graph.Model {
		m := outer("y")
		last := "x"
		for i := range n {
			name := fmt.Sprintf("z%d", i)
			m.Nodes = append(m.Nodes, op("Unique", last, name))
			last = name
		}
		m.Nodes = append(m.Nodes, op("Identity", last, "y"))
		return m
	}
	grows, last := outer("y"), "x"
	// Indices of indices of indices grow from each to the next.
	for i := range 100 {
		grows.Nodes = append(grows.Nodes, op("NonZero", last, fmt.Sprintf("z%d", i)))
		last = fmt.Sprintf("z%d", i)
	}
	grows.Nodes = append(grows.Nodes, op("Identity", last, "y"))
	p, err := Compile(context.Background(), grows, Config{MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s := p.NewSession()
	if err := runGiven(s, given{x: x123}); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("what grows at each step: %v", err)
	}
	s.Close()
	for n, ok := range map[int]bool{20: true, maxDepth + 2: false} {
		p, err := Compile(context.Background(), build(n), Config{})
		if err == nil {
			s := p.NewSession()
			err = runGiven(s, given{x: x123})
			s.Close()
		}
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "times over") {
			t.Errorf("%d times: %v", n, err)
		}
	}
}
