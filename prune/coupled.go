package prune

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// ChannelOptions say which channels of the groups of a model go.
type ChannelOptions struct {
	Shapes Shapes
	// Sparsity is the fraction of channels that are zero afterwards, counted
	// within the scope: round(Sparsity·n) of n, halves to even.
	Sparsity float64
	Scope    Scope // Local, which nil is, or Global
	// Floor is the fraction of channels that every group keeps at least; one
	// channel of each layer stays anyway.
	Floor float64
	// RoundTo makes what is left of each layer a multiple, by keeping more; 0 and
	// 1 keep none more.
	RoundTo int
	Norm    Norm // L1 or L2
	// Criterion scores the weights of a channel, of which the norm counts: all that
	// make and read it, or where it judges outputs, those that make it. Nil is the
	// magnitude, see [Magnitudes].
	Criterion Criterion
	// Score, if it is not nil, judges the channels of a group instead: one number
	// each, of which the smallest go. Under scope Global the
	// scores of a group are divided by their mean, so that groups whose weights
	// are larger do not always win.
	Score func(g Group) ([]float64, error)
	// Include and Exclude select groups as [Options] has it for layers, by the
	// names of the weights and nodes that make their channels. A group goes by
	// what any of them matches.
	Include, Exclude []string
}

// MaskChannels sets to zero what makes and what reads the channels of the lowest
// scores, and returns the result as a new model of the same shape: rows and
// columns of weights, biases, scales of batch normalisations. [Shrink] then
// takes them out. Of equal scores the lower index goes first, through the groups
// in node order.
//
// Source: Li et al., Pruning Filters for Efficient ConvNets, 2017; for groups
// Fang et al., DepGraph: Towards Any Structural Pruning, 2023.
func MaskChannels(ctx context.Context, m *graph.Model, o ChannelOptions) (*graph.Model, ShrinkReport, error) {
	if err := o.check(); err != nil {
		return nil, ShrinkReport{}, err
	}
	a, err := analyse(m, o.Shapes)
	if err != nil {
		return nil, ShrinkReport{}, err
	}
	if o.Score == nil && o.Criterion != nil {
		if o.Score, err = a.scoreBy(ctx, m, o); err != nil {
			return nil, ShrinkReport{}, err
		}
	}
	removed, err := a.choose(o)
	if err != nil {
		return nil, ShrinkReport{}, err
	}
	out := a.mask(m, removed)
	var report ShrinkReport
	for _, g := range a.groups {
		report.Groups = append(report.Groups, g.report(removed, nil))
	}
	report.ParametersBefore, report.ParametersAfter = parameters(m), parameters(out)
	return out, report, nil
}

func (o ChannelOptions) check() error {
	switch {
	case !(o.Sparsity >= 0 && o.Sparsity <= 1):
		return fmt.Errorf("sparsity %v: expected a fraction between 0 and 1", o.Sparsity)
	case !(o.Floor >= 0 && o.Floor <= 1):
		return fmt.Errorf("floor %v: expected a fraction between 0 and 1", o.Floor)
	case o.Norm != L1 && o.Norm != L2:
		return fmt.Errorf("norm %v of channels: expected l1 or l2", o.Norm)
	case o.RoundTo < 0:
		return fmt.Errorf("rounding to a multiple of %d: expected 1 or more", o.RoundTo)
	}
	switch o.Scope.(type) {
	case nil, Local, Global:
		return nil
	}
	return fmt.Errorf("scope %v of channels: expected local or global", o.Scope)
}

// local reports whether each group loses the same fraction.
func (o ChannelOptions) local() bool {
	_, global := o.Scope.(Global)
	return !global
}

// A candidate is a channel with its score.
type candidate struct {
	group, channel int
	score          float64
}

// choose returns the classes that go.
func (a *analysis) choose(o ChannelOptions) (map[label]bool, error) {
	groups, err := a.chosen(o)
	if err != nil {
		return nil, err
	}
	score := make(map[label]float64)
	var all [][]candidate // by scope
	for i, g := range groups {
		s, err := o.scores(g)
		if err != nil {
			return nil, err
		}
		list := make([]candidate, len(s))
		for ch, v := range s {
			list[ch] = candidate{i, ch, v}
			score[g.classes[ch]] = v
		}
		if o.local() || len(all) == 0 {
			all = append(all, list)
		} else {
			all[0] = append(all[0], list...)
		}
	}
	gone := make([]map[int]bool, len(groups))
	for i := range gone {
		gone[i] = make(map[int]bool)
	}
	for _, list := range all {
		n := int(math.RoundToEven(o.Sparsity * float64(len(list))))
		sortCandidates(list)
		for _, c := range list {
			g := groups[c.group]
			least := max(1, int(math.Ceil(o.Floor*float64(len(g.classes)))))
			if n == 0 {
				break
			}
			if len(g.classes)-len(gone[c.group]) > least {
				gone[c.group][c.channel] = true
				n--
			}
		}
	}
	removed := make(map[label]bool)
	for i, g := range groups {
		keep := min(roundUp(len(g.classes)-len(gone[i]), o.RoundTo, g.Width), len(g.classes))
		var order []candidate
		for ch := range gone[i] {
			order = append(order, candidate{i, ch, score[g.classes[ch]]})
		}
		sortCandidates(order)
		for _, c := range order[:len(g.classes)-keep] {
			removed[g.classes[c.channel]] = true
		}
	}
	a.spare(removed, score)
	return removed, nil
}

// sortCandidates puts the lowest scores first; a NaN counts as larger than any
// number.
func sortCandidates(list []candidate) {
	rank := func(c candidate) float64 {
		if math.IsNaN(c.score) {
			return math.Inf(1)
		}
		return c.score
	}
	slices.SortFunc(list, func(a, b candidate) int {
		switch x, y := rank(a), rank(b); {
		case x < y:
			return -1
		case x > y:
			return 1
		case a.group != b.group:
			return a.group - b.group
		}
		return a.channel - b.channel
	})
}

// chosen returns the groups that take part.
func (a *analysis) chosen(o ChannelOptions) ([]*Group, error) {
	in, err := compile(o.Include)
	if err != nil {
		return nil, err
	}
	ex, err := compile(o.Exclude)
	if err != nil {
		return nil, err
	}
	var groups []*Group
	free := 0
	for i := range a.groups {
		g := &a.groups[i]
		if g.Reason != "" {
			continue
		}
		free++
		included, excluded := len(in) == 0, false
		for _, p := range g.Parts {
			if p.Role == Out {
				l := Layer{Weight: p.Value, Node: p.name, Kind: p.Op}
				included = included || l.matches(in)
				excluded = excluded || l.matches(ex)
			}
		}
		if included && !excluded {
			groups = append(groups, g)
		}
	}
	if len(groups) == 0 {
		if free > 0 {
			return nil, fmt.Errorf("none of the %d groups of channels matches include %q without exclude %q", free, o.Include, o.Exclude)
		}
		return nil, fmt.Errorf("the model has no channels that can leave it: those of all %d layers are coupled to something that stays", len(a.groups))
	}
	return groups, nil
}

// scores returns the scores of a group's channels.
func (o ChannelOptions) scores(g *Group) ([]float64, error) {
	judge := o.Score
	if judge == nil {
		judge = func(g Group) ([]float64, error) { return Magnitudes(g, o.Norm), nil }
	}
	s, err := judge(*g)
	if err != nil {
		return nil, err
	}
	if len(s) != len(g.classes) {
		return nil, fmt.Errorf("group %q: %d scores for %d channels", g.Name, len(s), len(g.classes))
	}
	if o.local() {
		return s, nil
	}
	mean := 0.0
	for _, v := range s {
		mean += v / float64(len(s))
	}
	s = slices.Clone(s)
	if mean > 0 {
		for i := range s {
			s[i] /= mean
		}
	}
	return s, nil
}

// Magnitudes returns the norm of all weights that a channel is coupled to, rows
// and columns, the scales of normalisations with them; biases and statistics are
// left out.
func Magnitudes(g Group, norm Norm) []float64 {
	score := make([]float64, g.Channels)
	for _, p := range g.Parts {
		if p.Role == Bias || p.Role == Statistic {
			continue
		}
		p.Each(func(ch int, v float32) {
			if norm == L2 {
				score[ch] += float64(v) * float64(v)
			} else {
				score[ch] += math.Abs(float64(v))
			}
		})
	}
	if norm == L2 {
		for i := range score {
			score[i] = math.Sqrt(score[i])
		}
	}
	return score
}

// scoreBy returns a Score that asks a criterion, which is calibrated for the
// layers of the groups first.
func (a *analysis) scoreBy(ctx context.Context, m *graph.Model, o ChannelOptions) (func(g Group) ([]float64, error), error) {
	outputs := false // are judged as a whole
	if c, ok := o.Criterion.(*Channels); ok {
		if outputs = !c.Inputs; !outputs {
			return nil, fmt.Errorf("%v judges inputs: expected a criterion of outputs or weights", c)
		}
	}
	scored := func(p Part) bool { return p.Role == Out || p.Role == In && !outputs }
	layers := make(map[string]Layer)
	var list []Layer
	for _, l := range Layers(m) {
		layers[l.Weight] = l
		if slices.ContainsFunc(a.groups, func(g Group) bool {
			return g.Reason == "" && slices.ContainsFunc(g.Parts, func(p Part) bool { return scored(p) && p.Value == l.Weight })
		}) {
			list = append(list, l)
		}
	}
	if c, ok := o.Criterion.(Calibrated); ok {
		if err := c.Calibrate(ctx, m, list); err != nil {
			return nil, err
		}
	}
	return func(g Group) ([]float64, error) {
		var parts []Part
		for _, p := range g.Parts {
			l, ok := layers[p.Value]
			if !ok || !scored(p) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			s, err := o.Criterion.Saliency(l, m.Weights[l.Weight].Floats())
			if err != nil {
				return nil, fmt.Errorf("weight %q: %w", l.Weight, err)
			}
			p.Constant = graph.FromFloats(p.Constant.Shape, s)
			parts = append(parts, p)
		}
		if len(parts) == 0 {
			return nil, fmt.Errorf("group %q: no weight that the criterion scores", g.Name)
		}
		g.Parts = parts
		return Magnitudes(g, o.Norm), nil
	}, nil
}

// mask sets what belongs to classes to zero in weights, biases and scales of m.
func (a *analysis) mask(m *graph.Model, removed map[label]bool) *graph.Model {
	out := m.Clone()
	out.Packed = nil
	constants := make(map[string]*graph.Node)
	for _, n := range out.Nodes {
		if n.Op == "Constant" && len(n.Outputs) == 1 {
			constants[n.Outputs[0]] = n
		}
	}
	done := make(map[string]bool)
	for _, p := range a.parts {
		name := a.origin(p.Value)
		if p.Role == Statistic || name == "" || done[name] {
			continue
		}
		done[name] = true
		t := a.m.Weights[name]
		masked := t
		for axis, ix := range a.labels[name] {
			zero := make([]bool, len(ix))
			for i, l := range ix {
				zero[i] = removed[a.find(l)]
			}
			if slices.Contains(zero, true) {
				masked = clearSlices(masked, axis, zero)
			}
		}
		switch {
		case masked == t:
		case constants[name] != nil:
			constants[name].Attrs = nil
			constants[name].Set("value", masked)
		default:
			out.Weights[name] = masked
		}
	}
	return out
}

// clearSlices returns a tensor with slices along an axis set to zero.
func clearSlices(t *graph.Tensor, axis int, zero []bool) *graph.Tensor {
	inner := 1
	for _, d := range t.Shape[axis+1:] {
		inner *= d
	}
	n := t.Shape[axis]
	raw, size := slices.Clone(t.Raw()), t.DType.Bits()/8
	if t.Sparse() != nil {
		raw = slices.Clone(graph.FromFloats(t.Shape, t.Floats()).Raw())
	}
	for i := range t.Len() / inner {
		if zero[i%n] {
			clear(raw[i*inner*size : (i+1)*inner*size])
		}
	}
	out, err := graph.NewTensor(t.DType, t.Shape, raw)
	if err != nil {
		panic("prune: " + err.Error()) // same type, shape and bytes as t
	}
	return out.Compact()
}
