package spmv

import (
	"cmp"
	"slices"

	"github.com/nnz-dev/nnz/sparse"
)

// The byte of an index in a tile: the column in the low six bits, next where the
// weight is of the row after the lane's, and absent where there is none.
//
// Four steps have their indices together, those of a lane side by side, so that
// a shift by a byte gets from one step to the next; the steps that are left over
// have theirs one after the other.
const (
	absent = 0x40
	next   = 0x80
)

const quadSteps = 4

// indexAt is where in a tile of a number of steps the index of a lane is.
func indexAt(step, steps, lane int) int {
	if quad := step / quadSteps * quadSteps; quad+quadSteps <= steps {
		return quad*tileRows + lane*quadSteps + step%quadSteps
	}
	return step*tileRows + lane
}

// What a step of a tile, a tile, and a row as blocks of R = 1 cost, in units of
// what one more block does. Zen 5 takes 1.1, 1 and 6 ns where a block takes 0.25.
const (
	stepCost = 4.5
	tileCost = 4
	rowCost  = 24
)

// packTiles packs a matrix as tiles, and tells what they cost. It needs
// TileCols columns.
func packTiles(m *sparse.CSR) (w *Weight, cost float64, err error) {
	rows, cols := m.Dims()
	if err := checkDims(rows, cols); err != nil {
		return nil, 0, err
	}
	p := part{form: FormTiles, r: tileRows, order: tileOrder(m)}
	for lane := 0; lane < len(p.order); lane += tileRows {
		if n := len(p.chunks); n == 0 || len(p.val)-p.chunks[n-1].val >= chunkValues {
			p.chunks = append(p.chunks, p.end())
		}
		p.addGroup(m, lane)
	}
	p.val = append(aligned(len(p.val)), p.val...)
	return newWeight(rows, cols, m.NNZ(), p), float64(len(p.val))/tileRows*stepCost + float64(len(p.entries))*tileCost, nil
}

// tileOrder returns the rows of lanes, -1 for none. Rows of a group have about
// as many weights, as a tile has as many steps as its fullest rows ask for, and
// those with more have one with less before them, which they can use the lane of.
func tileOrder(m *sparse.CSR) []int32 {
	rows, _ := m.Dims()
	count := func(row int32) int { col, _ := m.Row(int(row)); return len(col) }
	sorted := make([]int32, (rows+tileRows-1)/tileRows*tileRows)
	for i := range sorted {
		sorted[i] = int32(i)
		if i >= rows {
			sorted[i] = -1
		}
	}
	slices.SortStableFunc(sorted[:rows], func(a, b int32) int { return cmp.Compare(count(b), count(a)) })
	order := make([]int32, 0, len(sorted))
	for group := range slices.Chunk(sorted, tileRows) {
		for i := range tileRows / 2 {
			order = append(order, group[tileRows-1-i], group[i])
		}
	}
	return order
}

// A tile is what rows of a group have in its columns.
type tile struct {
	base  int // the first column
	steps int
	first [tileRows]int // of each row, among the weights of all columns
	count [tileRows]int
	lent  [tileRows]int // how many of those of the next row a lane has, the last of them
}

// addGroup appends the tiles of the rows of tileRows lanes, those of as many
// steps together, so that loops of them are easy to predict.
func (p *part) addGroup(m *sparse.CSR, lane int) {
	_, cols := m.Dims()
	var col [tileRows][]int32
	var val [tileRows][]float32
	for r, row := range p.order[lane : lane+tileRows] {
		if row >= 0 {
			col[r], val[r] = m.Row(int(row))
		}
	}
	var tiles []tile
	var done [tileRows]int
	for c := 0; c < cols; c += TileCols {
		// The last tile may begin before its first column, so that it ends with x.
		t := tile{base: min(c, cols-TileCols), first: done}
		for r := range done {
			t.count[r], _ = slices.BinarySearch(col[r][done[r]:], int32(min(c+TileCols, cols)))
			done[r] += t.count[r]
		}
		if t.balance(); t.steps > 0 {
			tiles = append(tiles, t)
		}
	}
	if len(tiles) == 0 {
		tiles = append(tiles, tile{})
	}
	slices.SortStableFunc(tiles, func(a, b tile) int { return cmp.Compare(b.steps, a.steps) })
	for i, t := range tiles {
		e := entry{row: uint32(lane), count: uint32(t.steps), base: uint32(t.base), flags: partial}
		if i == len(tiles)-1 {
			e.flags = 0
		}
		p.entries = append(p.entries, e)
		p.addTile(&t, &col, &val)
	}
}

// balance finds the least steps that the tile can do with, and what lanes then
// have of the next row's.
func (t *tile) balance() {
	total := 0
	for _, n := range t.count {
		total += n
	}
	for t.steps = (total + tileRows - 1) / tileRows; !t.lend(); t.steps++ {
	}
}

// lend makes each lane take from the next row what its own lane has no step for,
// and tells whether all weights have one then.
func (t *tile) lend() bool {
	t.lent = [tileRows]int{}
	before := func(r int) *int { return &t.lent[(r+tileRows-1)%tileRows] }
	// What a lane takes is room that it does not have for its own row, so that
	// it lends on. As no more than all steps are taken, that ends within two
	// rounds.
	for range 2 {
		for r := tileRows - 1; r >= 0; r-- {
			*before(r) = max(t.count[r]+t.lent[r]-t.steps, 0)
		}
	}
	for r, n := range t.count {
		if own := n - *before(r); own < 0 || own+t.lent[r] > t.steps {
			return false
		}
	}
	return true
}

// addTile appends a tile's indices and values.
func (p *part) addTile(t *tile, col *[tileRows][]int32, val *[tileRows][]float32) {
	at := len(p.val)
	p.index = append(p.index, make([]uint8, t.steps*tileRows)...)
	p.val = append(p.val, make([]float32, t.steps*tileRows)...)
	indices, values := p.index[at:], p.val[at:]
	for lane := range tileRows {
		after := (lane + 1) % tileRows
		own := t.count[lane] - t.lent[(lane+tileRows-1)%tileRows]
		for step := range t.steps {
			r, n, i := lane, t.first[lane]+step, uint8(0)
			switch lent := step - own; {
			case lent >= t.lent[lane]:
				indices[indexAt(step, t.steps, lane)] = absent
				continue
			case lent >= 0:
				r, n, i = after, t.first[after]+t.count[after]-t.lent[lane]+lent, next
			}
			indices[indexAt(step, t.steps, lane)] = i | uint8(int(col[r][n])-t.base)
			values[step*tileRows+lane] = val[r][n]
		}
	}
}
