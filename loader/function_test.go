package loader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime"
)

// def is a FunctionProto of domain pkg.
func def(name string, inputs, outputs []string, fill func(m *message)) *message {
	return build(func(m *message) {
		m.str(1, name)
		for _, s := range inputs {
			m.str(4, s)
		}
		for _, s := range outputs {
			m.str(5, s)
		}
		m.message(9, build(func(m *message) { m.int(2, 17) }))
		m.str(10, "pkg")
		fill(m)
	})
}

// in moves a node to a domain, with an overload.
func in(domain, overload string, n *message) *message {
	n.str(7, domain)
	n.word(8, overload)
	return n
}

func pkg(n *message) *message { return in("pkg", "", n) }

func names(s string) []string {
	list := strings.Fields(s)
	for i, name := range list {
		if name == "_" {
			list[i] = ""
		}
	}
	return list
}

func call(op, inputs, outputs string, attrs ...*message) *message {
	return node(op, names(inputs), names(outputs), attrs...)
}

// ref is an attribute of a function's node that the call gives.
func ref(name, of string, kind graph.AttrKind) *message {
	return attr(name, kind, func(m *message) { m.str(21, of) })
}

func floatAttr(name string, v float32) *message {
	return attr(name, graph.AttrFloat, func(m *message) { m.float(2, v) })
}

// functionModel has input x [2], c bool and output y.
func functionModel(nodes []*message, functions ...*message) []byte {
	b := onnxModel(func(g *message) {
		for _, n := range nodes {
			g.message(1, n)
		}
		g.message(11, encodeValue(&graph.Value{Name: "x", DType: graph.Float32, Shape: graph.Dims(2)}))
		g.message(11, encodeValue(&graph.Value{Name: "c", DType: graph.Bool, Shape: graph.Dims()}))
		g.message(12, encodeValue(&graph.Value{Name: "y", DType: graph.Float32}))
	})
	return slices.Concat(b, build(func(m *message) {
		for _, f := range functions {
			m.message(25, f)
		}
	}).contents())
}

// scale computes y = x·by + 1, where by is an attribute of the call and 2 where
// it is absent. It uses names that the model has, too.
var scale = def("Scale", names("x"), names("y"), func(m *message) {
	m.message(7, call("Constant", "", "c", ref("value_float", "by", graph.AttrFloat)))
	m.message(7, call("Constant", "", "one", floatAttr("value_float", 1)))
	m.message(7, call("Mul", "x c", "t"))
	m.message(7, call("Add", "t one", "y"))
	m.message(11, floatAttr("by", 2))
})

// twice calls Scale with its own attribute, and then without any.
var twice = def("Twice", names("a"), names("b a"), func(m *message) {
	m.str(6, "f")
	m.message(7, pkg(call("Scale", "a", "t", ref("by", "f", graph.AttrFloat))))
	m.message(7, pkg(call("Scale", "t", "b")))
})

func TestFunctions(t *testing.T) {
	// choose puts out p or its negative, in a branch that has names of its own
	// and captures one of the function.
	choose := def("Choose", names("c p unused"), names("q"), func(m *message) {
		branch := func(op string) func(m *message) {
			return func(m *message) {
				m.message(6, build(func(g *message) {
					g.message(1, call(op, "p", "y"))
					g.message(12, encodeValue(&graph.Value{Name: "y"}))
				}))
			}
		}
		m.message(7, call("If", "c", "q", attr("then_branch", graph.AttrGraph, branch("Neg")), attr("else_branch", graph.AttrGraph, branch("Identity"))))
	})
	overloaded := def("Scale", names("x"), names("x2"), func(m *message) {
		m.message(7, call("Add", "x x", "x2"))
		m.str(13, "sum")
	})
	for _, c := range []struct {
		name  string
		nodes []*message
		want  [2][]float32 // without and with c
	}{
		{"default", []*message{pkg(call("Scale", "x", "y"))}, [2][]float32{{3, 5}, {3, 5}}},
		{"given", []*message{pkg(call("Scale", "x", "y", floatAttr("by", 10)))}, [2][]float32{{11, 21}, {11, 21}}},
		{"overload", []*message{in("pkg", "sum", call("Scale", "x", "y"))}, [2][]float32{{2, 4}, {2, 4}}},
		{"nested, twice, with an input for an output", []*message{
			pkg(call("Twice", "x", "u v", floatAttr("f", 3))), pkg(call("Twice", "v", "w")), call("Add", "u w", "y"),
		}, [2][]float32{{9 + 7, 15 + 11}, {9 + 7, 15 + 11}}},
		{"graphs in a function, inputs left out", []*message{pkg(call("Choose", "c x", "n")), pkg(call("Choose", "c n _", "y"))}, [2][]float32{{1, 2}, {1, 2}}},
		{"once", []*message{pkg(call("Choose", "c x", "y"))}, [2][]float32{{1, 2}, {-1, -2}}},
		{"in a branch", []*message{call("If", "c", "y",
			attr("then_branch", graph.AttrGraph, func(m *message) {
				m.message(6, build(func(g *message) {
					g.message(1, pkg(call("Twice", "x", "r")))
					g.message(12, encodeValue(&graph.Value{Name: "r"}))
				}))
			}),
			attr("else_branch", graph.AttrGraph, func(m *message) {
				m.message(6, build(func(g *message) { g.message(12, encodeValue(&graph.Value{Name: "x"})) }))
			}))}, [2][]float32{{1, 2}, {7, 11}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Parse(t.Context(), "m.onnx", functionModel(c.nodes, scale, twice, choose, overloaded), Options{})
			if err != nil {
				t.Fatal(err)
			}
			p, err := runtime.Compile(context.Background(), m, runtime.Config{Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			s := p.NewSession()
			defer s.Close()
			for i, want := range c.want {
				x, _ := s.Input("x")
				copy(x.F, []float32{1, 2})
				condition, _ := s.Input("c")
				condition.I[0] = int64(i)
				if err := s.Run(context.Background()); err != nil {
					t.Fatal(err)
				}
				if y, err := s.Output("y"); err != nil || !slices.Equal(y.F, want) {
					t.Errorf("c = %d: %v, %v, want %v", i, y.F, err, want)
				}
			}
		})
	}
}

func TestFunctionsRefused(t *testing.T) {
	// Each function calls the next one twice, 40 deep.
	var blowUp []*message
	for i := range 40 {
		blowUp = append(blowUp, def(fmt.Sprintf("F%d", i), names("x"), names("y"), func(m *message) {
			m.message(7, pkg(call(fmt.Sprintf("F%d", i+1), "x", "t")))
			m.message(7, pkg(call(fmt.Sprintf("F%d", i+1), "t", "y")))
		}))
	}
	blowUp = append(blowUp, def("F40", names("x"), names("y"), func(m *message) { m.message(7, call("Neg", "x", "y")) }))
	var deep []*message
	for i := range maxCallDepth + 1 {
		deep = append(deep, def(fmt.Sprintf("F%d", i), names("x"), names("y"), func(m *message) {
			m.message(7, pkg(call(fmt.Sprintf("F%d", i+1), "x", "y")))
		}))
	}
	one := func(n ...*message) []*message { return n }
	for _, c := range []struct {
		name      string
		nodes     []*message
		functions []*message
		want      string
	}{
		{"calls itself", one(pkg(call("F", "x", "y"))), one(def("F", names("x"), names("y"), func(m *message) {
			m.message(7, pkg(call("F", "x", "y")))
		})), "calls itself"},
		{"each calls the other", one(pkg(call("F", "x", "y"))), one(
			def("F", names("x"), names("y"), func(m *message) { m.message(7, pkg(call("G", "x", "y"))) }),
			def("G", names("x"), names("y"), func(m *message) { m.message(7, pkg(call("F", "x", "y"))) })), "calls itself"},
		{"grows", one(pkg(call("F0", "x", "y"))), blowUp, "grow the model"},
		{"too deep", one(pkg(call("F0", "x", "y"))), deep, "nest more than"},
		{"too many inputs", one(pkg(call("Scale", "x x", "y"))), one(scale), "called with 2 inputs"},
		{"too many outputs", one(pkg(call("Scale", "x", "y z"))), one(scale), "2 outputs, it has 1 and 1"},
		{"two of a name", one(pkg(call("Scale", "x", "y"))), one(scale, scale), "a second function"},
		{"uses what is around the call", one(pkg(call("F", "", "y"))), one(def("F", nil, names("y"), func(m *message) {
			m.message(7, call("Neg", "x", "y"))
		})), `uses "x"`},
		{"an output that nothing makes", one(pkg(call("F", "x", "y"))), one(def("F", names("x"), names("y"), func(m *message) {})), `uses "y"`},
		{"another operator set", one(pkg(call("F", "x", "y"))), one(def("F", names("x"), names("y"), func(m *message) {
			m.message(9, build(func(m *message) { m.int(2, 18) }))
			m.message(7, call("Neg", "x", "y"))
		})), "imports version 18"},
		{"a constant without a value", one(pkg(call("F", "", "y"))), one(def("F", nil, names("y"), func(m *message) {
			m.message(7, call("Constant", "", "y", ref("value_float", "v", graph.AttrFloat)))
		})), "not a constant"},
		{"an attribute twice", one(pkg(call("F", "x", "y"))), one(def("F", names("x"), names("y"), func(m *message) {
			m.message(7, call("Elu", "x", "y", ref("alpha", "a", graph.AttrFloat), floatAttr("alpha", 1)))
		})), "a second attribute"},
	} {
		_, err := Parse(t.Context(), "m.onnx", functionModel(c.nodes, c.functions...), Options{})
		if format := (*FormatError)(nil); !errors.As(err, &format) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
