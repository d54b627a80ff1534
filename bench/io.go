package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// randomInputs fills a session's inputs: reals from a standard normal
// distribution, integers and booleans with 0 and 1, which are valid wherever a
// token or a mask is expected. The same seed gives the same inputs.
func randomInputs(c *contender, seed uint64) error {
	for i, v := range c.plan.Inputs() {
		t, err := c.session.Input(v.Name)
		if err != nil {
			return err
		}
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		for j := range t.F {
			t.F[j] = float32(r.NormFloat64())
		}
		for j := range t.I {
			t.I[j] = int64(r.IntN(2))
		}
	}
	return nil
}

// maxAbsDiff compares the outputs of two sessions that have run. It is an
// error where one has a NaN or an infinity and the other has not.
func maxAbsDiff(a, b *contender) (float64, error) {
	largest := 0.0
	for _, v := range a.plan.Outputs() {
		x, err := a.session.Output(v.Name)
		if err != nil {
			return 0, err
		}
		y, err := b.session.Output(v.Name)
		if err != nil {
			return 0, err
		}
		if len(x.F) != len(y.F) || len(x.I) != len(y.I) {
			return 0, fmt.Errorf("output %q: shape %v dense, %v sparse", v.Name, x.Shape, y.Shape)
		}
		for i := range x.F {
			d, ok := difference(x.F[i], y.F[i])
			if !ok {
				return 0, fmt.Errorf("output %q: element %d is %v dense, %v sparse", v.Name, i, x.F[i], y.F[i])
			}
			largest = max(largest, d)
		}
		for i := range x.I {
			largest = max(largest, math.Abs(float64(x.I[i]-y.I[i])))
		}
	}
	return largest, nil
}

// difference returns |a - b|, 0 for two NaNs and for two equal infinities; ok
// is false where the difference is no finite number.
func difference(a, b float32) (d float64, ok bool) {
	if a == b || a != a && b != b {
		return 0, true
	}
	d = math.Abs(float64(a) - float64(b))
	return d, d <= math.MaxFloat64
}
