package ops

import (
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/graph"
)

func checkAttention(n *graph.Node, _ int) error {
	if mode := n.Int("qk_matmul_output_mode", 0); mode < 0 || mode > 3 {
		return fmt.Errorf("attribute qk_matmul_output_mode: %d, expected 0 to 3", mode)
	} else if mode == maskedScores && n.Float("softcap", 0) != 0 {
		// Versions differ in whether the mask is added before the cap.
		return fmt.Errorf("attributes qk_matmul_output_mode %d and softcap together", mode)
	}
	return nil
}

// A headAttention is softmax(scale·Q·Kᵀ + mask)·V, head by head. Groups of query
// heads share a head of keys and values.
type headAttention struct {
	graph.AttentionShape
	site       *site
	scale      float32
	softcap    float32
	causal     bool
	scoresMode int // which scores are output 3
	mask       nest
	maskKeys   int // keys that the mask covers
}

// What output 3 holds: the scores as they are at some point.
const (
	rawScores = iota
	maskedScores
	cappedScores
	softmaxScores
)

// buildAttention binds Attention: Q, K, V, an optional mask, past keys and
// values, and the numbers of keys that are not padding.
func buildAttention(s *site) (Compute, error) {
	shape := func(i int) []int {
		if s.has(i) {
			return s.in[i].Shape
		}
		return nil
	}
	a := headAttention{site: s, softcap: s.Float("softcap", 0), causal: s.Int("is_causal", 0) != 0, scoresMode: s.Int("qk_matmul_output_mode", 0)}
	var err error
	if a.AttentionShape, err = graph.NewAttentionShape(s.Node, shape(0), shape(1), shape(2), shape(4), shape(5)); err != nil {
		return nil, err
	}
	for i := range s.in {
		if i != 3 && i != 6 && s.has(i) && !s.in[i].DType.Float() || i == 3 && s.has(3) && !s.in[3].DType.Float() && s.in[3].DType != graph.Bool {
			return nil, fmt.Errorf("input %d has element type %s", i, s.in[i].DType)
		}
	}
	a.scale = s.Float("scale", float32(1/math.Sqrt(float64(a.Size))))
	if s.has(3) {
		m := append([]int(nil), s.in[3].Shape...)
		a.maskKeys = a.Keys
		to := []int{a.Batch, a.Heads, a.Queries, a.Keys}
		if last := len(m) - 1; last >= 0 && m[last] < a.Keys && m[last] != 1 {
			a.maskKeys = m[last]
			to[3] = m[last]
		}
		st, err := broadcastStrides(m, to)
		if err != nil {
			return nil, err
		}
		a.mask = nest{walks: []walk{{outer: st}}}
	}
	buf := newScratch[float32](a.Keys)
	return func(in, out []Tensor) {
		b := buf.get()
		a.run(in, out, b)
		buf.put(b)
	}, nil
}

// row returns the elements of a head's position in input i, of which each has
// size. Positions before past lie in input pastAt.
func (a *headAttention) row(in []Tensor, i, heads, positions, size, at int) []float32 {
	batch, head, pos := at/heads/positions, at/positions%heads, at%positions
	if a.Packed {
		at = (batch*positions+pos)*heads + head
	}
	return in[i].F[at*size : (at+1)*size]
}

// keyRow returns the key, input 1, or the value, input 2, of a position.
func (a *headAttention) keyRow(in []Tensor, i, batch, head, pos int) []float32 {
	size := a.Size
	if i == 2 {
		size = a.ValueSize
	}
	if pos < a.Past {
		at := (batch*a.KVHeads+head)*a.Past + pos
		return in[i+3].F[at*size : (at+1)*size]
	}
	fresh := a.Keys - a.Past
	return a.row(in, i, a.KVHeads, fresh, size, (batch*a.KVHeads+head)*fresh+pos-a.Past)
}

func (a *headAttention) run(in, out []Tensor, scores []float32) {
	a.present(in, out)
	wantScores := len(out) > 3 && out[3].present()
	for i := range a.Batch * a.Heads * a.Queries {
		batch, head, query := i/a.Heads/a.Queries, i/a.Queries%a.Heads, i%a.Queries
		kv := head / (a.Heads / a.KVHeads)
		q := a.row(in, 0, a.Heads, a.Queries, a.Size, i)
		for k := range scores {
			scores[k] = a.scale * a.site.vec.Dot(q, a.keyRow(in, 1, batch, kv, k))
		}
		keep := func(mode int) {
			if wantScores && a.scoresMode == mode {
				copy(out[3].F[i*a.Keys:(i+1)*a.Keys], scores)
			}
		}
		keep(rawScores)
		a.cap(scores)
		a.addMask(in, scores, batch, head, query)
		keep(maskedScores)
		keep(cappedScores)
		a.softmax(scores)
		keep(softmaxScores)
		y := a.row(out, 0, a.Heads, a.Queries, a.ValueSize, i)
		fill(y, 0)
		for k, p := range scores {
			if p != 0 {
				axpy(y, a.keyRow(in, 2, batch, kv, k), p, 1)
			}
		}
	}
}

// cap bends scores so that none exceeds softcap.
func (a *headAttention) cap(scores []float32) {
	if a.softcap == 0 {
		return
	}
	a.site.vec.DivScalar(scores, scores, a.softcap)
	a.site.vec.Tanh(scores, scores)
	a.site.vec.Affine(scores, scores, a.softcap, minusZero)
}

// addMask adds the mask, and makes scores of keys that may not be seen -Inf.
func (a *headAttention) addMask(in []Tensor, scores []float32, batch, head, query int) {
	for k := range scores {
		if a.site.has(3) {
			if k >= a.maskKeys {
				scores[k] = -inf
				continue
			}
			st := a.mask.walks[0].outer
			at := batch*st[0] + head*st[1] + query*st[2] + k*st[3]
			if in[3].F != nil {
				scores[k] += in[3].F[at]
			} else if in[3].I[at] == 0 {
				scores[k] = -inf
			}
		}
		if a.causal && k > query+a.Past || a.site.has(6) && int64(k) >= in[6].I[batch] {
			scores[k] = -inf
		}
	}
}

// softmax of no key that may be seen is zero.
func (a *headAttention) softmax(scores []float32) {
	top := a.site.vec.Max(scores)
	if top == -inf {
		fill(scores, 0)
		return
	}
	a.site.vec.DivScalar(scores, scores, a.site.vec.ExpSum(scores, scores, top))
}

// present writes outputs 1 and 2, all keys and values.
func (a *headAttention) present(in, out []Tensor) {
	for i := 1; i <= 2 && i < len(out); i++ {
		if !out[i].present() {
			continue
		}
		size := out[i].Shape[3]
		for at := range a.Batch * a.KVHeads * a.Keys {
			batch, head, pos := at/a.KVHeads/a.Keys, at/a.Keys%a.KVHeads, at%a.Keys
			copy(out[i].F[at*size:(at+1)*size], a.keyRow(in, i, batch, head, pos))
		}
	}
}
