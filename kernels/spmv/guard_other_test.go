//go:build !unix

package spmv

import "testing"

// fenced returns two slices of n elements; pages cannot be fenced here.
func fenced(t testing.TB, n int) [2][]float32 {
	t.Helper()
	return [2][]float32{make([]float32, n), make([]float32, n)}
}
