// Package npy reads and writes arrays in NumPy's .npy format,
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
package npy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Type is an element type as NumPy writes it, without the byte order: a kind
// and a size, such as "f4". Besides the constants below there are strings of
// fixed length: "S5" of bytes and "U5" of code points in four bytes each,
// filled up with zeros.
type Type string

// The element types of numbers.
const (
	Bool    Type = "b1"
	Int8    Type = "i1"
	Int16   Type = "i2"
	Int32   Type = "i4"
	Int64   Type = "i8"
	Uint8   Type = "u1"
	Uint16  Type = "u2"
	Uint32  Type = "u4"
	Uint64  Type = "u8"
	Float16 Type = "f2"
	Float32 Type = "f4"
	Float64 Type = "f8"
)

// Valid reports whether t is a type that is read and written.
func (t Type) Valid() bool {
	switch t {
	case Bool, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64, Float16, Float32, Float64:
		return true
	}
	if t == "" || t[0] != 'S' && t[0] != 'U' {
		return false
	}
	n, err := strconv.Atoi(string(t[1:]))
	return err == nil && n > 0 && n <= maxHeader && t[1:] == Type(strconv.Itoa(n))
}

// Size returns the bytes of an element, 0 where t is not valid.
func (t Type) Size() int {
	if !t.Valid() {
		return 0
	}
	n, _ := strconv.Atoi(string(t[1:]))
	if t[0] == 'U' {
		n *= 4
	}
	return n
}

// word returns the bytes of what has a byte order: an element of numbers, a
// code point of a string.
func (t Type) word() int {
	switch t[0] {
	case 'S':
		return 1
	case 'U':
		return 4
	}
	return t.Size()
}

// An Array is a dense array: little-endian elements, the last index fastest.
type Array struct {
	Type  Type
	Shape []int // empty for a scalar
	Data  []byte
}

// Strings returns the elements of an array of strings without the zeros that
// fill them up, nil for any other.
func (a Array) Strings() []string {
	if !a.Type.Valid() || a.Type[0] != 'S' && a.Type[0] != 'U' {
		return nil
	}
	out := []string{}
	for element := range slices.Chunk(a.Data, a.Type.Size()) {
		if a.Type[0] == 'U' {
			points := make([]rune, 0, len(element)/4)
			for i := 0; i+4 <= len(element); i += 4 {
				points = append(points, rune(binary.LittleEndian.Uint32(element[i:])))
			}
			element = []byte(string(points))
		}
		out = append(out, string(bytes.TrimRight(element, "\x00")))
	}
	return out
}

// An Error says what a file lacks to be a .npy file.
type Error struct {
	Offset int64 // of the byte where reading failed
	Msg    string
}

func (e *Error) Error() string { return fmt.Sprintf("at byte %d: %s", e.Offset, e.Msg) }

const (
	magic   = "\x93NUMPY"
	align   = 64 // of the data in a file that we write
	maxRank = 64 // NumPy's own bound
)

// Decode reads a whole .npy file. The data are a view into file where they are
// stored in the order of [Array], else a converted copy. Any error is an
// [*Error].
func Decode(file []byte) (Array, error) {
	h, n, err := decodeHeader(file)
	if err != nil {
		return Array{}, err
	}
	data := file[n:]
	want, ok := byteCount(h.typ, h.shape)
	if !ok {
		return Array{}, &Error{int64(n), fmt.Sprintf("shape %v overflows", h.shape)}
	}
	if want != len(data) {
		return Array{}, &Error{int64(n), fmt.Sprintf("expected %d bytes for shape %v of type %s, got %d", want, h.shape, h.typ, len(data))}
	}
	if h.fortran && len(h.shape) > 1 {
		data = rowMajor(data, h.shape, h.typ.Size())
	}
	if word := h.typ.word(); h.bigEndian && word > 1 {
		data = slices.Clone(data)
		for i := 0; i < len(data); i += word {
			slices.Reverse(data[i : i+word])
		}
	}
	return Array{Type: h.typ, Shape: h.shape, Data: data}, nil
}

// byteCount returns the bytes that an array takes, and whether that and the
// extents can be counted.
func byteCount(t Type, shape []int) (n int, ok bool) {
	n = t.Size()
	for _, d := range shape {
		if d < 0 || d != 0 && n > math.MaxInt/d {
			return 0, false
		}
		n *= d
	}
	return n, true
}

// rowMajor copies elements of size bytes from the order in which the first
// index is fastest to the one in which the last is.
func rowMajor(src []byte, shape []int, size int) []byte {
	dst := make([]byte, len(src))
	strides := make([]int, len(shape)) // of src, in bytes
	stride := size
	for i, d := range shape {
		strides[i] = stride
		stride *= d
	}
	index := make([]int, len(shape))
	at := 0 // where the element of index lies in src
	for i := 0; i < len(dst); i += size {
		copy(dst[i:i+size], src[at:])
		for k := len(shape) - 1; k >= 0; k-- {
			index[k]++
			at += strides[k]
			if index[k] < shape[k] {
				break
			}
			at -= index[k] * strides[k]
			index[k] = 0
		}
	}
	return dst
}

// Encode writes a as a .npy file.
func Encode(w io.Writer, a Array) error {
	if !a.Type.Valid() {
		return fmt.Errorf("npy: no element type %q", string(a.Type))
	}
	if len(a.Shape) > maxRank {
		return fmt.Errorf("npy: rank %d is above %d", len(a.Shape), maxRank)
	}
	if n, ok := byteCount(a.Type, a.Shape); !ok || n != len(a.Data) {
		return fmt.Errorf("npy: %d bytes do not fill shape %v of type %s", len(a.Data), a.Shape, a.Type)
	}
	extents := make([]string, len(a.Shape))
	for i, d := range a.Shape {
		extents[i] = strconv.Itoa(d)
	}
	order := "<"
	if a.Type.word() == 1 {
		order = "|"
	}
	shape := strings.Join(extents, ", ")
	if len(a.Shape) == 1 {
		shape += "," // or it would be a number in parentheses
	}
	header := fmt.Sprintf("{'descr': '%s%s', 'fortran_order': False, 'shape': (%s), }", order, a.Type, shape)
	// Version 1 has a length of two bytes, enough for any rank that NumPy reads.
	const prefix = len(magic) + 4
	pad := align - (prefix+len(header)+1)%align
	header += strings.Repeat(" ", pad%align) + "\n"
	out := append(make([]byte, 0, prefix+len(header)), magic...)
	out = append(out, 1, 0)
	out = binary.LittleEndian.AppendUint16(out, uint16(len(header)))
	out = append(out, header...)
	if _, err := w.Write(out); err != nil {
		return err
	}
	_, err := w.Write(a.Data)
	return err
}
