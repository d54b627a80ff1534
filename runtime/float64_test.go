package runtime

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
)

// A sum is an exact output, what its products add up to without their signs,
// and how many there are with a weight that is not zero.
type sum struct {
	y, size float64
	terms   int
}

func (s *sum) add(w, x float32) {
	s.y += float64(w) * float64(x)
	s.size += math.Abs(float64(w) * float64(x))
	if w != 0 {
		s.terms++
	}
}

// volume is the extents of [planes, rows, columns] of an image that may have
// fewer axes.
func volume(shape []int) (v [3]int) {
	copy(v[:], slices.Concat(slices.Repeat([]int{1}, 3-len(shape)), shape))
	return v
}

// convolve64 computes a convolution, or its transpose, of x [C, …] with w [M, C,
// …], or [C, M, …], without groups: pixel i and element k of the kernel go to
// pixel i*stride + k - pad, or the other way round.
func convolve64(x, w *graph.Tensor, out []int, stride, pad int, transpose bool) []sum {
	in, kernel, to := volume(x.Shape[2:]), volume(w.Shape[2:]), volume(out[2:])
	from, m := x.Shape[1], out[1]
	y := make([]sum, elements(out))
	axes := func(v [3]int, f func(at [3]int, i int)) {
		i := 0
		for z := range v[0] {
			for r := range v[1] {
				for c := range v[2] {
					f([3]int{z, r, c}, i)
					i++
				}
			}
		}
	}
	small := in
	if !transpose {
		small = to
	}
	large := to
	if !transpose {
		large = in
	}
	axes(small, func(s [3]int, si int) {
		axes(kernel, func(k [3]int, ki int) {
			li := 0
			for i := range s {
				at := s[i]
				if extent := len(x.Shape) - 2; i >= 3-extent {
					at = s[i]*stride + k[i] - pad
				}
				if at < 0 || at >= large[i] {
					return
				}
				li = li*large[i] + at
			}
			for c := range from {
				for o := range m {
					if transpose {
						y[o*elements(out[2:])+li].add(w.Floats()[(c*m+o)*elements(w.Shape[2:])+ki], x.Floats()[c*elements(x.Shape[2:])+si])
					} else {
						y[o*elements(out[2:])+si].add(w.Floats()[(o*from+c)*elements(w.Shape[2:])+ki], x.Floats()[c*elements(x.Shape[2:])+li])
					}
				}
			}
		})
	})
	return y
}

// TestAgainstFloat64 holds layers that are rewritten for the product kernels
// to the bound of sums in float32.
func TestAgainstFloat64(t *testing.T) {
	for _, c := range []struct {
		op          string
		x, w, y     []int
		stride, pad int
	}{
		{"ConvTranspose", []int{1, 24, 13}, []int{24, 10, 4}, []int{1, 10, 26}, 2, 1},
		{"ConvTranspose", []int{1, 24, 7, 9}, []int{24, 10, 3, 3}, []int{1, 10, 15, 19}, 2, 0},
		{"Conv", []int{1, 24, 5, 6, 7}, []int{10, 24, 3, 3, 3}, []int{1, 10, 5, 6, 7}, 1, 1},
		{"Conv", []int{1, 24, 5, 7, 9}, []int{10, 24, 3, 3, 3}, []int{1, 10, 3, 4, 5}, 2, 1},
		{"MatMul", []int{1, 24, 33}, []int{10, 24}, []int{1, 10, 33}, 1, 0},
	} {
		for _, zeros := range []float64{0, 0.8} {
			n := newNet(c.x...)
			name := n.weight(zeros, 1, c.w...)
			rank := len(c.x) - 2
			w := n.m.Weights[name]
			if c.op == "MatMul" {
				n.node(c.op, []string{name, "x"})
				var err error
				if w, err = w.Reshaped(append(slices.Clone(c.w), 1)); err != nil {
					t.Fatal(err)
				}
			} else {
				n.node(c.op, []string{"x", name}, "strides", slices.Repeat([]int{c.stride}, rank), "pads", slices.Repeat([]int{c.pad}, 2*rank))
			}
			rng := rand.New(rand.NewPCG(5, 6))
			x := make([]float32, elements(c.x))
			for i := range x {
				x[i] = rng.Float32()*2 - 1
			}
			want := convolve64(graph.FromFloats(c.x, x), w, c.y, c.stride, c.pad, c.op == "ConvTranspose")
			for _, i := range isa.Supported() {
				for _, mode := range []Mode{Auto, Dense, Sparse} {
					t.Run(fmt.Sprintf("%s_%v_%.0f_%v_%v", c.op, c.x, zeros*100, i, mode), func(t *testing.T) {
						p, err := Compile(context.Background(), n.model(), Config{ISA: i, Mode: mode})
						if err != nil {
							t.Fatal(err)
						}
						s := p.NewSession()
						defer s.Close()
						for k, got := range runOnce(t, s, x) {
							e := want[k]
							if bound := float64(e.terms+2) * math.Ldexp(1, -24) * e.size; !(math.Abs(float64(got)-e.y) <= bound) {
								t.Fatalf("element %d is %g, want %g within %g", k, got, e.y, bound)
							}
						}
					})
				}
			}
		}
	}
}
