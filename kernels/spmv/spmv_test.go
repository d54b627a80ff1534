package spmv

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/kernels/internal/guard"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/sparse"
)

// blockRows returns how many rows of a random matrix for a kernel are alike.
func blockRows(k Kernel) int {
	if k.Form == FormBlocks {
		return k.R
	}
	return 1
}

// random returns a rows x cols matrix with a density of whole blocks of r x 1.
func random(rng *rand.Rand, rows, cols, r int, density float64) []float32 {
	w := make([]float32, rows*cols)
	for m := 0; m < rows; m += r {
		d := density * 2 * rng.Float64() // rows differ
		for k := range cols {
			if rng.Float64() < d {
				for i := m; i < min(m+r, rows); i++ {
					w[i*cols+k] = float32(rng.NormFloat64())
				}
			}
		}
	}
	return w
}

// pack makes the weight that a kernel takes of a dense matrix.
func pack(t testing.TB, k Kernel, rows, cols int, w []float32) *Weight {
	t.Helper()
	m, err := sparse.FromDense(rows, cols, w)
	if err != nil {
		t.Fatal(err)
	}
	var packed *Weight
	switch {
	case k.Form == FormDense:
		packed, err = PackDense(rows, cols, w)
	case k.Form == FormColumns:
		packed = packColumns(k.heights(), rows, cols, w)
	case k.Form == FormMasked:
		packed = packMasked(k.heights(), m)
	case k.Form == FormTiles && cols >= TileCols:
		packed, _, err = packTiles(m)
	case k.Form == FormTiles || k.R == 1:
		packed, err = PackCSR(m)
	default:
		packed, err = PackBSR(m.BSR(k.R, 1))
	}
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// heights are those of panels that a kernel by columns and the one for what is left
// over make, or where it has no height all that there are.
func (k Kernel) heights() []int {
	all := panelHeights(k.ISA, k.Form, math.MaxInt)
	if k.R == 0 {
		return all
	}
	return slices.Compact([]int{k.R, all[len(all)-1]})
}

// eachKernel runs a test for every kernel that this machine can run, and says
// which it cannot.
func eachKernel(t *testing.T, f func(t *testing.T, k Kernel, rng *rand.Rand)) {
	have := isa.Supported()
	for i, k := range Kernels() {
		t.Run(k.Name, func(t *testing.T) {
			if !slices.Contains(have, k.ISA) {
				t.Skipf("this machine has no %v", k.ISA)
			}
			f(t, k, rand.New(rand.NewPCG(7, uint64(i))))
		})
	}
}

func product(t testing.TB, k Kernel, w *Weight, e Epilogue) *Product {
	t.Helper()
	p, err := NewProduct(k.ISA, w, e)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestKernelTable(t *testing.T) {
	names := map[string]bool{}
	for _, k := range Kernels() {
		name := fmt.Sprintf("f32_spmv_%dx1n%d_%v", k.R, k.Cols, k.ISA)
		switch k.Form {
		case FormDense:
			name = fmt.Sprintf("f32_gemv_%dn%d_%v", k.R, k.Cols, k.ISA)
		case FormTiles:
			name = fmt.Sprintf("f32_spmv_%dx%dn%d_%v", k.R, TileCols, k.Cols, k.ISA)
			if k.R != tileRows {
				t.Errorf("%s: tiles have %d rows", name, tileRows)
			}
		case FormColumns:
			name = fmt.Sprintf("f32_axpy_%d_%v", k.R, k.ISA)
		case FormMasked:
			name = fmt.Sprintf("f32_masked_%d_%v", k.R, k.ISA)
		}
		if k.Name != name {
			t.Errorf("%s is named %s", name, k.Name)
		}
		if names[k.Name] {
			t.Errorf("%s is there twice", k.Name)
		}
		names[k.Name] = true
		if k.Form == FormDense && denseRows%k.R != 0 {
			t.Errorf("%s: %d rows do not divide %d", k.Name, k.R, denseRows)
		}
	}
	for _, i := range isa.Supported() {
		for _, n := range widths {
			for _, r := range Blocks() {
				if name := fmt.Sprintf("f32_spmv_%dx1n%d_%v", r, n, i); !names[name] {
					t.Errorf("no %s", name)
				}
			}
			if !slices.ContainsFunc(Kernels(), func(k Kernel) bool { return k.Form == FormDense && k.Cols == n && k.ISA == i }) {
				t.Errorf("no dense kernel for %d columns on %v", n, i)
			}
		}
		for _, form := range []Form{FormColumns, FormMasked} {
			if heights := panelHeights(i, form, math.MaxInt); len(heights) < 2 {
				t.Errorf("panels of %v rows on %v", heights, i)
			}
		}
	}
}

var epilogues = []Epilogue{
	{},
	{Clamp: true, Min: 0, Max: float32(math.Inf(1))},
	{Clamp: true, Min: -1, Max: 0.5},
}

func TestAgainstReference(t *testing.T) {
	shapes := []struct{ rows, cols int }{
		{1, 1}, {2, 3}, {3, 16}, {4, 31}, {5, 32}, {7, 33}, {10, 84}, {16, 15}, {17, 65}, {31, 100}, {16, 64}, {48, 128}, {33, 257}, {120, 400}, {67, 1031},
	}
	eachKernel(t, func(t *testing.T, k Kernel, rng *rand.Rand) {
		for _, s := range shapes {
			for n, density := range []float64{0, 0.05, 0.1, 0.4, 1} {
				checkProduct(t, k, rng, s.rows, s.cols, density, epilogues[(n+s.rows)%len(epilogues)])
			}
		}
	})
}

// TestShapes has every number of rows and of columns up to 70.
func TestShapes(t *testing.T) {
	eachKernel(t, func(t *testing.T, k Kernel, rng *rand.Rand) {
		for n := 1; n <= 70; n++ {
			for _, density := range []float64{0.1, 0.5} {
				e := epilogues[n%len(epilogues)]
				checkProduct(t, k, rng, n, 1+rng.IntN(150), density, e)
				checkProduct(t, k, rng, 1+rng.IntN(70), n, density, e)
			}
		}
	})
}

// TestPanels has more columns than 16 bits count.
func TestPanels(t *testing.T) {
	eachKernel(t, func(t *testing.T, k Kernel, rng *rand.Rand) {
		if k.Form == FormColumns || k.Form == FormMasked {
			return // they have no panels of columns
		}
		for n, density := range []float64{0.00002, 0.001} {
			checkProduct(t, k, rng, 17, 2*panel+5, density, epilogues[n])
		}
	})
}

// checkProduct runs a random weight with guards around y, all of it and in
// shares.
func checkProduct(t *testing.T, k Kernel, rng *rand.Rand, rows, cols int, density float64, e Epilogue) {
	t.Helper()
	w := random(rng, rows, cols, blockRows(k), density)
	if rng.IntN(3) > 0 {
		e.Bias = make([]float32, rows)
		for i := range e.Bias {
			e.Bias[i] = float32(rng.NormFloat64())
		}
	}
	packed := pack(t, k, rows, cols, w)
	p := product(t, k, packed, e)
	x := make([]float32, k.Cols*cols+3)[3:]
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	const guard = 0x1.6a09e6p77
	const margin = 19
	all := make([]float32, margin+k.Cols*rows+64)
	for i := range all {
		all[i] = guard
	}
	y := all[margin:][:k.Cols*rows]
	p.Run(y, x, k.Cols, 0, 1)
	for i, v := range all {
		if (i < margin || i >= margin+len(y)) && v != guard {
			t.Fatalf("%d x %d: element %d outside y was written", rows, cols, i-margin)
		}
	}
	want, magnitude := reference(rows, cols, w, x, e)
	for i := range y {
		nonzeros := 0
		for _, v := range w[i%rows*cols:][:cols] {
			if v != 0 {
				nonzeros++
			}
		}
		if bound := float64(nonzeros+2) * 0x1p-24 * magnitude[i]; !(math.Abs(float64(y[i])-want[i]) <= bound) {
			t.Fatalf("%d x %d, density %v: y[%d] is %v, want %v +- %v", rows, cols, density, i, y[i], want[i], bound)
		}
	}
	for _, shares := range []int{2, 3, 7} {
		parts := make([]float32, len(y))
		for s := range shares {
			p.Run(parts, x, k.Cols, s, shares)
		}
		if !slices.Equal(parts, y) {
			t.Fatalf("%d x %d in %d shares differs", rows, cols, shares)
		}
	}
}

// TestColumns runs column counts that take several kernels.
func TestColumns(t *testing.T) {
	const rows, cols = 37, 90
	for _, i := range isa.Supported() {
		rng := rand.New(rand.NewPCG(3, uint64(i)))
		w := random(rng, rows, cols, 4, 0.3)
		for _, k := range []Kernel{{ISA: i, Form: FormDense}, {ISA: i, Form: FormBlocks, R: 1}, {ISA: i, Form: FormBlocks, R: 4}, {ISA: i, Form: FormTiles}} {
			p := product(t, k, pack(t, k, rows, cols, w), Epilogue{})
			for n := range 12 {
				x, y := make([]float32, n*cols), make([]float32, n*rows)
				for j := range x {
					x[j] = float32(rng.NormFloat64())
				}
				p.Run(y, x, n, 0, 1)
				want, magnitude := reference(rows, cols, w, x, Epilogue{})
				for j := range y {
					if bound := (cols + 2) * 0x1p-24 * magnitude[j]; math.Abs(float64(y[j])-want[j]) > bound {
						t.Fatalf("%s, %d columns: y[%d] is %v, want %v", p.Kernel(), n, j, y[j], want[j])
					}
				}
			}
		}
	}
}

// TestNaN checks that a NaN or Inf in x reaches exactly the rows that use it,
// through the clamp too.
func TestNaN(t *testing.T) {
	const rows, cols = 21, 77
	eachKernel(t, func(t *testing.T, k Kernel, rng *rand.Rand) {
		w := random(rng, rows, cols, blockRows(k), 0.3)
		if k.Form == FormDense || k.Form == FormColumns {
			for i := range w {
				w[i] += 2 // no zeros
			}
		}
		e := Epilogue{Clamp: true, Min: -3, Max: 3}
		p := product(t, k, pack(t, k, rows, cols, w), e)
		for at := range cols {
			x, y := make([]float32, k.Cols*cols), make([]float32, k.Cols*rows)
			for i := range x {
				x[i] = float32(rng.NormFloat64())
			}
			c := rng.IntN(k.Cols)
			x[c*cols+at] = []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}[at%3]
			p.Run(y, x, k.Cols, 0, 1)
			want, _ := reference(rows, cols, w, x, e)
			for i := range y {
				if wantNaN := want[i] != want[i]; wantNaN != (y[i] != y[i]) || !wantNaN && math.Abs(float64(y[i])-want[i]) > 1e-4 {
					t.Fatalf("x[%d] is %v: y[%d] is %v, want %v", at, x[c*cols+at], i, y[i], want[i])
				}
			}
		}
	})
}

// TestFences puts everything that a kernel reads and writes against pages that
// may not be touched.
func TestFences(t *testing.T) {
	eachKernel(t, func(t *testing.T, k Kernel, rng *rand.Rand) {
		for rows := 1; rows < 20; rows++ {
			cols := 1 + rng.IntN(140)
			w, bias := guard.Slices[float32](t, rows*cols), guard.Slices[float32](t, rows)
			x, y := guard.Slices[float32](t, k.Cols*cols), guard.Slices[float32](t, k.Cols*rows)
			for side := range 2 {
				copy(w[side], random(rng, rows, cols, blockRows(k), 0.3))
				packed := pack(t, k, rows, cols, w[side])
				for i := range packed.parts {
					p := &packed.parts[i]
					p.entries = moved(t, p.entries, side)
					p.col = moved(t, p.col, side)
					p.index = moved(t, p.index, side)
					p.order = moved(t, p.order, side)
					p.starts = moved(t, p.starts, side)
					p.val = moved(t, p.val, side)
				}
				product(t, k, packed, Epilogue{Bias: bias[side]}).Run(y[side], x[side], k.Cols, 0, 1)
			}
		}
	})
}

// moved returns a fenced copy.
func moved[T any](t *testing.T, s []T, side int) []T {
	m := guard.Slices[T](t, len(s))[side]
	copy(m, s)
	return m
}

func TestPack(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for _, i := range isa.Supported() {
		for _, c := range []struct {
			rows, cols int
			density    float64
			tiles      bool // where there are kernels for them
		}{
			{100, 300, 0.2, true},
			{1000, 640, 0.02, true},
			{15, 300, 0.2, true},
			{16, 64000, 0.001, false}, // tiles would be empty
			{2, 300, 0.2, false},
			{100, 63, 0.2, false},
		} {
			w := random(rng, c.rows, c.cols, 1, c.density)
			m, err := sparse.FromDense(c.rows, c.cols, w)
			if err != nil {
				t.Fatal(err)
			}
			packed, err := Pack(i, m)
			if err != nil {
				t.Fatal(err)
			}
			if packed.NNZ() != m.NNZ() {
				t.Errorf("%d nonzeros of %d packed", packed.NNZ(), m.NNZ())
			}
			p := product(t, Kernel{ISA: i}, packed, Epilogue{})
			want := fmt.Sprintf("f32_spmv_1x1n1_%v", i)
			if c.tiles && i == isa.AVX512 {
				want = "f32_spmv_16x64n1_avx512"
			}
			if p.Kernel() != want {
				t.Errorf("%d x %d, density %v, on %v: kernel %s, want %s", c.rows, c.cols, c.density, i, p.Kernel(), want)
			}
		}
	}
}

// TestTiles checks how many steps tiles have, and that each weight is in one.
func TestTiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for _, c := range []struct {
		name       string
		rows, cols int
		keep       func(row, col int) bool
		steps      int // of all tiles
	}{
		{"dense", 32, 128, func(row, col int) bool { return true }, 4 * 64},
		{"empty", 32, 128, func(row, col int) bool { return false }, 0},
		{"one row", 16, 64, func(row, col int) bool { return row == 5 }, 32}, // shared with the lane before
		{"a row of two", 16, 64, func(row, col int) bool { return row%2 == 0 }, 32},
		{"one weight", 16, 64, func(row, col int) bool { return row == 0 && col == 63 }, 1},
		{"half a group", 8, 64, func(row, col int) bool { return col < 9 }, 5}, // 72 weights in 16 lanes
		{"overlap", 16, 65, func(row, col int) bool { return col == 1 || col == 64 }, 2},
		{"random", 160, 640, func(row, col int) bool { return rng.IntN(10) == 0 }, -1},
	} {
		w := make([]float32, c.rows*c.cols)
		for i := range w {
			if c.keep(i/c.cols, i%c.cols) {
				w[i] = float32(i + 1)
			}
		}
		m, err := sparse.FromDense(c.rows, c.cols, w)
		if err != nil {
			t.Fatal(err)
		}
		packed, _, err := packTiles(m)
		if err != nil {
			t.Fatal(err)
		}
		p := packed.parts[0]
		got, steps, at := make([]float32, len(w)), 0, 0
		for _, e := range p.entries {
			for step := range int(e.count) {
				for lane := range tileRows {
					i, v := p.index[at+indexAt(step, int(e.count), lane)], p.val[at+step*tileRows+lane]
					if i&absent != 0 {
						if i != absent || v != 0 {
							t.Errorf("%s: absent weight %v has index %#x", c.name, v, i)
						}
						continue
					}
					if i&next != 0 {
						lane = (lane + 1) % tileRows
					}
					got[int(p.order[int(e.row)+lane])*c.cols+int(e.base)+int(i&(TileCols-1))] += v
				}
			}
			at += int(e.count) * tileRows
			steps += int(e.count)
		}
		if !slices.Equal(got, w) {
			t.Errorf("%s: tiles hold other weights", c.name)
		}
		if c.steps >= 0 && steps != c.steps {
			t.Errorf("%s: %d steps, want %d", c.name, steps, c.steps)
		}
		if full := float64(m.NNZ()) / tileRows; c.name == "random" && float64(steps) > 1.2*full {
			t.Errorf("random: %d steps, of which %.0f would be full", steps, full)
		}
	}
}

func TestWeight(t *testing.T) {
	m, err := sparse.NewCSR(4, 70000, []int{0, 2, 2, 3, 6}, []int32{1, 69999, 5, 0, 65535, 65536}, []float32{1, 2, 3, 4, 5, 6})
	if err != nil {
		t.Fatal(err)
	}
	w, err := PackCSR(m)
	if err != nil {
		t.Fatal(err)
	}
	if rows, cols := w.Dims(); rows != 4 || cols != 70000 || w.NNZ() != 6 {
		t.Errorf("%d x %d with %d nonzeros, want 4 x 70000 with 6", rows, cols, w.NNZ())
	}
	want := []entry{
		{3, 2, 0, partial}, {3, 1, panel, later},
		{0, 1, 0, partial}, {0, 1, panel, later},
		{2, 1, 0, 0},
		{1, 0, 0, 0},
	}
	p := w.parts[0]
	if !slices.Equal(p.entries, want) {
		t.Errorf("entries %v, want %v", p.entries, want)
	}
	if want := []uint16{0, 65535, 0, 1, 4463, 5}; !slices.Equal(p.col, want) {
		t.Errorf("columns %v, want %v", p.col, want)
	}
	if want := []float32{4, 5, 6, 1, 2, 3}; !slices.Equal(p.val, want) {
		t.Errorf("values %v, want %v", p.val, want)
	}
	if want := 6*16 + 6*6 + 2*16; w.Bytes() != want {
		t.Errorf("%d bytes, want %d", w.Bytes(), want)
	}
}

// TestChunks checks that chunks divide the entries and never a row.
func TestChunks(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for _, r := range Blocks() {
		w := pack(t, Kernel{Form: FormBlocks, R: r}, 331, 900, random(rng, 331, 900, r, 0.2))
		for _, p := range w.parts {
			if p.chunks[0] != (chunk{}) || p.chunks[len(p.chunks)-1] != (chunk{len(p.entries), len(p.val)}) {
				t.Fatalf("blocks of %d: chunks %v do not cover %d entries", p.r, p.chunks, len(p.entries))
			}
			blocks, next := 0, 0
			for i, e := range p.entries {
				if p.chunks[next].entry == i {
					if p.chunks[next].val != blocks*p.r || e.flags&later != 0 {
						t.Fatalf("blocks of %d: chunk %d starts at %v, want block %d", p.r, next, p.chunks[next], blocks)
					}
					next++
				}
				blocks += int(e.count)
			}
			if next != len(p.chunks)-1 {
				t.Fatalf("blocks of %d: %d of %d chunks start at an entry", p.r, next, len(p.chunks)-1)
			}
		}
	}
	p := pack(t, Kernel{Form: FormTiles, R: tileRows}, 331, 900, random(rng, 331, 900, 1, 0.2)).parts[0]
	if n := len(p.chunks); n < 3 || p.chunks[0] != (chunk{}) || p.chunks[n-1] != p.end() {
		t.Fatalf("tiles: chunks %v do not cover %d entries", p.chunks, len(p.entries))
	}
	for _, c := range p.chunks[1:] {
		if p.entries[c.entry-1].flags&partial != 0 {
			t.Fatalf("tiles: a chunk starts at entry %d, in the middle of a group", c.entry)
		}
	}
}

func TestErrors(t *testing.T) {
	w := make([]float32, 64)
	m, err := sparse.FromDense(8, 8, w)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := PackDense(8, 9, w); err == nil {
		t.Error("PackDense with too few weights: no error")
	}
	if _, err := PackDense(0, 8, nil); err == nil {
		t.Error("PackDense of no rows: no error")
	}
	for _, b := range [][2]int{{3, 1}, {4, 4}, {32, 1}} {
		if _, err := PackBSR(m.BSR(b[0], b[1])); err == nil {
			t.Errorf("PackBSR of blocks of %v: no error", b)
		}
	}
	dense, err := PackDense(8, 8, w)
	if err != nil {
		t.Fatal(err)
	}
	nan := float32(math.NaN())
	for _, e := range []Epilogue{{Bias: w[:7]}, {Clamp: true, Min: nan, Max: 1}, {Clamp: true, Min: 0, Max: nan}} {
		if _, err := NewProduct(isa.Generic, dense, e); err == nil {
			t.Errorf("NewProduct with %+v: no error", e)
		}
	}
	p, err := NewProduct(isa.Generic, dense, Epilogue{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range [][2]int{{7, 8}, {8, 7}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Run with y of %d and x of %d: no panic", n[0], n[1])
				}
			}()
			p.Run(make([]float32, n[0]), make([]float32, n[1]), 1, 0, 1)
		}()
	}
}

func TestAllocates(t *testing.T) {
	eachKernel(t, func(t *testing.T, k Kernel, rng *rand.Rand) {
		p := product(t, k, pack(t, k, 33, 80, random(rng, 33, 80, blockRows(k), 0.2)), Epilogue{})
		y, x := make([]float32, 33*k.Cols), make([]float32, 80*k.Cols)
		if n := testing.AllocsPerRun(10, func() { p.Run(y, x, k.Cols, 0, 1) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
