package spmm

import (
	"math"
)

// reference computes a product in float64, from the dense weight, straight
// from the definition. It returns, for each float32 of y that tiles cover, the
// exact result before rounding and the bound on what float32 may differ:
// (columns present + 2) * 2^-24 * (sum of |w*x| + |bias| + |residual|).
// Elsewhere want is NaN and bound is -1.
func (c testCase) reference() (want, bound []float64) {
	want, bound = make([]float64, len(c.buf.Y)), make([]float64, len(c.buf.Y))
	for i := range want {
		want[i], bound[i] = math.NaN(), -1
	}
	lanes := c.isa.Lanes()
	groupRows := c.rows / max(c.addr.Groups, 1)
	for _, t := range c.tiles {
		for row := range c.rows {
			g := row / groupRows
			for v := range t.Vectors() {
				i, j := v/t.Cols, v%t.Cols
				for l := range lanes {
					sum, mag, n := 0.0, 0.0, 0
					if c.epi.Bias != nil {
						sum = float64(c.epi.Bias[row])
						mag = math.Abs(sum)
					}
					if c.epi.Residual {
						r := float64(c.buf.Res[t.Res+(row*c.geo.ResChan+i*c.geo.ResRow)/4+j*lanes+l])
						sum, mag = sum+r, mag+math.Abs(r)
					}
					for k, o := range c.addr.Offsets {
						w := float64(c.w[row*len(c.addr.Offsets)+k])
						if w == 0 && !c.stored(row, k) {
							continue
						}
						at := (int(o)+g*int(c.addr.GroupStride)+i*c.geo.XRow)/4 + j*c.step*lanes + l
						x := float64(c.buf.X[t.X+at])
						sum, mag, n = sum+w*x, mag+math.Abs(w*x), n+1
					}
					if c.epi.Clamp {
						sum = min(max(sum, float64(c.epi.Min)), float64(c.epi.Max)) // NaN stays NaN
					}
					y := t.Y + (row*c.geo.YChan+i*c.geo.YRow)/4 + j*lanes + l
					want[y], bound[y] = sum, float64(n+2)*mag*0x1p-24
				}
			}
		}
	}
	return want, bound
}

// stored reports whether a zero weight is packed all the same: in a dense
// weight always, in a block where enough other rows of it have a nonzero, in
// N:M where it is among the first zeros of a group that has nonzeros missing.
func (c testCase) stored(row, k int) bool {
	cols := len(c.addr.Offsets)
	switch {
	case c.dense:
		return true
	case c.nm[1] > 0:
		n, m := c.nm[0], c.nm[1]
		nonzeros, before := 0, 0
		for j := k / m * m; j < min((k/m+1)*m, cols); j++ {
			if c.w[row*cols+j] != 0 {
				nonzeros++
			} else if j < k {
				before++
			}
		}
		return before < n-nonzeros
	}
	nonzeros := 0
	for i := row / c.r * c.r; i < min((row/c.r+1)*c.r, c.rows); i++ {
		if c.w[i*cols+k] != 0 {
			nonzeros++
		}
	}
	return nonzeros >= max(c.mixed, 1)
}
