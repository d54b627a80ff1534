package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/nnz-dev/nnz/sparse"
)

// feedSeed is that of the feeder's weights.
const feedSeed = 1 << 32

// normals returns numbers of a standard normal distribution.
func normals(n int, seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 0))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

// Weights returns a weight of rows x cols that has the given fraction of zeros
// in blocks of r rows by one column, 1 for single elements: uniformly random
// ones, as many as the fraction says. The last blocks are cut off where rows is
// no multiple of r. The same arguments give the same weight.
func Weights(rows, cols, r int, sparsity float64, seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, uint64(r)))
	w := make([]float32, rows*cols)
	scale := 1 / math.Sqrt(max(1, (1-sparsity)*float64(cols)))
	blocks := (rows + r - 1) / r * cols
	zeros := int(math.Round(sparsity * float64(blocks)))
	for b := range blocks {
		// Selection sampling: Knuth, The Art of Computer Programming, 3.4.2, algorithm S.
		if rng.IntN(blocks-b) < zeros {
			zeros--
			continue
		}
		for i := b / cols * r; i < min(b/cols*r+r, rows); i++ {
			w[i*cols+b%cols] = nonzero(rng, scale)
		}
	}
	return w
}

// PatternWeights returns a weight of rows x cols that of each m consecutive
// columns of a row has n random ones that are not zero, or all where a last
// group has fewer. The same arguments give the same weight.
func PatternWeights(rows, cols, n, m int, seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, uint64(m)))
	w := make([]float32, rows*cols)
	scale := 1 / math.Sqrt(max(1, float64(cols*n)/float64(m)))
	for at := 0; at < rows*cols; {
		width := min(m, cols-at%cols)
		for _, k := range rng.Perm(width)[:min(n, width)] {
			w[at+k] = nonzero(rng, scale)
		}
		at += width
	}
	return w
}

// nonzero draws from a normal distribution, but never zero.
func nonzero(rng *rand.Rand, scale float64) float32 {
	for {
		if v := float32(rng.NormFloat64() * scale); v != 0 {
			return v
		}
	}
}

// storedIn counts the elements that blocks of r x 1 take to hold a weight's
// nonzeros.
func storedIn(w []float32, rows, cols, r int) int {
	n := 0
	for row := 0; row < rows; row += r {
		for c := range cols {
			for i := row; i < min(row+r, rows); i++ {
				if w[i*cols+c] != 0 {
					n += min(r, rows-row)
					break
				}
			}
		}
	}
	return n
}

// blockRows returns R of a format as a plan names it: bsr4x1 and mixed4x1 are
// 4, others 1.
func blockRows(format string) int {
	for _, kind := range []string{"bsr", "mixed"} {
		if s, ok := strings.CutPrefix(format, kind); ok {
			if n, err := strconv.Atoi(strings.TrimSuffix(s, "x1")); err == nil {
				return n
			}
		}
	}
	return 1
}

// FromMatrix makes a linear layer of n columns and its weight of a matrix, such
// as a mask of the Deep Learning Matrix Collection.
func FromMatrix(name string, m sparse.Matrix, n int) (Case, error) {
	rows, cols := m.Dims()
	l, err := ParseShape(fmt.Sprintf("%d,%d,%d", rows, cols, n))
	if err != nil {
		return Case{}, err
	}
	l.Name = name
	w := m.Dense(make([]float32, rows*cols))
	return Case{Layer: l, Weight: w, Sparsity: 1 - float64(m.NNZ())/float64(max(1, rows*cols))}, nil
}

// A Case is a layer and its weight.
type Case struct {
	Layer
	Weight   []float32 // out x in
	Sparsity float64
	Block    int // rows of the blocks that zeros were made in; 0 where they were not made here
}

// NewCase makes a case of random zeros in blocks of r rows.
func NewCase(l Layer, r int, sparsity float64) Case {
	m, k, _ := l.Dims()
	return Case{Layer: l, Weight: Weights(m, k, r, sparsity, 1), Sparsity: sparsity, Block: r}
}

// NewPatternCase makes a case of n random nonzeros in each m inputs.
func NewPatternCase(l Layer, n, m int) Case {
	rows, cols, _ := l.Dims()
	return Case{Layer: l, Weight: PatternWeights(rows, cols, n, m, 1), Sparsity: 1 - float64(n)/float64(m)}
}

// Scatter sets a fraction of the weight's zeros to random values.
func (c *Case) Scatter(fraction float64) {
	if fraction == 0 || c.Sparsity == 0 {
		return
	}
	rng := rand.New(rand.NewPCG(2, 0))
	zeros := 0
	for i, v := range c.Weight {
		if v != 0 {
			continue
		}
		if rng.Float64() < fraction {
			c.Weight[i] = nonzero(rng, 1)
		} else {
			zeros++
		}
	}
	c.Sparsity = float64(zeros) / float64(len(c.Weight))
}
