package runtime

import (
	"context"
	"fmt"
	stdruntime "runtime"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
)

// greedyBytes is the limit of memory for greedy models. Each of their values
// stays below it; what they come to does not.
const greedyBytes = 4 << 20

// greedy are models of a few nodes whose runs ask for a lot of memory, as data
// tells or as the file does, with weights of greedyOuter.
var greedy = []struct {
	name  string
	model *graph.Model
	given given
	want  string // of the error, nothing where there is none
}{
	{"a range", greedyOuter("y", op("Range", "none n one0", "y")), given{n: 1 << 22}, "more than the limit"},
	{"a fill", greedyOuter("y", op("Unsqueeze", "n zero", "s"), op("ConstantOfShape", "s", "y")), given{n: 1 << 22}, "more than the limit"},
	{"what follows a fill", greedyOuter("y", op("Unsqueeze", "n zero", "s"), op("ConstantOfShape", "s", "a"), op("Concat", "a a", "y", "axis", 0)), given{n: 1 << 19}, "limit"},
	{"places in many dimensions", greedyOuter("y", op("Add", "large fn", "e"), op("Reshape", "e deep", "d"), op("NonZero", "d", "y")), given{n: 1}, "more than the limit"},
	{"uniques", greedyOuter("y i j k", op("Add", "large fn", "e"), op("Unique", "e", "y i j k")), given{n: 1}, "more than the limit"},
	{"boxes", greedyOuter("y", op("Mul", "scores fn", "s"), op("NonMaxSuppression", "boxes s most", "y")), given{n: 1}, "more than the limit"},
	{"what is kept", greedyOuter("y", op("Add", "large fn", "e"), op("Cast", "e", "b", "to", 9), op("Compress", "large b", "y")), given{n: 1}, ""},
	{"branches", greedyOuter(all("y"), many(func(i int) *graph.Node {
		return op("If", "c", fmt.Sprint("y", i),
			"then_branch", inner("", "t", op("Expand", "fn "+fmt.Sprint("size", i), "a"), op("ReduceSum", "a", "b"), op("Relu", "b", "t")),
			"else_branch", inner("", "e", op("Identity", "fn", "e")))
	})...), given{c: 1}, "limit"},
	{"loops one after the other", greedyOuter(all("y"), many(func(i int) *graph.Node {
		return op("Loop", "n c half", fmt.Sprint("y", i), "body", inner("i go p", "go q",
			op("Expand", "p "+fmt.Sprint("size", i), "a"), op("ReduceSum", "a", "b", "keepdims", 0), op("Relu", "b", "q")))
	})...), given{c: 1, n: 2}, ""},
	{"constants of branches", greedyOuter(all("y"), many(func(i int) *graph.Node {
		return op("If", "c", fmt.Sprint("y", i),
			"then_branch", inner("", "t", op("Unsqueeze", "n zero", "s"), op("Slice", "bytes zero s", "t")),
			"else_branch", inner("", "e", op("Identity", "n", "e")))
	})...), given{c: 1, n: 3}, "limit"},
	{"a loop that grows", greedyOuter("y", op("Loop", "_ _ x", "y", "body", inner("i c0 p", "true q", op("Concat", "p p", "q", "axis", 0)))), given{}, "limit"},
	{"a loop that stacks", greedyOuter("y", op("Loop", "_ _", "y", "body", inner("i c0", "true q", op("Expand", "fn size0", "q")))), given{}, "are left of the limit"},
}

// many makes as many nodes as exceed a limit only together.
func many(node func(i int) *graph.Node) (list []*graph.Node) {
	for i := range greedyNodes {
		list = append(list, node(i))
	}
	return list
}

// all are the names of the outputs of many nodes.
func all(name string) string {
	var b strings.Builder
	for i := range greedyNodes {
		fmt.Fprint(&b, name, i, " ")
	}
	return b.String()
}

const greedyNodes = 24

// greedyOuter is outer with larger weights, and fn, which is n as a real number.
func greedyOuter(out string, nodes ...*graph.Node) *graph.Model {
	m := outer(out, append([]*graph.Node{op("Cast", "n", "fn", "to", 1)}, nodes...)...)
	const n = 1 << 17
	floats := make([]float32, n)
	for i := range floats {
		floats[i] = float32(i + 1)
	}
	boxes := make([]float32, 4*n/256)
	for i := range boxes {
		boxes[i] = float32(i/4 + i%4/2) // side by side
	}
	deep := make([]int64, 64)
	for i := range deep {
		deep[i] = 1
	}
	deep[0] = n
	m.Weights["one0"] = graph.FromInts(graph.Int64, []int{}, []int64{1})
	m.Weights["most"] = graph.FromInts(graph.Int64, []int{}, []int64{n})
	m.Weights["large"] = graph.FromFloats([]int{n}, floats)
	m.Weights["scores"] = graph.FromFloats([]int{1, 1 << 9, n / 256}, slices.Repeat(floats[:n/256], 1<<9))
	m.Weights["boxes"] = graph.FromFloats([]int{1, n / 256, 4}, boxes)
	m.Weights["deep"] = graph.FromInts(graph.Int64, []int{64}, deep)
	m.Weights["bytes"] = graph.FromInts(graph.Uint8, []int{n}, make([]int64, n))
	for i := range greedyNodes { // of another size each, or equal plans might be one
		m.Weights[fmt.Sprint("size", i)] = graph.FromInts(graph.Int64, []int{1}, []int64{int64(n + i)})
	}
	return m
}

// TestMaxBytesOfRun runs greedy models: what a session and its first run take is
// within small multiples of the limit.
func TestMaxBytesOfRun(t *testing.T) {
	for _, g := range greedy {
		t.Run(g.name, func(t *testing.T) {
			p, err := Compile(context.Background(), g.model, Config{Threads: 1, MaxBytes: greedyBytes})
			if err != nil {
				t.Fatal(err)
			}
			var before, after, live stdruntime.MemStats
			stdruntime.GC()
			stdruntime.ReadMemStats(&before)
			s := p.NewSession()
			err = runGiven(s, g.given)
			stdruntime.ReadMemStats(&after)
			stdruntime.GC()
			stdruntime.ReadMemStats(&live)
			// Lists that grow leave garbage behind, and every part that is compiled.
			if n := after.TotalAlloc - before.TotalAlloc; n > 5*greedyBytes {
				t.Errorf("%d bytes were allocated, the limit is %d", n, greedyBytes)
			}
			// What the run holds, and the plans of its parts, for the next one.
			if n := int64(live.HeapAlloc) - int64(before.HeapAlloc); n > 2*greedyBytes {
				t.Errorf("%d bytes are held, the limit is %d", n, greedyBytes)
			}
			if g.want == "" && err != nil || g.want != "" && (err == nil || !strings.Contains(err.Error(), g.want)) {
				t.Errorf("%v, want %q", err, g.want)
			}
			s.Close()
			stdruntime.KeepAlive(p)
		})
	}
}
