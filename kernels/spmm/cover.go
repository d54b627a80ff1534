package spmm

import (
	"math"

	"github.com/nnz-dev/nnz/kernels/isa"
)

// A Placed is a shape at a place in a grid of vectors.
type Placed struct {
	Shape
	Row, Col int
}

// Cover returns the best known way to cover a grid of vectors with tiles that
// kernels of r weight rows exist for: row by row, left to right. It is empty
// where the grid is, or where no kernel is of r and step.
func Cover(i isa.ISA, r, step int, grid Shape) []Placed {
	have := map[Shape]bool{}
	for _, k := range kernels {
		if k.ISA == i && k.R == r && k.Step == step {
			have[k.Tile] = true
		}
	}
	if len(have) == 0 {
		return nil
	}
	band := func(rows int) ([]int, float64) {
		return partition(grid.Cols, func(cols int) float64 {
			if tile := (Shape{rows, cols}); have[tile] {
				return cost(r, tile)
			}
			return math.Inf(1)
		})
	}
	rows, _ := partition(grid.Rows, func(rows int) float64 {
		_, total := band(rows)
		return total
	})
	var list []Placed
	at := Placed{}
	for _, at.Rows = range rows {
		at.Col = 0
		cols, _ := band(at.Rows)
		for _, at.Cols = range cols {
			list = append(list, at)
			at.Col += at.Cols
		}
		at.Row += at.Rows
	}
	return list
}

// cost estimates the cycles that a kernel takes for one weight column: a fused
// multiply-add for each accumulator, and the broadcasts and the offset.
func cost(r int, tile Shape) float64 {
	const latency = 4 // of a multiply-add, with two sets of accumulators in small tiles
	n := float64(r * tile.Vectors())
	return max(n+1.5, latency)
}

// maxPart bounds the sides of a tile.
const maxPart = 16

// partition cuts n into parts of least total cost, larger parts first. Parts
// whose cost is infinite do not exist; the total is infinite where n cannot be
// cut.
func partition(n int, cost func(part int) float64) ([]int, float64) {
	var costs [maxPart + 1]float64
	for p := 1; p <= maxPart; p++ {
		costs[p] = cost(p)
	}
	total := make([]float64, n+1)
	last := make([]int, n+1) // the smallest part of the best cut
	for m := 1; m <= n; m++ {
		total[m] = math.Inf(1)
		for p := min(m, maxPart); p > 0; p-- {
			if c := total[m-p] + costs[p]; c <= total[m] {
				total[m], last[m] = c, p
			}
		}
	}
	if n <= 0 || math.IsInf(total[n], 1) {
		return nil, math.Inf(1)
	}
	var parts []int
	for m := n; m > 0; m -= last[m] {
		parts = append(parts, last[m])
	}
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return parts, total[n]
}
