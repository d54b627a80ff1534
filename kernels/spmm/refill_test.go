package spmm

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/kernels/isa"
)

// TestWithValues fills a weight by the order that packed indices come out in,
// and compares with the weight packed as it is.
func TestWithValues(t *testing.T) {
	const cols = 50
	rng := rand.New(rand.NewPCG(7, 8))
	for _, i := range isa.Supported() {
		for _, rows := range []int{1, 4, 13, 64} {
			for _, r := range []int{1, 2, 4} {
				vector := i.Lanes() * 4
				a := Addressing{Block: 16}
				for k := range cols {
					a.Offsets = append(a.Offsets, uint32(k*3*vector))
				}
				bind := func(w []float32) *Product {
					t.Helper()
					packed, err := PackDense(rows, w, r, a)
					if err != nil {
						t.Fatal(err)
					}
					p, err := NewProduct(i, packed, 1, Geometry{YChan: 3 * vector}, []Tile{{Shape: Shape{1, 3}}}, Epilogue{})
					if err != nil {
						t.Fatal(err)
					}
					return p
				}
				index, w, x := make([]float32, rows*cols), make([]float32, rows*cols), make([]float32, cols*3*i.Lanes())
				for n := range w {
					index[n], w[n] = float32(n), rng.Float32()-0.5
				}
				for n := range x {
					x[n] = rng.Float32() - 0.5
				}
				form := bind(index)
				val := make([]float32, len(form.Values()))
				p := form.WithValues(val)
				for n, from := range form.Values() {
					val[n] = w[int(from)]
				}
				var y [2][]float32
				for n, p := range []*Product{p, bind(w)} {
					y[n] = make([]float32, rows*3*i.Lanes())
					p.Run(Buffers{X: x, Y: y[n]}, 0, p.Units())
				}
				if !slices.Equal(y[0], y[1]) {
					t.Errorf("%v, %d rows by %d: a weight that was filled differs from one that was packed", i, rows, r)
				}
			}
		}
	}
}

func TestWithValuesOfAnotherSize(t *testing.T) {
	w, err := PackDense(1, []float32{1}, 1, Addressing{Offsets: []uint32{0}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewProduct(isa.Generic, w, 1, Geometry{}, []Tile{{Shape: Shape{1, 1}}}, Epilogue{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("values of another size were taken")
		}
	}()
	p.WithValues(make([]float32, len(p.Values())+1))
}
