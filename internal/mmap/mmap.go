// Package mmap gives read-only access to the bytes of a file, mapped where the
// system can.
package mmap

import (
	"fmt"
	"os"
	"unsafe"
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

// Release lets the memory go that a part of the file takes. Its contents come
// back from the file when they are read again. Bytes of any other memory are
// left alone.
func (f *File) Release(part []byte) {
	if len(part) == 0 || len(f.data) == 0 || f.unmap == nil {
		return
	}
	first, begin := uintptr(unsafe.Pointer(&part[0])), uintptr(unsafe.Pointer(&f.data[0]))
	if first < begin || first-begin > uintptr(len(f.data)-len(part)) {
		return
	}
	// Whole pages; others may have what is still in use. A few are not worth a
	// call.
	const least = 256 << 10
	page := os.Getpagesize()
	at := int(first - begin)
	from, to := (at+page-1)/page*page, (at+len(part))/page*page
	if at+len(part) == len(f.data) {
		to = len(f.data)
	}
	if to-from >= least {
		release(f.data[from:to])
	}
}
