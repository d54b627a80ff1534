package loader

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/atomicfile"
	"github.com/nnz-dev/nnz/internal/mmap"
	"github.com/nnz-dev/nnz/internal/npy"
)

// npyTypes are the element types of NumPy's numbers.
var npyTypes = map[npy.Type]graph.DType{
	npy.Bool: graph.Bool, npy.Float16: graph.Float16, npy.Float32: graph.Float32, npy.Float64: graph.Float64,
	npy.Int8: graph.Int8, npy.Int16: graph.Int16, npy.Int32: graph.Int32, npy.Int64: graph.Int64,
	npy.Uint8: graph.Uint8, npy.Uint16: graph.Uint16, npy.Uint32: graph.Uint32, npy.Uint64: graph.Uint64,
}

// ReadArrays reads the arrays of a .npz file, an archive of .npy files, or the
// one of a .npy file under the name that NumPy gives to an array without one:
// arr_0.
//
// maxBytes bounds the memory that the arrays of an archive may take unpacked; 0
// allows 16 times the size of the file and at least 256 MiB. A file that is
// not sound gives a [*FormatError].
func ReadArrays(path string, maxBytes int64) (*TensorFile, error) {
	file, err := mmap.Open(path)
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(filepath.Ext(path), ".npz") {
		defer file.Close()
		tensors, err := parseNPZ(file.Bytes(), maxBytes)
		if err != nil {
			return nil, inFile(path, err)
		}
		return &TensorFile{Tensors: tensors}, nil
	}
	t, err := parseNPY(file.Bytes())
	if err != nil {
		var e *npy.Error
		if errors.As(err, &e) {
			err = inFile(path, formatError(int(e.Offset), "%s", e.Msg))
		}
		err = orForeign(err, path, "a NumPy array", file.Bytes())
		file.Close()
		return nil, err
	}
	return &TensorFile{Tensors: map[string]*graph.Tensor{"arr_0": t}, file: file}, nil
}

// parseNPY reads one array, as a view where its order allows. Any error is an
// [*npy.Error].
func parseNPY(data []byte) (*graph.Tensor, error) {
	a, err := npy.Decode(data)
	if err != nil {
		return nil, err
	}
	var t *graph.Tensor
	if s := a.Strings(); s != nil {
		t, err = graph.NewStrings(a.Shape, s)
	} else {
		t, err = graph.NewTensor(npyTypes[a.Type], a.Shape, a.Data)
	}
	if err != nil {
		return nil, &npy.Error{Msg: err.Error()}
	}
	return t, nil
}

// parseNPZ unpacks an archive of arrays.
func parseNPZ(data []byte, maxBytes int64) (map[string]*graph.Tensor, error) {
	if maxBytes == 0 {
		maxBytes = max(256<<20, 16*int64(len(data)))
	}
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		if bytes.HasPrefix(data, []byte("PK")) {
			return nil, formatError(0, "expected an archive of arrays, got one that is cut off or damaged: %v", err)
		}
		return nil, orForeign(formatError(0, "expected an archive of arrays: %v", err), "", "an archive of arrays", data)
	}
	tensors := make(map[string]*graph.Tensor, len(archive.File))
	for _, f := range archive.File {
		name, ok := strings.CutSuffix(f.Name, ".npy")
		if !ok || tensors[name] != nil {
			return nil, formatError(0, "entry %q is no .npy file or occurs twice", f.Name)
		}
		unpacked, err := unpack(f, maxBytes)
		if err == nil {
			maxBytes -= int64(len(unpacked))
			tensors[name], err = parseNPY(unpacked)
		}
		if err != nil {
			at, _ := f.DataOffset()
			return nil, formatError(int(at), "entry %q: %v", f.Name, err)
		}
	}
	return tensors, nil
}

// WriteArrays writes tensors of numbers as the arrays of a .npz file, which
// appears complete or not at all. Sparse ones are written dense.
func WriteArrays(path string, tensors map[string]*graph.Tensor) error {
	return atomicfile.Write(path, func(w io.Writer) error {
		archive := zip.NewWriter(w)
		for _, name := range slices.Sorted(maps.Keys(tensors)) {
			t := tensors[name]
			a := npy.Array{Shape: t.Shape, Data: t.Raw()}
			if s := t.Sparse(); s != nil {
				a.Data = graph.FromFloats(t.Shape, s.Dense(nil)).Raw()
			}
			for typ, dt := range npyTypes {
				if dt == t.DType {
					a.Type = typ
				}
			}
			entry, err := archive.Create(name + ".npy")
			if err == nil {
				err = npy.Encode(entry, a)
			}
			if err != nil {
				return fmt.Errorf("%s: array %q: %w", path, name, err)
			}
		}
		return archive.Close()
	})
}

// unpack returns the contents of a file in an archive, of at most maxBytes.
func unpack(f *zip.File, maxBytes int64) ([]byte, error) {
	// No two bits of a deflated file stand for more than 258 bytes, so a
	// larger size than that is a lie, and need not be believed with memory.
	const ratio = 258 * 4
	size := f.UncompressedSize64
	if size > uint64(maxBytes) || size/ratio > f.CompressedSize64 {
		return nil, fmt.Errorf("%d bytes unpacked, of %d, where %d are allowed", size, f.CompressedSize64, maxBytes)
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, err
	}
	// The end of the file is where the checksum is compared.
	n, err := io.ReadFull(r, make([]byte, 1))
	if n != 0 {
		return nil, errors.New("more bytes unpacked than the archive says")
	}
	if err != io.EOF {
		return nil, err
	}
	return data, nil
}
