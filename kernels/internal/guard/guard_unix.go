//go:build unix

// Package guard makes buffers for tests of kernels that fault where they are
// left.
package guard

import (
	"syscall"
	"testing"
	"unsafe"
)

// Slices returns two slices of n elements: one that ends where a page begins
// that may not be touched, and one that begins where such a page ends.
func Slices[T any](t testing.TB, n int) [2][]T {
	t.Helper()
	page, size := syscall.Getpagesize(), n*int(unsafe.Sizeof(*new(T)))
	inner := (size + page - 1) / page * page
	m, err := syscall.Mmap(-1, 0, inner+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Munmap(m); err != nil {
			t.Error(err)
		}
	})
	for _, fence := range [2][]byte{m[:page], m[page+inner:]} {
		if err := syscall.Mprotect(fence, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	if n == 0 {
		return [2][]T{{}, {}}
	}
	at := func(off int) []T { return unsafe.Slice((*T)(unsafe.Pointer(&m[off])), n) }
	return [2][]T{at(page + inner - size), at(page)}
}
