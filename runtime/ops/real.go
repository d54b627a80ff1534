package ops

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/x448/float16"

	"github.com/nnz-dev/nnz/graph"
)

var (
	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
	// minusZero, added to a product, keeps the sign of zero.
	minusZero = float32(math.Copysign(0, -1))
)

// roundTo rounds elements to the nearest value of a real type, ties to even.
// float32 and float64 hold every element already.
func roundTo(dt graph.DType, x []float32) {
	switch dt {
	case graph.Float16:
		for i, v := range x {
			x[i] = float16.Fromfloat32(v).Float32()
		}
	case graph.BFloat16:
		for i, v := range x {
			x[i] = math.Float32frombits(uint32(bfloat16(v)) << 16)
		}
	}
}

// bfloat16 returns the bits of the nearest bfloat16, ties to even.
func bfloat16(v float32) uint16 {
	b := math.Float32bits(v)
	if v != v {
		return uint16(b>>16) | 0x40 // quiet, so that no payload bit is all that is left
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// encode makes a constant of a real type from elements.
func encode(dt graph.DType, shape []int, x []float32) (*graph.Tensor, error) {
	raw := make([]byte, 0, dt.Size(len(x)))
	switch dt {
	case graph.Float32:
		return graph.FromFloats(shape, x), nil
	case graph.Float64:
		for _, v := range x {
			raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(float64(v)))
		}
	case graph.Float16:
		for _, v := range x {
			raw = binary.LittleEndian.AppendUint16(raw, float16.Fromfloat32(v).Bits())
		}
	case graph.BFloat16:
		for _, v := range x {
			raw = binary.LittleEndian.AppendUint16(raw, bfloat16(v))
		}
	default:
		return nil, fmt.Errorf("no constant of element type %s is made", dt)
	}
	return graph.NewTensor(dt, shape, raw)
}
