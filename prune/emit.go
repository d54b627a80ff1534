package prune

import (
	"math"
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime/ops"
)

// An emission is what channels of a value hold whatever the model is given: for
// each index along an axis, whether all elements there are one known number,
// and which. A channel whose weights are all zero still holds
// activation(bias), and what that becomes on its way is followed here.
type emission struct {
	axis  int
	known []bool
	value []float64
}

// emissions follows constant channels through the model, in node order. A value
// that has none is not in the result.
func (a *analysis) emissions() map[string]*emission {
	e := &emitter{a, make(map[string]*emission)}
	for _, n := range a.m.Nodes {
		if n.Domain != "" || rules[n.Op] == nil {
			continue
		}
		for _, name := range n.Outputs {
			axis := a.freeAxis(name)
			if axis < 0 {
				continue
			}
			out := &emission{axis, make([]bool, len(a.labels[name][axis])), make([]float64, len(a.labels[name][axis]))}
			e.emit(n, name, out)
			for i, v := range out.value {
				out.known[i] = out.known[i] && !math.IsNaN(v) && !math.IsInf(v, 0)
			}
			if slices.Contains(out.known, true) {
				e.by[name] = out
			}
		}
	}
	return e.by
}

// freeAxis returns the first axis of a value that has channels that may go, or
// -1.
func (a *analysis) freeAxis(name string) int {
	return slices.IndexFunc(a.labels[name], a.anyFree)
}

type emitter struct {
	a  *analysis
	by map[string]*emission
}

// of returns what the channels of a value emit along an axis, nil where nothing
// is known.
func (e *emitter) of(name string, axis int) *emission {
	if x := e.by[name]; x != nil && x.axis == axis {
		return x
	}
	return nil
}

// emit computes what a node's output emits.
func (e *emitter) emit(n *graph.Node, output string, out *emission) {
	switch n.Op {
	case "Conv", "ConvTranspose", "Gemm", "MatMul":
		e.product(n, out)
	case "BatchNormalization":
		e.batchNorm(n, out)
	case "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Concat", "Split", "Slice", "Gather", "Expand",
		"MaxPool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax", "ReduceMin", "DepthToSpace", "SpaceToDepth":
		e.move(n, output, out, false)
	case "AveragePool":
		e.move(n, output, out, e.a.padded(n, n.Ints("kernel_shape")) || n.Int("ceil_mode", 0) != 0)
	case "Pad", "Resize", "Upsample":
		// What lies at borders may differ but for zeros.
		zero := n.Op != "Pad" || n.Str("mode", "constant") == "constant" && (n.Input(2) == "" && n.Float("value", 0) == 0 || isZero(e.a.types[n.Input(2)].Const))
		if zero {
			e.move(n, output, out, true)
		}
	default:
		if slices.Contains(pointwiseOps, n.Op) {
			e.pointwise(n, output, out)
		}
	}
}

func isZero(t *graph.Tensor) bool {
	return t != nil && t.DType.Float() && !slices.ContainsFunc(t.Floats(), func(x float32) bool { return x != 0 })
}

// move takes what the inputs emit on classes over to those of the output.
func (e *emitter) move(n *graph.Node, output string, out *emission, zeros bool) {
	value := make(map[label]float64)
	unknown := make(map[label]bool)
	for i, name := range n.Inputs {
		if i > 0 && n.Op != "Concat" {
			break
		}
		axis := e.a.freeAxis(name)
		if axis < 0 {
			continue
		}
		x := e.of(name, axis)
		for i, l := range e.a.labels[name][axis] {
			l = e.a.find(l)
			if x == nil || !x.known[i] || zeros && x.value[i] != 0 {
				unknown[l] = true
			} else if v, ok := value[l]; ok && v != x.value[i] {
				unknown[l] = true
			} else {
				value[l] = x.value[i]
			}
		}
	}
	for i, l := range e.a.labels[output][out.axis] {
		l = e.a.find(l)
		out.value[i], out.known[i] = value[l]
		out.known[i] = out.known[i] && !unknown[l] && e.a.free(l)
	}
}

// product is what a layer emits: its bias, and constant inputs times its
// weights, where no other input has a weight.
func (e *emitter) product(n *graph.Node, out *emission) {
	p, ok := e.a.tappedOf(n)
	if !ok || out.axis != p.yAxis {
		return
	}
	bias := make([]float64, len(out.value))
	if b := n.Input(2); b != "" {
		t := e.a.types[b].Const
		if t == nil || !t.DType.Float() || t.Len() != 1 && t.Len() != len(bias) {
			return
		}
		if t.Len() == len(bias) && len(bias) > 1 && t.Shape[len(t.Shape)-1] != len(bias) {
			return
		}
		for i := range bias {
			bias[i] = float64(t.Floats()[i%t.Len()]) * p.beta
		}
	}
	x := e.of(p.x, p.xAxis)
	for o := range out.value {
		out.value[o], out.known[o] = bias[o], true
		p.each(o, func(in int, sum float64, zero bool) {
			switch {
			case zero:
			case x == nil || !x.known[in] || p.borders && x.value[in] != 0:
				out.known[o] = false
			default:
				out.value[o] += sum * x.value[in]
			}
		})
	}
}

// A tapped layer is one with a constant weight, seen as a matrix of outputs by
// inputs whose elements are the taps of windows.
type tapped struct {
	x            string
	xAxis, yAxis int
	beta         float64 // what a bias is multiplied by
	// borders says that a constant input does not give a constant output: zeros
	// lie around it.
	borders bool
	each    func(out int, visit func(in int, sum float64, zero bool))
}

// tappedOf looks at a layer, and reports failure for what is none.
func (a *analysis) tappedOf(n *graph.Node) (tapped, bool) {
	p := tapped{x: n.Input(0), beta: 1}
	w := a.types[n.Input(1)].Const
	rank := len(a.shape(n.Outputs[0]))
	alpha := 1.0
	rows, cols, taps, groups := 0, 0, 1, 1 // outputs and inputs of a group
	transposed := false                    // inputs first
	switch n.Op {
	case "Conv", "ConvTranspose":
		p.xAxis, p.yAxis = 1, 1
		groups = max(1, n.Int("group", 1))
		if w == nil {
			return p, false
		}
		for _, d := range w.Shape[2:] {
			taps *= d
		}
		transposed = n.Op == "ConvTranspose"
		p.borders = transposed || a.padded(n, w.Shape[2:])
		if transposed {
			rows, cols = w.Shape[1], w.Shape[0]/groups
		} else {
			rows, cols = w.Shape[0]/groups, w.Shape[1]
		}
	case "Gemm":
		p.xAxis, p.yAxis = 1, 1
		if n.Int("transA", 0) != 0 {
			p.xAxis = 0
		}
		alpha, p.beta = float64(n.Float("alpha", 1)), float64(n.Float("beta", 1))
		transposed = n.Int("transB", 0) == 0
	case "MatMul":
		p.xAxis, p.yAxis = len(a.shape(p.x))-1, rank-1
		transposed = true
	}
	if w == nil || !w.DType.Float() || taps == 0 {
		return p, false
	}
	if n.Op == "Gemm" || n.Op == "MatMul" {
		if len(w.Shape) != 2 {
			return p, false // a batch of weights
		}
		rows, cols = w.Shape[0], w.Shape[1]
		if transposed {
			rows, cols = cols, rows
		}
	}
	values := w.Floats()
	p.each = func(out int, visit func(in int, sum float64, zero bool)) {
		g, o := out/rows, out%rows
		for i := range cols {
			at := (out*cols + i) * taps
			if transposed {
				at = ((g*cols+i)*rows + o) * taps
			}
			sum, zero := 0.0, true
			for _, v := range values[at : at+taps] {
				sum += float64(v)
				zero = zero && v == 0
			}
			visit(g*cols+i, alpha*sum, zero)
		}
	}
	return p, true
}

// padded reports whether windows of a convolution or pool reach beyond its image.
func (a *analysis) padded(n *graph.Node, kernel []int) bool {
	win, err := graph.NewWindow(n, a.shape(n.Input(0))[2:], kernel)
	if err != nil {
		return true
	}
	if n.Has("auto_pad") && a.other != nil && n.Str("auto_pad", "") != "VALID" && n.Str("auto_pad", "") != "NOTSET" {
		return true // by the size of the image
	}
	some := func(p int) bool { return p != 0 }
	return slices.ContainsFunc(win.Begin, some) || slices.ContainsFunc(win.End, some)
}

func (e *emitter) batchNorm(n *graph.Node, out *emission) {
	var p [4][]float32
	for i := range p {
		t := e.a.types[n.Input(i+1)].Const
		if t == nil || t.Len() != len(out.value) || out.axis != 1 {
			return
		}
		p[i] = t.Floats()
	}
	x := e.of(n.Input(0), 1)
	eps := float64(n.Float("epsilon", 1e-5))
	for i := range out.value {
		scale := float64(p[0][i]) / math.Sqrt(float64(p[3][i])+eps)
		switch {
		case scale == 0:
			out.value[i], out.known[i] = float64(p[1][i]), true
		case x != nil && x.known[i]:
			out.value[i], out.known[i] = (x.value[i]-float64(p[2][i]))*scale+float64(p[1][i]), true
		}
	}
}

// pointwise computes the node itself on what its operands emit. A product with
// zero is zero, whatever the other operand is.
func (e *emitter) pointwise(n *graph.Node, output string, out *emission) {
	size := len(out.value)
	rank := len(e.a.labels[output])
	in := make([]*graph.Tensor, len(n.Inputs))
	known := slices.Repeat([]bool{true}, size)
	zero := make([]bool, size)
	for i, name := range n.Inputs {
		if name == "" {
			continue
		}
		if t := e.a.types[name]; !t.DType.Float() {
			if t.Const == nil || t.Const.Len() != 1 {
				return
			}
			in[i] = t.Const
			continue
		}
		x := e.operand(name, out.axis-rank+len(e.a.labels[name]), size)
		values := make([]float32, size)
		for k := range values {
			if x == nil || !x.known[k] {
				known[k] = false
				continue
			}
			values[k] = float32(x.value[k])
			zero[k] = zero[k] || x.value[k] == 0
		}
		shape := []int{size}
		if e.a.types[name].Const != nil && e.a.types[name].Const.Len() == 1 {
			shape, values = []int{}, values[:1] // as the operator may ask for
		}
		in[i] = graph.FromFloats(shape, values)
	}
	copy(out.known, known)
	if n.Op == "Mul" {
		for k := range zero {
			out.known[k] = out.known[k] || zero[k]
		}
	}
	if !slices.Contains(out.known, true) {
		return
	}
	made, err := ops.Eval(n, e.a.m.Opset[""], in)
	if err != nil || len(made) == 0 || made[0] == nil || made[0].Len() != size || !made[0].DType.Float() {
		clear(out.known)
		return
	}
	for k, v := range made[0].Floats() {
		out.value[k] = float64(v)
		if n.Op == "Mul" && zero[k] {
			out.value[k] = 0
		}
	}
}

// operand returns what a value emits along an axis of size elements, where it
// may be a constant or be stretched; nil where nothing is known.
func (e *emitter) operand(name string, axis, size int) *emission {
	if axis >= 0 {
		if x := e.of(name, axis); x != nil && len(x.known) == size {
			return x
		}
	}
	t := e.a.types[name].Const
	if t == nil || t.Len() == 0 {
		return nil
	}
	x := &emission{axis, make([]bool, size), make([]float64, size)}
	inner, n := 1, 1 // of the axis, where the constant has it
	if axis >= 0 {
		n = t.Shape[axis]
		for _, d := range t.Shape[axis+1:] {
			inner *= d
		}
	}
	first := make([]float32, n)
	uniform := make([]bool, n)
	for i, v := range t.Floats() {
		k := i / inner % n
		if i < inner*n && i%inner == 0 {
			first[k], uniform[k] = v, true
		} else if v != first[k] {
			uniform[k] = false
		}
	}
	if n != 1 && n != size {
		return nil
	}
	for k := range x.known {
		x.known[k], x.value[k] = uniform[k%n], float64(first[k%n])
	}
	return x
}
