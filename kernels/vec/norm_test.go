package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A normCase is a softmax or a normalisation of rows and of columns.
type normCase struct {
	name   string
	row    func(k *Kernels, dst, x, scale, bias []float32)
	column func(k *Kernels, dst, x, scale, bias []float32, c Columns)
	// want returns the exact results and how far from them results may be.
	want func(x, scale, bias []float32) (y, tolerance []float64)
}

const normEps = 1e-5

var normCases = []normCase{
	{"Softmax",
		func(k *Kernels, dst, x, _, _ []float32) { k.Softmax(dst, x) },
		func(k *Kernels, dst, x, _, _ []float32, c Columns) { k.SoftmaxColumns(dst, x, nil, 1, c) },
		func(x, _, _ []float32) (y, tolerance []float64) { return softmaxReference(x, nil, 1) }},
	{"SoftmaxScaled",
		func(k *Kernels, dst, x, _, bias []float32) {
			k.Affine(dst, x, softmaxScale, 0)
			if bias != nil {
				k.Add(dst, dst, bias)
			}
			k.Softmax(dst, dst)
		},
		func(k *Kernels, dst, x, _, bias []float32, c Columns) {
			k.SoftmaxColumns(dst, x, bias, softmaxScale, c)
		},
		func(x, _, bias []float32) (y, tolerance []float64) { return softmaxReference(x, bias, softmaxScale) }},
	{"LayerNorm",
		func(k *Kernels, dst, x, scale, bias []float32) { k.LayerNorm(dst, x, scale, bias, normEps) },
		func(k *Kernels, dst, x, scale, bias []float32, c Columns) {
			k.LayerNormColumns(dst, x, scale, bias, c, normEps)
		},
		func(x, scale, bias []float32) (y, tolerance []float64) { return normReference(x, scale, bias, true) }},
	{"RMSNorm",
		func(k *Kernels, dst, x, scale, _ []float32) { k.RMSNorm(dst, x, scale, normEps) },
		func(k *Kernels, dst, x, scale, _ []float32, c Columns) { k.RMSNormColumns(dst, x, scale, c, normEps) },
		func(x, scale, _ []float32) (y, tolerance []float64) { return normReference(x, scale, nil, false) }},
}

const softmaxScale = 0.3

// softmaxReference is softmax of x * scale + bias. It has a tolerance of 4 ulp, and of
// all of a power that is subnormal;
// the difference from the largest element is rounded to float32, and so are
// scaled elements and their sums with the bias, each of which may be off by one
// more rounding.
func softmaxReference(x, bias []float32, scale float32) (y, tolerance []float64) {
	terms, most := slices.Clone(x), 0.0
	for i, v := range x {
		if scale == 1 && bias == nil {
			continue
		}
		scaled, shift := float64(v)*float64(scale), 0.0
		if bias != nil {
			shift = float64(bias[i])
		}
		terms[i] = float32(scaled + shift)
		if size := math.Abs(scaled) + math.Abs(shift); !math.IsInf(size, 0) {
			most = max(most, size)
		}
	}
	top, sum := float32(math.Inf(-1)), 0.0
	for _, v := range terms {
		if v > top || v != v {
			top = v
		}
	}
	for _, v := range terms {
		y = append(y, math.Exp(float64(v-top)))
		sum += y[len(y)-1]
	}
	for i := range y {
		power := y[i]
		y[i] /= sum
		tolerance = append(tolerance, ulps(y[i], 4)+4*0x1p-24*most*y[i])
		if power < 0x1p-126 {
			tolerance[i] = max(tolerance[i], y[i])
		}
	}
	return y, tolerance
}

// normReference has a tolerance of 4 ulp of the result or of its larger term; a mean
// that is taken away is known to 2**-24 of a deviation.
func normReference(x, scale, bias []float32, centre bool) (y, tolerance []float64) {
	n, mean, square := float64(len(x)), 0.0, 0.0
	if centre {
		for _, v := range x {
			mean += float64(v) / n
		}
	}
	for _, v := range x {
		d := float64(v) - mean
		square += d * d / n
	}
	for i, v := range x {
		factor, shift, floor := 1.0, 0.0, 0.0
		if scale != nil {
			factor = float64(scale[i])
		}
		if bias != nil {
			shift = float64(bias[i])
		}
		if centre {
			floor = 0x1p-24 * math.Abs(factor)
		}
		scaled := (float64(v) - mean) / math.Sqrt(square+normEps) * factor
		y = append(y, scaled+shift)
		tolerance = append(tolerance, ulps(max(math.Abs(scaled), math.Abs(shift), math.Abs(scaled+shift)), 4)+floor)
	}
	return y, tolerance
}

// normInput makes a row about some mean, and a scale and a bias for it.
func normInput(r *rand.Rand, n int) (x, scale, bias []float32) {
	mean, size := []float64{0, 3, -100}[r.IntN(3)], math.Exp2(float64(r.IntN(6)-2))
	x, scale, bias = make([]float32, n), make([]float32, n), make([]float32, n)
	for i := range x {
		x[i] = float32(mean + size*r.NormFloat64())
		scale[i], bias[i] = float32(1+r.NormFloat64()/4), float32(r.NormFloat64())
	}
	return x, scale, bias
}

func checkNorm(t *testing.T, what string, got []float32, want, tolerance []float64) {
	t.Helper()
	for i := range want {
		if !near(got[i], want[i], tolerance[i]) {
			t.Fatalf("%s: element %d is %v, want %v +- %v", what, i, got[i], want[i], tolerance[i])
		}
	}
}

func TestNormRows(t *testing.T) {
	each(t, func(t *testing.T, k *Kernels, r *rand.Rand) {
		for _, c := range normCases {
			for _, n := range lengths() {
				if n == 0 {
					continue
				}
				for given := range 4 { // which of scale and bias are
					x, scale, bias := normInput(r, n)
					if given&1 == 0 {
						scale = nil
					}
					if given&2 == 0 {
						bias = nil
					}
					want, tolerance := c.want(x, scale, bias)
					dst := guardedSlice(n, 16+r.IntN(16))
					c.row(k, dst.x, x, scale, bias)
					what := fmt.Sprintf("%s of %d, given %b", c.name, n, given)
					dst.check(t, what)
					checkNorm(t, what, dst.x, want, tolerance)
					c.row(k, x, x, scale, bias)
					if !slices.Equal(x, dst.x) {
						t.Fatalf("%s in place differs", what)
					}
				}
			}
		}
	})
}

func TestNormStatistics(t *testing.T) {
	each(t, func(t *testing.T, k *Kernels, r *rand.Rand) {
		x, _, _ := normInput(r, 1000)
		var sum, square, deviation float64
		for _, v := range x {
			sum += float64(v)
			square += float64(v) * float64(v)
		}
		for _, v := range x {
			d := float64(v) - sum/1000
			deviation += d * d
		}
		dst := make([]float32, 1000)
		mean, inv := k.LayerNorm(dst, x, nil, nil, normEps)
		for _, c := range []struct {
			what      string
			got       float32
			want, ulp float64
		}{
			{"mean", mean, sum / 1000, 2},
			{"deviation", inv, 1 / math.Sqrt(deviation/1000+normEps), 2},
			{"root mean square", k.RMSNorm(dst, x, nil, normEps), 1 / math.Sqrt(square/1000+normEps), 2},
		} {
			if !near(c.got, c.want, ulps(c.want, c.ulp)) {
				t.Errorf("the %s is %v, want %v", c.what, c.got, c.want)
			}
		}
	})
}

func TestNormColumns(t *testing.T) {
	each(t, func(t *testing.T, k *Kernels, r *rand.Rand) {
		for _, c := range normCases {
			for width := 1; width < 150; width += 1 + width/9 {
				for _, rows := range []int{1, 2, 3, 15, 16, 17, 70, 768} {
					if rows > 100 && width%3 != 0 {
						continue
					}
					testColumns(t, k, r, &c, Columns{Rows: rows, Width: width, Stride: width + r.IntN(20)})
				}
			}
			testColumns(t, k, r, &c, Columns{Rows: chunk/16 + 5, Width: 100, Stride: 100}) // more than a call takes
			testColumns(t, k, r, &c, Columns{Rows: chunk + 3, Width: 3, Stride: 4})        // than any
			c.column(k, nil, nil, nil, nil, Columns{Rows: 3, Stride: 5})
			c.column(k, nil, nil, nil, nil, Columns{Width: 3, Stride: 5})
		}
	})
}

func testColumns(t *testing.T, k *Kernels, r *rand.Rand, n *normCase, c Columns) {
	t.Helper()
	size := c.size()
	x, dst := guardedSlice(size, 16+r.IntN(16)), guardedSlice(size, 16+r.IntN(16))
	_, scale, bias := normInput(r, c.Rows)
	if r.IntN(4) == 0 {
		scale = nil
	}
	if r.IntN(4) == 0 {
		bias = nil
	}
	fill(r, x.x, false) // what lies between rows is not looked at
	columns := make([][]float32, c.Width)
	for i := range columns {
		columns[i], _, _ = normInput(r, c.Rows)
		for row, v := range columns[i] {
			x.x[row*c.Stride+i] = v
		}
	}
	what := fmt.Sprintf("%s down %+v, scale %t, bias %t", n.name, c, scale != nil, bias != nil)
	n.column(k, dst.x, x.x, scale, bias, c)
	dst.check(t, what)
	n.column(k, x.x, x.x, scale, bias, c) // in place
	x.check(t, what)
	for i, column := range columns {
		want, tolerance := n.want(column, scale, bias)
		got := make([]float32, c.Rows)
		for row := range got {
			got[row] = dst.x[row*c.Stride+i]
			if x.x[row*c.Stride+i] != got[row] {
				t.Fatalf("%s in place: row %d of column %d differs", what, row, i)
			}
		}
		checkNorm(t, fmt.Sprintf("%s, column %d", what, i), got, want, tolerance)
	}
	for i, v := range dst.x {
		if i%c.Stride >= c.Width && v != canary {
			t.Fatalf("%s wrote element %d between rows", what, i)
		}
	}
}

// TestNormSpecials puts one special value into a row, or into one column of
// which the neighbours are not to know.
func TestNormSpecials(t *testing.T) {
	none, most := float32(math.Inf(-1)), float32(math.Inf(1))
	each(t, func(t *testing.T, k *Kernels, r *rand.Rand) {
		for _, c := range normCases {
			for _, row := range [][]float32{
				{float32(math.NaN()), 1, 2}, {1, float32(math.NaN()), most}, {1, most, 2}, {1, 2, none}, {none, none, none},
				{0, 0, 0}, {0x1p-149, 0, -0x1p-140}, {-1e30, 1e-30, 80}, {none, -3, none},
			} {
				want, tolerance := c.want(row, nil, nil)
				if !strings.HasPrefix(c.name, "Softmax") && slices.Contains(row, -1e30) {
					continue // whose square is no float32
				}
				if c.name == "RMSNorm" && slices.ContainsFunc(row, func(v float32) bool { return math.IsInf(float64(v), 0) }) {
					continue // 0 or NaN
				}
				dst := make([]float32, len(row))
				c.row(k, dst, row, nil, nil)
				what := fmt.Sprintf("%s of %v", c.name, row)
				checkNorm(t, what, dst, want, tolerance)
				for _, width := range []int{1, 7, 70} {
					x := make([]float32, width*len(row))
					fill(r, x, false)
					alone := make([]float32, len(x))
					m := Columns{Rows: len(row), Width: width, Stride: width}
					c.column(k, alone, x, nil, nil, m)
					for i, v := range row {
						x[i*width+width/2] = v
					}
					c.column(k, x, x, nil, nil, m)
					for i := range x {
						if i%width != width/2 && x[i] != alone[i] {
							t.Fatalf("%s changes column %d of %d", what, i%width, width)
						}
					}
					for i := range row {
						dst[i] = x[i*width+width/2]
					}
					checkNorm(t, what+" as a column", dst, want, tolerance)
				}
			}
		}
	})
}

// BenchmarkNorm is of the rows and of the columns of 128 tokens of BERT-base:
// attention's softmax is of 128 features, the normalisation of 768.
func BenchmarkNorm(b *testing.B) {
	for _, rows := range []int{128, 768} {
		const width, stride = 128, 144
		x, dst := make([]float32, rows*stride), make([]float32, rows*stride)
		for i := range x {
			x[i] = float32(i%37)/4 - 4
		}
		scale, bias := make([]float32, rows), make([]float32, rows)
		for _, k := range All() {
			for _, c := range normCases {
				b.Run(fmt.Sprintf("%s/rows/%d/%v", c.name, rows, k.ISA), func(b *testing.B) {
					b.SetBytes(int64(8 * rows * width))
					for b.Loop() {
						for i := range width {
							c.row(k, dst[i*rows:][:rows], x[i*rows:], scale, bias)
						}
					}
				})
				b.Run(fmt.Sprintf("%s/columns/%d/%v", c.name, rows, k.ISA), func(b *testing.B) {
					b.SetBytes(int64(8 * rows * width))
					for b.Loop() {
						c.column(k, dst, x, scale, bias, Columns{Rows: rows, Width: width, Stride: stride})
					}
				})
			}
		}
	}
}

// Masks are large negative numbers, or -Inf: what they hide is 0, and the rest
// as if it were alone.
func TestSoftmaxOfMasked(t *testing.T) {
	hidden := []float32{float32(math.Inf(-1)), -math.MaxFloat32, -1e4, -110, -88}
	each(t, func(t *testing.T, k *Kernels, r *rand.Rand) {
		for _, n := range []int{2, 17, 64, 131} {
			x := make([]float32, n)
			for i := range x {
				if x[i] = r.Float32(); i%3 == 1 {
					x[i] = hidden[i/3%len(hidden)]
				}
			}
			want, tolerance := softmaxReference(x, nil, 1)
			rows, columns := make([]float32, n), make([]float32, n)
			k.Softmax(rows, x)
			checkNorm(t, fmt.Sprintf("rows of %d", n), rows, want, tolerance)
			k.SoftmaxColumns(columns, x, nil, 1, Columns{Rows: n, Width: 1, Stride: 1})
			checkNorm(t, fmt.Sprintf("columns of %d", n), columns, want, tolerance)
			for i := range x {
				if x[i] < -110 && (rows[i] != 0 || columns[i] != 0) {
					t.Fatalf("element %d of %v is %v in a row and %v in a column, want 0", i, x[i], rows[i], columns[i])
				}
			}
		}
	})
}
