package kernels

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/kernels/vec"
)

// A function is a call of the family vec, and the bytes of operands for an
// element; results are written beside reading.
type function struct {
	name  string // of the field of [vec.Kernels], in lower case
	bytes int
	call  func(dst, x, y []float32) // x has poolTaps-1 more vectors than dst
}

// loads is how many bytes are loaded for an element: a pool loads an operand
// for each tap.
func (f function) loads() int {
	if strings.HasSuffix(f.name, "_pool") {
		return f.bytes * poolTaps
	}
	return f.bytes
}

// poolTaps is how many vectors a pool reduces: those of a window of 3 x 3.
const poolTaps = 9

func functions(k *vec.Kernels) []function {
	binary := func(f func(dst, a, b []float32)) func(dst, x, y []float32) { return f }
	unary := func(f func(dst, x []float32)) func(dst, x, y []float32) {
		return func(dst, x, _ []float32) { f(dst, x) }
	}
	pool := func(f func(dst, src []float32, taps []uint32, step int)) func(dst, x, y []float32) {
		taps := make([]uint32, poolTaps)
		for i := range taps {
			taps[i] = uint32(4 * k.ISA.Lanes() * i)
		}
		return func(dst, x, _ []float32) { f(dst, x, taps, 1) }
	}
	var index, rows []int32 // backwards; one after the other
	var where []uint32      // all
	return []function{
		{"add", 8, binary(k.Add)},
		{"sub", 8, binary(k.Sub)},
		{"mul", 8, binary(k.Mul)},
		{"div", 8, binary(k.Div)},
		{"affine", 4, func(dst, x, _ []float32) { k.Affine(dst, x, 2, 1) }},
		{"div_scalar", 4, func(dst, x, _ []float32) { k.DivScalar(dst, x, 3) }},
		{"scalar_div", 4, func(dst, x, _ []float32) { k.ScalarDiv(dst, x, 3) }},
		{"clamp", 4, func(dst, x, _ []float32) { k.Clamp(dst, x, 0, float32(math.Inf(1))) }},
		{"leaky_relu", 4, func(dst, x, _ []float32) { k.LeakyRelu(dst, x, 0.01) }},
		{"threshold", 4, func(dst, x, _ []float32) { k.Threshold(dst, x, 0.5) }},
		{"hard_sigmoid", 4, func(dst, x, _ []float32) { k.HardSigmoid(dst, x, 0.2, 0.5) }},
		{"hard_swish", 4, unary(k.HardSwish)},
		{"exp", 4, unary(k.Exp)},
		{"sigmoid", 4, unary(k.Sigmoid)},
		{"tanh", 4, unary(k.Tanh)},
		{"erf", 4, unary(k.Erf)},
		{"gelu", 4, unary(k.Gelu)},
		{"gelu_tanh", 4, unary(k.GeluTanh)},
		{"silu", 4, unary(k.Silu)},
		{"softmax", 4, func(dst, x, _ []float32) { k.Softmax(dst, x[:len(dst)]) }},
		{"softmax_columns", 4, func(dst, x, _ []float32) { k.SoftmaxColumns(dst, x, nil, 1, square(dst)) }},
		{"layer_norm", 4, func(dst, x, _ []float32) { k.LayerNorm(dst, x[:len(dst)], nil, nil, 1e-5) }},
		{"layer_norm_columns", 4, func(dst, x, _ []float32) { k.LayerNormColumns(dst, x, nil, nil, square(dst), 1e-5) }},
		{"rms_norm", 4, func(dst, x, _ []float32) { k.RMSNorm(dst, x[:len(dst)], nil, 1e-5) }},
		{"rms_norm_columns", 4, func(dst, x, _ []float32) { k.RMSNormColumns(dst, x, nil, square(dst), 1e-5) }},
		{"sum", 4, func(dst, x, _ []float32) { k.Sum(x[:len(dst)]) }},
		{"max", 4, func(dst, x, _ []float32) { k.Max(x[:len(dst)]) }},
		{"dot", 8, func(dst, x, y []float32) { k.Dot(x[:len(dst)], y) }},
		{"sum_where", 8, func(dst, x, _ []float32) {
			if len(where) < len(dst) {
				where = slices.Repeat([]uint32{math.MaxUint32}, len(dst))
			}
			k.SumWhere(x[:len(dst)], where)
		}},
		{"exp_sum", 4, func(dst, x, _ []float32) { k.ExpSum(dst, x, 4) }},
		{"max_pool", 4, pool(k.MaxPool)},
		{"sum_pool", 4, pool(k.SumPool)},
		{"interleave", 4, func(dst, x, _ []float32) {
			if vectors := len(dst) / (4 * k.ISA.Lanes()); vectors > 0 {
				k.Interleave(dst, x, vectors, k.ISA.Lanes(), len(dst)/16*4)
			}
		}},
		{"fours", 4, func(dst, x, _ []float32) {
			const rows = 64 // features of a head
			if groups := len(dst) / (4 * rows); groups > 0 {
				k.Fours(dst, x, groups, rows, 4*groups)
			}
		}},
		{"transpose", 4, func(dst, x, _ []float32) {
			lanes := k.ISA.Lanes()
			vectors := len(dst) / lanes
			if len(rows) != lanes || int(rows[1]) != vectors {
				rows = make([]int32, lanes)
				for l := range rows {
					rows[l] = int32(l * vectors)
				}
			}
			k.Transpose(dst, x, rows, vectors)
		}},
		{"gather", 8, func(dst, x, _ []float32) {
			if len(index) != len(dst) {
				index = make([]int32, len(dst))
				for i := range index {
					index[i] = int32(len(dst) - 1 - i)
				}
			}
			k.Gather(dst, x, index, 0)
		}},
	}
}

// kernel is the name of the function on an instruction set.
func (f function) kernel(i isa.ISA) string { return "f32_" + f.name + "_" + i.String() }

// square takes x as a matrix of columns of whole vectors, about as many as rows.
func square(x []float32) vec.Columns {
	const vector = 16
	width := max(int(math.Sqrt(float64(len(x))))/vector, 1) * vector
	return vec.Columns{Rows: len(x) / width, Width: width, Stride: width}
}

// functionRun is a function and its operands. One run is as many calls as
// make the clock's own time small.
type functionRun struct {
	function
	dst, x, y []float32
	calls     int
}

func newFunctionRun(f function, n, lanes int) *functionRun {
	return &functionRun{f, make([]float32, n), normals(n+(poolTaps-1)*lanes, 3), normals(n, 4), max(1, 1<<15/n)}
}

func (f *functionRun) run(context.Context) (time.Duration, error) {
	start := time.Now()
	for range f.calls {
		f.call(f.dst, f.x, f.y)
	}
	return time.Since(start) / time.Duration(f.calls), nil
}

// Turn implements [Runner].
func (f *functionRun) Turn(ctx context.Context) (time.Duration, error) { return turn(ctx, f.run) }

// elements returns how many elements operands have that take up half a cache.
func elements(cacheBytes int) int {
	const operands, multiple = 3, 64
	return max(multiple, cacheBytes/2/(4*operands)/multiple*multiple)
}

// functionBenchmark is the name of a function's benchmark.
func functionBenchmark(kernel string, n int) string {
	return benchmarkPart("n", strconv.Itoa(n)) + "/" + benchmarkPart("kernel", kernel)
}

// Functions measures functions of vec on an instruction set, on operands that
// fill half of the L1 and of the L2 cache. The bound is that of reading them,
// also for functions that compute much for an element: how few operations one
// can be had with at the promised error is an open question.
func (o Options) Functions(ctx context.Context, i isa.ISA) ([]Result, error) {
	var results []Result
	t := o.Timing
	if t.Turns == 0 {
		t.Turns = minTurns
	}
	limits := o.Limits[i]
	for _, l := range limits.Levels[:2] {
		n := elements(l.Bytes)
		for _, f := range functions(vec.For(i)) {
			turns, err := t.Measure(ctx, []Runner{newFunctionRun(f, n, i.Lanes())})
			if err != nil {
				return nil, err
			}
			us := MedianUS(turns[0])
			bound := limits.bound(work{loads: float64(f.loads() * n), touched: f.bytes * n})
			results = append(results, Result{
				Family: Vec, Name: f.name, Shape: fmt.Sprintf("%d in %s", n, l.Name), N: n, ISA: i.String(), Threads: 1,
				Kernel: f.kernel(i), US: us, Bound: bound, BoundShare: bound.US / us,
				turns: turns[0], benchmark: "Function/" + functionBenchmark(f.kernel(i), n),
			})
		}
	}
	return results, nil
}
