package sparse

import "fmt"

// An NM is a matrix in N:M form: of each group of m consecutive columns of a
// row exactly n elements are stored, columns strictly ascending. A group that
// has fewer nonzeros stores zeros, too. Where the columns are no multiple of
// m, the last group of a row is shorter and stores n elements or all. Every
// row thus stores as much as the others. It is immutable.
//
// The place of an element in its group takes a byte. Four bits would do for m
// up to 16 and save a tenth of the memory, but kernels read offsets that are
// made of these places when a weight is packed, never the places themselves.
type NM struct {
	rows, cols int
	n, m       int
	at         []uint8 // column inside of the group
	val        []float32
}

// maxGroup is the largest M: an element's place in its group takes a byte.
const maxGroup = 256

// NewNM makes a matrix of its two arrays: of each row, then of each group of m
// columns, the places inside of the group and the values of n elements, or of
// all columns of a last group that has fewer than n. The arrays are not copied
// and must not change. It is an error where n and m are not 1 <= n <= m <= 256,
// where an array has another length, or where the places of a group are not
// strictly ascending and inside of it.
func NewNM(rows, cols, n, m int, at []uint8, val []float32) (*NM, error) {
	if err := checkDims(rows, cols); err != nil {
		return nil, err
	}
	if err := checkNM(n, m); err != nil {
		return nil, err
	}
	out := &NM{rows, cols, n, m, at, val}
	if want := rows * out.RowLen(); len(at) != want || len(val) != want {
		return nil, fmt.Errorf("%d:%d of %d x %d stores %d elements, got %d places and %d values", n, m, rows, cols, want, len(at), len(val))
	}
	for i := range rows {
		for k, j := range out.columns(i) {
			group := k / n * m
			switch {
			case j >= min(group+m, cols):
				return nil, fmt.Errorf("row %d has column %d in the group of columns %d to %d", i, j, group, min(group+m, cols)-1)
			case k%n > 0 && at[i*out.RowLen()+k-1] >= uint8(j-group):
				return nil, fmt.Errorf("row %d has column %d after %d", i, j, group+int(at[i*out.RowLen()+k-1]))
			}
		}
	}
	return out, nil
}

func checkNM(n, m int) error {
	if n < 1 || m < n || m > maxGroup {
		return fmt.Errorf("%d:%d: expected 1 <= N <= M <= %d", n, m, maxGroup)
	}
	return nil
}

// Dims returns the number of rows and columns.
func (m *NM) Dims() (rows, cols int) { return m.rows, m.cols }

// NNZ returns how many elements are stored: n of each group, zeros included.
func (m *NM) NNZ() int { return len(m.val) }

// Bytes returns the memory that places and values take.
func (m *NM) Bytes() int { return len(m.at) + len(m.val)*4 }

// Pattern returns how many elements are stored of how many columns.
func (m *NM) Pattern() (n, of int) { return m.n, m.m }

// RowLen returns how many elements each row stores.
func (m *NM) RowLen() int { return m.cols/m.m*m.n + min(m.cols%m.m, m.n) }

// Row writes the columns of row i to col, which has RowLen elements, and
// returns its values, as a view that must not be written to.
func (m *NM) Row(i int, col []int32) (val []float32) {
	for k, j := range m.columns(i) {
		col[k] = int32(j)
	}
	n := m.RowLen()
	return m.val[i*n : (i+1)*n : (i+1)*n]
}

// columns visits the columns of row i: number and column of each element.
func (m *NM) columns(i int) func(yield func(k, j int) bool) {
	n := m.RowLen()
	return func(yield func(k, j int) bool) {
		for k, at := range m.at[i*n : (i+1)*n] {
			if !yield(k, k/m.n*m.m+int(at)) {
				return
			}
		}
	}
}

// Dense writes the matrix, row-major, into dst, which has rows*cols elements,
// or into a new slice where dst is nil, and returns it.
func (m *NM) Dense(dst []float32) []float32 {
	dst = denseTarget(dst, m.rows*m.cols)
	for i := range m.rows {
		val := m.val[i*m.RowLen():]
		for k, j := range m.columns(i) {
			dst[i*m.cols+j] = val[k]
		}
	}
	return dst
}

// CSR returns the nonzeros of the matrix in compressed sparse rows.
func (m *NM) CSR() *CSR {
	out := &CSR{rows: m.rows, cols: m.cols, ptr: make([]int, m.rows+1)}
	for i := range m.rows {
		val := m.val[i*m.RowLen():]
		for k, j := range m.columns(i) {
			if val[k] != 0 {
				out.col = append(out.col, int32(j))
				out.val = append(out.val, val[k])
			}
		}
		out.ptr[i+1] = len(out.col)
	}
	return out
}

// NM returns the matrix in N:M form: of each group of of columns n elements.
// Groups with fewer nonzeros take their first zeros along. It is an error where
// a group has more, or where n and of are not 1 <= n <= of <= 256.
func (m *CSR) NM(n, of int) (*NM, error) {
	if err := checkNM(n, of); err != nil {
		return nil, err
	}
	out := &NM{rows: m.rows, cols: m.cols, n: n, m: of}
	out.at = make([]uint8, 0, m.rows*out.RowLen())
	out.val = make([]float32, 0, m.rows*out.RowLen())
	for i := range m.rows {
		col, val := m.Row(i)
		for group := 0; group < m.cols; group += of {
			width := min(of, m.cols-group)
			end, nonzeros := 0, 0
			for ; end < len(col) && int(col[end]) < group+width; end++ {
				if val[end] != 0 {
					nonzeros++
				}
			}
			if nonzeros > n {
				return nil, fmt.Errorf("row %d has %d nonzeros in the columns %d to %d, more than %d:%d", i, nonzeros, group, group+width-1, n, of)
			}
			zeros := min(n, width) - nonzeros // to store
			k := 0
			for j := range width {
				v := float32(0)
				if k < end && int(col[k]) == group+j {
					v = val[k]
					k++
				}
				if v == 0 {
					if zeros == 0 {
						continue
					}
					zeros--
				}
				out.at, out.val = append(out.at, uint8(j)), append(out.val, v)
			}
			col, val = col[end:], val[end:]
		}
	}
	return out, nil
}
