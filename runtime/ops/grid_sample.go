package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

func checkGridSample(n *graph.Node, _ int) error {
	for _, a := range []struct {
		name   string
		values []string
	}{
		{"mode", []string{"linear", "bilinear", "nearest", "cubic", "bicubic"}},
		{"padding_mode", []string{"zeros", "border", "reflection"}},
	} {
		if v := n.Str(a.name, a.values[0]); !slices.Contains(a.values, v) {
			return fmt.Errorf("attribute %s: %q, expected one of %v", a.name, v, a.values)
		}
	}
	return nil
}

// maxTaps is how many elements along an axis a sample weighs at most.
const maxTaps = 4

// A sampler turns coordinates into elements and weights along an axis.
type sampler struct {
	taps    int // 1 reads the nearest element
	weight  func(distance float64) float64
	padding string
	align   bool // -1 and 1 are the centres of the outermost elements, not their edges
}

// buildGridSample binds GridSample on images of one to three spatial axes.
func buildGridSample(s *site) (Compute, error) {
	x := s.in[0].Shape
	axes := len(x) - 2
	if axes > 3 {
		return nil, errRank
	}
	if product(x[2:]) == 0 {
		return nil, fmt.Errorf("images of %v have no elements to sample", x[2:])
	}
	m := sampler{taps: 2, weight: triangle, padding: s.Str("padding_mode", "zeros"), align: s.Int("align_corners", 0) != 0}
	switch s.Str("mode", "linear") {
	case "nearest":
		m.taps = 1
	case "cubic", "bicubic":
		m.taps, m.weight = 4, cubic(-0.75)
	}
	extent, taps := [3]int{1, 1, 1}, [3]int{1, 1, 1}
	for i := range axes {
		extent[3-axes+i], taps[3-axes+i] = x[2+i], m.taps
	}
	batch, channels := x[0], x[1]
	pixels, points := product(x[2:]), product(s.out[0].Shape[2:])
	return func(in, out []Tensor) {
		var at [3][maxTaps]int
		var weight [3][maxTaps]float32
		weight[0][0], weight[1][0] = 1, 1 // axes that the images lack
		for n := range batch {
			for p := range points {
				position := in[1].F[(n*points+p)*axes:]
				for i := range axes { // coordinates count axes from the last on
					m.place(extent[2-i], position[i], &at[2-i], &weight[2-i])
				}
				for c := range channels {
					image := in[0].F[(n*channels+c)*pixels : (n*channels+c+1)*pixels]
					sum := float32(0)
					for z := range taps[0] {
						for r := range taps[1] {
							row, w := (at[0][z]*extent[1]+at[1][r])*extent[2], weight[0][z]*weight[1][r]
							for t := range taps[2] {
								if v := w * weight[2][t]; v != 0 {
									sum += v * image[row+at[2][t]]
								}
							}
						}
					}
					out[0].F[(n*channels+c)*points+p] = sum
				}
			}
		}
	}, nil
}

// place finds the elements, of n along an axis, and their weights for a
// coordinate from -1 to 1. What padding leaves out has weight 0.
func (m *sampler) place(n int, coordinate float32, at *[maxTaps]int, weight *[maxTaps]float32) {
	x := ((coordinate+1)*float32(n) - 1) / 2
	if m.align {
		x = (coordinate + 1) / 2 * float32(n-1)
	}
	pos := float64(x)
	if m.taps == 1 {
		pos = math.RoundToEven(pos)
	}
	if m.padding == "reflection" {
		pos = m.reflect(pos, n)
	}
	// Far beyond the edge everything is alike; NaN is there too.
	if low := float64(-maxTaps); !(pos > low) {
		pos = low
	}
	pos = min(pos, float64(n-1+maxTaps))
	floor := math.Floor(pos)
	first := int(floor) + 1 - m.taps/2
	if m.taps == 1 {
		first = int(floor)
	}
	for i := range m.taps {
		j, w := first+i, float32(1)
		if m.taps > 1 {
			w = float32(m.weight(float64(j) - pos))
		}
		if m.padding == "reflection" && (j < 0 || j >= n) {
			j = int(m.reflect(float64(j), n))
		}
		if m.padding == "zeros" && (j < 0 || j >= n) {
			w = 0
		}
		at[i], weight[i] = min(max(j, 0), n-1), w
	}
}

// reflect mirrors a position at the ends of an axis of n until it lies between
// them.
func (m *sampler) reflect(pos float64, n int) float64 {
	low, span := -0.5, float64(n)
	if m.align {
		low, span = 0, float64(n-1)
	}
	if span == 0 {
		return 0
	}
	d := math.Mod(math.Abs(pos-low), 2*span)
	return low + min(d, 2*span-d)
}
