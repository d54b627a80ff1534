package loader

import (
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/mmap"
)

// A TensorFile is named tensors as a file holds them.
//
// The tensors may be views into the mapped file. They are valid until Close,
// which is the caller's to call once nothing uses them any more: a tensor does
// not keep its file open.
type TensorFile struct {
	Tensors map[string]*graph.Tensor
	Meta    map[string]string // what the file says about itself; nil where it says nothing
	file    *mmap.File        // nil where the tensors are copies
}

// Close unmaps the file, and the tensors with it. A second call does nothing.
func (f *TensorFile) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}
