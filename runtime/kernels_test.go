package runtime

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/graph"
)

// onKernels checks that every product of a model with a weight runs on the
// product kernels: that no row-major operator is one, and that products many
// layers have a format.
func onKernels(t *testing.T, m *graph.Model, products int) {
	t.Helper()
	p, err := Compile(context.Background(), m, Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Explain().Steps {
		if s.Format != "" && s.Kernel != "" && s.NNZ > 0 {
			products--
		} else if slices.Contains([]string{"MatMul", "Gemm", "Conv", "ConvTranspose", "Linear", "LSTM", "GRU", "RNN"}, s.Op) {
			t.Errorf("%s runs as: %s", s.Op, s.Why)
		}
	}
	if products != 0 {
		t.Errorf("%d products more than run on kernels", products)
	}
}

// TestMatMul multiplies by weights on either side.
func TestMatMul(t *testing.T) {
	for _, c := range []struct {
		x, w []int
		left bool
	}{
		{[]int{7, 20}, []int{20, 24}, false},
		{[]int{2, 9, 20}, []int{20, 24}, false},
		{[]int{2, 9, 20}, []int{1, 20, 24}, false},
		{[]int{20}, []int{20, 24}, false},
		{[]int{3, 20}, []int{20}, false},
		{[]int{3, 5, 20}, []int{3, 20, 24}, false},
		{[]int{2, 3, 17, 20}, []int{3, 20, 24}, false},
		{[]int{5, 20}, []int{3, 20, 24}, false},
		{[]int{20, 33}, []int{24, 20}, true},
		{[]int{3, 20, 33}, []int{24, 20}, true},
		{[]int{2, 3, 20, 5}, []int{24, 20}, true},
		{[]int{3, 20, 5}, []int{3, 24, 20}, true},
		{[]int{2, 3, 20, 5}, []int{3, 24, 20}, true},
		{[]int{20, 5}, []int{3, 24, 20}, true},
		{[]int{20}, []int{24, 20}, true},
		{[]int{6, 20, 1}, []int{24, 20}, true},
		{[]int{20, 33}, []int{20}, true},
	} {
		for _, zeros := range []float64{0, 0.8} {
			t.Run(fmt.Sprintf("%v_%v_%t_%.0f", c.x, c.w, c.left, zeros*100), func(t *testing.T) {
				n := newNet(c.x...)
				w := n.weight(zeros, 1, c.w...)
				if c.left {
					n.node("MatMul", []string{w, "x"})
				} else {
					n.node("MatMul", []string{"x", w})
				}
				onKernels(t, n.model(), 1)
				checkModel(t, n.model())
			})
		}
	}
}

// TestGemm multiplies by weights with factors, terms and turned operands.
func TestGemm(t *testing.T) {
	for _, left := range []bool{false, true} {
		for _, turn := range []struct{ a, b int }{{0, 0}, {0, 1}, {1, 0}, {1, 1}} {
			for _, term := range [][]int{nil, {9}, {30, 1}, {30, 9}} {
				t.Run(fmt.Sprintf("left=%t_turn=%v_c=%v", left, turn, term), func(t *testing.T) {
					a, b := []int{30, 20}, []int{20, 9}
					if turn.a != 0 {
						slices.Reverse(a)
					}
					if turn.b != 0 {
						slices.Reverse(b)
					}
					x, w := a, b
					if left {
						x, w = b, a
					}
					n := newNet(x...)
					in := []string{"x", n.weight(0.7, 1, w...)}
					if left {
						slices.Reverse(in)
					}
					if term != nil {
						in = append(in, n.weight(0, 1, term...))
					}
					n.node("Gemm", in, "transA", turn.a, "transB", turn.b, "alpha", float32(0.5), "beta", float32(2))
					onKernels(t, n.model(), 1)
					checkModel(t, n.model())
				})
			}
		}
	}
}

func TestConvTranspose(t *testing.T) {
	type attrs struct{ kernel, strides, dilations, pads, extra []int }
	for _, c := range []struct {
		x      []int
		m      int
		groups int
		attrs
	}{
		{[]int{1, 8, 7, 7}, 6, 1, attrs{kernel: []int{2, 2}, strides: []int{2, 2}}},
		{[]int{1, 8, 14, 14}, 6, 1, attrs{kernel: []int{4, 4}, strides: []int{2, 2}, pads: []int{1, 1, 1, 1}}},
		{[]int{2, 8, 9, 11}, 6, 1, attrs{kernel: []int{3, 3}, strides: []int{2, 2}, pads: []int{1, 1, 1, 1}, extra: []int{1, 1}}},
		{[]int{1, 8, 9, 11}, 6, 1, attrs{kernel: []int{3, 3}, strides: []int{2, 2}, pads: []int{1, 0, 1, 2}}},
		{[]int{1, 8, 12, 12}, 6, 1, attrs{kernel: []int{3, 3}, strides: []int{1, 1}, pads: []int{1, 1, 1, 1}}},
		{[]int{1, 8, 12, 12}, 6, 1, attrs{kernel: []int{3, 3}, strides: []int{1, 1}, dilations: []int{2, 3}, pads: []int{1, 1, 0, 0}}},
		{[]int{1, 8, 6, 5}, 6, 1, attrs{kernel: []int{3, 2}, strides: []int{3, 2}, dilations: []int{2, 1}}},
		{[]int{1, 8, 6, 5}, 6, 1, attrs{kernel: []int{2, 3}, strides: []int{4, 1}}},
		{[]int{1, 8, 6, 5}, 4, 2, attrs{kernel: []int{4, 4}, strides: []int{2, 2}, pads: []int{1, 1, 1, 1}}},
		{[]int{1, 8, 6, 5}, 1, 8, attrs{kernel: []int{4, 4}, strides: []int{2, 2}, pads: []int{1, 1, 1, 1}}},
		{[]int{1, 8, 6, 5}, 4, 1, attrs{kernel: []int{1, 1}, strides: []int{2, 2}, extra: []int{1, 1}}},
		{[]int{1, 8, 6, 6}, 4, 1, attrs{kernel: []int{2, 2}, strides: []int{1, 1}, pads: []int{2, 2, 2, 2}}},
		{[]int{2, 8, 40}, 6, 1, attrs{kernel: []int{16}, strides: []int{8}, pads: []int{4, 4}}},
		{[]int{1, 8, 21}, 6, 1, attrs{kernel: []int{5}, strides: []int{3}, pads: []int{2, 0}, extra: []int{2}}},
	} {
		for _, zeros := range []float64{0, 0.8} {
			t.Run(fmt.Sprintf("%v_%d_g%d_%+v_%.0f", c.x, c.m, c.groups, c.attrs, zeros*100), func(t *testing.T) {
				n := newNet(c.x...)
				var a []any
				for name, v := range map[string][]int{"kernel_shape": c.kernel, "strides": c.strides, "dilations": c.dilations, "pads": c.pads, "output_padding": c.extra} {
					if v != nil {
						a = append(a, name, v)
					}
				}
				w := n.weight(zeros, 1, append([]int{c.x[1], c.m}, c.kernel...)...)
				n.node("ConvTranspose", []string{"x", w, n.weight(0, 1, c.m*c.groups)}, append(a, "group", c.groups)...)
				n.relu(n.last)
				onKernels(t, n.model(), 1)
				checkModel(t, n.model())
			})
		}
	}
}

// TestDepthToSpace rearranges the channels of images that kernels have made.
func TestDepthToSpace(t *testing.T) {
	for _, mode := range []string{"DCR", "CRD"} {
		for _, b := range []int{2, 3} {
			t.Run(fmt.Sprintf("%s_%d", mode, b), func(t *testing.T) {
				n := newNet(2, 4, 9, 7)
				a := n.conv("x", 4, 5*b*b, 3, 1, 0)
				a = n.node("DepthToSpace", []string{a}, "blocksize", b, "mode", mode)
				n.node("Add", []string{n.conv(a, 5, 4, 3, 1, 0), n.conv(a, 5, 4, 1, 1, 0)})
				checkModel(t, n.model())
			})
		}
	}
}
