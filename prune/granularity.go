package prune

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Granularity is what goes or stays as a whole: a block of Rows consecutive
// outputs by Cols consecutive inputs of a weight. The zero value is a single
// weight.
//
// Inputs of a convolution run through the taps of one channel, then the next
// channel. Blocks stay inside a group of a convolution and inside a matrix of
// a batch; where the outputs or inputs are no multiple of the block, the last
// blocks are smaller.
type Granularity struct{ Rows, Cols int }

func (g Granularity) String() string {
	if g.single() {
		return "weight"
	}
	return fmt.Sprintf("%dx%d", g.Rows, g.Cols)
}

// ParseGranularity reads what Granularity.String writes: "weight", or a block
// as outputs x inputs, such as "4x1".
func ParseGranularity(s string) (Granularity, error) {
	if s == "weight" {
		return Granularity{}, nil
	}
	rows, cols, ok := strings.Cut(s, "x")
	r, errRows := strconv.Atoi(rows)
	c, errCols := strconv.Atoi(cols)
	if !ok || errRows != nil || errCols != nil || r < 1 || c < 1 {
		return Granularity{}, fmt.Errorf("granularity %q: expected weight, or a block of outputs x inputs such as 4x1", s)
	}
	return Granularity{r, c}, nil
}

func (g Granularity) check() error {
	if g != (Granularity{}) && (g.Rows < 1 || g.Cols < 1) {
		return fmt.Errorf("a block of %d x %d weights: expected at least 1 x 1", g.Rows, g.Cols)
	}
	return nil
}

func (g Granularity) single() bool { return g.Rows <= 1 && g.Cols <= 1 }

// scores measures every unit of a layer, given the scores of its weights: those
// of single weights are as they were, in memory order; blocks go through groups,
// then outputs, then inputs.
func (g Granularity) scores(p placement, values []float32, norm Norm) []float32 {
	if g.single() {
		return values
	}
	scores := make([]float32, 0, g.count(p))
	g.each(p, func(_ int, b block) {
		sum := 0.0
		b.each(p, func(i int) {
			x := float64(values[i])
			if norm == L2 {
				sum += x * x
			} else {
				sum += math.Abs(x)
			}
		})
		if norm == L2 {
			sum = math.Sqrt(sum)
		}
		scores = append(scores, float32(sum))
	})
	return scores
}

// erase sets to zero the units whose score the cut takes, and returns the
// largest of those scores.
func (g Granularity) erase(p placement, values, scores []float32, c cut) float32 {
	var largest uint32
	if g.single() {
		for i := range values {
			if key := scoreKey(scores[i]); c.takes(key) {
				largest = max(largest, key)
				values[i] = 0
			}
		}
	} else {
		g.each(p, func(unit int, b block) {
			if key := scoreKey(scores[unit]); c.takes(key) {
				largest = max(largest, key)
				b.each(p, func(i int) { values[i] = 0 })
			}
		})
	}
	return math.Float32frombits(largest)
}

// A block is the place of one unit in a weight.
type block struct {
	first      int // element of its upper left corner
	rows, cols int
}

// count returns how many blocks a weight has.
func (g Granularity) count(p placement) int {
	return p.groups * ((p.rows + g.Rows - 1) / g.Rows) * ((p.cols + g.Cols - 1) / g.Cols)
}

// each visits the blocks of a weight in order.
func (g Granularity) each(p placement, visit func(unit int, b block)) {
	unit := 0
	for group := range p.groups {
		for row := 0; row < p.rows; row += g.Rows {
			for col := 0; col < p.cols; col += g.Cols {
				visit(unit, block{
					first: group*p.groupStride + row*p.rowStride + col*p.colStride,
					rows:  min(g.Rows, p.rows-row),
					cols:  min(g.Cols, p.cols-col),
				})
				unit++
			}
		}
	}
}

// each visits the elements of a block.
func (b block) each(p placement, visit func(i int)) {
	for row := range b.rows {
		for col := range b.cols {
			visit(b.first + row*p.rowStride + col*p.colStride)
		}
	}
}
