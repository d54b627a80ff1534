//go:build !linux

package huge

func advise(begin, size uintptr) {}
