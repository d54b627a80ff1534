package loader

import (
	"io"

	"github.com/nnz-dev/nnz/internal/atomicfile"
)

// writeFile is [atomicfile.Write].
func writeFile(path string, write func(w io.Writer) error) error {
	return atomicfile.Write(path, write)
}
