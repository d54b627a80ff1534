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
// kernels of r weight rows exist for: row by row, left to right. A grid of one
// row is taken for a matrix product, a larger one for a convolution. It is
// empty where the grid is, or where no kernel is of r and step.
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
	reach := 1.0 // of a convolution's window
	if grid.Rows > 1 {
		reach = 3
	}
	band := func(rows int) ([]int, float64) {
		return partition(grid.Cols, func(cols int) float64 {
			if tile := (Shape{rows, cols}); have[tile] {
				return cost(i, r, tile, reach)
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

// cost estimates the cycles that a kernel takes for one weight column of its
// tile, for a window of reach x reach. It was fitted on Zen 4, which loads or
// multiplies a vector of 64 bytes, or two of less, in a cycle.
//
// A large tile shares the broadcast of a weight among many vectors, a small
// one lets more columns into a K-block, among which beginning and ending a row
// is shared.
func cost(i isa.ISA, r int, tile Shape, reach float64) float64 {
	const (
		latency = 2   // of dependent multiply-adds, two sets of accumulators by turns
		entry   = 12  // to begin and end a row of tiles,
		vector  = 3   // and each vector of 64 bytes in it,
		crowd   = 20  // of which those past 20, whose stores hold up the next row,
		crowded = 5   // take more
		again   = 0.3 // to read a weight once more
	)
	density := 0.1
	if r > 1 {
		density = 0.2
	}
	size := float64(i.Lanes()) * 4 // of a vector
	unit := max(size/64, 0.5)
	v, n := float64(tile.Vectors()), float64(r*tile.Vectors())
	column := max(unit*max(n, v+float64(r)), latency) + again*float64(r)
	// Vectors of activations that a column adds to those of the others.
	adds := (float64(tile.Rows) + reach - 1) * (float64(tile.Cols) + reach - 1) / (reach * reach)
	present := density * float64(Panel(r, density)) / (adds * size)
	return column + (entry+unit*(vector*n+crowded*max(n-crowd, 0)))/present
}

// Panel returns how many bytes of activations a K-block of a tile should have,
// for a weight in blocks of r rows of which the fraction density is present.
// Twice the reuse allows for twice the bytes; where few weights are present,
// beginning and ending rows costs more than the L2 cache does.
func Panel(r int, density float64) int {
	const (
		cache = 32 << 10 // the smallest L1 data cache about
		most  = 128 << 10
	)
	return int(min(float64(r)*(0.75+0.055/max(density, 1e-3))*cache, most))
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
