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

func unary3(f func(dst, x []float32, b, c, d float32)) func(dst, x []float32, b, c, d float32) {
	return func(dst, x []float32, b, c, d float32) {
		x = x[:len(dst)]
		for len(dst) > chunk {
			f(dst[:chunk], x[:chunk], b, c, d)
			dst, x = dst[chunk:], x[chunk:]
		}
		f(dst, x, b, c, d)
	}
}

func centreScale(f func(dst, x, scale, bias []float32, mean, factor, shift float32)) func(dst, x, scale, bias []float32, mean, factor, shift float32) {
	return func(dst, x, scale, bias []float32, mean, factor, shift float32) {
		n := len(dst)
		x, scale, bias = x[:n], scale[:n], bias[:n]
		for at := 0; at < n; at += chunk {
			to := min(at+chunk, n)
			f(dst[at:to], x[at:to], scale[at:to], bias[at:to], mean, factor, shift)
		}
	}
}

func deviations(f func(x []float32, mean float32) (sum, square float32)) func(x []float32, mean float32) (sum, square float64) {
	return func(x []float32, mean float32) (sum, square float64) {
		for at := 0; at < len(x); at += chunk {
			s, q := f(x[at:min(at+chunk, len(x))], mean)
			sum, square = sum+float64(s), square+float64(q)
		}
		return sum, square
	}
}

// mostRows is how many rows one call of assembly takes at most: with a vector
// of columns some 60 microseconds of softmax.
const mostRows = chunk / 2

// eachPart calls f for columns that one call of assembly takes, and their
// offset. It returns false where a column alone is too long for one.
func (c Columns) eachPart(lanes int, f func(part Columns, at int)) bool {
	if c.size() == 0 {
		return true
	}
	if c.Rows > mostRows {
		return false
	}
	most := max(chunk/c.Rows/lanes, 1) * lanes
	for at := 0; at < c.Width; at += most {
		f(c.part(at, most), at)
	}
	return true
}

func softmaxColumns(lanes int, f func(dst, x, bias []float32, rows, width, stride, biasStep int, scale float32)) func(dst, x, bias []float32, scale float32, c Columns) {
	return func(dst, x, bias []float32, scale float32, c Columns) {
		dst, x = dst[:c.size()], x[:c.size()]
		biases, step := perRow(bias, zeros[:], c.Rows)
		if !c.eachPart(lanes, func(p Columns, at int) { f(dst[at:], x[at:], biases, p.Rows, p.Width, p.Stride, step, scale) }) {
			softmaxColumnsGeneric(dst, x, bias, scale, c)
		}
	}
}

// normColumns is a normalisation down columns in assembly.
type normColumns func(dst, x, scale, bias []float32, rows, width, stride, scaleStep, biasStep int, share, eps float32)

// run reports whether the columns were not too long.
func (f normColumns) run(lanes int, dst, x, scale, bias []float32, c Columns, eps float32) bool {
	dst, x = dst[:c.size()], x[:c.size()]
	scale, scaleStep := perRow(scale, ones[:], c.Rows)
	bias, biasStep := perRow(bias, zeros[:], c.Rows)
	share := float32(1 / float64(c.Rows))
	return c.eachPart(lanes, func(p Columns, at int) {
		f(dst[at:], x[at:], scale, bias, p.Rows, p.Width, p.Stride, scaleStep, biasStep, share, eps)
	})
}

var ones, zeros = [1]float32{1}, [1]float32{0}

// perRow returns numbers of rows and the bytes from one to the next, 0 where
// all are the one of def.
func perRow(numbers, def []float32, rows int) ([]float32, int) {
	if numbers == nil {
		return def, 0
	}
	return numbers[:rows], 4
}

func layerNormColumns(lanes int, f normColumns) func(dst, x, scale, bias []float32, c Columns, eps float32) {
	return func(dst, x, scale, bias []float32, c Columns, eps float32) {
		if !f.run(lanes, dst, x, scale, bias, c, eps) {
			layerNormColumnsGeneric(dst, x, scale, bias, c, eps)
		}
	}
}

func rmsNormColumns(lanes int, f normColumns) func(dst, x, scale []float32, c Columns, eps float32) {
	return func(dst, x, scale []float32, c Columns, eps float32) {
		if !f.run(lanes, dst, x, scale, nil, c, eps) {
			rmsNormColumnsGeneric(dst, x, scale, c, eps)
		}
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

// dot is of two operands, of which the second may be a mask.
func dot[T any](f func(a []float32, b []T) float32) func(a []float32, b []T) float32 {
	return func(a []float32, b []T) float32 {
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
		if len(dst) <= chunk {
			return f(dst, x, max)
		}
		var s float64
		for len(dst) > chunk {
			s += float64(f(dst[:chunk], x[:chunk], max))
			dst, x = dst[chunk:], x[chunk:]
		}
		return float32(s + float64(f(dst, x, max)))
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
		const few = 16 // taps, for which a chunk takes some ten microseconds
		most := max(chunk*few/max(len(taps), few)/lanes, 1) * lanes
		for len(dst) > most {
			f(dst[:most], src, taps, step)
			dst, src = dst[most:], src[most*step:]
		}
		f(dst, src, taps, step)
	}
}

// permute takes assembly that finds the lanes of a part's pieces in lane.
func permute[L any](lanes int, lane func(p *permutePart) []L,
	f func(dst, src []float32, target, from []uint32, lane []L, planes, dstPlane, srcPlane int, fill float32),
) func(dst, src []float32, t *PermuteTable, p Planes, fill float32) {
	return func(dst, src []float32, t *PermuteTable, p Planes, fill float32) {
		if t.lanes != lanes {
			permuteGeneric(dst, src, t, p, fill)
			return
		}
		dst, src = p.cut(dst, src, t)
		for n := 0; n < p.N; n += permutePlanes {
			d, s, planes := dst[n*p.Dst:], src[n*p.Src:], min(permutePlanes, p.N-n)
			for i := range t.parts {
				part := &t.parts[i]
				f(d, s, part.target, part.from, lane(part), planes, p.Dst, p.Src, fill)
			}
		}
	}
}

// gatherChunk is less than chunk, as each element may come from far away.
const gatherChunk = chunk / 4

func gather(f func(dst, src []float32, index []int32, fill float32)) func(dst, src []float32, index []int32, fill float32) {
	return func(dst, src []float32, index []int32, fill float32) {
		index = index[:len(dst)]
		for len(dst) > gatherChunk {
			f(dst[:gatherChunk], src, index[:gatherChunk], fill)
			dst, index = dst[gatherChunk:], index[gatherChunk:]
		}
		f(dst, src, index, fill)
	}
}

// transpose takes assembly that turns whole blocks. A last block begins where
// it ends with the rows, and writes once more what the one before it has.
func transpose(lanes int, f func(dst, src []float32, rows []int32, blocks int)) func(dst, src []float32, rows []int32, vectors int) {
	return func(dst, src []float32, rows []int32, vectors int) {
		if vectors < lanes {
			transposeGeneric(lanes)(dst, src, rows, vectors)
			return
		}
		dst, src = transposed(dst, src, rows, lanes, vectors)
		for most := chunk / lanes; vectors > most+lanes; vectors -= most {
			f(dst, src, rows, most/lanes)
			dst, src = dst[lanes*most:], src[most:]
		}
		f(dst, src, rows, vectors/lanes)
		if vectors%lanes > 0 {
			last := vectors - lanes
			f(dst[lanes*last:], src[last:], rows, 1)
		}
	}
}

func interleave(lanes int, f func(dst, src []float32, vectors, live, stride int)) func(dst, src []float32, vectors, live, stride int) {
	return func(dst, src []float32, vectors, live, stride int) {
		dst, src = interleaved(dst, src, lanes, vectors, live, stride)
		for most := chunk / (4 * lanes); vectors > most; vectors -= most {
			f(dst, src, most, live, stride)
			dst, src = dst[4*live*most:], src[lanes*most:]
		}
		if vectors > 0 {
			f(dst, src, vectors, live, stride)
		}
	}
}

func fours(f func(dst, src []float32, groups, rows, stride int)) func(dst, src []float32, groups, rows, stride int) {
	return func(dst, src []float32, groups, rows, stride int) {
		dst, src = inFours(dst, src, groups, rows, stride)
		if len(dst) == 0 {
			return
		}
		if rows > chunk/4 {
			foursGeneric(dst, src, groups, rows, stride)
			return
		}
		for most := chunk / 4 / rows; groups > most; groups -= most {
			f(dst, src, most, rows, stride)
			dst, src = dst[4*rows*most:], src[4*most:]
		}
		f(dst, src, groups, rows, stride)
	}
}
