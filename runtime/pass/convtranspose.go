package pass

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// convTranspose turns ConvTranspose with constant weight and bias into nnz.Conv
// and nnz.DepthToSpace. Pixels of the output that are stride apart are taps of
// the same kernel elements: they are one convolution of the input, with
// stride² times the channels in two dimensions, whose kernel holds every
// stride-th element. A clamp that follows moves into the convolution.
func convTranspose(g *Graph) error {
	m := newMatcher(g)
	for _, n := range slices.Clone(g.Nodes) {
		if m.dropped[n] || !is(n, "ConvTranspose") || g.realConstant(n.Inputs[1]) == nil || n.Input(2) != "" && g.realConstant(n.Input(2)) == nil {
			continue
		}
		if err := m.phaseConv(n); err != nil {
			return err
		}
	}
	m.sweep()
	return nil
}

// A phased is an axis of a transposed convolution as a convolution.
type phased struct {
	phases     int // outputs that a window gives
	windows    int
	kernel     int
	dilation   int
	begin, end int // padding
	skip       int // outputs before the first that is wanted
	cut, shift int // see tap
}

// newPhased turns an axis. Windows begin with the first output or, where that
// makes the kernel smaller, some before it, so that the kernel has no zeros
// where the stride divides it.
func newPhased(in, kernel, stride, dilation, cut, out int) phased {
	first := phasedFrom(in, kernel, stride, dilation, cut, out)
	skip := cut - floorDiv(cut, stride)*stride
	other := phasedFrom(in, kernel, stride, dilation, cut-skip, out+skip)
	if other.skip = skip; other.kernel < first.kernel {
		return other
	}
	return first
}

// phasedFrom turns an axis: element k of the kernel adds pixel i of the input to
// pixel i*stride + k*dilation - cut of the output. With u*phases + p for the
// latter, i is u + (p + cut - k*dilation)/phases where that is whole.
func phasedFrom(in, kernel, stride, dilation, cut, out int) phased {
	a := phased{phases: stride, windows: (out + stride - 1) / stride, dilation: 1, cut: cut}
	least, most := floorDiv(cut-(kernel-1)*dilation+stride-1, stride), floorDiv(stride-1+cut, stride)
	if stride == 1 && least <= 0 {
		a.dilation = dilation
	}
	// Padding does not crop: a kernel has zeros where it would have to.
	least = min(least, 0)
	a.begin, a.shift = -least, least
	most = max(most, in-a.windows)
	a.kernel = (most-least+a.dilation-1)/a.dilation + 1
	a.end = a.windows - 1 + (a.kernel-1)*a.dilation + 1 - a.begin - in
	return a
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// tap returns the tap that element k of the kernel is in a phase.
func (a *phased) tap(k, dilation, phase int) (int, bool) {
	at := phase + a.cut - k*dilation
	if at%a.phases != 0 {
		return 0, false
	}
	at = at/a.phases - a.shift
	return at / a.dilation, at%a.dilation == 0
}

// phaseConv replaces a node. It leaves one whose kernel would become a lot
// larger: those that are dilated a lot, or cropped.
func (m *matcher) phaseConv(n *graph.Node) error {
	x, w := m.Types[n.Inputs[0]].Shape, m.constant(n.Inputs[1])
	y := m.Types[n.Outputs[0]].Shape
	if len(x) < 3 || len(w.Shape) != len(x) || slices.Contains(y, 0) || slices.Contains(x, 0) {
		return nil
	}
	win, err := graph.NewTransposeWindow(n, x[2:], w.Shape[2:])
	if err != nil {
		return err
	}
	const growth = 8 // of a kernel, at most
	axes, phases, taps := make([]phased, len(x)-2), 1, 1
	for i := range axes {
		a := newPhased(x[2+i], win.Kernel[i], win.Stride[i], win.Dilation[i], win.Begin[i], y[2+i])
		if a.kernel > growth*win.Kernel[i] || a.phases > growth*win.Kernel[i] {
			return nil
		}
		axes[i], phases, taps = a, phases*a.phases, taps*a.kernel
		if phases*taps > growth*extent(win.Kernel) {
			return nil
		}
	}
	group := n.Int("group", 1)
	weight := phasedWeight(w, group, axes, &win)
	inputs := []string{m.addWeight(n.Inputs[1]+".phases", weight)}
	if n.Input(2) != "" {
		bias := make([]float32, 0, weight.Shape[0])
		for _, b := range m.constant(n.Input(2)).Floats() {
			bias = append(bias, slices.Repeat([]float32{b}, phases)...)
		}
		inputs = append(inputs, m.addWeight(n.Input(2)+".phases", graph.FromFloats([]int{len(bias)}, bias)))
	}
	last := n
	bounds := limits{-inf, inf}
	if r := m.reader[n.Outputs[0]]; m.readers[n.Outputs[0]] == 1 && !m.output[n.Outputs[0]] && isFused(r, "Clamp") {
		last, bounds = r, boundsOf(r, "min", "max")
	}
	c := m.chainFrom(last, n.Inputs[0])
	shape := []int{x[0], weight.Shape[0]}
	var strides, dilations, begin, end, blocks, skip []int
	for _, a := range axes {
		shape = append(shape, a.windows)
		strides, dilations = append(strides, 1), append(dilations, a.dilation)
		begin, end = append(begin, a.begin), append(end, a.end)
		blocks, skip = append(blocks, a.phases), append(skip, a.skip)
	}
	conv := c.then(graph.FusedDomain, "Conv", shape, inputs...)
	conv.Set("kernel_shape", weight.Shape[2:])
	conv.Set("strides", strides)
	conv.Set("dilations", dilations)
	conv.Set("pads", slices.Concat(begin, end))
	conv.Set("group", group)
	bounds.set(conv, "clamp_min", "clamp_max")
	if phases > 1 {
		pixels := c.then(graph.FusedDomain, "DepthToSpace", y)
		pixels.Set("blocks", blocks)
		pixels.Set("skip", skip)
	}
	c.finish()
	if last != n {
		m.drop(n)
	}
	return nil
}

// phasedWeight returns the kernel of the convolution: [channels*phases,
// inputs of a group, taps…] from [inputs, channels of a group, elements…].
func phasedWeight(w *graph.Tensor, group int, axes []phased, win *graph.Window) *graph.Tensor {
	ins, outs := w.Shape[0]/group, w.Shape[1]
	elements, phases, taps := extent(w.Shape[2:]), 1, 1
	shape := []int{0, ins}
	for _, a := range axes {
		phases, taps = phases*a.phases, taps*a.kernel
		shape = append(shape, a.kernel)
	}
	shape[0] = outs * group * phases
	v, out := w.Floats(), make([]float32, shape[0]*ins*taps)
	for phase := range phases {
		for e := range elements {
			tap, ok := tapOf(axes, win, phase, e)
			if !ok {
				continue
			}
			for i := range w.Shape[0] {
				for o := range outs {
					row := ((i/ins)*outs+o)*phases + phase
					out[(row*ins+i%ins)*taps+tap] = v[(i*outs+o)*elements+e]
				}
			}
		}
	}
	return graph.FromFloats(shape, out).Compact()
}

// tapOf returns the tap of a phase, both counted over all axes, that an element
// of the kernel is.
func tapOf(axes []phased, win *graph.Window, phase, element int) (tap int, ok bool) {
	scale := 1
	for i, a := range slices.Backward(axes) {
		t, ok := a.tap(element%win.Kernel[i], win.Dilation[i], phase%a.phases)
		if !ok {
			return 0, false
		}
		tap += t * scale
		scale *= a.kernel
		element, phase = element/win.Kernel[i], phase/a.phases
	}
	return tap, true
}
