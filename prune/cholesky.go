package prune

import "math"

// choleskyBlock is how many columns are factored before the rest of the matrix
// is updated with all of them.
const choleskyBlock = 64

// cholesky replaces the lower triangle of a symmetric n x n matrix a by L, with
// L·Lᵀ = a, and reports whether a is positive definite. What lies above the
// diagonal is neither read nor kept.
func cholesky(a []float64, n int) bool {
	for k := 0; k < n; k += choleskyBlock {
		end := min(k+choleskyBlock, n)
		for j := k; j < end; j++ {
			row := a[j*n:]
			d := row[j] - dot(row[k:j], row[k:j])
			if !(d > 0) || math.IsInf(d, 0) {
				return false
			}
			d = math.Sqrt(d)
			row[j] = d
			for i := j + 1; i < end; i++ {
				r := a[i*n:]
				r[j] = (r[j] - dot(r[k:j], row[k:j])) / d
			}
		}
		rest := n - end
		parallel((rest+tileRows-1)/tileRows, func(t int) {
			for i := end + t*tileRows; i < min(end+(t+1)*tileRows, n); i++ {
				r := a[i*n:]
				for j := k; j < end; j++ {
					r[j] = (r[j] - dot(r[k:j], a[j*n+k:j*n+j])) / a[j*n+j]
				}
			}
		})
		if rest == 0 {
			break
		}
		left, right := newPanels(tileRows, rest, end-k), newPanels(tileCols, rest, end-k)
		for i := range rest {
			for j, x := range a[(end+i)*n+k : (end+i)*n+end] {
				left.set(i, j, x)
				right.set(i, j, x)
			}
		}
		addProduct(a[end*n+end:], n, left, right, -1, lower)
	}
	return true
}

// invertLower returns the inverse of the lower triangular n x n matrix l, which
// is lower triangular, too, with zeros above its diagonal.
func invertLower(l []float64, n int) []float64 {
	m := make([]float64, n*n)
	for k := 0; k < n; k += choleskyBlock {
		end := min(k+choleskyBlock, n)
		// Rows of the inverse from k on: first -L·M of the rows before, then
		// forward substitution inside of the block.
		if k > 0 {
			left, right := newPanels(tileRows, end-k, k), newPanels(tileCols, k, k)
			for i := k; i < end; i++ {
				for j, x := range l[i*n : i*n+k] {
					left.set(i-k, j, x)
				}
			}
			for i := range k {
				for j, x := range m[i*n : i*n+i+1] {
					right.set(j, i, x)
				}
			}
			addProduct(m[k*n:], n, left, right, -1, late)
		}
		for i := k; i < end; i++ {
			row := m[i*n:][:i+1]
			row[i] = 1
			for p := k; p < i; p++ {
				axpy(row[:p+1], -l[i*n+p], m[p*n:p*n+p+1])
			}
			d := 1 / l[i*n+i]
			for j := range row {
				row[j] *= d
			}
		}
	}
	return m
}

// solveLower replaces b by the solution x of l·lᵀ·x = b, for the lower
// triangular n x n matrix l.
func solveLower(l, b []float64) {
	n := len(b)
	for i := range b {
		b[i] = (b[i] - dot(l[i*n:i*n+i], b[:i])) / l[i*n+i]
	}
	for i := n - 1; i >= 0; i-- {
		b[i] /= l[i*n+i]
		axpy(b[:i], -b[i], l[i*n:i*n+i])
	}
}

// inverseFactor returns the upper triangular U with UᵀU = (h + damping·I)⁻¹,
// for the symmetric n x n matrix h, and reports whether there is one. Row i of
// U tells how the inputs from i on make up for a change of input i, when those
// before it are fixed.
func inverseFactor(h []float64, n int, damping float64) ([]float64, bool) {
	// A Cholesky factorization from the last row on, h = R·Rᵀ with an upper R,
	// has U = R⁻¹: no need for the inverse itself.
	a := make([]float64, n*n)
	for i := range n {
		for j := range i + 1 {
			a[i*n+j] = h[(n-1-i)*n+n-1-j]
		}
		a[i*n+i] += damping
	}
	if !cholesky(a, n) {
		return nil, false
	}
	m := invertLower(a, n)
	for i, j := 0, n*n-1; i < j; i, j = i+1, j-1 {
		m[i], m[j] = m[j], m[i]
	}
	return m, true
}

func dot(a, b []float64) float64 {
	var s0, s1, s2, s3 float64
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return (s0 + s1) + (s2 + s3)
}

// axpy adds f·x to y.
func axpy(y []float64, f float64, x []float64) {
	x = x[:len(y)]
	for i := range y {
		y[i] += f * x[i]
	}
}
