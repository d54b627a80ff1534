package loader

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/sparse"
)

// The matrices of testdata/matrix, as generate.py there makes them.
var (
	sciPyDense = func() []float32 {
		m := make([]float32, 6*9)
		for k := range 11 {
			m[k*5%6*9+k*7%9] = float32(k-4) / 4
		}
		m[2*9+2] = 7.5
		return m
	}()
	sciPySymmetric = combine(1)
	sciPySkew      = combine(-1)
)

// combine returns square + sign * its transpose, for the first 6 columns.
func combine(sign float32) []float32 {
	m := make([]float32, 6*6)
	for i := range 6 {
		for j := range 6 {
			m[i*6+j] = sciPyDense[i*9+j] + sign*sciPyDense[j*9+i]
		}
	}
	return m
}

func scaled(m []float32, f func(v float32) float32) []float32 {
	out := make([]float32, len(m))
	for i, v := range m {
		out[i] = f(v)
	}
	return out
}

func TestReadMatrix(t *testing.T) {
	times4 := scaled(sciPyDense, func(v float32) float32 { return v * 4 })
	pattern := scaled(sciPyDense, func(v float32) float32 {
		if v != 0 {
			return 1
		}
		return 0
	})
	for _, tt := range []struct {
		file string
		cols int
		want []float32
	}{
		{"csr.npz", 9, sciPyDense},
		{"csr_stored.npz", 9, sciPyDense},
		{"csr_unsorted.npz", 9, sciPyDense},
		{"csc.npz", 9, sciPyDense},
		{"csc_array.npz", 9, sciPyDense},
		{"bsr.npz", 9, sciPyDense},
		{"dia.npz", 9, sciPyDense},
		{"coo_duplicates.npz", 9, sciPyDense},
		{"dense.npz", 9, sciPyDense},
		{"dense_f2.npy", 9, sciPyDense},
		{"dense_fortran_f8.npy", 9, sciPyDense},
		{"dense_big_endian_f4.npy", 9, sciPyDense},
		{"int8.npy", 9, times4},
		{"coordinate.mtx", 9, sciPyDense},
		{"array.mtx", 9, sciPyDense},
		{"integer.mtx", 9, times4},
		{"pattern.mtx", 9, pattern},
		{"symmetric.mtx", 6, sciPySymmetric},
		{"symmetric_array.mtx", 6, sciPySymmetric},
		{"skew.mtx", 6, sciPySkew},
		{"skew_array.mtx", 6, sciPySkew},
	} {
		t.Run(tt.file, func(t *testing.T) {
			m, err := ReadMatrix(filepath.Join("testdata", "matrix", tt.file))
			if err != nil {
				t.Fatal(err)
			}
			rows, cols := m.Dims()
			if rows != 6 || cols != tt.cols || !slices.Equal(m.Dense(nil), tt.want) {
				t.Errorf("%d x %d: got %v, want %v", rows, cols, m.Dense(nil), tt.want)
			}
		})
	}
}

func TestSMTX(t *testing.T) {
	path := writeTemp(t, "a.SMTX", []byte("3, 4, 4\n0 2 2 4 \n1 3 0 2 \n"))
	m, err := ReadMatrix(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ReadMatrix(path)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(m.Dense(nil), again.Dense(nil)) {
		t.Error("the values differ from one time to the next")
	}
	for i, want := range [][]int32{{1, 3}, {}, {0, 2}} {
		col, val := m.Row(i)
		if !slices.Equal(col, want) {
			t.Errorf("row %d has columns %v, want %v", i, col, want)
		}
		for _, v := range val {
			if v == 0 || v <= -1 || v >= 1 {
				t.Errorf("row %d has value %g", i, v)
			}
		}
	}
}

func TestPatternValues(t *testing.T) {
	sum, squares := 0.0, 0.0
	val := patternValues(1e5)
	for _, v := range val {
		if v == 0 || v <= -1 || v >= 1 {
			t.Fatalf("value %g", v)
		}
		sum += float64(v)
		squares += float64(v) * float64(v)
	}
	if mean, variance := sum/1e5, squares/1e5; math.Abs(mean) > 0.01 || math.Abs(variance-1.0/3) > 0.01 {
		t.Errorf("mean %g and variance %g, want 0 and 1/3", mean, variance)
	}
}

func TestReadMatrixRefuses(t *testing.T) {
	const banner = "%%MatrixMarket matrix coordinate real general\n"
	for _, tt := range []struct{ file, text, want string }{
		{"a.txt", "", `expected a matrix in a file .smtx, .mtx, .npz or .npy, not ".txt"`},

		{"empty.smtx", "", "at byte 0: expected a number of rows"},
		{"picture.smtx", "\x89PNG\r\n\x1a\n", `got "\x89PNG"`},
		{"huge.smtx", "9999999999999999999999, 1, 0\n0 0\n", "expected a number of rows"},
		{"rows.smtx", "1000000, 1, 0\n0 0\n", "expected a number of rows from 0 to 10"},
		{"columns.smtx", "1, 2000000000, 1\n0 1\n5\n", "a matrix of 1 x 2000000000"},
		{"nonzeros.smtx", "1, 4, 1000000\n0 1\n", "expected a number of nonzeros"},
		{"start.smtx", "1, 4, 1\n1 1\n0\n", "from 1 to 1, not from 0 to 1"},
		{"falling.smtx", "2, 4, 2\n0 3 2\n0 1\n", "at byte 10: expected the start of a row from 0 to 2, got \"3\""},
		{"column.smtx", "1, 4, 1\n0 1\n4\n", `at byte 12: expected a column from 0 to 3, got "4"`},
		{"negative.smtx", "1, 4, 1\n0 1\n-1\n", `got "-1"`},
		{"unsorted.smtx", "1, 4, 2\n0 2\n3 1\n", "column 1 after 3"},
		{"no_columns.smtx", "1, 0, 1\n0 1\n0\n", "expected a column from 0 to -1"},
		{"truncated.smtx", "1, 4, 2\n0 2\n1 \n", `expected a column from 0 to 3, got ""`},
		{"longer.smtx", "1, 4, 1\n0 1\n1 2\n", `expected the end of the file, got "2"`},

		{"empty.mtx", "", "which starts with %%MatrixMarket"},
		{"other.mtx", "1 1 1\n1 1 1\n", "which starts with %%MatrixMarket"},
		{"object.mtx", "%%MatrixMarket vector coordinate real general\n", `expected one of [matrix], got "vector"`},
		{"format.mtx", "%%MatrixMarket matrix elemental real general\n", `got "elemental"`},
		{"complex.mtx", "%%MatrixMarket matrix coordinate complex general\n", `got "complex"`},
		{"hermitian.mtx", "%%MatrixMarket matrix coordinate real hermitian\n", `got "hermitian"`},
		{"pattern.mtx", "%%MatrixMarket matrix array pattern general\n1 1\n", "it is no pattern"},
		{"no_size.mtx", banner + "% comment", "expected a number of rows"},
		{"entries.mtx", banner + "3 3 100000\n1 1 1\n", "expected a number of entries"},
		{"rows.mtx", banner + "2000000000 3 0\n", "a matrix of 2000000000 x 3"},
		{"row.mtx", banner + "3 3 1\n0 1 1\n", `expected a row from 1 to 3, got "0"`},
		{"column.mtx", banner + "3 3 1\n1 4 1\n", `expected a column from 1 to 3, got "4"`},
		{"value.mtx", banner + "3 3 1\n1 1 one\n", `expected a number that fits a float32, got "one"`},
		{"large.mtx", banner + "3 3 1\n1 1 1e300\n", `got "1e300"`},
		{"few.mtx", banner + "3 3 2\n1 1 1\n", `expected a row from 1 to 3, got ""`},
		{"many.mtx", banner + "3 3 1\n1 1 1\n1 2 1\n", "expected the end of the file"},
		{"square.mtx", "%%MatrixMarket matrix coordinate real symmetric\n3 4 0\n", "as many columns as rows of a symmetric matrix, got 3 x 4"},
		{"upper.mtx", "%%MatrixMarket matrix coordinate real symmetric\n3 3 1\n1 2 1\n", "no element at row 1, column 2 of a symmetric matrix"},
		{"diagonal.mtx", "%%MatrixMarket matrix coordinate real skew-symmetric\n3 3 1\n2 2 1\n", "no element at row 2, column 2 of a skew-symmetric matrix"},
		{"short.mtx", "%%MatrixMarket matrix array real general\n300 300\n1\n", "expected 90000 values, and the file is too short"},

		{"empty.npy", "", "at byte 0: expected a .npy file"},
		{"zeros.npz", strings.Repeat("\x00", 100), "expected an archive of arrays"},
	} {
		t.Run(tt.file, func(t *testing.T) {
			path := writeTemp(t, tt.file, []byte(tt.text))
			_, err := ReadMatrix(path)
			wantFormatError(t, err, path, tt.want)
		})
	}
	if _, err := ReadMatrix(filepath.Join(t.TempDir(), "absent.mtx")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
}

// Comments, blank lines and capitals as other programs write them.
func TestMTXSpelling(t *testing.T) {
	m, err := parseMTX([]byte("%%MatrixMarket MATRIX Coordinate Double General\r\n%\r\n% 1 2 3\r\n\r\n  2 2 2 \r\n\r\n1 1  -.5E1\r\n 2 1 nan"))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Dense(nil); got[0] != -5 || got[1] != 0 || got[2] == got[2] || got[3] != 0 {
		t.Errorf("got %v", got)
	}
}

func TestArrayMatrixRefuses(t *testing.T) {
	ints := func(v ...int64) *graph.Tensor { return graph.FromInts(graph.Int32, []int{len(v)}, v) }
	floats := func(shape ...int) *graph.Tensor {
		n, err := graph.Elements(shape)
		if err != nil {
			t.Fatal(err)
		}
		return graph.FromFloats(shape, slices.Repeat([]float32{1}, n))
	}
	text := func(s ...string) *graph.Tensor {
		out, err := graph.NewStrings([]int{len(s)}, s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	type arrays = map[string]*graph.Tensor
	csr := func(replace arrays) arrays {
		out := arrays{"format": text("csr"), "shape": ints(2, 3), "data": floats(2), "indices": ints(0, 2), "indptr": ints(0, 1, 2)}
		for name, t := range replace {
			if out[name] = t; t == nil {
				delete(out, name)
			}
		}
		return out
	}
	if m, err := arrayMatrix(csr(nil)); err != nil || m.NNZ() != 2 {
		t.Fatalf("the sound matrix gives %v", err)
	}
	for _, tt := range []struct {
		name   string
		arrays arrays
		want   string
	}{
		{"nothing", arrays{}, "got 0 arrays"},
		{"two arrays", arrays{"a": floats(1, 1), "b": floats(1, 1)}, "got 2 arrays"},
		{"rank", arrays{"a": floats(2, 2, 2)}, "got shape [2 2 2]"},
		{"text", arrays{"a": func() *graph.Tensor { s, _ := graph.NewStrings([]int{1, 1}, []string{"x"}); return s }()}, "got an array of string"},
		{"format", csr(arrays{"format": text("lil")}), `got "lil"`},
		{"formats", csr(arrays{"format": text("csr", "csr")}), "format of one string"},
		{"format of numbers", csr(arrays{"format": ints(1)}), "format of one string"},
		{"no data", csr(arrays{"data": nil}), "expected an array data"},
		{"data of text", csr(arrays{"data": text("a", "b")}), "data: expected numbers"},
		{"no shape", csr(arrays{"shape": nil}), "expected an array shape"},
		{"shape of reals", csr(arrays{"shape": floats(2)}), "expected an array shape of integers"},
		{"shape of three", csr(arrays{"shape": ints(2, 3, 4)}), "got [2 3 4]"},
		{"negative shape", csr(arrays{"shape": ints(-2, 3)}), "a matrix of -2 x 3"},
		{"huge shape", csr(arrays{"shape": graph.FromInts(graph.Int64, []int{2}, []int64{2, 1 << 40})}), "at most 2^31"},
		{"large shape", csr(arrays{"shape": ints(2, 1<<30)}), "a matrix of 2 x 1073741824"},
		{"no indices", csr(arrays{"indices": nil}), "expected an array indices"},
		{"no indptr", csr(arrays{"indptr": nil}), "expected an array indptr"},
		{"indptr length", csr(arrays{"indptr": ints(0, 2)}), "expected 3 values from 0 to at most 2 in indptr"},
		{"indptr start", csr(arrays{"indptr": ints(1, 1, 2)}), "from 0 to at most 2 in indptr"},
		{"indptr end", csr(arrays{"indptr": ints(0, 1, 3)}), "from 0 to at most 2 in indptr"},
		{"indptr falling", csr(arrays{"indptr": ints(0, 2, 1)}), "row 0 of indptr ends at element 2"},
		{"indptr negative", csr(arrays{"indptr": ints(0, -1, 2)}), "row 0 of indptr ends at element -1"},
		{"index", csr(arrays{"indices": ints(0, 3)}), "element 1 has index 3 of 3"},
		{"negative index", csr(arrays{"indices": ints(0, -1)}), "element 1 has index -1 of 3"},
		{"data length", csr(arrays{"data": floats(3)}), "for 2 indices, got data of shape [3]"},
		{"data rank", csr(arrays{"data": floats(2, 1)}), "got data of shape [2 1]"},
		{"block size", csr(arrays{"format": text("bsr"), "data": floats(2, 2, 2)}), "that divide a 2 x 3 matrix"},
		{"empty block", csr(arrays{"format": text("bsr"), "data": floats(2, 0, 1)}), "got data of shape [2 0 1]"},
		{"coo without rows", csr(arrays{"format": text("coo")}), "expected an array row"},
		{"coo length", csr(arrays{"format": text("coo"), "row": ints(0, 1), "col": ints(0)}), "got 2 and 1"},
		{"coo row", csr(arrays{"format": text("coo"), "row": ints(0, 2), "col": ints(0, 1)}), "element 1 lies at row 2 of 2"},
		{"coo column", csr(arrays{"format": text("coo"), "row": ints(0, 1), "col": ints(0, -1)}), "column -1 of 3"},
		{"dia without offsets", csr(arrays{"format": text("dia")}), "expected an array offsets"},
		{"dia rank", csr(arrays{"format": text("dia"), "offsets": ints(0, 1)}), "for each of 2 diagonals, got data of shape [2]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := arrayMatrix(tt.arrays); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func FuzzSMTX(f *testing.F) {
	f.Add([]byte("3, 4, 4\n0 2 2 4 \n1 3 0 2 \n"))
	f.Add([]byte("0, 0, 0\n0\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) { checkParsed(t, data, parseSMTX) })
}

func FuzzMTX(f *testing.F) {
	f.Add([]byte("%%MatrixMarket matrix coordinate integer symmetric\n% x\n3 3 2\n1 1 5\n3 2 -1\n"))
	f.Add([]byte("%%MatrixMarket matrix array real skew-symmetric\n3 3\n1\n2.5\n-3e2\n"))
	f.Add([]byte("%%MatrixMarket matrix coordinate pattern general\n2 3 1\n2 3\n"))
	f.Fuzz(func(t *testing.T, data []byte) { checkParsed(t, data, parseMTX) })
}

// checkParsed checks that data give a sound matrix of no more memory than they
// warrant, or a FormatError that lies in them.
func checkParsed(t *testing.T, data []byte, parse func([]byte) (*sparse.CSR, error)) {
	m, err := parse(data)
	if err != nil {
		var e *FormatError
		if !errors.As(err, &e) || e.Offset > int64(len(data)) {
			t.Errorf("error %v for a file of %d bytes", err, len(data))
		}
		return
	}
	rows, cols := m.Dims()
	if m.Bytes() > 8<<20+64*len(data) {
		t.Errorf("a %d x %d matrix of %d bytes from a file of %d", rows, cols, m.Bytes(), len(data))
	}
	ptr, col, val := []int{0}, []int32{}, []float32{}
	for i := range rows {
		c, v := m.Row(i)
		col, val = append(col, c...), append(val, v...)
		ptr = append(ptr, len(col))
	}
	if _, err := sparse.NewCSR(rows, cols, ptr, col, val); err != nil {
		t.Error(err)
	}
}

// The collection's own table says how many nonzeros the rows of each matrix
// have.
func TestDLMC(t *testing.T) {
	table, err := os.Open(testdata.Path(t, "dlmc", "dlmc_subset.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	lines, err := csv.NewReader(table).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines[1:] {
		m, err := ReadMatrix(testdata.Path(t, filepath.FromSlash(line[2])))
		if err != nil {
			t.Error(err)
			continue
		}
		s := m.Stats()
		for i, got := range []float64{float64(s.Rows), float64(s.Cols), float64(m.NNZ()), s.RowMean, s.RowStd} {
			want, err := strconv.ParseFloat(line[4+i], 64)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(got-want) > 1e-6*want {
				t.Errorf("%s: %s is %g, want %g", line[3], lines[0][4+i], got, want)
			}
		}
	}
}

// The masks of torch.nn.utils.prune say in their index how many weights they
// keep.
func TestReadArraysReference(t *testing.T) {
	text, err := os.ReadFile(testdata.Path(t, "prune_masks", "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index map[string]struct {
		Weight      string
		Kept, Total int
	}
	if err := json.Unmarshal(text, &index); err != nil {
		t.Fatal(err)
	}
	read := 0
	for name, want := range index {
		path := testdata.Path(t, "prune_masks", name+".npy")
		f, err := ReadArrays(path, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue // masks of several tensors have a file for each
		}
		if err != nil {
			t.Error(err)
			continue
		}
		mask := f.Tensors["arr_0"]
		kept := 0
		val, err := toFloats(mask)
		if err != nil {
			t.Error(err)
		}
		total := mask.Len()
		if want.Total != 0 && total == (want.Total+7)/8 { // a bit for each weight
			total = want.Total
			for _, b := range mask.Raw() {
				kept += bits.OnesCount8(b)
			}
		} else {
			for _, v := range val {
				if v != 0 {
					kept++
				}
			}
		}
		if want.Total != 0 && (kept != want.Kept || total != want.Total) {
			t.Errorf("%s keeps %d of %d, want %d of %d", name, kept, total, want.Kept, want.Total)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		read++
	}
	if read < 10 {
		t.Errorf("%d masks were read", read)
	}
}
