package ops

import (
	"errors"
	"fmt"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/vec"
)

// Run computes a node from tensors that all carry their elements, and makes
// its outputs, whose shapes may depend on those elements. Outputs that would
// take more than limit bytes together are an error.
func Run(n *graph.Node, opset int, in []Tensor, k *vec.Kernels, limit int64) ([]Tensor, error) {
	s := &site{Node: n, opset: opset, in: in, vec: k, limit: limit}
	op, err := lookup(n, opset)
	if err != nil {
		return nil, s.wrap(err)
	}
	if op.eval != nil {
		s.out = make([]Tensor, len(n.Outputs))
		if err := s.validateInputs(op); err != nil {
			return nil, s.wrap(err)
		}
		out, err := op.eval(s)
		if err == nil && len(out) < len(n.Outputs) {
			err = fmt.Errorf("%d outputs, expected at most %d", len(n.Outputs), len(out))
		}
		if err == nil {
			_, err = fits(out, limit)
		}
		if err != nil {
			return nil, s.wrap(err)
		}
		return out[:len(n.Outputs)], nil
	}
	types := make([]graph.Type, len(in))
	for i := range in {
		if types[i], err = constantType(&in[i]); err != nil {
			return nil, s.wrap(err)
		}
	}
	inferred, err := graph.InferNode(n, opset, types)
	if err != nil {
		return nil, s.wrap(err)
	}
	out := make([]Tensor, len(n.Outputs))
	for i, name := range n.Outputs {
		if name != "" {
			out[i] = Tensor{DType: inferred[i].DType, Shape: inferred[i].Shape}
		}
	}
	if _, err := fits(out, limit); err != nil {
		return nil, s.wrap(err)
	}
	for i := range out {
		if out[i].present() {
			out[i] = Zeros(out[i].DType, out[i].Shape)
		}
	}
	run, err := Build(n, opset, in, out, k)
	if err != nil {
		return nil, err
	}
	run(in, out)
	return out, nil
}

// constantType returns the type of a tensor for shape inference, with its
// elements where they may decide a shape: single numbers and lists.
func constantType(t *Tensor) (graph.Type, error) {
	typ := graph.Type{DType: t.DType, Shape: t.Shape}
	if !t.present() || len(t.Shape) > 1 && t.Len() != 1 {
		return typ, nil
	}
	var err error
	typ.Const, err = Store(t)
	return typ, err
}

// Bytes returns the memory that a tensor's elements take here: a real one four
// bytes, any other eight.
func (t *Tensor) Bytes() int64 {
	if t.DType.Float() {
		return 4 * int64(t.Len())
	}
	return 8 * int64(t.Len())
}

// ErrLimit is that outputs would take more memory than they may.
var ErrLimit = errors.New("more than the limit")

// fits adds up what tensors take, which must be no more than limit.
func fits(list []Tensor, limit int64) (int64, error) {
	total := int64(0)
	for i := range list {
		t := &list[i]
		if !t.present() {
			continue
		}
		if _, err := graph.Elements(t.Shape); err != nil {
			return 0, err
		}
		bytes := t.Bytes()
		if bytes > limit-total {
			return 0, fmt.Errorf("output %d of shape %v takes %d bytes, %w of %d", i, t.Shape, bytes, ErrLimit, limit)
		}
		total += bytes
	}
	return total, nil
}
