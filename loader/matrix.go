package loader

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"github.com/nnz-dev/nnz/internal/mmap"
	"github.com/nnz-dev/nnz/sparse"
)

// ReadMatrix reads a single matrix; the extension of the file says how:
//
//   - .smtx, the pattern of a Deep Learning Matrix Collection weight. It has
//     no values, so each nonzero gets one between -1 and 1, the same every
//     time.
//   - .mtx, Matrix Market, of real or integer values or a pattern, whose
//     nonzeros are ones.
//   - .npz, as scipy.sparse.save_npz writes csr, csc, bsr and coo matrices, or
//     with one array of two dimensions; and .npy with such an array.
//
// Values become float32, and elements that are given twice are added. Any
// fault of the file is a [*FormatError].
func ReadMatrix(path string) (*sparse.CSR, error) {
	var parse func(data []byte) (*sparse.CSR, error)
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".smtx":
		parse = parseSMTX
	case ".mtx":
		parse = parseMTX
	case ".npy", ".npz":
		return readArrayMatrix(path)
	default:
		return nil, inFile(path, formatError(-1, "expected a matrix in a file .smtx, .mtx, .npz or .npy, not %q", ext))
	}
	file, err := mmap.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	m, err := parse(file.Bytes())
	return m, inFile(path, err)
}

// checkExtents bounds the rows and columns that a file of the given size may
// declare: they take memory whether or not there are elements in them.
func checkExtents(rows, cols, bytes int) error {
	limit := 1<<20 + bytes
	if rows < 0 || cols < 0 || rows > limit || cols > limit || cols > 0 && rows > math.MaxInt/8/cols {
		return fmt.Errorf("a matrix of %d x %d in %d bytes", rows, cols, bytes)
	}
	return nil
}
