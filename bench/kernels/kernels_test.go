package kernels

import (
	"context"
	"io"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nnz-dev/nnz/bench/builtin"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/kernels/vec"
	"github.com/nnz-dev/nnz/loader"
)

// TestSets compares the shapes with those of the builtin networks.
func TestSets(t *testing.T) {
	for _, name := range []string{"resnet50", "mobilenet_v1", "mobilenet_v2"} {
		t.Run(name, func(t *testing.T) {
			have, err := FindSet(name)
			if err != nil {
				t.Fatal(err)
			}
			m, err := builtin.Load(name)
			if err != nil {
				t.Fatal(err)
			}
			var want distinct
			for _, n := range m.Nodes {
				switch n.Op {
				case "Conv":
					w := m.Weights[n.Inputs[1]].Shape
					want.add(Layer{
						In: w[1] * n.Int("group", 1), Out: w[0], Size: extent(m, n.Inputs[0], 2), Kernel: w[2],
						Stride: n.Ints("strides")[0], Groups: n.Int("group", 1),
					})
				case "Gemm":
					w := m.Weights[n.Inputs[1]].Shape
					want.add(Layer{In: w[1], Out: w[0], Columns: 1})
				}
			}
			if len(have) != len(want) {
				t.Fatalf("%d layers, the network has %d distinct ones", len(have), len(want))
			}
			for i := range have {
				a, b := have[i], want[i]
				a.Name = ""
				a.Groups = a.groups()
				b.Groups = b.groups()
				if a != b {
					t.Errorf("layer %d: %v, the network has %v", i, have[i], b)
				}
			}
		})
	}
}

func extent(m *graph.Model, value string, axis int) int {
	for _, in := range m.Inputs {
		if in.Name == value {
			return in.Shape[axis].Size
		}
	}
	return m.Values[value].Shape[axis].Size
}

// TestSetTotals compares counts and weights of all layers with figures that
// are known of the networks.
func TestSetTotals(t *testing.T) {
	want := map[string][2]int{ // layers, weights of the distinct ones
		"vgg16":    {12, 138344128 - 512*512*9*3 - 256*256*9}, // less repeated 3x3 layers
		"bert_128": {3, 768*768 + 2*768*3072},
		"bert_384": {3, 768*768 + 2*768*3072},
		"vit":      {5, 768*768*2 + 2*768*3072 + 768*1000},
		"gpt2_n1":  {5, 768*768*4 + 2*768*3072 + 768*50257},
	}
	for _, s := range Sets() {
		w, ok := want[s.Name]
		if !ok {
			continue
		}
		total := 0
		for _, l := range s.Layers {
			m, k, _ := l.Dims()
			total += m * k
		}
		if len(s.Layers) != w[0] || total != w[1] {
			t.Errorf("%s: %d layers of %d weights, want %d of %d", s.Name, len(s.Layers), total, w[0], w[1])
		}
	}
	if _, err := FindSet("alexnet"); err == nil {
		t.Error("an unknown set gave no error")
	}
}

func TestParseShape(t *testing.T) {
	for _, c := range []struct {
		in      string
		m, k, n int // 0 for an error
	}{
		{"64,128,196", 64, 128, 196},
		{"1, 2, 3", 1, 2, 3},
		{"64,128", 0, 0, 0},
		{"64,128,1,1", 0, 0, 0},
		{"64,0,1", 0, 0, 0},
		{"-1,2,3", 0, 0, 0},
		{"a,b,c", 0, 0, 0},
		{"", 0, 0, 0},
		{"16777216,16777216,1", 0, 0, 0},
	} {
		l, err := ParseShape(c.in)
		if (err != nil) != (c.m == 0) {
			t.Errorf("%q: error %v", c.in, err)
		}
		if m, k, n := l.Dims(); err == nil && (m != c.m || k != c.k || n != c.n) {
			t.Errorf("%q: %d, %d, %d", c.in, m, k, n)
		}
	}
}

func TestLayer(t *testing.T) {
	for _, c := range []struct {
		l        Layer
		sparsity float64
		m, k, n  int
		family   string
		text     string
	}{
		{Layer{In: 64, Out: 128, Size: 56, Kernel: 3, Stride: 2}, 0.9, 128, 576, 784, SpMM, "3x3/2 64-128@56"},
		{Layer{In: 64, Out: 128, Size: 56}, 0, 128, 64, 3136, GEMM, "1x1 64-128@56"},
		{Layer{In: 3, Out: 64, Size: 224, Kernel: 7, Stride: 2}, 0.9, 64, 147, 112 * 112, SpMM, "7x7/2 3-64@224"},
		{Layer{In: 32, Out: 32, Size: 14, Kernel: 3, Groups: 32}, 0, 32, 9, 196, Depthwise, "3x3 32-32@14 g32"},
		{Layer{In: 768, Out: 3072, Columns: 128}, 0.5, 3072, 768, 128, SpMM, "3072x768x128"},
		{Layer{In: 768, Out: 3072, Columns: 1}, 0, 3072, 768, 1, SpMV, "3072x768x1"},
	} {
		if m, k, n := c.l.Dims(); m != c.m || k != c.k || n != c.n {
			t.Errorf("%v: %d, %d, %d", c.l, m, k, n)
		}
		if f := c.l.Family(c.sparsity); f != c.family {
			t.Errorf("%v: family %s", c.l, f)
		}
		if s := c.l.String(); s != c.text {
			t.Errorf("%v, want %s", s, c.text)
		}
	}
}

func TestWeights(t *testing.T) {
	for _, c := range []struct {
		rows, cols, r int
		sparsity      float64
	}{{64, 100, 1, 0.9}, {64, 100, 4, 0.8}, {63, 100, 8, 0.5}, {10, 10, 1, 0}, {10, 10, 2, 1}} {
		w := Weights(c.rows, c.cols, c.r, c.sparsity, 1)
		blocks := (c.rows + c.r - 1) / c.r * c.cols
		full := 0
		for row := 0; row < c.rows; row += c.r {
			for k := range c.cols {
				n := 0
				for i := row; i < min(row+c.r, c.rows); i++ {
					if w[i*c.cols+k] != 0 {
						n++
					}
				}
				if n != 0 && n != min(c.r, c.rows-row) {
					t.Fatalf("%+v: a block has %d nonzeros", c, n)
				}
				if n > 0 {
					full++
				}
			}
		}
		if want := blocks - int(c.sparsity*float64(blocks)+0.5); full != want {
			t.Errorf("%+v: %d blocks are full, want %d", c, full, want)
		}
		nonzero := 0
		for _, v := range w {
			if v != 0 {
				nonzero++
			}
		}
		if s := storedIn(w, c.rows, c.cols, c.r); s != nonzero {
			t.Errorf("%+v: %d elements stored, %d are not zero", c, s, nonzero)
		}
	}
}

func TestPatternCase(t *testing.T) {
	for _, c := range []struct{ rows, cols, n, m int }{{8, 16, 2, 4}, {5, 7, 1, 4}, {3, 6, 3, 4}} {
		x := NewPatternCase(Layer{Out: c.rows, In: c.cols, Columns: 9}, c.n, c.m)
		if x.Sparsity != 1-float64(c.n)/float64(c.m) {
			t.Errorf("%+v: sparsity %g", c, x.Sparsity)
		}
		for row := range c.rows {
			for g := 0; g < c.cols; g += c.m {
				end := min(g+c.m, c.cols)
				n := 0
				for _, v := range x.Weight[row*c.cols+g : row*c.cols+end] {
					if v != 0 {
						n++
					}
				}
				if n != min(c.n, end-g) {
					t.Errorf("%+v: row %d has %d nonzeros in the columns %d to %d", c, row, n, g, end-1)
				}
			}
		}
	}
}

func TestScatter(t *testing.T) {
	c := NewCase(Layer{Out: 400, In: 100, Columns: 9}, 4, 0.9)
	before := slices.Clone(c.Weight)
	c.Scatter(0)
	if !slices.Equal(c.Weight, before) || c.Sparsity != 0.9 {
		t.Error("nothing to scatter changed the weight")
	}
	c.Scatter(0.1)
	zeros := 0
	for i, v := range c.Weight {
		if before[i] != 0 && v != before[i] {
			t.Fatalf("element %d was %g and is %g", i, before[i], v)
		}
		if v == 0 {
			zeros++
		}
	}
	if s := float64(zeros) / 40000; c.Sparsity != s || math.Abs(s-0.81) > 0.01 {
		t.Errorf("sparsity %g, counted %g, want about 0.81", c.Sparsity, s)
	}
}

func TestBlockRows(t *testing.T) {
	for format, want := range map[string]int{"dense": 1, "csr": 1, "bsr4x1": 4, "bsr16x1": 16, "bsrx": 1, "mixed2x1": 2, "nm2:4": 1} {
		if r := blockRows(format); r != want {
			t.Errorf("%s: %d", format, r)
		}
	}
}

func TestBound(t *testing.T) {
	l := Limits{Peak: 100, Levels: []Level{{"L1", 1 << 15, 200}, {"L2", 1 << 20, 50}, {"DRAM", 0, 10}}}
	for _, c := range []struct {
		w    work
		want Bound
	}{
		{work{flops: 1e6}, Bound{"FMA", 10}},
		{work{flops: 1e6, threads: 2}, Bound{"FMA", 5}},
		{work{flops: 1e6, loads: 4e6}, Bound{"L1 loads", 20}},
		{work{flops: 1e3, loads: 4e3, touched: 1<<15 + 1e6}, Bound{"L2", 20}},
		{work{flops: 1e3, touched: 1<<15 + 1<<20 + 2e6}, Bound{"DRAM", 200}},
		// What the caches of two threads hold need not be read.
		{work{flops: 1e3, touched: 1<<16 + 1<<21 + 2e6, threads: 2}, Bound{"DRAM", 100}},
	} {
		if b := l.bound(c.w); b != c.want {
			t.Errorf("%+v: %+v, want %+v", c.w, b, c.want)
		}
	}
}

func TestMeasureLimits(t *testing.T) {
	// rate plays caches of 32 KiB, 1 MiB and 32 MiB.
	rate := func(bytes int) float64 {
		switch {
		case bytes <= 32<<10:
			return 400
		case bytes <= 1<<20:
			return 200
		case bytes <= 32<<20:
			return 100
		}
		return 30
	}
	for _, c := range []struct {
		name string
		l3   int
		rate func(int) float64
		want []Level
	}{
		{"known", 24 << 20, rate, []Level{{"L1", 32 << 10, 400}, {"L2", 1 << 20, 200}, {"L3", 24 << 20, 100}, {"DRAM", 0, 30}}},
		{"hidden", 0, rate, []Level{{"L1", 32 << 10, 400}, {"L2", 1 << 20, 200}, {"L3", 32 << 20, 100}, {"DRAM", 0, 30}}},
		{"none", 0, func(bytes int) float64 { return min(rate(bytes), 35) }, []Level{{"L1", 32 << 10, 35}, {"L2", 1 << 20, 35}, {"DRAM", 0, 30}}},
	} {
		got := measure(isa.CPU{L1d: 32 << 10, L2: 1 << 20, L3: c.l3}, 100, "avx2", c.rate)
		if got.ISA != "avx2" || got.Peak != 100 || !slices.Equal(got.Levels, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got.Levels, c.want)
		}
	}
}

// small are cases of every family that take next to no time.
func small(t *testing.T) []Case {
	masks, err := loader.ReadMatrix(testdata.Path(t, "dlmc", "rn50", "magnitude_pruning", "0.8", "bottleneck_1_block_group1_1_1.smtx"))
	if err != nil {
		t.Fatal(err)
	}
	mask, err := FromMatrix("mask", masks, 49)
	if err != nil {
		t.Fatal(err)
	}
	return []Case{
		NewCase(Layer{In: 32, Out: 16, Size: 14, Kernel: 3}, 1, 0.9),
		NewCase(Layer{In: 32, Out: 16, Size: 14, Kernel: 3, Stride: 2}, 4, 0.8),
		NewCase(Layer{In: 3, Out: 16, Size: 32, Kernel: 7, Stride: 2}, 1, 0.5),
		NewCase(Layer{In: 32, Out: 16, Size: 7}, 1, 0),
		NewCase(Layer{In: 32, Out: 32, Size: 14, Kernel: 3, Groups: 32}, 1, 0),
		NewCase(Layer{In: 96, Out: 80, Columns: 20}, 1, 0.7),
		NewCase(Layer{In: 96, Out: 80, Columns: 1}, 1, 0.9),
		NewPatternCase(Layer{In: 96, Out: 80, Columns: 20}, 2, 4),
		mask,
	}
}

func TestRun(t *testing.T) {
	i := isa.Detect()
	o := Options{ISAs: []isa.ISA{i}, Threads: []int{1, 2}, Limits: map[isa.ISA]Limits{i: Measure(i)}, Timing: Timing{Turns: 3}}
	for _, c := range small(t) {
		t.Run(c.Layer.String(), func(t *testing.T) {
			results, err := o.Run(context.Background(), c)
			if err != nil {
				t.Fatal(err)
			}
			if len(results) != 2 {
				t.Fatalf("%d results", len(results))
			}
			for n, r := range results {
				if r.Threads != n+1 || r.US <= 0 || r.DenseUS <= 0 || r.Kernel == "" || r.Family != c.Family(c.Sparsity) {
					t.Errorf("%+v", r)
				}
				if c.Sparsity == 0 && (r.Speedup != 1 || r.GFlops != r.Effective) {
					t.Errorf("dense: %+v", r)
				}
				if r.Bound.US <= 0 || r.BoundShare <= 0 {
					t.Errorf("no bound: %+v", r)
				}
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := o.Run(ctx, small(t)[0]); err == nil {
		t.Error("a canceled measurement gave no error")
	}
}

func TestChoose(t *testing.T) {
	o := Options{Timing: Timing{Turns: 3}}
	for _, c := range small(t) {
		r, err := o.Choose(context.Background(), c, isa.Detect())
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Measured) == 0 || r.Measured[r.Chosen] <= 0 || r.Loss < 0 || r.Wrong() != (r.Loss > Slack) {
			t.Errorf("%+v", r)
		}
		if c.Sparsity > 0 && c.groups() == 1 && len(r.Measured) < 2 {
			t.Errorf("%v: only %v was measured", c.Layer, r.Measured)
		}
	}
}

// TestTurn plays runners of some speed: the first half of their runs never
// counts.
func TestTurn(t *testing.T) {
	for _, takes := range []time.Duration{0, TurnTime / 10, TurnTime * 3 / 4, TurnTime} {
		var says []time.Duration
		got, err := turn(context.Background(), func(context.Context) (time.Duration, error) {
			for start := time.Now(); time.Since(start) < takes; {
			}
			says = append(says, time.Duration(1000000-len(says)))
			return says[len(says)-1], nil
		})
		if want := Median(says[len(says)/2:]); err != nil || got != want {
			t.Errorf("%d runs of %v: %v, want %v, error %v", len(says), takes, got, want, err)
		}
		most := 1 << 30
		if takes > 0 {
			most = max(2, int((TurnTime+takes-1)/takes))
		}
		if len(says) < 2 || len(says) > most {
			t.Errorf("%d runs of %v", len(says), takes)
		}
	}
	if _, err := turn(context.Background(), func(context.Context) (time.Duration, error) { return 0, io.EOF }); err != io.EOF {
		t.Errorf("error %v", err)
	}
}

// TestFunctions holds the list to the table: what it has, is measured.
func TestFunctions(t *testing.T) {
	leftOut := map[string]bool{"Permute": true} // moves vectors by a plan's table
	for _, k := range vec.All() {
		have := make(map[string]bool)
		for _, f := range functions(k) {
			have[strings.ReplaceAll(f.name, "_", "")] = true
			newFunctionRun(f, 64, k.ISA.Lanes()).call(make([]float32, 64), make([]float32, 64+8*k.ISA.Lanes()), make([]float32, 64))
		}
		for field := range reflect.TypeFor[vec.Kernels]().Fields() {
			if field.IsExported() && field.Type.Kind() == reflect.Func && !leftOut[field.Name] && !have[strings.ToLower(field.Name)] {
				t.Errorf("%s is not measured", field.Name)
			}
		}
	}
	i := isa.Detect()
	o := Options{Limits: map[isa.ISA]Limits{i: {Levels: []Level{{"L1", 8 << 10, 100}, {"L2", 16 << 10, 50}, {"DRAM", 0, 10}}}}, Timing: Timing{Turns: 1}}
	results, err := o.Functions(context.Background(), i)
	if err != nil || len(results) != 2*len(functions(vec.For(i))) {
		t.Fatalf("%d results, error %v", len(results), err)
	}
	for _, r := range results {
		if r.US <= 0 || r.Bound.US <= 0 || r.BoundShare <= 0 || r.Family != Vec {
			t.Errorf("%+v", r)
		}
	}
}

func TestBenchfmt(t *testing.T) {
	results := []Result{
		{Family: SpMM, Threads: 1, US: 2, GFlops: 50, turns: []time.Duration{1000, 2000, 4000},
			benchmark: "Layer/" + NewCase(Layer{In: 8, Out: 8, Size: 14, Kernel: 3, Stride: 2}, 4, 0.75).benchmark() + "/kernel=k"},
		{Family: GEMM, Threads: 2, US: 1, turns: []time.Duration{1000}, benchmark: "Layer/" + Case{Layer: Layer{Name: "a/b c", In: 8, Out: 4, Columns: 2}, Sparsity: 1. / 3}.benchmark()},
		{Family: Vec, Threads: 1, US: 1, turns: []time.Duration{1}, benchmark: "Function/" + functionBenchmark("f32_exp_avx2", 64)},
	}
	var b strings.Builder
	if err := WriteBenchfmt(&b, results); err != nil {
		t.Fatal(err)
	}
	want := `BenchmarkLayer/family=spmm/shape=3x3:2_8-8@14/zeros=0.75/block=4x1/kernel=k	1	1000 ns/op	100.00 GF/s
BenchmarkLayer/family=spmm/shape=3x3:2_8-8@14/zeros=0.75/block=4x1/kernel=k	1	2000 ns/op	50.00 GF/s
BenchmarkLayer/family=spmm/shape=3x3:2_8-8@14/zeros=0.75/block=4x1/kernel=k	1	4000 ns/op	25.00 GF/s
BenchmarkLayer/family=spmv/shape=4x8x2/zeros=0.333/mask=a:b_c-2	1	1000 ns/op
BenchmarkFunction/n=64/kernel=f32_exp_avx2	1	1 ns/op
`
	if _, lines, ok := strings.Cut(b.String(), "\ncpu: "+isa.Describe().Name+"\n"); !ok || lines != want {
		t.Errorf("wrote\n%s\nwant\n%s", b.String(), want)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		times []time.Duration
		want  time.Duration
	}{
		{nil, 0}, {[]time.Duration{3}, 3}, {[]time.Duration{5, 1}, 1}, {[]time.Duration{5, 1, 3}, 3}, {[]time.Duration{9, 5, 1, 3}, 3},
	} {
		if got := Median(c.times); got != c.want {
			t.Errorf("%v: %v, want %v", c.times, got, c.want)
		}
	}
}

// turns is a runner whose turns take what it says.
type turns struct {
	says []time.Duration
	log  *[]*turns
}

func (r *turns) Turn(context.Context) (time.Duration, error) {
	*r.log = append(*r.log, r)
	d := r.says[0]
	r.says = append(r.says[1:], d)
	return d, nil
}

func TestMeasure(t *testing.T) {
	var log []*turns
	a, b := &turns{[]time.Duration{3, 1, 2}, &log}, &turns{[]time.Duration{7}, &log}
	got, err := Timing{Turns: 3}.Measure(context.Background(), []Runner{a, b})
	if err != nil || !slices.Equal(got[0], []time.Duration{3, 1, 2}) || !slices.Equal(got[1], []time.Duration{7, 7, 7}) {
		t.Errorf("%v, error %v", got, err)
	}
	if !slices.Equal(log, []*turns{a, b, a, b, a, b}) {
		t.Error("the runners did not take turns")
	}
	got, err = Timing{MinTime: 1}.Measure(context.Background(), []Runner{a})
	if err != nil || len(got[0]) != minTurns {
		t.Errorf("%v, error %v", got, err)
	}
}

func TestDiffer(t *testing.T) {
	if d, err := Differ([]float32{1, -4}, []float32{1, -3}); d != 0.25 || err != nil {
		t.Errorf("%v, %v", d, err)
	}
	if _, err := Differ([]float32{1}, nil); err == nil {
		t.Error("other lengths gave no error")
	}
}

// BenchmarkLayer runs every distinct layer of the sets on GOMAXPROCS threads,
// under the names that [WriteBenchfmt] gives them.
func BenchmarkLayer(b *testing.B) {
	var layers distinct
	for _, s := range Sets() {
		for _, l := range s.Layers {
			layers.add(l)
		}
	}
	for _, l := range layers {
		for _, sparsity := range []float64{0, 0.7, 0.8, 0.9, 0.95} {
			b.Run(Case{Layer: l, Sparsity: sparsity, Block: 1}.benchmark(), func(b *testing.B) { benchmarkCase(b, NewCase(l, 1, sparsity)) })
		}
	}
}

func benchmarkCase(b *testing.B, c Case) {
	x, err := Compile(context.Background(), c, Variant{ISA: isa.Detect(), Threads: runtime.GOMAXPROCS(0)})
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	b.Run(benchmarkPart("kernel", x.Step.Kernel), func(b *testing.B) {
		total := time.Duration(0)
		for b.Loop() {
			d, err := x.run(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			total += d
		}
		_, _, n := c.Dims()
		ns := float64(total.Nanoseconds()) / float64(b.N)
		b.ReportMetric(ns, "ns/op") // of the layer alone
		b.ReportMetric(2*float64(x.Step.NNZ*n)/ns, "GF/s")
	})
}

// BenchmarkFunction runs every function of vec as [Options.Functions] does.
func BenchmarkFunction(b *testing.B) {
	cpu := isa.Describe()
	for _, k := range vec.All() {
		for _, cache := range []int{cpu.L1d, cpu.L2} {
			n := elements(cache)
			for _, f := range functions(k) {
				b.Run(functionBenchmark(f.kernel(k.ISA), n), func(b *testing.B) {
					r := newFunctionRun(f, n, k.ISA.Lanes())
					for b.Loop() {
						r.call(r.dst, r.x, r.y)
					}
				})
			}
		}
	}
}
