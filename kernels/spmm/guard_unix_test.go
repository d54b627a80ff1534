//go:build unix

package spmm

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// guarded returns two slices of n float32: one ends where the page ends that
// is followed by one without access, the other begins where one begins that
// follows such a page. Touching a float32 past the end of the first, or before
// the start of the second, is a fault.
func guarded(t *testing.T, n int) (end, start []float32) {
	page := unix.Getpagesize()
	size := (4*n + page - 1) / page * page
	mem, err := unix.Mmap(-1, 0, size+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(mem); err != nil {
			t.Error(err)
		}
	})
	for _, p := range [][]byte{mem[:page], mem[page+size:]} {
		if err := unix.Mprotect(p, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	if n == 0 {
		return nil, nil
	}
	at := func(i int) []float32 { return unsafe.Slice((*float32)(unsafe.Pointer(&mem[i])), n) }
	return at(page + size - 4*n), at(page)
}
