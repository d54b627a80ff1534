package ops

import "github.com/nnz-dev/nnz/graph"

// An intConv is a convolution of integers: the sum of (x - xZero)·(w - wZero),
// exact, padding counted as xZero.
type intConv struct {
	conv
	x, xZero, w, wZero int // inputs
}

func (s *site) newIntConv(x, xZero, w, wZero int) (intConv, error) {
	shape, weight := s.in[x].Shape, s.in[w].Shape
	win, err := graph.NewWindow(s.Node, shape[2:], weight[2:])
	if err != nil {
		return intConv{}, err
	}
	b, err := newBox(win, shape[2:], win.Out)
	if err != nil {
		return intConv{}, err
	}
	b.flatten()
	group := s.Int("group", 1)
	c := intConv{conv{box: b, batch: shape[0], outs: weight[0], ins: weight[1], perGroup: weight[0] / group, group: group}, x, xZero, w, wZero}
	if err := s.wantScale(xZero, 1); err != nil {
		return c, err
	}
	if err := s.wantScale(wZero, c.outs); err != nil {
		return c, err
	}
	return c, s.wantInteger(x, xZero, w, wZero)
}

// channel writes the sums of output channel i, counted over the batch, to y.
func (c *intConv) channel(y []int64, in []Tensor, i int) {
	plane, taps, m := c.inLen(), c.taps(), i%c.outs
	x := in[c.x].I[(i/c.outs*c.group+m/c.perGroup)*c.ins*plane:]
	w := in[c.w].I[m*c.ins*taps:]
	xZero, wZero := zeroPoint(in, c.xZero, 0), zeroPoint(in, c.wZero, m)
	clear(y)
	for ic := range c.ins {
		src := x[ic*plane:]
		for t, a := range w[ic*taps : (ic+1)*taps] {
			a -= wZero
			z0, z1, dz := c.span(0, t/c.kernel[2]/c.kernel[1])
			r0, r1, dr := c.span(1, t/c.kernel[2]%c.kernel[1])
			p0, p1, dp := c.span(2, t%c.kernel[2])
			for z := z0; z < z1; z++ {
				for r := r0; r < r1; r++ {
					to := (z*c.out[1]+r)*c.out[2] + p0
					from := ((z*c.stride[0]+dz)*c.in[1]+r*c.stride[1]+dr)*c.in[2] + p0*c.stride[2] + dp
					for j := range p1 - p0 {
						y[to+j] += a * (src[from+j*c.stride[2]] - xZero)
					}
				}
			}
		}
	}
}

// buildConvInteger binds ConvInteger: X, W and their zero points, to int32.
func buildConvInteger(s *site) (Compute, error) {
	c, err := s.newIntConv(0, 2, 1, 3)
	if err != nil {
		return nil, err
	}
	return func(in, out []Tensor) {
		plane := c.outLen()
		for i := range c.batch * c.outs {
			c.channel(out[0].I[i*plane:(i+1)*plane], in, i)
		}
		wrapInts(graph.Int32, out[0].I)
	}, nil
}

// buildQLinearConv binds QLinearConv: X, W and the output, each with a scale
// and a zero point, and a bias in units of the scales of X and W.
func buildQLinearConv(s *site) (Compute, error) {
	c, err := s.newIntConv(0, 2, 3, 5)
	if err != nil {
		return nil, err
	}
	q, err := s.newRequantization(1, c.outs)
	if err != nil {
		return nil, err
	}
	if err := s.wantInteger(8); err != nil {
		return nil, err
	}
	return func(in, out []Tensor) {
		plane := c.outLen()
		for i := range c.batch * c.outs {
			y := out[0].I[i*plane : (i+1)*plane]
			c.channel(y, in, i)
			bias := zeroPoint(in, 8, i%c.outs)
			for j, sum := range y {
				y[j] = q.run(in, sum+bias, 0, i%c.outs)
			}
		}
	}, nil
}

// intMatMul makes the function that multiplies matrices of integers exactly:
// inputs a and b less their zero points, which may differ by row of a and by
// column of b. finish turns the sum of a row and a column into an element.
func (s *site) intMatMul(inputs [4]int, finish func(in []Tensor, sum int64, row, col int) int64) (Compute, error) {
	a, aZero, b, bZero := inputs[0], inputs[1], inputs[2], inputs[3]
	p, t, rows, err := s.matMul(s.in[a].Shape, s.in[b].Shape)
	if err != nil {
		return nil, err
	}
	if err := s.wantScale(aZero, rows); err != nil {
		return nil, err
	}
	if err := s.wantScale(bZero, p.n); err != nil {
		return nil, err
	}
	if err := s.wantInteger(inputs[:]...); err != nil {
		return nil, err
	}
	return func(in, out []Tensor) {
		y := out[0].I
		for r := range t.rows {
			i, j := t.at(0, r), t.at(1, r)
			for range t.n {
				x, w := in[a].I[i*p.m*p.k:], in[b].I[j*p.k*p.n:]
				for e := range p.m * p.n {
					row, col := e/p.n, e%p.n
					xZero, wZero := zeroPoint(in, aZero, row%rows), zeroPoint(in, bZero, col)
					sum := int64(0)
					for k := range p.k {
						sum += (x[row*p.k+k] - xZero) * (w[k*p.n+col] - wZero)
					}
					y[e] = finish(in, sum, row%rows, col)
				}
				y = y[p.m*p.n:]
				i += t.walks[0].step
				j += t.walks[1].step
			}
		}
	}, nil
}

// buildMatMulInteger binds MatMulInteger: A, B and their zero points, to int32.
func buildMatMulInteger(s *site) (Compute, error) {
	return s.intMatMul([4]int{0, 2, 1, 3}, func(_ []Tensor, sum int64, _, _ int) int64 { return int64(int32(sum)) })
}

// buildQLinearMatMul binds QLinearMatMul: A, B and the output, each with a
// scale and a zero point.
func buildQLinearMatMul(s *site) (Compute, error) {
	_, _, rows, err := s.matMul(s.in[0].Shape, s.in[3].Shape)
	if err != nil {
		return nil, err
	}
	b := s.in[3].Shape
	q, err := s.newRequantization(rows, b[len(b)-1])
	if err != nil {
		return nil, err
	}
	return s.intMatMul([4]int{0, 2, 3, 5}, q.run)
}
