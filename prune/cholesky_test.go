package prune

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// positive returns a random positive definite n x n matrix.
func positive(seed uint64, n int) []float64 {
	r := rand.New(rand.NewPCG(seed, 1))
	x := make([]float64, n*(n+8))
	for i := range x {
		x[i] = r.NormFloat64()
	}
	a := make([]float64, n*n)
	for i := range n {
		for j := range n {
			a[i*n+j] = dot(x[i*(n+8):][:n+8], x[j*(n+8):][:n+8])
		}
	}
	return a
}

// inverse inverts an n x n matrix by Gauss-Jordan elimination with pivoting.
func inverse(a []float64, n int) []float64 {
	w := make([]float64, n*2*n)
	for i := range n {
		copy(w[i*2*n:], a[i*n:(i+1)*n])
		w[i*2*n+n+i] = 1
	}
	row := func(i int) []float64 { return w[i*2*n : (i+1)*2*n] }
	for k := range n {
		best := k
		for i := k; i < n; i++ {
			if math.Abs(row(i)[k]) > math.Abs(row(best)[k]) {
				best = i
			}
		}
		for j := range 2 * n {
			row(k)[j], row(best)[j] = row(best)[j], row(k)[j]
		}
		p := row(k)[k]
		for j := range row(k) {
			row(k)[j] /= p
		}
		for i := range n {
			if i != k {
				axpy(row(i), -row(i)[k], row(k))
			}
		}
	}
	out := make([]float64, n*n)
	for i := range n {
		copy(out[i*n:(i+1)*n], row(i)[n:])
	}
	return out
}

// Sizes below, at and beyond the block of the factorization.
var sizes = []int{1, 2, 5, 63, 64, 65, 130, 200}

func TestCholesky(t *testing.T) {
	for _, n := range sizes {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			a := positive(1, n)
			l := append([]float64(nil), a...)
			if !cholesky(l, n) {
				t.Fatal("not positive definite")
			}
			for i := range n {
				for j := range i + 1 {
					if got := dot(l[i*n:i*n+j+1], l[j*n:j*n+j+1]); math.Abs(got-a[i*n+j]) > 1e-9*float64(n) {
						t.Fatalf("element %d, %d of the product is %g, want %g", i, j, got, a[i*n+j])
					}
				}
			}
			m := invertLower(l, n)
			for i := range n {
				for j := range n {
					sum, want := 0.0, 0.0
					for k := j; k <= i; k++ {
						sum += l[i*n+k] * m[k*n+j]
					}
					if i == j {
						want = 1
					}
					if math.Abs(sum-want) > 1e-9 || j > i && m[i*n+j] != 0 {
						t.Fatalf("element %d, %d of L times its inverse is %g", i, j, sum)
					}
				}
			}
			x, b := make([]float64, n), make([]float64, n)
			for i := range x {
				x[i] = float64(i%5) - 2
			}
			for i := range b {
				b[i] = dot(a[i*n:(i+1)*n], x)
			}
			solveLower(l, b)
			for i := range x {
				if math.Abs(b[i]-x[i]) > 1e-6 {
					t.Fatalf("unknown %d is %g, want %g", i, b[i], x[i])
				}
			}
		})
	}
}

func TestNotPositiveDefinite(t *testing.T) {
	for _, a := range [][]float64{{0}, {-1}, {math.NaN()}, {math.Inf(1)}, {1, 2, 2, 1}} {
		n := int(math.Sqrt(float64(len(a))))
		if cholesky(append([]float64(nil), a...), n) {
			t.Errorf("%v has a factor", a)
		}
	}
}

func TestInverseFactor(t *testing.T) {
	for _, n := range sizes {
		h := positive(2, n)
		const damping = 0.5
		damped := append([]float64(nil), h...)
		for i := range n {
			damped[i*n+i] += damping
		}
		want := inverse(damped, n)
		u, ok := inverseFactor(h, n, damping)
		if !ok {
			t.Fatal("not positive definite")
		}
		for i := range n {
			for j := range n {
				sum := 0.0
				for k := range n {
					sum += u[k*n+i] * u[k*n+j]
				}
				if math.Abs(sum-want[i*n+j]) > 1e-9 || j < i && u[i*n+j] != 0 {
					t.Fatalf("n %d: element %d, %d of UᵀU is %g, want %g", n, i, j, sum, want[i*n+j])
				}
			}
		}
	}
}

func BenchmarkInverseFactor(b *testing.B) {
	for _, n := range []int{576, 1152, 3072} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := make([]float64, n*n)
			for i := range n {
				for j := range n {
					h[i*n+j] = 1 / float64(1+max(i-j, j-i))
				}
			}
			for b.Loop() {
				if _, ok := inverseFactor(h, n, 0.01); !ok {
					b.Fatal("not positive definite")
				}
			}
		})
	}
}
