package ops

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

func checkResize(n *graph.Node, _ int) error {
	for _, a := range []struct {
		name   string
		values []string
	}{
		{"mode", []string{"nearest", "linear", "cubic"}},
		{"coordinate_transformation_mode", []string{"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",
			"align_corners", "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize"}},
		{"nearest_mode", []string{"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}},
		{"keep_aspect_ratio_policy", []string{"stretch", "not_larger", "not_smaller"}},
	} {
		if v := n.Str(a.name, a.values[0]); !slices.Contains(a.values, v) {
			return fmt.Errorf("attribute %s: %q, expected one of %v", a.name, v, a.values)
		}
	}
	return nil
}

// An axisScale says how one axis is resized.
type axisScale struct {
	in, out    int
	scale      float32 // out/in, as the node has it
	start, end float32 // region of interest, as fractions of the axis
}

// buildResize binds Resize and its forerunner Upsample.
func buildResize(s *site) (Compute, error) {
	x, y := &s.in[0], &s.out[0]
	if err := wantSame(x, y); err != nil {
		return nil, err
	}
	if len(x.Shape) != len(y.Shape) {
		return nil, fmt.Errorf("output 0 has shape %v, expected the rank of %v", y.Shape, x.Shape)
	}
	if x.Len() == 0 {
		return nil, fmt.Errorf("shape %v has no elements to resize", x.Shape)
	}
	axes, err := s.resizeAxes()
	if err != nil {
		return nil, err
	}
	c := coordinates{
		transform: s.Str("coordinate_transformation_mode", "half_pixel"),
		nearest:   s.Str("nearest_mode", "round_prefer_floor"),
	}
	if s.opset < 11 {
		c = coordinates{transform: "asymmetric", nearest: "simple"}
	}
	outside := s.Float("extrapolation_value", 0)
	own := strides(x.Shape)
	if s.Str("mode", "nearest") == "nearest" {
		tables := make([][]int, len(axes))
		for i, a := range axes {
			tables[i] = c.nearestTable(a, own[i])
		}
		g := newAxisGather(tables)
		return pick(x.DType,
			func(in, out []Tensor) { gatherAxes(&g, out[0].F, in[0].F, outside) },
			func(in, out []Tensor) { gatherAxes(&g, out[0].I, in[0].I, int64(outside)) }), nil
	}
	if !x.DType.Float() {
		return nil, fmt.Errorf("element type %s, expected a real type", x.DType)
	}
	f := filter{support: 1, weight: triangle, antialias: s.Int("antialias", 0) != 0, exclude: s.Int("exclude_outside", 0) != 0}
	if s.Str("mode", "") == "cubic" {
		f.support, f.weight = 2, cubic(float64(s.Float("cubic_coeff_a", -0.75)))
	}
	taps := make([]axisTaps, len(axes))
	for i, a := range axes {
		taps[i] = f.table(c, a, own[i])
	}
	if len(taps) == 0 {
		taps = []axisTaps{identityTaps(1, 1)}
	}
	r := resampler{outer: taps[:len(taps)-1], inner: taps[len(taps)-1], outside: outside}
	return func(in, out []Tensor) { r.run(out[0].F, in[0].F) }, nil
}

// resizeAxes resolves scales, sizes, axes and the region of interest of the
// versions of Resize and Upsample.
func (s *site) resizeAxes() ([]axisScale, error) {
	x, y := s.in[0].Shape, s.out[0].Shape
	all := make([]axisScale, len(x))
	for i := range x {
		all[i] = axisScale{in: x[i], out: y[i], scale: 1, end: 1}
	}
	var scales, roi []float32
	var sizes []int
	var err error
	switch {
	case s.opset < 9: // Upsample
		if a := s.Attrs["scales"]; a != nil {
			scales = a.Floats
		}
	case s.opset < 11:
		scales, err = s.constFloats(1, "scales")
	default:
		if scales, err = s.constFloats(2, "scales"); err != nil {
			return nil, err
		}
		if sizes, err = s.constInts(3, "sizes"); err != nil {
			return nil, err
		}
		if s.Str("coordinate_transformation_mode", "") == "tf_crop_and_resize" {
			roi, err = s.constFloats(1, "roi")
		}
	}
	if err != nil {
		return nil, err
	}
	axes := s.Ints("axes")
	if axes == nil {
		for i := range x {
			axes = append(axes, i)
		}
	}
	if _, err := axisSet(axes, len(x)); err != nil {
		return nil, err
	}
	if n := len(axes); len(scales) != n && len(sizes) != n || len(roi) != 0 && len(roi) != 2*n {
		return nil, fmt.Errorf("%d scales, %d sizes and %d roi for %d axes", len(scales), len(sizes), len(roi), n)
	}
	for i, a := range axes {
		a, _ = normAxis(a, len(x))
		ax := &all[a]
		if len(scales) == len(axes) {
			ax.scale = scales[i]
			// Inference may have rounded the product differently, no more.
			if d := float64(ax.in)*float64(ax.scale) - float64(ax.out); !(math.Abs(d) <= 1+1e-6*float64(ax.out)) || ax.scale <= 0 {
				return nil, fmt.Errorf("output 0 has shape %v, expected scales of %v on %v", y, scales, x)
			}
		} else {
			ax.scale = float32(ax.out) / float32(ax.in)
		}
		if len(roi) > 0 {
			ax.start, ax.end = roi[i], roi[len(axes)+i]
		}
	}
	if len(sizes) == len(axes) && len(scales) != len(axes) {
		keepAspect(s.Str("keep_aspect_ratio_policy", "stretch"), all, axes, sizes)
	}
	return all, nil
}

// keepAspect gives all axes the one scale at which sizes are the most, or the
// least, that the output may take.
func keepAspect(policy string, all []axisScale, axes, sizes []int) {
	if policy == "stretch" {
		return
	}
	var one float32
	for i, a := range axes {
		a, _ = normAxis(a, len(all))
		v := float32(sizes[i]) / float32(all[a].in)
		if i == 0 || policy == "not_larger" && v < one || policy == "not_smaller" && v > one {
			one = v
		}
	}
	for _, a := range axes {
		a, _ = normAxis(a, len(all))
		all[a].scale = one
	}
}

// constFloats returns the elements of input i, a real constant called name in
// the operator's schema; nil where it is absent.
func (s *site) constFloats(i int, name string) ([]float32, error) {
	if !s.has(i) {
		return nil, nil
	}
	t := &s.in[i]
	if !t.DType.Float() || t.F == nil && t.Len() > 0 {
		return nil, errors.New("input " + name + " must be a constant of real type")
	}
	return t.F, nil
}

// coordinates map an element of a resized axis to a position on the original.
type coordinates struct{ transform, nearest string }

// position returns where element i of the output lies on the input. It is
// computed in float32, as ONNX Runtime does, so that ties round alike.
func (c coordinates) position(a axisScale, i int) float32 {
	x, in, out := float32(i), float32(a.in), float32(a.out)
	switch c.transform {
	case "asymmetric":
		return x / a.scale
	case "pytorch_half_pixel":
		if a.out == 1 {
			return 0
		}
	case "tf_half_pixel_for_nn":
		return (x + 0.5) / a.scale
	case "align_corners":
		if a.out == 1 {
			return 0
		}
		return x * (in - 1) / (out - 1)
	case "half_pixel_symmetric":
		adjust := out / (a.scale * in) // of the exact extent to the rounded one
		return in/2*(1-adjust) + (x+0.5)/a.scale - 0.5
	case "tf_crop_and_resize":
		if a.out == 1 {
			return 0.5 * (a.start + a.end) * (in - 1)
		}
		return a.start*(in-1) + x*(a.end-a.start)*(in-1)/(out-1)
	}
	return (x+0.5)/a.scale - 0.5
}

// identity reports whether the axis is left as it is.
func (c coordinates) identity(a axisScale) bool {
	return a.in == a.out && a.scale == 1 && c.transform != "tf_half_pixel_for_nn" && (c.transform != "tf_crop_and_resize" || a.start == 0 && a.end == 1)
}

// beyond reports whether a position is one that tf_crop_and_resize fills with
// a constant.
func (c coordinates) beyond(a axisScale, at float32) bool {
	return c.transform == "tf_crop_and_resize" && !(at >= 0 && at <= float32(a.in-1))
}

// nearestTable is the offset at which each output along an axis reads.
func (c coordinates) nearestTable(a axisScale, stride int) []int {
	table := make([]int, a.out)
	for i := range table {
		at := c.position(a, i)
		if c.beyond(a, at) {
			table[i] = -1
			continue
		}
		v := float64(at)
		switch c.nearest {
		case "round_prefer_floor":
			v = math.Ceil(v - 0.5)
		case "round_prefer_ceil":
			v = math.Floor(v + 0.5)
		case "ceil":
			v = math.Ceil(v)
		case "simple": // before version 11
			if a.scale < 1 {
				v = math.Ceil(v)
			}
		}
		table[i] = int(min(max(math.Floor(v), 0), float64(a.in-1))) * stride
		if c.identity(a) {
			table[i] = i * stride
		}
	}
	return table
}

// A filter weighs the elements around a position.
type filter struct {
	support   float64
	weight    func(distance float64) float64
	antialias bool // widen the filter when the axis shrinks
	exclude   bool // leave out what is beyond the edge, rather than repeat the edge
}

func triangle(d float64) float64 { return max(0, 1-math.Abs(d)) }

// cubic returns Keys' convolution kernel with coefficient a.
func cubic(a float64) func(float64) float64 {
	return func(d float64) float64 {
		d = math.Abs(d)
		switch {
		case d <= 1:
			return ((a+2)*d-(a+3))*d*d + 1
		case d < 2:
			return ((d-5)*d+8)*d*a - 4*a
		}
		return 0
	}
}

// axisTaps are the elements and weights, taps of each for every output along an
// axis, of which a resampled value is the weighted sum.
type axisTaps struct {
	taps    int
	offset  []int
	weight  []float32
	outside []bool // outputs that are the constant; nil where there are none
}

func identityTaps(n, stride int) axisTaps {
	t := axisTaps{taps: 1, offset: make([]int, n), weight: slices.Repeat([]float32{1}, n)}
	for i := range n {
		t.offset[i] = i * stride
	}
	return t
}

func (f filter) table(c coordinates, a axisScale, stride int) axisTaps {
	if c.identity(a) {
		return identityTaps(a.out, stride)
	}
	shrink := 1.0
	if f.antialias {
		shrink = min(1, float64(a.scale))
	}
	first := int(math.Floor(-f.support/shrink)) + 1
	n := 2 - 2*first
	t := axisTaps{taps: n, offset: make([]int, a.out*n), weight: make([]float32, a.out*n)}
	for i := range a.out {
		at := c.position(a, i)
		if c.beyond(a, at) {
			if t.outside == nil {
				t.outside = make([]bool, a.out)
			}
			t.outside[i] = true
			continue
		}
		// Far beyond the edge everything is the edge.
		pos := min(max(float64(at), -float64(n)), float64(a.in+n))
		floor := math.Floor(pos)
		weights, sum := make([]float64, n), 0.0
		for j := range n {
			from := int(floor) + first + j
			w := f.weight((float64(first+j) - (pos - floor)) * shrink)
			if f.exclude && (from < 0 || from >= a.in) {
				w = 0
			}
			weights[j] = w
			sum += w
			t.offset[i*n+j] = min(max(from, 0), a.in-1) * stride
		}
		for j, w := range weights {
			if f.antialias || f.exclude {
				w /= sum
			}
			t.weight[i*n+j] = float32(w)
		}
	}
	return t
}

// A resampler evaluates weighted sums over the product of the taps of all
// axes.
type resampler struct {
	outer   []axisTaps
	inner   axisTaps
	outside float32
}

func (r *resampler) run(y, x []float32) {
	n := len(r.inner.offset) / r.inner.taps
	for row := range len(y) / n {
		r.row(y[row*n:(row+1)*n], x, row)
	}
}

// row computes one row of the output: for every choice of a tap on each outer
// axis, the resampled row of the input that it selects.
func (r *resampler) row(y, x []float32, row int) {
	fill(y, 0)
	combos, rest, outside := 1, row, false
	for a := len(r.outer) - 1; a >= 0; a-- {
		t := &r.outer[a]
		combos *= t.taps
		n := len(t.offset) / t.taps
		outside = outside || t.outside != nil && t.outside[rest%n]
		rest /= n
	}
	if outside {
		fill(y, r.outside)
		return
	}
	for q := range combos {
		off, weight := 0, float32(1)
		rest := row
		for a := len(r.outer) - 1; a >= 0; a-- {
			t := &r.outer[a]
			n := len(t.offset) / t.taps
			i := rest%n*t.taps + q%t.taps
			off += t.offset[i]
			weight *= t.weight[i]
			rest /= n
			q /= t.taps
		}
		if weight != 0 {
			r.inner.add(y, x[off:], weight)
		}
	}
	if r.inner.outside != nil {
		for i, o := range r.inner.outside {
			if o {
				y[i] = r.outside
			}
		}
	}
}

// add adds scale times the resampled row x to y.
func (t *axisTaps) add(y, x []float32, scale float32) {
	if t.taps == 2 {
		for i := range y {
			o, w := t.offset[2*i:2*i+2], t.weight[2*i:2*i+2]
			y[i] += scale * (w[0]*x[o[0]] + w[1]*x[o[1]])
		}
		return
	}
	for i := range y {
		sum := float32(0)
		for j := i * t.taps; j < (i+1)*t.taps; j++ {
			sum += t.weight[j] * x[t.offset[j]]
		}
		y[i] += scale * sum
	}
}
