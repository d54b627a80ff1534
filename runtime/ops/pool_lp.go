package ops

import (
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/graph"
)

func checkLpPool(n *graph.Node, opset int) error {
	if p := n.Int("p", 2); p < 1 {
		return fmt.Errorf("attribute p: %d, expected a positive number", p)
	}
	return checkAutoPad(n, opset)
}

// buildLpPool binds LpPool: the p-norm of the elements under a window.
func buildLpPool(s *site) (Compute, error) {
	b, err := s.pool()
	if err != nil {
		return nil, err
	}
	if err := s.wantFloat(0); err != nil {
		return nil, err
	}
	planes, power := s.in[0].Shape[0]*s.in[0].Shape[1], float64(s.Int("p", 2))
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
						sum := 0.0
						for i := range z1 - z0 {
							for j := range r1 - r0 {
								from := ((sz+i*b.dilation[0])*b.in[1]+sr+j*b.dilation[1])*b.in[2] + sc
								for range c1 - c0 {
									sum += math.Pow(math.Abs(float64(x[from])), power)
									from += b.dilation[2]
								}
							}
						}
						out[0].F[o] = float32(math.Pow(sum, 1/power))
						o++
					}
				}
			}
		}
	}, nil
}
