package prune

import (
	"fmt"
	"maps"
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime/ops"
)

// ShrinkOptions say how channels leave a model.
type ShrinkOptions struct {
	Shapes Shapes
	// RoundTo keeps channels that do nothing, so that what is left of each
	// layer is a multiple; 0 and 1 keep none.
	RoundTo int
	// Approximate lets channels go that hold a constant which is not zero where
	// a padded convolution reads them. The constant goes into its bias, which is
	// right but for the border, where the padding is zero. Without it such
	// channels stay.
	Approximate bool
}

// A ShrinkReport says what left a model.
type ShrinkReport struct {
	ParametersBefore int           `json:"parameters_before"`
	ParametersAfter  int           `json:"parameters_after"`
	Groups           []GroupReport `json:"groups"`
}

// A GroupReport says what one group lost.
type GroupReport struct {
	Name   string `json:"name"`
	Before int    `json:"channels_before"`
	After  int    `json:"channels_after"`
	Width  int    `json:"width"` // outputs of a channel
	// Reason says why no channel of it can leave.
	Reason string `json:"reason,omitempty"`
	// Constant counts channels that hold a constant and stay, and Stays says why
	// the first of them does.
	Constant int      `json:"constant,omitempty"`
	Stays    string   `json:"stays,omitempty"`
	Nodes    []string `json:"nodes"` // layers that make the channels
}

// Shrink removes channels that do nothing from a model: those that no weight
// reads, and those that hold the same constant whatever the model is given, as
// where all of their weights are zero. activation(bias) of such a channel goes
// into the bias of the layers that read it. The outputs stay what they were, up
// to rounding. Weights, shapes and attributes get smaller with it, and the
// result is a plain model; m is left as it is. At least one channel of each
// layer stays.
//
// Prune channels with [Channels] first to shrink a model that has none of these.
func Shrink(m *graph.Model, o ShrinkOptions) (*graph.Model, ShrinkReport, error) {
	if o.RoundTo < 0 {
		return nil, ShrinkReport{}, fmt.Errorf("rounding to a multiple of %d: expected 1 or more", o.RoundTo)
	}
	a, err := analyse(m, o.Shapes)
	if err != nil {
		return nil, ShrinkReport{}, err
	}
	for {
		out, report, e := a.shrink(o)
		if e == nil {
			report.ParametersBefore, report.ParametersAfter = parameters(a.m), parameters(out)
			return out, report, nil
		}
		if a, err = a.without(e); err != nil {
			return nil, ShrinkReport{}, err
		}
	}
}

// parameters counts the elements of floating-point weights.
func parameters(m *graph.Model) int {
	n := 0
	for _, w := range m.Weights {
		if w.DType.Float() {
			n += w.Len()
		}
	}
	return n
}

func (a *analysis) shrink(o ShrinkOptions) (*graph.Model, ShrinkReport, *sizeError) {
	emits := a.emissions()
	alive := a.alive(emits, o.Approximate)
	removed := make(map[label]bool)
	for _, g := range a.groups {
		dead := slices.DeleteFunc(slices.Clone(g.classes), func(l label) bool { return alive[l] != nil })
		for _, l := range dead[:len(dead)-g.padding(len(g.classes)-len(dead), o.RoundTo)] {
			removed[l] = true
		}
	}
	a.spare(removed, nil)
	var report ShrinkReport
	for _, g := range a.groups {
		report.Groups = append(report.Groups, g.report(removed, alive))
	}
	r, err := a.resize(removed)
	if err != nil {
		return nil, report, err
	}
	out := r.model(a.fold(r, emits, o.Approximate), r.cut)
	return out, report, a.check(out, r)
}

// padding returns how many dead channels of a group stay beside the live ones.
func (g *Group) padding(live, roundTo int) int {
	keep := min(roundUp(max(live, 1), roundTo, g.Width), len(g.classes))
	return max(0, keep-live)
}

// roundUp returns the least number of channels from n on whose outputs are a
// multiple.
func roundUp(n, multiple, width int) int {
	if multiple <= 1 {
		return n
	}
	step, rest := multiple, width // their greatest common divisor
	for rest > 0 {
		step, rest = rest, step%rest
	}
	step = multiple / step
	return n + (step-n%step)%step
}

func (g *Group) report(removed map[label]bool, alive map[label]*life) GroupReport {
	r := GroupReport{Name: g.Name, Before: g.Channels, After: g.Channels, Width: g.Width, Reason: g.Reason}
	for _, l := range g.classes {
		if removed[l] {
			r.After--
		} else if l := alive[l]; l != nil && l.constant != "" {
			if r.Constant++; r.Stays == "" {
				r.Stays = l.constant
			}
		}
	}
	for _, p := range g.Parts {
		if p.Role == Out {
			r.Nodes = append(r.Nodes, p.Node)
		}
	}
	return r
}

// A life is why a class must stay.
type life struct {
	constant string // not empty where it holds a constant that cannot be folded
}

// alive returns the classes that do something, in what reads them.
func (a *analysis) alive(emits map[string]*emission, approximate bool) map[label]*life {
	alive := make(map[label]*life)
	mark := func(l label, why life) {
		l = a.find(l)
		if old := alive[l]; old == nil || old.constant != "" && why.constant == "" {
			alive[l] = &why
		}
	}
	for _, u := range a.weighted {
		x := emits[u.x]
		if x != nil && x.axis != u.xAxis {
			x = nil
		}
		zero := a.unread(u)
		foldable := a.foldable(u, approximate)
		for i, l := range a.labels[u.x][u.xAxis] {
			switch {
			case zero[i] || !a.free(l):
			case x == nil || !x.known[i]:
				mark(l, life{})
			case x.value[i] != 0 && foldable != "":
				mark(l, life{fmt.Sprintf("it holds %.3g, and %s %s", x.value[i], u.node, foldable)})
			}
		}
	}
	for _, j := range a.joins {
		for i, l := range a.labels[j.x[0].value][j.x[0].axis] {
			zero := false
			for _, x := range j.x {
				e := emits[x.value]
				zero = zero || e != nil && e.axis == x.axis && e.known[i] && e.value[i] == 0
			}
			if !zero && a.free(l) {
				mark(l, life{})
			}
		}
	}
	return alive
}

// unread returns for each channel that a layer reads whether all weights that
// read it are zero.
func (a *analysis) unread(u weighted) []bool {
	w := a.types[u.w].Const
	n := len(a.labels[u.x][u.xAxis])
	zero := slices.Repeat([]bool{true}, n)
	inner := 1
	for _, d := range w.Shape[u.wAxis+1:] {
		inner *= d
	}
	size := w.Shape[u.wAxis]
	perGroup := n / size // groups of Conv, which share an axis of the weight
	block := w.Len() / max(perGroup, 1)
	for i, v := range w.Floats() {
		if v == 0 { // NaN is not
			continue
		}
		g := 0
		if perGroup > 1 {
			g = i / block // outputs are the first axis, groups side by side
		}
		zero[g*size+i/inner%size] = false
	}
	return zero
}

// foldable says why a constant cannot go into a layer's bias, or "".
func (a *analysis) foldable(u weighted, approximate bool) string {
	p, ok := a.tappedOf(u.node)
	y := a.types[u.node.Outputs[0]]
	switch {
	case !ok || u.x != p.x || u.xAxis != p.xAxis:
		return "has no bias for it"
	case y.DType != graph.Float32:
		return fmt.Sprintf("has a bias of %s", y.DType)
	case u.node.Op == "ConvTranspose":
		return "has outputs that do not all see it"
	case p.borders && !approximate:
		return "pads with zeros, so its border would be off"
	case u.node.Op == "Gemm" && p.beta == 0 && u.node.Input(2) != "":
		return "has a bias that does not count"
	}
	if b := u.node.Input(2); b != "" && u.node.Op != "MatMul" {
		t := a.types[b].Const
		if t == nil || t.DType != graph.Float32 || len(t.Shape) > 1 || t.Len() != 1 && t.Len() != y.Shape[1] {
			return "has a bias that is no vector of constants"
		}
	}
	return ""
}

// A bias is what a layer gets in place of channels that are gone: a vector with
// an element for each output that is left.
type bias struct {
	node  *graph.Node
	value []float32
}

// fold computes biases, by the first output of the layer.
func (a *analysis) fold(r *resizing, emits map[string]*emission, approximate bool) map[string]bias {
	biases := make(map[string]bias)
	for _, u := range a.weighted {
		x := emits[u.x]
		if x == nil || x.axis != u.xAxis {
			continue
		}
		gone := make(map[int]float64)
		for i, l := range a.labels[u.x][u.xAxis] {
			if r.removed[a.find(l)] && x.known[i] && x.value[i] != 0 {
				gone[i] = x.value[i]
			}
		}
		p, ok := a.tappedOf(u.node)
		if len(gone) == 0 || !ok || a.foldable(u, approximate) != "" {
			continue // what reads it is zero
		}
		y := u.node.Outputs[0]
		var values []float32
		some := false
		beta := p.beta
		var old []float32
		if b := u.node.Input(2); b != "" {
			old = a.types[b].Const.Floats()
		} else {
			beta = 1
		}
		out := a.labels[y][p.yAxis]
		for o, l := range out {
			if r.removed[a.find(l)] {
				continue
			}
			sum := 0.0
			p.each(o, func(in int, w float64, zero bool) { sum += gone[in] * w })
			some = some || sum != 0
			sum /= beta
			if old != nil {
				sum += float64(old[o%len(old)])
			}
			values = append(values, float32(sum))
		}
		if some {
			biases[y] = bias{u.node, values}
		}
	}
	return biases
}

// model puts the rewritten nodes, what is left of the weights and the new biases
// together.
func (r *resizing) model(biases map[string]bias, cut func(name string, w *graph.Tensor) *graph.Tensor) *graph.Model {
	m := *r.a.m // a copy that analyse made
	m.Weights = make(map[string]*graph.Tensor)
	for name, w := range r.a.m.Weights {
		m.Weights[name] = cut(name, w)
	}
	maps.Copy(m.Weights, r.weights)
	m.Nodes = nil
	for _, n := range r.nodes {
		m.Nodes = append(m.Nodes, n)
		if len(n.Outputs) == 0 {
			continue
		}
		y := n.Outputs[0]
		b, ok := biases[y]
		if !ok {
			continue
		}
		name := r.names.Fresh(y + ".bias")
		m.Weights[name] = graph.FromFloats([]int{len(b.value)}, b.value)
		if n.Op != "MatMul" {
			if len(n.Inputs) < 3 {
				n.Inputs = append(n.Inputs, "")
			}
			n.Inputs[2] = name
			if b.node.Input(2) == "" && n.Has("beta") {
				n.Set("beta", float32(1))
			}
			continue
		}
		n.Outputs[0] = r.names.Fresh(y)
		m.Nodes = append(m.Nodes, &graph.Node{Name: name, Op: "Add", Inputs: []string{n.Outputs[0], name}, Outputs: []string{y}})
	}
	m.Values = make(map[string]*graph.Value, len(r.a.m.Values))
	for name, v := range r.a.m.Values {
		if v := r.hint(name, v); v != nil {
			m.Values[name] = v
		}
	}
	sweep(&m)
	return &m
}

// hint returns what is left of the shape that the file gives for a value.
func (r *resizing) hint(name string, v *graph.Value) *graph.Value {
	axes := r.a.labels[name]
	if len(axes) != len(v.Shape) {
		return v
	}
	c := *v
	c.Shape = slices.Clone(v.Shape)
	for i, ix := range axes {
		switch {
		case r.kept(ix) == nil:
		case v.Shape[i].Size == len(ix) && v.Shape[i].Known():
			c.Shape[i] = graph.Dim{Size: r.left(ix)}
		default:
			c.Shape[i] = graph.Dim{Size: -1} // an open extent is a factor of it
		}
	}
	return &c
}

// sweep drops nodes that nothing reads any more, and then weights.
func sweep(m *graph.Model) {
	used := make(map[string]bool)
	for _, v := range m.Outputs {
		used[v.Name] = true
	}
	var nodes []*graph.Node
	for _, n := range slices.Backward(m.Nodes) {
		if !slices.ContainsFunc(n.Outputs, func(name string) bool { return used[name] }) {
			continue
		}
		nodes = append(nodes, n)
		for _, name := range n.Uses() {
			used[name] = true
		}
	}
	slices.Reverse(nodes)
	m.Nodes = nodes
	maps.DeleteFunc(m.Weights, func(name string, _ *graph.Tensor) bool { return !used[name] })
	made := maps.Clone(used)
	maps.DeleteFunc(m.Values, func(name string, _ *graph.Value) bool { return !made[name] })
}

// check infers the types of the result anew, for all sizes that the model was
// looked at with: what is left must come out of it, and nothing else.
func (a *analysis) check(m *graph.Model, r *resizing) *sizeError {
	if err := m.Validate(); err != nil {
		return &sizeError{nil, err.Error()}
	}
	for _, types := range []map[string]graph.Type{a.types, a.other} {
		if types == nil {
			continue
		}
		o := graph.InferOptions{Shapes: make(map[string][]int), Fold: ops.Eval, MaxFold: 1 << 24, Open: true}
		for _, v := range m.Inputs {
			if t, ok := types[v.Name]; ok {
				o.Shapes[v.Name] = t.Shape
			}
		}
		now, err := infer(m, o)
		if err != nil {
			return &sizeError{nil, err.Error()}
		}
		for _, n := range a.m.Nodes {
			for _, name := range n.Outputs {
				was, ok := types[name]
				got, left := now[name]
				if !ok || !left || a.labels[name] == nil {
					continue
				}
				if want := r.shape(name, was.Shape); !slices.Equal(got.Shape, want) {
					return &sizeError{n, fmt.Sprintf("its output has shape %v without them, expected %v", got.Shape, want)}
				}
			}
		}
	}
	return nil
}
