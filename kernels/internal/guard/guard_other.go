//go:build !unix

// Package guard makes buffers for tests of kernels that fault where they are
// left.
package guard

import "testing"

// Slices returns two slices of n elements: plain memory, as pages without
// access need a Unix.
func Slices[T any](t testing.TB, n int) [2][]T {
	t.Helper()
	return [2][]T{make([]T, n), make([]T, n)}
}
