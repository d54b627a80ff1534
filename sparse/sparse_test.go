package sparse

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var (
	negZero = float32(math.Copysign(0, -1))
	nan     = float32(math.NaN())
)

// blockSizes go from single elements to blocks larger than most matrices here.
var blockSizes = [][2]int{{1, 1}, {2, 1}, {4, 1}, {1, 4}, {4, 4}, {3, 2}, {16, 1}, {1, 16}, {40, 50}}

// random returns a rows x cols matrix in which the given share is zero.
func random(rows, cols int, sparsity float64) []float32 {
	rng := rand.New(rand.NewPCG(uint64(rows), uint64(cols)))
	dense := make([]float32, rows*cols)
	for i := range dense {
		if rng.Float64() >= sparsity {
			dense[i] = float32(rng.NormFloat64())
		}
	}
	return dense
}

// bitsOf returns the bit patterns of v with negative zeros, which no sparse
// format keeps, as zeros.
func bitsOf(v []float32) []uint32 {
	out := make([]uint32, len(v))
	for i, x := range v {
		if x != 0 {
			out[i] = math.Float32bits(x)
		}
	}
	return out
}

func fromDense(t *testing.T, rows, cols int, dense []float32) *CSR {
	t.Helper()
	m, err := FromDense(rows, cols, dense)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// checkRoundTrips takes a dense matrix through every conversion and back.
func checkRoundTrips(t *testing.T, rows, cols int, dense []float32) {
	t.Helper()
	want := bitsOf(dense)
	nonzeros := 0
	for _, b := range want {
		if b != 0 {
			nonzeros++
		}
	}
	m := fromDense(t, rows, cols, dense)
	if m.NNZ() != nonzeros {
		t.Errorf("CSR stores %d elements of %d nonzeros", m.NNZ(), nonzeros)
	}
	if _, err := NewCSR(rows, cols, m.ptr, m.col, m.val); err != nil {
		t.Errorf("FromDense made a matrix that NewCSR refuses: %v", err)
	}
	dirty := slices.Repeat([]float32{7}, rows*cols)
	if !slices.Equal(bitsOf(m.Dense(dirty)), want) {
		t.Error("dense to CSR to dense differs")
	}
	tr := m.Transpose()
	if _, err := NewCSR(cols, rows, tr.ptr, tr.col, tr.val); err != nil {
		t.Errorf("Transpose made a matrix that NewCSR refuses: %v", err)
	}
	across := tr.Dense(nil)
	for i := range rows {
		for j := range cols {
			if b := math.Float32bits(across[j*rows+i]); b != want[i*cols+j] {
				t.Fatalf("transpose at %d, %d is %#x, want %#x", j, i, b, want[i*cols+j])
			}
		}
	}
	for _, size := range blockSizes {
		b := m.BSR(size[0], size[1])
		if _, err := NewBSR(rows, cols, b.r, b.c, b.ptr, b.col, b.val); err != nil {
			t.Fatalf("%d x %d: BSR made a matrix that NewBSR refuses: %v", b.r, b.c, err)
		}
		for k := range b.col {
			block := b.val[k*b.r*b.c : (k+1)*b.r*b.c]
			if !slices.ContainsFunc(block, func(v float32) bool { return v != 0 }) {
				t.Errorf("%d x %d: block %d is stored and holds zeros only", b.r, b.c, k)
			}
		}
		for i := range dirty {
			dirty[i] = 7
		}
		if !slices.Equal(bitsOf(b.Dense(dirty)), want) {
			t.Errorf("%d x %d: dense to BSR to dense differs", b.r, b.c)
		}
		back := b.CSR()
		if !slices.Equal(back.ptr, m.ptr) || !slices.Equal(back.col, m.col) || !slices.Equal(bitsOf(back.val), bitsOf(m.val)) {
			t.Errorf("%d x %d: CSR to BSR to CSR differs", b.r, b.c)
		}
		for least := range 4 {
			checkSplit(t, m, size[0], size[1], least)
		}
	}
	for _, p := range patterns {
		checkNMRoundTrip(t, m, p[0], p[1])
	}
}

// checkSplit compares what Split gives with the matrix and the blocks of it.
func checkSplit(t *testing.T, m *CSR, r, c, least int) {
	t.Helper()
	b, rest := m.Split(r, c, least)
	if _, err := NewBSR(m.rows, m.cols, b.r, b.c, b.ptr, b.col, b.val); err != nil {
		t.Fatalf("%d x %d of %d: Split made blocks that NewBSR refuses: %v", r, c, least, err)
	}
	if _, err := NewCSR(m.rows, m.cols, rest.ptr, rest.col, rest.val); err != nil {
		t.Fatalf("%d x %d of %d: Split made a rest that NewCSR refuses: %v", r, c, least, err)
	}
	nonzeros := func(v []float32) (n int) {
		for _, x := range v {
			if x != 0 {
				n++
			}
		}
		return n
	}
	for k := range b.col {
		if n := nonzeros(b.val[k*r*c : (k+1)*r*c]); n < max(least, 1) {
			t.Errorf("%d x %d of %d: a block of %d", r, c, least, n)
		}
	}
	other, _ := rest.Split(r, c, least)
	if len(other.col) > 0 {
		t.Errorf("%d x %d of %d: %d blocks are left in the rest", r, c, least, len(other.col))
	}
	sum := b.Dense(nil)
	for i, v := range rest.Dense(nil) {
		if v != 0 {
			if sum[i] != 0 {
				t.Fatalf("%d x %d of %d: element %d is in both parts", r, c, least, i)
			}
			sum[i] = v
		}
	}
	if !slices.Equal(bitsOf(sum), bitsOf(m.Dense(nil))) || slices.Contains(rest.val, 0) {
		t.Errorf("%d x %d of %d: the parts do not add up to the matrix", r, c, least)
	}
}

// patterns go from one element of two to groups wider than most matrices here.
var patterns = [][2]int{{1, 2}, {1, 4}, {2, 4}, {3, 4}, {4, 4}, {3, 7}, {20, 50}, {256, 256}}

// checkNMRoundTrip takes a matrix to N:M and back, where it is N:M sparse.
func checkNMRoundTrip(t *testing.T, m *CSR, n, of int) {
	t.Helper()
	dense := m.Dense(nil)
	holds := true
	for i := range m.rows {
		for g := 0; g < m.cols; g += of {
			nonzeros := 0
			for _, v := range dense[i*m.cols+g : i*m.cols+min(g+of, m.cols)] {
				if v != 0 {
					nonzeros++
				}
			}
			holds = holds && nonzeros <= n
		}
	}
	if m.Holds(n, of) != holds {
		t.Errorf("%d:%d: Holds gives %v", n, of, !holds)
	}
	x, err := m.NM(n, of)
	if (err == nil) != holds {
		t.Fatalf("%d:%d of a matrix that has it: %v: error %v", n, of, holds, err)
	}
	if err != nil {
		return
	}
	if _, err := NewNM(m.rows, m.cols, n, of, x.at, x.val); err != nil {
		t.Fatalf("%d:%d: NM made a matrix that NewNM refuses: %v", n, of, err)
	}
	dirty := slices.Repeat([]float32{7}, m.rows*m.cols)
	if !slices.Equal(bitsOf(x.Dense(dirty)), bitsOf(dense)) {
		t.Errorf("%d:%d: CSR to NM to dense differs", n, of)
	}
	back := x.CSR()
	if !slices.Equal(back.ptr, m.ptr) || !slices.Equal(back.col, m.col) || !slices.Equal(bitsOf(back.val), bitsOf(m.val)) {
		t.Errorf("%d:%d: CSR to NM to CSR differs", n, of)
	}
	col := make([]int32, x.RowLen())
	for i := range m.rows {
		for k, v := range x.Row(i, col) {
			if want := dense[i*m.cols+int(col[k])]; v != want && v == v {
				t.Errorf("%d:%d: row %d has %g in column %d, want %g", n, of, i, v, col[k], want)
			}
		}
	}
}

func TestRoundTrips(t *testing.T) {
	for _, tt := range []struct {
		name       string
		rows, cols int
		dense      []float32
	}{
		{"empty", 0, 0, nil},
		{"no rows", 0, 5, nil},
		{"no columns", 5, 0, nil},
		{"one element", 1, 1, []float32{3}},
		{"all zeros", 7, 9, make([]float32, 63)},
		{"all ones", 8, 16, slices.Repeat([]float32{1}, 128)},
		{"zero rows between", 5, 3, []float32{0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0, 4, 0, 0, 0}},
		{"special values", 2, 4, []float32{negZero, nan, float32(math.Inf(1)), 0, math.SmallestNonzeroFloat32, negZero, -1, 0}},
		{"ragged", 13, 17, random(13, 17, 0.7)},
		{"2:4", 2, 7, []float32{1, 0, 0, 2, 0, 3, 0, 0, 4, 5, 0, 6, 0, 7}},
		{"short last group", 1, 5, []float32{1, 0, 0, 0, 2}},
		{"tall", 130, 3, random(130, 3, 0.9)},
		{"wide", 3, 130, random(3, 130, 0.9)},
	} {
		t.Run(tt.name, func(t *testing.T) { checkRoundTrips(t, tt.rows, tt.cols, tt.dense) })
	}
}

func FuzzRoundTrips(f *testing.F) {
	f.Add(3, []byte{0, 1, 0x80, 0, 0, 0xc0, 7})
	f.Add(1, []byte{})
	f.Fuzz(func(t *testing.T, cols int, data []byte) {
		if cols < 1 || cols > 64 || len(data) > 4096 {
			return
		}
		dense := make([]float32, len(data)/cols*cols)
		for i := range dense {
			dense[i] = math.Float32frombits(uint32(data[i]) << 24) // 0, -0, NaN and others
		}
		checkRoundTrips(t, len(dense)/cols, cols, dense)
	})
}

func TestNewCSRRefuses(t *testing.T) {
	above := math.MaxInt32
	above++ // negative where int has 32 bits
	one := []float32{1}
	for _, tt := range []struct {
		name       string
		rows, cols int
		ptr        []int
		col        []int32
		val        []float32
		want       string
	}{
		{"negative rows", -1, 2, []int{0}, nil, nil, "-1 x 2"},
		{"too many columns", 1, above, []int{0, 0}, nil, nil, "a matrix of 1 x"},
		{"too many elements", math.MaxInt32, math.MaxInt32, nil, nil, nil, "too large"},
		{"no pointers", 0, 0, nil, nil, nil, "row pointers"},
		{"short pointers", 2, 2, []int{0, 1}, []int32{0}, one, "row pointers"},
		{"start", 1, 2, []int{1, 1}, []int32{0}, one, "from 1 to 1"},
		{"end", 1, 2, []int{0, 2}, []int32{0}, one, "from 0 to 2"},
		{"falling", 2, 2, []int{0, 2, 1}, []int32{0}, one, "row 0 ends at element 2 of 1"},
		{"negative pointer", 2, 2, []int{0, -1, 1}, []int32{0}, one, "row 0 ends at element -1"},
		{"lengths", 1, 2, []int{0, 1}, []int32{0}, nil, "1 columns for 0 values"},
		{"column range", 1, 2, []int{0, 1}, []int32{2}, one, "column 2 of 2"},
		{"negative column", 1, 2, []int{0, 1}, []int32{-1}, one, "column -1"},
		{"twice", 1, 2, []int{0, 2}, []int32{1, 1}, []float32{1, 1}, "column 1 after 1"},
		{"descending", 1, 2, []int{0, 2}, []int32{1, 0}, []float32{1, 1}, "column 0 after 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewCSR(tt.rows, tt.cols, tt.ptr, tt.col, tt.val)
			wantError(t, err, tt.want)
		})
	}
}

func TestNewBSRRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		r, c int
		ptr  []int
		col  []int32
		val  []float32
		want string
	}{ // all 3 x 3
		{"no block", 0, 1, []int{0, 0, 0, 0}, nil, nil, "blocks of 0 x 1"},
		{"huge block", math.MaxInt32, 2, []int{0, 0}, nil, nil, "blocks of 2147483647 x 2"},
		{"values", 2, 2, []int{0, 1, 1}, []int32{0}, []float32{1, 1, 1}, "1 blocks of 2 x 2, but 3 values"},
		{"more values", 2, 2, []int{0, 1, 1}, []int32{0}, make([]float32, 8), "1 blocks of 2 x 2, but 8 values"},
		{"column range", 2, 2, []int{0, 1, 1}, []int32{2}, make([]float32, 4), "column 2 of 2"},
		{"twice", 1, 1, []int{0, 2, 2, 2}, []int32{1, 1}, make([]float32, 2), "column 1 after 1"},
		{"descending", 1, 1, []int{0, 2, 2, 2}, []int32{1, 0}, make([]float32, 2), "column 0 after 1"},
		{"padding right", 2, 2, []int{0, 1, 1}, []int32{1}, []float32{1, 2, 0, 0}, "block 0 has 2 outside"},
		{"padding below", 2, 2, []int{0, 0, 1}, []int32{0}, []float32{1, 1, 0, nan}, "block 0 has NaN outside"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewBSR(3, 3, tt.r, tt.c, tt.ptr, tt.col, tt.val)
			wantError(t, err, tt.want)
		})
	}
}

func TestNewNMRefuses(t *testing.T) {
	above := math.MaxInt32
	above++ // negative where int has 32 bits
	for _, tt := range []struct {
		name       string
		rows, cols int
		n, m       int
		at         []uint8
		values     int
		want       string
	}{
		{"too many columns", 1, above, 2, 4, nil, 0, "a matrix of 1 x"},
		{"none of four", 1, 4, 0, 4, nil, 0, "0:4"},
		{"more than all", 1, 4, 5, 4, make([]uint8, 5), 5, "5:4"},
		{"wide group", 1, 257, 1, 257, []uint8{0}, 1, "1:257"},
		{"places", 2, 4, 2, 4, []uint8{0, 1, 0}, 4, "stores 4 elements, got 3 places and 4 values"},
		{"values", 2, 4, 2, 4, []uint8{0, 1, 0, 1}, 5, "stores 4 elements, got 4 places and 5 values"},
		{"short group", 1, 5, 2, 4, []uint8{0, 1, 0, 1}, 4, "stores 3 elements, got 4 places"},
		{"past the group", 1, 8, 2, 4, []uint8{0, 4, 0, 1}, 4, "row 0 has column 4 in the group of columns 0 to 3"},
		{"past the matrix", 2, 5, 2, 4, []uint8{0, 1, 0, 2, 3, 1}, 6, "row 1 has column 5 in the group of columns 4 to 4"},
		{"twice", 1, 8, 2, 4, []uint8{0, 1, 2, 2}, 4, "row 0 has column 6 after 6"},
		{"descending", 2, 4, 2, 4, []uint8{0, 1, 3, 2}, 4, "row 1 has column 2 after 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewNM(tt.rows, tt.cols, tt.n, tt.m, tt.at, make([]float32, tt.values))
			wantError(t, err, tt.want)
		})
	}
	// A column may come in two groups, as long as it ascends within each.
	if _, err := NewNM(1, 8, 2, 4, []uint8{1, 3, 0, 1}, make([]float32, 4)); err != nil {
		t.Error(err)
	}
	m := fromDense(t, 2, 8, []float32{1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1})
	_, err := m.NM(2, 4)
	wantError(t, err, "row 1 has 3 nonzeros in the columns 4 to 7, more than 2:4")
	_, err = m.NM(3, 2)
	wantError(t, err, "3:2")
}

func TestNMLayout(t *testing.T) {
	m, err := fromDense(t, 2, 6, []float32{
		0, 5, 0, 6, 0, 7,
		0, 0, 0, 8, 0, 0,
	}).NM(2, 4)
	if err != nil {
		t.Fatal(err)
	}
	if n, of := m.Pattern(); n != 2 || of != 4 || m.NNZ() != 8 || m.RowLen() != 4 || m.Bytes() != 8+8*4 {
		t.Errorf("%d:%d of %d elements, %d a row, %d bytes", n, of, m.NNZ(), m.RowLen(), m.Bytes())
	}
	col := make([]int32, 4)
	for i, want := range []struct {
		col []int32
		val []float32
	}{
		{[]int32{1, 3, 4, 5}, []float32{5, 6, 0, 7}},
		{[]int32{0, 3, 4, 5}, []float32{0, 8, 0, 0}},
	} {
		if val := m.Row(i, col); !slices.Equal(col, want.col) || !slices.Equal(val, want.val) {
			t.Errorf("row %d is %v %v, want %v", i, col, val, want)
		}
	}
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	}
}

func TestFromDenseRefuses(t *testing.T) {
	_, err := FromDense(2, 3, make([]float32, 5))
	wantError(t, err, "6 elements, got 5")
	_, err = FromDense(-2, 3, nil)
	wantError(t, err, "-2 x 3")
}

func TestFromCOO(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const rows, cols = 11, 7
	want := make([]float32, rows*cols)
	var row, col []int32
	var val []float32
	for range 60 { // some places are hit more than once
		i, j, v := rng.Int32N(rows), rng.Int32N(cols), float32(rng.Int32N(5)-2)
		row, col, val = append(row, i), append(col, j), append(val, v)
		want[i*cols+j] += v
	}
	m, err := FromCOO(rows, cols, row, col, val)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewCSR(rows, cols, m.ptr, m.col, m.val); err != nil {
		t.Errorf("FromCOO made a matrix that NewCSR refuses: %v", err)
	}
	if !slices.Equal(bitsOf(m.Dense(nil)), bitsOf(want)) || slices.Contains(m.val, 0) {
		t.Errorf("got %v, want %v", m.Dense(nil), want)
	}
	if m, err := FromCOO(0, 3, nil, nil, nil); err != nil || m.NNZ() != 0 {
		t.Errorf("a matrix without rows: %v", err)
	}
}

func TestFromCOORefuses(t *testing.T) {
	for _, tt := range []struct {
		rows, cols int
		row, col   []int32
		val        []float32
		want       string
	}{
		{-1, 1, nil, nil, nil, "-1 x 1"},
		{2, 2, []int32{0}, nil, []float32{1}, "1 rows and 0 columns for 1 values"},
		{2, 2, []int32{2}, []int32{0}, []float32{1}, "element 0 lies at row 2 of 2, column 0 of 2"},
		{2, 2, []int32{0}, []int32{-1}, []float32{1}, "column -1 of 2"},
	} {
		_, err := FromCOO(tt.rows, tt.cols, tt.row, tt.col, tt.val)
		wantError(t, err, tt.want)
	}
}

func TestBSRLayout(t *testing.T) {
	m := fromDense(t, 3, 5, []float32{
		1, 0, 0, 0, 2,
		0, 3, 0, 0, 0,
		0, 0, 0, 4, 0,
	})
	b := m.BSR(2, 2)
	for i, want := range []struct {
		col []int32
		val []float32
	}{
		{[]int32{0, 2}, []float32{1, 0, 0, 3, 2, 0, 0, 0}},
		{[]int32{1}, []float32{0, 4, 0, 0}},
	} {
		col, val := b.BlockRow(i)
		if !slices.Equal(col, want.col) || !slices.Equal(val, want.val) {
			t.Errorf("block row %d is %v %v, want %v", i, col, val, want)
		}
	}
	if r, c := b.Block(); r != 2 || c != 2 {
		t.Errorf("blocks of %d x %d", r, c)
	}
	if b.NNZ() != 12 {
		t.Errorf("%d stored elements, want 12", b.NNZ())
	}
}

// Stored zeros are kept by Row and Transpose and absent from blocks and
// statistics.
func TestStoredZeros(t *testing.T) {
	m, err := NewCSR(2, 3, []int{0, 2, 3}, []int32{0, 2, 1}, []float32{0, 5, negZero})
	if err != nil {
		t.Fatal(err)
	}
	if n := m.Transpose().NNZ(); n != 3 {
		t.Errorf("transpose stores %d elements, want 3", n)
	}
	if n := m.BSR(1, 1).NNZ(); n != 1 {
		t.Errorf("blocks store %d elements, want 1", n)
	}
	if s := m.Stats(); s.Zeros != 5 || s.RowMin != 0 || s.RowMax != 1 {
		t.Errorf("stats %+v, want 5 zeros and 0 to 1 in a row", s)
	}
}

// naiveBlocks counts blocks element by element.
func naiveBlocks(rows, cols int, dense []float32, r, c int) BlockStats {
	s := BlockStats{R: r, C: c}
	nonzeros, elements := 0, 0
	for y := 0; y < rows; y += r {
		for x := 0; x < cols; x += c {
			n, all := 0, 0
			for i := y; i < min(y+r, rows); i++ {
				for j := x; j < min(x+c, cols); j++ {
					all++
					if dense[i*cols+j] != 0 {
						n++
					}
				}
			}
			s.Total++
			switch n {
			case 0:
				s.Empty++
				continue
			case all:
				s.Full++
			}
			nonzeros += n
			elements += all
		}
	}
	if elements > 0 {
		s.Fill = float64(nonzeros) / float64(elements)
	}
	return s
}

func TestStats(t *testing.T) {
	s := Measure(3, 4, []float32{
		1, negZero, 0, 2,
		0, 0, 0, 0,
		nan, 1, 1, 1,
	})
	if s.Rows != 3 || s.Cols != 4 || s.Zeros != 6 || s.Sparsity != 0.5 || s.RowMin != 0 || s.RowMax != 4 || s.RowMean != 2 ||
		math.Abs(s.RowStd-math.Sqrt(8.0/3)) > 1e-15 {
		t.Errorf("stats %+v", s)
	}
	for _, size := range [][2]int{{0, 0}, {0, 3}, {3, 0}} {
		if s := Measure(size[0], size[1], nil); s.Zeros != 0 || s.Sparsity != 0 || s.RowMean != 0 || len(s.Blocks) != len(blockShapes) {
			t.Errorf("stats of a %v matrix: %+v", size, s)
		}
	}
	for i, want := range []PatternStats{{1, 4, 4, 2}, {2, 4, 4, 1}} {
		// Stored or not, a zero is one.
		if got := Measure(2, 5, []float32{1, negZero, 0, 2, 3, 1, 1, 1, 0, 0}).Patterns[i]; got != want || got.Holds() {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	for _, sparsity := range []float64{0, 0.5, 0.95, 1} {
		rows, cols := 37, 29
		dense := random(rows, cols, sparsity)
		for _, got := range Measure(rows, cols, dense).Blocks {
			if want := naiveBlocks(rows, cols, dense, got.R, got.C); got != want {
				t.Errorf("sparsity %g: %+v, want %+v", sparsity, got, want)
			}
		}
	}
}

func BenchmarkMeasure(b *testing.B) {
	for _, sparsity := range []float64{0, 0.9} {
		dense := random(512, 4608, sparsity)
		b.Run(map[float64]string{0: "dense", 0.9: "sparse"}[sparsity], func(b *testing.B) {
			b.SetBytes(int64(len(dense) * 4))
			for b.Loop() {
				Measure(512, 4608, dense)
			}
		})
	}
}
