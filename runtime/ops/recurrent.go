package ops

import (
	"fmt"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/vec"
)

func checkRecurrent(n *graph.Node, _ int) error {
	_, err := activations(n)
	return err
}

// An activation maps the elements of x to dst, which may be the same.
type activation func(k *vec.Kernels, dst, x []float32)

// activations returns the functions of a recurrent node, in the order of its
// attribute: one a gate and direction.
func activations(n *graph.Node) ([]activation, error) {
	per := map[string][]string{"RNN": {"Tanh"}, "GRU": {"Sigmoid", "Tanh"}, "LSTM": {"Sigmoid", "Tanh", "Tanh"}}[n.Op]
	count := len(per)
	directions := 1
	if n.Str("direction", "forward") == "bidirectional" {
		directions = 2
	}
	names := per
	if directions == 2 {
		names = append(append([]string(nil), per...), per...)
	}
	if a := n.Attrs["activations"]; a != nil {
		if names = a.Strings; len(names) != count*directions {
			return nil, fmt.Errorf("attribute activations: %q, expected %d", names, count*directions)
		}
	}
	if n.Has("activation_alpha") || n.Has("activation_beta") {
		for _, name := range names {
			if _, plain := plainActivations[name]; !plain {
				return nil, fmt.Errorf("attributes activation_alpha and activation_beta of %q", name)
			}
		}
	}
	list := make([]activation, len(names))
	for i, name := range names {
		f, ok := plainActivations[name]
		if !ok {
			return nil, fmt.Errorf("attribute activations: %q is not supported", name)
		}
		list[i] = f
	}
	return list, nil
}

// plainActivations are the functions without parameters.
var plainActivations = map[string]activation{
	"Tanh":     func(k *vec.Kernels, dst, x []float32) { k.Tanh(dst, x) },
	"Sigmoid":  func(k *vec.Kernels, dst, x []float32) { k.Sigmoid(dst, x) },
	"Relu":     func(k *vec.Kernels, dst, x []float32) { k.Clamp(dst, x, 0, inf) },
	"Softsign": eachActivation(softsign),
	"Softplus": eachActivation(softplus),
}

func eachActivation(f func(float64) float64) activation {
	return func(_ *vec.Kernels, dst, x []float32) {
		for i, v := range x[:len(dst)] {
			dst[i] = float32(f(float64(v)))
		}
	}
}

// A Recurrence is an RNN, GRU or LSTM, whose gates are computed by the
// operator's formulas, https://onnx.ai/onnx/operators/onnx__LSTM.html and its
// like. The fused operators have no input W: their X is the products with it.
// It is immutable.
type Recurrence struct {
	graph.RecurrentShape
	vec       *vec.Kernels
	acts      []activation
	clip      float32 // negative for none
	reverse   bool
	linear    bool    // GRU: the reset gate is applied behind the product
	coupled   bool    // LSTM: the forget gate is one less the input gate
	projected bool    // X is the products with W
	lengths   bool    // input 4 is there
	start     [2]bool // inputs 5 and 6 are
	products  []Product
}

// NewRecurrence binds an RNN, GRU or LSTM: X, W, R, B, the lengths of
// sequences, initial states of hidden layer and cell, and peepholes. Of the
// fused operators W is absent and B is that of the products with R.
func NewRecurrence(n *graph.Node, in []Tensor, k *vec.Kernels) (*Recurrence, error) {
	has := func(i int) bool { return i < len(in) && in[i].present() }
	shapes := make([][]int, len(in))
	for i := range in {
		if !has(i) {
			continue
		}
		shapes[i] = in[i].Shape
		if i != 4 && !in[i].DType.Float() || i == 4 && in[i].DType != graph.Int32 {
			return nil, fmt.Errorf("input %d has element type %s", i, in[i].DType)
		}
	}
	if !has(0) || !has(2) {
		return nil, fmt.Errorf("X or R is absent")
	}
	shape, err := graph.NewRecurrentShape(n, shapes)
	if err != nil {
		return nil, err
	}
	r := &Recurrence{
		RecurrentShape: shape, vec: k, clip: -1, reverse: n.Str("direction", "") == "reverse",
		linear: n.Int("linear_before_reset", 0) != 0, coupled: n.Int("input_forget", 0) != 0,
		projected: n.Domain == graph.FusedDomain, lengths: has(4), start: [2]bool{has(5), has(6)},
	}
	if r.projected == has(1) {
		return nil, fmt.Errorf("W is there or absent, expected the opposite of operator %s", n.Op)
	}
	if n.Has("clip") {
		r.clip = n.Float("clip", 0)
	}
	r.products = []Product{{0, r.Gates * r.Hidden}}
	if n := r.Hidden; r.Gates == 3 && !r.linear {
		r.products = []Product{{0, 2 * n}, {2 * n, n}}
	}
	r.acts, err = activations(n)
	return r, err
}

// A Product is rows of R that multiply the same: [Rows, Hidden], from row From
// of a direction on.
type Product struct{ From, Rows int }

// Products returns what is multiplied with R in a step, one after the other:
// the reset gate of a GRU stands between two.
func (r *Recurrence) Products() []Product { return r.products }

// Scratch returns how many elements Run needs for itself.
func (r *Recurrence) Scratch() int {
	rows := r.Gates * r.Hidden
	return r.Batch*(3*r.Hidden+rows) + rows
}

// A Multiply computes product i of a direction: y [Batch, Rows] is R·x plus the
// bias of R for each row of x [Batch, Hidden].
type Multiply func(i int, y, x []float32)

// buildRecurrent binds the operators.
func buildRecurrent(s *site) (Compute, error) {
	r, err := NewRecurrence(s.Node, s.in, s.vec)
	if err != nil {
		return nil, err
	}
	buf := newScratch[float32](r.Scratch())
	return func(in, out []Tensor) {
		b := buf.get()
		for d := range r.Directions {
			r.Run(in, out, b, d, func(i int, y, x []float32) { r.multiply(in, d, r.products[i], y, x) })
		}
		buf.put(b)
	}, nil
}

// multiply computes a product row by row.
func (r *Recurrence) multiply(in []Tensor, d int, p Product, y, x []float32) {
	n := r.Hidden
	w, bias := r.part(in, 2, d), r.hiddenBias(in, d)
	for b := range r.Batch {
		for i := range p.Rows {
			v := r.vec.Dot(w[(p.From+i)*n:(p.From+i+1)*n], x[b*n:(b+1)*n])
			if bias != nil {
				v += bias[p.From+i]
			}
			y[b*p.Rows+i] = v
		}
	}
}

// hiddenBias returns the bias of the products with R, nil where it is absent.
func (r *Recurrence) hiddenBias(in []Tensor, d int) []float32 {
	bias := r.part(in, 3, d)
	if bias != nil && !r.projected {
		bias = bias[r.Gates*r.Hidden:]
	}
	return bias
}

// part returns direction d of input i, nil where it is absent.
func (r *Recurrence) part(in []Tensor, i, d int) []float32 {
	if i >= len(in) || !in[i].present() {
		return nil
	}
	n := len(in[i].F) / r.Directions
	return in[i].F[d*n : (d+1)*n]
}

// state returns the offset of the state of sequence n in direction d.
func (r *Recurrence) state(d, n int) int {
	if r.BatchFirst {
		return (n*r.Directions + d) * r.Hidden
	}
	return (d*r.Batch + n) * r.Hidden
}

// steps returns the length of a sequence.
func (r *Recurrence) steps(in []Tensor, n int) int {
	if r.lengths {
		return int(min(max(in[4].I[n], 0), int64(r.Steps)))
	}
	return r.Steps
}

// when returns the index of the step that sequence n takes as its t-th in a
// direction, and whether it has so many.
func (r *Recurrence) when(in []Tensor, t, n, d int) (int, bool) {
	steps := r.steps(in, n)
	if r.reverse || d == 1 {
		return steps - 1 - t, t < steps
	}
	return t, t < steps
}

// inputs returns the products of step t of sequence n with W and their bias,
// computed in buf where they are not the operator's input.
func (r *Recurrence) inputs(in []Tensor, buf []float32, t, n, d int) []float32 {
	rows, at := r.Gates*r.Hidden, t*r.Batch+n
	if r.BatchFirst {
		at = n*r.Steps + t
	}
	if r.projected {
		return in[0].F[(at*r.Directions+d)*rows:][:rows]
	}
	x, w := in[0].F[at*r.Inputs:][:r.Inputs], r.part(in, 1, d)
	for i := range rows {
		buf[i] = r.vec.Dot(w[i*r.Inputs:(i+1)*r.Inputs], x)
	}
	if bias := r.part(in, 3, d); bias != nil {
		r.vec.Add(buf, buf, bias)
	}
	return buf
}

// output returns where the hidden state of a step goes.
func (r *Recurrence) output(out []Tensor, t, n, d int) []float32 {
	at := (t*r.Directions+d)*r.Batch + n
	if r.BatchFirst {
		at = (n*r.Steps+t)*r.Directions + d
	}
	return out[0].F[at*r.Hidden:][:r.Hidden]
}

// Run computes a direction, all sequences of the batch step by step. b has
// Scratch elements.
func (r *Recurrence) Run(in, out []Tensor, b []float32, d int, multiply Multiply) {
	hidden := r.Hidden
	cut := func(n int) (part []float32) {
		part, b = b[:n], b[n:]
		return part
	}
	h, c, mid := cut(r.Batch*hidden), cut(r.Batch*hidden), cut(r.Batch*hidden)
	var products [2][]float32
	for i, p := range r.products {
		products[i] = cut(r.Batch * p.Rows)
	}
	buf := cut(r.Gates * hidden)
	most := r.begin(in, h, c, d)
	k := cell{Recurrence: r, acts: r.acts[d*len(r.acts)/r.Directions:], peepholes: r.part(in, 7, d)}
	all := len(out) > 0 && out[0].present()
	row := func(x []float32, n int) []float32 { return x[n*len(x)/r.Batch : (n+1)*len(x)/r.Batch] }
	for t := range most {
		multiply(0, products[0], h)
		for n := range r.Batch {
			if at, ok := r.when(in, t, n, d); ok {
				k.step(row(h, n), row(c, n), row(mid, n), row(products[0], n), r.inputs(in, buf, at, n, d))
			}
		}
		if products[1] != nil {
			multiply(1, products[1], mid)
		}
		for n := range r.Batch {
			at, ok := r.when(in, t, n, d)
			if !ok {
				continue
			}
			if products[1] != nil {
				k.gru(row(h, n), row(products[0], n), row(products[1], n), r.inputs(in, buf, at, n, d))
			}
			if all {
				copy(r.output(out, at, n, d), row(h, n))
			}
		}
	}
	for n := range r.Batch {
		for t := r.steps(in, n); all && t < r.Steps; t++ {
			clear(r.output(out, t, n, d))
		}
		for i, s := range [][]float32{1: h, 2: c} {
			if i > 0 && i < len(out) && out[i].present() {
				copy(out[i].F[r.state(d, n):][:hidden], row(s, n))
			}
		}
	}
}

// begin sets the states before the first step, and returns how many steps the
// longest sequence has.
func (r *Recurrence) begin(in []Tensor, h, c []float32, d int) (most int) {
	for n := range r.Batch {
		for i, s := range [][]float32{h, c} {
			s = s[n*r.Hidden : (n+1)*r.Hidden]
			if r.start[i] {
				copy(s, in[5+i].F[r.state(d, n):])
			} else {
				clear(s)
			}
		}
		most = max(most, r.steps(in, n))
	}
	return most
}

// A cell is what is done with the products of one sequence in one step.
type cell struct {
	*Recurrence
	acts      []activation
	peepholes []float32 // of the gates i, o and f of an LSTM
}

// act applies activation i, in place or to another slice.
func (k *cell) act(i int, dst, x []float32) {
	if k.clip >= 0 {
		k.vec.Clamp(dst, x, -k.clip, k.clip)
		x = dst
	}
	k.acts[i](k.vec, dst, x)
}

// step updates the states h and c from products p with R and x with W; p is
// overwritten. Of a GRU whose candidate is a second product it leaves the
// gates in p, and what that multiplies in mid.
func (k *cell) step(h, c, mid, p, x []float32) {
	n := k.Hidden
	switch {
	case k.Gates == 1:
		k.vec.Add(p, p, x)
		k.act(0, h, p)
	case k.Gates == 4:
		k.lstm(h, c, mid, p, x)
	default:
		gates := p[:2*n]
		k.vec.Add(gates, gates, x)
		k.act(0, gates, gates)
		if k.linear {
			k.vec.Mul(p[2*n:], p[2*n:], p[n:])
			k.gru(h, p, p[2*n:], x)
		} else {
			k.vec.Mul(mid, p[n:], h)
		}
	}
}

// gru ends a step of gates z, r and h: z are the activated gates, p the product
// of the candidate.
func (k *cell) gru(h, z, p, x []float32) {
	k.vec.Add(p, p, x[2*k.Hidden:])
	k.act(1, p, p)
	for i, v := range p {
		h[i] = (1-z[i])*v + z[i]*h[i]
	}
}

// lstm has gates i, o, f and c.
func (k *cell) lstm(h, c, mid, p, x []float32) {
	n := k.Hidden
	k.vec.Add(p, p, x)
	i, o, f, g := p[:n], p[n:2*n], p[2*n:3*n], p[3*n:]
	peep := func(gate, weights []float32) {
		k.vec.Mul(mid, c, weights)
		k.vec.Add(gate, gate, mid)
	}
	if k.peepholes != nil {
		peep(i, k.peepholes)
		peep(f, k.peepholes[2*n:])
	}
	k.act(0, i, i)
	k.act(0, f, f)
	if k.coupled {
		k.vec.Affine(f, i, -1, 1)
	}
	k.act(1, g, g)
	k.vec.Mul(c, c, f)
	k.vec.Mul(g, g, i)
	k.vec.Add(c, c, g)
	if k.peepholes != nil {
		peep(o, k.peepholes[n:])
	}
	k.act(0, o, o)
	k.acts[2](k.vec, mid, c)
	k.vec.Mul(h, o, mid)
}
