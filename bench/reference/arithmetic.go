package reference

import "math"

func elementwise(f func(a, b float64) float64) func(c *call) error {
	return func(c *call) error {
		a, b := c.in[0], c.in[1]
		sa, sb := strides(a.Shape), strides(b.Shape)
		each(c.out.Shape, func(i int, at []int) {
			c.out.Values[i] = f(a.Values[broadcast(at, a.Shape, sa)], b.Values[broadcast(at, b.Shape, sb)])
		})
		return nil
	}
}

// div truncates the quotients of integers.
func div(c *call) error {
	return elementwise(func(a, b float64) float64 {
		if c.dtype.Integer() {
			return math.Trunc(a / b)
		}
		return a / b
	})(c)
}

func unary(f func(x float64) float64) func(c *call) error {
	return func(c *call) error {
		for i, x := range c.in[0].Values {
			c.out.Values[i] = f(x)
		}
		return nil
	}
}

func relu(x float64) float64 { return max(x, 0) }
func erf(x float64) float64  { return math.Erf(x) }
func tanh(x float64) float64 { return math.Tanh(x) }

// clip has its bounds as attributes before opset 11, then as inputs.
func clip(c *call) error {
	lo, hi := math.Inf(-1), math.Inf(1)
	if c.opset < 11 {
		lo, hi = float64(c.Float("min", -math.MaxFloat32)), float64(c.Float("max", math.MaxFloat32))
	}
	if len(c.in) > 1 && c.in[1] != nil {
		lo = c.in[1].Values[0]
	}
	if len(c.in) > 2 && c.in[2] != nil {
		hi = c.in[2].Values[0]
	}
	return unary(func(x float64) float64 { return min(max(x, lo), hi) })(c)
}

// softmax goes over one axis, and before opset 13 over all from it on.
func softmax(c *call) error {
	x := c.in[0]
	def := -1
	if c.opset < 13 {
		def = 1
	}
	axis := wrap(c.Int("axis", def), len(x.Shape))
	n, inner := x.Shape[axis], product(x.Shape[axis+1:])
	if c.opset < 13 {
		n, inner = n*inner, 1
	}
	for o := range product(x.Shape[:axis]) {
		for i := range inner {
			at := func(k int) int { return (o*n+k)*inner + i }
			largest, sum := math.Inf(-1), 0.0
			for k := range n {
				largest = max(largest, x.Values[at(k)])
			}
			for k := range n {
				c.out.Values[at(k)] = math.Exp(x.Values[at(k)] - largest)
				sum += c.out.Values[at(k)]
			}
			for k := range n {
				c.out.Values[at(k)] /= sum
			}
		}
	}
	return nil
}

func layerNormalization(c *call) error {
	x, scale := c.in[0], c.in[1].Values
	epsilon := float64(c.Float("epsilon", 1e-5))
	n := product(x.Shape[wrap(c.Int("axis", -1), len(x.Shape)):])
	for first := 0; first < len(x.Values); first += n {
		row, out := x.Values[first:first+n], c.out.Values[first:first+n]
		mean, variance := 0.0, 0.0
		for _, v := range row {
			mean += v / float64(n)
		}
		for _, v := range row {
			variance += (v - mean) * (v - mean) / float64(n)
		}
		for i, v := range row {
			out[i] = (v - mean) / math.Sqrt(variance+epsilon) * scale[i]
			if len(c.in) > 2 && c.in[2] != nil {
				out[i] += c.in[2].Values[i]
			}
		}
	}
	return nil
}

func batchNormalization(c *call) error {
	x := c.in[0]
	scale, bias, mean, variance := c.in[1].Values, c.in[2].Values, c.in[3].Values, c.in[4].Values
	epsilon := float64(c.Float("epsilon", 1e-5))
	channels, inner := x.Shape[1], product(x.Shape[2:])
	for i, v := range x.Values {
		ch := i / inner % channels
		c.out.Values[i] = (v-mean[ch])/math.Sqrt(variance[ch]+epsilon)*scale[ch] + bias[ch]
	}
	return nil
}
