// Package sweep decides what to prune before anything is pruned: what each layer
// loses and gains at each of some sparsities, and which sparsity of each layer
// makes the best model for a budget of latency or of error.
package sweep

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/prune"
	"github.com/nnz-dev/nnz/runtime"
)

// Options say what is tried and how it is measured.
type Options struct {
	// Bench says how models are compiled and measured.
	Bench bench.Options
	// Prune says which layers take part, how weights are judged and what goes as
	// a whole. Its Sparsity and Scope are zero.
	Prune prune.Options
	// Sparsities are what is tried, rising, above 0 and at most 1; nil takes
	// those that [Sparsities] returns.
	Sparsities []float64
	// Data is what errors are measured on; nil takes the errors of the weights.
	Data *Data
	// Measure has the steps of the layers timed, not only predicted.
	Measure bool
}

// Sparsities are tried where nothing else is asked for.
func Sparsities() []float64 { return []float64{.5, .6, .7, .8, .85, .9, .95, .98} }

// A Report says what each layer loses and gains at each sparsity. Names and
// meaning of its JSON fields stay as they are: scripts read them.
type Report struct {
	Model   string `json:"model"`
	ISA     string `json:"isa"`
	Threads int    `json:"threads"`
	// Error says what the errors are of: "outputs" of the model with one layer
	// pruned, or "weights" of the layer.
	Error      string    `json:"error"`
	Examples   int       `json:"examples,omitempty"` // that errors were measured on
	Accuracy   *float64  `json:"accuracy,omitempty"` // of the dense model, where labels are known
	Sparsities []float64 `json:"sparsities"`         // from 0 on
	Layers     []Layer   `json:"layers"`
	// Uniform is the model with all layers at each of the sparsities.
	Uniform []Whole `json:"uniform"`
	// Front is the best that can be expected: for each latency the least error,
	// of a sparsity for each layer.
	Front []Whole `json:"front"`
}

// A Layer is what one step of a plan multiplies with: most often one weight.
// Those of Q, K and V of attention are one where the runtime makes them so.
type Layer struct {
	Name    string   `json:"name"` // of the node
	Op      string   `json:"op"`
	Weights []string `json:"weights"`
	Size    int      `json:"parameters"`
	M       int      `json:"m"` // outputs, weights of each and columns of the product
	K       int      `json:"k"`
	N       int      `json:"n"`
	Points  []Point  `json:"points"` // by sparsity, as in Report.Sparsities
}

// A Point is a layer at one sparsity, while the others are dense.
type Point struct {
	Sparsity    float64 `json:"sparsity"` // that it is pruned to
	Zeros       float64 `json:"zeros"`    // that it then has
	Format      string  `json:"format"`
	Kernel      string  `json:"kernel"`
	PredictedUS float64 `json:"predicted_us"`          // by the cost model, on one thread
	MeasuredUS  float64 `json:"measured_us,omitempty"` // median of the step, where it was measured
	// Error is relative to the dense model: the L2 norm of what changes over
	// that of what was there, see Report.Error.
	Error    float64  `json:"error"`
	Accuracy *float64 `json:"accuracy,omitempty"`
}

// us is the time of the layer: as measured, if it was.
func (p Point) us() float64 {
	if p.MeasuredUS > 0 {
		return p.MeasuredUS
	}
	return p.PredictedUS
}

// A Whole is the model with a sparsity for each layer.
type Whole struct {
	Zeros float64 `json:"zeros"` // of the weights of all layers that are pruned
	// MS is the latency: measured of uniform models, the sum of layers and of
	// what is beside them on the front. Where nothing was measured it is the sum
	// of what is predicted of the layers.
	MS float64 `json:"ms"`
	// Error is measured of uniform models, where there is data. Else it comes of
	// the layers' errors: the root of the sum of squares, or of the mean square
	// where they are those of weights.
	Error    float64  `json:"error"`
	Accuracy *float64 `json:"accuracy,omitempty"` // of uniform models
}

// Run prunes each layer alone to each sparsity.
func Run(ctx context.Context, m *graph.Model, o Options) (*Report, error) {
	progress := o.Bench.Progress
	o.Bench.Progress = part(progress, 0, .3)
	t, err := newTable(ctx, m, o)
	if err != nil {
		return nil, err
	}
	j, err := o.judge(ctx, t.base)
	if err != nil {
		return nil, err
	}
	if err := t.errors(ctx, j, part(progress, .3, .9)); err != nil {
		return nil, err
	}
	r := &Report{
		Model: o.Bench.Name, ISA: t.plan.ISA, Threads: t.plan.Threads,
		Error: "weights", Sparsities: t.sparsities, Layers: t.layers,
	}
	if o.Data != nil {
		r.Error, r.Examples, r.Accuracy = "outputs", o.Data.Examples(), j.accuracy
	}
	for i := range t.sparsities {
		part(progress, .9, 1)(float64(i) / float64(len(t.sparsities)))
		picks := slices.Repeat([]int{i}, len(t.layers))
		w := t.whole(picks)
		w.MS = t.wholeMS(i)
		if o.Data != nil {
			found, err := j.judge(ctx, t.variants[i])
			if err != nil {
				return nil, err
			}
			w.Error, w.Accuracy = found.Error, found.Accuracy
		}
		r.Uniform = append(r.Uniform, w)
	}
	r.Front = t.front()
	return r, nil
}

// part makes what tells the progress of a part of a task.
func part(progress func(float64), from, to float64) func(float64) {
	return func(done float64) {
		if progress != nil {
			progress(from + done*(to-from))
		}
	}
}

// A table is what is known of a model's layers at each sparsity.
type table struct {
	base       *graph.Model // dense
	sparsities []float64    // from 0 on
	layers     []Layer
	variants   []*graph.Model // the base with all layers at each sparsity
	plan       runtime.Report // of the base
	runs       []float64      // of the variants, in microseconds; nil where nothing was measured
	rest       float64        // of a run, beside the layers, in microseconds
	ofWeights  bool           // errors are
	scale      float64        // what runs take over the sum of their steps
}

// newTable prunes all layers to each of the sparsities and finds out what they
// take, by the cost model or in turns on this machine.
func newTable(ctx context.Context, m *graph.Model, o Options) (*table, error) {
	sparsities := o.Sparsities
	if sparsities == nil {
		sparsities = Sparsities()
	}
	if err := CheckSparsities(sparsities); err != nil {
		return nil, err
	}
	t := &table{base: m, sparsities: append([]float64{0}, sparsities...), scale: 1, ofWeights: o.Data == nil}
	var taken []prune.Layer
	for _, s := range t.sparsities {
		p := o.Prune
		p.Sparsity = s
		pruned, r, err := prune.Apply(ctx, m, p)
		if err != nil {
			return nil, err
		}
		if s == 0 {
			for _, l := range r.Layers {
				taken = append(taken, l.Layer)
			}
			pruned = m
		}
		t.variants = append(t.variants, pruned)
	}
	plans, err := t.time(ctx, o)
	if err != nil {
		return nil, err
	}
	t.plan = plans[0].Plan
	t.layers = layersOf(taken, t.plan.Steps)
	for i := range t.layers {
		t.layers[i].Size = size(m, t.layers[i].Weights)
		for k := range t.sparsities {
			t.layers[i].Points = append(t.layers[i].Points, t.point(t.layers[i], k, plans[k]))
		}
	}
	if o.Measure {
		t.split(plans)
	}
	return t, nil
}

// CheckSparsities reports what is wrong with sparsities to try.
func CheckSparsities(sparsities []float64) error {
	last := 0.0
	for _, s := range sparsities {
		if !(s > last && s <= 1) {
			return fmt.Errorf("sparsities %v: expected rising fractions above 0 and at most 1", sparsities)
		}
		last = s
	}
	return nil
}

// time compiles the variants, their nodes named after the weights, and measures
// them if that is asked for.
func (t *table) time(ctx context.Context, o Options) ([]bench.Timed, error) {
	var named []*graph.Model
	for _, v := range t.variants {
		named = append(named, nameNodes(v))
	}
	if o.Measure {
		return bench.TimeInTurns(ctx, named, true, o.Bench)
	}
	var plans []bench.Timed
	for i, m := range named {
		part(o.Bench.Progress, 0, 1)(float64(i) / float64(len(named)))
		p, err := runtime.Compile(ctx, m, o.Bench.Config())
		if err != nil {
			return nil, err
		}
		plans = append(plans, bench.Timed{Plan: p.Explain()})
	}
	return plans, nil
}

// nameNodes copies a model and names each node with a weight that can be pruned
// after the weight, so that it is found in a plan: names of nodes need not be
// there, nor differ.
func nameNodes(m *graph.Model) *graph.Model {
	m = m.Clone()
	weights := make(map[string]string) // by the values that hold them
	for _, l := range prune.Layers(m) {
		weights[l.Weight] = l.Weight
	}
	for _, n := range m.Nodes {
		for _, in := range n.Inputs {
			w, ok := weights[in]
			switch {
			case !ok:
			case n.Op == "Identity":
				weights[n.Outputs[0]] = w
			default:
				n.Name = w
			}
		}
	}
	return m
}

// layersOf joins the weights that a step multiplies with together, which has
// the name of the first of them.
func layersOf(taken []prune.Layer, steps []runtime.LayerReport) []Layer {
	var layers []Layer
	room := 0 // weights that the last step has beside those that are found
	for _, l := range taken {
		n := elements(l.Shape)
		i := slices.IndexFunc(steps, func(s runtime.LayerReport) bool { return s.M > 0 && s.Name == l.Weight })
		if i < 0 && n <= room {
			last := &layers[len(layers)-1]
			last.Weights = append(last.Weights, l.Weight)
			room -= n
			continue
		}
		layer := Layer{Name: l.Node, Op: l.Kind, Weights: []string{l.Weight}}
		if layer.Name == "" {
			layer.Name = l.Weight
		}
		room = 0
		if i >= 0 {
			s := steps[i]
			layer.M, layer.K, layer.N = s.M, s.K, s.N
			room = s.M*s.K - n
		}
		layers = append(layers, layer)
	}
	return layers
}

func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

func size(m *graph.Model, weights []string) int {
	n := 0
	for _, w := range weights {
		n += m.Weights[w].Len()
	}
	return n
}

// point describes a layer at the k-th sparsity. A weight that several nodes use
// has several steps; one that a plan needs for no step takes no time.
func (t *table) point(l Layer, k int, plan bench.Timed) Point {
	p := Point{Sparsity: t.sparsities[k]}
	zeros := 0
	for _, w := range l.Weights {
		for _, x := range t.variants[k].Weights[w].Floats() {
			if x == 0 {
				zeros++
			}
		}
	}
	p.Zeros = float64(zeros) / float64(max(1, l.Size))
	for i, s := range plan.Plan.Steps {
		if s.M == 0 || s.Name != l.Weights[0] {
			continue
		}
		p.Format, p.Kernel = s.Format, s.Kernel
		p.PredictedUS += s.Predicted[s.Format]
		if plan.US != nil {
			p.MeasuredUS += plan.US[i]
		}
	}
	return p
}

// split tells what of the runs is beside the layers. What a run takes over the
// sum of the medians of its steps is shared out: where other processes interrupt,
// they rarely hit the same step and often a run.
func (t *table) split(plans []bench.Timed) {
	var rests, factors []float64
	for k, p := range plans {
		sum := 0.0
		for _, us := range p.US {
			sum += us
		}
		t.runs = append(t.runs, p.Run.P50*1e3)
		factors = append(factors, p.Run.P50*1e3/sum)
		for _, l := range t.layers {
			sum -= l.Points[k].MeasuredUS
		}
		rests = append(rests, sum)
	}
	t.rest, t.scale = median(rests), median(factors)
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// errors fills in the errors of all points.
func (t *table) errors(ctx context.Context, j *judge, progress func(float64)) error {
	for i := range t.layers {
		l := &t.layers[i]
		for k := range l.Points {
			progress((float64(i) + float64(k)/float64(len(l.Points))) / float64(len(t.layers)))
			p := &l.Points[k]
			if k > 0 && p.Zeros == l.Points[k-1].Zeros { // nothing more went
				p.Error, p.Accuracy = l.Points[k-1].Error, l.Points[k-1].Accuracy
				continue
			}
			found, err := t.pointError(ctx, j, l.Weights, k)
			if err != nil {
				return err
			}
			p.Error, p.Accuracy = found.Error, found.Accuracy
		}
	}
	return nil
}

func (t *table) pointError(ctx context.Context, j *judge, weights []string, k int) (Found, error) {
	if j.data == nil {
		return Found{Error: weightError(t.base, t.variants[k], weights)}, ctx.Err()
	}
	if k == 0 {
		return Found{Accuracy: j.accuracy}, nil
	}
	m := j.packed.Clone()
	for _, w := range weights {
		m.Weights[w] = t.variants[k].Weights[w]
	}
	return j.judge(ctx, m)
}

// weightError is the L2 norm of what weights lose over that of the weights: the
// relative error of a layer's outputs where its inputs are independent and of
// one variance.
func weightError(base, pruned *graph.Model, weights []string) float64 {
	lost, all := 0.0, 0.0
	for _, name := range weights {
		after := pruned.Weights[name].Floats()
		for i, x := range base.Weights[name].Floats() {
			d := float64(x) - float64(after[i])
			lost += d * d
			all += float64(x) * float64(x)
		}
	}
	return relative(lost, all)
}

// relative is the root of a ratio of sums of squares.
func relative(lost, all float64) float64 {
	if lost == 0 {
		return 0
	}
	return math.Sqrt(lost / max(all, math.SmallestNonzeroFloat64))
}

// model assembles the model that has each layer at the sparsity of its pick.
func (t *table) model(picks []int) *graph.Model {
	m := t.base.Clone()
	for i, l := range t.layers {
		for _, w := range l.Weights {
			m.Weights[w] = t.variants[picks[i]].Weights[w]
		}
	}
	return m
}

// whole says what is expected of a sparsity for each layer.
func (t *table) whole(picks []int) Whole {
	w := Whole{MS: t.rest}
	zeros, all, squares := 0.0, 0.0, 0.0
	for i, k := range picks {
		l := t.layers[i]
		w.MS += l.Points[k].us()
		squares += l.Points[k].Error * l.Points[k].Error
		zeros += l.Points[k].Zeros * float64(l.Size)
		all += float64(l.Size)
	}
	w.MS *= t.scale / 1e3
	w.Error = t.sum(squares)
	w.Zeros = zeros / max(1, all)
	return w
}

// sum is the error of a model whose layers' errors have a sum of squares. Errors
// of outputs add up as independent ones do; those of weights are averaged.
func (t *table) sum(squares float64) float64 {
	if t.ofWeights {
		squares /= float64(len(t.layers))
	}
	return math.Sqrt(squares)
}

// wholeMS is the latency of the variant at the k-th sparsity.
func (t *table) wholeMS(k int) float64 {
	if t.runs != nil {
		return t.runs[k] / 1e3
	}
	return t.whole(slices.Repeat([]int{k}, len(t.layers))).MS
}

// frontPoints is how many budgets a front is drawn from.
const frontPoints = 24

// front finds the least errors for latencies from the least to the dense one.
func (t *table) front() []Whole {
	byTime := t.options(func(p Point) option { return option{p.us(), p.Error * p.Error} })
	least, dense := 0.0, 0.0
	for i, options := range byTime {
		least += options[cheapest(options)].cost
		dense += t.layers[i].Points[0].us()
	}
	var front []Whole
	for i := range frontPoints + 1 {
		picks, ok := choose(byTime, least+(dense-least)*float64(i)/frontPoints)
		if !ok {
			continue
		}
		w := t.whole(picks)
		if n := len(front); n == 0 || w.MS > front[n-1].MS && w.Error < front[n-1].Error {
			front = append(front, w)
		}
	}
	if dense := t.whole(make([]int, len(t.layers))); len(front) == 0 || dense.Error < front[len(front)-1].Error {
		front = append(front, dense) // which rounding to the grid may leave out
	}
	return front
}

// options turns the points of every layer into options.
func (t *table) options(of func(Point) option) [][]option {
	all := make([][]option, len(t.layers))
	for i, l := range t.layers {
		for _, p := range l.Points {
			all[i] = append(all[i], of(p))
		}
	}
	return all
}

// sparsity names what the weights of the layers are pruned to; those that stay
// dense are left out.
func (t *table) sparsity(picks []int) prune.Layerwise {
	s := make(prune.Layerwise)
	for i, l := range t.layers {
		for _, w := range l.Weights {
			if k := picks[i]; k > 0 {
				s[w] = t.sparsities[k]
			}
		}
	}
	return s
}
