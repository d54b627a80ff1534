package graph

import (
	"fmt"
	"slices"
)

// layerNormalization is the rule of normalisations over the axes from one on:
// the statistics, which are further outputs, have extent 1 there.
func layerNormalization(c *call) ([]Type, error) {
	x := c.in[0].Shape
	a, err := axis(c.Int("axis", -1), len(x))
	if err != nil {
		return nil, err
	}
	for i := 1; i < len(c.in); i++ {
		if !c.has(i) {
			continue
		}
		if err := stretches(c.in[i].Shape, x); err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
	}
	stats := Type{DType: Float32, Shape: slices.Concat(x[:a], slices.Repeat([]int{1}, len(x)-a))}
	out := []Type{{DType: c.in[0].DType, Shape: x}, stats, stats}
	switch c.Op {
	case "RMSNormalization":
		out = out[:1]
	case "SimplifiedLayerNormalization": // has no mean
		out = out[:2]
	}
	return out, nil
}

// channelNormalization is the rule of InstanceNormalization and
// GroupNormalization: scale and bias are lists of channels, of groups in
// version 18 of the latter.
func channelNormalization(c *call) ([]Type, error) {
	x := c.in[0].Shape
	if len(x) < 2 {
		return nil, fmt.Errorf("an input of %v, expected batch, channels and images", x)
	}
	count := x[1]
	if c.Op == "GroupNormalization" {
		groups := c.Int("num_groups", 0)
		if groups < 1 || x[1]%groups != 0 {
			return nil, fmt.Errorf("attribute num_groups: %d for %d channels", groups, x[1])
		}
		if c.opset < 21 {
			count = groups
		}
	}
	for i := 1; i < 3; i++ {
		if got := c.in[i].Shape; !slices.Equal(got, []int{count}) {
			return nil, fmt.Errorf("input %d has shape %v, expected [%d]", i, got, count)
		}
	}
	return sameType(c)
}

// meanVariance normalises over the axes that attribute axes lists.
func meanVariance(c *call) ([]Type, error) {
	if _, err := axisSet(MeanVarianceAxes(c.Node), len(c.in[0].Shape)); err != nil {
		return nil, err
	}
	return sameType(c)
}

// alongAxis is the rule of operators that keep the type and work along
// attribute axis, by default the last.
func alongAxis(c *call) ([]Type, error) {
	if _, err := axis(c.Int("axis", -1), len(c.in[0].Shape)); err != nil {
		return nil, err
	}
	return sameType(c)
}

// MeanVarianceAxes returns the axes of a MeanVarianceNormalization node.
func MeanVarianceAxes(n *Node) []int {
	if n.Has("axes") {
		return n.Ints("axes")
	}
	return []int{0, 2, 3}
}

// det is a number for each of a stack of square matrices.
func det(c *call) ([]Type, error) {
	x := c.in[0].Shape
	if err := c.checkReal(); err != nil {
		return nil, err
	}
	last := len(x) - 1
	if last < 1 || x[last] != x[last-1] {
		return nil, fmt.Errorf("an input of %v, expected square matrices", x)
	}
	return one(c.in[0].DType, x[:last-1])
}
