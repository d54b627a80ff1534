// Package loader turns files into models and matrices, and models into files.
//
// Files are hostile until proven otherwise: lengths are compared with what is
// left before anything is allocated, memory and recursion are bounded, and
// every fault is a [*FormatError] that names the file and the byte. Reading a
// model stops with its context: the error then is the context's, with the name
// of the file before it.
package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/mmap"
)

// Options say how to read a model. The zero value is right for most uses.
type Options struct {
	// MaxBytes bounds the memory that a model may take as it is held, tensors,
	// nodes and names together, and that each sparse tensor would take as a dense
	// one; 0 allows 16 times the size of the file and its external data, and at
	// least 256 MiB. Hardly a sound model needs more: what grows when read is one
	// that repeats a tensor, or that is sparse to the extreme.
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

// Open maps the ONNX or .nnz file at path, and the files of its external data,
// and reads the graph. Pages of weights are read from disk when they are first
// used. The end of ctx stops Open, and means nothing to a File that is open.
func Open(ctx context.Context, path string, o Options) (*File, error) {
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
	release := func(elements []byte) {
		for _, m := range f.mapped {
			m.Release(elements)
		}
	}
	if isCompiled(model.Bytes()) {
		f.Model, err = parseCompiled(ctx, path, model.Bytes(), o, release)
	} else {
		f.Model, err = parse(ctx, path, model.Bytes(), o, release)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Load reads the ONNX or .nnz file at path into a model that there is nothing to
// close of. An ONNX file is copied, what is left of its weights once zeros are
// gone. A .nnz file, which is made to be used where it lies, stays mapped for
// as long as the process runs.
func Load(ctx context.Context, path string) (*graph.Model, error) {
	f, err := Open(ctx, path, Options{})
	if err != nil {
		return nil, err
	}
	if isCompiled(f.mapped[0].Bytes()) {
		return f.Model, nil
	}
	if err := own(ctx, path, f.Model); err != nil {
		f.Close()
		return nil, err
	}
	return f.Model, f.Close()
}

// LoadReader reads an ONNX or .nnz model to the end of r; name stands for a
// file's name in errors. There is nothing to close, and nothing of what was read
// is held but dense weights. A model of more than o.MaxBytes is refused, if that
// is not 0, before more is read. The context is looked at before each Read of r: one
// that blocks is for whoever made r to end.
func LoadReader(ctx context.Context, name string, r io.Reader, o Options) (*graph.Model, error) {
	r = contextReader{ctx, r}
	if o.MaxBytes > 0 {
		r = io.LimitReader(r, o.MaxBytes+1)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if o.MaxBytes > 0 && int64(len(data)) > o.MaxBytes {
		return nil, &FormatError{File: name, Offset: o.MaxBytes, Msg: fmt.Sprintf("expected a model of at most %d bytes", o.MaxBytes)}
	}
	m, err := Parse(ctx, name, data, o)
	if err == nil && !isCompiled(data) {
		err = own(ctx, name, m)
	}
	return m, err
}

// A contextReader fails once its context has ended.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// own makes a model, read from file, hold copies of what is dense of its tensors.
func own(ctx context.Context, file string, m *graph.Model) error {
	for _, w := range m.Weights {
		if err := stopped(ctx, file); err != nil {
			return err
		}
		w.Own()
	}
	for _, n := range m.Nodes {
		if err := stopped(ctx, file); err != nil {
			return err
		}
		for _, a := range n.Attrs {
			if a.Tensor != nil {
				a.Tensor.Own()
			}
			if a.Graph != nil {
				if err := own(ctx, file, a.Graph); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Parse reads an ONNX or .nnz model from memory; name stands for a file's name
// in errors. Tensors are views of data, which must not change while the model is
// in use.
func Parse(ctx context.Context, name string, data []byte, o Options) (*graph.Model, error) {
	kept := func([]byte) {}
	if isCompiled(data) {
		return parseCompiled(ctx, name, data, o, kept)
	}
	return parse(ctx, name, data, o, kept)
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
		var e *fs.PathError
		if errors.As(err, &e) { // which knows no more of the path than location
			err = &fs.PathError{Op: "open", Path: filepath.Join(dir, name), Err: e.Err}
		}
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
