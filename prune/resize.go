package prune

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime/ops"
)

// A sizeError says that the sizes of a node cannot be put right.
type sizeError struct {
	node   *graph.Node
	reason string
}

func (e *sizeError) Error() string {
	if e.node == nil {
		return "after shrinking: " + e.reason
	}
	return fmt.Sprintf("node %s: %s", e.node, e.reason)
}

// A resizing rewrites the nodes of a model of which classes are removed: what
// says sizes, in attributes and in constant or computed inputs, is made to say
// what is left.
type resizing struct {
	a       *analysis
	removed map[label]bool
	types   map[string]graph.Type    // of what is left; large constants are not in them
	nodes   []*graph.Node            // rewritten
	weights map[string]*graph.Tensor // new ones
	names   *graph.Names
}

// largeConstant is how many elements a constant has that is not evaluated, as
// it cannot be a size.
const largeConstant = 1 << 16

// trial tells whether sizes can be put right without removed.
func (a *analysis) trial(removed map[label]bool) *sizeError {
	r, err := a.resize(removed)
	if err != nil {
		return err
	}
	return a.check(r.model(nil, func(name string, w *graph.Tensor) *graph.Tensor {
		shape := r.shape(name, w.Shape)
		if w.DType != graph.Float32 || w.Len() <= largeConstant || slices.Equal(shape, w.Shape) {
			return r.cut(name, w)
		}
		return graph.Later(shape, name, func() *graph.Tensor {
			n, _ := graph.Elements(shape)
			return graph.FromFloats(shape, make([]float32, n))
		})
	}), r)
}

// resize rewrites the nodes for what is left without removed.
func (a *analysis) resize(removed map[label]bool) (*resizing, *sizeError) {
	r := &resizing{a: a, removed: removed, types: make(map[string]graph.Type), weights: make(map[string]*graph.Tensor), names: graph.NewNames(a.m)}
	for _, v := range a.m.Inputs {
		if t, ok := a.types[v.Name]; ok {
			r.types[v.Name] = t
		}
	}
	for name, w := range a.m.Weights {
		t := graph.Type{DType: w.DType, Shape: r.shape(name, w.Shape)}
		switch {
		case slices.Equal(t.Shape, w.Shape):
			t.Const = w
		case w.Len() <= largeConstant:
			t.Const = r.cut(name, w)
		}
		r.types[name] = t
	}
	for _, n := range a.m.Nodes {
		if err := r.node(n.Clone(), n); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// kept returns which indices of an axis are left, nil for all.
func (r *resizing) kept(ix index) []int {
	kept := make([]int, 0, len(ix)) // not nil
	for i, l := range ix {
		if !r.removed[r.a.find(l)] {
			kept = append(kept, i)
		}
	}
	if len(kept) == len(ix) {
		return nil
	}
	return kept
}

// left counts what is left of an index.
func (r *resizing) left(ix index) int {
	if kept := r.kept(ix); kept != nil {
		return len(kept)
	}
	return len(ix)
}

// shape returns what is left of a value's shape, which may be for any sizes of
// what the model leaves open.
func (r *resizing) shape(name string, shape []int) []int {
	out := slices.Clone(shape)
	for i, ix := range r.a.labels[name] {
		if kept := r.kept(ix); kept != nil {
			// An open extent may be a factor of the axis.
			out[i] = out[i] * len(kept) / len(ix)
		}
	}
	return out
}

// cut returns what is left of a constant with the labels of a value.
func (r *resizing) cut(name string, t *graph.Tensor) *graph.Tensor {
	for axis, ix := range r.a.labels[name] {
		if kept := r.kept(ix); kept != nil {
			t = take(t, axis, kept)
		}
	}
	return t
}

// take returns the slices of a tensor at the given indices of an axis. A
// sparse tensor is stored again in the form that suits what is left.
func take(t *graph.Tensor, axis int, at []int) *graph.Tensor {
	shape := slices.Clone(t.Shape)
	shape[axis] = len(at)
	raw, sparse := t.Raw(), t.Sparse() != nil
	if sparse {
		t = graph.FromFloats(t.Shape, t.Floats())
		raw = t.Raw()
	}
	size := t.DType.Bits() / 8
	for _, d := range t.Shape[axis+1:] {
		size *= d
	}
	rows := 1
	for _, d := range t.Shape[:axis] {
		rows *= d
	}
	out := make([]byte, 0, rows*len(at)*size)
	for row := range rows {
		for _, i := range at {
			from := (row*t.Shape[axis] + i) * size
			out = append(out, raw[from:from+size]...)
		}
	}
	cut, err := graph.NewTensor(t.DType, shape, out)
	if err != nil {
		panic("prune: " + err.Error()) // as many bytes as the shape takes
	}
	if sparse {
		return cut.Compact()
	}
	return cut
}

// node rewrites a copy of a node, and infers what it makes.
func (r *resizing) node(n, old *graph.Node) *sizeError {
	for _, name := range n.Inputs {
		if _, ok := r.types[name]; name != "" && !ok {
			r.nodes = append(r.nodes, n) // nothing is known of it, and nothing has changed
			return nil
		}
	}
	for _, name := range n.Outputs {
		if _, ok := r.a.types[name]; name != "" && !ok {
			r.nodes = append(r.nodes, n)
			return nil
		}
	}
	fail := func(format string, args ...any) *sizeError {
		return &sizeError{old, fmt.Sprintf(format, args...)}
	}
	if reason := r.attributes(n, old); reason != "" {
		return fail("%s", reason)
	}
	depends := slices.ContainsFunc(old.Inputs, func(name string) bool { return name != "" && r.a.types[name].Const == nil })
	if depends {
		if reason := r.operands(n, old); reason != "" {
			return fail("%s", reason)
		}
	}
	out, err := r.infer(n)
	if err != nil || !r.fits(n, out) {
		if reason := r.sizes(n, old); reason != "" {
			if !depends && r.frozen(n) {
				return nil
			}
			if err != nil {
				reason += ": " + err.Error()
			}
			return fail("%s", reason)
		}
		if out, err = r.infer(n); err != nil || !r.fits(n, out) {
			return fail("its sizes do not follow from what is left")
		}
	}
	for i, name := range n.Outputs {
		if name != "" {
			r.types[name] = out[i]
		}
	}
	r.nodes = append(r.nodes, n)
	return nil
}

// infer returns the types of a node's outputs, with small constants.
func (r *resizing) infer(n *graph.Node) ([]graph.Type, error) {
	in := make([]graph.Type, len(n.Inputs))
	consts := make([]*graph.Tensor, len(n.Inputs))
	known := true
	for i, name := range n.Inputs {
		in[i] = r.types[name]
		consts[i] = in[i].Const
		known = known && (name == "" || consts[i] != nil)
	}
	opset := r.a.m.Opset[n.Domain]
	out, err := graph.InferNode(n, opset, in)
	if err != nil || !known {
		return out, err
	}
	for i := range n.Outputs {
		if size, _ := graph.Elements(out[i].Shape); out[i].Const != nil || size > largeConstant {
			return out, nil
		}
	}
	tensors, err := ops.Eval(n, opset, consts)
	if err != nil {
		return nil, err
	}
	for i := range min(len(tensors), len(n.Outputs)) {
		out[i].Const = tensors[i]
	}
	return out, nil
}

// fits compares the shapes of a node's outputs with what is left of those
// before.
func (r *resizing) fits(n *graph.Node, out []graph.Type) bool {
	for i, name := range n.Outputs {
		if name != "" && !slices.Equal(out[i].Shape, r.shape(name, r.a.types[name].Shape)) {
			return false
		}
	}
	return true
}

// same reports whether a constant is the same for other sizes of what the model
// leaves open.
func (r *resizing) same(name string) bool {
	if r.a.other == nil {
		return true
	}
	return equal(r.a.types[name].Const, r.a.other[name].Const)
}

func equal(a, b *graph.Tensor) bool {
	return a != nil && b != nil && a.DType == b.DType && slices.Equal(a.Shape, b.Shape) && (a == b || bytes.Equal(a.Raw(), b.Raw()))
}

// frozen makes weights of the outputs of a node that depends on nothing but
// sizes, as they were; it reports failure where they depend on open sizes.
func (r *resizing) frozen(n *graph.Node) bool {
	for _, name := range n.Outputs {
		if t := r.a.types[name]; name != "" && (t.Const == nil || !r.same(name)) {
			return false
		}
	}
	for _, name := range n.Outputs {
		if name != "" {
			t := r.cut(name, r.a.types[name].Const)
			r.weights[name] = t
			r.types[name] = graph.Type{DType: t.DType, Shape: t.Shape, Const: t}
		}
	}
	return true
}

// constant adds a weight, and returns its name.
func (r *resizing) constant(hint string, t *graph.Tensor) string {
	name := r.names.Fresh(hint)
	r.weights[name] = t
	r.types[name] = graph.Type{DType: t.DType, Shape: t.Shape, Const: t}
	return name
}

// sizeInput reports whether an input says sizes that follow those of others.
func sizeInput(op string, i int) bool {
	switch op {
	case "Reshape", "Expand", "Split":
		return i == 1
	case "Slice":
		return i == 1 || i == 2
	case "Resize":
		return i == 3
	case "ConstantOfShape":
		return i == 0
	}
	return false
}

// operands puts right what a node computes with and was computed from sizes.
func (r *resizing) operands(n, old *graph.Node) (reason string) {
	for i, name := range old.Inputs {
		if name == "" || r.a.m.Weights[name] != nil || sizeInput(n.Op, i) {
			continue
		}
		was, now := r.a.types[name].Const, r.types[name].Const
		if was == nil || now == nil {
			continue
		}
		want := r.cut(name, was)
		if equal(want, now) {
			continue
		}
		if !r.same(name) {
			return "it computes with sizes that change"
		}
		n.Inputs[i] = r.constant(name, want)
	}
	return ""
}

// attributes puts right attributes, and inputs that say what is taken of an
// axis.
func (r *resizing) attributes(n, old *graph.Node) (reason string) {
	if n.Domain != "" || r.a.labels[n.Input(0)] == nil {
		return ""
	}
	x := r.a.labels[n.Input(0)]
	switch n.Op {
	case "Conv", "ConvTranspose":
		groups := n.Int("group", 1)
		if groups > 1 && len(x) > 1 && groups >= len(x[1])/groups && r.kept(x[1]) != nil {
			n.Set("group", r.left(x[1])/(len(x[1])/groups))
		}
	case "Attention":
		for i, name := range []string{"q_num_heads", "kv_num_heads"} {
			if heads := n.Int(name, 0); heads > 0 && len(x) == 3 {
				wide := r.a.labels[n.Input(i)][2]
				n.Set(name, r.left(wide)/(len(wide)/heads))
			}
		}
	case "Gather":
		return r.gather(n, x)
	case "Split":
		return r.split(n, x)
	case "Slice":
		return r.slice(n, x)
	}
	return ""
}

func (r *resizing) gather(n *graph.Node, x []index) string {
	a, ok := axisOf(n.Int("axis", 0), len(x))
	t := r.a.m.Weights[n.Input(1)]
	if !ok || t == nil || len(t.Shape) != 1 || r.kept(x[a]) == nil {
		return ""
	}
	rank := make(map[int]int)
	for i, old := range r.kept(x[a]) {
		rank[old] = i
	}
	list := []int64{}
	for _, v := range t.Ints() {
		from, _ := axisOf(int(v), len(x[a])) // checked by the rule
		if i, ok := rank[from]; ok {
			list = append(list, int64(i))
		}
	}
	n.Inputs[1] = r.constant(n.Input(1), graph.FromInts(t.DType, []int{len(list)}, list))
	return ""
}

func (r *resizing) split(n *graph.Node, x []index) string {
	a, ok := axisOf(n.Int("axis", 0), len(x))
	if !ok || r.kept(x[a]) == nil {
		return ""
	}
	parts := make([]int, len(n.Outputs))
	list := make([]int64, len(parts))
	for i, name := range n.Outputs {
		parts[i] = r.left(r.a.labels[name][a])
		list[i] = int64(parts[i])
	}
	delete(n.Attrs, "num_outputs")
	if r.a.m.Opset[""] < 13 {
		n.Set("split", parts)
		return ""
	}
	name := r.constant("split", graph.FromInts(graph.Int64, []int{len(list)}, list))
	n.Inputs = []string{n.Inputs[0], name}
	return ""
}

func (r *resizing) slice(n *graph.Node, x []index) string {
	opset := r.a.m.Opset[""]
	was, _, ok := cuttings(n, opset, func(i int) []int { return ints(r.a.types[n.Input(i)].Const) }, r.a.shape(n.Input(0)))
	now, _, _ := cuttings(n, opset, func(i int) []int { return ints(r.types[n.Input(i)].Const) }, r.types[n.Input(0)].Shape)
	if !ok || len(was) != len(now) {
		return ""
	}
	starts, ends := make(map[int]int), make(map[int]int) // by entry
	for i, k := range was {
		if start := r.left(x[k.axis][:k.start]); start != now[i].start {
			starts[k.entry] = start
		}
		if end := r.left(x[k.axis][:k.end]); end != now[i].end {
			ends[k.entry] = end
		}
	}
	if opset >= 10 {
		if reason := r.override(n, 1, starts); reason != "" {
			return reason
		}
		return r.override(n, 2, ends)
	}
	for name, changed := range map[string]map[int]int{"starts": starts, "ends": ends} {
		list := n.Ints(name)
		for i, v := range changed {
			list[i] = v
		}
		n.Set(name, list)
	}
	return ""
}

// sizes puts right the input that says the sizes of a node's output.
func (r *resizing) sizes(n, old *graph.Node) string {
	const no = "its sizes cannot be put right"
	var at int
	switch n.Op {
	case "Reshape", "Expand":
		at = 1
	case "Resize":
		at = 3
	case "ConstantOfShape":
		at = 0
	default:
		return no
	}
	if n.Domain != "" || n.Input(at) == "" {
		return no
	}
	list := ints(r.types[n.Input(at)].Const)
	out := n.Outputs[0]
	want := r.shape(out, r.a.types[out].Shape)
	if len(list) != len(want) {
		return no
	}
	in := r.types[n.Input(0)].Shape
	free := slices.Contains(list, -1)
	changed := make(map[int]int)
	for i, v := range list {
		if n.Op == "Reshape" && (v == -1 || v == 0 && n.Int("allowzero", 0) == 0 && i < len(in) && in[i] == want[i]) || v == want[i] {
			continue
		}
		changed[i] = want[i]
		if o := r.a.other; o != nil && r.a.types[out].Shape[i] != o[out].Shape[i] {
			if free || n.Op != "Reshape" {
				return no
			}
			changed[i], free = -1, true
		}
	}
	return r.override(n, at, changed)
}

// override changes entries of a list of integers that is input i of a node.
func (r *resizing) override(n *graph.Node, i int, changed map[int]int) string {
	if len(changed) == 0 {
		return ""
	}
	name := n.Input(i)
	list := r.types[name].Const
	if list == nil {
		return "a size is computed"
	}
	values := list.Ints()
	for at, v := range changed {
		values[at] = int64(v)
	}
	want := graph.FromInts(list.DType, list.Shape, values)
	if r.a.m.Weights[name] != nil || r.a.other == nil {
		n.Inputs[i] = r.constant(name, want)
		return ""
	}
	// What stands beside the changed entries may depend on open sizes.
	if made := r.concat(name, list, changed); made != "" {
		n.Inputs[i] = made
	} else {
		mask := make([]int64, len(values))
		for at := range changed {
			mask[at] = 1
		}
		if r.a.m.Opset[""] < 9 {
			return "a size is computed, and this version has no Where for it"
		}
		where := &graph.Node{Op: "Where", Outputs: []string{r.names.Fresh(name)}, Inputs: []string{
			r.constant(name, graph.FromInts(graph.Bool, list.Shape, mask)), r.constant(name, want), name}}
		where.Name = where.Outputs[0]
		r.nodes = append(r.nodes, where)
		n.Inputs[i] = where.Outputs[0]
	}
	r.types[n.Inputs[i]] = graph.Type{DType: list.DType, Shape: list.Shape, Const: want}
	return ""
}

// concat makes the list anew where it is put together of single numbers, which
// is how exporters compute shapes, and returns its name; else "".
func (r *resizing) concat(name string, list *graph.Tensor, changed map[int]int) string {
	i := slices.IndexFunc(r.nodes, func(n *graph.Node) bool { return len(n.Outputs) == 1 && n.Outputs[0] == name })
	if i < 0 || r.nodes[i].Op != "Concat" || len(r.nodes[i].Inputs) != list.Len() {
		return ""
	}
	for _, part := range r.nodes[i].Inputs {
		if size, _ := graph.Elements(r.types[part].Shape); size != 1 {
			return ""
		}
	}
	made := r.nodes[i].Clone()
	made.Outputs[0] = r.names.Fresh(name)
	made.Name = made.Outputs[0]
	for at, v := range changed {
		made.Inputs[at] = r.constant(name, graph.FromInts(list.DType, []int{1}, []int64{int64(v)}))
	}
	r.nodes = append(r.nodes, made)
	return made.Outputs[0]
}
