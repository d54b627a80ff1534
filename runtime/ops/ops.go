// Package ops computes ONNX operators on plain row-major tensors.
//
// It folds constants, runs whatever has no faster path, and is the reference
// that faster paths are tested against. Every operator is one row of a table:
// the version it has been so since, its number of inputs, and a function that
// binds a node to shapes. Semantics follow the operator schemas,
// https://onnx.ai/onnx/operators/; where those leave room, ONNX Runtime.
//
// Real types are computed in float32 and integer types and bool in int64,
// wrapped to the width of the type. uint64 is held as its bit pattern, so that
// values from 2^63 on compare and divide as negative ones.
package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/vec"
)

// A Tensor is a row-major array. Elements of real types are in F, those of
// integer types and bool in I; both are nil while only the shape is known.
// An absent optional input or output has DType Undefined.
type Tensor struct {
	DType graph.DType
	Shape []int
	F     []float32
	I     []int64
}

// Len returns the number of elements.
func (t *Tensor) Len() int { return product(t.Shape) }

// present reports whether t stands for a value rather than for an absent
// optional one.
func (t *Tensor) present() bool { return t.DType != graph.Undefined }

// known reports whether t carries its elements.
func (t *Tensor) known() bool { return t.F != nil || t.I != nil }

// A Compute runs a node: it reads the data of in and writes the data of out,
// whose types and shapes are those that it was built for. It allocates nothing
// and keeps no state, so goroutines may share it, each with its own tensors.
// No output may share memory with an input.
type Compute func(in, out []Tensor)

// An operator is a row of the table.
type operator struct {
	inputs  [2]int                               // fewest and most inputs of a fused operator; of others, graph knows
	check   func(n *graph.Node, opset int) error // refuses attributes before shapes are known; may be nil
	build   func(s *site) (Compute, error)       // binds a node; nil where only data tells the extents
	eval    func(s *site) ([]Tensor, error)      // computes such a node; nil where it is made of graphs
	refuses string                               // what of the specification does not run, for people
	quiet   bool                                 // the first output may be absent
}

// Supported reports why node n, of a model that imports version opset of the
// node's domain, cannot be run here, or nil where it can. It looks at the
// operator, its version and its attributes; shapes and types are Build's.
func Supported(n *graph.Node, opset int) error {
	_, err := lookup(n, opset)
	return err
}

func lookup(n *graph.Node, opset int) (operator, error) {
	var op operator
	var ok bool
	var sig graph.Signature
	switch n.Domain {
	case "":
		op, ok = table[n.Op]
		sig, _ = graph.SignatureOf(n.Op)
		op.inputs = [2]int{sig.MinInputs, sig.MaxInputs}
	case graph.FusedDomain:
		op, ok = fused[n.Op]
	default:
		return op, fmt.Errorf("no operator of domain %q is supported", n.Domain)
	}
	switch {
	case !ok && absent[n.Op] != "" && n.Domain == "":
		return op, fmt.Errorf("operator %s is not supported: %s", n.Op, absent[n.Op])
	case !ok:
		return op, fmt.Errorf("operator %s is not supported", n.Op)
	case n.Domain == graph.FusedDomain: // has no versions
	case opset < sig.Since:
		return op, fmt.Errorf("version %d of operator %s is not supported, only %d and later", opset, n.Op, sig.Since)
	case sig.Until != 0 && opset > sig.Until:
		return op, fmt.Errorf("version %d has no operator %s, the last one that does is %d", opset, n.Op, sig.Until)
	}
	if op.check != nil {
		if err := op.check(n, opset); err != nil {
			return op, err
		}
	}
	return op, nil
}

// Build binds node n to the shapes of its inputs and outputs and returns the
// function that runs it. Inputs that are constants carry their data; those
// that decide a shape or a table, such as the axes of a reduction, must. The
// shapes of out are checked, and an error says what was expected.
func Build(n *graph.Node, opset int, in, out []Tensor, k *vec.Kernels) (Compute, error) {
	s := &site{Node: n, opset: opset, in: in, out: out, vec: k}
	op, err := lookup(n, opset)
	if err != nil {
		return nil, s.wrap(err)
	}
	if err := s.validate(op); err != nil {
		return nil, s.wrap(err)
	}
	if s.empty() {
		return func(in, out []Tensor) {}, nil
	}
	if op.build == nil {
		return nil, s.wrap(errors.New("the extents of its outputs depend on data"))
	}
	run, err := op.build(s)
	if err != nil {
		return nil, s.wrap(err)
	}
	return run, nil
}

// A site is a node with the tensors that it is being built for.
type site struct {
	*graph.Node
	opset   int
	in, out []Tensor
	vec     *vec.Kernels
	limit   int64 // bytes that an eval may take
}

// allow compares what an eval is about to take with its limit.
func (s *site) allow(bytes int64) error {
	if bytes > s.limit {
		return fmt.Errorf("%d bytes, %w of %d", bytes, ErrLimit, s.limit)
	}
	return nil
}

func (s *site) wrap(err error) error {
	if s.Name != "" && s.Name != s.Op {
		return fmt.Errorf("%s %q: %w", s.Op, s.Name, err)
	}
	return fmt.Errorf("%s: %w", s.Op, err)
}

// validate checks what every operator takes for granted.
func (s *site) validate(op operator) error {
	if err := s.validateInputs(op); err != nil {
		return err
	}
	if len(s.out) == 0 || !s.out[0].present() && !op.quiet {
		return fmt.Errorf("the first output is absent")
	}
	for i := range s.out {
		if t := &s.out[i]; t.present() {
			if err := t.validate(); err != nil {
				return fmt.Errorf("output %d: %w", i, err)
			}
		}
	}
	return nil
}

func (s *site) validateInputs(op operator) error {
	inputs := op.inputs
	if n := len(s.in); n < inputs[0] || n > inputs[1] {
		return fmt.Errorf("%d inputs, expected %s", n, graph.CountRange(inputs[0], inputs[1]))
	}
	for i := range s.in {
		t := &s.in[i]
		if !t.present() {
			if i < inputs[0] {
				return fmt.Errorf("input %d is absent", i)
			}
			continue
		}
		if err := t.validate(); err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
	}
	return nil
}

// empty reports whether no output has elements: there is nothing to compute,
// and no table to make for extents that bound nothing.
func (s *site) empty() bool {
	for i := range s.out {
		if t := &s.out[i]; t.present() && t.Len() > 0 {
			return false
		}
	}
	return true
}

func (t *Tensor) validate() error {
	if !t.DType.Float() && !t.DType.Integer() {
		return fmt.Errorf("element type %s is not computed with", t.DType)
	}
	n, err := graph.Elements(t.Shape)
	if err != nil {
		return err
	}
	if t.F != nil && len(t.F) != n || t.I != nil && len(t.I) != n {
		return fmt.Errorf("shape %v takes %d elements, got %d", t.Shape, n, len(t.F)+len(t.I))
	}
	return nil
}

// has reports whether optional input i is there.
func (s *site) has(i int) bool { return i < len(s.in) && s.in[i].present() }

// constInts returns the elements of input i, an integer constant called name
// in the operator's schema; nil where it is absent.
func (s *site) constInts(i int, name string) ([]int, error) {
	if !s.has(i) {
		return nil, nil
	}
	t := &s.in[i]
	if t.I == nil {
		if t.DType.Float() {
			return nil, fmt.Errorf("input %s has element type %s, expected an integer type", name, t.DType)
		}
		if t.Len() > 0 {
			return nil, fmt.Errorf("input %s must be a constant", name)
		}
	}
	out := make([]int, len(t.I))
	for j, v := range t.I {
		out[j] = int(v)
	}
	return out, nil
}

// listParam returns a list of integers that is attribute name before version
// since and input i from then on; nil where absent.
func (s *site) listParam(name string, i, since int) ([]int, error) {
	if s.opset < since {
		return s.Ints(name), nil
	}
	return s.constInts(i, name)
}

// wantOut checks the shape of output i.
func (s *site) wantOut(i int, shape []int) error {
	if got := s.out[i].Shape; !slices.Equal(got, shape) {
		return fmt.Errorf("output %d has shape %v, expected %v", i, got, shape)
	}
	return nil
}

// wantFloat checks that inputs from first on and all outputs are of real type.
func (s *site) wantFloat(first int) error {
	for i := first; i < len(s.in); i++ {
		if t := &s.in[i]; t.present() && !t.DType.Float() {
			return fmt.Errorf("input %d has element type %s, expected a real type", i, t.DType)
		}
	}
	for i := range s.out {
		if t := &s.out[i]; t.present() && !t.DType.Float() {
			return fmt.Errorf("output %d has element type %s, expected a real type", i, t.DType)
		}
	}
	return nil
}

// wantSame checks that the tensors are all real or all integer.
func wantSame(a *Tensor, others ...*Tensor) error {
	for _, b := range others {
		if b.present() && a.DType.Float() != b.DType.Float() {
			return fmt.Errorf("element types %s and %s do not mix", a.DType, b.DType)
		}
	}
	return nil
}

// elem is an element as it is computed with.
type elem interface{ float32 | int64 }

// data returns the elements of t, which is of the type that T computes.
func data[T elem](t *Tensor) (d []T) {
	switch p := any(&d).(type) {
	case *[]float32:
		*p = t.F
	case *[]int64:
		*p = t.I
	}
	return d
}

// pick returns the function for elements of type dt.
func pick(dt graph.DType, float, integer Compute) Compute {
	if dt.Float() {
		return float
	}
	return integer
}

// wrapInts reduces elements to the width of dt, as arithmetic in that type
// would have.
func wrapInts(dt graph.DType, x []int64) {
	switch dt {
	case graph.Int32:
		for i, v := range x {
			x[i] = int64(int32(v))
		}
	case graph.Uint32:
		for i, v := range x {
			x[i] = int64(uint32(v))
		}
	case graph.Int16:
		for i, v := range x {
			x[i] = int64(int16(v))
		}
	case graph.Uint16:
		for i, v := range x {
			x[i] = int64(uint16(v))
		}
	case graph.Int8:
		for i, v := range x {
			x[i] = int64(int8(v))
		}
	case graph.Uint8:
		for i, v := range x {
			x[i] = int64(uint8(v))
		}
	case graph.Bool:
		for i, v := range x {
			x[i] = toInt(v != 0)
		}
	case graph.Uint4:
		for i, v := range x {
			x[i] = v & 15
		}
	case graph.Int4:
		for i, v := range x {
			x[i] = v << 60 >> 60
		}
	case graph.Uint2:
		for i, v := range x {
			x[i] = v & 3
		}
	case graph.Int2:
		for i, v := range x {
			x[i] = v << 62 >> 62
		}
	}
}

func toInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// normAxis turns an axis that may count from the end into 0 to rank-1.
func normAxis(axis, rank int) (int, error) {
	if axis < -rank || axis >= rank {
		return 0, fmt.Errorf("axis %d is outside rank %d", axis, rank)
	}
	if axis < 0 {
		axis += rank
	}
	return axis, nil
}

// axisSet marks the axes of a list, which may count from the end and may not
// repeat one.
func axisSet(axes []int, rank int) ([]bool, error) {
	set := make([]bool, rank)
	for _, a := range axes {
		i, err := normAxis(a, rank)
		if err != nil {
			return nil, err
		}
		if set[i] {
			return nil, fmt.Errorf("axis %d is listed twice", a)
		}
		set[i] = true
	}
	return set, nil
}

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
