package prune

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Matrices of float64 are row-major slices. Products run on tiles of
// tileRows x tileCols, whose sums the compiler keeps in registers, over panels:
// so many rows side by side, element by element.
const (
	tileRows = 4
	tileCols = 2
)

// A panels holds a matrix cut into panels of size rows: element k of row r is
// at (r/size·depth + k)·size + r%size, and rows beyond the last are zero.
type panels struct {
	size, rows, depth int
	v                 []float64
}

func newPanels(size, rows, depth int) *panels {
	return &panels{size, rows, depth, make([]float64, (rows+size-1)/size*size*depth)}
}

// set stores element k of row r.
func (p *panels) set(r, k int, x float64) {
	p.v[(r/p.size*p.depth+k)*p.size+r%p.size] = x
}

// panel returns the rows from first on.
func (p *panels) panel(first int) []float64 {
	return p.v[first*p.depth:][:p.depth*p.size]
}

// addProduct adds sign · a·bᵀ to the a.rows x b.rows matrix at the beginning of
// dst, whose rows are stride apart. With lower only tiles that touch the lower
// triangle are computed. Rows are shared among goroutines.
func addProduct(dst []float64, stride int, a, b *panels, sign float64, lower bool) {
	parallel((a.rows+tileRows-1)/tileRows, func(i int) {
		row := i * tileRows
		for col := 0; col < b.rows; col += tileCols {
			if lower && col >= row+tileRows {
				break
			}
			var sums [tileRows][tileCols]float64
			multiplyTile(&sums, a.panel(row), b.panel(col))
			for r := range min(tileRows, a.rows-row) {
				for c := range min(tileCols, b.rows-col) {
					dst[(row+r)*stride+col+c] += sign * sums[r][c]
				}
			}
		}
	})
}

// multiplyTile sums up the products of a panel of tileRows and one of tileCols.
func multiplyTile(sums *[tileRows][tileCols]float64, a, b []float64) {
	var s00, s01, s10, s11, s20, s21, s30, s31 float64
	for len(a) >= tileRows && len(b) >= tileCols {
		b0, b1 := b[0], b[1]
		a0, a1, a2, a3 := a[0], a[1], a[2], a[3]
		s00 += a0 * b0
		s01 += a0 * b1
		s10 += a1 * b0
		s11 += a1 * b1
		s20 += a2 * b0
		s21 += a2 * b1
		s30 += a3 * b0
		s31 += a3 * b1
		a, b = a[tileRows:], b[tileCols:]
	}
	*sums = [tileRows][tileCols]float64{{s00, s01}, {s10, s11}, {s20, s21}, {s30, s31}}
}

// parallel calls do with 0 to n-1 on as many goroutines as may run.
func parallel(n int, do func(i int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	var next atomic.Int64
	work := func() {
		for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
			do(int(i))
		}
	}
	var wg sync.WaitGroup
	for range workers - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
}

// A gram sums up a·bᵀ of pairs of columns a and b as they come: in float64, a
// block of them at a time.
type gram struct {
	size, n int // of a column; columns in the block
	a, b    *panels
	cross   bool      // b differs from a, so that the sum is not symmetric
	sum     []float64 // size x size; without cross the lower triangle
}

// gramBlock is how many columns are multiplied at a time: so that a panel of
// them stays in the nearest cache.
const gramBlock = 256

func newGram(size int, cross bool) *gram {
	return &gram{
		size: size, cross: cross, sum: make([]float64, size*size),
		a: newPanels(tileRows, size, gramBlock), b: newPanels(tileCols, size, gramBlock),
	}
}

func (g *gram) add(a, b []float32) {
	for i, x := range a {
		g.a.set(i, g.n, float64(x))
		g.b.set(i, g.n, float64(b[i]))
	}
	if g.n++; g.n == gramBlock {
		g.flush()
	}
}

func (g *gram) flush() {
	if g.n == 0 {
		return
	}
	addProduct(g.sum, g.size, g.a, g.b, 1, !g.cross)
	clear(g.a.v)
	clear(g.b.v)
	g.n = 0
}

// total returns the sum, all of it.
func (g *gram) total() []float64 {
	g.flush()
	if !g.cross {
		for i := range g.size {
			for j := range i {
				g.sum[j*g.size+i] = g.sum[i*g.size+j]
			}
		}
	}
	return g.sum
}
