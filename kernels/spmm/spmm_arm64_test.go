//go:build !purego

package spmm

import (
	"testing"

	"github.com/nnz-dev/nnz/kernels/isa"
)

// TestPeakNEON asks for any number, as an emulated processor is slow.
func TestPeakNEON(t *testing.T) {
	if got := Peak(isa.NEON); got <= 0 || got > 2000 {
		t.Errorf("%v GF/s from one core", got)
	}
}
