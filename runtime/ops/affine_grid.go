package ops

// buildAffineGrid binds AffineGrid: the positions of an image's elements, from
// -1 to 1 along each axis, moved by a matrix for each image. Coordinates count
// axes from the last on.
func buildAffineGrid(s *site) (Compute, error) {
	shape := s.out[0].Shape
	axes := len(shape) - 2
	points := product(shape[1 : 1+axes])
	base := make([]float32, points*axes)
	for p := range points {
		rest := p
		for i := range axes {
			n := shape[axes-i]
			at := float64(2*(rest%n)+1)/float64(n) - 1
			if s.Int("align_corners", 0) != 0 {
				at = 2*float64(rest%n)/float64(max(n-1, 1)) - 1
			}
			base[p*axes+i] = float32(at)
			rest /= n
		}
	}
	return func(in, out []Tensor) {
		for i := range out[0].F {
			row, p := i%axes, i/axes%points
			m := in[0].F[(i/axes/points*axes+row)*(axes+1):]
			sum := m[axes]
			for j, v := range base[p*axes : (p+1)*axes] {
				sum += m[j] * v
			}
			out[0].F[i] = sum
		}
	}, nil
}
