//go:build !linux

package huge

func advise(begin, size uintptr) {}

func renew(begin, size uintptr) {}
