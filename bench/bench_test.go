package bench

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nnz-dev/nnz/bench/builtin"
	"github.com/nnz-dev/nnz/bench/mnist"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/npy"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/runtime"
	"github.com/nnz-dev/nnz/sparse"
)

func load(t *testing.T, name string) *graph.Model {
	t.Helper()
	m, err := builtin.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMeasure(t *testing.T) {
	broken := errors.New("broken")
	cases := []struct {
		name   string
		o      Options
		fail   int // the run of the second contender that fails, from 1; 0 for none
		rounds int // that count, exactly; 0 for at least minRuns
		warmup int
	}{
		{"runs", Options{Runs: 5, Warmup: 2}, 0, 5, 2},
		{"default warmup", Options{Runs: 1}, 0, 1, 3},
		{"time", Options{MinTime: time.Nanosecond}, 0, 10, 3},
		{"more time", Options{MinTime: 20 * time.Millisecond}, 0, 0, 3},
		{"fails in the warmup", Options{Runs: 5}, 2, 0, 0},
		{"fails", Options{Runs: 5}, 4, 0, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var order []int
			turns := make([]turn, 2)
			for i := range turns {
				runs := 0
				turns[i].run = func(context.Context) (time.Duration, error) {
					order = append(order, i)
					if runs++; i == 1 && runs == c.fail {
						return 0, broken
					}
					time.Sleep(10 * time.Microsecond)
					return time.Duration(i + 1), nil
				}
			}
			var progress []float64
			c.o.Progress = func(done float64) { progress = append(progress, done) }
			err := c.o.measure(context.Background(), turns)
			if (err != nil) != (c.fail > 0) {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				if err != broken {
					t.Errorf("error %v", err)
				}
				return
			}
			rounds := len(turns[0].times)
			if rounds != c.rounds && (c.rounds > 0 || rounds < minRuns) || len(turns[1].times) != rounds {
				t.Errorf("%d and %d runs, want %d", rounds, len(turns[1].times), c.rounds)
			}
			for i, who := range order[:2*c.warmup] {
				if who != i%2 {
					t.Fatalf("run %d of the warmup is of contender %d", i, who)
				}
			}
			for i, who := range order[2*c.warmup:] {
				if who != i/2%2 {
					t.Fatalf("run %d is of contender %d: they do not take turns of two runs", i, who)
				}
			}
			if len(order) != 4*rounds+2*c.warmup {
				t.Errorf("%d runs in all, want %d with the warmup and the first runs of turns", len(order), 4*rounds+2*c.warmup)
			}
			if !slices.IsSorted(progress) || progress[len(progress)-1] != 1 {
				t.Errorf("progress %v", progress)
			}
		})
	}
}

// A standIn is an engine that takes a fixed time.
type standIn struct{ closed *bool }

func (standIn) Engine() (name, version string)             { return "stand-in", "1.0" }
func (standIn) Run(context.Context) (time.Duration, error) { return 5 * time.Millisecond, nil }
func (s standIn) Close() error                             { *s.closed = true; return nil }

func TestCompare(t *testing.T) {
	var closed bool
	var inputs []graph.Value
	o := Options{Name: "lenet", Threads: 1, Runs: 20, Peers: []func(context.Context, []graph.Value) (Peer, error){
		func(_ context.Context, in []graph.Value) (Peer, error) {
			inputs = in
			return standIn{&closed}, nil
		},
	}}
	r, err := Compare(context.Background(), load(t, "lenet5@0.9"), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Model != "lenet" || r.Threads != 1 || r.Batch != 1 || r.Dense.Runs != 20 || r.Sparse.Runs != 20 {
		t.Errorf("report %+v", r)
	}
	if want := 0.9 * 425000 / 430500; math.Abs(r.Sparsity-want) > 1e-3 {
		t.Errorf("sparsity %v, want %v", r.Sparsity, want)
	}
	if r.Speedup != r.Dense.P50/r.Sparse.P50 || !(r.Speedup > 0) {
		t.Errorf("speedup %v of %v and %v ms", r.Speedup, r.Dense.P50, r.Sparse.P50)
	}
	if r.MaxAbsDiff > 1e-4 {
		t.Errorf("outputs differ by %v", r.MaxAbsDiff)
	}
	if r.ModelBytes <= 0 || r.ModelBytes > 431080*4/2 || r.PackedBytes <= 0 || r.PeakBytes <= r.PackedBytes {
		t.Errorf("memory: model %d, packed %d, peak %d", r.ModelBytes, r.PackedBytes, r.PeakBytes)
	}
	seen := map[string]LayerReport{}
	for _, l := range r.Layers {
		if l.M > 0 {
			seen[l.Name] = l
		}
	}
	if got, want := slices.Sorted(maps.Keys(seen)), []string{"conv1", "conv2", "fc1", "fc2"}; !slices.Equal(got, want) {
		t.Errorf("layers %v, want %v", got, want)
	}
	for name, l := range seen {
		if !(l.DenseUS > 0 && l.SparseUS > 0 && l.GFlops > 0) || l.M*l.K*l.N == 0 || l.Kernel == "" || l.Format == "" {
			t.Errorf("%s: %+v", name, l)
		}
	}
	if len(r.Peers) != 1 || !closed || len(inputs) != 1 {
		t.Fatalf("peers %+v, closed %t, inputs %v", r.Peers, closed, inputs)
	}
	if p := r.Peers[0]; p.Name != "stand-in" || p.Version != "1.0" || p.P50 != 5 || p.RatioSparse != 5/r.Sparse.P50 || p.RatioDense != 5/r.Dense.P50 {
		t.Errorf("peer %+v", p)
	}
}

// Scripts read these names.
func TestReportFields(t *testing.T) {
	raw, err := json.Marshal(Report{Layers: []LayerReport{{}}, Peers: []PeerReport{{}}})
	if err != nil {
		t.Fatal(err)
	}
	const (
		latency = "p50_ms p90_ms p99_ms min_ms mean_ms runs"
		layer   = "name op m k n kernel_h kernel_w stride sparsity format kernel dense_us sparse_us gflops"
		peer    = "name version ratio_dense ratio_sparse " + latency
	)
	type object = map[string]json.RawMessage
	var top object
	check := func(what string, o object, names string) {
		if got, want := slices.Sorted(maps.Keys(o)), slices.Sorted(slices.Values(strings.Fields(names))); !slices.Equal(got, want) {
			t.Errorf("%s has fields %v, want %v", what, got, want)
		}
	}
	if err := json.Unmarshal(raw, &top); err != nil {
		t.Fatal(err)
	}
	check("the report", top, "model isa threads batch sparsity dense sparse speedup max_abs_diff model_bytes packed_bytes peak_bytes layers peers")
	for name, want := range map[string]string{"dense": latency, "sparse": latency} {
		var o object
		if err := json.Unmarshal(top[name], &o); err != nil {
			t.Fatal(err)
		}
		check(name, o, want)
	}
	for name, want := range map[string]string{"layers": layer, "peers": peer} {
		var o []object
		if err := json.Unmarshal(top[name], &o); err != nil {
			t.Fatal(err)
		}
		check(name, o[0], want)
	}
}

func TestCompareLeavesDenseModelsDense(t *testing.T) {
	r, err := Compare(context.Background(), load(t, "lenet5"), Options{Threads: 1, Runs: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range r.Layers {
		if l.Format != "" && l.Format != "dense" {
			t.Errorf("%s of a model without zeros runs as %s", l.Name, l.Format)
		}
	}
	if r.Sparsity != 0 || r.MaxAbsDiff != 0 {
		t.Errorf("sparsity %v, difference %v", r.Sparsity, r.MaxAbsDiff)
	}
}

func TestCompareFails(t *testing.T) {
	m := load(t, "lenet5")
	broken := errors.New("broken")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Compare(ctx, m, Options{Threads: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context gave the error %v", err)
	}
	_, err := Compare(context.Background(), m, Options{Threads: 1, Peers: []func(context.Context, []graph.Value) (Peer, error){
		func(context.Context, []graph.Value) (Peer, error) { return nil, broken },
	}})
	if !errors.Is(err, broken) {
		t.Errorf("a peer that does not start gave the error %v", err)
	}
	m = m.Clone()
	m.Nodes[0].Op = "Convolve"
	var unsupported *runtime.UnsupportedError
	if _, err := Compare(context.Background(), m, Options{Threads: 1}); !errors.As(err, &unsupported) {
		t.Errorf("an unknown operator gave the error %v", err)
	}
}

func TestSpMM(t *testing.T) {
	const rows, cols, columns = 64, 96, 128
	r := rand.New(rand.NewPCG(1, 2))
	dense := make([]float32, rows*cols)
	nnz := 0
	for i := range dense {
		if r.IntN(10) == 0 {
			dense[i] = 1
			nnz++
		}
	}
	w, err := sparse.FromDense(rows, cols, dense)
	if err != nil {
		t.Fatal(err)
	}
	l, err := SpMM(context.Background(), w, columns, Options{Threads: 1, Runs: 50})
	if err != nil {
		t.Fatal(err)
	}
	if l.M != rows || l.K != cols || l.N != columns || l.Format != "csr" || !(l.DenseUS > 0 && l.SparseUS > 0) {
		t.Errorf("%+v", l)
	}
	if want := 2 * float64(nnz) * columns / l.SparseUS / 1e3; math.Abs(l.GFlops/want-1) > 1e-9 {
		t.Errorf("%v GF/s, want %v", l.GFlops, want)
	}
	if _, err := SpMM(context.Background(), w, 0, Options{}); err == nil {
		t.Error("a product with no columns was accepted")
	}
}

func TestAccuracy(t *testing.T) {
	images, labels := builtin.MNIST()
	for _, batch := range []int{1, 8} {
		m, err := builtin.LoadBatch("lenet5", batch)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Accuracy(context.Background(), m, images, labels, runtime.Config{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		if r.Examples != 500 || r.Batch != batch || len(r.Predicted) != 500 || r.Latency.Runs != (500+batch-1)/batch {
			t.Errorf("report %+v", r)
		}
		if r.Accuracy < 0.98 || r.Accuracy != float64(r.Correct)/500 {
			t.Errorf("batch %d: accuracy %v, %d correct", batch, r.Accuracy, r.Correct)
		}
	}
}

// The classes of all test images are those that the reference runtime gave.
func TestAccuracyOfAllImages(t *testing.T) {
	_, set, err := mnist.Read(testdata.Path(t, "datasets", "mnist"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := builtin.LoadBatch("lenet5", 16)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Accuracy(context.Background(), m, set.Images(), set.Labels, runtime.Config{})
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(testdata.Path(t, "trained", "lenet5_dense.opset17", "argmax_10k.npy"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := npy.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	size := want.Type.Size()
	for i, class := range r.Predicted {
		if int(want.Data[i*size]) != class {
			t.Errorf("image %d is class %d, want %d", i, class, want.Data[i*size])
		}
	}
	if r.Correct != 9934 || r.Examples != 10000 {
		t.Errorf("%d of %d are correct, want 9934 of 10000", r.Correct, r.Examples)
	}
}

func TestAccuracyRefuses(t *testing.T) {
	images, labels := builtin.MNIST()
	m := load(t, "lenet5")
	two := m.Clone()
	two.Inputs = append(two.Inputs, &graph.Value{Name: "other", DType: graph.Float32, Shape: graph.Dims(1)})
	cases := []struct {
		name     string
		m        *graph.Model
		examples [][]float32
		labels   []uint8
		want     string
	}{
		{"fewer labels", m, images, labels[:10], "labels"},
		{"a small image", m, [][]float32{{1, 2}}, labels[:1], "2 values"},
		{"two inputs", two, images, labels, "one input"},
	}
	for _, c := range cases {
		if _, err := Accuracy(context.Background(), c.m, c.examples, c.labels, runtime.Config{Threads: 1}); !says(err, c.want) {
			t.Errorf("%s: error %v, want one that says %q", c.name, err, c.want)
		}
	}
}

func says(err error, want string) bool { return err != nil && strings.Contains(err.Error(), want) }
