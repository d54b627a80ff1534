package vec

import "math"

// Columns are those of a matrix: element (r, c) of Rows x Width stands Stride*r
// + c elements after the first. Each column is reduced by itself.
type Columns struct {
	Rows, Width, Stride int
}

// size returns how many elements the matrix spans, 0 where it is empty.
func (c Columns) size() int {
	if c.Rows <= 0 || c.Width <= 0 {
		return 0
	}
	if c.Rows > 1 && c.Stride < c.Width {
		panic("vec: rows of a matrix overlap")
	}
	return (c.Rows-1)*c.Stride + c.Width
}

// part returns the columns from the first on, at most most of them.
func (c Columns) part(first, most int) Columns {
	c.Width = min(most, c.Width-first)
	return c
}

// columnBlock is how many columns the portable functions take at a time.
const columnBlock = 32

func softmaxColumnsGeneric(dst, x, bias []float32, scale float32, c Columns) {
	dst, x = dst[:c.size()], x[:c.size()]
	shift := func(r int) float32 {
		if bias == nil {
			return 0
		}
		return bias[r]
	}
	for first := 0; first < c.Width; first += columnBlock {
		var top [columnBlock]float32
		var sum [columnBlock]float64
		b := c.part(first, columnBlock)
		for i := range top {
			top[i] = float32(math.Inf(-1))
		}
		for r := range c.Rows {
			shift := shift(r)
			for i, v := range x[r*c.Stride+first:][:b.Width] {
				v = v*scale + shift
				if v > top[i] || v != v {
					top[i] = v
				}
			}
		}
		for r := range c.Rows {
			d, shift := dst[r*c.Stride+first:][:b.Width], shift(r)
			for i, v := range x[r*c.Stride+first:][:b.Width] {
				e := math.Exp(float64(v*scale + shift - top[i]))
				d[i] = float32(e)
				sum[i] += e
			}
		}
		for r := range c.Rows {
			d := dst[r*c.Stride+first:][:b.Width]
			for i, v := range d {
				d[i] = float32(float64(v) / sum[i])
			}
		}
	}
}

// normColumnsGeneric is LayerNormColumns where centre is set, else
// RMSNormColumns.
func normColumnsGeneric(dst, x, scale, bias []float32, c Columns, eps float32, centre bool) {
	dst, x = dst[:c.size()], x[:c.size()]
	for first := 0; first < c.Width; first += columnBlock {
		var mean, square [columnBlock]float64
		b := c.part(first, columnBlock)
		rows := float64(c.Rows)
		if centre {
			for r := range c.Rows {
				for i, v := range x[r*c.Stride+first:][:b.Width] {
					mean[i] += float64(v) / rows
				}
			}
		}
		for r := range c.Rows {
			for i, v := range x[r*c.Stride+first:][:b.Width] {
				d := float64(v) - mean[i]
				square[i] += d * d
			}
		}
		for i, s := range square {
			square[i] = 1 / math.Sqrt(s/rows+float64(eps))
		}
		for r := range c.Rows {
			factor, shift := 1.0, 0.0
			if scale != nil {
				factor = float64(scale[r])
			}
			if bias != nil {
				shift = float64(bias[r])
			}
			d := dst[r*c.Stride+first:][:b.Width]
			for i, v := range x[r*c.Stride+first:][:b.Width] {
				d[i] = float32((float64(v)-mean[i])*square[i]*factor + shift)
			}
		}
	}
}

func layerNormColumnsGeneric(dst, x, scale, bias []float32, c Columns, eps float32) {
	normColumnsGeneric(dst, x, scale, bias, c, eps, true)
}

func rmsNormColumnsGeneric(dst, x, scale []float32, c Columns, eps float32) {
	normColumnsGeneric(dst, x, scale, nil, c, eps, false)
}
