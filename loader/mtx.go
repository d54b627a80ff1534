package loader

import (
	"bytes"
	"math"
	"slices"

	"github.com/nnz-dev/nnz/sparse"
)

// parseMTX reads a Matrix Market file,
// https://math.nist.gov/MatrixMarket/formats.html, of a format of coordinates:
//
//	%%MatrixMarket matrix coordinate real general
//	% comments
//	rows columns entries
//	row column value, both from 1 on, for each entry
//
// or of an array, where there is no number of entries and the values alone
// follow, column after column. Of a symmetric matrix there are the entries on
// and below the diagonal, of a skew-symmetric one those below it.
func parseMTX(data []byte) (*sparse.CSR, error) {
	m := &matrixMarket{scanner: scanner{data: data, sep: ' '}}
	if err := m.banner(); err != nil {
		return nil, err
	}
	for bytes.HasPrefix(bytes.TrimLeft(data[m.pos:], " \t\r\n"), []byte("%")) {
		m.word()
		m.line()
	}
	var err error
	if m.rows, err = m.int("a number of rows", 0, math.MaxInt32); err != nil {
		return nil, err
	}
	at := m.pos
	if m.cols, err = m.int("a number of columns", 0, math.MaxInt32); err != nil {
		return nil, err
	}
	if m.symmetry != "general" && m.rows != m.cols {
		return nil, formatError(at, "expected as many columns as rows of a %s matrix, got %d x %d", m.symmetry, m.rows, m.cols)
	}
	if err := checkExtents(m.rows, m.cols, len(data)); err != nil {
		return nil, formatError(at, "%v", err)
	}
	if m.format == "array" {
		err = m.array()
	} else {
		err = m.coordinates()
	}
	if err == nil {
		err = m.end()
	}
	if err != nil {
		return nil, err
	}
	c, err := sparse.FromCOO(m.rows, m.cols, m.row, m.col, m.val)
	if err != nil {
		return nil, formatError(at, "%v", err)
	}
	return c, nil
}

// A matrixMarket is a file being read, and the elements read so far.
type matrixMarket struct {
	scanner
	format, field, symmetry string
	rows, cols              int
	row, col                []int32
	val                     []float32
}

// banner reads the first line.
func (m *matrixMarket) banner() error {
	head, at := m.word()
	if string(bytes.ToLower(head)) != "%%matrixmarket" {
		return formatError(at, "expected a Matrix Market file, which starts with %%%%MatrixMarket")
	}
	var object string
	for _, part := range []struct {
		to      *string
		allowed []string
	}{
		{&object, []string{"matrix"}},
		{&m.format, []string{"coordinate", "array"}},
		{&m.field, []string{"real", "double", "integer", "pattern"}},
		{&m.symmetry, []string{"general", "symmetric", "skew-symmetric"}},
	} {
		word, at := m.word()
		*part.to = string(bytes.ToLower(word))
		if !slices.Contains(part.allowed, *part.to) {
			return formatError(at, "expected one of %v, got %q", part.allowed, clip(word))
		}
	}
	if m.format == "array" && m.field == "pattern" {
		return formatError(at, "an array has values, so it is no pattern")
	}
	return nil
}

// coordinates reads the elements of the coordinate format.
func (m *matrixMarket) coordinates() error {
	// An entry takes at least two digits and what separates them.
	entries, err := m.int("a number of entries", 0, len(m.data)/4+1)
	if err != nil {
		return err
	}
	m.reserve(entries)
	for range entries {
		i, err := m.int("a row", 1, m.rows)
		if err != nil {
			return err
		}
		at := m.pos
		j, err := m.int("a column", 1, m.cols)
		if err != nil {
			return err
		}
		if m.symmetry == "symmetric" && j > i || m.symmetry == "skew-symmetric" && j >= i {
			return formatError(at, "expected no element at row %d, column %d of a %s matrix", i, j, m.symmetry)
		}
		v := float32(1)
		if m.field != "pattern" {
			if v, err = m.float(); err != nil {
				return err
			}
		}
		m.add(i-1, j-1, v)
	}
	return nil
}

// array reads the elements of the array format.
func (m *matrixMarket) array() error {
	count := m.rows * m.cols
	switch m.symmetry {
	case "symmetric":
		count = (count + m.rows) / 2
	case "skew-symmetric":
		count = (count - m.rows) / 2
	}
	// A value takes at least a digit and what separates it.
	if limit := len(m.data)/2 + 1; count > limit {
		return formatError(m.pos, "expected %d values, and the file is too short", count)
	}
	m.reserve(count)
	for j := range m.cols {
		first := 0
		switch m.symmetry {
		case "symmetric":
			first = j
		case "skew-symmetric":
			first = j + 1
		}
		for i := first; i < m.rows; i++ {
			v, err := m.float()
			if err != nil {
				return err
			}
			m.add(i, j, v)
		}
	}
	return nil
}

// reserve makes room for n entries of the file.
func (m *matrixMarket) reserve(n int) {
	if m.symmetry != "general" {
		n *= 2
	}
	m.row, m.col, m.val = make([]int32, 0, n), make([]int32, 0, n), make([]float32, 0, n)
}

// add stores an element, and its mirror image where the matrix has symmetry.
func (m *matrixMarket) add(i, j int, v float32) {
	m.row, m.col, m.val = append(m.row, int32(i)), append(m.col, int32(j)), append(m.val, v)
	if m.symmetry == "general" || i == j {
		return
	}
	if m.symmetry == "skew-symmetric" {
		v = -v
	}
	m.row, m.col, m.val = append(m.row, int32(j)), append(m.col, int32(i)), append(m.val, v)
}
