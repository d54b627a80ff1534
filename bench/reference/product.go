package reference

import (
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/graph"
)

// multiply adds x [rows, depth] times w [depth, cols] to y. Products with a
// weight of zero are left out.
func multiply(y, x, w []float64, rows, depth, cols int) {
	var at []int
	for k := range depth {
		at = at[:0]
		for j, v := range w[k*cols : (k+1)*cols] {
			if v != 0 {
				at = append(at, j)
			}
		}
		for i := range rows {
			v, out := x[i*depth+k], y[i*cols:(i+1)*cols]
			for _, j := range at {
				out[j] += v * w[k*cols+j]
			}
		}
	}
}

func matMul(c *call) error {
	a, b := c.in[0], c.in[1]
	if len(a.Shape) < 2 || len(b.Shape) < 2 {
		return fmt.Errorf("operands %v and %v, expected matrices", a.Shape, b.Shape)
	}
	ra, rb := len(a.Shape)-2, len(b.Shape)-2
	rows, depth, cols := a.Shape[ra], a.Shape[ra+1], b.Shape[rb+1]
	sa, sb := strides(a.Shape), strides(b.Shape)
	each(c.out.Shape[:len(c.out.Shape)-2], func(i int, at []int) {
		x := a.Values[broadcast(at, a.Shape[:ra], sa):]
		w := b.Values[broadcast(at, b.Shape[:rb], sb):]
		multiply(c.out.Values[i*rows*cols:(i+1)*rows*cols], x[:rows*depth], w[:depth*cols], rows, depth, cols)
	})
	return nil
}

// turned returns the transpose of a matrix.
func turned(t *Tensor) *Tensor {
	rows, cols := t.Shape[0], t.Shape[1]
	out := &Tensor{[]int{cols, rows}, make([]float64, rows*cols)}
	for i := range rows {
		for j := range cols {
			out.Values[j*rows+i] = t.Values[i*cols+j]
		}
	}
	return out
}

func gemm(c *call) error {
	a, b := c.in[0], c.in[1]
	if c.Int("transA", 0) != 0 {
		a = turned(a)
	}
	if c.Int("transB", 0) != 0 {
		b = turned(b)
	}
	rows, cols := c.out.Shape[0], c.out.Shape[1]
	multiply(c.out.Values, a.Values, b.Values, rows, a.Shape[1], cols)
	alpha, beta := float64(c.Float("alpha", 1)), float64(c.Float("beta", 1))
	for i := range c.out.Values {
		c.out.Values[i] *= alpha
	}
	if len(c.in) > 2 && c.in[2] != nil {
		s := strides(c.in[2].Shape)
		each(c.out.Shape, func(i int, at []int) {
			c.out.Values[i] += beta * c.in[2].Values[broadcast(at, c.in[2].Shape, s)]
		})
	}
	return nil
}

// A plane is an image of one or two axes, or a window on it, as of two.
type plane struct{ h, w int }

func newPlane(v []int, one int) plane {
	if len(v) == 1 {
		return plane{one, v[0]}
	}
	return plane{v[0], v[1]}
}

// A window is a [graph.Window] of two axes.
type window struct{ in, out, kernel, stride, dilation, begin plane }

func newWindow(c *call, kernel []int) (window, error) {
	image := c.in[0].Shape[2:]
	if len(image) < 1 || len(image) > 2 {
		return window{}, fmt.Errorf("%d spatial axes, expected one or two", len(image))
	}
	w, err := graph.NewWindow(c.Node, image, kernel)
	if err != nil {
		return window{}, err
	}
	return window{newPlane(image, 1), newPlane(w.Out, 1), newPlane(w.Kernel, 1), newPlane(w.Stride, 1), newPlane(w.Dilation, 1), newPlane(w.Begin, 0)}, nil
}

// row and column return where a tap of an output pixel lies in the image.
func (w window) row(y, k int) (int, bool) {
	i := y*w.stride.h + k*w.dilation.h - w.begin.h
	return i, i >= 0 && i < w.in.h
}

func (w window) column(x, k int) (int, bool) {
	i := x*w.stride.w + k*w.dilation.w - w.begin.w
	return i, i >= 0 && i < w.in.w
}

func conv(c *call) error {
	x, weight := c.in[0], c.in[1]
	w, err := newWindow(c, weight.Shape[2:])
	if err != nil {
		return err
	}
	groups := c.Int("group", 1)
	m, depth := weight.Shape[0], weight.Shape[1]
	in, out, taps := w.in.h*w.in.w, w.out.h*w.out.w, w.kernel.h*w.kernel.w
	for n := range x.Shape[0] {
		for o := range m {
			y := c.out.Values[(n*m+o)*out : (n*m+o+1)*out]
			if len(c.in) > 2 && c.in[2] != nil {
				for i := range y {
					y[i] = c.in[2].Values[o]
				}
			}
			for d := range depth {
				channel := o/(m/groups)*depth + d
				image := x.Values[(n*x.Shape[1]+channel)*in:][:in]
				for t, v := range weight.Values[(o*depth+d)*taps:][:taps] {
					if v != 0 {
						w.addTap(y, image, v, t/w.kernel.w, t%w.kernel.w)
					}
				}
			}
		}
	}
	return nil
}

// addTap adds the products of one weight.
func (w window) addTap(y, image []float64, v float64, kh, kw int) {
	from, to := 0, w.out.w // output columns whose tap lies in the image
	for _, in := w.column(from, kw); from < to && !in; _, in = w.column(from, kw) {
		from++
	}
	for _, in := w.column(to-1, kw); from < to && !in; _, in = w.column(to-1, kw) {
		to--
	}
	for r := range w.out.h {
		i, in := w.row(r, kh)
		if !in {
			continue
		}
		at, _ := w.column(from, kw)
		at += i * w.in.w
		for x := from; x < to; x++ {
			y[r*w.out.w+x] += v * image[at]
			at += w.stride.w
		}
	}
}

// pool reduces each window of each channel.
func pool(c *call, reduce func(inside []float64, taps int) float64) error {
	w, err := newWindow(c, c.Ints("kernel_shape"))
	if err != nil {
		return err
	}
	in, out := w.in.h*w.in.w, w.out.h*w.out.w
	var inside []float64
	for p := range c.in[0].Shape[0] * c.in[0].Shape[1] {
		for o := range out {
			inside = inside[:0]
			for t := range w.kernel.h * w.kernel.w {
				i, inRow := w.row(o/w.out.w, t/w.kernel.w)
				j, inColumn := w.column(o%w.out.w, t%w.kernel.w)
				if inRow && inColumn {
					inside = append(inside, c.in[0].Values[p*in+i*w.in.w+j])
				}
			}
			c.out.Values[p*out+o] = reduce(inside, w.kernel.h*w.kernel.w)
		}
	}
	return nil
}

func maxPool(c *call) error {
	return pool(c, func(inside []float64, _ int) float64 {
		largest := math.Inf(-1)
		for _, v := range inside {
			largest = max(largest, v)
		}
		return largest
	})
}

// averagePool leaves the padding out, unless it is asked to count it; of that,
// windows that reach beyond the padding would count too much.
func averagePool(c *call) error {
	padded := c.Int("count_include_pad", 0) != 0
	if padded && c.Int("ceil_mode", 0) != 0 {
		return fmt.Errorf("count_include_pad with ceil_mode is not in float64")
	}
	return pool(c, func(inside []float64, taps int) float64 {
		if !padded {
			taps = len(inside)
		}
		return sum(inside) / float64(taps)
	})
}

func globalAveragePool(c *call) error {
	n := product(c.in[0].Shape[2:])
	for i := range c.out.Values {
		c.out.Values[i] = sum(c.in[0].Values[i*n:(i+1)*n]) / float64(n)
	}
	return nil
}

func sum(list []float64) float64 {
	s := 0.0
	for _, v := range list {
		s += v
	}
	return s
}
