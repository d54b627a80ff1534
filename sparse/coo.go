package sparse

import "fmt"

// FromCOO makes a matrix of the elements val[k] at row[k], col[k], in any
// order. Elements at the same place are added, in the order given; zeros, and
// sums that are zero, are dropped. It is an error where an index is out of
// range.
func FromCOO(rows, cols int, row, col []int32, val []float32) (*CSR, error) {
	if err := checkDims(rows, cols); err != nil {
		return nil, err
	}
	if len(row) != len(val) || len(col) != len(val) {
		return nil, fmt.Errorf("%d rows and %d columns for %d values", len(row), len(col), len(val))
	}
	for k := range val {
		if row[k] < 0 || int(row[k]) >= rows || col[k] < 0 || int(col[k]) >= cols {
			return nil, fmt.Errorf("element %d lies at row %d of %d, column %d of %d", k, row[k], rows, col[k], cols)
		}
	}
	// Bucketed by column and then by row, the columns of a row ascend, and
	// elements at one place stay in order.
	m := bucket(rows, cols, row, col, val).Transpose()
	n := 0
	for i := range rows {
		start, end := m.ptr[i], m.ptr[i+1]
		m.ptr[i] = n
		for k := start; k < end; {
			j, sum := m.col[k], m.val[k]
			for k++; k < end && m.col[k] == j; k++ {
				sum += m.val[k]
			}
			if sum != 0 {
				m.col[n], m.val[n] = j, sum
				n++
			}
		}
	}
	m.ptr[rows] = n
	m.col, m.val = m.col[:n:n], m.val[:n:n]
	return m, nil
}

// bucket returns the transpose of the rows x cols matrix of the given
// elements. Those of one column of that matrix keep their order, so the result
// is not a valid CSR where they are not in order of their rows.
func bucket(rows, cols int, row, col []int32, val []float32) *CSR {
	t := &CSR{cols, rows, make([]int, cols+1), make([]int32, len(val)), make([]float32, len(val))}
	for _, j := range col {
		t.ptr[j+1]++
	}
	for j := range cols {
		t.ptr[j+1] += t.ptr[j]
	}
	next := make([]int, cols)
	copy(next, t.ptr)
	for k, j := range col {
		t.col[next[j]], t.val[next[j]] = row[k], val[k]
		next[j]++
	}
	return t
}
