package train

import (
	"math"

	"github.com/nnz-dev/nnz/internal/parallel"
)

// A trainer holds what a step works on. Activations have a row a feature and a
// column an example.
type trainer struct {
	o       Options
	pool    *parallel.Pool
	layers  []*layer
	classes []int // of the examples of the batch
}

// A layer is a Layer in training, on a batch of examples.
type layer struct {
	*Layer
	hidden  bool     // a rectifier follows
	dropout *dropout // nil for none

	x  matrix // inputs, In x batch: the outputs of the layer before
	xT matrix // the same, batch x In
	y  matrix // outputs, Out x batch, after rectifier and dropout
	// dy is the gradient of the loss with respect to Weight·x + Bias, Out x batch.
	dy matrix
	// dWeight and dBias are that with respect to the parameters.
	dWeight matrix
	dBias   []float32
	// The velocities that momentum keeps.
	vWeight, vBias []float32

	forward  *product // y from x
	backward *product // the gradient with respect to x; nil for the first layer
	gradient *product // dWeight from dy
}

func newTrainer(n *Network, o Options) (*trainer, error) {
	t := &trainer{o: o, classes: make([]int, o.Batch)}
	x := newMatrix(o.ISA, n.Layers[0].In, o.Batch)
	var before *layer
	for i, l := range n.Layers {
		l := &layer{
			Layer:   l,
			hidden:  i < len(n.Layers)-1,
			x:       x,
			xT:      newMatrix(o.ISA, o.Batch, l.In),
			y:       newMatrix(o.ISA, l.Out, o.Batch),
			dy:      newMatrix(o.ISA, l.Out, o.Batch),
			dWeight: newMatrix(o.ISA, l.Out, l.In),
			dBias:   make([]float32, l.Out),
			vWeight: make([]float32, len(l.Weight)),
			vBias:   make([]float32, l.Out),
		}
		if l.hidden && o.Dropout > 0 {
			l.dropout = newDropout(o.Dropout, l.Out, stream(o.Seed, dropoutStream+i))
		}
		weight := matrix{l.Out, l.In, l.In, l.Weight}
		var err error
		if l.forward, err = newProduct(o.ISA, operand{matrix: weight}, l.x, l.y, l.Bias, l.hidden); err != nil {
			return nil, err
		}
		if l.gradient, err = newProduct(o.ISA, operand{matrix: l.dy}, l.xT, l.dWeight, nil, false); err != nil {
			return nil, err
		}
		if before != nil {
			if l.backward, err = newProduct(o.ISA, operand{weight, true}, l.dy, before.dy, nil, false); err != nil {
				return nil, err
			}
		}
		t.layers = append(t.layers, l)
		x, before = l.y, l
	}
	t.pool = parallel.New(o.Threads)
	return t, nil
}

// load takes examples as the batch.
func (t *trainer) load(d Data, examples []int) {
	l := t.layers[0]
	for i, n := range examples {
		t.classes[i] = d.Example(l.xT.row(i), n)
	}
	l.xT.transpose(l.x)
}

// step trains with the batch, and returns its mean loss before that.
func (t *trainer) step(rate float32) float64 {
	loss := t.gradients()
	for _, l := range t.layers {
		t.pool.Run(update{l, rate, t.o.Momentum}, l.Out)
	}
	return loss
}

// gradients computes the mean loss of the batch and its gradients.
func (t *trainer) gradients() float64 {
	for i, l := range t.layers {
		if i > 0 {
			l.x.transpose(l.xT)
		}
		l.forward.run(t.pool)
		if l.dropout != nil {
			l.dropout.apply(l.y)
		}
	}
	last := t.layers[len(t.layers)-1]
	loss := crossEntropy(last.dy, last.y, t.classes)
	for i := len(t.layers) - 1; i >= 0; i-- {
		l := t.layers[i]
		l.gradient.run(t.pool)
		for j := range l.dBias {
			l.dBias[j] = sum(l.dy.row(j))
		}
		if i > 0 {
			l.backward.run(t.pool)
			t.layers[i-1].rectifyGradient()
		}
	}
	return loss
}

// rectifyGradient turns the gradient with respect to y, which dy holds, into
// that with respect to what rectifier and dropout were given. An output that
// is 0 was rectified or left out.
func (l *layer) rectifyGradient() {
	scale := float32(1)
	if l.dropout != nil {
		scale = l.dropout.scale
	}
	for i := range l.y.rows {
		dy := l.dy.row(i)
		for j, y := range l.y.row(i) {
			if y > 0 {
				dy[j] *= scale
			} else {
				dy[j] = 0
			}
		}
	}
}

// crossEntropy returns the mean over the columns of -log softmax(y)[class],
// and its gradient with respect to y in dy.
func crossEntropy(dy, y matrix, classes []int) float64 {
	loss, mean := 0.0, 1/float64(len(classes))
	for j, class := range classes {
		largest, total := math.Inf(-1), 0.0
		for i := range y.rows {
			largest = math.Max(largest, float64(y.v[i*y.stride+j]))
		}
		for i := range y.rows {
			total += math.Exp(float64(y.v[i*y.stride+j]) - largest)
		}
		for i := range y.rows {
			p := math.Exp(float64(y.v[i*y.stride+j])-largest) / total
			if i == class {
				p--
			}
			dy.v[i*dy.stride+j] = float32(p * mean)
		}
		loss += (largest + math.Log(total) - float64(y.v[class*y.stride+j])) * mean
	}
	return loss
}

func sum(v []float32) float32 {
	s := float32(0)
	for _, x := range v {
		s += x
	}
	return s
}

// An update moves the parameters of a layer against their gradients, a neuron
// a chunk: v = momentum·v + gradient, parameter = parameter - rate·v.
type update struct {
	*layer
	rate, momentum float32
}

func (u update) Chunk(i int) {
	u.move(u.Weight[i*u.In:][:u.In], u.vWeight[i*u.In:][:u.In], u.dWeight.row(i))
	u.move(u.Bias[i:i+1], u.vBias[i:i+1], u.dBias[i:i+1])
}

func (u update) move(parameters, velocities, gradients []float32) {
	for i, g := range gradients {
		v := u.momentum*velocities[i] + g
		velocities[i] = v
		parameters[i] -= u.rate * v
	}
}

// dropped returns the share of times that each hidden neuron was left out.
func (t *trainer) dropped() []float64 {
	var shares []float64
	for _, l := range t.layers {
		if l.dropout != nil {
			for _, n := range l.dropout.left {
				shares = append(shares, float64(n)/float64(l.dropout.applied))
			}
		}
	}
	return shares
}
