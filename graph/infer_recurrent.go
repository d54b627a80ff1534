package graph

import (
	"fmt"
	"slices"
)

// A RecurrentShape is the extents of an RNN, GRU or LSTM node.
type RecurrentShape struct {
	Steps, Batch, Inputs, Hidden int
	Directions                   int
	Gates                        int  // 1, 3 or 4
	BatchFirst                   bool // X, Y and states have the batch first
}

// State is the shape of initial and last states.
func (r *RecurrentShape) State() []int {
	if r.BatchFirst {
		return []int{r.Batch, r.Directions, r.Hidden}
	}
	return []int{r.Directions, r.Batch, r.Hidden}
}

// NewRecurrentShape reads the extents of a node from its attributes and the
// shapes of its inputs, nil where one is absent, and checks that they agree.
func NewRecurrentShape(n *Node, in [][]int) (RecurrentShape, error) {
	r := RecurrentShape{Directions: 1, BatchFirst: n.Int("layout", 0) != 0}
	r.Gates = map[string]int{"RNN": 1, "GRU": 3, "LSTM": 4}[n.Op]
	switch d := n.Str("direction", "forward"); d {
	case "forward", "reverse":
	case "bidirectional":
		r.Directions = 2
	default:
		return r, fmt.Errorf("attribute direction: %.80q", d)
	}
	if len(in[0]) != 3 || len(in[2]) != 3 || in[2][2] > maxExtent {
		return r, fmt.Errorf("X %v and R %v, expected three axes", in[0], in[2])
	}
	r.Steps, r.Batch, r.Inputs, r.Hidden = in[0][0], in[0][1], in[0][2], in[2][2]
	if r.BatchFirst {
		r.Steps, r.Batch = r.Batch, r.Steps
	}
	if h := n.Int("hidden_size", r.Hidden); h != r.Hidden {
		return r, fmt.Errorf("attribute hidden_size: %d, R has %d", h, r.Hidden)
	}
	rows := r.Gates * r.Hidden
	bias := 2 * rows // of products with W and with R
	if n.Domain == FusedDomain {
		// X is the products with W, of all directions.
		bias = rows
		if r.Inputs != r.Directions*rows {
			return r, fmt.Errorf("X %v and R %v, expected the products of %d directions", in[0], in[2], r.Directions)
		}
	}
	for i, want := range [][]int{
		1: {r.Directions, rows, r.Inputs}, 2: {r.Directions, rows, r.Hidden}, 3: {r.Directions, bias},
		4: {r.Batch}, 5: r.State(), 6: r.State(), 7: {r.Directions, 3 * r.Hidden},
	} {
		if want != nil && i < len(in) && in[i] != nil && !slices.Equal(in[i], want) {
			return r, fmt.Errorf("input %d has shape %v, expected %v", i, in[i], want)
		}
	}
	return r, nil
}

// recurrent returns all hidden states, the last ones, and those of the cells of
// an LSTM.
func recurrent(c *call) ([]Type, error) {
	in := make([][]int, len(c.in))
	for i, t := range c.in {
		if c.has(i) {
			in[i] = t.Shape
		}
	}
	r, err := NewRecurrentShape(c.Node, in)
	if err != nil {
		return nil, err
	}
	dt := c.in[0].DType
	all := Type{DType: dt, Shape: []int{r.Steps, r.Directions, r.Batch, r.Hidden}}
	if r.BatchFirst {
		all.Shape = []int{r.Batch, r.Steps, r.Directions, r.Hidden}
	}
	last := Type{DType: dt, Shape: r.State()}
	if c.Op != "LSTM" {
		return []Type{all, last}, nil
	}
	return []Type{all, last, last}, nil
}
