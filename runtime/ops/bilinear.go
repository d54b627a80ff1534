package ops

import "math"

// corners are the four elements around a position in an image, with weights.
// Elements outside the image have weight 0.
type corners struct {
	at     [4]int
	weight [4]float32
}

// newCorners places a row and column, which may be any numbers, in an image.
func newCorners(rows, cols int, row, col float32) (c corners) {
	if !(row > -1 && row < float32(rows) && col > -1 && col < float32(cols)) {
		return c
	}
	top, left := int(math.Floor(float64(row))), int(math.Floor(float64(col)))
	down, right := row-float32(top), col-float32(left)
	for i := range 4 {
		r, q, w := top, left, float32(1)
		if i < 2 {
			w = 1 - down
		} else {
			r, w = top+1, down
		}
		if i%2 == 0 {
			w *= 1 - right
		} else {
			q, w = left+1, w*right
		}
		if r >= 0 && r < rows && q >= 0 && q < cols {
			c.at[i], c.weight[i] = r*cols+q, w
		}
	}
	return c
}

// sample returns the weighted sum of the corners.
func (c *corners) sample(image []float32) float32 {
	sum := float32(0)
	for i, w := range c.weight {
		if w != 0 {
			sum += w * image[c.at[i]]
		}
	}
	return sum
}

// largest returns the largest of the weighted corners, 0 for those of weight 0.
func (c *corners) largest(image []float32) float32 {
	best := -inf
	for i, w := range c.weight {
		v := float32(0)
		if w != 0 {
			v = w * image[c.at[i]]
		}
		best = max(best, v)
	}
	return best
}
