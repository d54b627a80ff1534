package ops

import (
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/graph"
)

func checkRecurrent(n *graph.Node, _ int) error {
	_, err := activations(n)
	return err
}

// activations returns the functions of a recurrent node, in the order of its
// attribute: one a gate and direction.
func activations(n *graph.Node) ([]func(float64) float64, error) {
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
	list := make([]func(float64) float64, len(names))
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
var plainActivations = map[string]func(float64) float64{
	"Tanh":     math.Tanh,
	"Sigmoid":  func(x float64) float64 { return 1 / (1 + math.Exp(-x)) },
	"Relu":     func(x float64) float64 { return max(x, 0) },
	"Softsign": softsign,
	"Softplus": softplus,
}

// A recurrence is an RNN, GRU or LSTM, whose gates are computed by the
// operator's formulas, https://onnx.ai/onnx/operators/onnx__LSTM.html and its
// like.
type recurrence struct {
	graph.RecurrentShape
	site    *site
	acts    []func(float64) float64
	clip    float64
	reverse bool
	linear  bool // GRU: the reset gate is applied behind the product
	coupled bool // LSTM: the forget gate is one less the input gate
}

// buildRecurrent binds RNN, GRU and LSTM: X, W, R, B, the lengths of sequences,
// initial states of hidden layer and cell, and peepholes.
func buildRecurrent(s *site) (Compute, error) {
	shapes := make([][]int, len(s.in))
	for i := range s.in {
		if !s.has(i) {
			continue
		}
		shapes[i] = s.in[i].Shape
		if i != 4 && !s.in[i].DType.Float() || i == 4 && s.in[i].DType != graph.Int32 {
			return nil, fmt.Errorf("input %d has element type %s", i, s.in[i].DType)
		}
	}
	shape, err := graph.NewRecurrentShape(s.Node, shapes)
	if err != nil {
		return nil, err
	}
	r := &recurrence{
		RecurrentShape: shape, site: s, clip: math.Inf(1), reverse: s.Str("direction", "") == "reverse",
		linear: s.Int("linear_before_reset", 0) != 0, coupled: s.Int("input_forget", 0) != 0,
	}
	if s.Has("clip") {
		r.clip = float64(s.Float("clip", 0))
	}
	if r.acts, err = activations(s.Node); err != nil {
		return nil, err
	}
	// Hidden state, cell, products with X and with R.
	buf := newScratch[float32]((2 + 2*r.Gates) * r.Hidden)
	return func(in, out []Tensor) {
		b := buf.get()
		for i := range out {
			fill(out[i].F, 0)
		}
		for d := range r.Directions {
			for n := range r.Batch {
				r.sequence(in, out, b, d, n)
			}
		}
		buf.put(b)
	}, nil
}

// part returns direction d of input i, nil where it is absent.
func (r *recurrence) part(in []Tensor, i, d int) []float32 {
	if i >= len(in) || !in[i].present() {
		return nil
	}
	n := len(in[i].F) / r.Directions
	return in[i].F[d*n : (d+1)*n]
}

// state returns the offset of the state of sequence n in direction d.
func (r *recurrence) state(d, n int) int {
	if r.BatchFirst {
		return (n*r.Directions + d) * r.Hidden
	}
	return (d*r.Batch + n) * r.Hidden
}

// sequence runs one sequence in one direction.
func (r *recurrence) sequence(in, out []Tensor, b []float32, d, n int) {
	hidden := r.Hidden
	h, c := b[:hidden], b[hidden:2*hidden]
	clear(b)
	at := r.state(d, n)
	if r.site.has(5) {
		copy(h, in[5].F[at:at+hidden])
	}
	if r.site.has(6) {
		copy(c, in[6].F[at:at+hidden])
	}
	steps := r.Steps
	if r.site.has(4) {
		steps = int(min(max(in[4].I[n], 0), int64(r.Steps)))
	}
	for t := range steps {
		if r.reverse || d == 1 {
			t = steps - 1 - t
		}
		x := (t*r.Batch + n) * r.Inputs
		y := ((t*r.Directions+d)*r.Batch + n) * hidden
		if r.BatchFirst {
			x = (n*r.Steps + t) * r.Inputs
			y = ((n*r.Steps+t)*r.Directions + d) * hidden
		}
		r.step(in, in[0].F[x:x+r.Inputs], b, d)
		if out[0].present() {
			copy(out[0].F[y:y+hidden], h)
		}
	}
	for i, s := range [][]float32{1: h, 2: c} {
		if i > 0 && i < len(out) && out[i].present() {
			copy(out[i].F[at:at+hidden], s)
		}
	}
}

// step updates the states from one input.
func (r *recurrence) step(in []Tensor, x, b []float32, d int) {
	n, rows := r.Hidden, r.Gates*r.Hidden
	h, c, xs, hs := b[:n], b[n:2*n], b[2*n:2*n+rows], b[2*n+rows:]
	w, rec, bias := r.part(in, 1, d), r.part(in, 2, d), r.part(in, 3, d)
	for i := range rows {
		xs[i] = r.site.vec.Dot(w[i*r.Inputs:(i+1)*r.Inputs], x)
		hs[i] = r.site.vec.Dot(rec[i*n:(i+1)*n], h)
		if bias != nil {
			xs[i] += bias[i]
			hs[i] += bias[rows+i]
		}
	}
	acts := r.acts[d*len(r.acts)/r.Directions:]
	switch r.Gates {
	case 1:
		for i := range n {
			h[i] = r.act(acts[0], xs[i]+hs[i])
		}
	case 3:
		r.gru(acts, h, xs, hs, rec, bias)
	case 4:
		r.lstm(acts, h, c, xs, hs, r.part(in, 7, d))
	}
}

func (r *recurrence) act(f func(float64) float64, x float32) float32 {
	return float32(f(max(min(float64(x), r.clip), -r.clip)))
}

// gru has gates z, r and h.
func (r *recurrence) gru(acts []func(float64) float64, h, xs, hs, rec, bias []float32) {
	n := r.Hidden
	for i := range 2 * n { // z and r, in place
		xs[i] = r.act(acts[0], xs[i]+hs[i])
	}
	reset, scaled := xs[n:2*n], hs[:n]
	if !r.linear {
		r.site.vec.Mul(scaled, reset, h)
	}
	for i := range n {
		k := 2*n + i
		if r.linear {
			hs[k] *= reset[i]
		} else {
			hs[k] = r.site.vec.Dot(rec[k*n:(k+1)*n], scaled)
			if bias != nil {
				hs[k] += bias[3*n+k]
			}
		}
		xs[k] = r.act(acts[1], xs[k]+hs[k])
	}
	for i := range n {
		z := xs[i]
		h[i] = (1-z)*xs[2*n+i] + z*h[i]
	}
}

// lstm has gates i, o, f and c; peepholes p are those of the first three.
func (r *recurrence) lstm(acts []func(float64) float64, h, c, xs, hs, p []float32) {
	n := r.Hidden
	for j := range n {
		i, o, f, g := xs[j]+hs[j], xs[n+j]+hs[n+j], xs[2*n+j]+hs[2*n+j], xs[3*n+j]+hs[3*n+j]
		if p != nil {
			i += p[j] * c[j]
			f += p[2*n+j] * c[j]
		}
		i = r.act(acts[0], i)
		if f = r.act(acts[0], f); r.coupled {
			f = 1 - i
		}
		c[j] = f*c[j] + i*r.act(acts[1], g)
		if p != nil {
			o += p[n+j] * c[j]
		}
		h[j] = r.act(acts[0], o) * float32(acts[2](float64(c[j])))
	}
}
