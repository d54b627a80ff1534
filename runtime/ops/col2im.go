package ops

import "github.com/nnz-dev/nnz/graph"

// buildCol2Im binds Col2Im: the sum, in each image, of the blocks that columns
// hold. What falls into the padding is left out.
func buildCol2Im(s *site) (Compute, error) {
	block, err := s.constInts(2, "block_shape")
	if err != nil {
		return nil, err
	}
	image := s.out[0].Shape[2:]
	win, err := graph.NewWindow(s.Node, image, block)
	if err != nil {
		return nil, err
	}
	b, err := newBox(win, image, win.Out)
	if err != nil {
		return nil, err
	}
	planes := product(s.out[0].Shape[:2])
	return func(in, out []Tensor) {
		n, columns := b.inLen(), b.outLen()
		fill(out[0].F, 0)
		for row := range planes * b.taps() {
			tap := row % b.taps()
			y := out[0].F[row/b.taps()*n:][:n]
			b.scatter(y, in[0].F[row*columns:(row+1)*columns], tap)
		}
	}, nil
}

// scatter adds x, which has an element for every position of the window, to
// the elements of an image under one tap.
func (b *box) scatter(y, x []float32, tap int) {
	z0, z1, sz := b.span(0, tap/b.kernel[2]/b.kernel[1])
	r0, r1, sr := b.span(1, tap/b.kernel[2]%b.kernel[1])
	c0, c1, sc := b.span(2, tap%b.kernel[2])
	for z := z0; z < z1; z++ {
		for r := r0; r < r1; r++ {
			to := ((z*b.stride[0]+sz)*b.in[1] + r*b.stride[1] + sr) * b.in[2]
			from := (z*b.out[1] + r) * b.out[2]
			for c := c0; c < c1; c++ {
				y[to+c*b.stride[2]+sc] += x[from+c]
			}
		}
	}
}
