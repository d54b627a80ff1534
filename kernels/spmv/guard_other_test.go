//go:build !unix

package spmv

import "testing"

// fenced returns two slices of n elements; pages cannot be fenced here.
func fenced[T any](t testing.TB, n int) [2][]T {
	t.Helper()
	return [2][]T{make([]T, n), make([]T, n)}
}
