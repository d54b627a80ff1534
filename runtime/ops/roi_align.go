package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

func checkRoiAlign(n *graph.Node, _ int) error {
	for _, a := range []struct {
		name   string
		values []string
	}{
		{"mode", []string{"avg", "max"}},
		{"coordinate_transformation_mode", []string{"half_pixel", "output_half_pixel"}},
	} {
		if v := n.Str(a.name, a.values[0]); !slices.Contains(a.values, v) {
			return fmt.Errorf("attribute %s: %q, expected one of %v", a.name, v, a.values)
		}
	}
	if v := n.Int("sampling_ratio", 0); v < 0 || v > maxSamples {
		return fmt.Errorf("attribute sampling_ratio: %d, expected 0 to %d", v, maxSamples)
	}
	return nil
}

// maxSamples bounds how many samples a bin takes along an axis, lest a region
// of any size takes any time.
const maxSamples = 1 << 10

// A regionSampler cuts regions into bins and takes samples of each.
type regionSampler struct {
	rows, cols int // of the image
	bins       [2]int
	scale      float32 // from coordinates of regions to elements
	ratio      int     // samples of a bin along an axis; 0 is one an element
	half       bool    // elements' centres lie at halves
	largest    bool
}

// buildRoiAlign binds RoiAlign. In mode max, a bin is the largest of the
// weighted neighbours of its samples, as ONNX Runtime has it, not the largest
// sample. A region of an image that the batch lacks gives NaN.
func buildRoiAlign(s *site) (Compute, error) {
	x, y := s.in[0].Shape, s.out[0].Shape
	if x[2] == 0 || x[3] == 0 {
		return nil, fmt.Errorf("images of %v have no elements to sample", x[2:])
	}
	r := regionSampler{
		rows: x[2], cols: x[3], bins: [2]int{y[2], y[3]},
		scale: s.Float("spatial_scale", 1), ratio: s.Int("sampling_ratio", 0),
		half:    s.opset >= 16 && s.Str("coordinate_transformation_mode", "half_pixel") == "half_pixel",
		largest: s.Str("mode", "avg") == "max",
	}
	batch, channels, pixels, bins := x[0], x[1], x[2]*x[3], y[2]*y[3]
	return func(in, out []Tensor) {
		for i, image := range in[2].I {
			to := out[0].F[i*channels*bins : (i+1)*channels*bins]
			if image < 0 || image >= int64(batch) {
				fill(to, nan)
				continue
			}
			from := in[0].F[int(image)*channels*pixels : (int(image)+1)*channels*pixels]
			r.run(to, from, in[1].F[4*i:4*i+4])
		}
	}, nil
}

// run samples every channel of an image in a region: left, top, right, bottom.
func (r *regionSampler) run(y, x, region []float32) {
	top, height, down := r.span(region[1], region[3], r.bins[0])
	left, width, across := r.span(region[0], region[2], r.bins[1])
	bins, pixels := r.bins[0]*r.bins[1], r.rows*r.cols
	for b := range bins {
		for at := b; at < len(y); at += bins {
			y[at] = 0
		}
		for s := range down * across {
			row := top + height*(float32(b/r.bins[1])+(float32(s/across)+0.5)/float32(down))
			col := left + width*(float32(b%r.bins[1])+(float32(s%across)+0.5)/float32(across))
			c := newCorners(r.rows, r.cols, edge(row, r.rows), edge(col, r.cols))
			for channel := range len(x) / pixels {
				image, to := x[channel*pixels:(channel+1)*pixels], &y[channel*bins+b]
				switch {
				case !r.largest:
					*to += c.sample(image) / float32(down*across)
				case s == 0:
					*to = c.largest(image)
				default:
					*to = max(*to, c.largest(image))
				}
			}
		}
	}
}

// span returns where a region starts along an axis, the size of a bin and how
// many samples it takes there.
func (r *regionSampler) span(from, to float32, bins int) (start, size float32, samples int) {
	start, size = from*r.scale, (to-from)*r.scale
	if r.half {
		start -= 0.5
	} else {
		size = max(size, 1)
	}
	size /= float32(bins)
	if r.ratio > 0 {
		return start, size, r.ratio
	}
	if n := math.Ceil(float64(size)); n > 0 { // an empty region and NaN take none
		samples = int(min(n, maxSamples))
	}
	return start, size, samples
}

// edge moves a position up to one element outside an axis of n to its edge.
func edge(pos float32, n int) float32 {
	if pos >= -1 && pos <= float32(n) {
		return min(max(pos, 0), float32(n-1))
	}
	return -1
}
