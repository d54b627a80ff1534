package prune

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime"
)

// A Calibration is the data that a model runs on so that what flows through its
// layers can be measured, and how much of it is looked at.
type Calibration struct {
	Data Data
	// Columns bounds how many columns of a layer's input are looked at in each
	// set of inputs: pixels or tokens, of all examples of a batch. They lie
	// evenly over the whole, at places that Seed decides. 0 is DefaultColumns,
	// a negative number no bound. Outputs are counted in full.
	Columns int
	Seed    uint64
	Config  runtime.Config
}

// DefaultColumns is how many columns of a set of inputs are looked at. A
// Hessian takes columns · inputs² multiply-adds.
const DefaultColumns = 512

// MaxHessianBytes bounds the memory of the Hessians that [Calibrate] makes at
// a time, 8·inputs² bytes a group of a layer.
const MaxHessianBytes = 2 << 30

// Measure says what to measure.
type Measure uint8

// What can be measured, to be or-ed together.
const (
	Inputs      Measure = 1 << iota // moments of each input of a layer
	Hessian                         // products of each two inputs of a layer
	Outputs                         // moments of each output of a layer
	Activations                     // the same behind bias, normalisation and activation
)

// Moments sum up the values of one input or output.
type Moments struct {
	Count, Zeros      int
	Sum, Abs, Squares float64
}

func (m *Moments) add(x float32) {
	v := float64(x)
	m.Count++
	m.Sum += v
	m.Abs += math.Abs(v)
	m.Squares += v * v
	if x == 0 {
		m.Zeros++
	}
}

// Mean returns the mean of the values, 0 where there are none.
func (m Moments) Mean() float64 { return m.Sum / float64(max(m.Count, 1)) }

// MeanAbs returns the mean of the absolute values.
func (m Moments) MeanAbs() float64 { return m.Abs / float64(max(m.Count, 1)) }

// RMS returns the root of the mean of the squares.
func (m Moments) RMS() float64 { return math.Sqrt(m.Squares / float64(max(m.Count, 1))) }

// Variance returns the mean square of the distance from the mean.
func (m Moments) Variance() float64 {
	mean := m.Mean()
	return max(0, m.Squares/float64(max(m.Count, 1))-mean*mean)
}

// APoZ returns the average percentage of zeros, as a fraction.
//
// Source: Hu et al., Network Trimming, 2016.
func (m Moments) APoZ() float64 { return float64(m.Zeros) / float64(max(m.Count, 1)) }

// Statistics are what calibration measured of a layer. A layer of several
// groups, such as a depthwise convolution, has those of each, one after the
// other.
type Statistics struct {
	Layer
	// Columns is how many columns of inputs each group has been looked at.
	Columns int
	// Inputs are those of a row of the weight: of a convolution the taps of one
	// channel after the other, with zeros where the window lies over padding.
	Inputs []Moments
	// Hessian is, for each group, the sum of x·xᵀ over the columns x: a
	// symmetric inputs x inputs matrix. Half the mean squared error of a layer's
	// outputs has it, divided by Columns, for its second derivative by a row of
	// the weight.
	Hessian [][]float64
	// Outputs are those of the rows of the weight, before the activation: what
	// the node computes.
	Outputs []Moments
	// Activations are the same channels behind what follows the node without
	// another input: a bias, a BatchNormalization and an activation function.
	Activations []Moments
}

// Calibrate runs a model on data and measures what flows through some of its
// layers: through every node that multiplies with a layer's weight as
// [Layer.Node] does. It takes the memory of a session for each of the last shapes
// of the data, and that of the Hessians, where those are asked for, for which
// [MaxHessianBytes] is the bound.
func Calibrate(ctx context.Context, m *graph.Model, layers []Layer, c Calibration, what Measure) ([]Statistics, error) {
	if what&Hessian != 0 {
		for _, l := range layers {
			if err := l.checkHessian(); err != nil {
				return nil, err
			}
		}
		if total := hessianBytes(layers); total > MaxHessianBytes {
			return nil, fmt.Errorf("the Hessians of %d layers take %d MiB, the limit is %d", len(layers), total>>20, MaxHessianBytes>>20)
		}
	}
	uses := usesOf(m, layers)
	meters := make([]*meter, len(layers))
	var values []string
	for i, l := range layers {
		meters[i] = newMeter(m, l, uses[i], c, what)
		for _, u := range meters[i].uses {
			values = append(values, u.in) // for its shape, if nothing else
			if what&Outputs != 0 {
				values = append(values, u.out)
			}
			if what&Activations != 0 {
				values = append(values, u.behind)
			}
		}
	}
	p := newProbe(m, values, c.Config)
	defer p.close()
	err := c.each(ctx, func(set map[string]*graph.Tensor) error {
		return p.run(ctx, set, func(value func(string) (runtime.Tensor, error)) error {
			for _, m := range meters {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := m.measure(value); err != nil {
					return fmt.Errorf("weight %q: %w", m.layer.Weight, err)
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	all := make([]Statistics, len(layers))
	for i, m := range meters {
		all[i] = m.statistics()
	}
	return all, nil
}

// each runs do on the sets of the data, of which there must be one.
func (c Calibration) each(ctx context.Context, do func(set map[string]*graph.Tensor) error) error {
	if c.Data == nil {
		return fmt.Errorf("no data to calibrate on")
	}
	n := 0
	for set, err := range c.Data {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = do(set)
		}
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("set %d of the calibration data: %w", n, err)
		}
		n++
	}
	if n == 0 {
		return fmt.Errorf("no data to calibrate on")
	}
	return ctx.Err()
}

// hessianBytes returns the memory of the Hessians of layers.
func hessianBytes(layers []Layer) int {
	total := 0
	for _, l := range layers {
		total += 8 * l.at.groups * l.at.cols * l.at.cols
	}
	return total
}

// checkHessian returns an error for a layer whose Hessian alone is too large.
func (l Layer) checkHessian() error {
	const maxCols = 1 << 14 // 8·maxCols² is MaxHessianBytes
	if l.at.cols > maxCols || l.at.groups > MaxHessianBytes/8/(l.at.cols*l.at.cols) {
		return fmt.Errorf("weight %q: %d groups of %d inputs, whose Hessians would take more than the limit of %d MiB: exclude it, or choose a method that needs none",
			l.Weight, l.at.groups, l.at.cols, MaxHessianBytes>>20)
	}
	return nil
}

// A meter measures one layer.
type meter struct {
	layer   Layer
	what    Measure
	uses    []measuredUse
	sampler sampler
	columns int
	inputs  []Moments
	grams   []*gram
	outputs []Moments
	behind  []Moments
	column  []float32
}

// A measuredUse is a use and the value behind its activation function.
type measuredUse struct {
	use
	behind string
}

func newMeter(m *graph.Model, l Layer, uses []use, c Calibration, what Measure) *meter {
	t := &meter{layer: l, what: what, sampler: c.sampler(l), column: make([]float32, l.at.cols)}
	for _, u := range uses {
		t.uses = append(t.uses, measuredUse{u, activationOf(m, u.out)})
	}
	if what&Inputs != 0 {
		t.inputs = make([]Moments, l.at.groups*l.at.cols)
	}
	if what&Hessian != 0 {
		for range l.at.groups {
			t.grams = append(t.grams, newGram(l.at.cols, false))
		}
	}
	if what&Outputs != 0 {
		t.outputs = make([]Moments, l.at.groups*l.at.rows)
	}
	if what&Activations != 0 {
		t.behind = make([]Moments, l.at.groups*l.at.rows)
	}
	return t
}

// measure looks at what a run has left.
func (t *meter) measure(value func(string) (runtime.Tensor, error)) error {
	for _, u := range t.uses {
		x, err := value(u.in)
		if err != nil {
			return err
		}
		p, err := productOf(t.layer, u.use, x.Shape)
		if err != nil {
			return err
		}
		if t.what&(Inputs|Hessian) != 0 {
			t.measureInputs(p, x.F)
		}
		for _, o := range []struct {
			what Measure
			name string
			into []Moments
		}{{Outputs, u.out, t.outputs}, {Activations, u.behind, t.behind}} {
			if t.what&o.what == 0 {
				continue
			}
			y, err := value(o.name)
			if err != nil {
				return err
			}
			if want := p.columns * p.at.groups * p.at.rows; len(y.F) != want {
				return fmt.Errorf("value %q has shape %v, expected the %d elements of what the layer computes", o.name, y.Shape, want)
			}
			p.measureOutputs(y.F, o.into)
		}
	}
	return nil
}

func (t *meter) measureInputs(p product, x []float32) {
	columns := t.sampler.choose(p.columns)
	t.columns += len(columns)
	for group := range p.at.groups {
		for _, c := range columns {
			p.input(x, group, c, t.column)
			if t.what&Inputs != 0 {
				for i, v := range t.column {
					t.inputs[group*p.at.cols+i].add(v)
				}
			}
			if t.what&Hessian != 0 {
				t.grams[group].add(t.column, t.column)
			}
		}
	}
}

// measureOutputs adds what a node of the layer computed, or what follows it, to
// the moments of each channel.
func (p product) measureOutputs(y []float32, into []Moments) {
	for group := range p.at.groups {
		for column := range p.columns {
			at, stride := p.output(group, column)
			for row := range p.at.rows {
				into[group*p.at.rows+row].add(y[at+row*stride])
			}
		}
	}
}

func (t *meter) statistics() Statistics {
	s := Statistics{Layer: t.layer, Columns: t.columns, Inputs: t.inputs, Outputs: t.outputs, Activations: t.behind}
	for _, g := range t.grams {
		s.Hessian = append(s.Hessian, g.total())
	}
	return s
}

// A sampler chooses columns of one layer.
type sampler struct {
	most int
	r    *rand.Rand
}

// sampler returns one that chooses the same columns of a layer every time.
func (c Calibration) sampler(l Layer) sampler {
	s := sampler{most: c.Columns, r: rand.New(rand.NewPCG(c.Seed, uint64(l.at.cols)))}
	if s.most == 0 {
		s.most = DefaultColumns
	}
	return s
}

// choose returns which of n columns to look at: one at random of each of as
// many equal parts.
func (s sampler) choose(n int) []int {
	if s.most < 0 || n <= s.most {
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		return all
	}
	some := make([]int, s.most)
	for i := range some {
		from, to := i*n/s.most, (i+1)*n/s.most
		some[i] = from + s.r.IntN(to-from)
	}
	return some
}

// activations are the operators of one input that networks have for
// activation functions.
var activations = map[string]bool{
	"Relu": true, "Clip": true, "LeakyRelu": true, "PRelu": true, "Elu": true, "Selu": true, "Celu": true,
	"ThresholdedRelu": true, "Sigmoid": true, "HardSigmoid": true, "HardSwish": true, "Tanh": true, "Gelu": true,
	"Softplus": true, "Softsign": true, "Mish": true, "Swish": true,
}

// activationOf follows a value through nodes that keep its channels and have no
// other input that is computed, up to the first activation function. Where
// something else comes first it returns the last value before that.
func activationOf(m *graph.Model, value string) string {
	for {
		next := soleReader(m, value)
		if next == nil || next.Domain != "" || len(next.Outputs) == 0 {
			return value
		}
		for i, in := range next.Inputs {
			if in != "" && in != value && m.Weights[in] == nil || i > 0 && in == value && next.Input(0) == value {
				return value
			}
		}
		switch {
		case activations[next.Op]:
			return next.Outputs[0]
		case next.Op == "Add" || next.Op == "Mul" || next.Op == "BatchNormalization" || next.Op == "Identity":
			value = next.Outputs[0]
		default:
			return value
		}
	}
}

// soleReader returns the only node that reads a value, nil where there are more
// or none, or where the value is an output of the model.
func soleReader(m *graph.Model, value string) *graph.Node {
	var reader *graph.Node
	for _, n := range m.Nodes {
		for _, name := range n.Uses() {
			if name != value {
				continue
			}
			if reader != nil && reader != n {
				return nil
			}
			reader = n
		}
	}
	for _, o := range m.Outputs {
		if o.Name == value {
			return nil
		}
	}
	return reader
}
