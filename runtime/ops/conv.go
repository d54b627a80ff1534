package ops

import (
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/vec"
)

// An epilogue is what a fused operator does to its products and bias:
// add the residual, then clamp.
type epilogue struct {
	residual bool // input 3 is added
	clamp    bool
	lo, hi   float32
	vec      *vec.Kernels
}

// newEpilogue reads the epilogue of a fused node; that of an ONNX node is
// empty.
func (s *site) newEpilogue() (epilogue, error) {
	e := epilogue{vec: s.vec}
	if s.Domain != graph.FusedDomain {
		return e, nil
	}
	e.residual = s.has(3)
	if e.residual && !slices.Equal(s.in[3].Shape, s.out[0].Shape) {
		return e, fmt.Errorf("residual has shape %v, expected that of the output, %v", s.in[3].Shape, s.out[0].Shape)
	}
	e.clamp = s.Has("clamp_min") || s.Has("clamp_max")
	e.lo = s.Float("clamp_min", -inf)
	e.hi = s.Float("clamp_max", inf)
	return e, nil
}

// run finishes elements [from, to) of output 0.
func (e *epilogue) run(in, out []Tensor, from, to int) {
	y := out[0].F[from:to]
	if e.residual {
		e.vec.Add(y, y, in[3].F[from:to])
	}
	if e.clamp {
		e.vec.Clamp(y, y, e.lo, e.hi)
	}
}

// buildConv binds Conv and nnz.Conv in one to three dimensions: X [N, C, …],
// W [M, C/group, k…], B [M] optional; the fused one may have a residual of the
// output's shape and a clamp.
func buildConv(s *site) (Compute, error) {
	if err := s.wantFloat(0); err != nil {
		return nil, err
	}
	x, w := s.in[0].Shape, s.in[1].Shape
	group := s.Int("group", 1)
	if len(x) < 3 || len(w) != len(x) {
		return nil, fmt.Errorf("X %v and W %v, expected equal ranks from 3 on", x, w)
	}
	if group < 1 || group > w[0] || w[1]*group != x[1] || w[0]%group != 0 {
		return nil, fmt.Errorf("X %v, W %v and group %d, expected C = group*W[1] and M a multiple of group", x, w, group)
	}
	if k := s.Ints("kernel_shape"); k != nil && !slices.Equal(k, w[2:]) {
		return nil, fmt.Errorf("attribute kernel_shape: %v, expected %v of W", k, w[2:])
	}
	if err := s.wantBias(2, w[0]); err != nil {
		return nil, err
	}
	win, err := graph.NewWindow(s.Node, x[2:], w[2:])
	if err != nil {
		return nil, err
	}
	if err := s.wantOut(0, slices.Concat([]int{x[0], w[0]}, win.Out)); err != nil {
		return nil, err
	}
	b, err := newBox(win, x[2:], win.Out)
	if err != nil {
		return nil, err
	}
	b.flatten()
	epi, err := s.newEpilogue()
	if err != nil {
		return nil, err
	}
	c := conv{box: b, batch: x[0], outs: w[0], ins: w[1], perGroup: w[0] / group, group: group}
	bias := s.has(2)
	return func(in, out []Tensor) {
		plane := c.outLen()
		for i := range c.batch * c.outs {
			y := out[0].F[i*plane : (i+1)*plane]
			start := float32(0)
			if bias {
				start = in[2].F[i%c.outs]
			}
			fill(y, start)
			c.channel(y, in[0].F, in[1].F, i)
			epi.run(in, out, i*plane, (i+1)*plane)
		}
	}, nil
}

// wantBias checks that optional input i has n elements in one axis.
func (s *site) wantBias(i, n int) error {
	if s.has(i) && !slices.Equal(s.in[i].Shape, []int{n}) {
		return fmt.Errorf("bias has shape %v, expected [%d]", s.in[i].Shape, n)
	}
	return nil
}

// conv is the geometry of a convolution.
type conv struct {
	box
	batch, outs   int
	group         int
	ins, perGroup int // input and output channels of a group
}

// channel adds the products of output channel i, counted over the batch, to y.
// Four input channels at a time share the loads and stores of y.
func (c *conv) channel(y, x, w []float32, i int) {
	plane, taps := c.inLen(), c.taps()
	m := i % c.outs
	x = x[(i/c.outs*c.group+m/c.perGroup)*c.ins*plane:]
	w = w[m*c.ins*taps:]
	ic := 0
	for ; ic+4 <= c.ins; ic += 4 {
		c.taps4(y, x[ic*plane:], w[ic*taps:])
	}
	for ; ic < c.ins; ic++ {
		c.taps1(y, x[ic*plane:(ic+1)*plane], w[ic*taps:(ic+1)*taps])
	}
}

// taps1 adds the products of one input channel.
func (c *conv) taps1(y, x, w []float32) {
	for t, a := range w {
		z0, z1, dz := c.span(0, t/c.kernel[2]/c.kernel[1])
		r0, r1, dr := c.span(1, t/c.kernel[2]%c.kernel[1])
		p0, p1, dp := c.span(2, t%c.kernel[2])
		if p0 == p1 {
			continue
		}
		for z := z0; z < z1; z++ {
			for r := r0; r < r1; r++ {
				to := (z*c.out[1]+r)*c.out[2] + p0
				from := ((z*c.stride[0]+dz)*c.in[1]+r*c.stride[1]+dr)*c.in[2] + p0*c.stride[2] + dp
				axpy(y[to:to+p1-p0], x[from:], a, c.stride[2])
			}
		}
	}
}

// taps4 adds the products of the four input channels that x starts with.
func (c *conv) taps4(y, x, w []float32) {
	plane, taps := c.inLen(), c.taps()
	for t := range taps {
		a := [4]float32{w[t], w[taps+t], w[2*taps+t], w[3*taps+t]}
		z0, z1, dz := c.span(0, t/c.kernel[2]/c.kernel[1])
		r0, r1, dr := c.span(1, t/c.kernel[2]%c.kernel[1])
		p0, p1, dp := c.span(2, t%c.kernel[2])
		if p0 == p1 {
			continue
		}
		for z := z0; z < z1; z++ {
			for r := r0; r < r1; r++ {
				to := (z*c.out[1]+r)*c.out[2] + p0
				from := ((z*c.stride[0]+dz)*c.in[1]+r*c.stride[1]+dr)*c.in[2] + p0*c.stride[2] + dp
				axpy4(y[to:to+p1-p0], x[from:], &a, plane, c.stride[2])
			}
		}
	}
}

// axpy is y[i] += a*x[i*step].
func axpy(y, x []float32, a float32, step int) {
	if step == 1 {
		x = x[:len(y)]
		for i, v := range x {
			y[i] += a * v
		}
		return
	}
	j := 0
	for i := range y {
		y[i] += a * x[j]
		j += step
	}
}

// axpy4 is axpy of four x, which start next elements apart.
func axpy4(y, x []float32, a *[4]float32, next, step int) {
	x0, x1, x2, x3 := x, x[next:], x[2*next:], x[3*next:]
	a0, a1, a2, a3 := a[0], a[1], a[2], a[3]
	if step == 1 {
		x0, x1, x2, x3 = x0[:len(y)], x1[:len(y)], x2[:len(y)], x3[:len(y)]
		for i := range y {
			y[i] += (a0*x0[i] + a1*x1[i]) + (a2*x2[i] + a3*x3[i])
		}
		return
	}
	j := 0
	for i := range y {
		y[i] += (a0*x0[j] + a1*x1[j]) + (a2*x2[j] + a3*x3[j])
		j += step
	}
}

// buildConvTranspose binds ConvTranspose in one to three dimensions: X [N, C,
// …], W [C, M/group, k…], B [M] optional.
func buildConvTranspose(s *site) (Compute, error) {
	if err := s.wantFloat(0); err != nil {
		return nil, err
	}
	x, w := s.in[0].Shape, s.in[1].Shape
	group := s.Int("group", 1)
	if len(x) < 3 || len(w) != len(x) {
		return nil, fmt.Errorf("X %v and W %v, expected equal ranks from 3 on", x, w)
	}
	if group < 1 || group > w[0] || w[0] != x[1] || w[0]%group != 0 {
		return nil, fmt.Errorf("X %v, W %v and group %d, expected C = W[0], a multiple of group", x, w, group)
	}
	outs := w[1] * group
	if err := s.wantBias(2, outs); err != nil {
		return nil, err
	}
	win, err := graph.NewTransposeWindow(s.Node, x[2:], w[2:])
	if err != nil {
		return nil, err
	}
	if err := s.wantOut(0, slices.Concat([]int{x[0], outs}, win.Out)); err != nil {
		return nil, err
	}
	// The transpose of the convolution that maps the output to the input.
	b, err := newBox(win, win.Out, x[2:])
	if err != nil {
		return nil, err
	}
	c := conv{box: b, batch: x[0], outs: outs, ins: w[0] / group, perGroup: w[1], group: group}
	bias := s.has(2)
	return func(in, out []Tensor) {
		plane := c.inLen()
		for i := range c.batch * c.outs {
			y := out[0].F[i*plane : (i+1)*plane]
			start := float32(0)
			if bias {
				start = in[2].F[i%c.outs]
			}
			fill(y, start)
			c.scatter(y, in[0].F, in[1].F, i)
		}
	}, nil
}

// scatter adds the products of output channel i, counted over the batch, of
// the transpose of c to y.
func (c *conv) scatter(y, x, w []float32, i int) {
	plane, taps := c.outLen(), c.taps()
	m := i % c.outs
	g := m / c.perGroup
	for ic := range c.ins {
		src := x[((i/c.outs*c.group+g)*c.ins+ic)*plane:]
		k := w[((g*c.ins+ic)*c.perGroup+m%c.perGroup)*taps:]
		for t, a := range k[:taps] {
			z0, z1, dz := c.span(0, t/c.kernel[2]/c.kernel[1])
			r0, r1, dr := c.span(1, t/c.kernel[2]%c.kernel[1])
			p0, p1, dp := c.span(2, t%c.kernel[2])
			if p0 == p1 {
				continue
			}
			for z := z0; z < z1; z++ {
				for r := r0; r < r1; r++ {
					from := (z*c.out[1]+r)*c.out[2] + p0
					to := ((z*c.stride[0]+dz)*c.in[1]+r*c.stride[1]+dr)*c.in[2] + p0*c.stride[2] + dp
					for j, v := range src[from : from+p1-p0] {
						y[to+j*c.stride[2]] += a * v
					}
				}
			}
		}
	}
}
