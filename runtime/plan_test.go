package runtime

import (
	"context"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
)

// TestExplainedWork checks what steps are said to have to do.
func TestExplainedWork(t *testing.T) {
	// A convolution of 8 features over 5x5 pixels, which a grid of 2x2 lanes
	// cuts into sub-images of 3x3; its input has a halo of a vector around them.
	const lanes, inside, around = 4, 3 * 3, 5 * 5
	if isa.Generic.Lanes() != lanes {
		t.Fatalf("vectors of %d lanes, expected %d", isa.Generic.Lanes(), lanes)
	}
	image := func(features, vectors int) int { return 4 * lanes * features * (vectors | 1) }
	conv := newNet(1, 4, 5, 5)
	conv.conv("x", 4, 8, 3, 1, 0.5)
	grouped := newNet(1, 4, 5, 5)
	grouped.node("Conv", []string{"x", grouped.weight(0, 1, 4, 1, 3, 3)}, "group", 4, "kernel_shape", []int{3, 3}, "pads", []int{1, 1, 1, 1})
	linear := newNet(2, 24)
	linear.node("MatMul", []string{"x", linear.weight(0, 1, 24, 10)})
	rows := newNet(2)
	rows.m.Inputs[0].DType = graph.Int64
	rows.node("Gather", []string{rows.weight(0, 1, 1000, 3), "x"})
	halo := newNet(1, 4, 5, 5)
	halo.conv(halo.conv("x", 4, 4, 1, 1, 0), 4, 4, 3, 1, 0)

	cases := []struct {
		name string
		net  *testNet
		mode Mode
		op   string
		want LayerReport // of the last step of the operator
	}{
		{"sparse", conv, Sparse, "Conv", LayerReport{Groups: 1, Slots: inside * lanes, Moved: image(4, around) + image(8, inside)}},
		{"dense", conv, Dense, "Conv", LayerReport{Groups: 1, Slots: inside * lanes, Stored: 8 * 36, Moved: image(4, around) + image(8, inside)}},
		{"depthwise", grouped, Dense, "Conv", LayerReport{Groups: 4, Slots: inside * lanes, Stored: 36, Moved: image(4, around) + image(4, inside)}},
		{"vector", linear, Dense, "Linear", LayerReport{Groups: 1, Slots: 2, Stored: 240, Moved: 4 * 2 * (24 + 10)}},
		{"relayout", conv, Dense, "Relayout", LayerReport{Moved: 2 * 4 * 8 * 25}}, // of the output
		// All vectors but the four inside that have a pixel in every lane.
		{"halo", halo, Dense, "Halo", LayerReport{Moved: 2 * 4 * 4 * lanes * (around - 4)}},
		{"rows of a table", rows, Dense, "Gather", LayerReport{Moved: 8*2 + 4*(6+6)}},
	}
	for _, c := range cases {
		p, err := Compile(context.Background(), c.net.model(), Config{ISA: isa.Generic, Mode: c.mode, Threads: 1})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var got LayerReport
		for _, s := range p.Explain().Steps {
			if s.Op == c.op {
				got = s
			}
		}
		if c.mode == Sparse {
			c.want.Stored = got.NNZ
		}
		if got.Groups != c.want.Groups || got.Slots != c.want.Slots || got.Stored != c.want.Stored || got.Moved != c.want.Moved {
			t.Errorf("%s: %+v,\nwant %+v", c.name, got, c.want)
		}
		if got.FMAs != got.NNZ*got.N || (got.Weight > 0) != (got.M > 0) {
			t.Errorf("%s: %d multiply-adds of %d x %d, a weight of %d bytes", c.name, got.FMAs, got.NNZ, got.N, got.Weight)
		}
	}
}
