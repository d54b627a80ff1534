package bench

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nnz-dev/nnz/bench/mnist"
	"github.com/nnz-dev/nnz/bench/train"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/prune"
	"github.com/nnz-dev/nnz/runtime"
)

// DropoutOptions say what [DropoutVsPruning] trains and prunes.
type DropoutOptions struct {
	Epochs     int
	Dropout    float64 // of hidden neurons, in the second of the two networks
	Sparsities []float64
	Seed       uint64
	Threads    int // of training, at least 1; latencies are of one thread
	ISA        isa.ISA
	Runs       int // of each network to time it, see [Options]
	// Trained is given both networks; nil where nobody wants them.
	Trained func(name string, m *graph.Model) error
	// Progress is called with what is being done and which fraction of it is
	// done; nil where nobody looks.
	Progress func(stage string, done float64)
}

// A DropoutReport is the outcome of [DropoutVsPruning]. Names and meaning of
// its JSON fields stay as they are: scripts read them.
type DropoutReport struct {
	Samples  int     `json:"samples"` // trained with
	Tests    int     `json:"tests"`   // tested with
	Widths   []int   `json:"widths"`  // inputs, hidden neurons of each layer, outputs
	Epochs   int     `json:"epochs"`
	Batch    int     `json:"batch"`
	Rate     float64 `json:"rate"` // at the first step, falling to 0 in a straight line
	Momentum float64 `json:"momentum"`
	Seed     uint64  `json:"seed"`
	ISA      string  `json:"isa"`
	// Plain is the network trained without dropout, Dropout the one with it.
	Plain   TrainedNetwork `json:"plain"`
	Dropout TrainedNetwork `json:"dropout"`
}

// A TrainedNetwork is a network, how it was trained, and what is left of it as
// it is pruned.
type TrainedNetwork struct {
	Name    string  `json:"name"`
	Dropout float64 `json:"dropout"`
	Steps   int     `json:"steps"`
	Seconds float64 `json:"seconds"` // of training, with the looks at its progress
	Hidden  int     `json:"hidden"`  // hidden neurons
	// LeastDropped and MostDropped are the shares of examples that the neurons
	// were left out for which that happened to least and most often.
	LeastDropped float64         `json:"least_dropped"`
	MostDropped  float64         `json:"most_dropped"`
	Curve        []TrainedEpoch  `json:"curve"`
	Dense        Latency         `json:"dense"` // of one example on dense kernels, one thread
	Pruned       []PrunedNetwork `json:"pruned"`
	model        *graph.Model
}

// A TrainedEpoch is how a network does after an epoch, without dropout.
type TrainedEpoch struct {
	Epoch int `json:"epoch"`
	Fit
}

// Fit is how a network does on what it was trained with and on what it was not.
type Fit struct {
	Train Scores `json:"train"`
	Test  Scores `json:"test"`
}

// Gap is by how much it does better on what it knows: overfitting.
func (f Fit) Gap() float64 { return f.Train.Accuracy - f.Test.Accuracy }

// Scores are those of a classifier.
type Scores struct {
	Accuracy float64 `json:"accuracy"`
	Loss     float64 `json:"loss"` // mean cross-entropy
}

// A PrunedNetwork is a network some of whose weights were removed after
// training, those of the least magnitude of all layers together.
type PrunedNetwork struct {
	Sparsity   float64 `json:"sparsity"`   // of weights, as asked for
	Parameters int     `json:"parameters"` // weights and biases
	Alive      int     `json:"alive"`      // of those, not zero in the file that was written
	Fit
	PruneMS float64 `json:"prune_ms"` // what pruning took
	// LargestRemoved and MeanRemoved are magnitudes of weights that went,
	// MeanKept is that of those which stayed.
	LargestRemoved float64 `json:"largest_removed"`
	MeanRemoved    float64 `json:"mean_removed"`
	MeanKept       float64 `json:"mean_kept"`
	Latency        Latency `json:"latency"` // of one example, on one thread
	// Speedup is the median of the network's Dense over that.
	Speedup float64 `json:"speedup"`
	// Bytes on disk, as an ONNX file with dense weights, as one with sparse
	// weights where zeros are many, and as a .nnz file.
	DenseONNX  int64 `json:"dense_onnx_bytes"`
	SparseONNX int64 `json:"sparse_onnx_bytes"`
	NNZ        int64 `json:"nnz_bytes"`
	model      *graph.Model
}

// What is trained: the network LeNet-300-100 of LeCun et al., 1998.
var dropoutWidths = []int{mnist.Pixels, 300, 100, mnist.Classes}

const (
	dropoutBatch    = 64
	dropoutRate     = 0.05
	dropoutMomentum = 0.9
	fitBatch        = 100 // examples a run when a network is tried
)

// DropoutVsPruning trains the same network twice, from the same weights and on
// the same examples in the same order, without and with dropout. Then it prunes
// each to rising sparsities, with no training afterwards, and measures what
// either costs and gains: latencies in turns, on one thread.
func DropoutVsPruning(ctx context.Context, known, unknown mnist.Set, o DropoutOptions) (*DropoutReport, error) {
	r := &DropoutReport{
		Samples: known.Len(), Tests: unknown.Len(), Widths: dropoutWidths,
		Epochs: o.Epochs, Batch: min(dropoutBatch, known.Len()), Rate: dropoutRate, Momentum: dropoutMomentum,
		Seed: o.Seed, ISA: o.ISA.String(),
	}
	r.Plain.Name, r.Dropout.Name = "plain", "dropout"
	r.Dropout.Dropout = o.Dropout
	if known.Len() == 0 || unknown.Len() == 0 {
		return nil, fmt.Errorf("%d examples to train with, %d to test with", known.Len(), unknown.Len())
	}
	l := &dropoutLab{o, known, known.Images(), unknown.Images(), unknown.Labels}
	both := []*TrainedNetwork{&r.Plain, &r.Dropout}
	for _, n := range both {
		if err := l.train(ctx, n); err != nil {
			return nil, err
		}
	}
	for _, n := range both {
		if err := l.prune(ctx, n); err != nil {
			return nil, err
		}
	}
	return r, l.time(ctx, both)
}

// A dropoutLab is what the networks of a comparison have in common.
type dropoutLab struct {
	DropoutOptions
	known    mnist.Set   // to train with
	examples [][]float32 // the same
	tests    [][]float32 // to test with
	labels   []uint8     // of those
}

func (l *dropoutLab) progress(stage string, done float64) {
	if l.Progress != nil {
		l.Progress(stage, done)
	}
}

// train trains one of the networks.
func (l *dropoutLab) train(ctx context.Context, r *TrainedNetwork) error {
	stage := "training without dropout"
	if r.Dropout > 0 {
		stage = "training with dropout"
	}
	n := train.Random(l.Seed, dropoutWidths...)
	for _, width := range dropoutWidths[1 : len(dropoutWidths)-1] {
		r.Hidden += width
	}
	start := time.Now()
	report, err := train.Run(ctx, n, l.known, train.Options{
		Epochs: l.Epochs, Batch: dropoutBatch, Rate: dropoutRate, Momentum: dropoutMomentum,
		Dropout: float32(r.Dropout), Seed: l.Seed, Threads: l.Threads, ISA: l.ISA,
		Progress: func(done float64) { l.progress(stage, done) },
		Epoch: func(epoch int) error {
			fit, err := l.fit(ctx, n.Model(r.Name))
			r.Curve = append(r.Curve, TrainedEpoch{epoch, fit})
			return err
		},
	})
	if err != nil {
		return err
	}
	r.Steps, r.Seconds = report.Steps, time.Since(start).Seconds()
	if report.Dropped != nil {
		r.LeastDropped, r.MostDropped = slices.Min(report.Dropped), slices.Max(report.Dropped)
	}
	r.model = n.Model(r.Name)
	if l.Trained != nil {
		return l.Trained(r.Name, r.model)
	}
	return nil
}

// fit tries a network on all examples.
func (l *dropoutLab) fit(ctx context.Context, m *graph.Model) (f Fit, err error) {
	if f.Train, err = l.scores(ctx, m, l.examples, l.known.Labels); err != nil {
		return f, err
	}
	f.Test, err = l.scores(ctx, m, l.tests, l.labels)
	return f, err
}

// scores tries a network on examples.
func (l *dropoutLab) scores(ctx context.Context, m *graph.Model, examples [][]float32, labels []uint8) (s Scores, err error) {
	c := runtime.Config{Threads: l.Threads, ISA: l.ISA, Dims: map[string]int{train.BatchSymbol: fitBatch}}
	correct, loss := 0, 0.0
	_, _, err = classify(ctx, m, examples, c, func(i int, scores []float32) {
		if argmax(scores) == int(labels[i]) {
			correct++
		}
		loss += crossEntropy(scores, int(labels[i]))
	})
	n := float64(len(examples))
	return Scores{float64(correct) / n, loss / n}, err
}

// crossEntropy returns -log softmax(scores)[class].
func crossEntropy(scores []float32, class int) float64 {
	largest, sum := float64(slices.Max(scores)), 0.0
	for _, s := range scores {
		sum += math.Exp(float64(s) - largest)
	}
	return largest + math.Log(sum) - float64(scores[class])
}

// prune prunes a network to each sparsity.
func (l *dropoutLab) prune(ctx context.Context, r *TrainedNetwork) error {
	dir, err := os.MkdirTemp("", "nnz")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for i, sparsity := range l.Sparsities {
		l.progress("pruning "+r.Name, float64(i)/float64(len(l.Sparsities)))
		p := PrunedNetwork{Sparsity: sparsity}
		start := time.Now()
		var done prune.Report
		if p.model, done, err = prune.Apply(ctx, r.model, prune.Options{Sparsity: sparsity, Scope: prune.Global{}}); err != nil {
			return err
		}
		p.PruneMS = milliseconds(time.Since(start))
		for _, layer := range done.Layers {
			p.LargestRemoved = max(p.LargestRemoved, float64(layer.Threshold))
		}
		p.MeanRemoved, p.MeanKept = magnitudes(r.model, p.model, done)
		if p.Fit, err = l.fit(ctx, p.model); err != nil {
			return err
		}
		if err := p.write(ctx, dir); err != nil {
			return err
		}
		r.Pruned = append(r.Pruned, p)
	}
	return nil
}

// magnitudes returns the mean magnitude of the weights that went and of those
// that stayed.
func magnitudes(whole, pruned *graph.Model, r prune.Report) (removed, kept float64) {
	var sums [2]float64
	var counts [2]int
	for _, layer := range r.Layers {
		now := pruned.Weights[layer.Weight].Floats()
		for i, w := range whole.Weights[layer.Weight].Floats() {
			stays := 0
			if now[i] != 0 {
				stays = 1
			}
			sums[stays] += math.Abs(float64(w))
			counts[stays]++
		}
	}
	mean := func(i int) float64 { return sums[i] / float64(max(1, counts[i])) }
	return mean(0), mean(1)
}

// write writes the network as files in a folder, to see how large they are, and
// counts the parameters in one of them.
func (p *PrunedNetwork) write(ctx context.Context, dir string) error {
	size := func(name string, write func(path string) error) (n int64, err error) {
		path := filepath.Join(dir, name)
		if err := write(path); err != nil {
			return 0, err
		}
		info, err := os.Stat(path)
		if err != nil {
			return 0, err
		}
		return info.Size(), nil
	}
	var err error
	if p.DenseONNX, err = size("dense.onnx", func(path string) error {
		return loader.Save(path, p.model, loader.SaveOptions{})
	}); err != nil {
		return err
	}
	if p.SparseONNX, err = size("sparse.onnx", func(path string) error {
		return loader.Save(path, p.model, loader.SaveOptions{Sparse: true})
	}); err != nil {
		return err
	}
	if p.NNZ, err = size("model.nnz", func(path string) error { return loader.SaveCompiled(path, p.model) }); err != nil {
		return err
	}
	written, err := loader.Load(ctx, filepath.Join(dir, "sparse.onnx"))
	if err != nil {
		return err
	}
	for _, w := range written.Weights {
		for _, v := range w.Floats() {
			p.Parameters++
			if v != 0 {
				p.Alive++
			}
		}
	}
	return nil
}

// time measures the latencies of the networks whole, on dense kernels, and of
// all that are pruned, in turns.
func (l *dropoutLab) time(ctx context.Context, networks []*TrainedNetwork) error {
	o := Options{Threads: 1, ISA: l.ISA, Dims: map[string]int{train.BatchSymbol: 1}, Runs: l.Runs,
		Progress: func(done float64) { l.progress("measuring latencies", done) }}
	var turns []turn
	for _, n := range networks {
		models := []*graph.Model{n.model}
		for _, p := range n.Pruned {
			models = append(models, p.model)
		}
		for i, m := range models {
			mode := runtime.Auto
			if i == 0 {
				mode = runtime.Dense
			}
			c, err := newContender(ctx, m, o, mode)
			if err != nil {
				return err
			}
			defer c.session.Close()
			in, err := c.session.Input(c.plan.Inputs()[0].Name)
			if err != nil {
				return err
			}
			copy(in.F, l.tests[0])
			turns = append(turns, turn{run: c.run})
		}
	}
	if err := o.measure(ctx, turns); err != nil {
		return err
	}
	for _, n := range networks {
		n.Dense = summarize(turns[0].times)
		for i := range n.Pruned {
			p := &n.Pruned[i]
			p.Latency = summarize(turns[1+i].times)
			p.Speedup = ratio(n.Dense, p.Latency)
		}
		turns = turns[1+len(n.Pruned):]
	}
	return nil
}
