package spmm

import (
	"math"
	"slices"

	"github.com/nnz-dev/nnz/kernels/isa"
)

// A Placed is a shape at a place in a grid of vectors.
type Placed struct {
	Shape
	Row, Col int
}

// A Fit describes a product, for tiles and K-blocks to be fitted to it.
type Fit struct {
	ISA     isa.ISA
	R, Step int
	Pairs   bool    // rows are paired; R is 1
	Columns int     // of the weight, in a group
	Density float64 // the fraction of columns that is present in a block of R rows
	// Taps is how many columns a feature has: those of a convolution's window,
	// else 1.
	Taps int
	// Footprint returns how many vectors of one feature a tile reads. nil
	// stands for as many as the tile has.
	Footprint func(Shape) int
}

// Uniform is the least row of vectors that is covered with tiles which all add up
// in the same order: rows of so many may be cut and give the same results.
const Uniform = 4

// Cover returns the best known way to cover a grid of vectors with tiles that
// have kernels: row by row, left to right. It is empty where the grid is, or
// where no kernel is of the fit's R and Step. However rows of vectors are cut
// into such of at least Uniform, products have the same results to the bit where
// their K-blocks are the same.
func (f Fit) Cover(grid Shape) []Placed {
	var costs [maxPart + 1][maxPart + 1]float64 // of a tile, 0 where there is none
	found := false
	for _, k := range kernels {
		if k.ISA == f.ISA && k.R == f.R && k.Pair == f.Pairs && k.Step == f.Step && costs[k.Tile.Rows][k.Tile.Cols] == 0 &&
			!(k.turns && grid.Cols >= Uniform) {
			costs[k.Tile.Rows][k.Tile.Cols] = f.Cost(k.Tile)
			found = true
		}
	}
	if !found {
		return nil
	}
	band := func(rows int) ([]int, float64) {
		return partition(grid.Cols, func(cols int) float64 {
			if c := costs[rows][cols]; c > 0 {
				return c
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

// Split halves the largest tiles until there are n, or only vectors: work for
// more threads. Their K-blocks should stay those of the tiles as they were:
// they decide in which order results are added up.
func Split(places []Placed, n int) []Placed {
	places = slices.Clone(places)
	for len(places) < n {
		i := 0
		for j, p := range places {
			if p.Vectors() > places[i].Vectors() {
				i = j
			}
		}
		a := places[i]
		b := a
		switch {
		case a.Rows > 1:
			a.Rows /= 2
			b.Row, b.Rows = b.Row+a.Rows, b.Rows-a.Rows
		case a.Cols > 1:
			a.Cols = (a.Cols + 1) / 2
			b.Col, b.Cols = b.Col+a.Cols, b.Cols-a.Cols
		default:
			return places
		}
		places = slices.Insert(places, i+1, b)
		places[i] = a
	}
	return places
}

// footprint returns how many vectors of one feature a tile reads.
func (f Fit) footprint(tile Shape) int {
	if f.Footprint == nil {
		return tile.Vectors()
	}
	return f.Footprint(tile)
}

// Block returns how many columns a K-block should have for a tile: as many
// whole features as the L1 cache takes, in blocks of like size.
func (f Fit) Block(tile Shape) int {
	taps := max(f.Taps, 1)
	features := (f.Columns + taps - 1) / taps
	most := max(f.panel()/(f.footprint(tile)*f.ISA.Lanes()*4), 1)
	blocks := (features + most - 1) / most
	return (features + blocks - 1) / blocks * taps
}

// panel returns how many bytes of activations a K-block should bring into the
// L1 cache. Blocks of rows and windows use them more often, so that the L2
// cache can help out; where few weights are present, it costs less than to
// begin and end more rows. Of pairs, measured on Emerald Rapids with 48 KiB, one
// layer alone, weights from memory: 28 to 36 KiB are best at 70 and 80 % zeros, 40
// to 48 at 90, 44 to 48 at 95, 48 to 64 at 98 %. Zen 5, with as much, does as well
// with those up to 90 %, and with 64 to 96 at 95.
func (f Fit) panel() int {
	const (
		cache = 32 << 10 // the smallest L1 data cache about
		most  = 256 << 10
	)
	density := max(f.Density, 1e-3)
	uses := float64(f.R) * (0.75 + 0.055/density)
	switch {
	case f.Pairs:
		uses = min(0.85+0.036/density, 2)
	case f.R == 1 && f.Taps > 1:
		uses *= 1.25
	}
	return int(min(uses*cache, most))
}

// Cost estimates the cycles of one core that a tile takes for each block of R
// rows. It was fitted on Zen 4, which loads or multiplies a vector of 64
// bytes, or two of less, in a cycle; that of pairs on Zen 5, which does two of
// either.
//
// A large tile shares the broadcast of a weight among many vectors, a small
// one lets more columns into a K-block, among which beginning and ending a row
// is shared.
func (f Fit) Cost(tile Shape) float64 {
	const (
		latency = 2   // of dependent multiply-adds, two sets of accumulators by turns
		entry   = 12  // to begin and end a row of tiles,
		vector  = 3   // and each vector of 64 bytes in it,
		crowd   = 20  // of which those past 20, whose stores hold up the next row,
		crowded = 5   // take more
		again   = 0.3 // to read a weight once more
		// Of one row of a pair:
		pairEntry  = 4
		pairVector = 0.65 // of a column
		pairColumn = 1.3  // besides,
		pairRow    = 0.8  // and for each further row of the tile
	)
	unit := max(float64(f.ISA.Lanes())/16, 0.5)
	v, n := float64(tile.Vectors()), float64(f.R*tile.Vectors())
	column := max(unit*max(n, v+float64(f.R)), latency) + again*float64(f.R)
	row := entry + unit*(vector*n+crowded*max(n-crowd, 0))
	if f.Pairs {
		column = pairColumn + pairRow*float64(tile.Rows-1) + pairVector*unit*v
		row = pairEntry + unit*(vector*v+crowded*max(v-crowd/2, 0))
	}
	block := f.Block(tile)
	blocks := (f.Columns + block - 1) / block
	return column*f.Density*float64(f.Columns) + row*float64(blocks)
}

// maxPart bounds the sides of a tile.
const maxPart = 16

// partition cuts n into parts of least total cost, larger parts first. Parts
// whose cost is infinite do not exist; the total is infinite where n cannot be
// cut.
func partition(n int, cost func(part int) float64) ([]int, float64) {
	var costs [maxPart + 1]float64
	for p := 1; p <= min(maxPart, n); p++ {
		costs[p] = cost(p)
	}
	type cut struct {
		total float64
		last  int // the smallest part
	}
	var room [256]cut
	best := room[:] // the best cut of so many
	if n >= len(room) {
		best = make([]cut, n+1)
	}
	for m := 1; m <= n; m++ {
		best[m].total = math.Inf(1)
		for p := min(m, maxPart); p > 0; p-- {
			if c := best[m-p].total + costs[p]; c <= best[m].total {
				best[m].total, best[m].last = c, p
			}
		}
	}
	if n <= 0 || math.IsInf(best[n].total, 1) {
		return nil, math.Inf(1)
	}
	var parts []int
	for m := n; m > 0; m -= best[m].last {
		parts = append(parts, best[m].last)
	}
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return parts, best[n].total
}
