package huge

import (
	"bytes"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// advise is no more than that: a system without huge pages refuses.
func advise(begin, size uintptr) {
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, begin, size, unix.MADV_HUGEPAGE)
}

// renew gives memory of zeros back and takes it anew, as zeros, when it is
// touched.
func renew(begin, size uintptr) {
	if offered() {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, begin, size, unix.MADV_DONTNEED)
	}
}

// offered reports whether who asks for huge pages may get them.
var offered = sync.OnceValue(func() bool {
	modes, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	return err == nil && !bytes.Contains(modes, []byte("[never]"))
})
