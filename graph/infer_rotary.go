package graph

import (
	"fmt"
	"slices"
)

// A RotaryShape is the extents of a RotaryEmbedding node.
type RotaryShape struct {
	Batch, Heads, Positions int
	Size                    int  // of a head
	Rotated                 int  // leading elements of a head that are rotated, an even number
	Packed                  bool // the input is [batch, positions, heads * size], else heads come second
}

// NewRotaryShape reads the extents of a RotaryEmbedding node from its
// attributes and the shape of its input, and checks that they agree.
func NewRotaryShape(n *Node, x []int) (RotaryShape, error) {
	heads := n.Int("num_heads", 0)
	var r RotaryShape
	switch {
	case len(x) == 4:
		r = RotaryShape{Batch: x[0], Heads: x[1], Positions: x[2], Size: x[3]}
	case len(x) == 3 && heads > 0 && x[2]%heads == 0:
		r = RotaryShape{Batch: x[0], Heads: heads, Positions: x[1], Size: x[2] / heads, Packed: true}
	default:
		return r, fmt.Errorf("an input of %v with num_heads %d, expected batch, heads, positions and elements", x, heads)
	}
	r.Rotated = n.Int("rotary_embedding_dim", 0)
	if r.Rotated == 0 {
		r.Rotated = r.Size
	}
	if r.Rotated < 0 || r.Rotated > r.Size || r.Rotated%2 != 0 {
		return r, fmt.Errorf("%d of %d elements are rotated, expected an even number", r.Rotated, r.Size)
	}
	return r, nil
}

// rotaryEmbedding keeps the type. Cosines and sines are those of positions that
// a further input lists, else of every position of the batch.
func rotaryEmbedding(c *call) ([]Type, error) {
	r, err := NewRotaryShape(c.Node, c.in[0].Shape)
	if err != nil {
		return nil, err
	}
	if err := c.checkReal(1, 2); err != nil {
		return nil, err
	}
	cos, sin := c.in[1].Shape, c.in[2].Shape
	want := []int{r.Batch, r.Positions, r.Rotated / 2}
	if c.has(3) {
		if ids := c.in[3]; ids.DType != Int64 || !slices.Equal(ids.Shape, want[:2]) {
			return nil, fmt.Errorf("the positions are %s %v, expected int64 %v", ids.DType, ids.Shape, want[:2])
		}
		if len(cos) != 2 {
			return nil, fmt.Errorf("cosines of %v, expected positions and half of the %d elements", cos, r.Rotated)
		}
		want = []int{cos[0], r.Rotated / 2}
	}
	if !slices.Equal(cos, want) || !slices.Equal(sin, want) {
		return nil, fmt.Errorf("cosines of %v and sines of %v, expected %v", cos, sin, want)
	}
	return sameType(c)
}
