package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime"
)

// An AccuracyReport says how a classifier did on labelled examples.
type AccuracyReport struct {
	Accuracy float64 `json:"accuracy"` // share of examples whose label has the largest output
	Correct  int     `json:"correct"`
	Examples int     `json:"examples"`
	Batch    int     `json:"batch"` // examples a run
	Latency  Latency `json:"latency"`
	// Predicted is the class of each example.
	Predicted []int `json:"-"`
}

// Accuracy runs a classifier on examples and compares the class of the largest
// output, the first of equal ones, with the labels. The model has one input,
// whose first extent is the batch, and its first output has a row of scores an
// example. The last batch is filled up with zeros. Latency is that of a run.
func Accuracy(ctx context.Context, m *graph.Model, examples [][]float32, labels []uint8, c runtime.Config) (AccuracyReport, error) {
	var r AccuracyReport
	if len(examples) != len(labels) {
		return r, fmt.Errorf("%d examples, but %d labels", len(examples), len(labels))
	}
	var times []time.Duration
	var err error
	r.Batch, times, err = classify(ctx, m, examples, c, func(i int, scores []float32) {
		class := argmax(scores)
		r.Predicted = append(r.Predicted, class)
		if class == int(labels[i]) {
			r.Correct++
		}
	})
	if err != nil {
		return r, err
	}
	r.Examples = len(examples)
	r.Accuracy = float64(r.Correct) / float64(max(1, r.Examples))
	r.Latency = summarize(times)
	return r, nil
}

// classify runs a classifier, as [Accuracy] says of one, and calls visit with
// the scores of each example. It returns the batch and the times of the runs.
func classify(ctx context.Context, m *graph.Model, examples [][]float32, c runtime.Config, visit func(i int, scores []float32)) (batch int, times []time.Duration, err error) {
	plan, err := runtime.Compile(ctx, m, c)
	if err != nil {
		return 0, nil, err
	}
	session := plan.NewSession()
	defer session.Close()
	in, out, err := classifier(plan, session)
	if err != nil {
		return 0, nil, err
	}
	batch = in.Shape[0]
	size, classes := len(in.F)/batch, len(out.F)/batch
	for first := 0; first < len(examples); first += batch {
		some := examples[first:min(first+batch, len(examples))]
		clear(in.F)
		for i, x := range some {
			if len(x) != size {
				return 0, nil, fmt.Errorf("example %d has %d values, the input takes %d", first+i, len(x), size)
			}
			copy(in.F[i*size:], x)
		}
		start := time.Now()
		if err := session.Run(ctx); err != nil {
			return 0, nil, err
		}
		times = append(times, time.Since(start))
		for i := range some {
			visit(first+i, out.F[i*classes:(i+1)*classes])
		}
	}
	return batch, times, nil
}

// classifier returns the views of the one input and of the first output.
func classifier(p *runtime.Plan, s *runtime.Session) (in, out runtime.Tensor, err error) {
	ins, outs := p.Inputs(), p.Outputs()
	if len(ins) != 1 || len(outs) == 0 {
		return in, out, fmt.Errorf("a classifier has one input and an output, the model has %d and %d", len(ins), len(outs))
	}
	if in, err = s.Input(ins[0].Name); err != nil {
		return in, out, err
	}
	if out, err = s.Output(outs[0].Name); err != nil {
		return in, out, err
	}
	if len(in.Shape) == 0 || len(out.Shape) == 0 || in.Shape[0] < 1 || in.Shape[0] != out.Shape[0] || len(in.F) == 0 || len(out.F) == 0 {
		return in, out, fmt.Errorf("input %s %v and output %s %v are no batches of real numbers", ins[0].Name, in.Shape, outs[0].Name, out.Shape)
	}
	return in, out, nil
}

// argmax returns the index of the largest value, the first of equal ones.
func argmax(v []float32) int {
	best := 0
	for i, x := range v {
		if x > v[best] {
			best = i
		}
	}
	return best
}
