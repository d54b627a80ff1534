package graph

import "fmt"

// DType is the element type of a tensor, numbered as TensorProto.DataType in
// onnx.proto.
type DType uint8

// The element types of the file format.
const (
	Undefined  DType = 0
	Float32    DType = 1
	Uint8      DType = 2
	Int8       DType = 3
	Uint16     DType = 4
	Int16      DType = 5
	Int32      DType = 6
	Int64      DType = 7
	String     DType = 8
	Bool       DType = 9
	Float16    DType = 10
	Float64    DType = 11
	Uint32     DType = 12
	Uint64     DType = 13
	Complex64  DType = 14
	Complex128 DType = 15
	BFloat16   DType = 16
	Float8E4M3 DType = 17 // FLOAT8E4M3FN
	Float8E4Z  DType = 18 // FLOAT8E4M3FNUZ
	Float8E5M2 DType = 19
	Float8E5Z  DType = 20 // FLOAT8E5M2FNUZ
	Uint4      DType = 21
	Int4       DType = 22
	Float4E2M1 DType = 23
	Float8E8M0 DType = 24
	Uint2      DType = 25
	Int2       DType = 26
)

var dtypes = [...]struct {
	name string
	bits int
}{
	Undefined: {"undefined", 0},
	Float32:   {"float32", 32}, Uint8: {"uint8", 8}, Int8: {"int8", 8},
	Uint16: {"uint16", 16}, Int16: {"int16", 16}, Int32: {"int32", 32}, Int64: {"int64", 64},
	String: {"string", 0}, Bool: {"bool", 8}, Float16: {"float16", 16}, Float64: {"float64", 64},
	Uint32: {"uint32", 32}, Uint64: {"uint64", 64}, Complex64: {"complex64", 64}, Complex128: {"complex128", 128},
	BFloat16: {"bfloat16", 16}, Float8E4M3: {"float8e4m3fn", 8}, Float8E4Z: {"float8e4m3fnuz", 8},
	Float8E5M2: {"float8e5m2", 8}, Float8E5Z: {"float8e5m2fnuz", 8}, Uint4: {"uint4", 4}, Int4: {"int4", 4},
	Float4E2M1: {"float4e2m1", 4}, Float8E8M0: {"float8e8m0", 8}, Uint2: {"uint2", 2}, Int2: {"int2", 2},
}

// Valid reports whether d is a type of the file format other than undefined.
func (d DType) Valid() bool { return d != Undefined && int(d) < len(dtypes) }

// Bits returns the size of an element, 0 for strings and undefined.
func (d DType) Bits() int {
	if int(d) < len(dtypes) {
		return dtypes[d].bits
	}
	return 0
}

// Size returns the bytes that n elements take: elements of less than a byte
// are packed. It does not overflow for what [Elements] returns.
func (d DType) Size(n int) int {
	bits := d.Bits()
	if bits < 8 {
		return (n*bits + 7) / 8
	}
	return n * (bits / 8)
}

// Float reports whether d is a real floating-point type: such tensors are
// computed in float32.
func (d DType) Float() bool {
	switch d {
	case Float32, Float16, Float64, BFloat16, Float8E4M3, Float8E4Z, Float8E5M2, Float8E5Z, Float4E2M1, Float8E8M0:
		return true
	}
	return false
}

// Integer reports whether d is an integer type or bool: such tensors are
// computed in int64.
func (d DType) Integer() bool {
	switch d {
	case Uint8, Int8, Uint16, Int16, Int32, Int64, Bool, Uint32, Uint64, Uint4, Int4, Uint2, Int2:
		return true
	}
	return false
}

func (d DType) String() string {
	if int(d) < len(dtypes) {
		return dtypes[d].name
	}
	return fmt.Sprintf("dtype(%d)", uint8(d))
}
