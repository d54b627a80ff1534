package prune

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime/ops"
)

// Role is what an axis of a weight does in its layer.
type Role uint8

// The roles.
const (
	Out       Role = iota // it makes channels: rows of a weight of out x in
	In                    // it reads them
	Bias                  // it is added to them
	Scale                 // they are multiplied by it, in a BatchNormalization
	Statistic             // mean or variance of a BatchNormalization
)

func (r Role) String() string { return [...]string{"out", "in", "bias", "scale", "statistic"}[r] }

// MarshalText writes the role's name.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// A Part is an axis of a constant that belongs to a group.
type Part struct {
	Role Role `json:"role"`
	// Value is the constant: a weight of the model, or what a Constant node or a
	// Transpose makes of one.
	Value string `json:"value"`
	Axis  int    `json:"axis"`
	Node  string `json:"node"` // that uses it
	Op    string `json:"op"`
	// Constant is the elements of Value.
	Constant *graph.Tensor `json:"-"`
	// Channel has, for each index along the axis, the channel of the group that
	// it belongs to, or -1.
	Channel []int `json:"-"`
	// Activation is what the layer makes (Out), or reads (In) after whatever comes
	// before, as a Relu; empty for other roles. ActivationChannel is the same as
	// Channel for its axis.
	Activation        string `json:"activation,omitempty"`
	ActivationAxis    int    `json:"activation_axis,omitempty"`
	ActivationChannel []int  `json:"-"`

	name string // of the node, which may have none
}

// Each visits the elements of a part that belong to channels of its group.
func (p Part) Each(visit func(channel int, value float32)) {
	inner, n := 1, p.Constant.Shape[p.Axis]
	for _, d := range p.Constant.Shape[p.Axis+1:] {
		inner *= d
	}
	for i, v := range p.Constant.Floats() {
		if ch := p.Channel[i/inner%n]; ch >= 0 {
			visit(ch, v)
		}
	}
}

// A Group is channels that can leave a model, each with all that is coupled to
// it: the outputs of one layer, or of several whose outputs are added or
// otherwise tied.
type Group struct {
	Name     string `json:"name"` // the weight of its first layer
	Channels int    `json:"channels"`
	// Width is how many outputs of the first layer a channel is: the size of a
	// head, or 1.
	Width int `json:"width"`
	// Reason says why no channel can leave; empty where they can.
	Reason string `json:"reason,omitempty"`
	// Parts are the constants that lose elements with a channel.
	Parts []Part `json:"parts"`

	classes []label
}

// Shapes says for which sizes of open extents a model is analysed: those of
// [graph.InferOptions]. What they leave open gets two sizes in turn, and only
// what is right for both is done.
type Shapes struct {
	Inputs map[string][]int // shapes of inputs by name
	Dims   map[string]int   // sizes of symbolic extents
}

// Groups lists the channels of a model that can leave it, and those of layers
// that cannot, with the reason. What no rule understands is taken for coupled
// to something that stays.
func Groups(m *graph.Model, s Shapes) ([]Group, error) {
	a, err := analyse(m, s)
	if err != nil {
		return nil, err
	}
	return a.groups, nil
}

// An analysis is a model with what is coupled in it.
type analysis struct {
	*coupling
	other  map[string]graph.Type  // types for other sizes of what the model leaves open, nil where it leaves nothing
	opaque map[*graph.Node]string // nodes that are not to be understood, and why
	groups []Group
}

// analyse prepares a copy of the model and ties it. Nodes whose sizes cannot be
// put right after channels are gone are found by a trial, and stay as they are.
func analyse(m *graph.Model, s Shapes) (*analysis, error) {
	m = prepared(m)
	if err := m.Validate(); err != nil {
		return nil, err
	}
	types, other, err := inferBoth(m, s)
	if err != nil {
		return nil, err
	}
	if err := bounded(types); err != nil {
		return nil, err
	}
	return analyseTyped(m, types, other, make(map[*graph.Node]string))
}

// analyseTyped ties a model of known types whose nodes in opaque are not to be
// understood.
func analyseTyped(m *graph.Model, types, other map[string]graph.Type, opaque map[*graph.Node]string) (*analysis, error) {
	for {
		a := &analysis{coupling: newCoupling(m, types, opaque), other: other, opaque: opaque}
		a.group()
		removed := make(map[label]bool)
		for _, g := range a.groups {
			if len(g.classes) > 1 {
				removed[g.classes[0]] = true
			}
		}
		a.spare(removed, nil)
		err := a.trial(removed)
		if err == nil {
			return a, nil
		}
		if !a.giveUp(err) {
			return nil, err
		}
	}
}

// without analyses the model again, after the sizes of a node could not be put
// right.
func (a *analysis) without(err *sizeError) (*analysis, error) {
	if !a.giveUp(err) {
		return nil, err
	}
	return analyseTyped(a.m, a.types, a.other, a.opaque)
}

// bounded checks that what is analysed fits in memory.
func bounded(types map[string]graph.Type) error {
	const most = 1 << 27
	n := 0
	for _, t := range types {
		for _, d := range t.Shape {
			if n += d; n > most || d > most {
				return fmt.Errorf("the axes of the model's values have more than %d indices", most)
			}
		}
	}
	return nil
}

// giveUp adds to opaque the node whose sizes cannot be put right, and those
// that tell the sizes that it was computed from. It reports failure where all
// are there already.
func (a *analysis) giveUp(err *sizeError) bool {
	const most = 256 // nodes; each costs an analysis
	before := len(a.opaque)
	if err.node == nil || before > most {
		return false
	}
	a.opaque[err.node] = err.reason
	seen := make(map[*graph.Node]bool)
	var up func(n *graph.Node)
	up = func(n *graph.Node) {
		if n == nil || seen[n] {
			return
		}
		seen[n] = true
		if n.Op == "Shape" || n.Op == "Size" {
			a.opaque[n] = fmt.Sprintf("%s depends on it: %s", err.node, err.reason)
			return
		}
		for _, name := range n.Inputs {
			if a.types[name].Const != nil {
				up(a.producer[name])
			}
		}
	}
	up(err.node)
	return len(a.opaque) > before
}

// prepared copies a model and makes weights of its Constant nodes.
func prepared(m *graph.Model) *graph.Model {
	m = m.Clone()
	m.Packed = nil
	m.Nodes = slices.DeleteFunc(m.Nodes, func(n *graph.Node) bool {
		if n.Op != "Constant" || n.Domain != "" || len(n.Outputs) != 1 {
			return false
		}
		t, err := n.Constant()
		if err != nil || t.Sparse() != nil {
			return false // inference says so, or leaves it
		}
		if m.Weights == nil {
			m.Weights = make(map[string]*graph.Tensor)
		}
		m.Weights[n.Outputs[0]] = t
		delete(m.Values, n.Outputs[0])
		return true
	})
	return m
}

// inferBoth infers the types of a model, and where it leaves sizes open those
// for other sizes.
func inferBoth(m *graph.Model, s Shapes) (types, other map[string]graph.Type, err error) {
	// Sizes to try: of the first axis, and of others.
	tries := [][2]int{{2, 16}, {3, 24}, {2, 64}, {3, 96}, {1, 16}, {1, 24}, {1, 64}, {1, 96}, {1, 512}, {1, 576}}
	open := false
	for _, size := range tries {
		o := graph.InferOptions{Shapes: maps.Clone(s.Inputs), Dims: s.Dims, Fold: ops.Eval, Open: true}
		if o.Shapes == nil {
			o.Shapes = make(map[string][]int)
		}
		open = bindOpen(m, &o, size)
		t, e := infer(m, o)
		switch {
		case e != nil:
			if err == nil {
				err = e
			}
			if !open {
				return nil, nil, e
			}
		case !open:
			return t, nil, nil
		case types == nil:
			types = t
		default:
			return types, t, nil
		}
	}
	if types == nil {
		return nil, nil, fmt.Errorf("%w (no sizes that were tried for extents that the model leaves open fit: give them)", err)
	}
	return types, types, nil
}

// infer returns the types of a model as far as they are known: behind operators
// without a rule there are none.
func infer(m *graph.Model, o graph.InferOptions) (map[string]graph.Type, error) {
	known := *m
	known.Nodes = slices.Clone(m.Nodes)
	for {
		types, err := graph.Infer(&known, o)
		var unknown *graph.UnknownOpError
		if !errors.As(err, &unknown) {
			return types, err
		}
		// A node that reads what has no type is passed over.
		i := slices.Index(known.Nodes, unknown.Node)
		n := unknown.Node.Clone()
		n.Inputs = append(n.Inputs, "\x00 of no type")
		known.Nodes[i] = n
	}
}

// bindOpen gives sizes to extents of inputs that have none.
func bindOpen(m *graph.Model, o *graph.InferOptions, size [2]int) (open bool) {
	for _, v := range m.Inputs {
		if o.Shapes[v.Name] != nil || v.Shape == nil {
			continue
		}
		extents := make([]int, len(v.Shape))
		for a, d := range v.Shape {
			n, given := o.Dims[d.Symbol]
			switch {
			case d.Known():
				extents[a] = d.Size
			case given && d.Symbol != "":
				extents[a] = n
			default:
				extents[a], open = size[min(a, 1)], true
				if d.Symbol != "" && slices.ContainsFunc(m.Inputs, func(w *graph.Value) bool { return len(w.Shape) > 0 && w.Shape[0] == d }) {
					extents[a] = size[0] // a batch may stand elsewhere in a state
				}
			}
		}
		o.Shapes[v.Name] = extents
	}
	return open
}

// A forest joins classes.
type forest map[label]label

func (f forest) root(l label) label {
	for {
		up, ok := f[l]
		if !ok || up == l {
			return l
		}
		if top, ok := f[up]; ok {
			f[l] = top
		}
		l = up
	}
}

// group makes groups of the classes: outputs of layers that share one belong
// together.
func (a *analysis) group() {
	joined := make(forest)
	for _, p := range a.parts {
		if p.Role != Out {
			continue
		}
		free := a.classes(p)
		for _, l := range free {
			joined[joined.root(l)] = joined.root(free[0])
		}
	}
	at := make(map[label]int)      // group by root
	channel := make(map[label]int) // channel in its group, by class
	seen := make(map[place]bool)   // groups that stay
	for _, p := range a.parts {
		if p.Role != Out {
			continue
		}
		free := a.classes(p)
		ix := a.of(p.Value)[p.Axis]
		if key := (place{p.Value, p.Axis}); len(free) == 0 && !seen[key] {
			seen[key] = true
			a.groups = append(a.groups, Group{Name: p.Value, Channels: len(ix), Width: 1, Reason: a.why[a.find(ix[0])], Parts: []Part{p}})
		}
		for _, l := range free {
			r := joined.root(l)
			g, ok := at[r]
			if !ok {
				g = len(a.groups)
				at[r] = g
				a.groups = append(a.groups, Group{Name: p.Value})
			}
			if _, ok := channel[l]; !ok {
				channel[l] = a.groups[g].Channels
				a.groups[g].Channels++
				a.groups[g].classes = append(a.groups[g].classes, l)
			}
		}
	}
	for _, p := range a.parts {
		// A part may belong to several groups, whose outputs are concatenated.
		of := make(map[int]bool)
		for _, l := range a.classes(p) {
			if g, ok := at[joined.root(l)]; ok {
				of[g] = true
			}
		}
		for _, g := range slices.Sorted(maps.Keys(of)) {
			group := &a.groups[g]
			q := p
			q.Channel = group.channels(a, a.of(p.Value)[p.Axis], channel)
			if p.Activation != "" {
				q.ActivationChannel = group.channels(a, a.of(p.Activation)[p.ActivationAxis], channel)
			}
			same := func(r Part) bool { return r.Role == q.Role && r.Value == q.Value && r.Axis == q.Axis }
			if slices.ContainsFunc(group.Parts, same) {
				continue // a weight that several nodes share
			}
			group.Parts = append(group.Parts, q)
			if group.Width == 0 && q.Role == Out {
				for _, ch := range q.ActivationChannel {
					if ch == 0 {
						group.Width++
					}
				}
			}
		}
	}
	a.groups = append(a.groups, a.refused...)
}

// classes returns the classes along the axis of a part that may go, in order.
func (a *analysis) classes(p Part) []label {
	var list []label
	for _, l := range a.of(p.Value)[p.Axis] {
		if l = a.find(l); a.free(l) {
			list = append(list, l)
		}
	}
	return list
}

// channels returns which channel of the group each index of an axis belongs to,
// or -1.
func (g *Group) channels(a *analysis, ix index, channel map[label]int) []int {
	list := make([]int, len(ix))
	for i, l := range ix {
		l = a.find(l)
		ch, ok := channel[l]
		if !ok || ch >= len(g.classes) || g.classes[ch] != l {
			ch = -1
		}
		list[i] = ch
	}
	return list
}

// spare takes classes out of removed so that no axis is emptied: of each axis
// that would be, the one of the highest score, or the last one where there are
// no scores.
func (a *analysis) spare(removed map[label]bool, score map[label]float64) {
	for _, name := range slices.Sorted(maps.Keys(a.labels)) {
		for _, ix := range a.labels[name] {
			best := label(-1)
			for _, l := range ix {
				l = a.find(l)
				if !removed[l] {
					best = -1
					break
				}
				if best < 0 || score[l] >= score[best] {
					best = l
				}
			}
			if best >= 0 {
				delete(removed, best)
			}
		}
	}
}
