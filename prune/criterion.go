package prune

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/nnz-dev/nnz/graph"
)

// A Criterion says how much each weight of a layer matters.
type Criterion interface {
	// Saliency returns one score for each weight of layer l, in memory order:
	// the smaller its magnitude, the sooner the weight goes. Its sign does not
	// count, so values itself will do. It must not write to values; anything else
	// that it returns is overwritten, and may be [Layer.Scratch].
	//
	// It is called up to three times for a layer in each step of the schedule,
	// and must return the same every time: what takes long, or is random, belongs
	// into Calibrate, or into a hash of a seed.
	Saliency(l Layer, values []float32) ([]float32, error)
}

// A Calibrated criterion looks at what flows through the layers, or at other
// properties of the model, before it scores. [Apply] calls Calibrate once for
// each step of the schedule, with the model as the steps before left it.
type Calibrated interface {
	Criterion
	Calibrate(ctx context.Context, m *graph.Model, layers []Layer) error
}

// A pointwise criterion scores weights one by one, so that where they compete as
// such their layer need not be scored as a whole.
type pointwise interface {
	// score writes the scores of the weights of a layer from an element on.
	score(l Layer, from int, scores []float32)
}

// Magnitude keeps the weights of the largest absolute value. It is the
// criterion of the zero Options.
//
// Source: Han et al., Learning both Weights and Connections for Efficient
// Neural Networks, 2015.
type Magnitude struct{}

func (Magnitude) String() string { return "magnitude" }

// Saliency returns the values.
func (Magnitude) Saliency(_ Layer, values []float32) ([]float32, error) { return values, nil }

// nameOf returns the name of a criterion: what it says of itself, else that of
// its type.
func nameOf(c Criterion) string {
	if s, ok := c.(fmt.Stringer); ok {
		return s.String()
	}
	name := fmt.Sprintf("%T", c)
	return strings.ToLower(name[strings.LastIndexByte(name, '.')+1:])
}

// Random keeps weights by chance, the same for the same Seed and name of the
// weight. Units of several weights have the same chances whatever their size.
type Random struct{ Seed uint64 }

func (Random) String() string { return "random" }

// Saliency returns uniform numbers between 0 and 1.
func (r Random) Saliency(l Layer, _ []float32) ([]float32, error) {
	scores := l.Scratch()
	r.score(l, 0, scores)
	return scores, nil
}

// score makes the numbers from an element on, by SplitMix64, of which any state
// can be had at once.
//
// Source: Steele et al., Fast Splittable Pseudorandom Number Generators, 2014.
func (r Random) score(l Layer, from int, scores []float32) {
	const step = 0x9e3779b97f4a7c15
	state := mix(r.Seed)
	for _, b := range []byte(l.Weight) {
		state = mix(state + step + uint64(b))
	}
	state += step * uint64(from)
	for i := range scores {
		state += step
		scores[i] = float32(mix(state)>>40|1) / (1 << 24)
	}
}

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Scores are given by name of the weight, in its shape. Every layer needs some.
type Scores map[string]*graph.Tensor

func (Scores) String() string { return "scores" }

// Saliency returns the scores of the layer's weight.
func (s Scores) Saliency(l Layer, _ []float32) ([]float32, error) {
	given, err := given(s, "scores", l)
	if err != nil {
		return nil, err
	}
	scores := l.Scratch()
	copy(scores, given)
	return scores, nil
}

// given returns the floating-point tensor for the layer's weight, which must be
// there.
func given(tensors map[string]*graph.Tensor, what string, l Layer) ([]float32, error) {
	t := tensors[l.Weight]
	if t == nil {
		return nil, fmt.Errorf("no %s for it among %d arrays: expected one of its name, of shape %v", what, len(tensors), l.Shape)
	}
	if !sameShape(t.Shape, l.Shape) {
		return nil, fmt.Errorf("%s of shape %v: expected %v", what, t.Shape, l.Shape)
	}
	values := t.Floats()
	if values == nil {
		return nil, fmt.Errorf("%s of type %s: expected floating-point numbers", what, t.DType)
	}
	return values, nil
}

func sameShape(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// Taylor keeps the weights whose removal changes the loss most, to first order:
// by |w·g|, given the gradient of the loss by each weight's name, in its shape.
//
// Source: Molchanov et al., Importance Estimation for Neural Network Pruning,
// 2019: of a unit of weights that is measured by [L2], the root of its (7).
type Taylor struct {
	Gradients map[string]*graph.Tensor
}

func (Taylor) String() string { return "taylor" }

// Saliency returns the products of weights and gradients.
func (t Taylor) Saliency(l Layer, values []float32) ([]float32, error) {
	gradients, err := given(t.Gradients, "gradients", l)
	if err != nil {
		return nil, err
	}
	scores := l.Scratch()
	for i, w := range values {
		scores[i] = w * gradients[i]
	}
	return scores, nil
}

// A workspace is memory that the layers use one after the other, as the largest
// weight of a network may be most of it.
type workspace struct {
	most   int // elements that will be asked for
	buffer []float32
}

func (w *workspace) take(n int) []float32 {
	if cap(w.buffer) < n {
		w.buffer = nil // before there is a second one
		w.buffer = make([]float32, max(n, w.most))
	}
	return w.buffer[:n]
}

// part returns memory for a part of a layer's weights, small enough for a cache.
func (w *workspace) part() []float32 {
	const size = 1 << 14
	w.most = max(w.most, size)
	if w.buffer != nil {
		return w.take(size)
	}
	w.buffer = make([]float32, size)
	return w.buffer
}

// Scratch returns memory for a score of each weight of the layer, of any
// contents. It is the same memory for all layers that take part in a call of
// [Apply], and valid until the next layer is scored.
func (l Layer) Scratch() []float32 {
	if l.work == nil {
		return make([]float32, l.size())
	}
	return l.work.take(l.size())
}

// zerosFirst makes weights that are zero already go before all others, so that
// a sparsity counts them: their scores are 0 and no other is.
func zerosFirst(values, scores []float32) {
	for i, x := range values {
		if x == 0 {
			scores[i] = 0
		} else if scores[i] == 0 {
			scores[i] = math.SmallestNonzeroFloat32
		}
	}
}
