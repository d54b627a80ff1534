package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// buildCopy binds the operators that keep the elements as they stand and only
// give them another shape, or none: Identity, Reshape, Flatten, Squeeze,
// Unsqueeze. What shape is shape inference's concern.
func buildCopy(s *site) (Compute, error) {
	x, y := &s.in[0], &s.out[0]
	if err := wantSame(x, y); err != nil {
		return nil, err
	}
	if x.Len() != y.Len() {
		return nil, fmt.Errorf("output 0 has shape %v, expected the %d elements of shape %v", y.Shape, x.Len(), x.Shape)
	}
	return func(in, out []Tensor) {
		copy(out[0].F, in[0].F)
		copy(out[0].I, in[0].I)
	}, nil
}

// buildDropout binds Dropout in inference, or in training where it drops
// nothing: a copy, and a mask that is all true.
func buildDropout(s *site) (Compute, error) {
	none := s.has(1) && len(s.in[1].F) == 1 && s.in[1].F[0] == 0
	if s.opset >= 12 && s.has(2) && !none {
		if t := &s.in[2]; len(t.I) != 1 || t.I[0] != 0 {
			return nil, fmt.Errorf("input training_mode must be a constant false")
		}
	}
	run, err := buildCopy(s)
	if err != nil || len(s.out) < 2 || !s.out[1].present() {
		return run, err
	}
	if err := s.wantOut(1, s.in[0].Shape); err != nil {
		return nil, err
	}
	return func(in, out []Tensor) {
		run(in, out)
		fill(out[1].F, 1) // version 7 gave the mask the type of the data
		fill(out[1].I, 1)
	}, nil
}

// fixed returns the function that writes v, known since Build, to output 0 of
// type int64.
func fixed(s *site, v ...int64) (Compute, error) {
	if y := &s.out[0]; y.DType != graph.Int64 || y.Len() != len(v) {
		return nil, fmt.Errorf("output 0 has type %s%v, expected int64 of %d elements", y.DType, y.Shape, len(v))
	}
	return func(_, out []Tensor) { copy(out[0].I, v) }, nil
}

// buildShape binds Shape, from version 15 on of a range of axes.
func buildShape(s *site) (Compute, error) {
	shape := s.in[0].Shape
	clip := func(a int) int {
		if a < 0 {
			a += len(shape)
		}
		return min(max(a, 0), len(shape))
	}
	start, end := clip(s.Int("start", 0)), clip(s.Int("end", len(shape)))
	v := []int64{}
	for i := start; i < end; i++ {
		v = append(v, int64(shape[i]))
	}
	return fixed(s, v...)
}

// buildSize binds Size.
func buildSize(s *site) (Compute, error) { return fixed(s, int64(s.in[0].Len())) }

// buildTranspose binds Transpose.
func buildTranspose(s *site) (Compute, error) {
	x := &s.in[0]
	perm := s.Ints("perm")
	if perm == nil {
		for i := range x.Shape {
			perm = append(perm, len(x.Shape)-1-i)
		}
	}
	set, err := axisSet(perm, len(x.Shape))
	if err != nil || slices.Contains(set, false) || slices.ContainsFunc(perm, func(p int) bool { return p < 0 }) {
		return nil, fmt.Errorf("perm %v is not a permutation of %d axes", perm, len(x.Shape))
	}
	own := strides(x.Shape)
	want, st := make([]int, len(perm)), make([]int, len(perm))
	for i, p := range perm {
		want[i], st[i] = x.Shape[p], own[p]
	}
	return s.rearrange(want, want, st, 0)
}

// rearrange returns the function that copies input 0 to output 0, whose shape
// must be want, through the loops over dims, which have as many elements.
func (s *site) rearrange(want, dims, st []int, base int) (Compute, error) {
	if err := wantSame(&s.in[0], &s.out[0]); err != nil {
		return nil, err
	}
	if err := s.wantOut(0, want); err != nil {
		return nil, err
	}
	if n, err := graph.Elements(dims); err != nil || n != s.out[0].Len() {
		return nil, fmt.Errorf("output 0 has shape %v, expected the elements of %v", want, dims)
	}
	t := newNest(dims, st)
	t.walks[0].base = base
	return gatherNest(s.out[0].DType, t), nil
}

// buildExpand binds Expand: input 0 broadcast together with a shape.
func buildExpand(s *site) (Compute, error) {
	if dims, err := s.constInts(1, "shape"); err == nil {
		want, err := graph.Broadcast(s.in[0].Shape, dims)
		if err != nil {
			return nil, err
		}
		if err := s.wantOut(0, want); err != nil {
			return nil, err
		}
	}
	want := s.out[0].Shape
	st, err := broadcastStrides(s.in[0].Shape, want)
	if err != nil {
		return nil, err
	}
	return s.rearrange(want, want, st, 0)
}

// buildTile binds Tile.
func buildTile(s *site) (Compute, error) {
	x := &s.in[0]
	reps, err := s.constInts(1, "repeats")
	if err != nil {
		return nil, err
	}
	if len(reps) != len(x.Shape) {
		return nil, fmt.Errorf("%d repeats for %d axes", len(reps), len(x.Shape))
	}
	own := strides(x.Shape)
	var want, dims, st []int
	for i, d := range x.Shape {
		want = append(want, d*reps[i])
		dims = append(dims, reps[i], d)
		st = append(st, 0, own[i])
	}
	return s.rearrange(want, dims, st, 0)
}

// buildSlice binds Slice: attributes before version 10, constant inputs from
// then on.
func buildSlice(s *site) (Compute, error) {
	x := &s.in[0]
	var list [4][]int
	for i, name := range []string{"starts", "ends", "axes", "steps"} {
		var err error
		if list[i], err = s.listParam(name, i+1, 10); err != nil {
			return nil, err
		}
	}
	starts, ends, axes, steps := list[0], list[1], list[2], list[3]
	if axes == nil {
		for i := range starts {
			axes = append(axes, i)
		}
	}
	if len(ends) != len(starts) || len(axes) != len(starts) || steps != nil && len(steps) != len(starts) {
		return nil, fmt.Errorf("starts %v, ends %v, axes %v and steps %v differ in length", starts, ends, axes, steps)
	}
	if _, err := axisSet(axes, len(x.Shape)); err != nil {
		return nil, err
	}
	want, st, base := slices.Clone(x.Shape), strides(x.Shape), 0
	for i, a := range axes {
		a, _ = normAxis(a, len(x.Shape))
		step := 1
		if steps != nil {
			step = steps[i]
		}
		start, n, err := sliceRange(starts[i], ends[i], step, x.Shape[a])
		if err != nil {
			return nil, err
		}
		base += start * st[a]
		want[a], st[a] = n, st[a]*step
	}
	return s.rearrange(want, want, st, base)
}

// sliceRange resolves the start and the end of a slice of an axis of extent d
// as Python does, and returns the first index and how many there are.
func sliceRange(start, end, step, d int) (first, n int, err error) {
	if step == 0 {
		return 0, 0, errors.New("a step is 0")
	}
	step = min(max(step, -1<<31), 1<<31) // farther than any axis reaches
	lo, hi := 0, d
	if step < 0 {
		lo, hi = -1, d-1
	}
	clip := func(i int) int {
		if i < 0 {
			i += d
		}
		return min(max(i, lo), hi)
	}
	start, end = clip(start), clip(end)
	if step > 0 {
		n = (end - start + step - 1) / step
	} else {
		n = (start - end - step - 1) / -step
	}
	if n <= 0 || d == 0 {
		return 0, 0, nil
	}
	return start, n, nil
}

// buildConcat binds Concat.
func buildConcat(s *site) (Compute, error) {
	first := &s.in[0]
	axis, err := normAxis(s.Int("axis", 1), len(first.Shape))
	if err != nil {
		return nil, err
	}
	want := slices.Clone(first.Shape)
	want[axis] = 0
	chunks := make([]int, len(s.in))
	for i := range s.in {
		x := &s.in[i]
		if err := wantSame(x, &s.out[0]); err != nil {
			return nil, err
		}
		if len(x.Shape) != len(want) {
			return nil, fmt.Errorf("input %d has shape %v, expected rank %d", i, x.Shape, len(want))
		}
		for a, d := range x.Shape {
			if a != axis && d != want[a] {
				return nil, fmt.Errorf("input %d has shape %v, expected that of input 0, %v, but along axis %d", i, x.Shape, first.Shape, axis)
			}
		}
		want[axis] += x.Shape[axis]
		chunks[i] = product(x.Shape[axis:])
	}
	if err := s.wantOut(0, want); err != nil {
		return nil, err
	}
	outer := product(want[:axis])
	return pick(s.out[0].DType, concat[float32](outer, chunks), concat[int64](outer, chunks)), nil
}

func concat[T elem](outer int, chunks []int) Compute {
	return func(in, out []Tensor) {
		y, at := data[T](&out[0]), 0
		for o := range outer {
			for i, n := range chunks {
				copy(y[at:at+n], data[T](&in[i])[o*n:])
				at += n
			}
		}
	}
}

// buildSplit binds Split. The extents of the parts are those of the outputs,
// and must add up.
func buildSplit(s *site) (Compute, error) {
	x := &s.in[0]
	axis, err := normAxis(s.Int("axis", 0), len(x.Shape))
	if err != nil {
		return nil, err
	}
	chunks, sum := make([]int, len(s.out)), 0
	for i := range s.out {
		y := &s.out[i]
		if !y.present() {
			return nil, fmt.Errorf("output %d is absent", i)
		}
		if err := wantSame(x, y); err != nil {
			return nil, err
		}
		want := slices.Clone(x.Shape)
		if len(y.Shape) == len(want) {
			want[axis] = y.Shape[axis]
		}
		if err := s.wantOut(i, want); err != nil {
			return nil, err
		}
		sum += want[axis]
		chunks[i] = product(want[axis:])
	}
	if sum != x.Shape[axis] {
		return nil, fmt.Errorf("outputs take %d along axis %d, expected the %d of shape %v", sum, axis, x.Shape[axis], x.Shape)
	}
	outer := product(x.Shape[:axis])
	return pick(x.DType, split[float32](outer, chunks), split[int64](outer, chunks)), nil
}

func split[T elem](outer int, chunks []int) Compute {
	return func(in, out []Tensor) {
		x, at := data[T](&in[0]), 0
		for o := range outer {
			for i, n := range chunks {
				copy(data[T](&out[i])[o*n:(o+1)*n], x[at:])
				at += n
			}
		}
	}
}

// checkDepthToSpace refuses modes that do not exist.
func checkDepthToSpace(n *graph.Node, _ int) error {
	if mode := n.Str("mode", "DCR"); mode != "DCR" && mode != "CRD" {
		return fmt.Errorf("attribute mode: %q, expected DCR or CRD", mode)
	}
	return nil
}

// maxBlock bounds blocksize so that its square does not overflow.
const maxBlock = 1 << 20

// buildDepthToSpace binds DepthToSpace: blocks of b x b channels become
// pixels.
func buildDepthToSpace(s *site) (Compute, error) {
	x, b := s.in[0].Shape, s.Int("blocksize", 0)
	if len(x) != 4 || b <= 0 || b > maxBlock || x[1]%(b*b) != 0 {
		return nil, fmt.Errorf("shape %v and blocksize %d, expected [N, C, H, W] with C a multiple of blocksize²", x, b)
	}
	n, c, h, w := x[0], x[1]/(b*b), x[2], x[3]
	plane := h * w
	down, right, channel := b*c*plane, c*plane, plane // DCR: channels of a block lie C apart
	if s.Str("mode", "DCR") == "CRD" {
		down, right, channel = b*plane, plane, b*b*plane
	}
	return s.rearrange([]int{n, c, h * b, w * b}, []int{n, c, h, b, w, b},
		[]int{x[1] * plane, channel, w, down, 1, right}, 0)
}

// buildFusedDepthToSpace binds nnz.DepthToSpace, as package pass defines it.
func buildFusedDepthToSpace(s *site) (Compute, error) {
	if err := s.wantFloat(0); err != nil {
		return nil, err
	}
	x, y, blocks, skip := s.in[0].Shape, s.out[0].Shape, s.Ints("blocks"), s.Ints("skip")
	if len(x) < 3 || len(y) != len(x) || len(blocks) != len(x)-2 || len(skip) != len(blocks) || slices.ContainsFunc(blocks, func(b int) bool { return b < 1 || b > maxBlock }) {
		return nil, fmt.Errorf("X %v, Y %v, blocks %v and skip %v, expected an entry for each of one or more spatial axes", x, y, blocks, skip)
	}
	phases := product(blocks)
	for i, b := range blocks {
		if skip[i] < 0 || y[2+i]+skip[i] > x[2+i]*b {
			return nil, fmt.Errorf("X %v, Y %v, blocks %v and skip %v, expected no more pixels than X has", x, y, blocks, skip)
		}
	}
	if x[0] != y[0] || x[1] != y[1]*phases {
		return nil, fmt.Errorf("X %v, Y %v and blocks %v, expected channels for each pixel of a block", x, y, blocks)
	}
	from, to := product(x[2:]), product(y[2:])
	return func(in, out []Tensor) {
		for i := range y[0] * y[1] {
			src := in[0].F[i*phases*from:]
			for at := range to {
				phase, pixel, rest, phaseStep, pixelStep := 0, 0, at, 1, 1
				for a := len(blocks) - 1; a >= 0; a-- {
					d := rest%y[2+a] + skip[a]
					rest /= y[2+a]
					phase, pixel = phase+d%blocks[a]*phaseStep, pixel+d/blocks[a]*pixelStep
					phaseStep, pixelStep = phaseStep*blocks[a], pixelStep*x[2+a]
				}
				out[0].F[i*to+at] = src[phase*from+pixel]
			}
		}
	}, nil
}

// buildSpaceToDepth binds SpaceToDepth, the inverse of DepthToSpace in mode
// DCR.
func buildSpaceToDepth(s *site) (Compute, error) {
	x, b := s.in[0].Shape, s.Int("blocksize", 0)
	if len(x) != 4 || b <= 0 || b > maxBlock || x[2]%b != 0 || x[3]%b != 0 {
		return nil, fmt.Errorf("shape %v and blocksize %d, expected [N, C, H, W] with H and W multiples of blocksize", x, b)
	}
	n, c, h, w := x[0], x[1], x[2]/b, x[3]/b
	plane := x[2] * x[3]
	return s.rearrange([]int{n, c * b * b, h, w}, []int{n, b, b, c, h, w},
		[]int{c * plane, x[3], 1, plane, b * x[3], b}, 0)
}

// buildGather binds Gather. Negative indices count from the end. An index
// outside the axis, an error in ONNX, is refused where indices are constant;
// where they are not, it reads NaN, or 0 from integers.
func buildGather(s *site) (Compute, error) {
	x, idx := &s.in[0], &s.in[1]
	if err := wantSame(x, &s.out[0]); err != nil {
		return nil, err
	}
	axis, err := normAxis(s.Int("axis", 0), len(x.Shape))
	if err != nil {
		return nil, err
	}
	if !idx.DType.Integer() {
		return nil, fmt.Errorf("indices have element type %s, expected an integer type", idx.DType)
	}
	want := slices.Concat(x.Shape[:axis], idx.Shape, x.Shape[axis+1:])
	if err := s.wantOut(0, want); err != nil {
		return nil, err
	}
	a := along{product(x.Shape[:axis]), x.Shape[axis], product(x.Shape[axis+1:])}
	for _, i := range idx.I {
		if i < int64(-a.n) || i >= int64(a.n) {
			return nil, fmt.Errorf("index %d is outside axis %d of shape %v", i, axis, x.Shape)
		}
	}
	return pick(x.DType, gather(a, nan), gather[int64](a, 0)), nil
}

func gather[T elem](a along, missing T) Compute {
	return func(in, out []Tensor) {
		x, y, at := data[T](&in[0]), data[T](&out[0]), 0
		for o := range a.outer {
			for _, i := range in[1].I {
				if i < 0 {
					i += int64(a.n)
				}
				d := y[at : at+a.inner]
				if i < 0 || i >= int64(a.n) {
					fill(d, missing)
				} else {
					copy(d, x[(o*a.n+int(i))*a.inner:])
				}
				at += a.inner
			}
		}
	}
}
