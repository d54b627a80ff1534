package graph

import (
	"fmt"
	"math"
	"slices"
)

// resize is the rule of Resize, and of Upsample before it.
func resize(c *call) ([]Type, error) {
	x := c.in[0].Shape
	scales, sizes, err := c.resizeParams()
	if err != nil {
		return nil, err
	}
	axes := make([]int, len(x))
	for i := range axes {
		axes[i] = i
	}
	if c.Has("axes") {
		axes = c.Ints("axes")
		if _, err := axisSet(axes, len(x)); err != nil {
			return nil, err
		}
	}
	shape := slices.Clone(x)
	switch {
	case len(sizes) > 0 && len(scales) == 0:
		err = c.resizeTo(shape, axes, sizes)
	case len(scales) == len(axes):
		err = c.scale(shape, axes, scales)
	default:
		err = fmt.Errorf("scales %v and sizes %v for %d axes, expected one of either for each", scales, sizes, len(axes))
	}
	if err != nil {
		return nil, err
	}
	return one(c.in[0].DType, shape)
}

// resizeParams returns what the version of the operator calls scales and
// sizes.
func (c *call) resizeParams() (scales []float32, sizes []int, err error) {
	switch {
	case c.Op == "Upsample" && c.opset < 9:
		if a := c.Attrs["scales"]; a != nil {
			scales = a.Floats
		}
	case c.opset < 11: // Upsample of version 9, Resize of version 10
		scales, err = c.floats(1, "scales")
	default:
		if scales, err = c.floats(2, "scales"); err == nil {
			sizes, err = c.ints(3, "sizes")
		}
	}
	return scales, sizes, err
}

// scale multiplies extents, in float32 as ONNX Runtime does.
func (c *call) scale(shape, axes []int, scales []float32) error {
	roi, err := c.roi(len(axes))
	if err != nil {
		return err
	}
	for i, a := range axes {
		a, _ = axis(a, len(shape)) // checked by resize
		s := scales[i]
		d := s * float32(shape[a])
		if roi != nil {
			d = s * (roi[i+len(axes)] - roi[i]) * float32(shape[a])
		}
		if !(s > 0 && d >= 0 && d <= maxExtent) {
			return fmt.Errorf("axis %d of %v scaled by %g", a, shape, s)
		}
		shape[a] = int(d)
	}
	return nil
}

// roi returns the region of the input that is resized, as fractions of its
// axes: their starts and then their ends; nil where it is all.
func (c *call) roi(axes int) ([]float32, error) {
	if c.opset < 11 || c.Str("coordinate_transformation_mode", "") != "tf_crop_and_resize" {
		return nil, nil
	}
	roi, err := c.floats(1, "roi")
	if err == nil && len(roi) != 2*axes {
		err = fmt.Errorf("roi %v for %d axes", roi, axes)
	}
	return roi, err
}

// resizeTo sets extents, or scales all alike to the largest that are not
// larger or the smallest that are not smaller.
func (c *call) resizeTo(shape, axes, sizes []int) error {
	if len(sizes) != len(axes) || slices.ContainsFunc(sizes, func(d int) bool { return d < 0 || d > maxExtent }) {
		return fmt.Errorf("sizes %v for %d axes", sizes, len(axes))
	}
	policy := c.Str("keep_aspect_ratio_policy", "stretch")
	ratio := math.NaN()
	for i, a := range axes {
		a, _ = axis(a, len(shape)) // checked by resize
		r := float64(sizes[i]) / float64(shape[a])
		switch policy {
		case "stretch":
			shape[a] = sizes[i]
		case "not_larger":
			if !(ratio <= r) {
				ratio = r
			}
		case "not_smaller":
			if !(ratio >= r) {
				ratio = r
			}
		default:
			return fmt.Errorf("attribute keep_aspect_ratio_policy: %.80q", policy)
		}
	}
	if policy == "stretch" {
		return nil
	}
	for _, a := range axes {
		a, _ = axis(a, len(shape))
		d := math.Floor(ratio*float64(shape[a]) + 0.5)
		if !(d >= 0 && d <= maxExtent) {
			return fmt.Errorf("axis %d of %v scaled by %g", a, shape, ratio)
		}
		shape[a] = int(d)
	}
	return nil
}
