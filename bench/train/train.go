// Package train trains small networks of linear layers by stochastic gradient
// descent with momentum, with or without dropout. It is there to show what
// pruning and dropout do, in little code: no other kind of layer, no other
// optimiser.
//
// Matrices are multiplied by the kernels that run dense layers. The same
// options give the same network, to the bit, whatever the number of threads, on
// one instruction set.
package train

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/kernels/isa"
)

// Options say how to train.
type Options struct {
	Epochs   int
	Batch    int     // examples a step; at most as many as there are
	Rate     float32 // the learning rate of the first step, from where it falls to 0 in a straight line
	Momentum float32
	// Dropout is the probability with which a step leaves a hidden neuron out,
	// at least 0 and below 1.
	Dropout float32
	Seed    uint64 // of the order of examples, and of what is left out
	Threads int    // at least 1
	ISA     isa.ISA
	// Progress is called before every step with the fraction that is done, and
	// Epoch after every epoch, counted from 1; nil where nobody looks. Training
	// ends with an error of Epoch.
	Progress func(done float64)
	Epoch    func(epoch int) error
}

func (o Options) check(n *Network, d Data) error {
	switch {
	case d.Len() == 0:
		return errors.New("no examples to train with")
	case o.Epochs < 1 || o.Batch < 1 || o.Threads < 1:
		return fmt.Errorf("%d epochs in batches of %d on %d threads", o.Epochs, o.Batch, o.Threads)
	case !(o.Rate > 0 && o.Rate < infinity):
		return fmt.Errorf("learning rate %v: expected a positive number", o.Rate)
	case !(o.Momentum >= 0 && o.Momentum < 1):
		return fmt.Errorf("momentum %v: expected a number from 0 on and below 1", o.Momentum)
	case !(o.Dropout >= 0 && o.Dropout < 1):
		return fmt.Errorf("dropout %v: expected a probability below 1", o.Dropout)
	}
	return nil
}

var infinity = float32(math.Inf(1))

// Data is labelled examples.
type Data interface {
	Len() int
	// Example writes the inputs of example i to x and returns its class.
	Example(x []float32, i int) (class int)
}

// A Report says how training went.
type Report struct {
	Steps int
	Loss  float64 // mean cross-entropy of the last epoch's examples as they were trained with
	// Dropped has, for each hidden neuron of all layers, the share of times
	// that it was left out; nil without dropout.
	Dropped []float64
}

// Run trains a network. Every epoch takes the examples in another order, in
// batches; those that do not fill the last one are left for another epoch.
// It stops with ctx's error when ctx ends.
func Run(ctx context.Context, n *Network, d Data, o Options) (Report, error) {
	if err := o.check(n, d); err != nil {
		return Report{}, err
	}
	o.Batch = min(o.Batch, d.Len())
	t, err := newTrainer(n, o)
	if err != nil {
		return Report{}, err
	}
	defer t.pool.Close()
	order := stream(o.Seed, orderStream)
	var r Report
	perEpoch := d.Len() / o.Batch
	for epoch := range o.Epochs {
		loss, examples := 0.0, order.Perm(d.Len())
		for i := range perEpoch {
			if err := ctx.Err(); err != nil {
				return r, err
			}
			done := float64(r.Steps) / float64(o.Epochs*perEpoch)
			if o.Progress != nil {
				o.Progress(done)
			}
			t.load(d, examples[i*o.Batch:][:o.Batch])
			loss += t.step(o.Rate * float32(1-done))
			r.Steps++
		}
		r.Loss = loss / float64(perEpoch)
		if math.IsNaN(r.Loss) || math.IsInf(r.Loss, 0) {
			return r, fmt.Errorf("training has diverged in epoch %d: the loss is %v", epoch+1, r.Loss)
		}
		if o.Epoch != nil {
			if err := o.Epoch(epoch + 1); err != nil {
				return r, err
			}
		}
	}
	r.Dropped = t.dropped()
	return r, nil
}
