package graph

import (
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/sparse"
)

func TestCompact(t *testing.T) {
	// pattern fills rows x cols where keep says so.
	pattern := func(rows, cols int, keep func(i, j int) bool) *Tensor {
		v := make([]float32, rows*cols)
		for i := range v {
			if keep(i/cols, i%cols) {
				v[i] = float32(i + 1)
			}
		}
		return FromFloats([]int{rows, cols}, v)
	}
	cases := []struct {
		name string
		t    *Tensor
		want int // height of a unit, 0 for dense
	}{
		{"full", pattern(16, 32, func(i, j int) bool { return true }), 0},
		{"half", pattern(16, 32, func(i, j int) bool { return (i+j)%2 == 0 }), 0},
		{"scattered", pattern(16, 320, func(i, j int) bool { return (7*i+j)%10 == 0 }), 1},
		{"2x1", pattern(16, 320, func(i, j int) bool { return (7*(i/2)+j)%10 == 0 }), 2},
		{"4x1", pattern(16, 320, func(i, j int) bool { return (7*(i/4)+j)%10 == 0 }), 4},
		{"8x1", pattern(32, 320, func(i, j int) bool { return (7*(i/8)+j)%10 == 0 }), 8},
		{"4x1 at 60 %", pattern(16, 320, func(i, j int) bool { return (i/4+j)%5 < 2 }), 4},
		{"ragged", pattern(13, 320, func(i, j int) bool { return (7*(i/4)+j)%10 == 0 }), 4},
		{"empty", pattern(16, 320, func(i, j int) bool { return false }), 8},
		{"vector", FromFloats([]int{64}, make([]float32, 64)), 0},
		{"no elements", FromFloats([]int{0, 64}, nil), 0},
		{"integers", FromInts(Int64, []int{8, 8}, make([]int64, 64)), 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := c.t.Compact()
			height := 0
			switch m := got.Sparse().(type) {
			case *sparse.CSR:
				height = 1
			case *sparse.BSR:
				height, _ = m.Block()
			}
			if height != c.want {
				t.Errorf("units of height %d, want %d", height, c.want)
			}
			if !slices.Equal(got.Shape, c.t.Shape) || !slices.Equal(got.Floats(), c.t.Floats()) {
				t.Error("elements changed")
			}
			if got.Bytes() > c.t.Bytes() || height > 0 && got.Bytes() == c.t.Bytes() {
				t.Errorf("%d bytes became %d", c.t.Bytes(), got.Bytes())
			}
			if v := c.t.Floats(); len(c.t.Shape) == 2 && c.t.DType == Float32 {
				all, set := make([]float32, len(v)), make([]uint64, (len(v)+63)/64)
				for i, x := range v {
					all[i] = float32(i + 1)
					if x != 0 {
						set[i/64] |= 1 << (i % 64)
					}
				}
				m := Masked(c.t.Shape, all, set)
				if !slices.Equal(m.Floats(), v) || m.Bytes() != got.Bytes() || (m.Sparse() == nil) != (got.Sparse() == nil) {
					t.Errorf("masked it is %d bytes, want %d with the same elements", m.Bytes(), got.Bytes())
				}
			}
			if got.Compact() != got {
				t.Error("a compact tensor changed form again")
			}
		})
	}
}
