package runtime

import (
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/parallel"
	"github.com/nnz-dev/nnz/runtime/ops"
)

// plainOp runs an operator of package ops on row-major tensors.
type plainOp struct {
	compute ops.Compute
	in, out []*value // nil where an optional one is absent
	selects bool
}

// selecting are the operators that read no more of their first input than they
// write, such as rows of a table.
var selecting = map[string]bool{
	"Gather": true, "GatherElements": true, "GatherND": true, "Slice": true, "Split": true, "Compress": true,
}

// moved implements [mover]: it counts constants, too, which are in no buffer.
func (o *plainOp) moved() int {
	read, written := 0, 0
	for _, v := range o.out {
		written += tensorBytes(v)
	}
	for i, v := range o.in {
		if n := tensorBytes(v); i == 0 && o.selects {
			read += min(n, written)
		} else {
			read += n
		}
	}
	return read + written
}

// tensorBytes returns what the elements of a row-major value take, 0 for nil.
func tensorBytes(v *value) int {
	switch {
	case v == nil:
		return 0
	case v.typ.DType.Float():
		return 4 * elements(v.typ.Shape)
	}
	return 8 * elements(v.typ.Shape)
}

func (o *plainOp) bind(s *Session) runner {
	r := &plainRunner{compute: o.compute}
	for _, v := range o.in {
		r.in = append(r.in, s.tensor(v))
	}
	for _, v := range o.out {
		r.out = append(r.out, s.tensor(v))
	}
	return r
}

type plainRunner struct {
	compute ops.Compute
	in, out []Tensor
}

func (r *plainRunner) run(*parallel.Pool) { r.compute(r.in, r.out) }

// lowerPlain appends a step that runs the node on row-major tensors.
func (c *compiler) lowerPlain(n *graph.Node) error {
	op := &plainOp{selects: selecting[n.Op]}
	var in, out []Tensor
	var reads, writes []*buffer
	op.in, in, reads = c.plainInputs(n)
	op.out, out, writes = c.plainOutputs(n)
	opset := c.g.Opset[n.Domain]
	if n.Domain == graph.FusedDomain {
		opset = c.g.Opset[""]
	}
	compute, err := ops.Build(n, opset, in, out, c.k)
	if err != nil {
		return err
	}
	op.compute = compute
	c.step(LayerReport{Name: label(n), Op: n.Op, Why: "row-major operator"}, op, append(reads, writes...)...)
	return nil
}

// plainInputs makes sure that the inputs of a node can be read in row-major
// order: those that are absent are nil, those that are constants have their
// elements.
func (c *compiler) plainInputs(n *graph.Node) (values []*value, in []Tensor, touched []*buffer) {
	for _, name := range n.Inputs {
		if name == "" {
			values, in = append(values, nil), append(in, Tensor{})
			continue
		}
		v := c.values[name]
		t := Tensor{DType: v.typ.DType, Shape: v.typ.Shape}
		if v.typ.Const != nil {
			t = c.constant(v)
		} else {
			touched = append(touched, c.plainOf(v))
		}
		values, in = append(values, v), append(in, t)
	}
	return values, in, touched
}

// plainOutputs makes the row-major homes of a node's outputs, nil for one that
// is absent.
func (c *compiler) plainOutputs(n *graph.Node) (values []*value, out []Tensor, touched []*buffer) {
	for _, name := range n.Outputs {
		if name == "" {
			values, out = append(values, nil), append(out, Tensor{})
			continue
		}
		v := c.values[name]
		touched = append(touched, c.newPlain(v))
		values, out = append(values, v), append(out, Tensor{DType: v.typ.DType, Shape: v.typ.Shape})
	}
	return values, out, touched
}

// lowerView makes the output another view of the input's row-major memory,
// where that can be done without a copy.
func (c *compiler) lowerView(n *graph.Node) bool {
	in, out := c.values[n.Inputs[0]], c.values[n.Outputs[0]]
	if in.typ.Const != nil || in.kept && out.kept || out.typ.DType != in.typ.DType {
		return false
	}
	c.newPlain(out).within(c.plainOf(in), 0)
	return true
}
