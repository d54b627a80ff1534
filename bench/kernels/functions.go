package kernels

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/kernels/vec"
)

// A function is a call of the family vec, and the bytes an element that it
// reads; writes go beside reads.
type function struct {
	name  string
	bytes int
	call  func(dst, x []float32)
}

func functions(k *vec.Kernels) []function {
	return []function{
		{"add", 8, func(dst, x []float32) { k.Add(dst, x, dst) }},
		{"affine", 4, func(dst, x []float32) { k.Affine(dst, x, 2, 1) }},
		{"relu", 4, func(dst, x []float32) { k.Clamp(dst, x, 0, float32(math.Inf(1))) }},
		{"hard_swish", 4, func(dst, x []float32) { k.HardSwish(dst, x) }},
		{"exp", 4, func(dst, x []float32) { k.Exp(dst, x) }},
		{"sigmoid", 4, func(dst, x []float32) { k.Sigmoid(dst, x) }},
		{"tanh", 4, func(dst, x []float32) { k.Tanh(dst, x) }},
		{"erf", 4, func(dst, x []float32) { k.Erf(dst, x) }},
		{"gelu", 4, func(dst, x []float32) { k.Gelu(dst, x) }},
		{"gelu_tanh", 4, func(dst, x []float32) { k.GeluTanh(dst, x) }},
		{"silu", 4, func(dst, x []float32) { k.Silu(dst, x) }},
		{"softmax", 4, func(dst, x []float32) { k.Softmax(dst, x) }},
		{"softmax_columns", 4, func(dst, x []float32) { k.SoftmaxColumns(dst, x, square(x)) }},
		{"layer_norm", 4, func(dst, x []float32) { k.LayerNorm(dst, x, nil, nil, 1e-5) }},
		{"layer_norm_columns", 4, func(dst, x []float32) { k.LayerNormColumns(dst, x, nil, nil, square(x), 1e-5) }},
		{"rms_norm", 4, func(dst, x []float32) { k.RMSNorm(dst, x, nil, 1e-5) }},
		{"rms_norm_columns", 4, func(dst, x []float32) { k.RMSNormColumns(dst, x, nil, square(x), 1e-5) }},
		{"sum", 4, func(_, x []float32) { k.Sum(x) }},
		{"max", 4, func(_, x []float32) { k.Max(x) }},
	}
}

// square takes x as a matrix of columns of whole vectors, about as many as rows.
func square(x []float32) vec.Columns {
	const vector = 16
	width := max(int(math.Sqrt(float64(len(x))))/vector, 1) * vector
	return vec.Columns{Rows: len(x) / width, Width: width, Stride: width}
}

type functionRun struct {
	call   func(dst, x []float32)
	dst, x []float32
	repeat int
}

func (f *functionRun) Run(context.Context) (time.Duration, error) {
	start := time.Now()
	for range f.repeat {
		f.call(f.dst, f.x)
	}
	return time.Since(start) / time.Duration(f.repeat), nil
}

// Functions measures functions of vec on an instruction set, on operands that
// fill half of the L1 and of the L2 cache. The bound is that of reading them.
func (o Options) Functions(i isa.ISA) []Result {
	var results []Result
	levels := o.Limits[i].Levels
	for _, l := range levels[:min(2, len(levels)-1)] {
		n := l.Bytes / 2 / 8
		x := normals(n, 3)
		for _, f := range functions(vec.For(i)) {
			run := &functionRun{f.call, make([]float32, n), x, max(1, 1<<17/n)}
			medians, err := Timing{Runs: 9}.Medians(context.Background(), []Runner{run})
			if err != nil {
				continue // no function fails
			}
			us := float64(max(medians[0], 1)) / 1e3
			bound := Bound{l.Name, float64(f.bytes*n) / l.Read / 1e3}
			results = append(results, Result{
				Family: Vec, Name: f.name, Shape: fmt.Sprintf("%d in %s", n, l.Name), N: n, ISA: i.String(), Threads: 1,
				Kernel: "f32_" + f.name + "_" + i.String(), US: us, Bound: bound, BoundShare: bound.US / us,
			})
		}
	}
	return results
}
