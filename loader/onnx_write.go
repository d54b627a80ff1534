package loader

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/atomicfile"
	"github.com/nnz-dev/nnz/sparse"
)

// SaveOptions say how to write a model. The zero value writes what every ONNX
// runtime opens.
type SaveOptions struct {
	// Sparse writes weights that are held sparse as sparse initializers, which
	// takes less room but which few other runtimes read. By default all weights
	// are written dense.
	Sparse bool
}

// maxFile is the largest message that protocol buffer readers accept.
const maxFile = math.MaxInt32

// Save writes a model as an ONNX file. The same model gives the same bytes.
// The file appears under its name once it is complete. A model of 2 GiB or
// more, which the format cannot hold, and nodes of [graph.FusedDomain] are
// errors.
func Save(path string, m *graph.Model, o SaveOptions) error {
	file, err := encode(m, o)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return atomicfile.Write(path, file.writeTo)
}

// Write writes the bytes of the file that [Save] makes.
func Write(w io.Writer, m *graph.Model, o SaveOptions) error {
	file, err := encode(m, o)
	if err != nil {
		return err
	}
	return file.writeTo(w)
}

// encode makes the contents of a file, of a size that the format can hold.
func encode(m *graph.Model, o SaveOptions) (*message, error) {
	e := &encoder{sparse: o.Sparse}
	file := e.model(m)
	if e.err == nil && file.size > maxFile {
		e.err = fmt.Errorf("the model takes %d bytes, an ONNX file holds at most %d", file.size, maxFile)
	}
	return file, e.err
}

// WriteTensor writes a TensorProto: a tensor in a file of its own. A sparse one
// is written dense.
func WriteTensor(path, name string, t *graph.Tensor) error {
	return atomicfile.Write(path, encodeTensor(name, t).writeTo)
}

// A message is a protocol buffer in the making. Long values are kept by
// reference, and sparse ones as they are, so that a model is not copied, nor
// made dense as a whole, to be written.
type message struct {
	parts []part // complete
	tail  []byte // what comes after them
	size  int
}

// A part of a message is bytes or the elements of a sparse matrix, all of them.
type part struct {
	bytes  []byte
	matrix sparse.Matrix
}

// byReference is the length from which a value is not copied.
const byReference = 4096

func (m *message) writeTo(w io.Writer) error {
	for _, p := range append(slices.Clone(m.parts), part{bytes: m.tail}) {
		if p.matrix != nil {
			if err := writeDense(w, p.matrix); err != nil {
				return err
			}
		} else if _, err := w.Write(p.bytes); err != nil {
			return err
		}
	}
	return nil
}

// writeDense writes all elements of a matrix, row by row.
func writeDense(w io.Writer, m sparse.Matrix) error {
	var csr *sparse.CSR
	switch m := m.(type) {
	case *sparse.CSR:
		csr = m
	case interface{ CSR() *sparse.CSR }:
		csr = m.CSR()
	}
	rows, cols := csr.Dims()
	row := make([]byte, 4*cols)
	for i := range rows {
		clear(row)
		col, val := csr.Row(i)
		for k, j := range col {
			binary.LittleEndian.PutUint32(row[4*j:], math.Float32bits(val[k]))
		}
		if _, err := w.Write(row); err != nil {
			return err
		}
	}
	return nil
}

func (m *message) append(b []byte) {
	if m.size += len(b); len(b) < byReference {
		m.tail = append(m.tail, b...)
		return
	}
	m.parts = append(m.parts, part{bytes: m.tail}, part{bytes: b})
	m.tail = nil
}

// dense writes the elements of a sparse matrix.
func (m *message) dense(num protowire.Number, s sparse.Matrix) {
	rows, cols := s.Dims()
	m.key(num, protowire.BytesType)
	m.append(protowire.AppendVarint(nil, uint64(4*rows*cols)))
	m.appendMatrix(s)
}

func (m *message) appendMatrix(s sparse.Matrix) {
	rows, cols := s.Dims()
	m.parts = append(m.parts, part{bytes: m.tail}, part{matrix: s})
	m.tail = nil
	m.size += 4 * rows * cols
}

func (m *message) key(num protowire.Number, typ protowire.Type) {
	m.append(protowire.AppendTag(nil, num, typ))
}

func (m *message) int(num protowire.Number, v int64) {
	m.key(num, protowire.VarintType)
	m.append(protowire.AppendVarint(nil, uint64(v)))
}

func (m *message) float(num protowire.Number, v float32) {
	m.key(num, protowire.Fixed32Type)
	m.append(protowire.AppendFixed32(nil, math.Float32bits(v)))
}

func (m *message) bytes(num protowire.Number, b []byte) {
	m.key(num, protowire.BytesType)
	m.append(protowire.AppendVarint(nil, uint64(len(b))))
	m.append(b)
}

func (m *message) str(num protowire.Number, s string) { m.bytes(num, []byte(s)) }

// word writes a string unless it is empty.
func (m *message) word(num protowire.Number, s string) {
	if s != "" {
		m.str(num, s)
	}
}

func (m *message) message(num protowire.Number, sub *message) {
	m.key(num, protowire.BytesType)
	m.append(protowire.AppendVarint(nil, uint64(sub.size)))
	for _, p := range sub.parts {
		if p.matrix == nil {
			m.append(p.bytes)
			continue
		}
		m.appendMatrix(p.matrix)
	}
	m.append(sub.tail)
}

// keyValue is a StringStringEntryProto.
func keyValue(key, value string) *message {
	m := &message{}
	m.str(1, key)
	m.str(2, value)
	return m
}

// An encoder turns a model into messages and keeps the first fault.
type encoder struct {
	depth  int // of graphs
	sparse bool
	err    error
}

func (e *encoder) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf(format, args...)
	}
}

// defaultIR is the version for models that no file had.
const defaultIR = 8

// sparseIR is the first version with sparse initializers, and separateIR the
// first in which initializers need not be inputs.
const (
	separateIR = 4
	sparseIR   = 6
)

func (e *encoder) model(m *graph.Model) *message {
	out := &message{}
	ir := m.IR
	if ir == 0 {
		ir = defaultIR
	}
	ir = max(ir, separateIR)
	if e.sparse {
		ir = max(ir, sparseIR)
	}
	out.int(1, int64(ir))
	out.word(2, m.Producer)
	out.message(7, e.graph(m))
	for _, domain := range slices.Sorted(maps.Keys(m.Opset)) {
		set := &message{}
		set.str(1, domain)
		set.int(2, int64(m.Opset[domain]))
		out.message(8, set)
	}
	for _, k := range slices.Sorted(maps.Keys(m.Meta)) {
		out.message(14, keyValue(k, m.Meta[k]))
	}
	return out
}

func (e *encoder) graph(m *graph.Model) *message {
	out := &message{}
	if e.depth++; e.depth > maxDepth {
		e.fail("graphs nest more than %d deep", maxDepth)
	}
	defer func() { e.depth-- }()
	if e.err != nil {
		return out
	}
	for _, n := range m.Nodes {
		out.message(1, e.node(n))
	}
	out.str(2, m.Name) // a name, though empty, is what checkers ask for
	for _, name := range slices.Sorted(maps.Keys(m.Weights)) {
		w := m.Weights[name]
		if e.sparse && w.Sparse() != nil {
			out.message(15, e.sparseTensor(name, w))
		} else {
			out.message(5, encodeTensor(name, w))
		}
	}
	for _, v := range m.Inputs {
		out.message(11, encodeValue(v))
	}
	for _, v := range m.Outputs {
		out.message(12, encodeValue(v))
	}
	for _, name := range slices.Sorted(maps.Keys(m.Values)) {
		out.message(13, encodeValue(m.Values[name]))
	}
	return out
}

func (e *encoder) node(n *graph.Node) *message {
	if n.Domain == graph.FusedDomain {
		e.fail("node %s exists only inside of the runtime", n)
	}
	out := &message{}
	for _, name := range n.Inputs {
		out.str(1, name)
	}
	for _, name := range n.Outputs {
		out.str(2, name)
	}
	out.word(3, n.Name)
	out.str(4, n.Op)
	for _, name := range slices.Sorted(maps.Keys(n.Attrs)) {
		out.message(5, e.attribute(n, name))
	}
	out.word(7, n.Domain)
	return out
}

func (e *encoder) attribute(n *graph.Node, name string) *message {
	a := n.Attrs[name]
	out := &message{}
	out.str(1, name)
	switch a.Kind {
	case graph.AttrFloat:
		out.float(2, a.Float)
	case graph.AttrInt:
		out.int(3, a.Int)
	case graph.AttrString:
		out.str(4, a.String)
	case graph.AttrTensor:
		out.message(5, encodeTensor("", a.Tensor))
	case graph.AttrGraph:
		out.message(6, e.graph(a.Graph))
	case graph.AttrFloats:
		for _, v := range a.Floats {
			out.float(7, v)
		}
	case graph.AttrInts:
		for _, v := range a.Ints {
			out.int(8, v)
		}
	case graph.AttrStrings:
		for _, s := range a.Strings {
			out.str(9, s)
		}
	case graph.AttrSparseTensor:
		out.message(22, e.sparseTensor("", a.Tensor))
	default:
		e.fail("node %s: attribute %.80q of kind %d cannot be written", n, name, a.Kind)
	}
	out.int(20, int64(a.Kind))
	return out
}

func encodeValue(v *graph.Value) *message {
	out := &message{}
	out.str(1, v.Name)
	if v.DType == graph.Undefined { // not a tensor
		return out
	}
	tensor := &message{}
	tensor.int(1, int64(v.DType))
	if v.Shape != nil {
		shape := &message{}
		for _, d := range v.Shape {
			dim := &message{}
			switch {
			case d.Symbol != "":
				dim.str(2, d.Symbol)
			case d.Known():
				dim.int(1, int64(d.Size))
			}
			shape.message(1, dim)
		}
		tensor.message(2, shape)
	}
	typ := &message{}
	typ.message(1, tensor)
	out.message(2, typ)
	return out
}

// encodeTensor writes the elements as raw data, dense.
func encodeTensor(name string, t *graph.Tensor) *message {
	out := &message{}
	for _, d := range t.Shape {
		out.int(1, int64(d))
	}
	out.int(2, int64(t.DType))
	out.word(8, name)
	switch {
	case t.DType == graph.String:
		for _, s := range t.Strings() {
			out.str(6, s)
		}
	case t.Sparse() != nil:
		out.dense(9, t.Sparse())
	default:
		out.bytes(9, t.Raw())
	}
	return out
}

// sparseTensor writes the nonzeros, and where they are as offsets into the
// elements.
func (e *encoder) sparseTensor(name string, t *graph.Tensor) *message {
	var m *sparse.CSR
	switch s := t.Sparse().(type) {
	case *sparse.CSR:
		m = s
	case *sparse.BSR:
		m = s.CSR()
	default: // as an attribute may be
		e.fail("sparse tensor %.80q is not held as one", name)
		return &message{}
	}
	rows, cols := m.Dims()
	at := make([]int64, 0, m.NNZ())
	values := make([]float32, 0, m.NNZ())
	for i := range rows {
		col, val := m.Row(i)
		for _, j := range col {
			at = append(at, int64(i)*int64(cols)+int64(j))
		}
		values = append(values, val...)
	}
	out := &message{}
	out.message(1, encodeTensor(name, graph.FromFloats([]int{len(values)}, values)))
	out.message(2, encodeTensor("", graph.FromInts(graph.Int64, []int{len(at)}, at)))
	for _, d := range t.Shape {
		out.int(3, int64(d))
	}
	return out
}
