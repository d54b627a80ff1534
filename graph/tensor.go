package graph

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/x448/float16"

	"github.com/nnz-dev/nnz/internal/huge"
	"github.com/nnz-dev/nnz/sparse"
)

// A Tensor is an immutable constant: dense little-endian bytes, often a view
// into a mapped file, or a sparse matrix.
//
// A sparse tensor of shape [d0, d1, …] is stored as a matrix of d0 rows and
// d1·d2·… columns, which is a weight as out x in for convolutions and for
// Gemm with transB. It has element type float32.
type Tensor struct {
	DType  DType
	Shape  []int
	raw    []byte   // dense elements; nil for strings and sparse tensors
	str    []string // elements of a string tensor
	matrix sparse.Matrix
	later  *later // makes the elements, nil where they are there
}

// NewTensor wraps dense little-endian elements. The bytes are not copied and
// must not change.
func NewTensor(dt DType, shape []int, raw []byte) (*Tensor, error) {
	n, err := Elements(shape)
	if err != nil {
		return nil, err
	}
	if dt.Bits() == 0 {
		return nil, fmt.Errorf("element type %s has no fixed size", dt)
	}
	if want := dt.Size(n); len(raw) != want {
		return nil, fmt.Errorf("%s tensor of shape %v takes %d bytes, got %d", dt, shape, want, len(raw))
	}
	return &Tensor{DType: dt, Shape: shape, raw: raw}, nil
}

// NewSparse wraps a sparse matrix as a float32 tensor of the given shape.
func NewSparse(shape []int, m sparse.Matrix) (*Tensor, error) {
	n, err := Elements(shape)
	if err != nil {
		return nil, err
	}
	rows, cols := m.Dims()
	if len(shape) < 2 || shape[0] != rows || n != rows*cols {
		return nil, fmt.Errorf("a %d x %d matrix does not hold a tensor of shape %v", rows, cols, shape)
	}
	return &Tensor{DType: Float32, Shape: shape, matrix: m}, nil
}

// NewStrings makes a string tensor.
func NewStrings(shape []int, s []string) (*Tensor, error) {
	n, err := Elements(shape)
	if err != nil {
		return nil, err
	}
	if n != len(s) {
		return nil, fmt.Errorf("string tensor of shape %v holds %d elements, got %d", shape, n, len(s))
	}
	return &Tensor{DType: String, Shape: shape, str: s}, nil
}

// FromFloats makes a float32 tensor that shares v. It panics where v does not
// fill the shape.
func FromFloats(shape []int, v []float32) *Tensor {
	t, err := NewTensor(Float32, shape, floatBytes(v))
	if err != nil {
		panic("graph: " + err.Error())
	}
	return t
}

// FromInts makes a tensor of an integer type from v. It panics where v does
// not fill the shape.
func FromInts(dt DType, shape []int, v []int64) *Tensor {
	if !dt.Integer() {
		panic("graph: " + dt.String() + " is not an integer type")
	}
	raw := make([]byte, dt.Size(len(v)))
	for i, x := range v {
		switch bits := dt.Bits(); bits {
		case 64:
			binary.LittleEndian.PutUint64(raw[i*8:], uint64(x))
		case 32:
			binary.LittleEndian.PutUint32(raw[i*4:], uint32(x))
		case 16:
			binary.LittleEndian.PutUint16(raw[i*2:], uint16(x))
		case 8:
			raw[i] = byte(x)
		default:
			per := 8 / bits
			raw[i/per] |= byte(x) & (1<<bits - 1) << (i % per * bits)
		}
	}
	t, err := NewTensor(dt, shape, raw)
	if err != nil {
		panic("graph: " + err.Error())
	}
	return t
}

// maxRank bounds the rank of a tensor. The file format has no bound; nothing
// real comes near.
const maxRank = 64

// Elements multiplies the extents of a shape, with checks for negative ones,
// for overflow, also of the bytes of the largest element type, and for a rank
// over 64.
func Elements(shape []int) (int, error) {
	if len(shape) > maxRank {
		return 0, fmt.Errorf("rank %d, expected at most %d", len(shape), maxRank)
	}
	n := 1
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v has a negative extent", shape)
		}
		if d != 0 && n > math.MaxInt/16/d {
			return 0, fmt.Errorf("shape %v overflows", shape)
		}
		n *= d
	}
	return n, nil
}

// Len returns the number of elements.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Bytes returns the memory that the elements take as they are stored.
func (t *Tensor) Bytes() int {
	t = t.now()
	switch {
	case t.matrix != nil:
		return t.matrix.Bytes()
	case t.DType == String:
		n := 0
		for _, s := range t.str {
			n += len(s)
		}
		return n
	}
	return len(t.raw)
}

// Sparse returns the matrix of a sparse tensor, nil for a dense one.
func (t *Tensor) Sparse() sparse.Matrix { return t.now().matrix }

// Raw returns the little-endian bytes of a dense tensor, nil for a sparse or
// a string one. They must not be written to.
func (t *Tensor) Raw() []byte { return t.now().raw }

// Own makes a dense tensor hold a copy of its elements, rather than a view of
// memory that somebody else may give back.
func (t *Tensor) Own() { t.raw = slices.Clone(t.raw) }

// Strings returns the elements of a string tensor, nil for any other.
func (t *Tensor) Strings() []string { return t.str }

// Reshaped returns the same elements under another shape of equal size.
func (t *Tensor) Reshaped(shape []int) (*Tensor, error) {
	n, err := Elements(shape)
	if err != nil {
		return nil, err
	}
	if n != t.Len() {
		return nil, fmt.Errorf("cannot view shape %v as %v", t.Shape, shape)
	}
	if t.later != nil {
		return t.Derived(shape, fmt.Sprint("as ", shape), func(t *Tensor) (*Tensor, error) { return t.Reshaped(shape) })
	}
	c := *t
	c.Shape = shape
	if t.matrix != nil && (len(shape) < 2 || shape[0] != t.Shape[0]) {
		c.raw, c.matrix = floatBytes(t.matrix.Dense(nil)), nil
	}
	return &c, nil
}

// Floats returns the elements of a tensor of real type as float32: a view
// where the bytes are aligned float32, else a converted copy. A view must not
// be written to. It returns nil for integer, complex and string tensors.
func (t *Tensor) Floats() []float32 {
	t = t.now()
	n := t.Len()
	switch {
	case t.matrix != nil:
		return t.matrix.Dense(nil)
	case n == 0 && t.DType.Float():
		return []float32{}
	case t.DType == Float32 && uintptr(unsafe.Pointer(unsafe.SliceData(t.raw)))%4 == 0 && littleEndian:
		return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(t.raw))), n)
	case !t.DType.Float():
		return nil
	}
	out := huge.Make[float32](n)
	for i := range out {
		switch t.DType {
		case Float32:
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.raw[i*4:]))
		case Float64:
			out[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(t.raw[i*8:])))
		case Float16:
			out[i] = float16.Frombits(binary.LittleEndian.Uint16(t.raw[i*2:])).Float32()
		case BFloat16:
			out[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(t.raw[i*2:])) << 16)
		case Float4E2M1:
			out[i] = float4[t.raw[i/2]>>(i%2*4)&15]
		default:
			out[i] = float8(t.DType, t.raw[i])
		}
	}
	return out
}

// Ints returns the elements of an integer or bool tensor as int64, nil for any
// other type.
func (t *Tensor) Ints() []int64 {
	if !t.DType.Integer() {
		return nil
	}
	out := make([]int64, t.Len())
	for i := range out {
		switch t.DType {
		case Int64, Uint64:
			out[i] = int64(binary.LittleEndian.Uint64(t.raw[i*8:]))
		case Int32:
			out[i] = int64(int32(binary.LittleEndian.Uint32(t.raw[i*4:])))
		case Uint32:
			out[i] = int64(binary.LittleEndian.Uint32(t.raw[i*4:]))
		case Int16:
			out[i] = int64(int16(binary.LittleEndian.Uint16(t.raw[i*2:])))
		case Uint16:
			out[i] = int64(binary.LittleEndian.Uint16(t.raw[i*2:]))
		case Int8:
			out[i] = int64(int8(t.raw[i]))
		case Uint8:
			out[i] = int64(t.raw[i])
		case Bool:
			if t.raw[i] != 0 {
				out[i] = 1
			}
		default: // packed, the first element in the low bits
			bits := t.DType.Bits()
			per := 8 / bits
			v := t.raw[i/per] >> (i % per * bits) & (1<<bits - 1)
			out[i] = int64(v)
			if (t.DType == Int4 || t.DType == Int2) && v>>(bits-1) == 1 {
				out[i] -= 1 << bits
			}
		}
	}
	return out
}

// littleEndian is whether this machine stores the low byte first, as the file
// format does.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

func floatBytes(v []float32) []byte {
	if len(v) == 0 {
		return []byte{}
	}
	if littleEndian {
		return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*4)
	}
	raw := make([]byte, len(v)*4)
	for i, x := range v {
		binary.LittleEndian.PutUint32(raw[i*4:], math.Float32bits(x))
	}
	return raw
}

// float4 are the values of FLOAT4E2M1, https://onnx.ai/onnx/technical/float4.html.
var float4 = [16]float32{0, 0.5, 1, 1.5, 2, 3, 4, 6, float32(math.Copysign(0, -1)), -0.5, -1, -1.5, -2, -3, -4, -6}

// float8 decodes the 8-bit types of https://onnx.ai/onnx/technical/float8.html.
func float8(dt DType, b byte) float32 {
	if dt == Float8E8M0 { // a power of two
		if b == 0xff {
			return float32(math.NaN())
		}
		return float32(math.Ldexp(1, int(b)-127))
	}
	mant, bias := 3, 7 // E4M3
	if dt == Float8E5M2 || dt == Float8E5Z {
		mant, bias = 2, 15
	}
	magnitude := b & 0x7f
	switch dt {
	case Float8E4M3:
		if magnitude == 0x7f {
			return float32(math.NaN())
		}
	case Float8E5M2:
		if magnitude == 0x7c {
			return float32(math.Inf(1 - 2*int(b>>7)))
		} else if magnitude > 0x7c {
			return float32(math.NaN())
		}
	default: // the FNUZ types: one NaN, no negative zero, bias one larger
		bias++
		if b == 0x80 {
			return float32(math.NaN())
		}
	}
	e, f := int(magnitude>>mant), float64(magnitude&(1<<mant-1))/float64(int(1)<<mant)
	v := math.Ldexp(1+f, e-bias)
	if e == 0 {
		v = math.Ldexp(f, 1-bias)
	}
	if b&0x80 != 0 {
		v = -v
	}
	return float32(v)
}
