// Package mmap gives read-only access to the bytes of a file, mapped where the
// system can.
package mmap

import (
	"fmt"
	"os"
)

// A File is the contents of a file.
//
// The bytes are valid until Close. Nothing that holds a part of them keeps them
// alive, so whoever hands out parts must say who closes the file, and when.
type File struct {
	data  []byte
	unmap func() error
}

// Open maps the regular file at path. The contents are those at this moment as
// long as nobody writes to the file; truncating it while it is mapped makes
// access to the lost part fault.
func Open(path string) (*File, error) {
	// Stat first: opening a pipe would wait for a writer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "open", Path: path, Err: fmt.Errorf("not a regular file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := Map(f)
	if err != nil {
		return nil, &os.PathError{Op: "map", Path: path, Err: err}
	}
	return m, nil
}

// Map maps an open regular file. The caller keeps f, and may close it at once.
func Map(f *os.File) (*File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file")
	}
	size := info.Size()
	if size != int64(int(size)) {
		return nil, fmt.Errorf("%d bytes are too many for this system", size)
	}
	if size == 0 { // which no system maps
		return &File{data: []byte{}}, nil
	}
	return mapFile(f, int(size))
}

// Bytes returns the contents, which must not be written to, nor read after
// Close.
func (f *File) Bytes() []byte { return f.data }

// Close gives the memory back. A second call does nothing.
func (f *File) Close() error {
	unmap := f.unmap
	f.data, f.unmap = nil, nil
	if unmap == nil {
		return nil
	}
	return unmap()
}
