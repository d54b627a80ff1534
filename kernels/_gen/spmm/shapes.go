package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/reg"
)

// A shape is what kernels differ by: weight rows that share a list of columns,
// whether such rows go in pairs, rows and columns of vectors of a tile, and
// vectors from a column of activations to the next.
type shape struct {
	r                int
	pair             bool
	rows, cols, step int
}

func (s shape) vectors() int { return s.rows * s.cols }

// turns reports whether columns take turns in two sets of accumulators: where
// several rows have few, one set is bound by the latency of multiply-adds. Of
// single rows, the next ones hide that of short ones.
func (s shape) turns() bool {
	const few = 4
	return s.r > 1 && s.r*s.vectors() <= few
}

func (s shape) symbol(t target) string {
	if s.pair {
		return fmt.Sprintf("f32_spmm_pair_%dx%ds%d_%s", s.rows, s.cols, s.step, t.name)
	}
	return fmt.Sprintf("f32_spmm_%dx%dx%ds%d_%s", s.r, s.rows, s.cols, s.step, t.name)
}

// A target is an instruction set.
type target struct {
	name, title string
	bytes       int // a vector
	regs        []reg.VecPhysical
	tiles       map[int][]tiles
	pairs       []tiles // of pairs of rows
}

// tiles are those of some height: cols columns each.
type tiles struct {
	rows int
	cols []int
}

// kernels lists the shapes that exist for a target, ascending: those that fill
// the registers, and smaller ones for what these leave of a grid. Shapes that
// measured no better than one of the others do not exist: 9 to 13 vectors in a
// row, and four rows of three or four.
func (t target) kernels() []shape {
	var list []shape
	add := func(r int, pair bool, all []tiles) {
		for _, tile := range all {
			for _, cols := range tile.cols {
				for step := 1; step <= 2; step++ {
					list = append(list, shape{r, pair, tile.rows, cols, step})
				}
			}
		}
	}
	for _, r := range []int{1, 2, 4, 8} {
		add(r, false, t.tiles[r])
	}
	add(1, true, t.pairs)
	return list
}

var targets = map[string]target{
	"avx512": {
		name: "avx512", title: "AVX-512", bytes: 64,
		tiles: map[int][]tiles{
			1: {{1, []int{1, 2, 3, 4, 5, 6, 7, 8, 14}}, {2, []int{1, 2, 3, 4, 5, 6, 7}}, {3, []int{1, 2}}, {4, []int{1, 2}}},
			2: {{1, []int{1, 2, 3, 4, 5, 6, 7, 14}}, {2, []int{1, 2, 3, 4, 5, 6, 7}}, {3, []int{1, 2}}, {4, []int{1, 2}}},
			4: {{1, []int{1, 2, 3, 4, 5, 6, 7}}, {2, []int{1, 2, 3}}, {3, []int{1}}},
			8: {{1, []int{1, 2, 3}}, {2, []int{1}}, {3, []int{1}}},
		},
		pairs: []tiles{{1, []int{1, 2, 3, 4, 5, 6, 7, 8, 14}}, {2, []int{1, 2, 3, 4, 5, 6, 7}}, {3, []int{1, 2}}, {4, []int{1, 2}}},
		regs: []reg.VecPhysical{
			reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7,
			reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
			reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23,
			reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
		},
	},
	"avx2": {
		name: "avx2", title: "AVX2", bytes: 32,
		tiles: map[int][]tiles{
			1: {{1, []int{1, 2, 3, 4, 5, 6, 7, 8, 14}}, {2, []int{1, 2, 3, 4, 5, 6, 7}}, {3, []int{1, 2}}, {4, []int{1, 2}}},
			2: {{1, []int{1, 2, 3, 4, 5, 6}}, {2, []int{1, 2, 3}}, {3, []int{1}}, {4, []int{1}}},
			4: {{1, []int{1, 2, 3}}, {2, []int{1}}, {3, []int{1}}},
			8: {{1, []int{1}}},
		},
		pairs: []tiles{{1, []int{1, 2, 3, 4, 5, 6}}, {2, []int{1, 2, 3}}, {3, []int{1, 2}}, {4, []int{1}}},
		regs: []reg.VecPhysical{
			reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7,
			reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15,
		},
	},
}
