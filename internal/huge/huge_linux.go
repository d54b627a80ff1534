package huge

import "golang.org/x/sys/unix"

// advise is no more than that: a system without huge pages refuses.
func advise(begin, size uintptr) {
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, begin, size, unix.MADV_HUGEPAGE)
}
