package ops

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/kernels/vec"
)

var (
	// Three boxes of one image, the second of which overlaps the first by 9/11.
	boxes3 = F(s(1, 3, 4), 0, 0, 1, 1, 0, .1, 1, 1.1, 0, 5, 1, 6)
	// The same as centres and extents, two of them given.
	centres2 = F(s(1, 2, 4), .5, .5, 1, 1, .5, .6, 1, 1)
)

// dataCases are operators whose outputs have extents that depend on data, and
// others whose shapes are given by values: there is no Build for either.
var dataCases = []opCase{
	{"where it is not zero", "NonZero", 13, nil, []Tensor{F(s(2, 2), 1, 0, notNumber, -1)}, []Tensor{I(s(2, 3), 0, 1, 1, 0, 0, 1)}},
	{"nothing is not zero", "NonZero", 13, nil, []Tensor{bools(0, 0)}, []Tensor{I(s(1, 0), []int64{}...)}},
	{"a scalar has no index", "NonZero", 13, nil, []Tensor{F(nil, 3)}, []Tensor{I(s(0, 1), []int64{}...)}},
	{"compress columns", "Compress", 11, attrs{"axis": -1}, []Tensor{F(s(2, 3)), bools(1, 0, 1)}, []Tensor{F(s(2, 2), 1, 3, 4, 6)}},
	{"compress elements, by fewer conditions", "Compress", 9, nil, []Tensor{I(s(2, 3)), bools(0, 1, 0, 1)}, []Tensor{I(s(2), 2, 4)}},
	{"suppress a box", "NonMaxSuppression", 11, nil, []Tensor{boxes3, F(s(1, 1, 3), .5, .9, .3), I(s(1), 9), F(s(1), .5)}, []Tensor{I(s(2, 3), 0, 0, 1, 0, 0, 2)}},
	{"of equal scores the first", "NonMaxSuppression", 10, nil, []Tensor{boxes3, F(s(1, 1, 3), .5, .5, .5), I(s(1), 9), F(s(1), .5)}, []Tensor{I(s(2, 3), 0, 0, 0, 0, 0, 2)}},
	{"scores at the threshold go", "NonMaxSuppression", 11, nil, []Tensor{boxes3, F(s(1, 2, 3), .5, .9, .3, .3, .2, .4), I(nil, 1), none, F(nil, .9)}, []Tensor{I(s(0, 3), []int64{}...)}},
	{"boxes by their centres", "NonMaxSuppression", 11, attrs{"center_point_box": 1}, []Tensor{centres2, F(s(1, 1, 2)), I(s(1), 2), F(s(1), .9)}, []Tensor{I(s(2, 3), 0, 0, 1, 0, 0, 0)}},
	{"no boxes are asked for", "NonMaxSuppression", 11, nil, []Tensor{boxes3, F(s(1, 1, 3))}, []Tensor{I(s(0, 3), []int64{}...)}},
	{"unique, sorted", "Unique", 11, nil, []Tensor{F(s(4), 3, 1, 3, 2)}, []Tensor{F(s(3)), I(s(3), 1, 3, 0), I(s(4), 2, 0, 2, 1), I(s(3), 1, 1, 2)}},
	{"unique, as they come", "Unique", 11, attrs{"sorted": 0}, []Tensor{I(s(4), 3, 1, 3, 2)}, []Tensor{I(s(3), 3, 1, 2), I(s(3), 0, 1, 3), I(s(4), 0, 1, 0, 2), I(s(3), 2, 1, 1)}},
	{"unique rows", "Unique", 11, attrs{"axis": 0}, []Tensor{F(s(3, 2), 2, 0, 1, 9, 2, 0)}, []Tensor{F(s(2, 2), 1, 9, 2, 0), I(s(2), 1, 0), I(s(3), 1, 0, 1), I(s(2), 1, 2)}},
	{"unique columns", "Unique", 11, attrs{"axis": 1}, []Tensor{F(s(2, 3), 2, 1, 2, 0, 9, 0)}, []Tensor{F(s(2, 2), 1, 2, 9, 0)}},
	{"largest uint64 last", "Unique", 11, nil, []Tensor{as(graph.Uint64, I(s(2), -1, 1))}, []Tensor{as(graph.Uint64, I(s(2), 1, -1))}},
	{"reshape by a value", "Reshape", 13, nil, []Tensor{F(s(4)), I(s(2), 2, -1)}, []Tensor{F(s(2, 2))}},
	{"expand by a value", "Expand", 13, nil, []Tensor{F(s(1), 7), I(s(1), 2)}, []Tensor{F(s(2), 7, 7)}},
}

func TestRun(t *testing.T) {
	for _, c := range dataCases {
		t.Run(c.name, func(t *testing.T) {
			n := node(c.op, c.attrs, len(c.in))
			n.Outputs = make([]string, len(c.want))
			for i := range n.Outputs {
				n.Outputs[i] = "y"
			}
			for i := range c.in {
				if n.Inputs[i] = "x"; !c.in[i].present() {
					n.Inputs[i] = ""
				}
			}
			got, err := Run(n, c.opset, c.in, vec.For(isa.Detect()), math.MaxInt64)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(c.want) {
				t.Fatalf("%d outputs, expected %d", len(got), len(c.want))
			}
			for i, w := range c.want {
				if g := got[i]; g.DType != w.DType || !slices.Equal(g.Shape, w.Shape) || !slices.Equal(g.F, w.F) || !slices.Equal(g.I, w.I) {
					t.Errorf("output %d is %v, expected %v", i, g, w)
				}
			}
		})
	}
}

func TestRunErrors(t *testing.T) {
	two := node("NonZero", nil, 1)
	two.Inputs[0], two.Outputs = "x", []string{"y", "z"}
	if _, err := Run(two, 13, []Tensor{F(s(1))}, vec.For(isa.Generic), 1<<30); err == nil || !strings.Contains(err.Error(), "2 outputs") {
		t.Errorf("an output too many: %v", err)
	}
	for _, c := range []struct {
		op    string
		in    []Tensor
		limit int64
		want  string
	}{
		{"Expand", []Tensor{F(s(1)), I(s(2), 1<<20, 1<<20)}, 1 << 30, "more than the limit"},
		{"Expand", []Tensor{F(s(1)), I(s(2), 1<<40, 1<<40)}, math.MaxInt64, "overflows"},
		{"Range", []Tensor{I(nil, 0), I(nil, 1<<30-1), I(nil, 1)}, 1 << 30, "more than the limit"},
		{"NonZero", []Tensor{F(s(4))}, 31, "more than the limit"},
		{"NonZero", []Tensor{F(s(1, 1, 4))}, 4*8*4 - 1, "more than the limit"}, // places, and where they are in each dimension
		{"Compress", []Tensor{F(s(4)), bools(1, 1)}, 2*4 + 2*8 - 1, "more than the limit"},
		{"Unique", []Tensor{F(s(4))}, 4*8*8 + 4*4 - 1, "more than the limit"},
		{"NonMaxSuppression", []Tensor{boxes3, F(s(1, 1, 3)), I(s(1), 1)}, 3*24 - 1, "more than the limit"},
		{"NonMaxSuppression", []Tensor{boxes3, F(s(1, 1, 3)), I(s(1), 1)}, 3*24 + 3*8 - 1, "more than the limit"},
		{"Reshape", []Tensor{F(s(4)), I(s(1), 3)}, 1 << 30, "[3]"},
		{"Compress", []Tensor{F(s(4)), I(s(1), 3)}, 1 << 30, "expected a list of bool"},
		{"NonMaxSuppression", []Tensor{F(s(1, 2, 4)), F(s(1, 1, 3))}, 1 << 30, "expected [N, B, 4]"},
		{"NonMaxSuppression", []Tensor{boxes3, F(s(1, 1, 3)), I(s(1), 1), F(s(1), 2)}, 1 << 30, "iou_threshold"},
		{"If", []Tensor{bools(1)}, 1 << 30, "then_branch"},
		{"NoSuch", nil, 1 << 30, "not supported"},
	} {
		n := node(c.op, nil, len(c.in))
		for i := range n.Inputs {
			n.Inputs[i] = "x"
		}
		if _, err := Run(n, 13, c.in, vec.For(isa.Generic), c.limit); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", c.op, err, c.want)
		}
	}
}
