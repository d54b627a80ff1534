package spmv

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/kernels/internal/guard"
	"github.com/nnz-dev/nnz/kernels/isa"
)

// eachColumnForm runs a test for the forms by columns on every instruction set
// that this machine has.
func eachColumnForm(t *testing.T, f func(t *testing.T, k Kernel, rng *rand.Rand)) {
	for _, i := range isa.Supported() {
		for _, form := range []Form{FormColumns, FormMasked} {
			k := Kernel{ISA: i, Form: form}
			t.Run(panelName(k), func(t *testing.T) { f(t, k, rand.New(rand.NewPCG(uint64(i), uint64(form)))) })
		}
	}
}

func panelName(k Kernel) string {
	return map[Form]string{FormColumns: "axpy_", FormMasked: "masked_"}[k.Form] + k.ISA.String()
}

// activations returns normal numbers of which about a share are zeros of either
// sign.
func activations(rng *rand.Rand, n int, zeros float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
		if rng.Float64() < zeros {
			x[i] = float32(math.Copysign(0, float64(x[i])))
		}
	}
	return x
}

// TestRunActive leaves out activations up to a threshold, and compares with the
// same kernels where these are zeros that are multiplied, to the bit, and with the
// reference.
func TestRunActive(t *testing.T) {
	shapes := []struct{ rows, cols int }{{1, 1}, {3, 40}, {10, 100}, {16, 16}, {100, 300}, {129, 65}, {300, 784}, {517, 33}}
	eachColumnForm(t, func(t *testing.T, k Kernel, rng *rand.Rand) {
		for _, s := range shapes {
			for n, threshold := range []float32{0, 0.3, 1, 100} {
				e := epilogues[n%len(epilogues)]
				e.Bias = activations(rng, s.rows, 0)
				w := random(rng, s.rows, s.cols, 1, []float64{0.5, 0.1, 1, 0}[n])
				p := product(t, k, pack(t, k, s.rows, s.cols, w), e)
				x := activations(rng, s.cols, 0.4)
				a := NewActive(s.cols)
				a.Pick(x, threshold)
				left := 0
				for i, v := range x {
					if math.Abs(float64(v)) <= float64(threshold) {
						x[i] = 0
						left++
					}
				}
				if a.Len() != s.cols-left {
					t.Fatalf("%d of %d picked, want all but %d", a.Len(), s.cols, left)
				}
				y, all := make([]float32, s.rows), make([]float32, s.rows)
				p.RunActive(y, a, 0, 1)
				p.Run(all, x, 1, 0, 1)
				if !slices.Equal(y, all) {
					t.Fatalf("%v, threshold %v: leaving out zeros makes a difference", s, threshold)
				}
				want, magnitude := reference(s.rows, s.cols, w, x, e)
				for i := range y {
					if bound := float64(a.Len()+2) * 0x1p-24 * magnitude[i]; !(math.Abs(float64(y[i])-want[i]) <= bound) {
						t.Fatalf("%v, threshold %v: y[%d] is %v, want %v +- %v", s, threshold, i, y[i], want[i], bound)
					}
				}
				for _, shares := range []int{2, 3, 7} {
					parts := make([]float32, s.rows)
					for i := range shares {
						p.RunActive(parts, a, i, shares)
					}
					if !slices.Equal(parts, y) {
						t.Fatalf("%v in %d shares differs", s, shares)
					}
				}
			}
		}
	})
}

// TestPieces has panels that take several calls of a kernel, which give what one
// would.
func TestPieces(t *testing.T) {
	eachColumnForm(t, func(t *testing.T, k Kernel, rng *rand.Rand) {
		rows := panelHeights(k.ISA, k.Form, math.MaxInt)[0]
		cols := 2*denseBytes/(4*rows) + 100
		w := random(rng, rows, cols, 1, 0.5)
		e := Epilogue{Clamp: true, Min: 0, Max: 1}
		p := product(t, k, pack(t, k, rows, cols, w), e)
		a := NewActive(cols)
		x := activations(rng, cols, 0.1)
		a.Pick(x, 0)
		if a.Len() < denseBytes/(4*rows) {
			t.Fatal("one call takes all")
		}
		y := make([]float32, rows)
		p.RunActive(y, a, 0, 1)
		want, magnitude := reference(rows, cols, w, x, e)
		for i := range y {
			if bound := float64(cols+2) * 0x1p-24 * magnitude[i]; !(math.Abs(float64(y[i])-want[i]) <= bound) {
				t.Fatalf("y[%d] is %v, want %v +- %v", i, y[i], want[i], bound)
			}
		}
	})
}

// TestPanelHeights checks that rows are cut into high panels where there are enough
// for threads to share, and that all are there.
func TestPanelHeights(t *testing.T) {
	for _, i := range isa.Supported() {
		all := panelHeights(i, FormColumns, math.MaxInt)
		for _, rows := range []int{1, all[0], minPanels*all[0] - 1, minPanels * all[0], minPanels*all[0] + 3} {
			w, err := PackColumns(i, rows, 2, make([]float32, 2*rows))
			if err != nil {
				t.Fatal(err)
			}
			next := 0
			for _, p := range w.parts {
				for _, e := range p.entries {
					if int(e.row) != next || int(e.count) > p.r || int(e.count) < p.r && int(e.row+e.count) != rows {
						t.Fatalf("%d rows on %v: entry %+v of a panel of %d rows", rows, i, e, p.r)
					}
					next += int(e.count)
				}
			}
			if high := w.parts[0].r == all[0]; next != rows || high != (rows >= minPanels*all[0]) {
				t.Errorf("%d rows on %v: the first panel is of %d, %d rows in all", rows, i, w.parts[0].r, next)
			}
		}
	}
}

// TestSpecial checks what becomes of NaN and Inf: as activations they are above
// every threshold and reach the rows that have a weight for them; as weights they
// are not seen where the activation is left out.
func TestSpecial(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		threshold float32
		x         []float32
		picked    []int32
	}{
		{0, []float32{0, float32(math.Copysign(0, -1)), math.SmallestNonzeroFloat32, -1, nan, inf, -inf}, []int32{2, 3, 4, 5, 6}},
		{1, []float32{1, -1, 1.0000001, -1.0000001, nan, -nan, inf, -inf}, []int32{2, 3, 4, 5, 6, 7}},
		{math.MaxFloat32, []float32{math.MaxFloat32, nan, inf}, []int32{1, 2}},
		{inf, []float32{inf, nan, -inf, 3}, []int32{1}},
		{5, []float32{1, 2, 3}, nil},
		{5, nil, nil},
	} {
		a := NewActive(len(c.x))
		a.Pick(c.x, c.threshold)
		if !slices.Equal(a.columns[:a.n], c.picked) {
			t.Errorf("%v above %v: %v picked, want %v", c.x, c.threshold, a.columns[:a.n], c.picked)
		}
	}
	const rows, cols = 70, 20
	eachColumnForm(t, func(t *testing.T, k Kernel, rng *rand.Rand) {
		w := random(rng, rows, cols, 1, 0.5)
		for i := range rows {
			w[i*cols+7] = []float32{inf, nan, -inf}[i%3]
		}
		p := product(t, k, pack(t, k, rows, cols, w), Epilogue{})
		x := activations(rng, cols, 0)
		x[7] = 0.25
		a, y := NewActive(cols), make([]float32, rows)
		a.Pick(x, 0.25)
		p.RunActive(y, a, 0, 1)
		for i, v := range y {
			if v != v || math.IsInf(float64(v), 0) {
				t.Errorf("y[%d] is %v, though the activation is left out", i, v)
			}
		}
		a.Pick(x, 0.2)
		p.RunActive(y, a, 0, 1)
		for i, v := range y {
			if v == v && !math.IsInf(float64(v), 0) {
				t.Errorf("y[%d] is %v, want an infinite one or NaN", i, v)
			}
		}
	})
}

// TestActiveFences puts activations and outputs against pages that may not be
// touched, with few picked and many.
func TestActiveFences(t *testing.T) {
	eachColumnForm(t, func(t *testing.T, k Kernel, rng *rand.Rand) {
		for n := range 30 {
			rows, cols := 1+rng.IntN(300), 1+rng.IntN(90)
			p := product(t, k, pack(t, k, rows, cols, random(rng, rows, cols, 1, rng.Float64())), Epilogue{})
			a := NewActive(cols)
			columns, x := guard.Slices[int32](t, len(a.columns)), guard.Slices[float32](t, len(a.x))
			y := guard.Slices[float32](t, rows)
			a.columns, a.x = columns[n%2], x[n%2]
			a.Pick(activations(rng, cols, float64(n)/29), 0)
			p.RunActive(y[n%2], a, 0, 1)
		}
	})
}

func TestActiveAllocates(t *testing.T) {
	eachColumnForm(t, func(t *testing.T, k Kernel, rng *rand.Rand) {
		p := product(t, k, pack(t, k, 333, 80, random(rng, 333, 80, 1, 0.2)), Epilogue{})
		y, x, a := make([]float32, 333), activations(rng, 80, 0.5), NewActive(80)
		if n := testing.AllocsPerRun(10, func() { a.Pick(x, 0.1); p.RunActive(y, a, 0, 1) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// TestActiveMisuse checks that what does not fit panics, and touches nothing.
func TestActiveMisuse(t *testing.T) {
	w := make([]float32, 12*20)
	byRow, err := PackDense(12, 20, w)
	if err != nil {
		t.Fatal(err)
	}
	byColumn, err := PackColumns(isa.Generic, 12, 20, w)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		run  func()
	}{
		{"a weight by rows", func() { product(t, Kernel{}, byRow, Epilogue{}).RunActive(make([]float32, 12), NewActive(20), 0, 1) }},
		{"another length", func() { product(t, Kernel{}, byColumn, Epilogue{}).RunActive(make([]float32, 12), NewActive(19), 0, 1) }},
		{"a short y", func() { product(t, Kernel{}, byColumn, Epilogue{}).RunActive(make([]float32, 11), NewActive(20), 0, 1) }},
		{"no room", func() { NewActive(19).Pick(make([]float32, 20), 0) }},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", c.name)
				}
			}()
			c.run()
		}()
	}
	if _, err := PackColumns(isa.Generic, 12, 21, w); err == nil {
		t.Error("PackColumns with too few weights: no error")
	}
	if _, err := PackColumns(isa.Generic, 0, 21, nil); err == nil {
		t.Error("PackColumns of no rows: no error")
	}
}

// BenchmarkActive compares products that leave activations out with those that
// do not, on weights that stay in L3 and from memory.
func BenchmarkActive(b *testing.B) {
	have := isa.Supported()
	best := have[len(have)-1]
	for _, s := range []struct{ rows, cols int }{{3072, 768}, {4096, 4096}} {
		for _, density := range []float64{1, 0.5, 0.2, 0.1} {
			rng := rand.New(rand.NewPCG(1, 1))
			w := random(rng, s.rows, s.cols, 1, density)
			for _, form := range []Form{FormDense, FormTiles, FormColumns, FormMasked} {
				k := Kernel{ISA: best, Form: form}
				p := product(b, k, pack(b, k, s.rows, s.cols, w), Epilogue{})
				for _, zeros := range []float64{0, 0.25, 0.5, 0.7, 0.9} {
					x, y, a := activations(rng, s.cols, zeros), make([]float32, s.rows), NewActive(s.cols)
					byColumn := form == FormColumns || form == FormMasked
					if !byColumn && zeros > 0 {
						continue
					}
					b.Run(fmt.Sprintf("%dx%d/%.1f/%s/%.2f", s.rows, s.cols, density, p.Kernel(), zeros), func(b *testing.B) {
						for b.Loop() {
							if byColumn {
								a.Pick(x, 0)
								p.RunActive(y, a, 0, 1)
							} else {
								p.Run(y, x, 1, 0, 1)
							}
						}
					})
				}
			}
		}
	}
}
