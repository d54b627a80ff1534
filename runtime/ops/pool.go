package ops

import (
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// pool reads the window of a pooling node and checks the shapes.
func (s *site) pool() (box, error) {
	x := s.in[0].Shape
	kernel := s.Ints("kernel_shape")
	if len(x) < 3 || len(kernel) != len(x)-2 {
		return box{}, fmt.Errorf("X %v and kernel_shape %v, expected [N, C, …] and an extent for each spatial axis", x, kernel)
	}
	win, err := graph.NewWindow(s.Node, x[2:], kernel)
	if err != nil {
		return box{}, err
	}
	if err := s.wantOut(0, slices.Concat(x[:2], win.Out)); err != nil {
		return box{}, err
	}
	return newBox(win, x[2:], win.Out)
}

// globalBox is a window over whole images.
func (s *site) globalBox() (box, error) {
	x := s.in[0].Shape
	if len(x) < 2 {
		return box{}, fmt.Errorf("X %v, expected [N, C, …]", x)
	}
	want := []int{x[0], x[1]}
	for range x[2:] {
		want = append(want, 1)
	}
	if err := s.wantOut(0, want); err != nil {
		return box{}, err
	}
	one := [3]int{1, 1, 1}
	whole := [3]int{1, 1, product(x[2:])}
	return box{in: whole, out: one, kernel: whole, stride: one, dilation: one}, nil
}

// buildMaxPool binds MaxPool, with the positions of the largest elements as
// optional second output. Padding is never the largest.
func buildMaxPool(s *site) (Compute, error) {
	b, err := s.pool()
	if err != nil {
		return nil, err
	}
	if err := wantSame(&s.in[0], &s.out[0]); err != nil {
		return nil, err
	}
	indices := len(s.out) > 1 && s.out[1].present()
	if indices {
		if err := s.wantOut(1, s.out[0].Shape); err != nil {
			return nil, err
		}
		if s.out[1].DType != graph.Int64 {
			return nil, fmt.Errorf("output 1 has element type %s, expected int64", s.out[1].DType)
		}
	}
	planes := s.in[0].Shape[0] * s.in[0].Shape[1]
	least, _ := intRange(s.in[0].DType)
	b.columns = s.Int("storage_order", 0) != 0
	return pick(s.in[0].DType,
		maxPool(b, planes, -inf, indices),
		maxPool(b, planes, least, indices)), nil
}

// buildGlobalMaxPool binds GlobalMaxPool.
func buildGlobalMaxPool(s *site) (Compute, error) {
	b, err := s.globalBox()
	if err != nil {
		return nil, err
	}
	if err := s.wantFloat(0); err != nil {
		return nil, err
	}
	return maxPool(b, s.in[0].Shape[0]*s.in[0].Shape[1], -inf, false), nil
}

func maxPool[T elem](b box, planes int, least T, indices bool) Compute {
	return func(in, out []Tensor) {
		src, dst := data[T](&in[0]), data[T](&out[0])
		n, o := b.inLen(), 0
		for p := range planes {
			x := src[p*n : (p+1)*n]
			for z := range b.out[0] {
				z0, z1, sz := b.reach(0, z)
				for r := range b.out[1] {
					r0, r1, sr := b.reach(1, r)
					for c := range b.out[2] {
						c0, c1, sc := b.reach(2, c)
						best, at := least, 0
						for i := range z1 - z0 {
							for j := range r1 - r0 {
								from := ((sz+i*b.dilation[0])*b.in[1]+sr+j*b.dilation[1])*b.in[2] + sc
								for range c1 - c0 {
									if v := x[from]; v > best || v != v {
										best, at = v, from
									}
									from += b.dilation[2]
								}
							}
						}
						dst[o] = best
						if indices {
							out[1].I[o] = int64(p*n + b.index(at))
						}
						o++
					}
				}
			}
		}
	}
}

// index returns the number that MaxPool gives an element of a row-major plane.
func (b *box) index(at int) int {
	if !b.columns {
		return at
	}
	z, r, c := at/b.in[2]/b.in[1], at/b.in[2]%b.in[1], at%b.in[2]
	return (c*b.in[1]+r)*b.in[0] + z
}

// buildAveragePool binds AveragePool. With count_include_pad the divisor counts
// padding, but never what ceil_mode reaches beyond it.
func buildAveragePool(s *site) (Compute, error) {
	b, err := s.pool()
	if err != nil {
		return nil, err
	}
	return s.average(b, s.Int("count_include_pad", 0) != 0)
}

// buildGlobalAveragePool binds GlobalAveragePool.
func buildGlobalAveragePool(s *site) (Compute, error) {
	b, err := s.globalBox()
	if err != nil {
		return nil, err
	}
	return s.average(b, false)
}

func (s *site) average(b box, padding bool) (Compute, error) {
	if err := s.wantFloat(0); err != nil {
		return nil, err
	}
	planes := s.in[0].Shape[0] * s.in[0].Shape[1]
	return func(in, out []Tensor) {
		n, o := b.inLen(), 0
		for p := range planes {
			x := in[0].F[p*n : (p+1)*n]
			for z := range b.out[0] {
				z0, z1, sz := b.reach(0, z)
				for r := range b.out[1] {
					r0, r1, sr := b.reach(1, r)
					for c := range b.out[2] {
						c0, c1, sc := b.reach(2, c)
						count := (z1 - z0) * (r1 - r0) * (c1 - c0)
						if padding {
							count = b.padded(0, z) * b.padded(1, r) * b.padded(2, c)
						}
						sum := 0.0
						for i := range z1 - z0 {
							for j := range r1 - r0 {
								from := ((sz+i*b.dilation[0])*b.in[1]+sr+j*b.dilation[1])*b.in[2] + sc
								for range c1 - c0 {
									sum += float64(x[from])
									from += b.dilation[2]
								}
							}
						}
						out[0].F[o] = float32(sum / float64(count))
						o++
					}
				}
			}
		}
	}, nil
}

// padded returns how many taps of output o along axis fall inside the padded
// image.
func (b *box) padded(axis, o int) int {
	room := b.in[axis] + b.end[axis] + b.pad[axis] - o*b.stride[axis]
	return min((room-1)/b.dilation[axis]+1, b.kernel[axis])
}
