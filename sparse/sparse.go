// Package sparse holds weight matrices that are mostly zeros: formats,
// exact conversions between them, and statistics of where the zeros are.
//
// It knows no files, no layers and no CPU. Indices are validated when a matrix
// is made, so code that walks one need not check them again.
package sparse

// A Matrix is a two-dimensional weight in one of this package's formats.
type Matrix interface {
	// Dims returns the number of rows and columns.
	Dims() (rows, cols int)
	// NNZ returns how many elements are stored; in a block format that
	// includes the zeros inside stored blocks.
	NNZ() int
	// Dense writes the matrix, row-major, into dst, which has length
	// rows*cols, or into a new slice where dst is nil, and returns it.
	Dense(dst []float32) []float32
	// Bytes returns the memory that indices and values take.
	Bytes() int
}
