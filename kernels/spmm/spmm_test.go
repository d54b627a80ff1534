package spmm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/nnz-dev/nnz/kernels/internal/guard"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/sparse"
)

// A testCase is a product with everything that the reference needs.
type testCase struct {
	isa isa.ISA
	packing
	step  int
	rows  int
	w     []float32 // rows x len(addr.Offsets)
	addr  Addressing
	geo   Geometry
	tiles []Tile
	epi   Epilogue
	buf   Buffers
	// guardStart is that of the spec.
	guardStart bool
}

// A packing says how a weight is packed: by PackNM, PackMixed or PackDense
// where one of these is set, else by PackCSR or PackBSR.
type packing struct {
	r     int
	dense bool
	nm    [2]int // N of M columns
	mixed int    // blocks have at least so many nonzeros, the rest is scattered
}

// packings lists one of every kind, and every R.
func packings() []packing {
	list := []packing{{r: 1}, {r: 1, nm: [2]int{2, 4}}, {r: 1, nm: [2]int{1, 4}}, {r: 1, nm: [2]int{3, 7}}}
	for _, r := range Blocks() {
		list = append(list, packing{r: r, dense: true})
		if r > 1 {
			list = append(list, packing{r: r}, packing{r: r, mixed: 2})
		}
	}
	return list
}

func (p packing) String() string {
	switch {
	case p.dense:
		return fmt.Sprintf("dense%d", p.r)
	case p.nm[1] > 0:
		return fmt.Sprintf("nm%d:%d", p.nm[0], p.nm[1])
	case p.mixed > 0:
		return fmt.Sprintf("mixed%dx1", p.r)
	}
	return fmt.Sprintf("bsr%dx1", p.r)
}

// spec says what newCase makes.
type spec struct {
	isa isa.ISA
	packing
	step              int
	grid              []Shape // tiles, one beside the other
	rows, cols        int
	density           float64
	groups            int
	block, chunk      int
	residual, inPlace bool
	bias, clamp       bool
	guardStart        bool // buffers begin, rather than end, at a page without access
}

// newCase makes a case of random numbers whose buffers have not one float32
// more than the tiles reach, with gaps between rows and channels.
func newCase(t *testing.T, s spec, rng *rand.Rand) testCase {
	lanes := s.isa.Lanes()
	vec := 4 * lanes
	groups := max(s.groups, 1)
	c := testCase{isa: s.isa, packing: s.packing, step: s.step, rows: s.rows, guardStart: s.guardStart}
	maxRows, maxCols := 0, 0
	for _, g := range s.grid {
		maxRows, maxCols = max(maxRows, g.Rows), max(maxCols, g.Cols)
	}
	tileX := (maxCols-1)*s.step*vec + vec + 4 // bytes of a row of a tile, and a gap
	tileY := maxCols*vec + 8
	c.geo = Geometry{XRow: tileX + 12, YRow: tileY + 4, ResRow: tileY}
	n := len(s.grid)
	c.geo.YChan = n*maxRows*c.geo.YRow + 16
	c.geo.ResChan = n*maxRows*c.geo.ResRow + 4
	if s.inPlace {
		c.geo.ResRow, c.geo.ResChan = c.geo.YRow, c.geo.YChan
	}
	c.addr = Addressing{Groups: s.groups, Block: s.block, Chunk: s.chunk}
	xChan := n*maxRows*c.geo.XRow + 20
	for k := range s.cols {
		c.addr.Offsets = append(c.addr.Offsets, uint32(k*xChan))
	}
	// Activations of columns lie in any order.
	rng.Shuffle(s.cols, func(i, j int) {
		o := c.addr.Offsets
		o[i], o[j] = o[j], o[i]
	})
	c.addr.GroupStride = uint32(s.cols * xChan)
	for i, g := range s.grid {
		c.tiles = append(c.tiles, Tile{g, i * maxRows * c.geo.XRow / 4, i * maxRows * c.geo.YRow / 4, i * maxRows * c.geo.ResRow / 4})
	}
	// reach is how far the tiles go, of which at tells where each begins.
	reach := func(at func(Tile) int, base, row, col int) int {
		most := 0
		for _, t := range c.tiles {
			most = max(most, at(t)+(base+(t.Rows-1)*row+(t.Cols-1)*col+vec)/4)
		}
		return most
	}
	side := 0
	if s.guardStart {
		side = 1
	}
	random := func(n int) []float32 {
		list := guard.Slices[float32](t, n)[side]
		for i := range list {
			list[i] = float32(rng.NormFloat64())
		}
		return list
	}
	c.buf.X = random(reach(func(t Tile) int { return t.X }, (groups*s.cols-1)*xChan, c.geo.XRow, vec*s.step))
	c.buf.Y = random(reach(func(t Tile) int { return t.Y }, (s.rows-1)*c.geo.YChan, c.geo.YRow, vec))
	if s.residual {
		c.buf.Res = random(reach(func(t Tile) int { return t.Res }, (s.rows-1)*c.geo.ResChan, c.geo.ResRow, vec))
		if s.inPlace {
			for i := range c.tiles {
				c.tiles[i].Res = c.tiles[i].Y
			}
			c.buf.Res = c.buf.Y
		}
	}
	c.w = s.weights(rng)
	c.epi = Epilogue{Residual: s.residual, Clamp: s.clamp, Min: -0.75, Max: 1.25}
	if s.bias {
		c.epi.Bias = random(s.rows)
	}
	return c
}

// weights makes a weight of a density, in blocks as it will be packed. With
// scattered elements, those are a tenth as many.
func (s spec) weights(rng *rand.Rand) []float32 {
	w := make([]float32, s.rows*s.cols)
	set := func(row, k int) { w[row*s.cols+k] = float32(rng.NormFloat64()) }
	for i := 0; i < s.rows; i += s.r {
		for k := range s.cols {
			if rng.Float64() < s.density {
				for j := i; j < min(i+s.r, s.rows); j++ {
					set(j, k)
				}
			}
			if s.mixed > 0 && rng.Float64() < s.density/10 {
				set(min(i+rng.IntN(s.r), s.rows-1), k)
			}
		}
	}
	if n, m := s.nm[0], s.nm[1]; m > 0 {
		for row := range s.rows {
			for g := 0; g < s.cols; g += m {
				group := w[row*s.cols+g : row*s.cols+min(g+m, s.cols)]
				for _, k := range rng.Perm(len(group))[min(n, len(group)):] {
					group[k] = 0
				}
			}
		}
	}
	return w
}

// pack packs the weight as the case says.
func (c testCase) pack() (*Weight, error) {
	if c.dense {
		return PackDense(c.rows, c.w, c.r, c.addr)
	}
	m, err := sparse.FromDense(c.rows, len(c.addr.Offsets), c.w)
	if err != nil {
		return nil, err
	}
	switch {
	case c.nm[1] > 0:
		nm, err := m.NM(c.nm[0], c.nm[1])
		if err != nil {
			return nil, err
		}
		return PackNM(nm, c.addr)
	case c.mixed > 0:
		blocks, rest := m.Split(c.r, 1, c.mixed)
		return PackMixed(blocks, rest, c.addr)
	case c.r == 1:
		return PackCSR(m, c.addr)
	}
	return PackBSR(m.BSR(c.r, 1), c.addr)
}

// guardedCopy returns a copy of a list that ends where a page without access
// begins, or begins where such a page ends.
func guardedCopy[T any](t *testing.T, list []T, atStart bool) []T {
	out := guard.Slices[T](t, len(list))[0]
	if atStart {
		out = guard.Slices[T](t, len(list))[1]
	}
	copy(out, list)
	return out
}

// product packs and binds.
func (c testCase) product(t *testing.T) *Product {
	t.Helper()
	w, err := c.pack()
	if err != nil {
		t.Fatal(err)
	}
	// Kernels read the lists of the weight to their end, not past it.
	w.entries, w.pairs = guardedCopy(t, w.entries, c.guardStart), guardedCopy(t, w.pairs, c.guardStart)
	w.off, w.val = guardedCopy(t, w.off, c.guardStart), guardedCopy(t, w.val, c.guardStart)
	p, err := NewProduct(c.isa, w, c.step, c.geo, c.tiles, c.epi)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(c.buf); err != nil {
		t.Fatal(err)
	}
	return p
}

// check runs the product and compares Y with the reference; what tiles do not
// cover must not change.
func (c testCase) check(t *testing.T) {
	t.Helper()
	want, bound := c.reference()
	before := slices.Clone(c.buf.Y)
	p := c.product(t)
	p.Run(c.buf, 0, p.Units())
	// Prefetching changes nothing but time.
	got := slices.Clone(c.buf.Y)
	copy(c.buf.Y, before)
	p.flags ^= prefetch
	p.Run(c.buf, 0, p.Units())
	for i, y := range c.buf.Y {
		if math.Float32bits(y) != math.Float32bits(got[i]) {
			t.Fatalf("y[%d] = %g or %g, by prefetching", i, y, got[i])
		}
	}
	bad := 0
	for i, y := range c.buf.Y {
		switch {
		case bound[i] < 0:
			if math.Float32bits(y) == math.Float32bits(before[i]) {
				continue
			}
			t.Errorf("y[%d] = %g: outside of the tiles, was %g", i, y, before[i])
		case math.IsNaN(want[i]) && y != y, math.IsInf(want[i], 0) && float64(y) == want[i]:
			continue
		case math.Abs(float64(y)-want[i]) <= bound[i]:
			continue
		default:
			t.Errorf("y[%d] = %g, want %g within %g", i, y, want[i], bound[i])
		}
		if bad++; bad > 5 {
			t.FailNow()
		}
	}
}

// isas lists the instruction sets that run here and have kernels.
func isas() []isa.ISA {
	var list []isa.ISA
	for _, k := range runnable() {
		if !slices.Contains(list, k.ISA) {
			list = append(list, k.ISA)
		}
	}
	return list
}

// runnable lists the kernels that this processor runs.
func runnable() []Kernel {
	var list []Kernel
	for _, k := range Kernels() {
		if slices.Contains(isa.Supported(), k.ISA) {
			list = append(list, k)
		}
	}
	return list
}

func TestKernelNames(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kernels() {
		rows := fmt.Sprint(k.R, "x")
		if k.Pair {
			rows = "pair_"
		}
		want := fmt.Sprintf("f32_spmm_%s%dx%ds%d_%v", rows, k.Tile.Rows, k.Tile.Cols, k.Step, k.ISA)
		if k.Name != want {
			t.Errorf("kernel %s is named %s", want, k.Name)
		}
		if seen[k.Name] {
			t.Errorf("%s is there twice", k.Name)
		}
		seen[k.Name] = true
		if got, ok := lookup(k.ISA, k.R, k.Pair, k.Tile, k.Step); !ok || got.Name != k.Name {
			t.Errorf("lookup of %s gives %q", k.Name, got.Name)
		}
		// The rest of a mixed weight takes the tiles of its blocks, and rows
		// without a partner those of pairs.
		if _, ok := lookup(k.ISA, 1, false, k.Tile, k.Step); !ok {
			t.Errorf("beside %s there is none of one row", k.Name)
		}
		if _, ok := lookup(k.ISA, 1, true, k.Tile, k.Step); !ok && k.R > 1 {
			t.Errorf("beside %s there is none of pairs", k.Name)
		}
		if k.Tile.Cols > maxPart || k.Tile.Rows > maxPart {
			t.Errorf("%s is larger than Cover looks", k.Name)
		}
	}
}

// uses reports whether some run goes on a kernel.
func (p *Product) uses(name string) bool {
	for n, chunk := range p.w.chunks {
		for _, r := range chunk.runs {
			for _, c := range p.cover[p.classes[n]*len(p.tiles)] {
				if c.kernels[r.kind].Name == name {
					return true
				}
			}
		}
	}
	return false
}

// TestKernel compares every kernel with the float64 reference, for weights
// that exercise each of its paths, between pages that fault.
func TestKernel(t *testing.T) {
	for _, k := range runnable() {
		t.Run(k.Name, func(t *testing.T) {
			unit := k.R // rows that it takes at once
			if k.Pair {
				unit = 2
			}
			base := spec{isa: k.ISA, packing: packing{r: k.R}, step: k.Step, grid: []Shape{k.Tile}, rows: 3 * unit, cols: 11, density: 0.4}
			used := false
			for name, change := range map[string]func(*spec){
				"plain":    func(*spec) {},
				"empty":    func(s *spec) { s.density, s.bias, s.clamp = 0, true, true },
				"full":     func(s *spec) { s.density, s.bias = 1, true },
				"dense":    func(s *spec) { s.dense = true },
				"one":      func(s *spec) { s.rows, s.cols, s.density = unit, 1, 1 },
				"two":      func(s *spec) { s.rows, s.cols, s.density = unit, 2, 1 },
				"three":    func(s *spec) { s.rows, s.cols, s.density = unit, 3, 1 },
				"clamp":    func(s *spec) { s.clamp, s.bias = true, true },
				"residual": func(s *spec) { s.residual, s.bias = true, true },
				"in place": func(s *spec) { s.residual, s.inPlace, s.bias, s.clamp = true, true, true, true },
				"blocks":   func(s *spec) { s.cols, s.block, s.bias, s.clamp = 40, 7, true, true },
				"all": func(s *spec) {
					s.cols, s.block, s.residual, s.inPlace, s.bias, s.clamp = 40, 16, true, true, true, true
				},
				"chunks": func(s *spec) { s.cols, s.block, s.chunk, s.clamp = 40, 16, k.R, true },
				"mixed": func(s *spec) {
					s.mixed, s.cols, s.block, s.residual, s.inPlace, s.bias, s.clamp = 2, 60, 16, true, true, true, true
				},
				"nm": func(s *spec) {
					s.r, s.nm, s.cols, s.block, s.bias, s.clamp = 1, [2]int{2, 4}, 38, 14, true, true
				},
				"depthwise": func(s *spec) { s.dense, s.groups, s.cols, s.bias, s.clamp = true, 3, 9, true, true },
			} {
				t.Run(name, func(t *testing.T) {
					rng := rand.New(rand.NewPCG(1, 2))
					for _, start := range []bool{false, true} {
						s := base
						s.guardStart = start
						change(&s)
						if s.r == 1 && !k.Pair && s.groups == 0 {
							s.groups = s.rows // rows of one group are paired
						}
						c := newCase(t, s, rng)
						c.check(t)
						used = used || c.product(t).uses(k.Name)
					}
				})
			}
			if !used {
				t.Error("no case ran on it")
			}
		})
	}
}

// TestProduct compares whole products: ragged rows, tiles of several shapes
// that have no kernel of their own, groups, K-blocks and chunks.
func TestProduct(t *testing.T) {
	for _, i := range isas() {
		for n, s := range []spec{
			{packing: packing{r: 1}, rows: 37, cols: 29, density: 0.1, grid: []Shape{{3, 5}, {2, 7}, {1, 13}}},
			{packing: packing{r: 1}, rows: 64, cols: 90, density: 0.05, block: 20, chunk: 10, bias: true, clamp: true, grid: []Shape{{1, 8}, {1, 3}}},
			{packing: packing{r: 2}, rows: 13, cols: 31, density: 0.3, block: 8, grid: []Shape{{5, 3}}},
			{packing: packing{r: 4}, rows: 27, cols: 33, density: 0.2, chunk: 9, bias: true, grid: []Shape{{4, 4}, {1, 1}}},
			{packing: packing{r: 8}, rows: 31, cols: 33, density: 0.2, block: 10, bias: true, clamp: true, grid: []Shape{{1, 7}}},
			{packing: packing{r: 4, dense: true}, rows: 10, cols: 12, block: 5, bias: true, grid: []Shape{{2, 6}, {2, 6}}},
			{packing: packing{r: 8, dense: true}, rows: 15, cols: 12, residual: true, grid: []Shape{{1, 5}}},
			{packing: packing{r: 4, dense: true}, rows: 18, cols: 6, groups: 3, bias: true, grid: []Shape{{2, 2}}},
			{packing: packing{r: 4, dense: true}, rows: 18, cols: 6, groups: 3, block: 4, chunk: 4, grid: []Shape{{2, 2}}},
			{packing: packing{r: 1}, rows: 18, cols: 20, density: 0.3, groups: 3, block: 8, bias: true, grid: []Shape{{1, 9}}},
			{packing: packing{r: 2}, rows: 12, cols: 20, density: 0.3, groups: 3, bias: true, grid: []Shape{{1, 9}}},
			{packing: packing{r: 1, dense: true}, rows: 17, cols: 9, groups: 17, bias: true, clamp: true, grid: []Shape{{4, 14}}},
			{packing: packing{r: 1, nm: [2]int{2, 4}}, rows: 37, cols: 29, density: 0.9, bias: true, grid: []Shape{{3, 5}, {2, 7}}},
			{packing: packing{r: 1, nm: [2]int{1, 4}}, rows: 18, cols: 34, density: 0.9, groups: 3, block: 10, chunk: 4, clamp: true, grid: []Shape{{1, 9}}},
			{packing: packing{r: 1, nm: [2]int{3, 40}}, rows: 9, cols: 90, density: 1, block: 30, bias: true, grid: []Shape{{1, 5}}},
			{packing: packing{r: 2, mixed: 2}, rows: 13, cols: 61, density: 0.3, block: 8, bias: true, clamp: true, grid: []Shape{{5, 3}}},
			{packing: packing{r: 4, mixed: 3}, rows: 27, cols: 63, density: 0.2, block: 21, chunk: 9, bias: true, residual: true, clamp: true, grid: []Shape{{4, 4}, {1, 1}}},
			{packing: packing{r: 8, mixed: 2}, rows: 31, cols: 63, density: 0.1, block: 10, residual: true, inPlace: true, clamp: true, grid: []Shape{{1, 7}}},
			{packing: packing{r: 4, mixed: 2}, rows: 24, cols: 40, density: 0.1, groups: 3, block: 16, bias: true, clamp: true, grid: []Shape{{1, 9}}},
			{packing: packing{r: 4, mixed: 5}, rows: 12, cols: 40, density: 0.2, block: 16, bias: true, clamp: true, grid: []Shape{{1, 6}}}, // the rest has all
		} {
			for step := 1; step <= 2; step++ {
				t.Run(fmt.Sprintf("%v/%d/step %d", i, n, step), func(t *testing.T) {
					s.isa, s.step = i, step
					newCase(t, s, rand.New(rand.NewPCG(3, uint64(n)))).check(t)
				})
			}
		}
	}
}

// TestShapes goes through every number of rows, columns and vectors up to 70,
// each with every packing, and from weights that are all zeros to such without
// any: every tail there is, between pages that fault.
func TestShapes(t *testing.T) {
	densities := []float64{0.1, 0, 0.5, 1}
	for _, i := range isas() {
		for _, p := range packings() {
			t.Run(fmt.Sprintf("%v/%v", i, p), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(11, uint64(p.r)))
				for n := 1; n <= 70; n++ {
					for dim, s := range []spec{
						{rows: n, cols: 13, grid: []Shape{{1, 3}}},
						{rows: 9, cols: n, grid: []Shape{{1, 3}}, block: 16},
						{rows: 9, cols: 13, grid: []Shape{{1, n}}},
					} {
						s.isa, s.packing, s.step = i, p, 1+n%2
						s.density = densities[(n+dim)%len(densities)]
						s.bias, s.clamp, s.residual, s.guardStart = true, n%3 == 0, n%5 == 0, n%4 < 2
						newCase(t, s, rng).check(t)
					}
				}
			})
		}
	}
}

// TestBitIdentical: neither chunks nor the order of units change a result.
func TestBitIdentical(t *testing.T) {
	for _, i := range isas() {
		for _, pack := range packings() {
			s := spec{isa: i, packing: pack, step: 1, rows: 2*Band + 50, cols: 60, density: 0.2, block: 16, bias: true, clamp: true,
				grid: []Shape{{2, 7}, {1, 5}}}
			c := newCase(t, s, rand.New(rand.NewPCG(5, 6)))
			p := c.product(t)
			clear(c.buf.Y)
			p.Run(c.buf, 0, p.Units())
			want := slices.Clone(c.buf.Y)
			for _, chunk := range []int{8, Band + 50} {
				c.addr.Chunk = chunk
				p := c.product(t)
				if p.Units() <= len(c.tiles) {
					t.Fatalf("%d units with chunks of %d rows", p.Units(), chunk)
				}
				clear(c.buf.Y)
				for u := p.Units() - 1; u >= 0; u-- {
					p.Run(c.buf, u, u+1)
				}
				for n, y := range c.buf.Y {
					if want[n] != y {
						t.Fatalf("%v, %v, chunk %d: y[%d] = %g, want %g", i, pack, chunk, n, y, want[n])
					}
				}
			}
		}
	}
}

// TestNonFinite: NaN and Inf go through multiply, add and clamp, except through
// absent weights.
func TestNonFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, k := range runnable() {
		for _, pack := range packings() {
			if pack.r != k.R {
				continue
			}
			s := spec{isa: k.ISA, packing: pack, step: k.Step, grid: []Shape{k.Tile}, rows: 4 * k.R, cols: 9, density: 0.3, bias: true, clamp: true}
			c := newCase(t, s, rand.New(rand.NewPCG(7, 8)))
			lanes := k.ISA.Lanes()
			for col, v := range []float32{nan, inf, -inf} {
				for l := range lanes / 2 {
					c.buf.X[int(c.addr.Offsets[col])/4+2*l] = v
				}
			}
			t.Run(k.Name+"/"+pack.String(), c.check)
		}
	}
}

// TestISAsAgree compares each instruction set with the portable kernels.
func TestISAsAgree(t *testing.T) {
	// 16 lanes as one AVX-512 vector, two of AVX2, four of four lanes.
	const rows, cols, floats = 24, 50, 16 * 7
	rng := rand.New(rand.NewPCG(9, 10))
	x, w := make([]float32, cols*floats), make([]float32, rows*cols)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	for i := range w {
		if rng.Float64() < 0.3 {
			w[i] = float32(rng.NormFloat64())
		}
	}
	m, err := sparse.FromDense(rows, cols, w)
	if err != nil {
		t.Fatal(err)
	}
	var want []float32
	for _, i := range isas() {
		a := Addressing{Block: 20}
		for k := range cols {
			a.Offsets = append(a.Offsets, uint32(k*floats*4))
		}
		weight, err := PackCSR(m, a)
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewProduct(i, weight, 1, Geometry{YChan: floats * 4}, []Tile{{Shape: Shape{1, floats / i.Lanes()}}}, Epilogue{Clamp: true, Min: 0, Max: 6})
		if err != nil {
			t.Fatal(err)
		}
		y := make([]float32, rows*floats)
		p.Run(Buffers{X: x, Y: y}, 0, p.Units())
		if want == nil {
			want = y
			continue
		}
		for n := range y {
			if d := math.Abs(float64(y[n] - want[n])); d > 1e-5 {
				t.Fatalf("%v: y[%d] = %g, generic %g", i, n, y[n], want[n])
			}
		}
	}
}

func TestRunDoesNotAllocate(t *testing.T) {
	for _, i := range isas() {
		s := spec{isa: i, packing: packing{r: 4, mixed: 2}, step: 1, rows: 18, cols: 30, density: 0.2, block: 8, grid: []Shape{{2, 7}}, residual: true}
		c := newCase(t, s, rand.New(rand.NewPCG(1, 1)))
		p := c.product(t)
		if n := testing.AllocsPerRun(10, func() { p.Run(c.buf, 0, p.Units()) }); n != 0 {
			t.Errorf("%v: %v allocations", i, n)
		}
	}
}

// TestCheck: one float32 less in any buffer is an error.
func TestCheck(t *testing.T) {
	s := spec{isa: isa.Generic, packing: packing{r: 2}, step: 2, rows: 6, cols: 7, density: 0.5, groups: 1, grid: []Shape{{2, 3}, {3, 2}}, residual: true}
	c := newCase(t, s, rand.New(rand.NewPCG(1, 1)))
	p := c.product(t)
	for name, b := range map[string]Buffers{
		"activations": {c.buf.X[1:], c.buf.Y, c.buf.Res},
		"output":      {c.buf.X, c.buf.Y[1:], c.buf.Res},
		"residual":    {c.buf.X, c.buf.Y, c.buf.Res[1:]},
	} {
		if p.Check(b) == nil {
			t.Errorf("short %s pass", name)
		}
	}
}

func TestBadArguments(t *testing.T) {
	offsets := []uint32{0, 64, 128}
	w := make([]float32, 4*3)
	for name, f := range map[string]func() (*Weight, error){
		"no rows":         func() (*Weight, error) { return PackDense(0, nil, 1, Addressing{Offsets: offsets}) },
		"no columns":      func() (*Weight, error) { return PackDense(4, nil, 1, Addressing{}) },
		"weights missing": func() (*Weight, error) { return PackDense(4, w[1:], 1, Addressing{Offsets: offsets}) },
		"block of 3":      func() (*Weight, error) { return PackDense(4, w, 3, Addressing{Offsets: offsets}) },
		"3 groups":        func() (*Weight, error) { return PackDense(4, w, 1, Addressing{Offsets: offsets, Groups: 3}) },
		"negative groups": func() (*Weight, error) { return PackDense(4, w, 1, Addressing{Offsets: offsets, Groups: -1}) },
		"negative block":  func() (*Weight, error) { return PackDense(4, w, 1, Addressing{Offsets: offsets, Block: -1}) },
		"negative chunk":  func() (*Weight, error) { return PackDense(4, w, 1, Addressing{Offsets: offsets, Chunk: -1}) },
		"odd offset":      func() (*Weight, error) { return PackDense(4, w, 1, Addressing{Offsets: []uint32{0, 1, 8}}) },
		"odd group stride": func() (*Weight, error) {
			return PackDense(4, w, 1, Addressing{Offsets: offsets, Groups: 2, GroupStride: 2})
		},
		"offset overflow": func() (*Weight, error) {
			return PackDense(4, w, 1, Addressing{Offsets: offsets, Groups: 4, GroupStride: 1 << 31})
		},
		"blocks across groups": func() (*Weight, error) {
			m, err := sparse.FromDense(4, 3, w)
			if err != nil {
				t.Fatal(err)
			}
			return PackBSR(m.BSR(4, 1), Addressing{Offsets: offsets, Groups: 2})
		},
		"another rest": func() (*Weight, error) {
			m, err := sparse.FromDense(4, 3, w)
			if err != nil {
				t.Fatal(err)
			}
			rest, err := sparse.FromDense(3, 3, w[:9])
			if err != nil {
				t.Fatal(err)
			}
			return PackMixed(m.BSR(4, 1), rest, Addressing{Offsets: offsets})
		},
		"N:M of other columns": func() (*Weight, error) {
			m, err := sparse.FromDense(3, 4, w)
			if err != nil {
				t.Fatal(err)
			}
			nm, err := m.NM(2, 4)
			if err != nil {
				t.Fatal(err)
			}
			return PackNM(nm, Addressing{Offsets: offsets})
		},
		"wide blocks": func() (*Weight, error) {
			m, err := sparse.FromDense(4, 3, w)
			if err != nil {
				t.Fatal(err)
			}
			return PackBSR(m.BSR(4, 2), Addressing{Offsets: offsets})
		},
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: packed", name)
		}
	}
	good, err := PackDense(4, w, 4, Addressing{Offsets: offsets})
	if err != nil {
		t.Fatal(err)
	}
	tile := []Tile{{Shape: Shape{1, 1}}}
	for name, f := range map[string]func() (*Product, error){
		"step 3": func() (*Product, error) { return NewProduct(isa.Generic, good, 3, Geometry{}, tile, Epilogue{}) },
		"bias":   func() (*Product, error) { return NewProduct(isa.Generic, good, 1, Geometry{}, tile, Epilogue{Bias: w}) },
		"stride": func() (*Product, error) {
			return NewProduct(isa.Generic, good, 1, Geometry{YChan: -4}, tile, Epilogue{})
		},
		"odd stride": func() (*Product, error) {
			return NewProduct(isa.Generic, good, 1, Geometry{YChan: 6}, tile, Epilogue{})
		},
		"empty tile": func() (*Product, error) { return NewProduct(isa.Generic, good, 1, Geometry{}, []Tile{{}}, Epilogue{}) },
		"before x": func() (*Product, error) {
			return NewProduct(isa.Generic, good, 1, Geometry{}, []Tile{{Shape{1, 1}, -1, 0, 0}}, Epilogue{})
		},
		"unknown ISA": func() (*Product, error) { return NewProduct(isa.ISA(77), good, 1, Geometry{}, tile, Epilogue{}) },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: bound", name)
		}
	}
}

// TestCover: every grid is covered exactly once, by tiles that have kernels.
func TestCover(t *testing.T) {
	for _, i := range isas() {
		for _, r := range Blocks() {
			for step := 1; step <= 2; step++ {
				for rows := range 9 {
					for cols := range 30 {
						seen := make([]int, rows*cols)
						for _, p := range (Fit{ISA: i, R: r, Pairs: r == 1, Step: step, Columns: 100, Density: 0.1}).Cover(Shape{rows, cols}) {
							if _, ok := lookup(i, r, r == 1, p.Shape, step); !ok {
								t.Fatalf("%v: no kernel for %+v", i, p)
							}
							for v := range p.Vectors() {
								seen[(p.Row+v/p.Cols)*cols+p.Col+v%p.Cols]++
							}
						}
						for v, n := range seen {
							if n != 1 {
								t.Fatalf("%v r %d, grid %dx%d: vector %d covered %d times", i, r, rows, cols, v, n)
							}
						}
					}
				}
			}
		}
	}
}

// TestArgsLayout: assembly knows these offsets.
func TestArgsLayout(t *testing.T) {
	var a args
	for want, got := range map[uintptr]uintptr{
		0: unsafe.Offsetof(a.entries), 8: unsafe.Offsetof(a.count), 16: unsafe.Offsetof(a.off), 24: unsafe.Offsetof(a.val),
		32: unsafe.Offsetof(a.bias), 40: unsafe.Offsetof(a.x), 48: unsafe.Offsetof(a.y), 56: unsafe.Offsetof(a.res),
		64: unsafe.Offsetof(a.xRow), 72: unsafe.Offsetof(a.yRow), 80: unsafe.Offsetof(a.resRow), 88: unsafe.Offsetof(a.yChan),
		96: unsafe.Offsetof(a.resChan), 104: unsafe.Offsetof(a.flags), 108: unsafe.Offsetof(a.min), 112: unsafe.Offsetof(a.max),
	} {
		if unsafe.Sizeof(a.x) == 8 && want != got {
			t.Errorf("field at %d, assembly reads %d", got, want)
		}
	}
}

// TestBlock: K-blocks are whole features, of like size, and shrink where more
// weights are present or the tile reads more.
func TestBlock(t *testing.T) {
	for _, i := range isa.Supported() {
		for _, r := range Blocks() {
			for _, taps := range []int{1, 9} {
				last := math.MaxInt
				for _, density := range []float64{0, 0.05, 0.1, 0.5, 1} {
					f := Fit{ISA: i, R: r, Step: 1, Columns: 1000 * taps, Density: density, Taps: taps,
						Footprint: func(s Shape) int { return (s.Rows + 2) * (s.Cols + 2) }}
					n := f.Block(Shape{2, 7})
					if n < taps || n%taps != 0 || n > last || f.Block(Shape{1, 2}) < n {
						t.Errorf("%v r %d density %g, %d taps: block of %d after %d", i, r, density, taps, n, last)
					}
					if rest := f.Columns % n; rest > 0 && n-rest > taps*(f.Columns/n+1) {
						t.Errorf("%v r %d density %g, %d taps: blocks of %d, the last %d", i, r, density, taps, n, rest)
					}
					last = n
				}
			}
		}
	}
}

func TestPeak(t *testing.T) {
	for _, i := range []isa.ISA{isa.AVX2, isa.AVX512} {
		got := Peak(i)
		if runs := slices.Contains(isas(), i); runs != (got > 0) {
			t.Errorf("%v: %v GF/s", i, got)
		}
		if got > 0 && (got < 1 || got > 2000) {
			t.Errorf("%v: %v GF/s from one core", i, got)
		}
	}
}

// TestLoads reads streams up to pages without access.
func TestLoads(t *testing.T) {
	for _, i := range isas() {
		loads := loadsOf(i)
		for blocks := 1; blocks <= 3; blocks++ {
			stream := blocks * loadBlock * i.Lanes()
			for _, x := range guard.Slices[float32](t, loadStreams*stream) {
				for passes := 1; passes <= 2; passes++ {
					loads(&x[0], 4*stream, blocks, passes)
				}
			}
		}
		if got := LoadRate(i, 16<<10); got <= 0 || got > 5000 {
			t.Errorf("%v: %v GB/s to one core", i, got)
		}
	}
	for _, i := range []isa.ISA{isa.AVX2, isa.AVX512, isa.NEON} {
		if !slices.Contains(isas(), i) && LoadRate(i, 1) != 0 {
			t.Errorf("%v cannot run, but reads", i)
		}
	}
}

// TestUniform: wherever a row of vectors is cut, results are the same.
func TestUniform(t *testing.T) {
	for _, i := range isas() {
		for _, pack := range packings() {
			for _, n := range []int{8, 9, 13, 17} {
				s := spec{isa: i, packing: pack, step: 1, rows: Band + 39, cols: 60, density: 0.3, block: 25, bias: true, grid: []Shape{{1, n}}}
				c := newCase(t, s, rand.New(rand.NewPCG(11, 12)))
				fit := Fit{ISA: i, R: pack.r, Step: 1, Pairs: pack.r == 1 && !pack.dense, Columns: s.cols, Density: 1, Taps: 1}
				run := func(cuts ...int) []float32 {
					c.tiles = nil
					for k, lo := range cuts[:len(cuts)-1] {
						for _, p := range fit.Cover(Shape{1, cuts[k+1] - lo}) {
							at := (lo + p.Col) * i.Lanes()
							c.tiles = append(c.tiles, Tile{Shape: p.Shape, X: at, Y: at, Res: at})
						}
					}
					p := c.product(t)
					clear(c.buf.Y)
					p.Run(c.buf, 0, p.Units())
					return slices.Clone(c.buf.Y)
				}
				want := run(0, n)
				for _, at := range []int{Uniform, n / 2, n - Uniform} {
					for k, y := range run(0, at, n) {
						if y != want[k] {
							t.Fatalf("%v, %v: %d vectors, cut at %d: y[%d] = %g, in one go %g", i, pack, n, at, k, y, want[k])
						}
					}
				}
			}
		}
	}
}
