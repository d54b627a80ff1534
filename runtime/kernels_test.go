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
