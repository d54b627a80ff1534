//go:build unix

package mmap

import (
	"os"

	"golang.org/x/sys/unix"
)

func mapFile(f *os.File, size int) (*File, error) {
	data, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return &File{data: data, unmap: func() error { return unix.Munmap(data) }}, nil
}

// release is no more than advice, which a system may refuse.
func release(pages []byte) { _ = unix.Madvise(pages, unix.MADV_DONTNEED) }
