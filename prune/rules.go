package prune

import (
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// A rule ties what an operator couples and sets the labels of its output. It
// returns why it does not understand the node, or "".
type rule func(c *coupling, n *graph.Node) string

// rules are the operators of ai.onnx that are understood.
var rules = allRules()

func allRules() map[string]rule {
	rules := map[string]rule{
		"Conv": coupleConvolution, "ConvTranspose": coupleConvolution,
		"Gemm": gemmRule, "MatMul": matMulRule, "Attention": attentionRule,
		"BatchNormalization": batchNorm, "InstanceNormalization": instanceNorm,
		"LayerNormalization": layerNorm, "RMSNormalization": layerNorm, "SimplifiedLayerNormalization": layerNorm,
		"Softmax": softmaxRule, "LogSoftmax": softmaxRule, "Hardmax": softmaxRule, "LpNormalization": softmaxRule, "LRN": softmaxRule,
		"MaxPool": poolRule, "AveragePool": poolRule, "LpPool": poolRule, "GlobalAveragePool": poolRule, "GlobalMaxPool": poolRule,
		"Concat": concatRule, "Split": splitRule, "Slice": sliceRule, "Gather": gatherRule, "Transpose": transposeRule,
		"Reshape": reshapeRule, "Flatten": reshapeRule, "Squeeze": reshapeRule, "Unsqueeze": reshapeRule,
		"Expand": expandRule, "Pad": padRule, "Resize": resizeRule, "Upsample": resizeRule,
		"DepthToSpace": depthToSpaceRule, "SpaceToDepth": spaceToDepthRule,
		"Shape": shapeRule, "Size": shapeRule, "ConstantOfShape": shapeRule,
	}
	for _, op := range pointwiseOps {
		rules[op] = couplePointwise
	}
	for _, op := range []string{"L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"} {
		rules["Reduce"+op] = reduceRule
	}
	return rules
}

// pointwiseOps compute each element from those in its place, with broadcasting.
var pointwiseOps = []string{
	"Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Celu", "Clip", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu",
	"HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "PRelu", "Reciprocal", "Relu", "Round",
	"Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Swish", "Shrink", "Sqrt", "Tan", "Tanh", "ThresholdedRelu", "Cast", "Dropout",
	"Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Not", "Or", "Pow",
	"Sub", "Sum", "Where", "Xor",
}

// set gives the node's first output its labels.
func (c *coupling) set(axes ...index) string {
	if axes == nil {
		axes = []index{} // of a scalar; nil is what nothing is known of
	}
	c.labels[c.node.Outputs[0]] = axes
	return ""
}

// images pins the spatial axes of an image and returns new ones of the output.
func (c *coupling) images(x []index) []index {
	c.pinHere("moves a window along it", x[2:]...)
	out := c.shape(c.node.Outputs[0])
	return c.fixed(out[2:], "it is an axis of an image")
}

// weight reports whether an input is a floating-point weight that can be cut:
// an initializer, or one that was only moved.
func (c *coupling) weight(i int) bool {
	t := c.constant(i)
	return t != nil && zeroable(t.DType) && t.Len() > 0 && c.origin(c.node.Input(i)) != ""
}

// origin returns the initializer that a value is, but for moves of its
// elements, or "".
func (c *coupling) origin(name string) string {
	for range 16 { // moves; exporters make one or two
		n := c.producer[name]
		switch {
		case c.m.Weights[name] != nil:
			return name
		case n == nil || n.Domain != "":
			return ""
		}
		switch n.Op {
		case "Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten":
			name = n.Input(0)
		default:
			return ""
		}
	}
	return ""
}

// coupleConvolution is the rule of Conv, whose weight is [out, in/groups, …], and of
// ConvTranspose, [in, out/groups, …].
func coupleConvolution(c *coupling, n *graph.Node) string {
	if !c.weight(1) {
		return "its weight is computed or of no real type"
	}
	x, w := c.in(0), c.in(1)
	y := c.fresh(c.shape(n.Outputs[0])[1])
	wIn, wOut := 1, 0
	if n.Op == "ConvTranspose" {
		wIn, wOut = 0, 1
		if n.Has("output_shape") {
			return "attribute output_shape is not understood"
		}
	}
	c.pinHere("has a tap for each", w[2:]...)
	// The labels of a grouped axis of a weight are those of all groups side by
	// side, or of one group, to which those of the others are tied.
	groups := max(1, n.Int("group", 1))
	in, out := len(x[1])/groups, len(y)/groups
	if groups > 1 && groups >= in {
		// Groups go as a whole, as channels of a depthwise convolution do.
		for g := range groups {
			first := x[1][g*in]
			for _, l := range slices.Concat(x[1][g*in:(g+1)*in], y[g*out:(g+1)*out]) {
				c.tieLabels(first, l)
			}
		}
		if wOut == 0 {
			c.tie(y, w[0])
			c.pinHere("has as many inputs in each group", w[1])
		} else {
			c.tie(x[1], w[0])
			c.pinHere("has as many outputs in each group", w[1])
		}
	} else {
		// Every group keeps as many channels, those in the same places.
		for g := 1; g < groups; g++ {
			c.tie(x[1][:in], x[1][g*in:(g+1)*in])
			c.tie(y[:out], y[g*out:(g+1)*out])
		}
		c.tie(x[1][:len(w[wIn])], w[wIn])
		c.tie(y[:len(w[wOut])], w[wOut])
		c.part(In, place{n.Input(1), wIn}, place{n.Input(0), 1})
		c.weighted = append(c.weighted, weighted{node: n, x: n.Input(0), xAxis: 1, w: n.Input(1), wAxis: wIn})
	}
	if groups > 1 && groups >= in {
		wOut = 0 // where its groups are
	}
	c.part(Out, place{n.Input(1), wOut}, place{n.Outputs[0], 1})
	if b := c.in(2); b != nil {
		c.tie(b[0], y)
		c.part(Bias, place{n.Input(2), 0}, place{})
	}
	return c.set(append([]index{x[0], y}, c.images(x)...)...)
}

func gemmRule(c *coupling, n *graph.Node) string {
	a, b := c.in(0), c.in(1)
	aRow, bRow := 0, 0
	if n.Int("transA", 0) != 0 {
		aRow = 1
	}
	if n.Int("transB", 0) != 0 {
		bRow = 1
	}
	if !c.weight(1) {
		return "its second matrix is no constant weight"
	}
	c.tie(a[1-aRow], b[bRow])
	row, col := a[aRow], b[1-bRow]
	c.part(Out, place{n.Input(1), 1 - bRow}, place{n.Outputs[0], 1})
	c.part(In, place{n.Input(1), bRow}, place{n.Input(0), 1 - aRow})
	c.weighted = append(c.weighted, weighted{node: n, x: n.Input(0), xAxis: 1 - aRow, w: n.Input(1), wAxis: bRow})
	if bias := c.in(2); bias != nil {
		c.stretch(bias, []index{row, col})
		if k := len(bias); k > 0 && len(bias[k-1]) == len(col) {
			c.part(Bias, place{n.Input(2), k - 1}, place{})
		}
	}
	return c.set(row, col)
}

func matMulRule(c *coupling, n *graph.Node) string {
	a, b := c.in(0), c.in(1)
	if len(a) < 2 || len(b) < 2 {
		return "a vector as operand is not understood"
	}
	la, lb, rank := len(a)-2, len(b)-2, len(c.shape(n.Outputs[0]))
	c.tie(a[la+1], b[lb])
	constA, constB := c.constant(0) != nil, c.constant(1) != nil
	switch {
	case constA && constB:
	case constB:
		if !c.weight(1) {
			return "its weight is computed or of no real type"
		}
		c.part(Out, place{n.Input(1), lb + 1}, place{n.Outputs[0], rank - 1})
		c.part(In, place{n.Input(1), lb}, place{n.Input(0), la + 1})
		c.weighted = append(c.weighted, weighted{node: n, x: n.Input(0), xAxis: la + 1, w: n.Input(1), wAxis: lb})
	case constA:
		if !c.weight(0) {
			return "its weight is computed or of no real type"
		}
		c.part(Out, place{n.Input(0), la}, place{n.Outputs[0], rank - 2})
		c.part(In, place{n.Input(0), la + 1}, place{n.Input(1), lb})
		c.weighted = append(c.weighted, weighted{node: n, x: n.Input(1), xAxis: lb, w: n.Input(0), wAxis: la + 1})
	default:
		c.joins = append(c.joins, join{n, [2]place{{n.Input(0), la + 1}, {n.Input(1), lb}}})
		for _, ix := range slices.Concat(a[:la], b[:lb]) {
			c.batch(ix)
		}
	}
	out := c.broadcast(rank-2, a[:la], b[:lb])
	return c.set(append(out, a[la], b[lb+1])...)
}

// attentionRule is that of ai.onnx Attention: heads go, with the queries of all
// heads that share a key.
func attentionRule(c *coupling, n *graph.Node) string {
	if len(n.Inputs) > 4 {
		return "a cache of keys and values is not understood"
	}
	q, k, v := c.in(0), c.in(1), c.in(2)
	if len(q) < 3 || len(q) > 4 || len(k) != len(q) || len(v) != len(q) {
		return "inputs of other ranks are not understood"
	}
	// Axes of tokens stay, and features of a head.
	seq := len(q) - 2
	nq, kv := n.Int("q_num_heads", 0), n.Int("kv_num_heads", 0)
	if len(q) == 4 {
		nq, kv = len(q[1]), len(k[1])
		for _, x := range [][]index{q, k, v} {
			c.pinHere("attends along it", x[3])
			c.batch(x[1])
		}
	}
	if nq < 1 || kv < 1 || nq%kv != 0 {
		return "its number of heads is not understood"
	}
	for _, x := range [][]index{q, k, v} {
		c.pinHere("attends along it", x[seq])
	}
	y := c.shape(n.Outputs[0])
	out := c.fixed(y, "it is an axis of an attention that stays")
	// A label for each head of the keys, and of the queries that share it.
	heads := make(index, nq)
	shared := c.fresh(kv)
	for h := range heads {
		heads[h] = shared[h*kv/nq]
	}
	axis := len(q) - 1
	if len(q) == 4 {
		axis = 1
	}
	c.wholeHeads(q[axis], heads)
	c.wholeHeads(k[axis], shared)
	c.wholeHeads(v[axis], shared)
	out[0], out[axis] = q[0], make(index, y[axis])
	for i := range out[axis] {
		out[axis][i] = heads[i*nq/y[axis]]
	}
	if mask := c.in(3); mask != nil {
		rank := len(mask)
		for a, ix := range mask {
			if a == rank-3 && len(ix) == len(heads) && len(heads) > 1 {
				c.tie(ix, heads)
			} else {
				c.pinHere("masks along it", ix)
			}
		}
	}
	return c.set(out...)
}

// wholeHeads ties the elements of an axis, head by head.
func (c *coupling) wholeHeads(ix, heads index) {
	for i, l := range ix {
		c.tieLabels(heads[i*len(heads)/len(ix)], l)
	}
}

// broadcast returns the labels of what values of at most rank axes broadcast
// to.
func (c *coupling) broadcast(rank int, values ...[]index) []index {
	out := make([]index, rank)
	for a := range out {
		size := 1
		for _, v := range values {
			if i := a - rank + len(v); i >= 0 && len(v[i]) != 1 {
				size = len(v[i])
			}
		}
		for _, v := range values {
			i := a - rank + len(v)
			switch {
			case i < 0:
			case len(v[i]) != size:
				c.pinHere("stretches it", v[i])
			case out[a] == nil:
				out[a] = v[i]
			default:
				c.tie(out[a], v[i])
			}
		}
	}
	return out
}

// stretch ties a value to the one that it is stretched to.
func (c *coupling) stretch(v, to []index) {
	for a, ix := range v {
		if o := to[a+len(to)-len(v)]; len(ix) == len(o) {
			c.tie(ix, o)
		} else {
			c.pinHere("stretches it", ix)
		}
	}
}

func couplePointwise(c *coupling, n *graph.Node) string {
	if n.Op == "Dropout" && n.Input(2) != "" && (c.constant(2) == nil || slices.Contains(c.constant(2).Ints(), 1)) {
		return "it drops elements at random"
	}
	var values [][]index
	rank := len(c.shape(n.Outputs[0]))
	for i, name := range n.Inputs {
		if name == "" {
			continue
		}
		if len(c.in(i)) > rank {
			return "an operand of more axes than the result is not understood"
		}
		values = append(values, c.in(i))
		if n.Op == "Add" && c.constant(i) != nil && c.m.Weights[name] != nil {
			c.vector(name, rank)
		}
	}
	out := c.broadcast(rank, values...)
	if len(n.Outputs) > 1 && n.Outputs[1] != "" {
		c.labels[n.Outputs[1]] = out // the mask of a Dropout
	}
	return c.set(out...)
}

// vector notes a constant that an Add puts on an axis as a bias, if it has only
// that.
func (c *coupling) vector(name string, rank int) {
	t := c.m.Weights[name]
	for a, d := range t.Shape {
		if d > 1 && d == t.Len() && zeroable(t.DType) && len(t.Shape) <= rank {
			c.part(Bias, place{name, a}, place{})
		}
	}
}

func batchNorm(c *coupling, n *graph.Node) string {
	if n.Int("training_mode", 0) != 0 || len(c.in(0)) < 2 {
		return "only the normalisation of inference is understood"
	}
	x := c.in(0)
	for i, role := range []Role{Scale, Bias, Statistic, Statistic} {
		c.tie(x[1], c.in(i + 1)[0])
		if c.weight(i + 1) {
			c.part(role, place{n.Input(i + 1), 0}, place{})
		}
	}
	return c.set(x...)
}

func instanceNorm(c *coupling, n *graph.Node) string {
	x := c.in(0)
	c.pinHere("normalises over it", x[2:]...)
	c.tie(x[1], c.in(1)[0])
	c.tie(x[1], c.in(2)[0])
	return c.set(x...)
}

// layerNorm normalises over all axes from one on: what is left of the vector
// would have another mean.
func layerNorm(c *coupling, n *graph.Node) string {
	x := c.in(0)
	a, ok := axisOf(n.Int("axis", -1), len(x))
	if !ok {
		return "its axis is not understood"
	}
	c.pinHere("normalises over it", x[a:]...)
	for i := 1; i < len(n.Inputs); i++ {
		if p := c.in(i); p != nil {
			c.stretch(p, x)
		}
	}
	return c.set(x...)
}

func softmaxRule(c *coupling, n *graph.Node) string {
	x := c.in(0)
	def := -1
	old := c.m.Opset[""] < 13 && n.Op != "LpNormalization"
	if old || n.Op == "LRN" {
		def = 1
	}
	a, ok := axisOf(n.Int("axis", def), len(x))
	if !ok {
		return "its axis is not understood"
	}
	end := a + 1
	if old && n.Op != "LRN" {
		end = len(x) // all axes from this one on are one
	}
	c.pinHere("normalises over it", x[a:end]...)
	return c.set(x...)
}

func poolRule(c *coupling, n *graph.Node) string {
	x := c.in(0)
	return c.set(append([]index{x[0], x[1]}, c.images(x)...)...)
}

func reduceRule(c *coupling, n *graph.Node) string {
	x := c.in(0)
	axes := n.Ints("axes")
	if len(n.Inputs) > 1 && n.Input(1) != "" {
		t := c.constant(1)
		if t == nil {
			return "its axes are computed"
		}
		for _, a := range t.Ints() {
			axes = append(axes, int(a))
		}
	}
	drop := make([]bool, len(x))
	for _, a := range axes {
		a, ok := axisOf(a, len(x))
		if !ok {
			return "its axes are not understood"
		}
		drop[a] = true
	}
	if len(axes) == 0 {
		if n.Int("noop_with_empty_axes", 0) != 0 {
			return c.set(x...)
		}
		drop = slices.Repeat([]bool{true}, len(x))
	}
	out := []index{}
	for a, ix := range x {
		switch {
		case !drop[a]:
			out = append(out, ix)
		case n.Int("keepdims", 1) != 0:
			out = append(out, c.stays(1, "it is what is left of a reduced axis"))
		}
		if drop[a] {
			c.pinHere("reduces over it", ix)
		}
	}
	return c.set(out...)
}

// axisOf resolves an axis that may count from the end.
func axisOf(a, rank int) (int, bool) {
	if a < 0 {
		a += rank
	}
	return a, a >= 0 && a < rank
}

func concatRule(c *coupling, n *graph.Node) string {
	first := c.in(0)
	a, ok := axisOf(n.Int("axis", 0), len(first))
	if !ok {
		return "its axis is not understood"
	}
	out := slices.Clone(first)
	out[a] = nil
	for i := range n.Inputs {
		x := c.in(i)
		if len(x) != len(first) {
			return "inputs differ in rank"
		}
		out[a] = append(out[a], x[a]...)
		for b := range x {
			if b != a && i > 0 {
				c.tie(out[b], x[b])
			}
		}
	}
	return c.set(out...)
}

func splitRule(c *coupling, n *graph.Node) string {
	x := c.in(0)
	a, ok := axisOf(n.Int("axis", 0), len(x))
	if !ok {
		return "its axis is not understood"
	}
	if n.Input(1) != "" && c.constant(1) == nil {
		return "its parts are computed"
	}
	from := 0
	for _, name := range n.Outputs {
		if name == "" {
			return "one of its parts has no name"
		}
		out := slices.Clone(x)
		size := c.shape(name)[a]
		out[a] = x[a][from : from+size]
		from += size
		c.labels[name] = out
	}
	return ""
}

// A cutting is what a Slice takes of an axis: those from start on and before
// end, in steps of one, by an entry of its parameters.
type cutting struct{ entry, axis, start, end int }

// cuttings resolves a Slice of a value of shape x whose parameters are
// constant. Steps other than 1 are reported by the axes in others.
func cuttings(n *graph.Node, opset int, param func(i int) []int, x []int) (cuts []cutting, others []int, ok bool) {
	starts, ends, axes, steps := param(1), param(2), param(3), param(4)
	if opset < 10 {
		starts, ends, axes, steps = n.Ints("starts"), n.Ints("ends"), n.Ints("axes"), nil
	}
	for i := range starts {
		a := i
		if axes != nil {
			a = axes[i]
		}
		a, ok := axisOf(a, len(x))
		if !ok || i >= len(ends) {
			return nil, nil, false
		}
		if steps != nil && steps[i] != 1 {
			others = append(others, a)
			continue
		}
		start, end := bound(starts[i], x[a]), bound(ends[i], x[a])
		cuts = append(cuts, cutting{i, a, start, end})
	}
	return cuts, others, starts != nil
}

// bound resolves the end of a slice of an axis of n.
func bound(v, n int) int {
	if v < 0 {
		v = max(v, -n) + n
	}
	return min(v, n)
}

// ints returns the constant integers of a node's input, nil where there are
// none.
func ints(t *graph.Tensor) []int {
	if t == nil {
		return nil
	}
	out := make([]int, 0, t.Len())
	for _, v := range t.Ints() {
		out = append(out, int(v))
	}
	return out
}

func sliceRule(c *coupling, n *graph.Node) string {
	x := c.in(0)
	for i := 1; i < len(n.Inputs); i++ {
		if n.Input(i) != "" && c.constant(i) == nil {
			return "its bounds are computed"
		}
	}
	cuts, others, ok := cuttings(n, c.m.Opset[""], func(i int) []int { return ints(c.constant(i)) }, c.shape(n.Input(0)))
	if !ok {
		return "its bounds are not understood"
	}
	out := slices.Clone(x)
	for _, k := range cuts {
		out[k.axis] = x[k.axis][k.start:max(k.start, k.end)]
	}
	for _, a := range others {
		c.pinHere("takes every n-th of it", x[a])
		out[a] = c.stays(c.shape(n.Outputs[0])[a], "it is a part of an axis that stays")
	}
	return c.set(out...)
}

// gatherRule follows constant indices, as those that shuffle channels.
func gatherRule(c *coupling, n *graph.Node) string {
	x, at := c.in(0), c.in(1)
	a, ok := axisOf(n.Int("axis", 0), len(x))
	if !ok {
		return "its axis is not understood"
	}
	out := slices.Clone(x[:a])
	if t := c.m.Weights[n.Input(1)]; t != nil && len(t.Shape) == 1 {
		picked := make(index, t.Len())
		for i, v := range t.Ints() {
			from, ok := axisOf(int(v), len(x[a]))
			if !ok {
				return "its indices are not understood"
			}
			picked[i] = x[a][from]
		}
		c.pinHere("has an index for each", at...)
		out = append(out, picked)
	} else {
		c.pinHere("picks from it", x[a])
		c.pinHere("has an index for each", at...)
		out = append(out, at...)
	}
	return c.set(append(out, x[a+1:]...)...)
}

func transposeRule(c *coupling, n *graph.Node) string {
	x := c.in(0)
	out := make([]index, len(x))
	perm := n.Ints("perm")
	for i := range out {
		a := len(x) - 1 - i
		if perm != nil {
			a = perm[i]
		}
		out[i] = x[a]
	}
	return c.set(out...)
}

func expandRule(c *coupling, n *graph.Node) string {
	out := c.fixed(c.shape(n.Outputs[0]), "it is stretched")
	x := c.in(0)
	for a, ix := range x {
		if o := a + len(out) - len(x); len(ix) == len(out[o]) {
			out[o] = ix
		} else {
			c.pinHere("stretches it", ix)
		}
	}
	return c.set(out...)
}

func padRule(c *coupling, n *graph.Node) string {
	x := c.in(0)
	pads := n.Ints("pads")
	if c.m.Opset[""] >= 11 {
		if pads = ints(c.constant(1)); pads == nil {
			return "its pads are computed"
		}
	}
	if n.Input(3) != "" || len(pads) != 2*len(x) {
		return "its axes are not understood"
	}
	out := slices.Clone(x)
	for a := range out {
		begin, end := pads[a], pads[a+len(x)]
		switch {
		case begin == 0 && end == 0:
		case begin < 0 || end < 0 || n.Str("mode", "constant") != "constant":
			c.pinHere("repeats or cuts it", x[a])
			out[a] = c.stays(c.shape(n.Outputs[0])[a], "it is padded")
		default:
			reason := "it is padding"
			out[a] = slices.Concat(c.stays(begin, reason), x[a], c.stays(end, reason))
		}
	}
	return c.set(out...)
}

// resizeRule is that of Resize and Upsample: axes that keep their size stay as
// they are.
func resizeRule(c *coupling, n *graph.Node) string {
	x, y := c.in(0), c.shape(n.Outputs[0])
	if n.Str("coordinate_transformation_mode", "") == "tf_crop_and_resize" || n.Has("axes") || n.Has("keep_aspect_ratio_policy") {
		return "its attributes are not understood"
	}
	scales := n.Attrs["scales"]
	var factors []float32
	if scales != nil {
		factors = scales.Floats
	}
	at := 2
	if n.Op == "Upsample" || c.m.Opset[""] < 11 {
		at = 1
	}
	if t := c.constant(at); t != nil && t.DType.Float() {
		factors = t.Floats()
	} else if n.Input(at) != "" && t == nil {
		return "its scales are computed"
	}
	out := make([]index, len(x))
	for a := range x {
		if len(x[a]) == y[a] && (len(factors) != len(x) || factors[a] == 1) {
			out[a] = x[a]
			continue
		}
		c.pinHere("resizes it", x[a])
		out[a] = c.stays(y[a], "it is an axis of an image")
	}
	return c.set(out...)
}

// depthToSpaceRule keeps a channel where all pixels of its blocks are kept.
func depthToSpaceRule(c *coupling, n *graph.Node) string {
	x := c.in(0)
	b := n.Int("blocksize", 1)
	y := c.fresh(len(x[1]) / (b * b))
	for i, l := range x[1] {
		if n.Str("mode", "DCR") == "CRD" {
			c.tieLabels(y[i/(b*b)], l)
		} else {
			c.tieLabels(y[i%len(y)], l)
		}
	}
	return c.set(append([]index{x[0], y}, c.images(x)...)...)
}

func spaceToDepthRule(c *coupling, n *graph.Node) string {
	x := c.in(0)
	b := n.Int("blocksize", 1)
	return c.set(append([]index{x[0], slices.Repeat(x[1], b*b)}, c.images(x)...)...)
}

// shapeRule is that of nodes that tell sizes or are told them. Sizes are put
// right where they are used, see resize.go.
func shapeRule(c *coupling, n *graph.Node) string {
	return c.set(c.fixed(c.shape(n.Outputs[0]), fmt.Sprintf("%s makes it", n))...)
}
