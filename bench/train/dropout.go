package train

import (
	"math"
	"math/rand/v2"
)

// A dropout leaves each neuron out with the probability p, independently for
// each example and each time that it is applied, and multiplies those that
// stay by 1/(1-p): the expectation of a neuron is what it was, so that nothing
// is left out or scaled once training has ended (inverted dropout).
//
// Source: Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks
// from Overfitting, 2014.
type dropout struct {
	p       float32
	scale   float32 // 1/(1-p)
	random  *rand.Rand
	left    []int // how often each neuron was left out
	applied int   // of so many times
}

// newDropout makes a dropout of so many neurons, 0 <= p < 1.
func newDropout(p float32, neurons int, random *rand.Rand) *dropout {
	return &dropout{p: p, scale: 1 / (1 - p), random: random, left: make([]int, neurons)}
}

// apply draws a mask and applies it to y, a row a neuron, a column an example.
func (d *dropout) apply(y matrix) {
	below := uint64(float64(d.p) * math.MaxUint32)
	for i := range y.rows {
		row, left, bits := y.row(i), 0, uint64(0)
		for j, v := range row {
			if j%2 == 0 {
				bits = d.random.Uint64() // enough for two
			} else {
				bits >>= 32
			}
			if bits&math.MaxUint32 < below {
				row[j] = 0
				left++
			} else {
				row[j] = v * d.scale
			}
		}
		d.left[i] += left
	}
	d.applied += y.cols
}
