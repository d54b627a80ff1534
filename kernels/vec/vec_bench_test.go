package vec

import (
	"fmt"
	"testing"
)

// BenchmarkElementwise runs on slices in L1, L2 and beyond; MB/s are of all
// that is read and written.
func BenchmarkElementwise(b *testing.B) {
	for _, n := range []int{1 << 10, 1 << 15, 1 << 20} {
		x, y, dst := make([]float32, n), make([]float32, n), make([]float32, n)
		for i := range x {
			x[i], y[i] = float32(i%37)/4-4, float32(i%11)+1
		}
		for _, k := range All() {
			for _, op := range binaries {
				f := op.run(k)
				b.Run(fmt.Sprintf("%s/%d/%v", op.name, n, k.ISA), func(b *testing.B) {
					b.SetBytes(int64(12 * n))
					for b.Loop() {
						f(dst, x, y)
					}
				})
			}
			for _, u := range unaries {
				b.Run(fmt.Sprintf("%s/%d/%v", u.name, n, k.ISA), func(b *testing.B) {
					b.SetBytes(int64(8 * n))
					for b.Loop() {
						u.run(k, dst, x)
					}
				})
			}
		}
	}
}

// BenchmarkReduce runs on slices in L1, L2 and beyond.
func BenchmarkReduce(b *testing.B) {
	for _, n := range []int{1 << 10, 1 << 15, 1 << 20} {
		x, y, where := make([]float32, n), make([]float32, n), make([]uint32, n)
		for _, k := range All() {
			for _, op := range []struct {
				name  string
				bytes int
				run   func()
			}{
				{"Sum", 4, func() { k.Sum(x) }},
				{"Max", 4, func() { k.Max(x) }},
				{"Dot", 8, func() { k.Dot(x, y) }},
				{"SumWhere", 8, func() { k.SumWhere(x, where) }},
			} {
				b.Run(fmt.Sprintf("%s/%d/%v", op.name, n, k.ISA), func(b *testing.B) {
					b.SetBytes(int64(op.bytes * n))
					for b.Loop() {
						op.run()
					}
				})
			}
		}
	}
}

// BenchmarkPool is the pool of ResNet-50: 3 x 3 with step 2, one row of 14
// vectors of the output a call.
func BenchmarkPool(b *testing.B) {
	for _, k := range All() {
		lanes := k.ISA.Lanes()
		const row, rows = 30, 14
		src, dst := make([]float32, row*(2*rows+1)*lanes), make([]float32, 14*rows*lanes)
		var taps []uint32
		for y := range 3 {
			for x := range 3 {
				taps = append(taps, uint32(4*lanes*(y*row+x)))
			}
		}
		for _, op := range []struct {
			name string
			run  func(dst, src []float32, taps []uint32, step int)
		}{{"Max", k.MaxPool}, {"Sum", k.SumPool}} {
			b.Run(fmt.Sprintf("%s/%v", op.name, k.ISA), func(b *testing.B) {
				b.SetBytes(int64(4 * len(dst)))
				for b.Loop() {
					for y := range rows {
						op.run(dst[y*14*lanes:][:14*lanes], src[2*y*row*lanes:], taps, 2)
					}
				}
			})
		}
	}
}

// BenchmarkPermute is the halo of 64 channels of 14 x 14 vectors, with a target
// for each of the 60 vectors around, and vectors of that many that are put
// together of some others.
func BenchmarkPermute(b *testing.B) {
	for _, k := range All() {
		lanes := k.ISA.Lanes()
		const size, row, plane, channels = 14, 16, 16*16 + 1, 64
		for _, pieces := range []int{1, 2, 4, 8} {
			var dst []int
			var index []int32
			for y := range row {
				for x := range row {
					if y > 0 && y <= size && x > 0 && x <= size {
						continue
					}
					wrap := func(v int) int { return (v-1+size)%size + 1 }
					dst = append(dst, y*row+x)
					for l := range lanes {
						vector := (wrap(y)*row + wrap(x) + l%pieces) % plane
						index = append(index, int32(vector*lanes+max(l-1, 0)))
					}
				}
			}
			t, err := NewPermuteTable(lanes, dst, index)
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]float32, channels*plane*lanes)
			b.Run(fmt.Sprintf("%d/%v", pieces, k.ISA), func(b *testing.B) {
				b.SetBytes(int64(channels * len(dst) * lanes * 4))
				for b.Loop() {
					k.Permute(buf, buf, t, Planes{N: channels, Dst: plane * lanes, Src: plane * lanes}, 0)
				}
			})
		}
	}
}

// BenchmarkGather picks the elements of a transposed plane.
func BenchmarkGather(b *testing.B) {
	const side = 64
	src, dst, index := make([]float32, side*side), make([]float32, side*side), make([]int32, side*side)
	for i := range index {
		index[i] = int32(i%side*side + i/side)
	}
	for _, k := range All() {
		b.Run(k.ISA.String(), func(b *testing.B) {
			b.SetBytes(int64(4 * len(dst)))
			for b.Loop() {
				k.Gather(dst, src, index, 0)
			}
		})
	}
}

// BenchmarkTranspose lays rows of an image of 224x224 out on 4x4 lanes, as far
// as that goes with this many lanes.
func BenchmarkTranspose(b *testing.B) {
	const width, vectors = 224, 56
	for _, k := range All() {
		rows := make([]int32, k.ISA.Lanes())
		for l := range rows {
			rows[l] = int32(l/4*vectors*width + l%4*vectors)
		}
		src, dst := make([]float32, width*width), make([]float32, vectors*vectors*len(rows))
		b.Run(k.ISA.String(), func(b *testing.B) {
			b.SetBytes(int64(4 * len(dst)))
			for b.Loop() {
				for y := range vectors {
					k.Transpose(dst[y*vectors*len(rows):], src[y*width:], rows, vectors)
				}
			}
		})
	}
}
