package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/kernels/internal/guard"
	"github.com/nnz-dev/nnz/kernels/isa"
)

// lengths reaches past twice the largest unrolled step and past a chunk.
func lengths() []int {
	var n []int
	for i := range 75 {
		n = append(n, i)
	}
	return append(n, 127, 128, 129, 255, 256, 257, 1000, chunk-1, chunk, chunk+17)
}

// specials are values at which functions change their ways.
var specials = func() []float32 {
	v := []float64{0, 0x1p-149, 0x1p-140, 0x1p-126, 1e-30, 1e-8, 1e-4, 0.25, 0.5, 1, 2, 3, 6, 9, 17, 20,
		87.3, 87.4, 88.7, 88.73, 89, 103.2, 103.9, 104, 105, 1000, 0x1p23, 0x1p24, 1e30, math.MaxFloat32, inf}
	s := []float32{float32(math.NaN())}
	for _, x := range v {
		s = append(s, float32(x), -float32(x))
	}
	return s
}()

// fill sets x to numbers of a few sizes, and some of them to specials where
// wild is set.
func fill(r *rand.Rand, x []float32, wild bool) {
	for i := range x {
		x[i] = float32(r.NormFloat64() * math.Exp2(float64(r.IntN(8)-3)))
		if wild && r.IntN(4) == 0 {
			x[i] = specials[r.IntN(len(specials))]
		}
	}
}

// each runs a test for every instruction set of this machine.
func each(t *testing.T, f func(t *testing.T, k *Kernels, r *rand.Rand)) {
	for _, k := range All() {
		t.Run(k.ISA.String(), func(t *testing.T) { f(t, k, rand.New(rand.NewPCG(1, uint64(k.ISA)))) })
	}
}

// A guarded is a slice at some offset in a larger one, whose other elements
// hold a value that none of the functions makes.
type guarded struct {
	all  []float32
	x    []float32
	from int
}

const canary = 0x1.6a09e6p77

func guardedSlice(n, offset int) guarded {
	g := guarded{all: make([]float32, offset+n+64), from: offset}
	for i := range g.all {
		g.all[i] = canary
	}
	g.x = g.all[offset : offset+n : offset+n]
	return g
}

func (g guarded) check(t *testing.T, what string) {
	t.Helper()
	for i, v := range g.all {
		if (i < g.from || i >= g.from+len(g.x)) && v != canary {
			t.Fatalf("%s wrote element %d, %d past the slice's %d", what, i-g.from, i-g.from-len(g.x), len(g.x))
		}
	}
}

func TestTables(t *testing.T) {
	var have []isa.ISA
	for _, k := range All() {
		have = append(have, k.ISA)
		if For(k.ISA) != k {
			t.Errorf("For(%v) is not the table that All lists", k.ISA)
		}
	}
	if want := isa.Supported(); !slices.Equal(have, want) {
		t.Errorf("tables for %v, want %v", have, want)
	}
	if k := For(isa.ISA(200)); k != nil {
		t.Errorf("For of no instruction set is %v, want nil", k.ISA)
	}
}

func TestUnary(t *testing.T) {
	each(t, func(t *testing.T, k *Kernels, r *rand.Rand) {
		for _, u := range unaries {
			for _, n := range lengths() {
				for _, offset := range []int{16, 17, 30} {
					if n > 1000 && offset != 17 {
						continue
					}
					x, dst := guardedSlice(n, offset), guardedSlice(n, 16+r.IntN(16))
					fill(r, x.x, true)
					before := slices.Clone(x.x)
					u.run(k, dst.x, x.x)
					what := fmt.Sprintf("%s of %d", u.name, n)
					dst.check(t, what)
					checkUnary(t, u, what, dst.x, before)
					u.run(k, x.x, x.x) // in place
					x.check(t, what+" in place")
					for i := range x.x {
						if !same(x.x[i], dst.x[i]) {
							t.Fatalf("%s in place: element %d is %v, want %v", what, i, x.x[i], dst.x[i])
						}
					}
				}
			}
		}
	})
}

func checkUnary(t *testing.T, u unaryCase, what string, got, x []float32) {
	t.Helper()
	for i := range x {
		if want, tolerance := u.want(float64(x[i])); !near(got[i], want, tolerance) {
			t.Fatalf("%s: of %v (%#08x) element %d is %v (%#08x), want %v +- %v",
				what, x[i], math.Float32bits(x[i]), i, got[i], math.Float32bits(got[i]), want, tolerance)
		}
	}
}

// same reports whether two results have the same bits or are both NaN.
func same(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

// TestUnaryEverywhere takes samples of all float32 in order of their bits.
func TestUnaryEverywhere(t *testing.T) {
	stride := uint64(4999)
	if testing.Short() {
		stride = 49999
	}
	each(t, func(t *testing.T, k *Kernels, _ *rand.Rand) {
		x := slices.Clone(specials)
		for b := uint64(0); b < 1<<32; b += stride {
			x = append(x, math.Float32frombits(uint32(b)))
		}
		// Densely where exp, sigmoid and tanh are neither 0 nor 1 nor Inf.
		for v := -110.0; v < 110; v += 220.0 / float64(len(x)) {
			x = append(x, float32(v))
		}
		dst := make([]float32, len(x))
		for _, u := range unaries {
			u.run(k, dst, x)
			checkUnary(t, u, u.name, dst, x)
		}
	})
}

// TestAlike checks that an element's value does not depend on where it stands.
func TestAlike(t *testing.T) {
	each(t, func(t *testing.T, k *Kernels, r *rand.Rand) {
		x, dst, one := make([]float32, 77), make([]float32, 77), make([]float32, 1)
		for _, u := range unaries {
			fill(r, x, true)
			u.run(k, dst, x)
			for i := range x {
				if u.run(k, one, x[i:i+1]); !same(one[0], dst[i]) {
					t.Fatalf("%s of %v is %v alone and %v as element %d of %d", u.name, x[i], one[0], dst[i], i, len(x))
				}
			}
		}
	})
}

func TestBinary(t *testing.T) {
	each(t, func(t *testing.T, k *Kernels, r *rand.Rand) {
		for _, op := range binaries {
			for _, n := range lengths() {
				a, b, dst := guardedSlice(n, 16+r.IntN(16)), guardedSlice(n, 16+r.IntN(16)), guardedSlice(n, 16+r.IntN(16))
				fill(r, a.x, true)
				fill(r, b.x, true)
				a0, b0 := slices.Clone(a.x), slices.Clone(b.x)
				op.run(k)(dst.x, a.x, b.x)
				what := fmt.Sprintf("%s of %d", op.name, n)
				dst.check(t, what)
				for i := range dst.x {
					want := op.want(float64(a0[i]), float64(b0[i]))
					if !near(dst.x[i], want, ulps(want, 0.5)) {
						t.Fatalf("%s: of %v and %v element %d is %v, want %v", what, a0[i], b0[i], i, dst.x[i], want)
					}
				}
				op.run(k)(a.x, a.x, b0) // in place of the first, then of the second
				op.run(k)(b.x, a0, b.x)
				a.check(t, what)
				b.check(t, what)
				for i := range dst.x {
					if !same(a.x[i], dst.x[i]) || !same(b.x[i], dst.x[i]) {
						t.Fatalf("%s in place: element %d is %v and %v, want %v", what, i, a.x[i], b.x[i], dst.x[i])
					}
				}
			}
		}
	})
}

func TestReduce(t *testing.T) {
	each(t, func(t *testing.T, k *Kernels, r *rand.Rand) {
		for _, n := range lengths() {
			a, b := make([]float32, n+3)[3:], make([]float32, n+1)[1:]
			fill(r, a, false)
			fill(r, b, false)
			var sum, dot, sumAbs, dotAbs, e float64
			largest := math.Inf(-1)
			for i := range a {
				x, y := float64(a[i]), float64(b[i])
				sum, sumAbs = sum+x, sumAbs+math.Abs(x)
				dot, dotAbs = dot+x*y, dotAbs+math.Abs(x*y)
				largest = math.Max(largest, x)
				e += math.Exp(float64(a[i] - 3))
			}
			bound := float64(n+2) * 0x1p-24
			if got := k.Sum(a); !near(got, sum, bound*sumAbs) {
				t.Errorf("Sum of %d is %v, want %v", n, got, sum)
			}
			if got := k.Dot(a, b); !near(got, dot, bound*dotAbs) {
				t.Errorf("Dot of %d is %v, want %v", n, got, dot)
			}
			kept, where := make([]float32, n+2)[2:], make([]uint32, n+1)[1:]
			some, someAbs := 0.0, 0.0
			for i := range kept {
				if kept[i] = float32(math.NaN()); i%3 > 0 {
					kept[i], where[i] = a[i], math.MaxUint32
					some, someAbs = some+float64(a[i]), someAbs+math.Abs(float64(a[i]))
				}
			}
			if got := k.SumWhere(kept, where); !near(got, some, bound*someAbs) {
				t.Errorf("SumWhere of %d is %v, want %v", n, got, some)
			}
			if got := k.Max(a); float64(got) != largest {
				t.Errorf("Max of %d is %v, want %v", n, got, largest)
			}
			dst := guardedSlice(n, 21)
			got := k.ExpSum(dst.x, a, 3)
			dst.check(t, "ExpSum")
			if !near(got, e, (bound+0x1p-21)*e) {
				t.Errorf("ExpSum of %d is %v, want %v", n, got, e)
			}
			if n > 1000 {
				continue
			}
			for i := range a { // a NaN or a largest element anywhere is found
				old := a[i]
				if a[i] = float32(math.NaN()); !math.IsNaN(float64(k.Max(a))) {
					t.Errorf("Max of %d with a NaN as element %d is %v", n, i, k.Max(a))
				}
				if a[i] = 1e9; k.Max(a) != 1e9 {
					t.Errorf("Max of %d with 1e9 as element %d is %v", n, i, k.Max(a))
				}
				a[i] = old
			}
		}
		below := make([]float32, 37) // the padding of a tail must not win
		for i := range below {
			below[i] = -math.MaxFloat32
		}
		if got := k.Max(below); got != -math.MaxFloat32 {
			t.Errorf("Max of -MaxFloat32 is %v", got)
		}
	})
}

func TestPool(t *testing.T) {
	each(t, func(t *testing.T, k *Kernels, r *rand.Rand) {
		lanes := k.ISA.Lanes()
		for _, n := range []int{0, 1, 2, 3, 7, 14, 15} {
			for _, step := range []int{0, 1, 2, 3} {
				for _, nTaps := range []int{0, 1, 2, 3, 4, 9} {
					taps := make([]uint32, nTaps)
					end := 0
					for i := range taps {
						at := r.IntN(20)*lanes + r.IntN(2) // not all whole vectors
						taps[i] = uint32(at) * 4
						end = max(end, at+lanes)
					}
					src := make([]float32, max(0, n-1)*step*lanes+end)
					fill(r, src, false)
					if len(src) > 40 {
						src[r.IntN(len(src))] = float32(math.NaN())
						src[r.IntN(len(src))] = float32(math.NaN())
					}
					want, magnitude := make([]float64, n*lanes), make([]float64, n*lanes)
					for _, sum := range []bool{false, true} {
						dst := guardedSlice(n*lanes, 19)
						if sum {
							k.SumPool(dst.x, src, taps, step)
						} else {
							k.MaxPool(dst.x, src, taps, step)
						}
						dst.check(t, "pool")
						poolReference(want, magnitude, src, taps, step, lanes, sum)
						for i, got := range dst.x {
							tolerance := 0.0
							if sum {
								tolerance = float64(nTaps) * 0x1p-24 * magnitude[i]
							}
							if !near(got, want[i], tolerance) {
								t.Fatalf("sum=%v pool of %d vectors, step %d, taps %v: element %d is %v, want %v",
									sum, n, step, taps, i, got, want[i])
							}
						}
					}
				}
			}
		}
	})
}

func TestInterleave(t *testing.T) {
	each(t, func(t *testing.T, k *Kernels, r *rand.Rand) {
		lanes := k.ISA.Lanes()
		for _, vectors := range []int{0, 1, 2, 3, 13, chunk/(4*lanes) + 2} {
			for live := 1; live <= lanes; live++ {
				stride := lanes*vectors + r.IntN(40)
				src := make([]float32, 3*stride+lanes*vectors)
				fill(r, src, false)
				dst := guardedSlice(max(4*(live*(vectors-1)+lanes), 0), r.IntN(16))
				k.Interleave(dst.x, src, vectors, live, stride)
				what := fmt.Sprintf("Interleave of %d vectors, %d live", vectors, live)
				dst.check(t, what)
				for i := range 4 * live * vectors {
					at := stride*(i%4) + i/4/live*lanes + i/4%live
					if dst.x[i] != src[at] {
						t.Fatalf("%s: element %d is %v, want %v", what, i, dst.x[i], src[at])
					}
				}
			}
		}
	})
}

func TestFours(t *testing.T) {
	each(t, func(t *testing.T, k *Kernels, r *rand.Rand) {
		for _, rows := range []int{0, 1, 2, 3, 4, 5, 7, 64, chunk/4 + 1} {
			for _, groups := range []int{0, 1, 2, 5, 33, chunk/256 + 3} {
				if rows*groups > chunk {
					continue
				}
				stride := 4*groups*r.IntN(2) + r.IntN(40)
				src := make([]float32, max(stride*(rows-1), 0)+4*groups)
				fill(r, src, false)
				dst := guardedSlice(4*groups*rows, r.IntN(16))
				k.Fours(dst.x, src, groups, rows, stride)
				what := fmt.Sprintf("Fours of %d groups, %d rows", groups, rows)
				dst.check(t, what)
				for i := range dst.x {
					at := stride*(i/4%rows) + i/4/rows*4 + i%4
					if dst.x[i] != src[at] {
						t.Fatalf("%s: element %d is %v, want %v", what, i, dst.x[i], src[at])
					}
				}
			}
		}
	})
}

func TestGather(t *testing.T) {
	each(t, func(t *testing.T, k *Kernels, r *rand.Rand) {
		for _, n := range lengths() {
			src := make([]float32, 1+r.IntN(300))
			fill(r, src, false)
			index := make([]int32, n)
			for i := range index {
				index[i] = int32(r.IntN(len(src)))
				switch r.IntN(6) {
				case 0:
					index[i] = -1
				case 1:
					index[i] = []int32{math.MinInt32, math.MaxInt32, int32(len(src)), int32(len(src)) - 1, 0}[r.IntN(5)]
				}
			}
			dst := guardedSlice(n, 27)
			k.Gather(dst.x, src, index, 7.5)
			dst.check(t, "Gather")
			for i, j := range index {
				want := float32(7.5)
				if j >= 0 && int(j) < len(src) {
					want = src[j]
				}
				if dst.x[i] != want {
					t.Fatalf("Gather of %d: element %d from index %d of %d is %v, want %v", n, i, j, len(src), dst.x[i], want)
				}
			}
			if k.Gather(dst.x, nil, index, -2); n > 0 && dst.x[n/2] != -2 {
				t.Fatalf("Gather from nothing is %v, want the fill", dst.x[n/2])
			}
		}
	})
}

func TestTranspose(t *testing.T) {
	each(t, func(t *testing.T, k *Kernels, r *rand.Rand) {
		lanes := k.ISA.Lanes()
		for vectors := range 71 {
			if vectors == 70 {
				vectors = 3*chunk/lanes + 5 // several calls of assembly
			}
			rows := make([]int32, lanes)
			for l := range rows {
				rows[l] = int32(r.IntN(300))
			}
			src := guardedSlice(int(slices.Max(rows))+vectors, 19)
			fill(r, src.x, true)
			dst := guardedSlice(lanes*vectors, 22)
			k.Transpose(dst.x, src.x, rows, vectors)
			dst.check(t, "Transpose")
			for i, y := range dst.x {
				if want := src.x[int(rows[i%lanes])+i/lanes]; math.Float32bits(y) != math.Float32bits(want) {
					t.Fatalf("Transpose of %d vectors: element %d is %v, want %v", vectors, i, y, want)
				}
			}
		}
	})
}

func TestPermute(t *testing.T) {
	each(t, func(t *testing.T, k *Kernels, r *rand.Rand) {
		for _, lanes := range []int{4, 8, 16} { // others' tables work too
			for _, targets := range []int{0, 1, 2, 5, 40, 600} {
				for _, planes := range []int{0, 1, 3, 4, 5, permutePlanes + 7} {
					testPermute(t, k, r, lanes, targets, Planes{N: planes, Dst: 31*lanes + 3, Src: 29*lanes + 1})
				}
			}
		}
	})
}

// testPermute makes targets from one vector, from a few and from many, with
// gaps, in a buffer apart and in the source itself.
func testPermute(t *testing.T, k *Kernels, r *rand.Rand, lanes, targets int, p Planes) {
	t.Helper()
	const vectors = 29
	dst, index := make([]int, targets), make([]int32, targets*lanes)
	for e := range dst {
		dst[e] = r.IntN(vectors)
		few := 1 + r.IntN(4)*r.IntN(5)
		first := r.IntN(vectors)
		for l := range lanes {
			index[e*lanes+l] = int32((first+r.IntN(few))%vectors*lanes + r.IntN(lanes))
			if r.IntN(5) == 0 {
				index[e*lanes+l] = -1 - int32(r.IntN(5))
			}
		}
	}
	table, err := NewPermuteTable(lanes, dst, index)
	if err != nil {
		t.Fatal(err)
	}
	if table.Len() != targets {
		t.Fatalf("a table of %d targets says %d", targets, table.Len())
	}
	_, reach := p.cut(make([]float32, p.N*p.Dst+1<<12), make([]float32, p.N*p.Src+1<<12), table)
	src := guardedSlice(len(reach), 18)
	fill(r, src.x, false)
	reach, _ = p.cut(make([]float32, p.N*p.Dst+1<<12), src.x, table)
	to := guardedSlice(len(reach), 21)
	fill(r, to.x, false)
	define := func(dstPlanes, srcPlanes []float32, dstStride, srcStride int) {
		v := make([]float32, lanes)
		for n := range p.N {
			for e, target := range dst {
				for l := range v {
					v[l] = -3
					if i := index[e*lanes+l]; i >= 0 {
						v[l] = srcPlanes[n*srcStride+int(i)]
					}
				}
				copy(dstPlanes[n*dstStride+target*lanes:], v)
			}
		}
	}
	want := slices.Clone(to.x)
	define(want, src.x, p.Dst, p.Src)
	k.Permute(to.x, src.x, table, p, -3)
	to.check(t, "Permute")
	src.check(t, "Permute")
	if !slices.Equal(to.x, want) {
		t.Fatalf("Permute of %d targets of %d lanes in %+v differs from its definition", targets, lanes, p)
	}
	p.Dst = p.Src
	all := make([]float32, p.N*p.Src+vectors*lanes)
	fill(r, all, false)
	want = slices.Clone(all)
	define(want, want, p.Src, p.Src)
	k.Permute(all, all, table, p, -3)
	if !slices.Equal(all, want) {
		t.Fatalf("Permute of %d targets of %d lanes in place, in %+v, differs from its definition", targets, lanes, p)
	}
}

func TestNewPermuteTableErrors(t *testing.T) {
	for _, c := range []struct {
		what  string
		lanes int
		dst   []int
		index []int32
	}{
		{"no lanes", 0, nil, nil},
		{"too many lanes", 17, nil, nil},
		{"fewer indices", 4, []int{1}, []int32{0, 1, 2}},
		{"a negative target", 4, []int{-1}, []int32{0, 1, 2, 3}},
		{"a target beyond 32 bits", 4, []int{1 << 30}, []int32{0, 1, 2, 3}},
		{"an element beyond 32 bits", 4, []int{1}, []int32{0, 1, 2, math.MaxInt32}},
	} {
		if _, err := NewPermuteTable(c.lanes, c.dst, c.index); err == nil {
			t.Errorf("%s: no error", c.what)
		}
	}
}

// TestFences runs everything on slices that end, and that begin, at a page
// that may not be touched.
func TestFences(t *testing.T) {
	each(t, func(t *testing.T, k *Kernels, r *rand.Rand) {
		lanes := k.ISA.Lanes()
		for n := range 70 {
			a, b, dst := guard.Slices[float32](t, n), guard.Slices[float32](t, n), guard.Slices[float32](t, n)
			where := guard.Slices[uint32](t, n)
			vectors, source, planes := guard.Slices[float32](t, n*lanes), guard.Slices[float32](t, (n+2)*lanes), guard.Slices[float32](t, (n+2)*lanes)
			// Tables of where elements lie are operands, too.
			index, rows := guard.Slices[int32](t, n), guard.Slices[int32](t, lanes)
			taps := guard.Slices[uint32](t, 2)
			for i := range n {
				at := int32(r.IntN(n+2) - 1)
				index[0][i], index[1][i] = at, at
			}
			// The first and the last vector, of elements of each other.
			to, from := []int{0, n + 1}, make([]int32, 2*lanes)
			for l := range lanes {
				from[l] = int32((n+1)*lanes + l)
			}
			table, err := NewPermuteTable(lanes, to, from)
			if err != nil {
				t.Fatal(err)
			}
			for side := range 2 {
				fill(r, a[side], true)
				fill(r, b[side], true)
				for _, u := range unaries {
					u.run(k, dst[side], a[side])
				}
				for _, op := range binaries {
					op.run(k)(dst[side], a[side], b[side])
				}
				for _, c := range normCases {
					c.row(k, dst[side], a[side], b[side], b[side])
					c.column(k, dst[side], a[side], b[side], b[side], Columns{Rows: min(n, 1), Width: n, Stride: n})
					c.column(k, dst[side], a[side], b[side], b[side], Columns{Rows: n, Width: 1, Stride: 1})
				}
				k.Sum(a[side])
				k.Max(a[side])
				k.Dot(a[side], b[side])
				k.SumWhere(a[side], where[side])
				copy(taps[side], []uint32{0, uint32(8 * lanes)})
				k.MaxPool(vectors[side], source[side], taps[side], 1)
				k.SumPool(vectors[side], source[side], taps[side], 1)
				k.Gather(dst[side], a[side], index[side], 0)
				k.Transpose(vectors[side], a[side], rows[side], n)
				k.Fours(dst[side], a[side], n/4, 1, 0)
				k.Fours(dst[side], a[side], 1, n/4, 4)
				if n >= 4*lanes {
					k.Interleave(dst[side], a[side], n/(4*lanes), lanes, 0)
				}
				k.Permute(planes[side], planes[side], table, Planes{N: 1}, 0)
			}
		}
	})
}

// TestShort checks that a call whose slices are too short panics before it
// touches anything.
func TestShort(t *testing.T) {
	each(t, func(t *testing.T, k *Kernels, _ *rand.Rand) {
		lanes := k.ISA.Lanes()
		long, short := make([]float32, 20*lanes), make([]float32, 19*lanes, 30*lanes)
		table, err := NewPermuteTable(lanes, []int{19}, make([]int32, lanes))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			what string
			run  func()
		}{
			{"a short first input", func() { k.Add(long, short[:5:5], long) }},
			{"a short second input", func() { k.Mul(long, long, short[:5:5]) }},
			{"a short input", func() { k.Exp(long, short[:5:5]) }},
			{"a short matrix", func() { k.SoftmaxColumns(long, short[:9:9], nil, 1, Columns{Rows: 2, Width: 3, Stride: 7}) }},
			{"a short scale", func() { k.LayerNormColumns(long, long, long[:2:2], nil, Columns{Rows: 3, Width: 3, Stride: 3}, 0) }},
			{"rows that overlap", func() { k.RMSNormColumns(long, long, nil, Columns{Rows: 3, Width: 3, Stride: 2}, 0) }},
			{"a short bias", func() { k.LayerNorm(long[:9], long, long, long[:2:2], 0) }},
			{"a short operand of Dot", func() { k.Dot(long, short[:5:5]) }},
			{"a short mask", func() { k.SumWhere(long, make([]uint32, 5)) }},
			{"a short source of a pool", func() { k.MaxPool(long, short[:19*lanes:19*lanes], []uint32{0}, 1) }},
			{"a tap outside", func() { k.SumPool(long[:lanes], long, []uint32{uint32(19*lanes+1) * 4}, 1) }},
			{"short rows", func() { k.Transpose(long, long[:3:3], make([]int32, k.ISA.Lanes()), 4) }},
			{"a row before its slice", func() { k.Transpose(long, long, slices.Repeat([]int32{-1}, k.ISA.Lanes()), 1) }},
			{"few rows", func() { k.Transpose(long, long, make([]int32, k.ISA.Lanes()-1), 1) }},
			{"a short index", func() { k.Gather(long, long, make([]int32, 3), 0) }},
			{"a short plane", func() { k.Permute(short[:19*lanes:19*lanes], long, table, Planes{N: 1}, 0) }},
			{"planes that go backwards", func() { k.Permute(long, long, table, Planes{N: 2, Dst: -1}, 0) }},
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: no panic", c.what)
					}
				}()
				c.run()
			}()
		}
	})
}

func TestAllocates(t *testing.T) {
	each(t, func(t *testing.T, k *Kernels, _ *rand.Rand) {
		x, dst := make([]float32, 100), make([]float32, 100)
		index, taps := make([]int32, 100), []uint32{0}
		table, err := NewPermuteTable(k.ISA.Lanes(), []int{0}, make([]int32, k.ISA.Lanes()))
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(10, func() {
			k.Add(dst, x, x)
			k.Exp(dst, x)
			k.ExpSum(dst, x, k.Max(x))
			for _, c := range normCases {
				c.row(k, dst, x, x, x)
				c.column(k, dst, x, x, x, Columns{Rows: 10, Width: 10, Stride: 10})
			}
			k.Gather(dst, x, index, 0)
			k.MaxPool(dst[:k.ISA.Lanes()], x, taps, 1)
			k.Permute(dst, x, table, Planes{N: 1}, 0)
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
