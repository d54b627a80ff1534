//go:build !purego && (amd64 || arm64)

package vec

import "math"

// What follows makes functions of [Kernels] from assembly: they check lengths,
// which assembly trusts, and cut long slices into chunks.

func binary(f func(dst, a, b []float32)) func(dst, a, b []float32) {
	return func(dst, a, b []float32) {
		a, b = a[:len(dst)], b[:len(dst)]
		for len(dst) > chunk {
			f(dst[:chunk], a[:chunk], b[:chunk])
			dst, a, b = dst[chunk:], a[chunk:], b[chunk:]
		}
		f(dst, a, b)
	}
}

func unary(f func(dst, x []float32)) func(dst, x []float32) {
	return func(dst, x []float32) {
		x = x[:len(dst)]
		for len(dst) > chunk {
			f(dst[:chunk], x[:chunk])
			dst, x = dst[chunk:], x[chunk:]
		}
		f(dst, x)
	}
}

func unary1(f func(dst, x []float32, c float32)) func(dst, x []float32, c float32) {
	return func(dst, x []float32, c float32) {
		x = x[:len(dst)]
		for len(dst) > chunk {
			f(dst[:chunk], x[:chunk], c)
			dst, x = dst[chunk:], x[chunk:]
		}
		f(dst, x, c)
	}
}

func unary2(f func(dst, x []float32, c, d float32)) func(dst, x []float32, c, d float32) {
	return func(dst, x []float32, c, d float32) {
		x = x[:len(dst)]
		for len(dst) > chunk {
			f(dst[:chunk], x[:chunk], c, d)
			dst, x = dst[chunk:], x[chunk:]
		}
		f(dst, x, c, d)
	}
}

func sum(f func(x []float32) float32) func(x []float32) float32 {
	return func(x []float32) float32 {
		var s float32
		for len(x) > chunk {
			s += f(x[:chunk])
			x = x[chunk:]
		}
		return s + f(x)
	}
}

func largest(f func(x []float32) float32) func(x []float32) float32 {
	return func(x []float32) float32 {
		m := float32(math.Inf(-1))
		for len(x) > chunk {
			m = max(m, f(x[:chunk]))
			x = x[chunk:]
		}
		return max(m, f(x))
	}
}

func dot(f func(a, b []float32) float32) func(a, b []float32) float32 {
	return func(a, b []float32) float32 {
		b = b[:len(a)]
		var s float32
		for len(a) > chunk {
			s += f(a[:chunk], b[:chunk])
			a, b = a[chunk:], b[chunk:]
		}
		return s + f(a, b)
	}
}

func expSum(f func(dst, x []float32, max float32) float32) func(dst, x []float32, max float32) float32 {
	return func(dst, x []float32, max float32) float32 {
		x = x[:len(dst)]
		var s float32
		for len(dst) > chunk {
			s += f(dst[:chunk], x[:chunk], max)
			dst, x = dst[chunk:], x[chunk:]
		}
		return s + f(dst, x, max)
	}
}

func pool(lanes int, f func(dst, src []float32, taps []uint32, step int)) func(dst, src []float32, taps []uint32, step int) {
	return func(dst, src []float32, taps []uint32, step int) {
		dst = dst[:len(dst)/lanes*lanes]
		if len(dst) == 0 {
			return
		}
		last := (len(dst)/lanes - 1) * step * lanes
		for _, t := range taps {
			at := (int(t) + 3) / 4
			_, _ = src[at:at+lanes], src[last+at:last+at+lanes]
		}
		for len(dst) > chunk {
			f(dst[:chunk], src, taps, step)
			dst, src = dst[chunk:], src[chunk*step:]
		}
		f(dst, src, taps, step)
	}
}

func shuffle(lanes int, f func(buf []float32, move []uint32, lane []int32, plane int, fill float32)) func(buf []float32, t *ShuffleTable, fill float32) {
	return func(buf []float32, t *ShuffleTable, fill float32) {
		if t.lanes != lanes {
			shuffleGeneric(buf, t, fill)
			return
		}
		buf = buf[:(len(buf)+t.plane-1)/t.plane*t.plane]
		// A chunk of vectors, but no less than a plane.
		step := max(chunk/lanes/max(t.Len(), 1), 1) * t.plane
		for len(buf) > step {
			f(buf[:step], t.move, t.lane, t.plane, fill)
			buf = buf[step:]
		}
		f(buf, t.move, t.lane, t.plane, fill)
	}
}

func gather(f func(dst, src []float32, index []int32, fill float32)) func(dst, src []float32, index []int32, fill float32) {
	return func(dst, src []float32, index []int32, fill float32) {
		index = index[:len(dst)]
		for len(dst) > chunk {
			f(dst[:chunk], src, index[:chunk], fill)
			dst, index = dst[chunk:], index[chunk:]
		}
		f(dst, src, index, fill)
	}
}
