package loader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
)

// build returns a message that fill has written.
func build(fill func(m *message)) *message {
	m := &message{}
	fill(m)
	return m
}

func (m *message) contents() []byte {
	var b bytes.Buffer
	if err := m.writeTo(&b); err != nil {
		panic(err) // a buffer takes everything
	}
	return b.Bytes()
}

// onnxModel returns the bytes of a model with one graph.
func onnxModel(fill func(g *message)) []byte {
	return build(func(m *message) {
		m.int(1, 8)
		m.message(7, build(fill))
		m.message(8, build(func(m *message) { m.int(2, 17) }))
	}).contents()
}

// floatTensor is a TensorProto in float_data.
func floatTensor(name string, dims []int64, v ...float32) *message {
	return build(func(m *message) {
		for _, d := range dims {
			m.int(1, d)
		}
		m.int(2, 1)
		m.str(8, name)
		for _, x := range v {
			m.float(4, x)
		}
	})
}

func node(op string, inputs, outputs []string, attrs ...*message) *message {
	return build(func(m *message) {
		for _, s := range inputs {
			m.str(1, s)
		}
		for _, s := range outputs {
			m.str(2, s)
		}
		m.str(4, op)
		for _, a := range attrs {
			m.message(5, a)
		}
	})
}

// addNet writes y = relu(x + w) with w a vector of three.
func addNet(g *message) {
	g.message(1, node("Add", []string{"x", "w"}, []string{"s"}))
	g.message(1, node("Relu", []string{"s"}, []string{"y"}))
	g.str(2, "net")
	g.message(5, floatTensor("w", []int64{3}, 1, 2, 3))
	g.message(11, encodeValue(&graph.Value{Name: "x", DType: graph.Float32, Shape: []graph.Dim{{Symbol: "batch"}, {Size: 3}, {Size: -1}}}))
	g.message(11, encodeValue(&graph.Value{Name: "w", DType: graph.Float32, Shape: graph.Dims(3)}))
	g.message(12, encodeValue(&graph.Value{Name: "y", DType: graph.Float32}))
	g.message(13, encodeValue(&graph.Value{Name: "s", DType: graph.Float32}))
}

func TestParse(t *testing.T) {
	data := slices.Concat(onnxModel(addNet), build(func(m *message) {
		m.str(2, "maker")
		m.str(3, "1.2")
		m.message(14, keyValue("k", "v"))
		m.str(9999, "a field of the future")
	}).contents())
	m, err := Parse(t.Context(), "net.onnx", data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := &graph.Model{
		Name:    "net",
		Inputs:  []*graph.Value{{Name: "x", DType: graph.Float32, Shape: []graph.Dim{{Symbol: "batch"}, {Size: 3}, {Size: -1}}}},
		Outputs: []*graph.Value{{Name: "y", DType: graph.Float32}},
		Nodes: []*graph.Node{
			{Op: "Add", Inputs: []string{"x", "w"}, Outputs: []string{"s"}, Attrs: map[string]*graph.Attr{}},
			{Op: "Relu", Inputs: []string{"s"}, Outputs: []string{"y"}, Attrs: map[string]*graph.Attr{}},
		},
		Weights:  map[string]*graph.Tensor{"w": graph.FromFloats([]int{3}, []float32{1, 2, 3})},
		Values:   map[string]*graph.Value{"s": {Name: "s", DType: graph.Float32}},
		Opset:    map[string]int{"": 17},
		Meta:     map[string]string{"k": "v"},
		IR:       8,
		Producer: "maker 1.2",
	}
	if d := diffModels(m, want); d != "" {
		t.Error(d)
	}
}

// attr writes an attribute whose value is in field num.
func attr(name string, kind graph.AttrKind, fill func(m *message)) *message {
	return build(func(m *message) {
		m.str(1, name)
		fill(m)
		if kind != 0 {
			m.int(20, int64(kind))
		}
	})
}

func TestAttributes(t *testing.T) {
	packed := binary.LittleEndian.AppendUint32(nil, math.Float32bits(1.5))
	body := func(g *message) {
		g.message(1, node("Neg", []string{"s"}, []string{"n"})) // s is of the graph around it
		g.message(12, encodeValue(&graph.Value{Name: "n"}))
	}
	data := onnxModel(func(g *message) {
		addNet(g)
		g.message(1, node("If", []string{"y"}, []string{"z"},
			attr("f", graph.AttrFloat, func(m *message) { m.float(2, 2.5) }),
			attr("i", graph.AttrInt, func(m *message) { m.int(3, -3) }),
			attr("s", graph.AttrString, func(m *message) { m.str(4, "text") }),
			attr("t", graph.AttrTensor, func(m *message) { m.message(5, floatTensor("", nil, 7)) }),
			attr("g", graph.AttrGraph, func(m *message) { m.message(6, build(body)) }),
			attr("floats", graph.AttrFloats, func(m *message) { m.float(7, 1); m.bytes(7, packed) }),
			attr("ints", graph.AttrInts, func(m *message) { m.int(8, 4); m.bytes(8, []byte{5, 6}) }),
			attr("strings", graph.AttrStrings, func(m *message) { m.str(9, "a"); m.str(9, "b") }),
			attr("empty", graph.AttrInts, func(m *message) {}),
			attr("untyped", 0, func(m *message) { m.int(3, 9) }),
		))
	})
	m, err := Parse(t.Context(), "net.onnx", data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := m.Nodes[2].Attrs
	inner := got["g"].Graph
	if inner == nil || len(inner.Nodes) != 1 || inner.Opset[""] != 17 {
		t.Errorf("graph %+v", inner)
	}
	want := map[string]*graph.Attr{
		"f":       {Kind: graph.AttrFloat, Float: 2.5},
		"i":       {Kind: graph.AttrInt, Int: -3},
		"s":       {Kind: graph.AttrString, String: "text"},
		"t":       {Kind: graph.AttrTensor, Tensor: graph.FromFloats([]int{}, []float32{7})},
		"g":       {Kind: graph.AttrGraph, Graph: inner},
		"floats":  {Kind: graph.AttrFloats, Floats: []float32{1, 1.5}},
		"ints":    {Kind: graph.AttrInts, Ints: []int64{4, 5, 6}},
		"strings": {Kind: graph.AttrStrings, Strings: []string{"a", "b"}},
		"empty":   {Kind: graph.AttrInts},
		"untyped": {Kind: graph.AttrInt, Int: 9},
	}
	if d := diffNodes(&graph.Node{Attrs: got}, &graph.Node{Attrs: want}); d != "" {
		t.Error(d)
	}
	path := filepath.Join(t.TempDir(), "saved.onnx")
	if err := Save(path, m, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	saved, err := Load(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if d := diffModels(m, saved); d != "" {
		t.Errorf("saved and read back: %s", d)
	}
}

func TestConstants(t *testing.T) {
	sparse := build(func(m *message) {
		m.message(1, floatTensor("", []int64{1}, 5))
		m.message(2, encodeTensor("", graph.FromInts(graph.Int64, []int{1}, []int64{2})))
		m.int(3, 4)
	})
	text, err := graph.NewStrings([]int{}, []string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	texts, err := graph.NewStrings([]int{2}, []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		kind graph.AttrKind
		fill func(m *message)
		want *graph.Tensor
	}{
		{"value", graph.AttrTensor, func(m *message) { m.message(5, floatTensor("", []int64{2}, 1, 2)) }, graph.FromFloats([]int{2}, []float32{1, 2})},
		{"sparse_value", graph.AttrSparseTensor, func(m *message) { m.message(22, sparse) }, graph.FromFloats([]int{4}, []float32{0, 0, 5, 0})},
		{"value_float", graph.AttrFloat, func(m *message) { m.float(2, 2) }, graph.FromFloats([]int{}, []float32{2})},
		{"value_floats", graph.AttrFloats, func(m *message) { m.float(7, 2) }, graph.FromFloats([]int{1}, []float32{2})},
		{"value_int", graph.AttrInt, func(m *message) { m.int(3, 2) }, graph.FromInts(graph.Int64, []int{}, []int64{2})},
		{"value_ints", graph.AttrInts, func(m *message) { m.int(8, 2) }, graph.FromInts(graph.Int64, []int{1}, []int64{2})},
		{"value_string", graph.AttrString, func(m *message) { m.str(4, "a") }, text},
		{"value_strings", graph.AttrStrings, func(m *message) { m.str(9, "a"); m.str(9, "b") }, texts},
	} {
		m, err := Parse(t.Context(), tt.name, onnxModel(func(g *message) {
			g.message(1, node("Constant", nil, []string{"y"}, attr(tt.name, tt.kind, tt.fill)))
			g.message(12, encodeValue(&graph.Value{Name: "y"}))
		}), Options{})
		if err != nil {
			t.Error(err)
		} else if d := diffTensors(m.Weights["y"], tt.want); d != "" || len(m.Nodes) != 0 {
			t.Errorf("%s: %s, %d nodes left", tt.name, d, len(m.Nodes))
		}
	}
}

// TestTypedData reads each element type from the field that belongs to it,
// packed and unpacked.
func TestTypedData(t *testing.T) {
	le := binary.LittleEndian
	for _, tt := range []struct {
		dt    graph.DType
		n     int64
		field protowire.Number
		ints  []int64 // of an integer field
		want  []byte
	}{
		{graph.Int32, 2, 5, []int64{-2, 1 << 30}, le.AppendUint32([]byte{0xfe, 0xff, 0xff, 0xff}, 1<<30)},
		{graph.Int16, 2, 5, []int64{-2, 300}, []byte{0xfe, 0xff, 0x2c, 1}},
		{graph.Uint16, 2, 5, []int64{65535, 300}, []byte{0xff, 0xff, 0x2c, 1}},
		{graph.Int8, 2, 5, []int64{-128, 127}, []byte{0x80, 0x7f}},
		{graph.Uint8, 2, 5, []int64{255, 0}, []byte{255, 0}},
		{graph.Bool, 2, 5, []int64{1, 0}, []byte{1, 0}},
		{graph.Float16, 1, 5, []int64{0x3c00}, []byte{0, 0x3c}},
		{graph.BFloat16, 1, 5, []int64{0x3f80}, []byte{0x80, 0x3f}},
		{graph.Float8E4M3, 2, 5, []int64{0x38, 0xb8}, []byte{0x38, 0xb8}},
		{graph.Float8E8M0, 1, 5, []int64{0x7f}, []byte{0x7f}},
		{graph.Int4, 3, 5, []int64{0x21, 0x0f}, []byte{0x21, 0x0f}},
		{graph.Uint4, 2, 5, []int64{0xff}, []byte{0xff}},
		{graph.Float4E2M1, 2, 5, []int64{0x12}, []byte{0x12}},
		{graph.Uint2, 4, 5, []int64{0xe4}, []byte{0xe4}},
		{graph.Int2, 5, 5, []int64{0xe4, 1}, []byte{0xe4, 1}},
		{graph.Int64, 2, 7, []int64{-1, 1}, le.AppendUint64(bytes.Repeat([]byte{255}, 8), 1)},
		{graph.Uint64, 1, 11, []int64{-1}, bytes.Repeat([]byte{255}, 8)},
		{graph.Uint32, 1, 11, []int64{1<<32 - 1}, bytes.Repeat([]byte{255}, 4)},
		{graph.Float32, 2, 4, nil, []byte{0, 0, 128, 63, 0, 0, 0, 64}},
		{graph.Float64, 1, 10, nil, le.AppendUint64(nil, math.Float64bits(2))},
		{graph.Complex64, 1, 4, nil, []byte{0, 0, 128, 63, 0, 0, 0, 64}},
		{graph.Complex128, 1, 10, nil, make([]byte, 16)},
		{graph.Float32, 0, 4, nil, nil},
	} {
		for _, packed := range []bool{false, true} {
			x := build(func(m *message) {
				switch {
				case tt.ints != nil && packed:
					var list []byte
					for _, v := range tt.ints {
						list = protowire.AppendVarint(list, uint64(v))
					}
					m.bytes(tt.field, list)
				case tt.ints != nil:
					for _, v := range tt.ints {
						m.int(tt.field, v)
					}
				case packed:
					m.bytes(tt.field, tt.want)
				case tt.field == 4:
					for b := tt.want; len(b) > 0; b = b[4:] {
						m.float(4, math.Float32frombits(le.Uint32(b)))
					}
				default:
					for b := tt.want; len(b) > 0; b = b[8:] {
						m.key(10, protowire.Fixed64Type)
						m.append(b[:8])
					}
				}
				m.int(1, tt.n) // the order of fields does not matter
				m.int(2, int64(tt.dt))
			})
			_, got, err := parseTensor("x", x.contents())
			if err != nil {
				t.Errorf("%s, packed %t: %v", tt.dt, packed, err)
			} else if !bytes.Equal(got.Raw(), tt.want) || got.DType != tt.dt {
				t.Errorf("%s, packed %t: % x, want % x", tt.dt, packed, got.Raw(), tt.want)
			}
		}
	}
}

// sparseInit is a SparseTensorProto.
func sparseInit(shape []int64, values *graph.Tensor, indices []int64, indexShape ...int) *message {
	return build(func(m *message) {
		m.message(1, encodeTensor("w", values))
		m.message(2, encodeTensor("", graph.FromInts(graph.Int64, indexShape, indices)))
		for _, d := range shape {
			m.int(3, d)
		}
	})
}

// sparseModel has one sparse initializer.
func sparseModel(init *message) []byte {
	return onnxModel(func(g *message) {
		g.message(15, init)
		g.message(12, encodeValue(&graph.Value{Name: "w"}))
	})
}

func TestSparseInitializers(t *testing.T) {
	floats := graph.FromFloats([]int{3}, []float32{1, 2, 3})
	ints := graph.FromInts(graph.Int32, []int{2}, []int64{-1, 2})
	for _, tt := range []struct {
		name   string
		init   *message
		sparse bool
		want   *graph.Tensor
	}{
		{"offsets", sparseInit([]int64{2, 3}, floats, []int64{0, 2, 4}, 3), true, graph.FromFloats([]int{2, 3}, []float32{1, 0, 2, 0, 3, 0})},
		{"coordinates", sparseInit([]int64{2, 3}, floats, []int64{0, 0, 0, 2, 1, 1}, 3, 2), true, graph.FromFloats([]int{2, 3}, []float32{1, 0, 2, 0, 3, 0})},
		{"rank 3", sparseInit([]int64{1, 2, 3}, floats, []int64{0, 2, 4}, 3), true, graph.FromFloats([]int{1, 2, 3}, []float32{1, 0, 2, 0, 3, 0})},
		{"vector", sparseInit([]int64{5}, floats, []int64{0, 2, 4}, 3), false, graph.FromFloats([]int{5}, []float32{1, 0, 2, 0, 3})},
		{"integers", sparseInit([]int64{2, 2}, ints, []int64{1, 2}, 2), false, graph.FromInts(graph.Int32, []int{2, 2}, []int64{0, -1, 2, 0})},
		{"no rows", sparseInit([]int64{0, 2}, graph.FromFloats([]int{0}, nil), nil, 0), false, graph.FromFloats([]int{0, 2}, nil)},
	} {
		m, err := Parse(t.Context(), tt.name, sparseModel(tt.init), Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		got := m.Weights["w"]
		if (got.Sparse() != nil) != tt.sparse {
			t.Errorf("%s: held as %T", tt.name, got.Sparse())
		}
		if !slices.Equal(got.Shape, tt.want.Shape) || !slices.Equal(got.Floats(), tt.want.Floats()) || !slices.Equal(got.Ints(), tt.want.Ints()) {
			t.Errorf("%s: %s %v %v %v", tt.name, got.DType, got.Shape, got.Floats(), got.Ints())
		}
	}
}

func TestParseRefuses(t *testing.T) {
	relu := func(inputs, outputs string) *message { return node("Relu", []string{inputs}, []string{outputs}) }
	value := func(name string) *message { return encodeValue(&graph.Value{Name: name}) }
	// with returns the graph of addNet and one field more.
	with := func(num protowire.Number, sub *message) []byte {
		return onnxModel(func(g *message) { addNet(g); g.message(num, sub) })
	}
	tensor := func(fill func(m *message)) []byte { return with(5, build(fill)) }
	floats := graph.FromFloats([]int{2}, []float32{1, 2})
	deep := build(func(g *message) {})
	for range maxDepth + 1 {
		inner := deep
		deep = build(func(g *message) {
			g.message(1, node("If", nil, nil, attr("g", graph.AttrGraph, func(m *message) { m.message(6, inner) })))
		})
	}
	for _, tt := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "at byte 0: expected an ONNX model, the file is empty"},
		{"zeros", make([]byte, 4096), "at byte 0: expected a protocol buffer field, got bytes 00 00 00 00"},
		{"png", []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"), "expected an ONNX or .nnz model, got a PNG picture"},
		{"text", []byte("this is not a model"), "expected"},
		{"no graph", build(func(m *message) { m.int(1, 8) }).contents(), "found no graph"},
		{"no IR version", build(func(m *message) { m.message(7, build(addNet)) }).contents(), "found no IR version"},
		{"no operator set", build(func(m *message) { m.int(1, 8); m.message(7, build(addNet)) }).contents(), "imports no operator set"},
		{"old IR", build(func(m *message) { m.int(1, 2) }).contents(), "at byte 1: ONNX IR version 2, expected 3 or later"},
		{"reserved wire type", []byte("7"), "at byte 0: expected the value of field 6, got bytes 37"},
		{"wire type", build(func(m *message) { m.str(1, "x") }).contents(), "field 1 has wire type 2, expected 0"},
		{"long field", []byte{0x3a, 0x50, 0}, "at byte 1: field 7 has 80 bytes, but only 1 are left"},
		{"deep graphs", onnxModel(func(g *message) { g.append(deep.contents()) }), "graphs nest more than 16 deep"},

		{"negative extent", tensor(func(m *message) { m.int(1, -3); m.int(2, 1); m.str(8, "v") }), "extent -3 of a tensor"},
		{"overflow", tensor(func(m *message) { m.int(1, 1<<40); m.int(1, 1<<40); m.int(2, 1) }), "overflows"},
		{"large shape", tensor(func(m *message) { m.int(1, 1<<40); m.int(2, 1); m.str(8, "v") }), "takes 1099511627776 elements"},
		{"few strings", tensor(func(m *message) { m.int(1, 1<<40); m.int(2, 8); m.str(8, "v") }), "takes 1099511627776 strings"},
		{"raw size", tensor(func(m *message) { m.int(1, 2); m.int(2, 1); m.bytes(9, make([]byte, 7)) }), "takes 8 bytes, got 7"},
		{"raw size overflow", tensor(func(m *message) { m.int(1, 1<<58); m.int(2, 11); m.bytes(9, nil) }), "takes 2305843009213693952 bytes, got 0"},
		{"too few elements", tensor(func(m *message) { m.int(1, 2); m.int(2, 1); m.float(4, 1) }), "takes 8 bytes, got 4"},
		{"too many elements", tensor(func(m *message) { m.int(1, 1); m.int(2, 7); m.str(8, "v"); m.int(7, 1); m.int(7, 2) }), "takes 1 elements, got more"},
		{"wrong field", tensor(func(m *message) { m.int(1, 1); m.int(2, 1); m.int(7, 1) }), "float32 elements in field 7, expected them in field 4"},
		{"value range", tensor(func(m *message) { m.int(1, 1); m.int(2, 3); m.int(5, 256) }), "value 256 does not fit type int8"},
		{"ragged floats", tensor(func(m *message) { m.int(1, 1); m.int(2, 1); m.bytes(4, make([]byte, 5)) }), "expected elements of 4 bytes, got 5 bytes"},
		{"element type", tensor(func(m *message) { m.int(2, 99) }), "element type 99 is not known"},
		{"no element type", tensor(func(m *message) { m.str(8, "v") }), `tensor "v" has no element type`},
		{"segment", tensor(func(m *message) { m.message(3, &message{}) }), "segments"},
		{"no name", tensor(func(m *message) { m.int(2, 1); m.float(4, 1) }), "an initializer without a name"},
		{"second weight", with(5, floatTensor("w", nil, 1)), `a second initializer or constant "w"`},
		{"external data", tensor(func(m *message) { m.int(2, 1); m.int(14, 1); m.str(8, "v") }), "there is no folder to look for it"},

		{"sparse order", sparseModel(sparseInit([]int64{2, 2}, floats, []int64{1, 1}, 2)), "index 1 after 1 of 4 elements"},
		{"sparse range", sparseModel(sparseInit([]int64{2, 2}, floats, []int64{1, 4}, 2)), "index 4 after 1 of 4 elements"},
		{"sparse coordinate", sparseModel(sparseInit([]int64{2, 2}, floats, []int64{0, 2, 1, 0}, 2, 2)), "coordinate 2 of an extent of 2"},
		{"sparse indices", sparseModel(sparseInit([]int64{2, 2}, floats, []int64{0, 1, 2}, 3)), "indices of shape [3] for 2 values"},
		{"sparse rows", sparseModel(sparseInit([]int64{1 << 31, 2}, floats, []int64{0, 1}, 2)), "a sparse matrix of 2147483648 x 2 is too large"},
		{"sparse memory", sparseModel(sparseInit([]int64{1 << 30, 2}, floats, []int64{0, 1}, 2)), "more than the limit"},
		{"sparse memory as dense", sparseModel(sparseInit([]int64{2, 1 << 30}, floats, []int64{0, 1}, 2)), "more than the limit: 8589934592 bytes here"},
		{"sparse memory of a vector", sparseModel(sparseInit([]int64{1 << 30}, floats, []int64{0, 1}, 2)), "more than the limit"},
		{"sparse overflow", sparseModel(sparseInit([]int64{1 << 40, 1 << 40}, floats, []int64{0, 1}, 2)), "overflows"},
		{"sparse parts", sparseModel(build(func(m *message) { m.message(1, encodeTensor("w", floats)) })), "without values or indices"},

		{"attribute twice", with(1, node("F", nil, nil, attr("a", 0, func(m *message) { m.int(3, 1) }), attr("a", 0, func(m *message) { m.int(3, 1) }))), `a second attribute "a"`},
		{"attribute name", with(1, node("F", nil, nil, attr("", 0, func(m *message) { m.int(3, 1) }))), "an attribute without a name"},
		{"attribute value", with(1, node("F", nil, nil, attr("a", 0, func(m *message) {}))), `attribute "a" has no value`},
		{"attribute kind", with(1, node("F", nil, nil, attr("a", graph.AttrInt, func(m *message) { m.float(2, 1) }))), "of kind 2 holds a value of kind 1"},
		{"attribute tensor", with(1, node("F", nil, nil, attr("a", graph.AttrTensor, func(m *message) {}))), "of kind 4 holds a value of kind 0"},
		{"attribute reference", with(1, node("F", nil, nil, attr("a", 0, func(m *message) { m.str(21, "b") }))), "refers to one of a function"},
		{"attribute reference of a constant", with(1, node("Constant", nil, []string{"k"}, attr("value_float", 0, func(m *message) { m.str(21, "b") }))), "refers to one of a function"},
		{"no operator", with(1, node("", nil, nil)), "a node without an operator"},
		{"constant", with(1, node("Constant", nil, []string{"c"})), "expected a value"},
		{"constant outputs", with(1, node("Constant", nil, nil, attr("value_int", 0, func(m *message) { m.int(3, 1) }))), "has 0 outputs"},

		{"second producer", with(1, relu("x", "s")), `node Relu of "s": value "s" has two producers`},
		{"no producer", with(1, relu("u", "v")), `node Relu of "v": input "u" has no producer`},
		{"cycle", onnxModel(func(g *message) { addNet(g); g.message(1, relu("a", "b")); g.message(1, relu("b", "a")) }), "depends on its own output"},
		{"absent output", with(12, value("o")), `output "o" has no producer`},
		{"second output", with(12, value("y")), `output "y" is listed twice`},
		{"second input", with(11, value("x")), `value "x" has two producers`},
		{"no outputs", onnxModel(func(g *message) { g.message(1, node("F", nil, []string{"y"})) }), "the graph has no outputs"},
		{"value name", with(11, value("")), "a value without a name"},
		{"value extent", with(11, encodeValue(&graph.Value{Name: "v", DType: graph.Float32, Shape: []graph.Dim{{Symbol: "b"}, {Size: -1}}})), ""},
		{"value type", with(11, encodeValue(&graph.Value{Name: "v", DType: 77})), "element type 77 is not known"},
	} {
		_, err := Parse(t.Context(), tt.name, tt.data, Options{})
		if tt.want == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		var format *FormatError
		if !errors.As(err, &format) || !strings.HasPrefix(err.Error(), tt.name+": ") || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %s", tt.name, err, tt.want)
		}
	}
}

// TestTruncated cuts a model at every byte. Only a cut between two fields of
// the model can leave a whole one.
func TestTruncated(t *testing.T) {
	whole := onnxModel(func(g *message) {
		addNet(g)
		g.message(1, node("F", nil, nil, attr("a", graph.AttrSparseTensor, func(m *message) {
			m.message(22, sparseInit([]int64{2, 2}, graph.FromFloats([]int{1}, []float32{1}), []int64{3}, 1))
		})))
	})
	data := slices.Concat(whole, build(func(m *message) { m.message(14, keyValue("k", "v")) }).contents())
	for n := range data {
		_, err := Parse(t.Context(), "net.onnx", data[:n], Options{})
		var format *FormatError
		if n == len(whole) {
			if err != nil {
				t.Error(err)
			}
		} else if !errors.As(err, &format) || format.Offset < 0 || format.Offset > int64(n) {
			t.Errorf("%d of %d bytes: %v", n, len(data), err)
		}
	}
}

// TestFlippedBytes changes every byte of a model in several ways: the outcome
// is a model or a FormatError.
func TestFlippedBytes(t *testing.T) {
	data := sparseModel(sparseInit([]int64{2, 3}, graph.FromFloats([]int{2}, []float32{1, 2}), []int64{0, 4}, 2))
	data = slices.Concat(data, onnxModel(addNet)) // graphs merge
	for i := range data {
		for _, x := range []byte{1, 2, 4, 0x80, 0xff} {
			flipped := bytes.Clone(data)
			flipped[i] ^= x
			_, err := Parse(t.Context(), "net.onnx", flipped, Options{MaxBytes: 1 << 20})
			if format := (*FormatError)(nil); err != nil && !errors.As(err, &format) {
				t.Errorf("byte %d ^ %#x: %v", i, x, err)
			}
		}
	}
}

// externalModel has one weight of four floats in another file.
func externalModel(entries ...string) []byte {
	return onnxModel(func(g *message) {
		g.message(5, build(func(m *message) {
			m.int(1, 4)
			m.int(2, 1)
			m.str(8, "w")
			for i := 0; i < len(entries); i += 2 {
				m.message(13, keyValue(entries[i], entries[i+1]))
			}
			m.int(14, 1)
		}))
		g.message(12, encodeValue(&graph.Value{Name: "w"}))
	})
}

func TestExternalData(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "model")
	if err := os.MkdirAll(filepath.Join(folder, "sub"), 0o777); err != nil {
		t.Fatal(err)
	}
	weights := graph.FromFloats([]int{8}, []float32{0, 1, 2, 3, 4, 5, 6, 7}).Raw()
	for _, path := range []string{"secret", "model/w.bin", "model/sub/w.bin"} {
		if err := os.WriteFile(filepath.Join(dir, path), weights, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "secret"), filepath.Join(folder, "link")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		entries []string
		first   float32
		want    string // of the error
	}{
		{[]string{"location", "w.bin"}, 0, ""},
		{[]string{"location", "./sub/w.bin", "offset", "8", "length", "16", "checksum", "?"}, 2, ""},
		{[]string{"location", "w.bin", "offset", "16"}, 4, ""},
		{[]string{"location", "w.bin", "offset", "17"}, 0, `16 bytes from 17 on in "w.bin", which has 32`},
		{[]string{"location", "w.bin", "offset", "9223372036854775807"}, 0, "which has 32"},
		{[]string{"location", "w.bin", "offset", "-4"}, 0, `offset "-4", expected a number of bytes`},
		{[]string{"location", "w.bin", "offset", "99999999999999999999"}, 0, "expected a number of bytes"},
		{[]string{"location", "w.bin", "length", "12"}, 0, "takes 16 bytes, its external data has 12"},
		{[]string{"location", "absent"}, 0, "no such file"},
		{[]string{"location", "../secret"}, 0, "expected a path below the folder of the model"},
		{[]string{"location", "sub/../../secret"}, 0, "expected a path below the folder of the model"},
		{[]string{"location", filepath.Join(dir, "secret")}, 0, "expected a path below the folder of the model"},
		{[]string{"location", "link"}, 0, "escapes"},
		{[]string{"location", "sub"}, 0, "not a regular file"},
		{nil, 0, "not a regular file"},
	} {
		path := filepath.Join(folder, "m.onnx")
		if err := os.WriteFile(path, externalModel(tt.entries...), 0o666); err != nil {
			t.Fatal(err)
		}
		m, err := Load(t.Context(), path)
		if tt.want != "" {
			var format *FormatError
			if !errors.As(err, &format) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v: error %v, want %s", tt.entries, err, tt.want)
			}
			continue
		}
		if err != nil {
			t.Error(err)
		} else if got := m.Weights["w"].Floats(); len(got) != 4 || got[0] != tt.first {
			t.Errorf("%v: %v", tt.entries, got)
		}
	}

	files := fstest.MapFS{"w.bin": {Data: weights}}
	m, err := Parse(t.Context(), "m.onnx", externalModel("location", "w.bin"), Options{External: files.ReadFile})
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Weights["w"].Floats(); !slices.Equal(got, []float32{0, 1, 2, 3}) {
		t.Errorf("%v", got)
	}
}

// TestMaxBytes bounds the memory of tensors, which external data may repeat.
func TestMaxBytes(t *testing.T) {
	shared := onnxModel(func(g *message) {
		for i := range 10 {
			g.message(5, build(func(m *message) {
				m.int(1, 1000)
				m.int(2, 1)
				m.str(8, fmt.Sprint("w", i))
				m.message(13, keyValue("location", "w.bin"))
				m.int(14, 1)
			}))
		}
		g.message(12, encodeValue(&graph.Value{Name: "w0"}))
	})
	external := func(string) ([]byte, error) { return make([]byte, 4000), nil }
	if _, err := Parse(t.Context(), "m", shared, Options{MaxBytes: 41000, External: external}); err != nil {
		t.Error(err)
	}
	_, err := Parse(t.Context(), "m", shared, Options{MaxBytes: 39999, External: external})
	if err == nil || !strings.Contains(err.Error(), "more than the limit: 4000 bytes here, 3") {
		t.Errorf("error %v", err)
	}
}

// TestMaxBytesOfGraph: what a few bytes of a file describe counts, too. The
// memory of each model is measured, and stays below a stated multiple of what
// is allowed.
func TestMaxBytesOfGraph(t *testing.T) {
	const many, limit = 200000, 1 << 20
	// of makes a model with a node of some fields.
	of := func(fields func(n *message)) []byte {
		return onnxModel(func(g *message) {
			g.message(1, build(func(n *message) {
				n.str(4, "A")
				fields(n)
			}))
		})
	}
	// list makes a node with an attribute of some fields.
	list := func(write func(a *message)) []byte {
		return of(func(n *message) {
			n.message(5, build(func(a *message) {
				a.str(1, "a")
				times(many, func() { write(a) })
			}))
		})
	}
	all := func(num protowire.Number, sub func(m *message)) []byte {
		return onnxModel(func(g *message) { times(many, func() { g.message(num, build(sub)) }) })
	}
	for name, data := range map[string][]byte{
		"nodes":     all(1, func(n *message) { n.str(4, "A") }),
		"inputs":    all(11, func(v *message) { v.str(1, "x") }),
		"values":    all(13, func(v *message) { v.str(1, "x") }),
		"names":     of(func(n *message) { times(many, func() { n.str(1, "x") }) }),
		"long name": of(func(n *message) { times(many/100, func() { n.str(3, strings.Repeat("n", 1000)) }) }),
		"attributes": of(func(n *message) {
			i := 0
			times(many, func() {
				i++
				n.message(5, build(func(a *message) { a.str(1, fmt.Sprint(i)); a.int(3, 1); a.int(20, 2) }))
			})
		}),
		"integers": list(func(a *message) { a.int(8, 1) }),
		"strings":  list(func(a *message) { a.str(9, "") }),
		"producer": build(func(m *message) {
			times(many, func() { m.str(2, "pytorch") })
			m.message(7, build(func(*message) {}))
		}).contents(),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Parse(t.Context(), "m", data, Options{MaxBytes: limit})
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 8*limit { // lists grow by doubling
			t.Errorf("%s: %d bytes were allocated, the limit is %d", name, n, limit)
		}
	}
}

// TestOpen checks who owns what: Open gives views, Load copies.
func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := os.WriteFile(path, onnxModel(addNet), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Model.Weights["w"].Floats(); !slices.Equal(got, []float32{1, 2, 3}) {
		t.Errorf("weights %v", got)
	}
	for range 2 {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	m, err := Load(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Weights["w"].Floats(); !slices.Equal(got, []float32{1, 2, 3}) {
		t.Errorf("weights %v", got)
	}
	if _, err := Load(t.Context(), filepath.Join(t.TempDir(), "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
}

// TestParseViews checks that raw data is not copied.
func TestParseViews(t *testing.T) {
	data := onnxModel(func(g *message) {
		g.message(5, encodeTensor("w", graph.FromFloats([]int{3}, []float32{1, 2, 3})))
		g.message(12, encodeValue(&graph.Value{Name: "w"}))
	})
	m, err := Parse(t.Context(), "m.onnx", data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	raw := m.Weights["w"].Raw()
	at := bytes.Index(data, raw)
	if at < 0 || reflect.ValueOf(raw).Pointer() != reflect.ValueOf(data[at:]).Pointer() {
		t.Error("the weight is a copy")
	}
	if cap(raw) != len(raw) {
		t.Error("the view reaches beyond the weight")
	}
}

func FuzzONNX(f *testing.F) {
	f.Add(onnxModel(addNet))
	f.Add(sparseModel(sparseInit([]int64{2, 3}, graph.FromFloats([]int{2}, []float32{1, 2}), []int64{0, 4}, 2)))
	f.Add(externalModel("location", "w.bin", "offset", "8"))
	f.Add(functionModel([]*message{pkg(call("Twice", "x", "y"))}, scale, twice))
	models := testdata.Small(f, 16<<10, "conformance", "node", "test_*s*p*", "model.onnx")
	for _, path := range models[:min(len(models), 40)] {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	external := func(string) ([]byte, error) { return make([]byte, 64), nil }
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(t.Context(), "m.onnx", data, Options{MaxBytes: 1 << 20, External: external})
		if err != nil {
			if format := (*FormatError)(nil); !errors.As(err, &format) {
				t.Error(err)
			}
			return
		}
		// What was read can be inferred, or not, and be written.
		if _, err := graph.Infer(m, graph.InferOptions{}); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("an error of several lines: %q", err)
		}
		e := &encoder{}
		saved := e.model(m).contents()
		if e.err != nil {
			return
		}
		if _, err := Parse(t.Context(), "saved.onnx", saved, Options{}); err != nil {
			t.Errorf("saved and read back: %v", err)
		}
	})
}

func FuzzTensorProto(f *testing.F) {
	f.Add(floatTensor("x", []int64{2}, 1, 2).contents())
	f.Add(encodeTensor("x", graph.FromInts(graph.Int4, []int{3}, []int64{1, -1, 3})).contents())
	f.Fuzz(func(t *testing.T, data []byte) {
		_, x, err := parseTensor("x.pb", data)
		if err != nil {
			if format := (*FormatError)(nil); !errors.As(err, &format) {
				t.Error(err)
			}
			return
		}
		x.Floats()
		x.Ints()
	})
}

func times(n int, do func()) {
	for range n {
		do()
	}
}
