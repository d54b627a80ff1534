package spmv

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/kernels/isa"
)

// BenchmarkProduct runs every kernel on weights in L2 and from DRAM; MB/s are
// of the packed weight, GF/s of its nonzeros.
func BenchmarkProduct(b *testing.B) {
	have := isa.Supported()
	for _, s := range []struct{ rows, cols int }{{500, 800}, {1000, 2048}, {4096, 4096}} {
		for _, density := range []float64{0.2, 0.1, 0.05} {
			for _, k := range Kernels() {
				if !slices.Contains(have, k.ISA) || k.Form == FormDense && density != 0.1 {
					continue
				}
				b.Run(fmt.Sprintf("%dx%d/%.2f/%s", s.rows, s.cols, density, k.Name), func(b *testing.B) {
					rng := rand.New(rand.NewPCG(1, 1))
					w, nonzeros := make([]float32, s.rows*s.cols), 0
					r := blockRows(k)
					for m := 0; m < s.rows; m += r {
						for c := range s.cols {
							if k.Form == FormDense || rng.Float64() < density {
								for i := m; i < min(m+r, s.rows); i++ {
									w[i*s.cols+c] = rng.Float32()
									nonzeros++
								}
							}
						}
					}
					packed := pack(b, k, s.rows, s.cols, w)
					p := product(b, k, packed, Epilogue{})
					x, y := make([]float32, k.Cols*s.cols), make([]float32, k.Cols*s.rows)
					b.SetBytes(int64(packed.Bytes()))
					for b.Loop() {
						p.Run(y, x, k.Cols, 0, 1)
					}
					b.ReportMetric(2*float64(nonzeros*k.Cols*b.N)/float64(b.Elapsed().Nanoseconds()), "GF/s")
				})
			}
		}
	}
}
