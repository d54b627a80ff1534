package runtime

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
)

// patterned makes a weight that all formats of its kind have for a candidate:
// blocks of 8 rows besides scattered elements, or N of each M columns.
func patterned(rng *rand.Rand, rows, cols, n, m int) []float32 {
	w := make([]float32, rows*cols)
	value := func() float32 { return rng.Float32()*2 - 1 }
	for i := range rows {
		for k := 0; k < cols && m > 0; k += m {
			width := min(m, cols-k)
			for _, j := range rng.Perm(width)[:min(n, width)] {
				w[i*cols+k+j] = value()
			}
		}
		for k := 0; k < cols && m == 0; k++ {
			if uint(i/8*31+k*17)%5 == 0 || rng.IntN(20) == 0 {
				w[i*cols+k] = value()
			}
		}
	}
	return w
}

// TestFormats forces every format that the cost model chooses among, for every
// number of columns up to 70 and a convolution.
func TestFormats(t *testing.T) {
	const rows, features = 24, 35
	rng := rand.New(rand.NewPCG(1, 2))
	for _, kind := range []struct {
		n, m    int
		formats string
	}{
		{0, 0, "dense csr bsr2x1 bsr4x1 bsr8x1 mixed4x1 mixed8x1"},
		{1, 4, "dense csr nm1:4"},
		{2, 4, "dense csr nm2:4"},
	} {
		linear := graph.FromFloats([]int{rows, features}, patterned(rng, rows, features, kind.n, kind.m))
		window := graph.FromFloats([]int{rows, features, 3, 3}, patterned(rng, rows, features*9, kind.n, kind.m))
		for _, i := range isa.Supported() {
			for _, format := range strings.Fields(kind.formats) {
				t.Run(fmt.Sprintf("%v/%d:%d/%s", i, kind.n, kind.m, format), func(t *testing.T) {
					for columns := 1; columns <= 70; columns++ {
						net := newNet(columns, features)
						net.m.Weights["w"] = linear
						net.node("Gemm", []string{"x", "w"}, "transB", 1)
						checkFormat(t, net.model(), i, format, columns > 4) // fewer are a vector's
					}
					net := newNet(1, features, 14, 13)
					net.m.Weights["w"] = window
					net.node("Conv", []string{"x", "w"}, "kernel_shape", []int{3, 3}, "pads", []int{1, 1, 1, 1})
					net.node("Relu", []string{net.last})
					checkFormat(t, net.model(), i, format, true)
				})
			}
		}
	}
}

// checkFormat compiles a model for a format, which its layer has to take where
// it must, and compares its output with the reference.
func checkFormat(t *testing.T, m *graph.Model, i isa.ISA, format string, must bool) {
	t.Helper()
	shape := make([]int, len(m.Inputs[0].Shape))
	for d, n := range m.Inputs[0].Shape {
		shape[d] = n.Size
	}
	x := make([]float32, elements(shape))
	rng := rand.New(rand.NewPCG(3, 4))
	for k := range x {
		x[k] = rng.Float32()*2 - 1
	}
	want := reference(t, m, graph.FromFloats(shape, x))
	p, err := Compile(context.Background(), m, Config{ISA: i, Threads: 1, Format: format})
	if err != nil {
		t.Fatal(err)
	}
	s := p.NewSession()
	defer s.Close()
	for k, got := range runOnce(t, s, x) {
		if d := math.Abs(float64(got - want[k])); !(d <= 1e-5+1e-4*math.Abs(float64(want[k]))) {
			t.Fatalf("%v: element %d is %g, want %g", shape, k, got, want[k])
		}
	}
	steps := p.Explain().Steps
	at := slices.IndexFunc(steps, func(s LayerReport) bool { return s.M > 0 })
	if got := steps[at]; must && (got.Format != format || got.Why != format+" was asked for") {
		t.Errorf("%v: runs as %s, as %s; candidates %v", shape, got.Format, got.Why, got.Predicted)
	}
}

// TestChoice: what is predicted least is taken, dense unless a sparse format
// gains by a margin, and a mixed one only where it gains as much on the others.
func TestChoice(t *testing.T) {
	c, w := &compiler{}, &weight{rows: 8, cols: 8, nnz: 4}
	dense, csr, mixed := format{dense: true, r: 4}, format{r: 1}, format{r: 4, least: 3}
	formats := []format{dense, csr, {r: 4}, mixed}
	for _, tt := range []struct {
		dense, csr, bsr, mixed float64
		mode                   Mode
		want                   string
	}{
		{10, 9, 9, 9, Auto, "csr"},
		{10, 9, 8, 9, Auto, "bsr4x1"},
		{10, 9.9, 9.9, 9.9, Auto, "dense"},
		{10, 9, 9, 8.8, Auto, "csr"},
		{10, 9, 9, 8, Auto, "mixed4x1"},
		{10, 11, 12, 13, Sparse, "csr"},
		{10, 11, 12, 10.6, Sparse, "csr"},
		{10, 11, 12, 8, Sparse, "mixed4x1"},
	} {
		c.cfg.Mode = tt.mode
		costs := map[format]float64{dense: tt.dense, csr: tt.csr, formats[2]: tt.bsr, mixed: tt.mixed}
		if got := c.pick(w, formats, func(f format) float64 { return costs[f] }); got.format.String() != tt.want {
			t.Errorf("%+v: took %v", tt, got.format)
		}
	}
}
