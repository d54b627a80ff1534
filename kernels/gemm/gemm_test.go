package gemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/nnz-dev/nnz/kernels/internal/guard"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/kernels/spmm"
)

// A testCase is a product with everything that the reference needs.
type testCase struct {
	isa   isa.ISA
	rows  int
	w     []float32 // rows x len(addr.Offsets)
	addr  spmm.Addressing
	geo   Geometry
	tiles []Tile
	epi   spmm.Epilogue
	buf   spmm.Buffers
	side  int // of the pages that may not be touched
}

// spec says what newCase makes.
type spec struct {
	isa               isa.ISA
	lanes             []Lanes // of the tiles
	rows, cols        int
	groups            int
	residual, inPlace bool
	bias, clamp       bool
	side              int
}

// newCase makes a case of random numbers whose buffers have not one float32
// more than the tiles reach, with gaps between channels. Lanes that hold
// nothing have NaN.
func newCase(t *testing.T, s spec, rng *rand.Rand) testCase {
	lanes, groups := s.isa.Lanes(), max(s.groups, 1)
	c := testCase{isa: s.isa, rows: s.rows, side: s.side}
	xChan, yChan, resChan := len(s.lanes)*lanes+5, len(s.lanes)*lanes+3, len(s.lanes)*lanes+1
	if s.inPlace {
		resChan = yChan
	}
	c.geo = Geometry{YChan: 4 * yChan, ResChan: 4 * resChan}
	c.addr = spmm.Addressing{Groups: s.groups, GroupStride: uint32(4 * s.cols * xChan)}
	for _, k := range rng.Perm(s.cols) { // activations of columns lie in any order
		c.addr.Offsets = append(c.addr.Offsets, uint32(4*k*xChan))
	}
	for i, l := range s.lanes {
		c.tiles = append(c.tiles, Tile{X: i * lanes, Y: i * lanes, Res: i * lanes, Lanes: l})
	}
	random := func(n int) []float32 {
		list := guard.Slices[float32](t, n)[s.side]
		for i := range list {
			list[i] = float32(rng.NormFloat64())
		}
		return list
	}
	end := len(s.lanes) * lanes
	c.buf.X = random((groups*s.cols-1)*xChan + end)
	for k := range groups * s.cols {
		for i, l := range s.lanes {
			for lane := range lanes {
				if !l.has(lane) {
					c.buf.X[k*xChan+i*lanes+lane] = float32(math.NaN())
				}
			}
		}
	}
	c.buf.Y = random((s.rows-1)*yChan + end)
	switch {
	case s.inPlace:
		c.buf.Res = c.buf.Y
	case s.residual:
		c.buf.Res = random((s.rows-1)*resChan + end)
	}
	c.w = random(s.rows * s.cols)
	c.epi = spmm.Epilogue{Residual: s.residual, Clamp: s.clamp, Min: -0.75, Max: 1.25}
	if s.bias {
		c.epi.Bias = random(s.rows)
	}
	return c
}

// product packs and binds.
func (c testCase) product(t *testing.T) *Product {
	t.Helper()
	w, err := Pack(c.isa, c.rows, c.w, c.addr)
	if err != nil {
		t.Fatal(err)
	}
	w.off, w.val = guarded(t, w.off, c.side), guarded(t, w.val, c.side)
	p, err := NewProduct(w, c.geo, c.tiles, c.epi)
	if err != nil {
		t.Fatal(err)
	}
	p.bias = guarded(t, p.bias, c.side)
	if err := p.Check(c.buf); err != nil {
		t.Fatal(err)
	}
	return p
}

// guarded copies a list beside a page that may not be touched.
func guarded[T any](t *testing.T, list []T, side int) []T {
	out := guard.Slices[T](t, len(list))[side]
	copy(out, list)
	return out
}

// reference computes a product in float64, straight from the definition. It
// returns, for each float32 of y that holds an output, the exact result before
// rounding and the bound on what float32 may differ: (columns + 2) * 2^-24 *
// (sum of |w*x| + |bias| + |residual|). In other lanes of the tiles the bound is
// anything, outside of them outside.
func (c testCase) reference() (want, bound []float64) {
	want, bound = make([]float64, len(c.buf.Y)), make([]float64, len(c.buf.Y))
	for i := range bound {
		bound[i] = outside
	}
	perGroup := c.rows / max(c.addr.Groups, 1)
	for _, t := range c.tiles {
		for row := range c.rows {
			for lane := range c.isa.Lanes() {
				y := t.Y + row*c.geo.YChan/4 + lane
				if !t.Lanes.has(lane) {
					bound[y] = anything
					continue
				}
				sum, mag := 0.0, 0.0
				add := func(v float64) { sum, mag = sum+v, mag+math.Abs(v) }
				if c.epi.Bias != nil {
					add(float64(c.epi.Bias[row]))
				}
				if c.epi.Residual {
					add(float64(c.buf.Res[t.Res+row*c.geo.ResChan/4+lane]))
				}
				for k, o := range c.addr.Offsets {
					at := t.X + (int(o)+row/perGroup*int(c.addr.GroupStride))/4 + lane
					add(float64(c.w[row*len(c.addr.Offsets)+k]) * float64(c.buf.X[at]))
				}
				if c.epi.Clamp {
					sum = min(max(sum, float64(c.epi.Min)), float64(c.epi.Max)) // NaN stays NaN
				}
				want[y], bound[y] = sum, float64(len(c.addr.Offsets)+2)*mag*0x1p-24
			}
		}
	}
	return want, bound
}

// Bounds that are none.
const outside, anything = -1, -2

// check runs the product and compares Y with the reference; what tiles do not
// cover must not change.
func (c testCase) check(t *testing.T) {
	t.Helper()
	want, bound := c.reference()
	before := slices.Clone(c.buf.Y)
	p := c.product(t)
	p.Run(c.buf, 0, p.Units())
	bad := 0
	for i, y := range c.buf.Y {
		switch {
		case bound[i] == outside:
			if math.Float32bits(y) == math.Float32bits(before[i]) {
				continue
			}
			t.Errorf("y[%d] = %g: outside of the tiles, was %g", i, y, before[i])
		case bound[i] == anything, math.IsNaN(want[i]) && y != y, math.IsInf(want[i], 0) && float64(y) == want[i]:
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
	return slices.DeleteFunc(isa.Supported(), func(i isa.ISA) bool { return !Supports(i) })
}

func TestKernelNames(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kernels() {
		lanes := fmt.Sprint(k.Lanes.Count)
		if k.Lanes.Groups > 1 {
			lanes = fmt.Sprintf("%dx%d", k.Lanes.Groups, k.Lanes.Count)
		}
		if want := fmt.Sprintf("f32_gemm_%dx%s_%v", k.Panels*k.ISA.Lanes(), lanes, k.ISA); k.Name != want || seen[want] {
			t.Errorf("kernel %s is named %s, or there twice", want, k.Name)
		}
		seen[k.Name] = true
		if got, ok := lookup(k.ISA, k.Panels, k.Lanes); !ok || got.Name != k.Name {
			t.Errorf("lookup of %s gives %q", k.Name, got.Name)
		}
	}
	for _, i := range isas() { // a whole vector covers all else
		for panels := 1; panels <= panelsOf(i); panels++ {
			if _, ok := lookup(i, panels, Lanes{1, i.Lanes(), i.Lanes()}); !ok {
				t.Errorf("%v: no kernel of %d vectors of rows for all lanes", i, panels)
			}
		}
	}
}

// TestKernel compares every kernel with the float64 reference, between pages
// that fault, for every number of rows that it stores.
func TestKernel(t *testing.T) {
	for _, k := range Kernels() {
		if !slices.Contains(isa.Supported(), k.ISA) {
			continue
		}
		t.Run(k.Name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			most := k.Panels * k.ISA.Lanes()
			for rows := most - k.ISA.Lanes() + 1; rows <= most; rows++ {
				for n := range 16 {
					s := spec{isa: k.ISA, lanes: []Lanes{k.Lanes}, rows: rows, cols: 1 + rng.IntN(40), side: n & 1,
						residual: n&2 > 0, inPlace: n&2 > 0 && rows%2 > 0, clamp: n&4 > 0, bias: n&8 > 0}
					c := newCase(t, s, rng)
					c.check(t)
					if got := c.product(t).Kernel(); got != k.Name {
						t.Fatalf("%d rows ran on %s", rows, got)
					}
				}
			}
		})
	}
}

// rectangle returns the n-th set of lanes of a vector: every shape, then again.
func rectangle(lanes, n int) Lanes {
	var all []Lanes
	for stride := 1; stride <= lanes; stride *= 2 {
		for count := 1; count <= stride; count++ {
			for groups := 1; groups <= lanes/stride; groups++ {
				all = append(all, Lanes{groups, count, stride})
			}
		}
	}
	return all[n%len(all)]
}

// TestShapes goes through every number of rows, columns and tiles up to 70 and
// all rectangles of lanes.
func TestShapes(t *testing.T) {
	for _, i := range isas() {
		rng := rand.New(rand.NewPCG(5, 6))
		for n := 1; n <= 70; n++ {
			for _, s := range []spec{
				{rows: n, cols: 1 + rng.IntN(70), lanes: make([]Lanes, 1+rng.IntN(3))},
				{rows: 1 + rng.IntN(70), cols: n, lanes: make([]Lanes, 1+rng.IntN(3))},
				{rows: 1 + rng.IntN(40), cols: 1 + rng.IntN(20), lanes: make([]Lanes, n)},
				{rows: 3 * n, cols: 1 + rng.IntN(20), lanes: make([]Lanes, 2), groups: 3, clamp: true},
				{rows: 1 + n/8, cols: maxBlock + n*n/4, lanes: make([]Lanes, 1+rng.IntN(10))}, // several K-blocks
			} {
				for l := range s.lanes {
					s.lanes[l] = rectangle(i.Lanes(), n+7*l)
				}
				s.isa, s.bias, s.residual, s.inPlace = i, n%2 > 0, n%3 > 0, n%6 > 2 && n%3 > 0
				newCase(t, s, rng).check(t)
			}
		}
	}
}

// TestStrips: products of so many columns that strips share units.
func TestStrips(t *testing.T) {
	for _, i := range isas() {
		rng := rand.New(rand.NewPCG(11, 12))
		all := Lanes{1, i.Lanes(), i.Lanes()}
		for _, cols := range []int{resident + 1, 2*resident + 70} {
			c := newCase(t, spec{isa: i, rows: 150, cols: cols, lanes: slices.Repeat([]Lanes{all}, 45), bias: true, residual: true}, rng)
			p := c.product(t)
			if p.strips < 3 || p.Units() < minUnits {
				t.Errorf("%v: %d units of %d strips", i, p.Units(), p.strips)
			}
			c.check(t)
			if n := testing.AllocsPerRun(3, func() { p.Run(c.buf, 0, p.Units()) }); n > 0 {
				t.Errorf("%v: %g allocations a run", i, n)
			}
		}
	}
}

// TestUnits: units of a large product, run in any order, give the same bits.
func TestUnits(t *testing.T) {
	for _, i := range isas() {
		rng := rand.New(rand.NewPCG(7, 8))
		all := Lanes{1, i.Lanes(), i.Lanes()}
		c := newCase(t, spec{isa: i, rows: 100, cols: 600, lanes: slices.Repeat([]Lanes{all}, 300*16/i.Lanes()), bias: true, clamp: true}, rng)
		p := c.product(t)
		p.Run(c.buf, 0, p.Units())
		want := slices.Clone(c.buf.Y)
		clear(c.buf.Y)
		if p.Units() < 100 {
			t.Errorf("%d units", p.Units())
		}
		for _, u := range rng.Perm(p.Units()) {
			p.Run(c.buf, u, u+1)
		}
		for _, tile := range c.tiles {
			for row := range c.rows {
				for l := range i.Lanes() {
					at := tile.Y + row*c.geo.YChan/4 + l
					if math.Float32bits(want[at]) != math.Float32bits(c.buf.Y[at]) {
						t.Fatalf("%v: y[%d] = %g or %g", i, at, want[at], c.buf.Y[at])
					}
				}
			}
		}
		if n := testing.AllocsPerRun(3, func() { p.Run(c.buf, 0, p.Units()) }); n > 0 {
			t.Errorf("%v: %g allocations a run", i, n)
		}
	}
}

// TestSpecials: NaN and Inf propagate as IEEE 754 says.
func TestSpecials(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, i := range isas() {
		for _, v := range []float32{inf, -inf, nan} {
			for _, clamp := range []bool{false, true} {
				all := Lanes{1, i.Lanes(), i.Lanes()}
				c := newCase(t, spec{isa: i, rows: 20, cols: 9, lanes: []Lanes{all, all}, clamp: clamp}, rand.New(rand.NewPCG(9, 10)))
				for n := 0; n < len(c.buf.X); n += 7 {
					c.buf.X[n] = v
				}
				c.w[3] = 0 // times Inf is NaN
				c.check(t)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	list := isas()
	if len(list) == 0 {
		if _, err := Pack(isa.Generic, 1, []float32{1}, spmm.Addressing{Offsets: []uint32{0}}); err == nil {
			t.Error("packed without kernels")
		}
		return
	}
	i := list[0]
	w, offsets := make([]float32, 12), []uint32{0, 64, 128}
	for name, f := range map[string]func() (*Weight, error){
		"no kernels":    func() (*Weight, error) { return Pack(isa.Generic, 4, w, spmm.Addressing{Offsets: offsets}) },
		"no rows":       func() (*Weight, error) { return Pack(i, 0, nil, spmm.Addressing{Offsets: offsets}) },
		"no columns":    func() (*Weight, error) { return Pack(i, 4, nil, spmm.Addressing{}) },
		"other weights": func() (*Weight, error) { return Pack(i, 5, w, spmm.Addressing{Offsets: offsets}) },
		"groups":        func() (*Weight, error) { return Pack(i, 4, w, spmm.Addressing{Offsets: offsets, Groups: 3}) },
		"minus groups":  func() (*Weight, error) { return Pack(i, 4, w, spmm.Addressing{Offsets: offsets, Groups: -1}) },
		"odd offset":    func() (*Weight, error) { return Pack(i, 4, w, spmm.Addressing{Offsets: []uint32{0, 2, 4}}) },
		"far": func() (*Weight, error) {
			return Pack(i, 4, w, spmm.Addressing{Offsets: offsets, Groups: 4, GroupStride: 1 << 31})
		},
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: packed", name)
		}
	}
	good, err := Pack(i, 4, w, spmm.Addressing{Offsets: offsets})
	if err != nil {
		t.Fatal(err)
	}
	lanes := Lanes{1, 3, 3}
	for name, f := range map[string]func() (*Product, error){
		"bias":       func() (*Product, error) { return NewProduct(good, Geometry{}, nil, spmm.Epilogue{Bias: w}) },
		"stride":     func() (*Product, error) { return NewProduct(good, Geometry{YChan: -4}, nil, spmm.Epilogue{}) },
		"odd stride": func() (*Product, error) { return NewProduct(good, Geometry{ResChan: 6}, nil, spmm.Epilogue{}) },
		"no lanes":   func() (*Product, error) { return NewProduct(good, Geometry{}, []Tile{{}}, spmm.Epilogue{}) },
		"before x": func() (*Product, error) {
			return NewProduct(good, Geometry{}, []Tile{{X: -1, Lanes: lanes}}, spmm.Epilogue{})
		},
		"many lanes": func() (*Product, error) {
			return NewProduct(good, Geometry{}, []Tile{{Lanes: Lanes{1, 99, 99}}}, spmm.Epilogue{})
		},
		"many groups": func() (*Product, error) {
			return NewProduct(good, Geometry{}, []Tile{{Lanes: Lanes{99, 1, 1}}}, spmm.Epilogue{})
		},
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: bound", name)
		}
	}
	p, err := NewProduct(good, Geometry{}, []Tile{{Lanes: lanes}}, spmm.Epilogue{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(spmm.Buffers{X: make([]float32, 3), Y: make([]float32, 64)}); err == nil {
		t.Error("short activations passed")
	}
}

// TestArgsLayout: assembly knows these offsets.
func TestArgsLayout(t *testing.T) {
	var a args
	for want, got := range map[uintptr]uintptr{
		0: unsafe.Offsetof(a.off), 8: unsafe.Offsetof(a.count), 16: unsafe.Offsetof(a.w), 24: unsafe.Offsetof(a.bias),
		32: unsafe.Offsetof(a.x), 40: unsafe.Offsetof(a.y), 48: unsafe.Offsetof(a.res), 56: unsafe.Offsetof(a.yChan),
		64: unsafe.Offsetof(a.resChan), 72: unsafe.Offsetof(a.rows), 80: unsafe.Offsetof(a.min), 84: unsafe.Offsetof(a.max),
		88: unsafe.Offsetof(a.flags), 96: unsafe.Offsetof(a.sums), 104: unsafe.Offsetof(a.next), 112: unsafe.Offsetof(a.step),
	} {
		if unsafe.Sizeof(a.x) == 8 && want != got {
			t.Errorf("field at %d, assembly reads %d", got, want)
		}
	}
}
