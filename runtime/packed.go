package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"unsafe"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/gemm"
	"github.com/nnz-dev/nnz/kernels/spmm"
	"github.com/nnz-dev/nnz/kernels/spmv"
	"github.com/nnz-dev/nnz/sparse"
)

// packing is the version of the forms of [graph.Packed]: what kernels read, and
// what is written of it here. Others are not looked at.
const packing = 5

// Pack returns the model with its weights packed, besides, as Compile packs them
// for c: where the model is compiled again for the same shapes, instruction set
// and threads, weights are taken as they are, and nothing is read of them but
// what kernels read. For anything else Compile packs those that differ anew, so
// the result is a model like any other.
func Pack(ctx context.Context, m *graph.Model, c Config) (*graph.Model, error) {
	c, err := c.resolved()
	if err != nil {
		return nil, err
	}
	m = m.Clone()
	m.Packed = nil
	weights := maps.Clone(m.Weights)
	for name, w := range weights {
		if w.DType == graph.Float32 && len(w.Shape) > 1 {
			m.Weights[name] = w.Keyed(w.Key())
		}
	}
	c.record = &graph.Packed{ISA: c.ISA.String(), Version: packing, Tensors: make(map[string]*graph.Tensor)}
	if _, err := Compile(ctx, m, c); err != nil {
		return nil, err
	}
	if littleEndian { // as kernels read files in place
		m.Packed = c.record
	}
	return m, nil
}

// packed returns the packed weights to look into, nil for none.
func (c *compiler) packed() map[string]*graph.Tensor {
	if p := c.g.Packed; p != nil && p.Version == packing && littleEndian {
		return p.Tensors
	}
	return nil
}

// identify gives a weight its key where that is of use.
func (c *compiler) identify(w *weight) {
	if c.packed() != nil || c.cfg.record != nil {
		w.key = w.tensor.Key()
	}
}

// measure counts the nonzeros of a weight, or finds them counted.
func (c *compiler) measure(w *weight) error {
	c.identify(w)
	name := w.key + "/counts"
	if t := c.packed()[name]; t != nil {
		return w.restoreCounts(t)
	}
	err := w.count()
	if c.cfg.record != nil && err == nil {
		c.cfg.record.Tensors[name] = w.counts()
	}
	return err
}

// blockHeights are the blocks that any format asks the occupancy of.
var blockHeights = []int{2, 4, 8, 16}

// counts returns what the choice of a format asks for: the nonzeros, then N and M
// of its pattern and the occupancy of blocks, unless it is dense.
func (w *weight) counts() *graph.Tensor {
	list := []int64{int64(w.nnz)}
	if w.nnz < w.rows*w.cols {
		p, _ := w.pattern()
		list = append(list, int64(p[0]), int64(p[1]))
		for _, r := range blockHeights {
			for _, n := range w.occupancy(r) {
				list = append(list, int64(n))
			}
		}
	}
	return graph.FromInts(graph.Int64, []int{len(list)}, list)
}

// restoreCounts takes what counts returned.
func (w *weight) restoreCounts(t *graph.Tensor) error {
	size := 1
	if list := t.Ints(); len(list) > 0 && list[0] < int64(w.rows*w.cols) {
		size += 2
		for _, r := range blockHeights {
			size += r + 1
		}
	}
	list := t.Ints()
	if len(list) != size {
		return fmt.Errorf("packed weight: %d counts, expected %d", len(list), size)
	}
	for _, n := range list {
		if n < 0 || n > int64(w.rows*w.cols) {
			return fmt.Errorf("packed weight: count %d of %d elements", n, w.rows*w.cols)
		}
	}
	w.nnz = int(list[0])
	if size == 1 {
		return nil
	}
	w.nm = &[2]int{int(list[1]), int(list[2])}
	if known := *w.nm == [2]int{}; !known {
		for _, p := range sparse.Patterns() {
			known = known || p == *w.nm
		}
		if !known {
			return fmt.Errorf("packed weight: pattern %d:%d", w.nm[0], w.nm[1])
		}
	}
	list = list[3:]
	for _, r := range blockHeights {
		held, total := make([]int, r+1), 0
		for i := range held {
			held[i] = int(list[i])
			total += held[i]
		}
		if total != ceilDiv(w.rows, r)*w.cols {
			return fmt.Errorf("packed weight: %d blocks of %d rows, expected %d", total, r, ceilDiv(w.rows, r)*w.cols)
		}
		w.held[r] = held
		list = list[r+1:]
	}
	return nil
}

// packTiles packs a weight for the kernels of package spmm, or finds it packed.
// K-blocks depend on the instruction set, chunks on the number of threads, and
// offsets on the shape of the input.
func (c *compiler) packTiles(w *weight, f format, a spmm.Addressing) (*spmm.Weight, error) {
	name := fmt.Sprintf("%s/spmm %s %d,%d,%s/", w.key, f, a.Block, a.Chunk, addresses(a))
	parts := tensors{c.packed(), name, nil}
	if parts.has("runs") {
		s := spmm.Stored{
			Runs: parts.uint32s("runs"), Entries: parts.uint32s("entries"), Pairs: parts.uint32s("pairs"),
			Offsets: parts.uint32s("offsets"), Values: parts.floats("values"),
		}
		if parts.err != nil {
			return nil, parts.err
		}
		return spmm.Restore(s, w.rows, a)
	}
	packed, err := w.pack(f, a)
	if into := c.cfg.record; into != nil && err == nil {
		s := packed.Store()
		into.Tensors[name+"runs"], into.Tensors[name+"entries"] = uint32s(s.Runs), uint32s(s.Entries)
		into.Tensors[name+"pairs"], into.Tensors[name+"offsets"] = uint32s(s.Pairs), uint32s(s.Offsets)
		into.Tensors[name+"values"] = graph.FromFloats([]int{len(s.Values)}, s.Values)
	}
	return packed, err
}

// addresses returns a name for where a weight's input lies.
func addresses(a spmm.Addressing) string {
	b := make([]byte, 0, 4*len(a.Offsets)+12)
	for _, n := range append([]uint32{uint32(a.Groups), a.GroupStride}, a.Offsets...) {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:12])
}

// packVectors packs a dense weight for the kernels of package gemm, or finds it
// packed.
func (c *compiler) packVectors(w *weight, a spmm.Addressing) (*gemm.Weight, error) {
	name := fmt.Sprintf("%s/gemm %v %d/", w.key, c.cfg.ISA, a.Groups)
	parts := tensors{c.packed(), name, nil}
	if parts.has("values") {
		v := parts.floats("values")
		if parts.err != nil {
			return nil, parts.err
		}
		return gemm.Restore(c.cfg.ISA, w.rows, v, a)
	}
	packed, err := gemm.Pack(c.cfg.ISA, w.rows, w.tensor.Floats(), a)
	if into := c.cfg.record; into != nil && err == nil {
		v := packed.Store()
		into.Tensors[name+"values"] = graph.FromFloats([]int{len(v)}, v)
	}
	return packed, err
}

// packVector packs a weight for the kernels of package spmv, or finds it packed.
// Dense ones are used as they are, and those by columns are not kept.
func (c *compiler) packVector(w *weight, f format) (*spmv.Weight, error) {
	if w.key == "" {
		c.identify(w)
	}
	if f.dense || f.columns || w.key == "" {
		return w.packVector(c.cfg.ISA, f)
	}
	name := func(part int) string { return fmt.Sprintf("%s/spmv %s %v %d/", w.key, f, c.cfg.ISA, part) }
	var list []spmv.Stored
	nnz := 0
	for {
		parts := tensors{c.packed(), name(len(list)), nil}
		if !parts.has("form") {
			break
		}
		form := parts.uint32s("form")
		s := spmv.Stored{
			Entries: parts.uint32s("entries"), Columns: parts.uint16s("columns"), Indices: parts.bytes("indices"),
			Order: parts.int32s("order"), Values: parts.floats("values"),
		}
		if parts.err == nil && len(form) != 3 {
			parts.err = fmt.Errorf("packed weight: a form of %d numbers", len(form))
		}
		if parts.err != nil {
			return nil, parts.err
		}
		s.Form, s.R, nnz = spmv.Form(min(form[0], 255)), int(form[1]), int(form[2])
		list = append(list, s)
	}
	if list != nil {
		return spmv.Restore(w.rows, w.cols, nnz, list)
	}
	packed, err := w.packVector(c.cfg.ISA, f)
	if into := c.cfg.record; into != nil && err == nil {
		for i, s := range packed.Store() {
			name := name(i)
			into.Tensors[name+"form"] = uint32s([]uint32{uint32(s.Form), uint32(s.R), uint32(packed.NNZ())})
			into.Tensors[name+"entries"] = uint32s(s.Entries)
			into.Tensors[name+"columns"] = raw(graph.Uint16, s.Columns)
			into.Tensors[name+"indices"] = raw(graph.Uint8, s.Indices)
			into.Tensors[name+"order"] = raw(graph.Int32, s.Order)
			into.Tensors[name+"values"] = graph.FromFloats([]int{len(s.Values)}, s.Values)
		}
	}
	return packed, err
}

// tensors reads the parts of a packed weight, where they lie, and keeps the
// first fault.
type tensors struct {
	all  map[string]*graph.Tensor
	name string // that parts begin with
	err  error
}

func (t *tensors) has(part string) bool { return t.all[t.name+part] != nil }

// littleEndian is whether this machine has the byte order of files.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// elementsOf returns the elements of a part, which is a list of a type.
func elementsOf[T any](t *tensors, part string, dt graph.DType) []T {
	p := t.all[t.name+part]
	var zero T
	size := int(unsafe.Sizeof(zero))
	switch {
	case t.err != nil:
		return nil
	case p == nil || p.DType != dt || len(p.Shape) != 1:
		t.err = fmt.Errorf("packed weight: part %.200q is missing, or no list of %s", t.name+part, dt)
		return nil
	case p.Len() == 0:
		return nil
	}
	b := p.Raw()
	if uintptr(unsafe.Pointer(unsafe.SliceData(b)))%uintptr(size) != 0 {
		list := make([]T, p.Len())
		copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(list))), len(b)), b)
		return list
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), p.Len())
}

func (t *tensors) uint32s(part string) []uint32 { return elementsOf[uint32](t, part, graph.Uint32) }
func (t *tensors) uint16s(part string) []uint16 { return elementsOf[uint16](t, part, graph.Uint16) }
func (t *tensors) bytes(part string) []uint8    { return elementsOf[uint8](t, part, graph.Uint8) }
func (t *tensors) int32s(part string) []int32   { return elementsOf[int32](t, part, graph.Int32) }
func (t *tensors) floats(part string) []float32 { return elementsOf[float32](t, part, graph.Float32) }

func uint32s(list []uint32) *graph.Tensor { return raw(graph.Uint32, list) }

// raw returns a tensor of a list of elements of type dt.
func raw[T any](dt graph.DType, list []T) *graph.Tensor {
	var zero T
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(list))), len(list)*int(unsafe.Sizeof(zero)))
	t, err := graph.NewTensor(dt, []int{len(list)}, b)
	if err != nil { // sizes that do not fit the type
		panic("runtime: " + err.Error())
	}
	return t
}
