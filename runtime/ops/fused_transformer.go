package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// lastAxis checks that X is [..., K] and that inputs 1 to n, where they are
// there, are [K], and returns the rows of X and K.
func (s *site) lastAxis(n int) (rows, k int, err error) {
	if err := s.wantFloat(0); err != nil {
		return 0, 0, err
	}
	x := s.in[0].Shape
	if len(x) == 0 {
		return 0, 0, fmt.Errorf("X is a scalar, expected [..., K]")
	}
	k = x[len(x)-1]
	for i := 1; i <= n; i++ {
		if s.has(i) && !slices.Equal(s.in[i].Shape, []int{k}) {
			return 0, 0, fmt.Errorf("input %d has shape %v, expected [%d]", i, s.in[i].Shape, k)
		}
	}
	return product(x[:len(x)-1]), k, s.wantOut(0, x)
}

// buildFusedLayerNorm binds nnz.LayerNorm: each row of X [..., K] less its mean
// and over its standard deviation, times scale [K] plus bias [K] where those
// are there.
func buildFusedLayerNorm(s *site) (Compute, error) { return s.rowNorm(true) }

// buildFusedRMSNorm binds nnz.RMSNorm: each row of X [..., K] over the root of
// its mean square, times scale [K] where that is there.
func buildFusedRMSNorm(s *site) (Compute, error) { return s.rowNorm(false) }

func (s *site) rowNorm(centre bool) (Compute, error) {
	rows, k, err := s.lastAxis(2)
	if err != nil {
		return nil, err
	}
	eps := s.Float("epsilon", 1e-5)
	return func(in, out []Tensor) {
		scale, bias := s.floats(in, 1), s.floats(in, 2)
		for r := range rows {
			x, y := in[0].F[r*k:(r+1)*k], out[0].F[r*k:(r+1)*k]
			if centre {
				s.vec.LayerNorm(y, x, scale, bias, eps)
			} else {
				s.vec.RMSNorm(y, x, scale, eps)
			}
		}
	}, nil
}

// floats returns the elements of an input, nil where it is absent.
func (s *site) floats(in []Tensor, i int) []float32 {
	if !s.has(i) {
		return nil
	}
	return in[i].F
}

// buildFusedRotary binds nnz.Rotary: pairs of features of X [..., D], of its two
// halves or neighbours, turn by the angles whose cosines and sines the tables
// hold. Those broadcast to X, or to [..., D/2] with an element for each pair.
func buildFusedRotary(s *site) (Compute, error) {
	rows, depth, err := s.lastAxis(0)
	if err != nil {
		return nil, err
	}
	if depth%2 != 0 {
		return nil, fmt.Errorf("X has %d features, expected pairs", depth)
	}
	half := depth / 2
	paired := func(table *Tensor) bool { return len(table.Shape) > 0 && table.Shape[len(table.Shape)-1] == half }
	full := s.in[0].Shape
	var strides [2][]int
	for i := range strides {
		table, to := &s.in[1+i], slices.Clone(full)
		if paired(table) {
			to[len(to)-1] = half
		}
		if strides[i], err = broadcastStrides(table.Shape, to); err != nil {
			return nil, fmt.Errorf("input %d: %w", 1+i, err)
		}
	}
	// The loops run over the rows; along one, tables are walked by hand.
	last := len(full) - 1
	loops := newNest(append(slices.Clone(full[:last]), 1), append(slices.Clone(strides[0][:last]), 0), append(slices.Clone(strides[1][:last]), 0))
	apart, pair := half, 1 // of a pair's features, and of two pairs
	if s.Int("interleaved", 0) != 0 {
		apart, pair = 1, 2
	}
	// Steps of the tables from one pair to the next, and within a pair.
	var step, within [2]int
	for i := range strides {
		if step[i] = strides[i][last]; !paired(&s.in[1+i]) {
			within[i] = step[i] * apart
			step[i] *= pair
		}
	}
	return func(in, out []Tensor) {
		cos, sin := in[1].F, in[2].F
		for r := range rows {
			c, d := loops.at(0, r/loops.n)+r%loops.n*loops.walks[0].step, loops.at(1, r/loops.n)+r%loops.n*loops.walks[1].step
			x, y := in[0].F[r*depth:(r+1)*depth], out[0].F[r*depth:(r+1)*depth]
			for i := range half {
				j, k := i*pair, i*pair+apart
				a, b := x[j], x[k]
				y[j] = a*cos[c] - b*sin[d]
				y[k] = b*cos[c+within[0]] + a*sin[d+within[1]]
				c += step[0]
				d += step[1]
			}
		}
	}, nil
}

// siluRow is x times the sigmoid of alpha times x.
func siluRow(s *site) func(dst, x []float32) {
	alpha := s.Float("alpha", 1)
	return func(dst, x []float32) {
		s.vec.Affine(dst, x, alpha, 0)
		s.vec.Sigmoid(dst, dst)
		s.vec.Mul(dst, dst, x)
	}
}

// A FusedAttention is the extents of nnz.Attention: batch x queries x heads, keys,
// heads of K and V, and the features of one head of Q and K, and of V. Rows of
// Q, K and V are so many elements apart, and K and V may start inside Q.
type FusedAttention struct {
	Batch, Queries, Keys          int
	Heads, KVHeads                int
	Depth, Width                  int
	QRow, KRow, VRow              int
	KStart, VStart                int
	Scale                         float32
	Causal                        bool
	MaskB, MaskH, MaskQ, MaskStep int // strides of the mask
}

// buildFusedAttention binds nnz.Attention, softmax(scale·Q·Kᵀ + mask)·V by
// heads, as package pass defines it.
func buildFusedAttention(s *site) (Compute, error) {
	a, err := s.fusedAttention()
	if err != nil {
		return nil, err
	}
	merged, masked := !s.has(1), s.has(3)
	blocks := newScratch[float32](attentionBlock)
	return func(in, out []Tensor) {
		scores := blocks.get()
		defer blocks.put(scores)
		k, v := in[0].F, in[0].F
		if !merged {
			k, v = in[1].F, in[2].F
		}
		var mask []float32
		for b := range a.Batch {
			for t := range a.Queries {
				for h := range a.Heads {
					if masked {
						mask = in[3].F[b*a.MaskB+h*a.MaskH+t*a.MaskQ:]
					}
					row, group := (b*a.Queries+t)*a.Heads+h, h*a.KVHeads/a.Heads
					a.row(s, out[0].F[row*a.Width:(row+1)*a.Width],
						in[0].F[(b*a.Queries+t)*a.QRow+h*a.Depth:][:a.Depth],
						k[a.KStart+b*a.Keys*a.KRow+group*a.Depth:],
						v[a.VStart+b*a.Keys*a.VRow+group*a.Width:],
						mask, scores, a.visible(t))
				}
			}
		}
	}, nil
}

// visible returns how many keys query t sees.
func (a *FusedAttention) visible(t int) int {
	if a.Causal {
		return min(t+1, a.Keys)
	}
	return a.Keys
}

// attentionBlock is how many scores are computed at a time.
const attentionBlock = 64

// row computes the output of one query and one head over the first n keys;
// scores has room for a block's. The softmax runs along: where a block of keys
// has a larger score than all before, what has been summed is scaled down.
//
// Source: Milakov and Gimelshein, Online normalizer calculation for softmax,
// 2018.
func (a *FusedAttention) row(s *site, y, q, k, v, mask, scores []float32, n int) {
	fill(y, 0)
	top, sum := -inf, float32(0)
	for first := 0; first < n; first += attentionBlock {
		w := scores[:min(attentionBlock, n-first)]
		for i := range w {
			w[i] = a.Scale * s.vec.Dot(q, k[(first+i)*a.KRow:][:a.Depth])
			if mask != nil {
				w[i] += mask[(first+i)*a.MaskStep]
			}
		}
		high := max(top, s.vec.Max(w))
		if high != top {
			f := float32(math.Exp(float64(top - high)))
			sum *= f
			s.vec.Affine(y, y, f, 0)
			top = high
		}
		sum += s.vec.ExpSum(w, w, top)
		for i, p := range w {
			axpy(y, v[(first+i)*a.VRow:], p, 1)
		}
	}
	s.vec.DivScalar(y, y, sum)
}

// NewFusedAttention reads the extents of a node whose output has shape out, and
// checks that inputs and output agree.
func NewFusedAttention(n *graph.Node, in []Tensor, out []int) (*FusedAttention, error) {
	s := &site{Node: n, in: in, out: []Tensor{{DType: in[0].DType, Shape: out}}}
	return s.fusedAttention()
}

func (s *site) fusedAttention() (*FusedAttention, error) {
	if err := s.wantFloat(0); err != nil {
		return nil, err
	}
	a := &FusedAttention{Scale: s.Float("scale", 1), Causal: s.Int("causal", 0) != 0, Heads: s.Int("heads", 1)}
	a.KVHeads = s.Int("kv_heads", a.Heads)
	if a.Heads < 1 || a.KVHeads < 1 || a.Heads%a.KVHeads != 0 {
		return nil, fmt.Errorf("attributes heads %d and kv_heads %d, expected a multiple of the second", a.Heads, a.KVHeads)
	}
	q := s.in[0].Shape
	if len(q) != 3 {
		return nil, fmt.Errorf("Q %v, expected [batch, tokens, features]", q)
	}
	a.Batch, a.Queries, a.Keys = q[0], q[1], q[1]
	a.QRow, a.KRow, a.VRow = q[2], q[2], q[2]
	if s.has(1) != s.has(2) {
		return nil, fmt.Errorf("one of K and V is absent")
	}
	if s.has(1) {
		k, v := s.in[1].Shape, s.in[2].Shape
		if len(k) != 3 || len(v) != 3 || k[0] != q[0] || v[0] != q[0] || k[1] != v[1] {
			return nil, fmt.Errorf("Q %v, K %v and V %v do not go together", q, k, v)
		}
		a.Keys, a.KRow, a.VRow = k[1], k[2], v[2]
		a.Depth, a.Width = q[2]/a.Heads, v[2]/a.KVHeads
		if a.Depth*a.Heads != q[2] || a.Depth*a.KVHeads != k[2] || a.Width*a.KVHeads != v[2] {
			return nil, fmt.Errorf("Q %v, K %v and V %v are not of %d and %d heads", q, k, v, a.Heads, a.KVHeads)
		}
	} else {
		parts := a.Heads + 2*a.KVHeads
		if q[2]%parts != 0 {
			return nil, fmt.Errorf("Q, K and V in one %v are not of %d and %d heads", q, a.Heads, a.KVHeads)
		}
		a.Depth = q[2] / parts
		a.Width = a.Depth
		a.KStart = a.Heads * a.Depth
		a.VStart = a.KStart + a.KVHeads*a.Depth
	}
	if a.Keys == 0 {
		return nil, fmt.Errorf("no keys")
	}
	if s.has(3) {
		st, err := broadcastStrides(s.in[3].Shape, []int{a.Batch, a.Heads, a.Queries, a.Keys})
		if err != nil {
			return nil, fmt.Errorf("mask: %w", err)
		}
		a.MaskB, a.MaskH, a.MaskQ, a.MaskStep = st[0], st[1], st[2], st[3]
	}
	return a, s.wantOut(0, []int{a.Batch, a.Queries, a.Heads * a.Width})
}
