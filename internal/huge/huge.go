// Package huge asks for memory in huge pages.
package huge

import "unsafe"

const (
	page  = 2 << 20
	arena = 64 << 20  // of the heap
	least = 128 << 10 // bytes for which it is worth a call
)

// Make returns n zeros, in huge pages where the system has them and n is many.
// Memory that is touched for the first time then costs one fault in 2 MiB
// rather than 512, of which each takes a quarter of a microsecond on bare metal
// and up to 6 on a virtual machine. Capacity is that of make.
func Make[T any](n int) []T {
	s := make([]T, n)
	var zero T
	size := uintptr(n) * unsafe.Sizeof(zero)
	if size >= least {
		around(unsafe.Pointer(unsafe.SliceData(s)), size, page)
	}
	return s
}

// Heap asks for all memory that the process takes, up to 64 MiB: for a program
// that starts, does one thing and ends.
func Heap() { around(unsafe.Pointer(new([least]byte)), least, arena) }

// around advises the pages, or arenas, that memory lies in: the heap is made of
// whole arenas, so that all of them is of the heap, too.
func around(p unsafe.Pointer, size, unit uintptr) {
	begin, end := uintptr(p)&^(unit-1), (uintptr(p)+size+unit-1)&^(unit-1)
	advise(begin, end-begin)
}
