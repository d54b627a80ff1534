package spmv

import (
	"math"
	"slices"

	"github.com/nnz-dev/nnz/sparse"
)

// What a step of a tile and a tile cost, in units of what one more value in a
// row of blocks costs. On Zen 4, 500 x 800 and 4096 x 4096 at 80 to 95 % zeros
// differ by 5 % for steps of 4 to 10, and dearer steps make weights smaller.
const (
	stepCost = 7
	tileCost = 1
)

// packTiles packs groups of tileRows rows as tiles, with blocks of R = 1 for
// what tiles do not hold and for rows past the last whole group. Blocks come
// first and leave their sums in y.
func packTiles(m *sparse.CSR) (*Weight, error) {
	rows, cols := m.Dims()
	if err := checkDims(rows, cols); err != nil {
		return nil, err
	}
	if rows < tileRows || cols < TileCols {
		return PackCSR(m)
	}
	tiles, rest := part{form: FormTiles, r: tileRows}, newPacker(1, 0)
	written := func() int { return len(tiles.val) + len(rest.part.val) }
	start := 0
	tiles.chunks = append(tiles.chunks, chunk{})
	row := 0
	for ; row+tileRows <= rows; row += tileRows {
		if written()-start >= chunkValues {
			rest.flush(math.MaxInt)
			tiles.chunks = append(tiles.chunks, tiles.end())
			start = written()
		}
		for _, r := range tiles.addGroup(m, row) {
			rest.add(r)
		}
	}
	for ; row < rows; row++ {
		col, val := m.Row(row)
		rest.add(blockRow{row: row, col: col, val: val})
	}
	rest.flush(math.MaxInt)
	if len(tiles.val) == 0 {
		return PackCSR(m)
	}
	tiles.val = append(aligned(len(tiles.val)), tiles.val...)
	return newWeight(rows, cols, m.NNZ(), rest.part, tiles), nil
}

// addGroup appends the tiles of the rows from row on, and returns what of each
// row is left.
func (p *part) addGroup(m *sparse.CSR, row int) (rest [tileRows]blockRow) {
	_, cols := m.Dims()
	var col [tileRows][]int32
	var val [tileRows][]float32
	for r := range rest {
		col[r], val[r] = m.Row(row + r)
		rest[r] = blockRow{row: row + r, partial: true}
	}
	for c := 0; c < cols; c += TileCols {
		var count [tileRows]int
		for r := range count {
			count[r], _ = slices.BinarySearch(col[r], int32(min(c+TileCols, cols)))
		}
		steps := bestSteps(&count)
		// The last tile may begin before its first column, so that it ends with x.
		base := min(c, cols-TileCols)
		for s := range steps {
			for r := range count {
				i, v := uint8(absent), float32(0)
				if s < count[r] {
					i, v = index(int(col[r][s])-base), val[r][s]
				}
				p.index, p.val = append(p.index, i), append(p.val, v)
			}
		}
		if steps > 0 {
			p.entries = append(p.entries, entry{uint32(row), uint32(steps / 2), uint32(base), later | partial})
		}
		for r, n := range count {
			in := min(n, steps)
			rest[r].col, rest[r].val = append(rest[r].col, col[r][in:n]...), append(rest[r].val, val[r][in:n]...)
			col[r], val[r] = col[r][n:], val[r][n:]
		}
	}
	if n := len(p.entries); n > 0 && p.entries[n-1].row == uint32(row) {
		p.entries[n-1].flags &^= partial
	} else { // a tile of no steps limits what the blocks have left
		p.entries = append(p.entries, entry{uint32(row), 0, 0, later})
	}
	return rest
}

// index returns the byte for a column of a tile.
func index(c int) uint8 {
	if c >= TileCols/2 {
		return uint8(c-TileCols/2) | upper
	}
	return uint8(c)
}

// bestSteps returns the even number of steps that makes a tile cheapest, where
// row r has count[r] values in it.
func bestSteps(count *[tileRows]int) int {
	best, cheapest := 0, math.Inf(1)
	for steps := 0; steps <= slices.Max(count[:])+1; steps += 2 {
		cost := float64(steps) * stepCost
		if steps > 0 {
			cost += tileCost
		}
		for _, n := range count {
			cost += float64(max(n-steps, 0))
		}
		if cost < cheapest {
			best, cheapest = steps, cost
		}
	}
	return best
}
