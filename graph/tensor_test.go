package graph

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/sparse"
)

var nan, inf = float32(math.NaN()), float32(math.Inf(1))

func sameFloats(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool {
		return math.Float32bits(x) == math.Float32bits(y) || x != x && y != y
	})
}

// TestFloats decodes values given in the descriptions of the types.
func TestFloats(t *testing.T) {
	negZero := float32(math.Copysign(0, -1))
	for _, tt := range []struct {
		dt   DType
		raw  []byte
		want []float32
	}{
		{Float32, []byte{0, 0, 128, 63, 0, 0, 128, 255}, []float32{1, -inf}},
		{Float64, []byte{0, 0, 0, 0, 0, 0, 0, 192}, []float32{-2}},
		{Float16, []byte{0, 0x3c, 0, 0xfc, 1, 0}, []float32{1, -inf, 0x1p-24}},
		{BFloat16, []byte{0x80, 0x3f, 0xc0, 0x7f}, []float32{1, nan}},
		{Float8E4M3, []byte{0x00, 0x80, 0x7f, 0xff, 0x7e, 0xfe, 0x08, 0x07, 0x01, 0x38}, []float32{0, negZero, nan, nan, 448, -448, 0x1p-6, 0.875 * 0x1p-6, 0x1p-9, 1}},
		{Float8E4Z, []byte{0x00, 0x80, 0x7f, 0xff, 0x08, 0x07, 0x01, 0x40}, []float32{0, nan, 240, -240, 0x1p-7, 0.875 * 0x1p-7, 0x1p-10, 1}},
		{Float8E5M2, []byte{0x00, 0x80, 0x7c, 0xfc, 0x7d, 0xff, 0x7b, 0x04, 0x03, 0x01, 0x3c}, []float32{0, negZero, inf, -inf, nan, nan, 57344, 0x1p-14, 0.75 * 0x1p-14, 0x1p-16, 1}},
		{Float8E5Z, []byte{0x00, 0x80, 0x7f, 0x04, 0x03, 0x01, 0x40}, []float32{0, nan, 57344, 0x1p-15, 0.75 * 0x1p-15, 0x1p-17, 1}},
		{Float8E8M0, []byte{0x00, 0x7f, 0xfe, 0xff}, []float32{0x1p-127, 1, 0x1p127, nan}},
		{Float4E2M1, []byte{0x10, 0x72, 0xf8}, []float32{0, 0.5, 1, 6, negZero, -6}},
	} {
		x, err := NewTensor(tt.dt, []int{len(tt.want)}, tt.raw)
		if err != nil {
			t.Error(err)
		} else if got := x.Floats(); !sameFloats(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.dt, got, tt.want)
		} else if x.Ints() != nil {
			t.Errorf("%s: integers %v", tt.dt, x.Ints())
		}
	}
}

// TestFloatsView checks that aligned float32 is not copied and that any other
// address works.
func TestFloatsView(t *testing.T) {
	v := []float32{1, 2, 3}
	if got := FromFloats([]int{3}, v).Floats(); &got[0] != &v[0] {
		t.Error("aligned elements were copied")
	}
	raw := slices.Concat([]byte{0}, FromFloats([]int{3}, v).Raw())
	x, err := NewTensor(Float32, []int{3}, raw[1:])
	if err != nil {
		t.Fatal(err)
	}
	if got := x.Floats(); !slices.Equal(got, v) {
		t.Errorf("unaligned: %v", got)
	}
}

// TestInts writes and reads the extremes of each integer type.
func TestInts(t *testing.T) {
	for dt, v := range map[DType][]int64{
		Int64:  {math.MinInt64, -1, math.MaxInt64},
		Uint64: {0, -1, math.MaxInt64}, // a bit pattern from 2^63 on
		Int32:  {math.MinInt32, -1, math.MaxInt32},
		Uint32: {0, math.MaxUint32, 7},
		Int16:  {math.MinInt16, -1, math.MaxInt16},
		Uint16: {0, math.MaxUint16, 7},
		Int8:   {math.MinInt8, -1, math.MaxInt8},
		Uint8:  {0, math.MaxUint8, 7},
		Bool:   {0, 1, 1},
		Int4:   {-8, -1, 7},
		Uint4:  {0, 15, 7},
		Int2:   {-2, -1, 1, 0, 1},
		Uint2:  {0, 3, 1, 2, 3},
	} {
		x := FromInts(dt, []int{len(v)}, v)
		if got := x.Ints(); !slices.Equal(got, v) {
			t.Errorf("%s: %v, want %v", dt, got, v)
		}
		if x.Bytes() != dt.Size(len(v)) || x.Floats() != nil {
			t.Errorf("%s: %d bytes, floats %v", dt, x.Bytes(), x.Floats())
		}
	}
}

func TestNewTensorRefuses(t *testing.T) {
	csr, err := sparse.FromDense(2, 3, make([]float32, 6))
	if err != nil {
		t.Fatal(err)
	}
	dense := func(dt DType, shape []int, n int) error { _, err := NewTensor(dt, shape, make([]byte, n)); return err }
	held := func(shape ...int) error { _, err := NewSparse(shape, csr); return err }
	text := func(shape []int, s ...string) error { _, err := NewStrings(shape, s); return err }
	for _, tt := range []struct {
		err  error
		want string
	}{
		{dense(Float32, []int{2}, 8), ""},
		{dense(Int4, []int{3}, 2), ""},
		{dense(Float32, []int{2}, 7), "float32 tensor of shape [2] takes 8 bytes, got 7"},
		{dense(Float32, []int{-2}, 8), "negative extent"},
		{dense(Uint8, []int{1 << 40, 1 << 40}, 0), "overflows"},
		{dense(Complex128, []int{1 << (bits.UintSize - 4)}, 0), "overflows"},
		{dense(Float64, []int{1 << (bits.UintSize - 6)}, 0), "takes"},
		{dense(Float32, slices.Repeat([]int{1}, 65), 4), "rank 65"},
		{dense(String, []int{1}, 1), "string has no fixed size"},
		{dense(Undefined, []int{1}, 1), "undefined has no fixed size"},
		{dense(DType(99), []int{1}, 1), "dtype(99) has no fixed size"},
		{held(2, 3), ""},
		{held(2, 3, 1), ""},
		{held(6), "a 2 x 3 matrix does not hold a tensor of shape [6]"},
		{held(3, 2), "does not hold"},
		{held(2, -3), "negative extent"},
		{text([]int{1}, "a"), ""},
		{text([]int{2}, "a"), "holds 2 elements, got 1"},
		{text([]int{-1}), "negative extent"},
	} {
		if got := fmt.Sprint(tt.err); tt.want == "" && tt.err != nil || !strings.Contains(got, tt.want) {
			t.Errorf("error %v, want %q", tt.err, tt.want)
		}
	}
}

func TestReshaped(t *testing.T) {
	v := []float32{0, 1, 0, 2, 0, 3}
	csr, err := sparse.FromDense(2, 3, v)
	if err != nil {
		t.Fatal(err)
	}
	held, err := NewSparse([]int{2, 3}, csr)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		x      *Tensor
		shape  []int
		sparse bool
	}{
		{FromFloats([]int{2, 3}, v), []int{6, 1}, false},
		{held, []int{2, 1, 3}, true},
		{held, []int{3, 2}, false}, // other rows
		{held, []int{6}, false},
	} {
		got, err := tt.x.Reshaped(tt.shape)
		if err != nil {
			t.Error(err)
			continue
		}
		if !slices.Equal(got.Floats(), v) || !slices.Equal(got.Shape, tt.shape) || (got.Sparse() != nil) != tt.sparse {
			t.Errorf("%v: %v %v, held as %T", tt.shape, got.Shape, got.Floats(), got.Sparse())
		}
	}
	if _, err := held.Reshaped([]int{7}); err == nil {
		t.Error("six elements as seven")
	}
	if _, err := held.Reshaped([]int{-6}); err == nil {
		t.Error("a negative extent")
	}
}

func TestSet(t *testing.T) {
	n := &Node{}
	n.Set("int", 3)
	n.Set("float", float32(0.5))
	n.Set("string", "s")
	n.Set("ints", []int{1, 2})
	n.Set("floats", []float32{1})
	n.Set("tensor", FromFloats([]int{}, []float32{1}))
	if n.Int("int", 0) != 3 || n.Float("float", 0) != 0.5 || n.Str("string", "") != "s" || !slices.Equal(n.Ints("ints"), []int{1, 2}) {
		t.Errorf("attributes %+v", n.Attrs)
	}
	if a := n.Attrs["floats"]; a.Kind != AttrFloats || !slices.Equal(a.Floats, []float32{1}) {
		t.Errorf("floats %+v", a)
	}
	if a := n.Attrs["tensor"]; a.Kind != AttrTensor || a.Tensor.Len() != 1 {
		t.Errorf("tensor %+v", a)
	}
	// An attribute of another kind is none.
	if n.Int("float", 7) != 7 || n.Float("int", 7) != 7 || n.Str("int", "d") != "d" || n.Ints("int") != nil || n.Has("absent") {
		t.Error("an attribute changed kind")
	}
}

// TestClone checks that rewriting a clone leaves the model alone.
func TestClone(t *testing.T) {
	m := chain("y = F x w")
	m.Nodes[0].Set("a", 1)
	c := m.Clone()
	c.Inputs[0].Shape[0].Size = 99
	c.Outputs[0].Name = "z"
	c.Nodes[0].Inputs[0] = "z"
	c.Nodes[0].Outputs[0] = "z"
	c.Nodes[0].Set("a", 2)
	c.Nodes[0] = nil
	delete(c.Weights, "w")
	c.Opset[""] = 1
	if m.Inputs[0].Shape[0].Size != 2 || m.Outputs[0].Name != "y" || m.Nodes[0] == nil || m.Nodes[0].Inputs[0] != "x" ||
		m.Nodes[0].Outputs[0] != "y" || m.Nodes[0].Int("a", 0) != 1 || m.Weights["w"] == nil || m.Opset[""] != 17 {
		t.Errorf("the model changed with its clone: %+v", m)
	}
}
