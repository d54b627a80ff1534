package loader

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/sparse"
)

// A tensorHeader is a TensorProto but for its elements in typed fields.
type tensorHeader struct {
	at       int // offset of the message
	name     string
	dtype    graph.DType
	shape    []int
	elements int
	raw      []byte // raw_data
	hasRaw   bool
	rawAt    int
	external map[string]string // external_data; nil where the elements are in the file
}

// tensor reads a TensorProto.
func (d *decoder) tensor(m span) (name string, t *graph.Tensor) {
	d.alive()
	h := d.tensorHeader(m)
	if d.err != nil {
		return "", nil
	}
	var raw []byte
	switch {
	case h.dtype == graph.String:
		return h.name, d.stringTensor(h, m)
	case h.external != nil:
		raw = d.externalData(h)
	case h.hasRaw:
		if size := h.dtype.Size(h.elements); len(h.raw) != size {
			d.fail(h.rawAt, "tensor %.80q of type %s and shape %v takes %d bytes, got %d", h.name, h.dtype, h.shape, size, len(h.raw))
		}
		raw = d.keep(h.rawAt, h.raw)
	default:
		raw = d.typedData(h, m)
	}
	if d.err != nil {
		return "", nil
	}
	t, err := graph.NewTensor(h.dtype, h.shape, raw)
	if err != nil {
		d.fail(h.at, "tensor %.80q: %v", h.name, err)
	}
	return h.name, t
}

// keep returns bytes of the file for a tensor to hold.
func (d *decoder) keep(at int, b []byte) []byte {
	d.charge(at, len(b))
	return b
}

func (d *decoder) tensorHeader(m span) tensorHeader {
	h := tensorHeader{at: m.at, shape: []int{}}
	external := map[string]string{}
	for f := range d.fields(m) {
		switch f.num {
		case 1: // dims
			h.shape = d.extents(f, h.shape)
		case 2: // data_type
			v := d.int(f)
			h.dtype = graph.DType(v)
			if int64(h.dtype) != v || !h.dtype.Valid() {
				d.fail(f.at, "element type %d is not known", v)
			}
		case 3: // segment
			d.fail(f.at, "a tensor in segments is not supported")
		case 8: // name
			h.name = d.str(f)
		case 9: // raw_data
			h.raw, h.hasRaw, h.rawAt = d.bytes(f), true, f.at
		case 13: // external_data
			k, v := d.keyValue(d.message(f))
			external[k] = v
		case 14: // data_location
			if d.int(f) == 1 {
				h.external = external
			}
		}
	}
	if d.err == nil && h.dtype == graph.Undefined {
		d.fail(m.at, "tensor %.80q has no element type", h.name)
	}
	var err error
	if h.elements, err = graph.Elements(h.shape); err != nil {
		d.fail(m.at, "tensor %.80q: %v", h.name, err)
	}
	return h
}

// extents appends the extents of a repeated int64 field to a shape.
func (d *decoder) extents(f field, shape []int) []int {
	for at, v := range d.varints(f) {
		if int64(v) < 0 || v > math.MaxInt {
			d.fail(at, "extent %d of a tensor, expected a size", int64(v))
			break
		}
		shape = append(shape, int(v))
	}
	return shape
}

func (d *decoder) keyValue(m span) (key, value string) {
	for f := range d.fields(m) {
		switch f.num {
		case 1:
			key = d.str(f)
		case 2:
			value = d.str(f)
		}
	}
	return key, value
}

func (d *decoder) stringTensor(h tensorHeader, m span) *graph.Tensor {
	if h.elements > m.len() { // an element takes two bytes at least
		d.fail(h.at, "tensor %.80q of shape %v takes %d strings, in %d bytes", h.name, h.shape, h.elements, m.len())
		return nil
	}
	d.charge(h.at, h.elements*16+m.len())
	var list []string
	for f := range d.fields(m) {
		if f.num == 6 { // string_data
			list = append(list, d.str(f))
		}
	}
	if d.err != nil {
		return nil
	}
	t, err := graph.NewStrings(h.shape, list)
	if err != nil {
		d.fail(h.at, "tensor %.80q: %v", h.name, err)
	}
	return t
}

// typedData reads the elements from the field that belongs to their type.
func (d *decoder) typedData(h tensorHeader, m span) []byte {
	perByte := 1
	if bits := h.dtype.Bits(); bits < 8 {
		perByte = 8 / bits
	}
	if h.elements/perByte > m.len() { // an element, or a byte full of them, takes a byte at least
		d.fail(h.at, "tensor %.80q of shape %v takes %d elements, in %d bytes", h.name, h.shape, h.elements, m.len())
		return nil
	}
	size := h.dtype.Size(h.elements)
	if !d.charge(h.at, size) {
		return nil
	}
	raw := make([]byte, 0, size)
	for f := range d.fields(m) {
		if f.num != 4 && f.num != 5 && f.num != 7 && f.num != 10 && f.num != 11 {
			continue
		}
		if want := typedField(h.dtype); int(f.num) != want {
			d.fail(f.at, "%s elements in field %d, expected them in field %d", h.dtype, f.num, want)
			break
		}
		switch f.num {
		case 4: // float_data
			raw = append(raw, d.fixed(f, 4)...)
		case 10: // double_data
			raw = append(raw, d.fixed(f, 8)...)
		default:
			for at, v := range d.varints(f) {
				if len(raw) >= size {
					d.fail(at, "tensor %.80q of shape %v takes %d elements, got more", h.name, h.shape, h.elements)
					break
				}
				raw = d.appendInt(raw, at, v, h.dtype)
			}
		}
	}
	if d.err == nil && len(raw) != size {
		d.fail(h.at, "tensor %.80q of type %s and shape %v takes %d bytes, got %d", h.name, h.dtype, h.shape, size, len(raw))
	}
	return raw
}

// typedField returns the number of the field that holds elements of a type
// where they are not in raw_data.
func typedField(dt graph.DType) int {
	switch dt {
	case graph.Float32, graph.Complex64:
		return 4 // float_data
	case graph.Float64, graph.Complex128:
		return 10 // double_data
	case graph.Int64:
		return 7 // int64_data
	case graph.Uint32, graph.Uint64:
		return 11 // uint64_data
	}
	return 5 // int32_data
}

// appendInt appends v at the width of a type; types of less than a byte come
// packed, a byte at a time.
func (d *decoder) appendInt(raw []byte, at int, v uint64, dt graph.DType) []byte {
	bits := max(dt.Bits(), 8)
	if s := int64(v); bits < 64 && (s < -1<<(bits-1) || s >= 1<<bits) {
		d.fail(at, "value %d does not fit type %s", s, dt)
	}
	switch bits {
	case 8:
		return append(raw, byte(v))
	case 16:
		return binary.LittleEndian.AppendUint16(raw, uint16(v))
	case 32:
		return binary.LittleEndian.AppendUint32(raw, uint32(v))
	}
	return binary.LittleEndian.AppendUint64(raw, v)
}

// externalData returns the elements of a tensor that are in a file of their
// own.
func (d *decoder) externalData(h tensorHeader) []byte {
	want := h.dtype.Size(h.elements)
	offset := d.externalNumber(h, "offset", 0)
	size := d.externalNumber(h, "length", want)
	location := h.external["location"]
	data := d.externalFile(h, location)
	switch {
	case d.err != nil:
		return nil
	case size != want:
		d.fail(h.at, "tensor %.80q of type %s and shape %v takes %d bytes, its external data has %d", h.name, h.dtype, h.shape, want, size)
	case offset > len(data) || size > len(data)-offset:
		d.fail(h.at, "external data of tensor %.80q: %d bytes from %d on in %.80q, which has %d", h.name, size, offset, location, len(data))
	default:
		return d.keep(h.at, data[offset:offset+size:offset+size])
	}
	return nil
}

// externalNumber returns a number among the keys of external data, or def
// where it is absent.
func (d *decoder) externalNumber(h tensorHeader, key string, def int) int {
	s, ok := h.external[key]
	if !ok {
		return def
	}
	v, err := strconv.ParseInt(s, 10, strconv.IntSize)
	if err != nil || v < 0 {
		d.fail(h.at, "external data of tensor %.80q: %s %.80q, expected a number of bytes", h.name, key, s)
	}
	return int(v)
}

// externalFile returns the contents of the file that holds external data.
func (d *decoder) externalFile(h tensorHeader, location string) []byte {
	if data, ok := d.files[location]; ok || !d.alive() {
		return data
	}
	if d.external == nil {
		d.fail(h.at, "external data of tensor %.80q: there is no folder to look for it", h.name)
		return nil
	}
	if !fs.ValidPath(path.Clean(location)) {
		d.fail(h.at, "external data of tensor %.80q: location %.80q, expected a path below the folder of the model", h.name, location)
		return nil
	}
	data, err := d.external(path.Clean(location))
	if err != nil {
		d.fail(h.at, "external data of tensor %.80q: %v", h.name, err)
		return nil
	}
	d.files[location] = data
	d.left += int64(len(data)) * d.perByte
	return data
}

// sparseTensor reads a SparseTensorProto. Its name is that of its values.
func (d *decoder) sparseTensor(m span) (name string, t *graph.Tensor) {
	var values, indices *graph.Tensor
	shape := []int{}
	for f := range d.fields(m) {
		switch f.num {
		case 1:
			name, values = d.tensor(d.message(f))
		case 2:
			_, indices = d.tensor(d.message(f))
		case 3:
			shape = d.extents(f, shape)
		}
	}
	if d.err != nil {
		return "", nil
	}
	if values == nil || indices == nil {
		d.fail(m.at, "a sparse tensor without values or indices")
		return "", nil
	}
	at, err := linearIndices(shape, values, indices)
	if err != nil {
		d.fail(m.at, "sparse tensor %.80q: %v", name, err)
		return "", nil
	}
	if values.DType == graph.Float32 && len(shape) >= 2 && shape[0] > 0 {
		t = d.sparseMatrix(m, shape, at, slices.Clone(values.Floats()))
	} else {
		t = d.scatter(m, shape, at, values)
	}
	return name, t
}

// linearIndices checks the indices of a sparse tensor and returns them as
// offsets into its elements, ascending.
func linearIndices(shape []int, values, indices *graph.Tensor) ([]int64, error) {
	elements, err := graph.Elements(shape)
	if err != nil {
		return nil, err
	}
	if len(values.Shape) != 1 || indices.DType != graph.Int64 {
		return nil, fmt.Errorf("values of shape %v and indices of type %s, expected a list and int64", values.Shape, indices.DType)
	}
	n, at := values.Shape[0], indices.Ints()
	switch {
	case slices.Equal(indices.Shape, []int{n}):
	case slices.Equal(indices.Shape, []int{n, len(shape)}):
		if at, err = linearize(shape, n, at); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("indices of shape %v for %d values of a tensor of shape %v", indices.Shape, n, shape)
	}
	last := int64(-1)
	for _, i := range at {
		if i <= last || i >= int64(elements) {
			return nil, fmt.Errorf("index %d after %d of %d elements, expected them to ascend", i, last, elements)
		}
		last = i
	}
	return at, nil
}

// linearize turns n coordinates into offsets.
func linearize(shape []int, n int, coords []int64) ([]int64, error) {
	at := make([]int64, n)
	for i := range at {
		for j, d := range shape {
			c := coords[i*len(shape)+j]
			if c < 0 || c >= int64(d) {
				return nil, fmt.Errorf("coordinate %d of an extent of %d", c, d)
			}
			at[i] = at[i]*int64(d) + c
		}
	}
	return at, nil
}

// sparseMatrix makes a tensor in CSR, with shape[0] > 0 rows, from elements at
// ascending offsets.
func (d *decoder) sparseMatrix(m span, shape []int, at []int64, val []float32) *graph.Tensor {
	elements, _ := graph.Elements(shape) // checked by linearIndices
	rows, cols := shape[0], elements/shape[0]
	if max(rows, cols) > math.MaxInt32 {
		d.fail(m.at, "a sparse matrix of %d x %d is too large", rows, cols)
	}
	if !d.fits(m.at, 4*elements) || !d.charge(m.at, 8*rows+4*len(at)) {
		return nil
	}
	ptr := make([]int, rows+1)
	col := make([]int32, len(at))
	for i, x := range at {
		ptr[x/int64(cols)+1]++
		col[i] = int32(x % int64(cols))
	}
	for i := range rows {
		ptr[i+1] += ptr[i]
	}
	csr, err := sparse.NewCSR(rows, cols, ptr, col, val)
	if err == nil {
		var t *graph.Tensor
		if t, err = graph.NewSparse(shape, csr); err == nil {
			return t
		}
	}
	d.fail(m.at, "sparse tensor: %v", err)
	return nil
}

// scatter makes a dense tensor from elements at offsets.
func (d *decoder) scatter(m span, shape []int, at []int64, values *graph.Tensor) *graph.Tensor {
	size := values.DType.Bits() / 8
	if size == 0 || size > 8 { // packed, strings, complex128
		d.fail(m.at, "a sparse tensor of type %s is not supported", values.DType)
		return nil
	}
	elements, _ := graph.Elements(shape) // checked by linearIndices, at most MaxInt/16
	if !d.charge(m.at, elements*size) {
		return nil
	}
	raw := make([]byte, elements*size)
	for i, x := range at {
		copy(raw[int(x)*size:], values.Raw()[i*size:(i+1)*size])
	}
	t, err := graph.NewTensor(values.DType, shape, raw)
	if err != nil {
		d.fail(m.at, "sparse tensor: %v", err)
	}
	return t
}
