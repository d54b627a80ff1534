package runtime

import (
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/kernels/vec"
)

// TestTurning turns weights of the forms that products have: blocks of four
// rows, of features or of columns, in one K-block or several, and rows left.
func TestTurning(t *testing.T) {
	// blocked is the order of rows x cols elements in blocks of four rows and
	// then single ones, of K-blocks.
	blocked := func(rows, cols, block int, at func(row, col int) int) (order []int32) {
		for k := 0; k < cols; k += block {
			for row := 0; row < rows; {
				r := 4
				if rows-row < 4 {
					r = 1
				}
				for col := k; col < min(k+block, cols); col++ {
					for i := range r {
						order = append(order, int32(at(row+i, col)))
					}
				}
				row += r
			}
		}
		return order
	}
	for _, k := range vec.All() {
		lanes := k.ISA.Lanes()
		for _, features := range []int{1, 4, 6, 64} {
			for _, c := range [][2]int{{5, 1}, {16, 1}, {37, 1}, {128, 1}, {128, 2}, {197, 1}, {197, 2}, {197, 3}} {
				columns := c[0]
				l := matrixLayout(lanes, features, columns, c[1])
				src := make([]float32, l.size())
				for i := range src {
					src[i] = float32(i)
				}
				keys := columnOrder(&l, columns)
				if !slices.IsSortedFunc(keys, func(a, b int) int { return l.at(a, 0) - l.at(b, 0) }) {
					t.Fatalf("columns %v are not as memory has them", keys)
				}
				place := func(feature, key int) int { return l.plane(feature, 0) + l.at(keys[key], 0) }
				for _, block := range []int{columns, 23} {
					for across, order := range [][]int32{
						blocked(columns, features, block, func(key, feature int) int { return place(feature, key) }),
						blocked(features, columns, block, func(feature, key int) int { return place(feature, key) }),
					} {
						turn := newTurning(order, l.plane(1, 0), lanes)
						dst := make([]float32, turn.room(lanes))
						turn.run(k, dst, src)
						for i, at := range order {
							if dst[i] != float32(at) {
								t.Fatalf("%v, %d features of %d columns, K-blocks of %d, across %d: element %d is %v, want %d", k.ISA, features, columns, block, across, i, dst[i], at)
							}
						}
						if moved := len(turn.single); columns == 128 && features == 64 && block == columns && moved > 0 {
							t.Errorf("%v: %d of %d elements move alone", k.ISA, moved, len(order))
						}
					}
				}
			}
		}
	}
}
