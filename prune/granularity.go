package prune

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// A Granularity says what goes or stays as a whole: how a weight, which is
// outputs x inputs, is cut into units. Inputs of a convolution run through the
// taps of one channel, then the next channel. The granularities are [Weight],
// [Block], [Pattern], [Row], [Filter], [Column], [Channel], [Head] and [Dim];
// a nil one is Weight.
type Granularity interface {
	fmt.Stringer
	// grid cuts the weight of a layer.
	grid(l Layer) (grid, error)
}

// ParseGranularity reads what the granularities write: weight, a block as
// outputs x inputs such as 4x1, a pattern such as 2:4, row, filter, column,
// channel, head, head:64 or dim:1.
func ParseGranularity(s string) (Granularity, error) {
	for _, g := range []Granularity{Weight{}, Row{}, Filter{}, Column{}, Channel{}, Head{}} {
		if s == g.String() {
			return g, nil
		}
	}
	if size, ok := strings.CutPrefix(s, "head:"); ok {
		if n, err := strconv.Atoi(size); err == nil && n > 0 {
			return Head{n}, nil
		}
	} else if axis, ok := strings.CutPrefix(s, "dim:"); ok {
		if n, err := strconv.Atoi(axis); err == nil {
			return Dim(n), nil
		}
	} else if strings.Contains(s, ":") {
		return ParsePattern(s)
	}
	rows, cols, ok := strings.Cut(s, "x")
	r, errRows := strconv.Atoi(rows)
	c, errCols := strconv.Atoi(cols)
	if !ok || errRows != nil || errCols != nil || r < 1 || c < 1 {
		return nil, fmt.Errorf("granularity %q: expected weight, a block of outputs x inputs such as 4x1, a pattern such as 2:4, row, filter, column, channel, head, head:SIZE or dim:AXIS", s)
	}
	return Block{r, c}, nil
}

// Weight is single weights.
type Weight struct{}

func (Weight) String() string             { return "weight" }
func (Weight) grid(l Layer) (grid, error) { return grid{l.at, 1, 1}, nil }

// Block is Rows consecutive outputs by Cols consecutive inputs. Blocks stay
// inside a group of a convolution and inside a matrix of a batch; where the
// outputs or inputs are no multiple of the block, the last blocks are smaller.
type Block struct{ Rows, Cols int }

func (b Block) String() string { return fmt.Sprintf("%dx%d", b.Rows, b.Cols) }

func (b Block) grid(l Layer) (grid, error) {
	if b.Rows < 1 || b.Cols < 1 {
		return grid{}, fmt.Errorf("a block of %d x %d weights: expected at least 1 x 1", b.Rows, b.Cols)
	}
	return grid{l.at, min(b.Rows, l.at.rows), min(b.Cols, l.at.cols)}, nil
}

// Row is all weights of one output: a row of the weight as outputs x inputs,
// whichever way round the tensor stores it.
type Row struct{}

func (Row) String() string             { return "row" }
func (Row) grid(l Layer) (grid, error) { return grid{l.at, 1, l.at.cols}, nil }

// Filter is [Row] under the name that it has in a convolution, and like it
// takes any layer.
type Filter struct{ Row }

func (Filter) String() string { return "filter" }

// Column is all weights of one input; of a convolution, of one tap of one input
// channel. In a grouped convolution each group has inputs of its own.
type Column struct{}

func (Column) String() string             { return "column" }
func (Column) grid(l Layer) (grid, error) { return grid{l.at, l.at.rows, 1}, nil }

// Channel is all weights of one input channel of a convolution, with all its
// taps. In other layers it is [Column].
type Channel struct{}

func (Channel) String() string { return "channel" }

func (Channel) grid(l Layer) (grid, error) {
	taps := 1
	if l.conv() {
		for _, d := range l.Shape[2:] {
			taps *= d
		}
	}
	return grid{l.at, l.at.rows, taps}, nil
}

// Head is all weights of the Size outputs of one attention head. With a Size of
// 0 it is found in the graph, and layers without heads take no part: those
// whose outputs, behind a bias, are not reshaped to batch x length x heads x
// size by a constant.
type Head struct{ Size int }

func (h Head) String() string {
	if h.Size == 0 {
		return "head"
	}
	return fmt.Sprintf("head:%d", h.Size)
}

func (h Head) grid(l Layer) (grid, error) {
	size := h.Size
	if size == 0 {
		size = l.head
	}
	if size < 1 || l.at.rows%size != 0 {
		return grid{}, fmt.Errorf("weight %q: %d outputs do not divide into heads of %d", l.Weight, l.at.rows, size)
	}
	return grid{l.at, size, l.at.cols}, nil
}

// Dim is the slices of a weight along one axis of its tensor, counted from the
// last where it is negative: what torch.nn.utils.prune.ln_structured prunes.
type Dim int

func (d Dim) String() string { return fmt.Sprintf("dim:%d", int(d)) }

func (d Dim) grid(l Layer) (grid, error) {
	axis := int(d)
	if axis < 0 {
		axis += len(l.Shape)
	}
	if axis < 0 || axis >= len(l.Shape) {
		return grid{}, fmt.Errorf("weight %q: axis %d of the shape %v", l.Weight, int(d), l.Shape)
	}
	n, outer, inner := l.Shape[axis], 1, 1
	for _, e := range l.Shape[:axis] {
		outer *= e
	}
	for _, e := range l.Shape[axis+1:] {
		inner *= e
	}
	// A slice is a matrix: outer runs of inner elements.
	return grid{placement{groups: n, rows: outer, cols: inner, groupStride: inner, rowStride: n * inner, colStride: 1}, outer, inner}, nil
}

// Norm is how a unit of several weights is measured, given their scores. For
// single weights every norm is the absolute value.
type Norm uint8

// The norms.
const (
	L1  Norm = iota // sum of absolute values
	L2              // root of the sum of squares
	L0              // number of nonzeros
	Max             // largest absolute value
	Min             // smallest absolute value

	first // of the weights that it has, for units that have no size
)

var normNames = [...]string{L1: "l1", L2: "l2", L0: "l0", Max: "inf", Min: "-inf", first: "first"}

func (n Norm) String() string { return normNames[n] }

// ParseNorm reads what Norm.String writes: l0, l1, l2, inf or -inf.
func ParseNorm(s string) (Norm, error) {
	for n, name := range normNames[:first] {
		if s == name {
			return Norm(n), nil
		}
	}
	return L1, fmt.Errorf("norm %q: expected l0, l1, l2, inf or -inf", s)
}

// of measures the elements of a unit.
func (n Norm) of(p placement, u unit, scores []float32) float32 {
	if n == first {
		return scores[u.first]
	}
	sum, most, least := 0.0, 0.0, math.Inf(1)
	for row := range u.rows {
		for col := range u.cols {
			x := math.Abs(float64(scores[u.first+row*p.rowStride+col*p.colStride]))
			switch n {
			case L0:
				if x != 0 {
					sum++
				}
			case L1:
				sum += x
			case L2:
				sum += x * x
			default:
				most, least = max(most, x), min(least, x)
			}
		}
	}
	switch n {
	case L2:
		sum = math.Sqrt(sum)
	case Max:
		sum = most
	case Min:
		sum = least
	}
	return float32(sum)
}

// A grid cuts the matrices of a weight into units of height x width elements.
// They go through groups, then rows, then columns; the last of a row or column
// may be smaller.
type grid struct {
	placement
	height, width int
}

// A unit is where a part of a weight lies.
type unit struct {
	first      int // element of its upper left corner
	rows, cols int
}

// single reports whether units are elements: unit i is then element i.
func (g grid) single() bool { return g.height == 1 && g.width == 1 }

// units returns how many there are.
func (g grid) units() int {
	return g.groups * ((g.rows + g.height - 1) / g.height) * ((g.cols + g.width - 1) / g.width)
}

// each visits the units in order.
func (g grid) each(visit func(i int, u unit)) {
	i := 0
	for group := range g.groups {
		for row := 0; row < g.rows; row += g.height {
			for col := 0; col < g.cols; col += g.width {
				visit(i, unit{
					first: group*g.groupStride + row*g.rowStride + col*g.colStride,
					rows:  min(g.height, g.rows-row),
					cols:  min(g.width, g.cols-col),
				})
				i++
			}
		}
	}
}

// each visits the elements of a unit.
func (u unit) each(p placement, visit func(i int)) {
	for row := range u.rows {
		for col := range u.cols {
			visit(u.first + row*p.rowStride + col*p.colStride)
		}
	}
}

// scores measures every unit, given the scores of the weights.
func (g grid) scores(weights []float32, norm Norm) []float32 {
	scores := make([]float32, g.units())
	g.each(func(i int, u unit) { scores[i] = norm.of(g.placement, u, weights) })
	return scores
}

// empty counts the units that hold nothing but zeros.
func (g grid) empty(values []float32) int {
	if g.single() {
		return countKey(values, 0)
	}
	n := 0
	g.each(func(_ int, u unit) {
		if L0.of(g.placement, u, values) == 0 {
			n++
		}
	})
	return n
}

// erase takes the elements of the units whose score the cut takes out of keep,
// and returns the largest of those scores.
func (g grid) erase(keep bitset, scores []float32, c cut) float32 {
	var largest uint32
	g.each(func(i int, u unit) {
		if key := scoreKey(scores[i]); c.takes(key) {
			largest = max(largest, key)
			u.each(g.placement, keep.remove)
		}
	})
	return math.Float32frombits(largest)
}

// A bitset says of each element of a weight whether it stays.
type bitset []uint64

func (b bitset) remove(i int)   { b[i/64] &^= 1 << (i % 64) }
func (b bitset) has(i int) bool { return b[i/64]>>(i%64)&1 != 0 }

// fill makes it hold the elements that are not zero.
func (b bitset) fill(values []float32) {
	clear(b)
	for i, x := range values {
		if x != 0 {
			b[i/64] |= 1 << (i % 64)
		}
	}
}

// count returns how many elements stay.
func (b bitset) count() int {
	n := 0
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	return n
}
