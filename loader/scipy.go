package loader

import (
	"errors"
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/sparse"
)

// readArrayMatrix reads the matrix of a .npz or .npy file.
func readArrayMatrix(path string) (*sparse.CSR, error) {
	f, err := ReadArrays(path, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := arrayMatrix(f.Tensors)
	if err != nil {
		return nil, inFile(path, formatError(-1, "%v", err))
	}
	return m, nil
}

// arrayMatrix makes a matrix of one array of two dimensions, or of the arrays
// that scipy.sparse.save_npz writes.
func arrayMatrix(arrays map[string]*graph.Tensor) (*sparse.CSR, error) {
	if arrays["format"] != nil {
		s := sciPy{arrays: arrays}
		return s.matrix()
	}
	if len(arrays) != 1 {
		return nil, fmt.Errorf("expected one array or a matrix of SciPy, got %d arrays", len(arrays))
	}
	for _, t := range arrays {
		if len(t.Shape) != 2 {
			return nil, fmt.Errorf("expected an array of two dimensions, got shape %v", t.Shape)
		}
		val, err := toFloats(t)
		if err != nil {
			return nil, err
		}
		return sparse.FromDense(t.Shape[0], t.Shape[1], val)
	}
	return nil, nil
}

// toFloats returns the elements of a tensor of numbers.
func toFloats(t *graph.Tensor) ([]float32, error) {
	if t.DType.Float() {
		return t.Floats(), nil
	}
	ints := t.Ints()
	if ints == nil {
		return nil, fmt.Errorf("expected numbers, got an array of %s", t.DType)
	}
	out := make([]float32, len(ints))
	for i, v := range ints {
		out[i] = float32(v)
	}
	return out, nil
}

// A sciPy is the arrays of a sparse matrix of SciPy, and its elements as far as
// they are read. The formats are described at
// https://docs.scipy.org/doc/scipy/reference/sparse.html.
type sciPy struct {
	arrays     map[string]*graph.Tensor
	rows, cols int
	shape      []int     // of the data
	data       []float32 // the values, in the order of the format
	row, col   []int32
	val        []float32
}

func (s *sciPy) matrix() (*sparse.CSR, error) {
	data := s.arrays["data"]
	if data == nil {
		return nil, errors.New("expected an array data")
	}
	var err error
	if s.data, err = toFloats(data); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	s.shape = data.Shape
	extents, err := s.ints("shape")
	if err != nil {
		return nil, err
	}
	if len(extents) != 2 || max(extents[0], extents[1]) > math.MaxInt32 {
		return nil, fmt.Errorf("expected a shape of two dimensions of at most 2^31, got %v", extents)
	}
	bytes := 0
	for _, a := range s.arrays {
		bytes += a.Bytes()
	}
	s.rows, s.cols = int(extents[0]), int(extents[1])
	if err := checkExtents(s.rows, s.cols, bytes); err != nil {
		return nil, err
	}
	format := s.arrays["format"].Strings()
	if len(format) != 1 {
		return nil, errors.New("expected a format of one string")
	}
	switch format[0] {
	case "coo":
		err = s.coo()
	case "csr", "bsr":
		err = s.compressed(false)
	case "csc":
		err = s.compressed(true)
	case "dia":
		err = s.dia()
	default:
		err = fmt.Errorf("expected a matrix of format csr, csc, bsr, coo or dia, got %q", format[0])
	}
	if err != nil {
		return nil, err
	}
	return sparse.FromCOO(s.rows, s.cols, s.row, s.col, s.val)
}

// ints returns an array of integers.
func (s *sciPy) ints(name string) ([]int64, error) {
	t := s.arrays[name]
	if t == nil || len(t.Shape) != 1 || !t.DType.Integer() {
		return nil, fmt.Errorf("expected an array %s of integers in one dimension", name)
	}
	return t.Ints(), nil
}

// add stores an element of the matrix; zeros are left out.
func (s *sciPy) add(i, j int, v float32) {
	if v != 0 {
		s.row, s.col, s.val = append(s.row, int32(i)), append(s.col, int32(j)), append(s.val, v)
	}
}

// coo reads coordinates: element k is data[k] at row[k], col[k].
func (s *sciPy) coo() error {
	row, err := s.ints("row")
	if err != nil {
		return err
	}
	col, err := s.ints("col")
	if err != nil {
		return err
	}
	if len(s.shape) != 1 || len(row) != len(s.data) || len(col) != len(s.data) {
		return fmt.Errorf("expected a row and a column for each of %d values, got %d and %d", len(s.data), len(row), len(col))
	}
	for k, v := range s.data {
		if row[k] < 0 || col[k] < 0 || row[k] >= int64(s.rows) || col[k] >= int64(s.cols) {
			return fmt.Errorf("element %d lies at row %d of %d, column %d of %d", k, row[k], s.rows, col[k], s.cols)
		}
		s.add(int(row[k]), int(col[k]), v)
	}
	return nil
}

// compressed reads compressed rows, or columns, of elements or blocks: row i
// holds the elements indptr[i]:indptr[i+1] of data, which lie in the columns
// indices.
func (s *sciPy) compressed(columns bool) error {
	indices, err := s.ints("indices")
	if err != nil {
		return err
	}
	indptr, err := s.ints("indptr")
	if err != nil {
		return err
	}
	r, c := 1, 1
	if len(s.shape) == 3 {
		r, c = s.shape[1], s.shape[2]
	}
	if len(s.shape) != 1 && len(s.shape) != 3 || s.shape[0] != len(indices) || r < 1 || c < 1 || s.rows%r != 0 || s.cols%c != 0 {
		return fmt.Errorf("expected elements or blocks that divide a %d x %d matrix for %d indices, got data of shape %v", s.rows, s.cols, len(indices), s.shape)
	}
	major, minor := s.rows/r, s.cols/c
	if columns {
		major, minor = minor, major
	}
	if len(indptr) != major+1 || indptr[0] != 0 || indptr[major] > int64(len(indices)) {
		return fmt.Errorf("expected %d values from 0 to at most %d in indptr", major+1, len(indices))
	}
	for i := range major {
		if indptr[i+1] < indptr[i] || indptr[i+1] > indptr[major] {
			return fmt.Errorf("row %d of indptr ends at element %d and starts at %d", i, indptr[i+1], indptr[i])
		}
		for k := int(indptr[i]); k < int(indptr[i+1]); k++ {
			if indices[k] < 0 || indices[k] >= int64(minor) {
				return fmt.Errorf("element %d has index %d of %d", k, indices[k], minor)
			}
			y, x := i, int(indices[k])
			if columns {
				y, x = x, y
			}
			for n, v := range s.data[k*r*c : (k+1)*r*c] {
				s.add(y*r+n/c, x*c+n%c, v)
			}
		}
	}
	return nil
}

// dia reads diagonals: data[k][j] lies in column j of the diagonal offsets[k],
// the main one being 0 and those above it positive.
func (s *sciPy) dia() error {
	offsets, err := s.ints("offsets")
	if err != nil {
		return err
	}
	if len(s.shape) != 2 || s.shape[0] != len(offsets) {
		return fmt.Errorf("expected a row of values for each of %d diagonals, got data of shape %v", len(offsets), s.shape)
	}
	length := s.shape[1]
	for k, offset := range offsets {
		for j := range min(length, s.cols) {
			if i := int64(j) - offset; i >= 0 && i < int64(s.rows) {
				s.add(int(i), j, s.data[k*length+j])
			}
		}
	}
	return nil
}
