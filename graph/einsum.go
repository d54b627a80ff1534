package graph

import (
	"fmt"
	"slices"
	"strings"
)

// An Einsum is the loops of an Einsum node, one for each label of its
// equation.
type Einsum struct {
	Out     []int   // extents of the output
	Sum     []int   // extents of the loops that are summed over
	Strides [][]int // for every operand, elements from one turn of each loop to the next: those of Out, then those of Sum
}

// An einsumLabel is a letter of an equation, or minus the place from the end of
// an axis under an ellipsis.
type einsumLabel int

// NewEinsum reads the equation of an Einsum node for operands of the given
// shapes, as https://onnx.ai/onnx/operators/onnx__Einsum.html defines it:
// extents of 1 broadcast, and a label that repeats in a term is a diagonal.
func NewEinsum(n *Node, shapes [][]int) (Einsum, error) {
	equation := strings.ReplaceAll(n.Str("equation", ""), " ", "")
	inputs, output, explicit := strings.Cut(equation, "->")
	terms := strings.Split(inputs, ",")
	var e Einsum
	fail := func() (Einsum, error) {
		return e, fmt.Errorf("attribute equation: %.80q for operands of %v", equation, shapes)
	}
	if len(terms) != len(shapes) {
		return fail()
	}
	labels, extent, count := make([][]einsumLabel, len(terms)), map[einsumLabel]int{}, map[einsumLabel]int{}
	hidden := 0 // axes under an ellipsis
	for i, term := range terms {
		under := len(shapes[i]) - len(strings.Replace(term, "...", "", 1))
		var ok bool
		if labels[i], ok = einsumTerm(term, under); !ok || len(labels[i]) != len(shapes[i]) {
			return fail()
		}
		hidden = max(hidden, under)
		for j, l := range labels[i] {
			d := shapes[i][j]
			if old, seen := extent[l]; seen && old != d && old != 1 && d != 1 {
				return fail()
			} else if !seen || old == 1 {
				extent[l] = d
			}
			count[l]++
		}
	}
	if !explicit {
		output = "..." + onceLabels(count)
	}
	out, ok := einsumTerm(output, hidden)
	if !ok {
		return fail()
	}
	loops := slices.Clone(out)
	for i, l := range out {
		if _, seen := extent[l]; !seen || slices.Contains(out[:i], l) {
			return fail()
		}
		e.Out = append(e.Out, extent[l])
	}
	for _, term := range labels {
		for _, l := range term {
			if !slices.Contains(loops, l) {
				loops = append(loops, l)
				e.Sum = append(e.Sum, extent[l])
			}
		}
	}
	if _, err := Elements(e.Sum); err != nil {
		return e, err
	}
	for i, term := range labels {
		e.Strides = append(e.Strides, einsumStrides(loops, term, shapes[i]))
	}
	return e, nil
}

// einsumTerm returns the labels of a term, whose ellipsis stands for a number
// of axes.
func einsumTerm(term string, under int) (labels []einsumLabel, ok bool) {
	before, after, found := strings.Cut(term, "...")
	for _, c := range []byte(before) {
		labels = append(labels, einsumLabel(c))
	}
	for i := under; found && i > 0; i-- {
		labels = append(labels, einsumLabel(-i))
	}
	for _, c := range []byte(after) {
		labels = append(labels, einsumLabel(c))
	}
	return labels, !slices.ContainsFunc(labels, func(l einsumLabel) bool {
		return l >= 0 && !(l >= 'a' && l <= 'z' || l >= 'A' && l <= 'Z')
	}) && (!found || under >= 0)
}

// onceLabels lists the letters that occur once, in the order of the alphabet:
// the output where an equation has none.
func onceLabels(count map[einsumLabel]int) string {
	var once []byte
	for l, n := range count {
		if l > 0 && n == 1 {
			once = append(once, byte(l))
		}
	}
	slices.Sort(once)
	return string(once)
}

// einsumStrides returns the steps that loops make through an operand.
func einsumStrides(loops, term []einsumLabel, shape []int) []int {
	st := make([]int, len(loops))
	step := 1
	for j := len(term) - 1; j >= 0; j-- {
		if shape[j] != 1 {
			st[slices.Index(loops, term[j])] += step
		}
		step *= shape[j]
	}
	return st
}

func einsum(c *call) ([]Type, error) {
	dt := c.in[0].DType
	shapes := make([][]int, len(c.in))
	for i, t := range c.in {
		if t.DType != dt || !dt.Float() && !dt.Integer() {
			return nil, fmt.Errorf("input %d is %s, expected numbers of one type", i, typeName(t))
		}
		shapes[i] = t.Shape
	}
	e, err := NewEinsum(c.Node, shapes)
	if err != nil {
		return nil, err
	}
	return one(dt, append([]int{}, e.Out...))
}
