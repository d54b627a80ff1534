package prune

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// A Method is a way to make up for pruned weights without training.
type Method uint8

// The methods.
const (
	// BiasCorrection adds to the bias of each layer what its outputs have lost in
	// the mean: the least that can be done, and next to nothing to compute.
	//
	// Source: Nagel et al., Data-Free Quantization Through Weight Equalization and
	// Bias Correction, 2019.
	BiasCorrection Method = iota + 1
	// Refit gives the weights that are left, and the bias, the values that bring
	// the outputs of the layer closest to those of the dense model, in the mean of
	// squares: a linear regression for each row. Inputs are those that the layer
	// gets behind pruned layers, so that it makes up for what these lost, too.
	//
	// Source: He et al., Channel Pruning for Accelerating Very Deep Neural
	// Networks, 2017, whose reconstruction this is, for any support.
	Refit
	// SparseGPT removes the weights column by column, and has those to the right
	// make up for each as well as they can. Unlike its authors' it begins with
	// what makes up for pruned layers before, as Refit does, and the bias takes
	// part: without both a convolutional network without normalisation is lost at
	// sparsities where Refit keeps it.
	//
	// Source: Frantar and Alistarh, SparseGPT: Massive Language Models Can Be
	// Accurately Pruned in One-Shot, 2023.
	SparseGPT
)

var methodNames = map[Method]string{BiasCorrection: "bias", Refit: "refit", SparseGPT: "sparsegpt"}

func (m Method) String() string { return methodNames[m] }

// ParseMethod reads what Method.String writes.
func ParseMethod(s string) (Method, error) {
	for m, name := range methodNames {
		if s == name {
			return m, nil
		}
	}
	return 0, fmt.Errorf("recovery %q: expected bias, refit or sparsegpt", s)
}

// A Recovery says how to make up for pruned weights.
type Recovery struct {
	Method      Method
	Calibration Calibration
	// Damping is what is added to the diagonal of a Hessian, as a share of its
	// mean; 0 is DefaultDamping.
	Damping float64
	// Choose has SparseGPT decide anew which weights go, as it goes: in every
	// SparseGPTBlock columns those that cost least by then. A layer loses as many
	// units of Granularity, [Weight], [Block] or [Pattern], as it has lost already;
	// nil is Weight.
	Choose      bool
	Granularity Granularity
}

// DefaultDamping is that of SparseGPT's authors.
const DefaultDamping = 0.01

// MaxSupport is how many weights of a row Refit can give new values to: with s
// of them a row takes s³/6 multiply-adds and 8·s² bytes.
const MaxSupport = 2048

// Recover adjusts the weights that pruning has left, and biases, so that the
// layers compute on data what those of the dense model do. The models have the
// same nodes; layers are those whose weights differ. It goes from the inputs to
// the outputs, and runs the data through both models for each stage of layers
// that do not depend on each other, with all layers before them as they came out.
//
// Layers that Refit and SparseGPT cannot treat are errors that name them:
// weights that are not float32, and rows of too many inputs or weights.
func Recover(ctx context.Context, dense, pruned *graph.Model, r Recovery) (*graph.Model, error) {
	if methodNames[r.Method] == "" {
		return nil, fmt.Errorf("no method of recovery %d", r.Method)
	}
	if r.Damping == 0 {
		r.Damping = DefaultDamping
	}
	if !(r.Damping > 0) {
		return nil, fmt.Errorf("a damping of %v: expected a positive number", r.Damping)
	}
	if r.Choose {
		switch r.Granularity.(type) {
		case nil, Weight, Block, Pattern:
		default:
			return nil, fmt.Errorf("SparseGPT chooses weights, blocks and N:M, not units of a %v", r.Granularity)
		}
	}
	layers, err := changed(dense, pruned)
	if err != nil {
		return nil, err
	}
	out := pruned.Clone()
	out.Packed = nil
	for _, stage := range stages(dense, layers) {
		for len(stage) > 0 {
			some := r.fitting(stage)
			stage = stage[len(some):]
			if err := r.stage(ctx, dense, out, some); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// changed lists the layers whose weights differ between two models.
func changed(dense, pruned *graph.Model) ([]Layer, error) {
	var layers []Layer
	for _, l := range Layers(pruned) {
		a, b := dense.Weights[l.Weight], pruned.Weights[l.Weight]
		if a == nil || !slices.Equal(a.Shape, b.Shape) {
			return nil, fmt.Errorf("weight %q: the dense model has none of shape %v", l.Weight, b.Shape)
		}
		if a == b || slices.Equal(a.Floats(), b.Floats()) {
			continue
		}
		if b.DType != graph.Float32 {
			return nil, fmt.Errorf("weight %q is %s: only float32 weights can be given new values", l.Weight, b.DType)
		}
		layers = append(layers, l)
	}
	return layers, nil
}

// stages sorts layers by how many others lie on the way to them, so that those
// of a stage do not depend on each other.
func stages(m *graph.Model, layers []Layer) [][]Layer {
	at := make(map[*graph.Node]int) // layer that a node belongs to
	for i, uses := range usesOf(m, layers) {
		for _, u := range uses {
			at[u.node] = i
		}
	}
	depth := make(map[string]int) // of a value
	stage := make([]int, len(layers))
	for _, n := range m.Nodes {
		d := 0
		for _, name := range n.Uses() {
			d = max(d, depth[name])
		}
		if i, ok := at[n]; ok {
			stage[i] = max(stage[i], d)
			d = stage[i] + 1
		}
		for _, name := range n.Outputs {
			depth[name] = d
		}
	}
	var all [][]Layer
	for i, l := range layers {
		for len(all) <= stage[i] {
			all = append(all, nil)
		}
		all[stage[i]] = append(all[stage[i]], l)
	}
	return all
}

// fitting returns the first layers whose Hessians fit into memory together, and
// at least one.
func (r Recovery) fitting(layers []Layer) []Layer {
	n := 1
	for n < len(layers) && (r.Method == BiasCorrection || 2*hessianBytes(layers[:n+1]) <= MaxHessianBytes) {
		n++
	}
	return layers[:n]
}

// stage recovers layers of out that do not depend on each other.
func (r Recovery) stage(ctx context.Context, dense, out *graph.Model, layers []Layer) error {
	uses, denseUses := usesOf(out, layers), usesOf(dense, layers)
	pairs := make([]*pair, len(layers))
	var values []string
	for i, l := range layers {
		if r.Method != BiasCorrection {
			if err := l.checkHessian(); err != nil {
				return err
			}
		}
		if len(uses[i]) != len(denseUses[i]) {
			return fmt.Errorf("weight %q: %d nodes use it, %d in the dense model", l.Weight, len(uses[i]), len(denseUses[i]))
		}
		pairs[i] = r.newPair(l, uses[i])
		pairs[i].denseUses = denseUses[i]
		for _, u := range uses[i] {
			values = append(values, u.in)
		}
	}
	before, after := newProbe(dense, values, r.Calibration.Config), newProbe(out, values, r.Calibration.Config)
	defer before.close()
	defer after.close()
	err := r.Calibration.each(ctx, func(set map[string]*graph.Tensor) error {
		return before.run(ctx, set, func(valueBefore valueFunc) error {
			return after.run(ctx, set, func(valueAfter valueFunc) error {
				for _, p := range pairs {
					if err := ctx.Err(); err != nil {
						return err
					}
					if err := p.add(valueBefore, valueAfter); err != nil {
						return fmt.Errorf("weight %q: %w", p.layer.Weight, err)
					}
				}
				return nil
			})
		})
	})
	if err != nil {
		return err
	}
	for _, p := range pairs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.layer(dense, out, p); err != nil {
			return fmt.Errorf("weight %q: %w", p.layer.Weight, err)
		}
	}
	return nil
}

// layer gives a layer of out its new weights and biases.
func (r Recovery) layer(dense, out *graph.Model, p *pair) error {
	at := p.layer.at
	w, v := dense.Weights[p.layer.Weight].Floats(), slices.Clone(out.Weights[p.layer.Weight].Floats())
	reason := p.biasable(dense)
	if reason != nil && r.Method == BiasCorrection {
		return reason
	}
	biased := reason == nil
	delta := make([]float64, at.groups*at.rows)
	for g := range at.groups {
		s := system{
			rows: at.rows, cols: at.cols,
			dense: at.gather(w, g), weight: at.gather(v, g),
			mean: p.after[g], meanDense: p.before[g], columns: float64(p.columns),
		}
		if r.Method != BiasCorrection {
			s.hessian, s.cross = p.hessian[g].total(), p.cross[g].total()
			if biased {
				s.center()
			}
		}
		var err error
		switch r.Method {
		case Refit:
			err = s.refit(r.Damping)
		case SparseGPT:
			err = s.sparseGPT(r)
		}
		if err != nil {
			return err
		}
		if biased {
			s.bias(delta[g*at.rows:][:at.rows])
		}
		at.scatter(v, g, s.weight)
	}
	for i, x := range v {
		if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("new weight %d is %v: the inputs of the layer are not finite", i, x)
		}
	}
	if r.Method != BiasCorrection {
		out.Weights[p.layer.Weight] = graph.FromFloats(p.layer.Shape, v).Compact()
	}
	if biased {
		return p.addBias(dense, out, delta)
	}
	return nil
}

// A pair sums up the inputs that a layer gets in the dense model, and those
// that it gets in the pruned one.
type pair struct {
	layer         Layer
	uses          []use
	denseUses     []use // the same in the dense model
	vector        bool  // inputs are a vector rather than a matrix
	sampler       sampler
	columns       int
	before, after [][]float64 // sums of inputs, for each group
	hessian       []*gram     // of the pruned model; nil where not needed
	cross         []*gram     // of the pruned model's with the dense one's
	a, b          []float32
}

func (r Recovery) newPair(l Layer, uses []use) *pair {
	p := &pair{layer: l, uses: uses, sampler: r.Calibration.sampler(l), a: make([]float32, l.at.cols), b: make([]float32, l.at.cols)}
	for range l.at.groups {
		p.before = append(p.before, make([]float64, l.at.cols))
		p.after = append(p.after, make([]float64, l.at.cols))
		if r.Method != BiasCorrection {
			p.hessian = append(p.hessian, newGram(l.at.cols, false))
			p.cross = append(p.cross, newGram(l.at.cols, true))
		}
	}
	return p
}

func (p *pair) add(before, after valueFunc) error {
	for _, u := range p.uses {
		x, err := before(u.in)
		if err != nil {
			return err
		}
		y, err := after(u.in)
		if err != nil {
			return err
		}
		if !slices.Equal(x.Shape, y.Shape) {
			return fmt.Errorf("its input has shape %v in the dense model and %v in the pruned one", x.Shape, y.Shape)
		}
		prod, err := productOf(p.layer, u, x.Shape)
		if err != nil {
			return err
		}
		p.vector = p.vector || len(x.Shape) == 1
		columns := p.sampler.choose(prod.columns)
		p.columns += len(columns)
		for g := range p.layer.at.groups {
			for _, c := range columns {
				prod.input(x.F, g, c, p.a)
				prod.input(y.F, g, c, p.b)
				for i := range p.a {
					p.before[g][i] += float64(p.a[i])
					p.after[g][i] += float64(p.b[i])
				}
				if p.hessian != nil {
					p.hessian[g].add(p.b, p.b)
				}
				if p.cross != nil {
					p.cross[g].add(p.b, p.a)
				}
			}
		}
	}
	return nil
}

// gather returns the matrix of a group, outputs x inputs.
func (p placement) gather(values []float32, group int) []float64 {
	out := make([]float64, 0, p.rows*p.cols)
	for row := range p.rows {
		for col := range p.cols {
			out = append(out, float64(values[group*p.groupStride+row*p.rowStride+col*p.colStride]))
		}
	}
	return out
}

// scatter is the inverse of gather.
func (p placement) scatter(values []float32, group int, matrix []float64) {
	for row := range p.rows {
		for col := range p.cols {
			values[group*p.groupStride+row*p.rowStride+col*p.colStride] = float32(matrix[row*p.cols+col])
		}
	}
}

// A system is the problem of one matrix: weight, which is to compute from the
// inputs that it gets what dense computes from those of the dense model.
type system struct {
	rows, cols      int
	dense, weight   []float64 // rows x cols
	hessian, cross  []float64 // cols x cols, sums over columns
	mean, meanDense []float64 // sums over columns of the inputs and of the dense model's
	columns         float64
}

// center takes the means out of the second moments, so that they are those of
// a regression with an intercept.
func (s *system) center() {
	for i := range s.cols {
		axpy(s.hessian[i*s.cols:(i+1)*s.cols], -s.mean[i]/s.columns, s.mean)
		axpy(s.cross[i*s.cols:(i+1)*s.cols], -s.mean[i]/s.columns, s.meanDense)
	}
}

// damping returns what a share of the mean of the diagonal is.
func (s *system) damping(share float64) float64 {
	sum := 0.0
	for i := range s.cols {
		sum += s.hessian[i*s.cols+i]
	}
	return share * sum / float64(s.cols)
}

// bias stores what the outputs lack in the mean.
func (s *system) bias(delta []float64) {
	for row := range delta {
		at := row * s.cols
		delta[row] = (dot(s.dense[at:at+s.cols], s.meanDense) - dot(s.weight[at:at+s.cols], s.mean)) / s.columns
	}
}
