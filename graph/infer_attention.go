package graph

import (
	"fmt"
	"slices"
)

// An AttentionShape is the extents of an Attention node.
type AttentionShape struct {
	Batch           int
	Heads, KVHeads  int // of queries; of keys and values
	Queries, Keys   int // positions; Keys includes the past
	Past            int
	Size, ValueSize int  // of a head
	Packed          bool // inputs and output are [batch, positions, heads * size], else heads come second
}

// NewAttentionShape reads the extents of an Attention node from its attributes
// and the shapes of Q, K, V and, where there is one, the past K and V, which
// otherwise are nil. It checks that they agree.
func NewAttentionShape(n *Node, q, k, v, pastK, pastV []int) (AttentionShape, error) {
	a := AttentionShape{Packed: len(q) == 3}
	fail := func() (AttentionShape, error) {
		return a, fmt.Errorf("Q %v, K %v, V %v, past K %v and past V %v do not agree", q, k, v, pastK, pastV)
	}
	if len(q) != len(k) || len(q) != len(v) || len(q) != 3 && len(q) != 4 {
		return fail()
	}
	if a.Packed {
		heads, kvHeads := n.Int("q_num_heads", 0), n.Int("kv_num_heads", 0)
		if heads < 1 || kvHeads < 1 || q[2]%heads != 0 || k[2]%kvHeads != 0 || v[2]%kvHeads != 0 {
			return a, fmt.Errorf("attributes q_num_heads %d and kv_num_heads %d for Q %v, K %v and V %v", heads, kvHeads, q, k, v)
		}
		q = []int{q[0], heads, q[1], q[2] / heads}
		k = []int{k[0], kvHeads, k[1], k[2] / kvHeads}
		v = []int{v[0], kvHeads, v[1], v[2] / kvHeads}
	}
	if q[0] != k[0] || !slices.Equal(k[:3], v[:3]) || q[3] != k[3] || k[1] == 0 || q[1]%k[1] != 0 {
		return fail()
	}
	a.Batch, a.Heads, a.KVHeads, a.Queries, a.Keys = q[0], q[1], k[1], q[2], k[2]
	a.Size, a.ValueSize = q[3], v[3]
	if (pastK == nil) != (pastV == nil) {
		return fail()
	}
	if pastK != nil {
		if len(pastK) != 4 || !slices.Equal(pastK, []int{a.Batch, a.KVHeads, pastK[2], a.Size}) ||
			!slices.Equal(pastV, []int{a.Batch, a.KVHeads, pastK[2], a.ValueSize}) || pastK[2] > maxExtent || a.Keys > maxExtent {
			return fail()
		}
		a.Past = pastK[2]
		a.Keys += a.Past
	}
	return a, nil
}

// attention returns the output, present keys and values, and the scores.
func attention(c *call) ([]Type, error) {
	shape := func(i int) []int {
		if c.has(i) {
			return c.in[i].Shape
		}
		return nil
	}
	a, err := NewAttentionShape(c.Node, shape(0), shape(1), shape(2), shape(4), shape(5))
	if err != nil {
		return nil, err
	}
	if c.has(3) {
		if err := c.checkMask(c.in[3].Shape, &a); err != nil {
			return nil, err
		}
	}
	if c.has(6) && !slices.Equal(c.in[6].Shape, []int{a.Batch}) {
		return nil, fmt.Errorf("nonpad_kv_seqlen has shape %v, expected [%d]", c.in[6].Shape, a.Batch)
	}
	y := []int{a.Batch, a.Heads, a.Queries, a.ValueSize}
	if a.Packed {
		wide, err := Elements([]int{a.Heads, a.ValueSize})
		if err != nil {
			return nil, err
		}
		y = []int{a.Batch, a.Queries, wide}
	}
	dt := c.in[0].DType
	return []Type{
		{DType: dt, Shape: y},
		{DType: c.in[1].DType, Shape: []int{a.Batch, a.KVHeads, a.Keys, a.Size}},
		{DType: c.in[2].DType, Shape: []int{a.Batch, a.KVHeads, a.Keys, a.ValueSize}},
		{DType: dt, Shape: []int{a.Batch, a.Heads, a.Queries, a.Keys}},
	}, nil
}

// checkMask checks that a mask broadcasts to the scores. From version 24 on it
// may cover fewer keys than there are; the rest is masked.
func (c *call) checkMask(mask []int, a *AttentionShape) error {
	mask = slices.Clone(mask)
	if last := len(mask) - 1; last >= 0 && c.opset >= 24 && mask[last] < a.Keys {
		mask[last] = a.Keys
	}
	if err := stretches(mask, []int{a.Batch, a.Heads, a.Queries, a.Keys}); err != nil {
		return fmt.Errorf("mask: %w", err)
	}
	return nil
}
