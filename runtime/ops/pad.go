package ops

import (
	"fmt"

	"github.com/nnz-dev/nnz/graph"
)

func checkPad(n *graph.Node, opset int) error {
	switch mode := n.Str("mode", "constant"); mode {
	case "constant", "reflect", "edge", "wrap":
		return nil
	default:
		return fmt.Errorf("attribute mode: %q, expected constant, reflect, edge or wrap", mode)
	}
}

// buildPad binds Pad. Pads are an attribute before version 11 and a constant
// input from then on; the value of the border is read when it runs. Negative
// pads crop.
func buildPad(s *site) (Compute, error) {
	x := &s.in[0]
	if err := wantSame(x, &s.out[0]); err != nil {
		return nil, err
	}
	pads, err := s.listParam("pads", 1, 11)
	if err != nil {
		return nil, err
	}
	axes, err := s.constInts(3, "axes")
	if err != nil {
		return nil, err
	}
	if axes == nil {
		for i := range x.Shape {
			axes = append(axes, i)
		}
	}
	if _, err := axisSet(axes, len(x.Shape)); err != nil {
		return nil, err
	}
	if len(pads) != 2*len(axes) {
		return nil, fmt.Errorf("%d pads for %d axes, expected two an axis", len(pads), len(axes))
	}
	begin, want := make([]int, len(x.Shape)), append([]int(nil), x.Shape...)
	for i, a := range axes {
		a, _ = normAxis(a, len(x.Shape))
		begin[a] = pads[i]
		want[a] += pads[i] + pads[len(axes)+i]
	}
	if err := s.wantOut(0, want); err != nil {
		return nil, err
	}
	mode := s.Str("mode", "constant")
	tables := make([][]int, len(want))
	for a, st := range strides(x.Shape) {
		tables[a] = make([]int, want[a])
		for i := range tables[a] {
			from, ok := padSource(mode, i-begin[a], x.Shape[a])
			if !ok {
				return nil, fmt.Errorf("%s pads %v of an empty axis, shape %v", mode, pads, x.Shape)
			}
			if from >= 0 {
				from *= st
			}
			tables[a][i] = from
		}
	}
	g := newAxisGather(tables)
	value := s.Float("value", 0) // before version 11
	input := s.opset >= 11 && s.has(2)
	if input && (s.in[2].Len() != 1 || wantSame(x, &s.in[2]) != nil) {
		return nil, fmt.Errorf("constant_value has type %s%v, expected one element of type %s", s.in[2].DType, s.in[2].Shape, x.DType)
	}
	return pick(x.DType, func(in, out []Tensor) {
		v := value
		if input {
			v = in[2].F[0]
		}
		gatherAxes(&g, out[0].F, in[0].F, v)
	}, func(in, out []Tensor) {
		v := int64(value)
		if input {
			v = in[2].I[0]
		}
		gatherAxes(&g, out[0].I, in[0].I, v)
	}), nil
}

// padSource returns which element of an axis of extent d element i of the
// padded axis repeats, where 0 is the first of the axis; -1 for the constant.
// It fails where there is none to repeat.
func padSource(mode string, i, d int) (from int, ok bool) {
	if i >= 0 && i < d {
		return i, true
	}
	if mode == "constant" {
		return -1, true
	}
	if d == 0 {
		return 0, false
	}
	switch mode {
	case "edge":
		return min(max(i, 0), d-1), true
	case "wrap":
		return (i%d + d) % d, true
	}
	if d == 1 { // reflect
		return 0, true
	}
	period := 2 * (d - 1)
	i = (i%period + period) % period
	return min(i, period-i), true
}

// An axisGather reads each element of the output at the sum over axes of an
// offset that a table gives for its index along the axis; a negative entry
// stands for a constant.
type axisGather struct {
	outer [][]int // all axes but the last
	inner []int
	rows  int
}

func newAxisGather(tables [][]int) axisGather {
	if len(tables) == 0 {
		tables = [][]int{{0}}
	}
	g := axisGather{outer: tables[:len(tables)-1], inner: tables[len(tables)-1], rows: 1}
	for _, t := range g.outer {
		g.rows *= len(t)
	}
	return g
}

// row returns the offset at which row r reads, or -1 for a constant one.
func (g *axisGather) row(r int) int {
	off := 0
	for a := len(g.outer) - 1; a >= 0; a-- {
		t := g.outer[a]
		o := t[r%len(t)]
		if o < 0 {
			return -1
		}
		off += o
		r /= len(t)
	}
	return off
}

func gatherAxes[T elem](g *axisGather, dst, src []T, missing T) {
	n := len(g.inner)
	for r := range g.rows {
		d, off := dst[r*n:(r+1)*n], g.row(r)
		if off < 0 {
			fill(d, missing)
			continue
		}
		for i, o := range g.inner {
			if o < 0 {
				d[i] = missing
			} else {
				d[i] = src[off+o]
			}
		}
	}
}
