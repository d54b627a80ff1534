// Package loader turns files into models and matrices, and models into files.
//
// Files are hostile until proven otherwise: lengths are compared with what is
// left before anything is allocated, memory and recursion are bounded, and
// every fault is a [*FormatError] that names the file and the byte.
package loader

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/mmap"
)

// Options say how to read a model. The zero value is right for most uses.
type Options struct {
	// MaxBytes bounds the memory that the tensors of a model may take together
	// as they are held, and that each sparse one would take as a dense one; 0
	// allows 16 times the size of the file and its external data, and at least
	// 256 MiB. Hardly a sound model needs more: what grows when read is one that
	// repeats a tensor, or that is sparse to the extreme.
	MaxBytes int64
	// External returns the contents of an external data file, whose location
	// is a slash-separated path relative to the folder of the model; the
	// ReadFile of an [embed.FS] will do. It is called once a file. Where it is
	// nil, [Open] and [Load] look in that folder and never outside of it, and
	// [Parse] refuses a model that has external data.
	External func(location string) ([]byte, error)
}

// A File is an open model whose tensors are views of the mapped file. They
// must not be used after Close: not by the model, by none of its clones, and
// by no slice that a tensor has returned.
type File struct {
	Model  *graph.Model
	mapped []*mmap.File
}

// Open maps the ONNX file at path, and the files of its external data, and
// reads the graph. Pages of weights are read from disk when they are first
// used.
func Open(path string, o Options) (*File, error) { return open(path, o, false) }

// Load reads the ONNX file at path into a model that owns its memory: there is
// nothing to close.
func Load(path string) (*graph.Model, error) {
	f, err := open(path, Options{}, true)
	if err != nil {
		return nil, err
	}
	return f.Model, f.Close()
}

// Parse reads an ONNX model from memory; name stands for a file's name in
// errors. Tensors are views of data, which must not change while the model is
// in use.
func Parse(name string, data []byte, o Options) (*graph.Model, error) {
	return parse(name, data, o, false)
}

// Close gives the memory of the file back. A second call does nothing.
func (f *File) Close() error {
	var first error
	for _, m := range f.mapped {
		if err := m.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// open reads a model; with own, its tensors are copies rather than views.
func open(path string, o Options, own bool) (*File, error) {
	model, err := mmap.Open(path)
	if err != nil {
		return nil, err
	}
	f := &File{mapped: []*mmap.File{model}}
	if o.External == nil {
		o.External = func(location string) ([]byte, error) {
			m, err := openExternal(filepath.Dir(path), location)
			if err != nil {
				return nil, err
			}
			f.mapped = append(f.mapped, m)
			return m.Bytes(), nil
		}
	}
	f.Model, err = parse(path, model.Bytes(), o, own)
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// openExternal maps the file at location below the folder dir. os.Root keeps
// it there, whatever ".." or symbolic links say.
func openExternal(dir, location string) (*mmap.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	name := filepath.FromSlash(location)
	info, err := root.Stat(name) // opening a pipe would wait for a writer
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", location)
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return mmap.Map(file)
}
