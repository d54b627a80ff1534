package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/atomicfile"
	"github.com/nnz-dev/nnz/internal/npy"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime"
)

// read reads a file for the input v, as its name ends.
func (c *runCmd) read(path string, v *graph.Value) (*graph.Tensor, error) {
	switch extension(path) {
	case ".npy", ".npz":
		return readArray(path, v)
	case ".pb":
		_, t, err := loader.ReadTensor(path)
		return t, err
	case ".png", ".jpg", ".jpeg":
		return c.imageFlags.read(path, v)
	}
	return readRaw(path, v)
}

// readArray reads the array of a .npy file, or from an .npz file the one that
// is named as the input v, or the only one.
func readArray(path string, v *graph.Value) (*graph.Tensor, error) {
	f, err := loader.ReadArrays(path, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t := f.Tensors[v.Name]
	if t == nil && len(f.Tensors) == 1 {
		for _, t = range f.Tensors {
		}
	}
	if t == nil {
		return nil, usagef("%s: no array %q, there are %q", path, v.Name, slices.Sorted(maps.Keys(f.Tensors)))
	}
	return graph.NewTensor(t.DType, t.Shape, slices.Clone(t.Raw()))
}

// readRaw reads little-endian float32 in the shape of the input v, in which
// one extent may be open.
func readRaw(path string, v *graph.Value) (*graph.Tensor, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	fail := func(reason string) (*graph.Tensor, error) {
		return nil, usagef("%s holds %d bytes, which as raw float32 do not fit input %s: %s", path, len(raw), describeInput(v), reason)
	}
	if v.DType != graph.Float32 {
		return fail("it takes another type")
	}
	extents := make([]int, len(v.Shape))
	open := -1
	for i, d := range v.Shape {
		switch {
		case d.Known():
			extents[i] = d.Size
		case open < 0:
			open, extents[i] = i, 1
		default:
			return fail("more than one extent is open")
		}
	}
	n, err := graph.Elements(extents)
	switch {
	case err != nil:
		return fail(err.Error())
	case v.Shape == nil:
		return fail("its rank is open")
	case open >= 0 && n > 0 && len(raw)%(4*n) == 0:
		extents[open] = len(raw) / (4 * n)
	case len(raw) != 4*n:
		return fail(fmt.Sprintf("expected %d bytes", 4*n))
	}
	return graph.NewTensor(graph.Float32, extents, raw)
}

// writeTensor writes an output in the format that the file's name ends in.
// Outputs of every real type are written as the float32 that they are computed
// in.
func writeTensor(path, name string, out runtime.Tensor) error {
	var t *graph.Tensor
	switch {
	case out.DType.Float():
		t = graph.FromFloats(out.Shape, out.F)
	case out.DType.Integer():
		t = graph.FromInts(out.DType, out.Shape, out.I)
	default:
		return errors.New("cannot write element type " + out.DType.String())
	}
	switch extension(path) {
	case ".npy":
		typ, ok := npyTypes[t.DType]
		if !ok {
			return fmt.Errorf("%s: NumPy has no type %s", path, t.DType)
		}
		return atomicfile.Write(path, func(w io.Writer) error {
			return npy.Encode(w, npy.Array{Type: typ, Shape: t.Shape, Data: t.Raw()})
		})
	case ".pb":
		return loader.WriteTensor(path, name, t)
	}
	if !out.DType.Float() {
		return usagef("%s: an output of type %s is written as .npy or .pb", path, out.DType)
	}
	return atomicfile.Write(path, func(w io.Writer) error {
		_, err := w.Write(t.Raw())
		return err
	})
}

// npyTypes are the element types of .npy files.
var npyTypes = map[graph.DType]npy.Type{
	graph.Float32: npy.Float32, graph.Bool: npy.Bool,
	graph.Int8: npy.Int8, graph.Int16: npy.Int16, graph.Int32: npy.Int32, graph.Int64: npy.Int64,
	graph.Uint8: npy.Uint8, graph.Uint16: npy.Uint16, graph.Uint32: npy.Uint32, graph.Uint64: npy.Uint64,
}
