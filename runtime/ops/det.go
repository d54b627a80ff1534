package ops

import "math"

// buildDet binds Det: the determinants of a stack of square matrices, by
// Gaussian elimination with partial pivoting.
func buildDet(s *site) (Compute, error) {
	shape := s.in[0].Shape
	n := shape[len(shape)-1]
	work := newScratch[float32](n * n)
	return func(in, out []Tensor) {
		m := work.get()
		defer work.put(m)
		for i := range out[0].F {
			copy(m, in[0].F[i*n*n:])
			out[0].F[i] = det(m, n)
		}
	}, nil
}

// det returns the determinant of a matrix of n rows, which it overwrites.
func det(m []float32, n int) float32 {
	d := 1.0
	for k := range n {
		pivot, best := k, -1.0
		for r := k; r < n; r++ {
			if v := math.Abs(float64(m[r*n+k])); v > best || v != v {
				pivot, best = r, v
			}
		}
		if best == 0 {
			return 0
		}
		top := m[k*n : (k+1)*n]
		if pivot != k {
			d = -d
			for i, v := range m[pivot*n : (pivot+1)*n] {
				m[pivot*n+i], top[i] = top[i], v
			}
		}
		d *= float64(top[k])
		for r := k + 1; r < n; r++ {
			row := m[r*n : (r+1)*n]
			f := row[k] / top[k]
			for i := k; i < n; i++ {
				row[i] -= f * top[i]
			}
		}
	}
	return float32(d)
}
