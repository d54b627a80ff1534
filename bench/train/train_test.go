package train

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/bench/mnist"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/runtime"
)

// points are examples of as many classes as there are centres.
type points struct {
	x       [][]float32
	classes []int
}

func (p points) Len() int { return len(p.x) }

func (p points) Example(x []float32, i int) int {
	copy(x, p.x[i])
	return p.classes[i]
}

// cloud draws n examples around centres.
func cloud(seed uint64, n, inputs, classes int) points {
	r := rand.New(rand.NewPCG(seed, 1))
	centres := make([]float64, inputs*classes)
	for i := range centres {
		centres[i] = r.NormFloat64()
	}
	var p points
	for i := range n {
		class := i % classes
		x := make([]float32, inputs)
		for j := range x {
			x[j] = float32(centres[class*inputs+j] + r.NormFloat64()/2)
		}
		p.x, p.classes = append(p.x, x), append(p.classes, class)
	}
	return p
}

// TestGradients compares the gradients of a step with finite differences of the
// loss, which the test computes in float64 by loops of its own.
func TestGradients(t *testing.T) {
	for _, i := range isa.Supported() {
		for _, p := range []float32{0, 0.4} {
			for _, batch := range []int{1, 7, 17} {
				n := Random(3, 6, 9, 5, 4)
				for _, l := range n.Layers {
					for j := range l.Bias {
						l.Bias[j] = 0.1 * float32(j%3-1)
					}
				}
				d := cloud(5, batch, 6, 4)
				tr, err := newTrainer(n, Options{Batch: batch, Dropout: p, Seed: 8, Threads: 1, ISA: i})
				if err != nil {
					t.Fatal(err)
				}
				masks := maskOf(tr)
				examples := make([]int, batch)
				for i := range examples {
					examples[i] = i
				}
				tr.load(d, examples)
				loss := tr.gradients()
				if want := lossOf(n, d, masks); math.Abs(loss-want) > 1e-5*want {
					t.Errorf("%v, dropout %v, batch %d: loss %v, want %v", i, p, batch, loss, want)
				}
				for k, l := range tr.layers {
					check := func(kind string, j int, parameter *float32, got float32) {
						const step = 1.0 / 1024
						was := *parameter
						*parameter = was + step
						above := lossOf(n, d, masks)
						*parameter = was - step
						below := lossOf(n, d, masks)
						*parameter = was
						want := (above - below) / (2 * step)
						if math.Abs(float64(got)-want) > 1e-4*(math.Abs(want)+0.1) {
							t.Errorf("%v, dropout %v, batch %d: gradient of %s %d of layer %d is %v, want %v", i, p, batch, kind, j, k, got, want)
						}
					}
					for j := range l.Weight {
						check("weight", j, &l.Weight[j], l.dWeight.row(j / l.In)[j%l.In])
					}
					for j := range l.Bias {
						check("bias", j, &l.Bias[j], l.dBias[j])
					}
				}
				tr.pool.Close()
			}
		}
	}
}

// maskOf returns what the dropouts of a trainer will multiply their layers by,
// of each a row a neuron; nil without dropout.
func maskOf(tr *trainer) []matrix {
	var masks []matrix
	for i, l := range tr.layers {
		if l.dropout == nil {
			continue
		}
		m := newMatrix(tr.o.ISA, l.Out, tr.o.Batch)
		for j := range m.v {
			m.v[j] = 1
		}
		newDropout(l.dropout.p, l.Out, stream(tr.o.Seed, dropoutStream+i)).apply(m)
		masks = append(masks, m)
	}
	return masks
}

// lossOf returns the mean cross-entropy of a network over all examples, with
// masks on the hidden layers unless they are nil.
func lossOf(n *Network, d points, masks []matrix) float64 {
	loss := 0.0
	for e := range d.x {
		var x []float64
		for _, v := range d.x[e] {
			x = append(x, float64(v))
		}
		for k, l := range n.Layers {
			y := make([]float64, l.Out)
			for o := range y {
				y[o] = float64(l.Bias[o])
				for i, v := range x {
					y[o] += float64(l.Weight[o*l.In+i]) * v
				}
				if k < len(n.Layers)-1 {
					y[o] = math.Max(y[o], 0)
					if masks != nil {
						y[o] *= float64(masks[k].row(o)[e])
					}
				}
			}
			x = y
		}
		total := 0.0
		for _, v := range x {
			total += math.Exp(v)
		}
		loss += math.Log(total) - x[d.classes[e]]
	}
	return loss / float64(len(d.x))
}

// TestMomentum follows one parameter over two steps of a network of one layer.
func TestMomentum(t *testing.T) {
	n := Random(1, 3, 2)
	d := cloud(2, 4, 3, 2)
	tr, err := newTrainer(n, Options{Batch: 4, Momentum: 0.75, Threads: 1, ISA: isa.Generic})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.pool.Close()
	tr.load(d, []int{0, 1, 2, 3})
	w := n.Layers[0].Weight[4]
	velocity := float32(0)
	for step := range 2 {
		tr.step(0.5)
		velocity = 0.75*velocity + tr.layers[0].dWeight.row(1)[1]
		w -= 0.5 * velocity
		if got := n.Layers[0].Weight[4]; math.Abs(float64(got-w)) > 1e-6 {
			t.Errorf("after step %d the weight is %v, want %v", step, got, w)
		}
	}
}

// TestDropout looks at masks: how many are left out, that the expectation
// stays, and that no two are alike.
func TestDropout(t *testing.T) {
	const neurons, examples, rounds = 50, 40, 20
	for _, p := range []float32{0.25, 0.5, 0.8} {
		d := newDropout(p, neurons, stream(1, dropoutStream))
		sum, zeros, last := 0.0, 0, []float32(nil)
		for range rounds {
			m := newMatrix(isa.Generic, neurons, examples)
			for i := range m.v {
				m.v[i] = 3
			}
			d.apply(m)
			if slices.Equal(m.v, last) {
				t.Errorf("dropout %v: a mask is that of the step before", p)
			}
			last = m.v
			for i := range neurons {
				for _, v := range m.row(i) {
					sum += float64(v)
					switch want := 3 / (1 - p); {
					case v == 0:
						zeros++
					case math.Abs(float64(v-want)) > 1e-5:
						t.Fatalf("dropout %v: a neuron that stays becomes %v, want %v", p, v, want)
					}
				}
			}
		}
		n := float64(neurons * examples * rounds)
		bound := 5 * math.Sqrt(float64(p*(1-p))/n) // five standard deviations
		if share := float64(zeros) / n; math.Abs(share-float64(p)) > bound {
			t.Errorf("dropout %v: %.4f are left out", p, share)
		}
		if mean := sum / n; math.Abs(mean-3) > 3*bound/float64(1-p) {
			t.Errorf("dropout %v: the mean of 3 becomes %.4f", p, mean)
		}
		counted := 0
		for _, left := range d.left {
			counted += left
		}
		if counted != zeros || d.applied != examples*rounds {
			t.Errorf("dropout %v: counts %d left out in %d, want %d in %d", p, counted, d.applied, zeros, examples*rounds)
		}
	}
}

// trained trains a small network.
func trained(t *testing.T, o Options) (*Network, Report) {
	t.Helper()
	n := Random(o.Seed, 10, 40, 30, 3)
	o.Epochs, o.Batch, o.Rate, o.Momentum, o.ISA = 3, 16, 0.05, 0.9, isa.Detect()
	r, err := Run(t.Context(), n, cloud(1, 200, 10, 3), o)
	if err != nil {
		t.Fatal(err)
	}
	return n, r
}

// TestDeterminism trains again, with the same seed, more threads, and another
// seed.
func TestDeterminism(t *testing.T) {
	first, report := trained(t, Options{Seed: 1, Dropout: 0.3, Threads: 1})
	if report.Steps != 3*(200/16) || len(report.Dropped) != 70 {
		t.Errorf("report %+v", report)
	}
	for _, test := range []struct {
		name string
		o    Options
		same bool
	}{
		{"again", Options{Seed: 1, Dropout: 0.3, Threads: 1}, true},
		{"on three threads", Options{Seed: 1, Dropout: 0.3, Threads: 3}, true},
		{"with another seed", Options{Seed: 2, Dropout: 0.3, Threads: 1}, false},
		{"with other dropout", Options{Seed: 1, Dropout: 0.2, Threads: 1}, false},
	} {
		n, _ := trained(t, test.o)
		for i, l := range n.Layers {
			if slices.Equal(l.Weight, first.Layers[i].Weight) != test.same {
				t.Errorf("%s: weights of layer %d are the same: %t", test.name, i, !test.same)
			}
		}
	}
}

// TestModel runs an exported network, which must do what the network did in
// training.
func TestModel(t *testing.T) {
	n, _ := trained(t, Options{Seed: 1, Threads: 1})
	d := cloud(1, 9, 10, 3)
	m := n.Model("net")
	plan, err := runtime.Compile(t.Context(), m, runtime.Config{Dims: map[string]int{BatchSymbol: 9}})
	if err != nil {
		t.Fatal(err)
	}
	s := plan.NewSession()
	defer s.Close()
	in, err := s.Input("input")
	if err != nil {
		t.Fatal(err)
	}
	tr, err := newTrainer(n, Options{Batch: 9, Threads: 1, ISA: isa.Detect()})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.pool.Close()
	tr.load(d, []int{0, 1, 2, 3, 4, 5, 6, 7, 8})
	tr.gradients()
	for i := range d.x {
		copy(in.F[i*10:], d.x[i])
	}
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, err := s.Output(m.Outputs[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	y := tr.layers[2].y
	for i := range d.x {
		for class := range 3 {
			if got, want := out.F[i*3+class], y.row(class)[i]; math.Abs(float64(got-want)) > 1e-4 {
				t.Errorf("score %d of example %d is %v, in training %v", class, i, got, want)
			}
		}
	}
	before := slices.Clone(n.Layers[0].Weight)
	n.Layers[0].Weight[0]++
	if got := m.Weights["fc1.weight"].Floats(); !slices.Equal(got, before) || !slices.Equal(m.Weights["fc1.weight"].Shape, []int{40, 10}) {
		t.Error("the model shares memory with the network, or its weight is not out x in")
	}
	if shape := m.Inputs[0].Shape; shape[0] != (graph.Dim{Symbol: BatchSymbol}) || shape[1].Size != 10 {
		t.Errorf("input %v", shape)
	}
}

// TestMNIST trains on few digits, which are enough for most.
func TestMNIST(t *testing.T) {
	known, unknown, err := mnist.Read(testdata.Path(t, "datasets", "mnist"))
	if err != nil {
		t.Fatal(err)
	}
	known, unknown = known.First(2000), unknown.First(1000)
	for _, p := range []float32{0, 0.3} {
		n := Random(1, mnist.Pixels, 100, mnist.Classes)
		var epochs []int
		_, err := Run(t.Context(), n, known, Options{
			Epochs: 5, Batch: 50, Rate: 0.05, Momentum: 0.9, Dropout: p, Seed: 1, Threads: 1, ISA: isa.Detect(),
			Epoch: func(epoch int) error { epochs = append(epochs, epoch); return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(epochs, []int{1, 2, 3, 4, 5}) {
			t.Errorf("epochs %v", epochs)
		}
		if accuracy := accuracyOf(n, unknown); accuracy < 0.85 {
			t.Errorf("dropout %v: accuracy %.3f on unknown digits, want 0.85", p, accuracy)
		}
	}
}

func accuracyOf(n *Network, set mnist.Set) float64 {
	correct := 0
	for i, x := range set.Images() {
		for k, l := range n.Layers {
			y := slices.Clone(l.Bias)
			for o := range y {
				for i, v := range x {
					y[o] += l.Weight[o*l.In+i] * v
				}
				if k < len(n.Layers)-1 {
					y[o] = max(y[o], 0)
				}
			}
			x = y
		}
		if slices.Index(x, slices.Max(x)) == int(set.Labels[i]) {
			correct++
		}
	}
	return float64(correct) / float64(set.Len())
}

func TestRunRefuses(t *testing.T) {
	good := Options{Epochs: 1, Batch: 4, Rate: 0.1, Threads: 1, ISA: isa.Generic}
	d := cloud(1, 10, 3, 2)
	nan := float32(math.NaN())
	for _, test := range []struct {
		name   string
		d      points
		change func(o *Options)
		ok     bool
	}{
		{"good", d, func(o *Options) {}, true},
		{"a batch larger than all", d, func(o *Options) { o.Batch = 100 }, true},
		{"no examples", points{}, func(o *Options) {}, false},
		{"no epochs", d, func(o *Options) { o.Epochs = 0 }, false},
		{"no batch", d, func(o *Options) { o.Batch = 0 }, false},
		{"no threads", d, func(o *Options) { o.Threads = 0 }, false},
		{"dropout of all", d, func(o *Options) { o.Dropout = 1 }, false},
		{"NaN dropout", d, func(o *Options) { o.Dropout = nan }, false},
		{"negative rate", d, func(o *Options) { o.Rate = -1 }, false},
		{"NaN rate", d, func(o *Options) { o.Rate = nan }, false},
		{"a rate that diverges", d, func(o *Options) { o.Rate, o.Epochs = 1e30, 5 }, false},
		{"momentum of one", d, func(o *Options) { o.Momentum = 1 }, false},
	} {
		o := good
		test.change(&o)
		if _, err := Run(t.Context(), Random(1, 3, 4, 2), test.d, o); (err == nil) != test.ok {
			t.Errorf("%s: error %v", test.name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	o, steps := good, 0
	o.Progress = func(float64) {
		if steps++; steps == 2 {
			cancel()
		}
	}
	o.Epochs = 10
	if r, err := Run(ctx, Random(1, 3, 4, 2), d, o); !errors.Is(err, context.Canceled) || r.Steps != 2 {
		t.Errorf("interrupted: %v after %d steps", err, r.Steps)
	}
	broken := errors.New("broken")
	o = good
	o.Epoch = func(int) error { return broken }
	if _, err := Run(t.Context(), Random(1, 3, 4, 2), d, o); !errors.Is(err, broken) {
		t.Errorf("error of Epoch: %v", err)
	}
}
