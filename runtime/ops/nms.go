package ops

import (
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// evalNonMaxSuppression picks for every batch and class the boxes of the
// highest scores of which none overlaps another by more than iou_threshold,
// and lists them as [batch, class, box]. Of equal scores the first box wins, as
// in ONNX Runtime.
func evalNonMaxSuppression(s *site) ([]Tensor, error) {
	boxes, scores := &s.in[0], &s.in[1]
	if len(boxes.Shape) != 3 || len(scores.Shape) != 3 || boxes.Shape[2] != 4 ||
		boxes.Shape[0] != scores.Shape[0] || boxes.Shape[1] != scores.Shape[2] || !boxes.DType.Float() || !scores.DType.Float() {
		return nil, fmt.Errorf("boxes %s %v and scores %s %v, expected [N, B, 4] and [N, C, B]", boxes.DType, boxes.Shape, scores.DType, scores.Shape)
	}
	most := int64(0)
	if s.has(2) {
		if t := &s.in[2]; len(t.I) != 1 {
			return nil, fmt.Errorf("max_output_boxes_per_class is %s %v, expected one integer", t.DType, t.Shape)
		}
		most = max(0, s.in[2].I[0])
	}
	var threshold [2]float32 // of overlap and of the score
	for i, name := range []string{"iou_threshold", "score_threshold"} {
		if !s.has(3 + i) {
			continue
		}
		t := &s.in[3+i]
		if len(t.F) != 1 {
			return nil, fmt.Errorf("%s is %s %v, expected one real number", name, t.DType, t.Shape)
		}
		threshold[i] = t.F[0]
	}
	if !(threshold[0] >= 0 && threshold[0] <= 1) {
		return nil, fmt.Errorf("iou_threshold is %g, expected 0 to 1", threshold[0])
	}
	n, classes, count := scores.Shape[0], scores.Shape[1], scores.Shape[2]
	if err := s.allow(24 * int64(count)); err != nil { // of corners and order
		return nil, err
	}
	corners := make([][4]float32, count)
	order := make([]int, 0, count)
	list := []int64{}
	for b := range n {
		for i := range corners {
			corners[i] = cornersOf(boxes.F[(b*count+i)*4:][:4], s.Int("center_point_box", 0) != 0)
		}
		for c := range classes {
			score := scores.F[(b*classes+c)*count:][:count]
			order = order[:0]
			for i, v := range score {
				if !s.has(4) || v > threshold[1] {
					order = append(order, i)
				}
			}
			slices.SortStableFunc(order, func(i, j int) int {
				switch {
				case score[i] > score[j]:
					return -1
				case score[i] < score[j]:
					return 1
				}
				return 0
			})
			picked := order[:0] // a prefix of what was looked at
			for _, i := range order {
				if int64(len(picked)) == most {
					break
				}
				if !slices.ContainsFunc(picked, func(j int) bool { return overlap(corners[i], corners[j]) > threshold[0] }) {
					picked = append(picked, i)
					list = append(list, int64(b), int64(c), int64(i))
				}
			}
			if err := s.allow(24*int64(count) + 8*int64(len(list))); err != nil {
				return nil, err
			}
		}
	}
	return []Tensor{{DType: graph.Int64, Shape: []int{len(list) / 3, 3}, I: list}}, nil
}

// cornersOf returns a box as its lowest and highest coordinates. It is given
// as two opposite corners, or as its centre and extents.
func cornersOf(b []float32, centre bool) [4]float32 {
	if centre {
		return [4]float32{b[0] - b[2]/2, b[1] - b[3]/2, b[0] + b[2]/2, b[1] + b[3]/2}
	}
	return [4]float32{min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3])}
}

// overlap returns the intersection of two boxes over their union.
func overlap(a, b [4]float32) float32 {
	w, h := min(a[2], b[2])-max(a[0], b[0]), min(a[3], b[3])-max(a[1], b[1])
	if !(w > 0 && h > 0) {
		return 0
	}
	both := w * h
	area := func(c [4]float32) float32 { return (c[2] - c[0]) * (c[3] - c[1]) }
	return both / (area(a) + area(b) - both)
}
