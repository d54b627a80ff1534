// Package huge asks for memory in huge pages.
package huge

import "unsafe"

const (
	page  = 2 << 20
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
		// The heap is mapped in larger pieces, so that the whole pages around are
		// of the heap, too.
		first, up := uintptr(unsafe.Pointer(unsafe.SliceData(s))), uintptr(page-1)
		begin, end := first&^up, (first+size+up)&^up
		advise(begin, end-begin)
		// What the heap uses again is there in small pages, and stays so until it
		// is given back: of whole pages that are nobody else's.
		if begin, end := (first+up)&^up, (first+size)&^up; begin < end {
			renew(begin, end-begin)
		}
	}
	return s
}
