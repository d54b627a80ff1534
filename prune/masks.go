package prune

import (
	"fmt"
	"maps"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// Masks say by name of a weight, in its shape, which of its elements stay: 1 or
// true for those, 0 or false for those that go.
type Masks map[string]*graph.Tensor

// Options returns options that apply the masks: to the layers that have one,
// nothing is taken of the others.
func (m Masks) Options() Options {
	return Options{Criterion: maskCriterion(m), Scope: Threshold{Value: 0.5}}
}

// Check reports masks that fit no layer of a model that can be pruned, or hold
// something else.
func (m Masks) Check(model *graph.Model) error {
	layers := make(map[string]Layer)
	for _, l := range Layers(model) {
		layers[l.Weight] = l
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		l, ok := layers[name]
		if !ok {
			return fmt.Errorf("a mask of %q, which is none of the %d weights of the model that can be pruned", name, len(layers))
		}
		if err := checkMask(m[name], l); err != nil {
			return fmt.Errorf("mask of %q: %w", name, err)
		}
	}
	return nil
}

func checkMask(t *graph.Tensor, l Layer) error {
	if !sameShape(t.Shape, l.Shape) {
		return fmt.Errorf("shape %v, expected %v of the weight", t.Shape, l.Shape)
	}
	_, err := kept(t, func(int, bool) {})
	return err
}

// kept visits the elements of a mask and returns how many stay.
func kept(t *graph.Tensor, visit func(i int, stays bool)) (int, error) {
	n := 0
	element := func(i int, x float64) error {
		if x != 0 && x != 1 {
			return fmt.Errorf("element %d is %g, expected 0 or 1", i, x)
		}
		if x == 1 {
			n++
		}
		visit(i, x == 1)
		return nil
	}
	switch {
	case t.DType.Bits() == 8 && t.DType.Integer(): // may be as many as a network has weights
		for i, b := range t.Raw() {
			if err := element(i, float64(int8(b))); err != nil {
				return 0, err
			}
		}
	case t.DType.Integer():
		for i, x := range t.Ints() {
			if err := element(i, float64(x)); err != nil {
				return 0, err
			}
		}
	default:
		values := t.Floats()
		if values == nil {
			return 0, fmt.Errorf("elements of type %s, expected 0 and 1", t.DType)
		}
		for i, x := range values {
			if err := element(i, float64(x)); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// MasksOf returns which elements of the weights that can be pruned are not zero,
// as masks of type bool.
func MasksOf(m *graph.Model) Masks {
	masks := make(Masks)
	for _, l := range Layers(m) {
		values := m.Weights[l.Weight].Floats()
		bits := make([]byte, len(values))
		for i, x := range values {
			if x != 0 {
				bits[i] = 1
			}
		}
		t, err := graph.NewTensor(graph.Bool, l.Shape, bits)
		if err != nil {
			panic("prune: " + err.Error()) // a byte for each element of the shape
		}
		masks[l.Weight] = t
	}
	return masks
}

// maskCriterion scores weights by their masks.
type maskCriterion Masks

func (maskCriterion) String() string { return "masks" }

func (m maskCriterion) Saliency(l Layer, _ []float32) ([]float32, error) {
	scores := l.Scratch()
	t := m[l.Weight]
	if t == nil {
		for i := range scores {
			scores[i] = 1
		}
		return scores, nil
	}
	if !sameShape(t.Shape, l.Shape) {
		return nil, fmt.Errorf("a mask of shape %v, expected %v", t.Shape, l.Shape)
	}
	_, err := kept(t, func(i int, stays bool) {
		scores[i] = 0
		if stays {
			scores[i] = 1
		}
	})
	return scores, err
}
