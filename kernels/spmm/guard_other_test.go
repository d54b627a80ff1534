//go:build !unix

package spmm

import "testing"

// guarded returns plain memory: pages without access need a Unix.
func guarded(t *testing.T, n int) (end, start []float32) {
	return make([]float32, n), make([]float32, n)
}
