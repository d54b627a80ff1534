package loader

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/atomicfile"
)

// A .nnz file is a safetensors file that holds a model, and with it weights as
// they are packed for one instruction set, number of threads and shape of the
// inputs. Its tensors are
//
//	graph           an ONNX model without its large weights
//	weight/NAME     a large weight
//	extents/NAME    or where zeros are worth leaving out its shape,
//	nonzeros/NAME   a bit for each element,
//	values/NAME     and the elements that are not zero
//	packed/NAME     graph.Packed
//	pad/N           zeros, so that real elements begin at a multiple of 64 bytes
//	                and others at one of their size
//	checksum        CRC-32C of each MiB of what is before it: the end of the file
//
// and its metadata
//
//	format          nnz
//	version         1, of what is said here
//	packed_isa      graph.Packed
//	packed_version
//	key/NAME        the key of a large weight, see graph.Later
const (
	compiledFormat  = "nnz"
	compiledVersion = "1"
	compiledAlign   = 64
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// isCompiled tells a .nnz file from an ONNX one, which does not begin with the
// length of what follows.
func isCompiled(data []byte) bool {
	return len(data) > 8 && data[8] == '{' && binary.LittleEndian.Uint64(data) <= uint64(len(data)-8)
}

// SaveCompiled writes a model, packed or not, as a .nnz file. The file appears
// under its name once it is complete.
func SaveCompiled(path string, m *graph.Model) error {
	c := compiledWriter{meta: map[string]string{"format": compiledFormat, "version": compiledVersion}}
	small := *m
	small.Weights = maps.Clone(m.Weights)
	var large []string
	for _, name := range slices.Sorted(maps.Keys(m.Weights)) {
		if w := m.Weights[name]; w.Len() >= minCompact && isStored(w.DType) {
			large = append(large, name)
			delete(small.Weights, name)
		}
	}
	if p := m.Packed; p != nil {
		c.meta["packed_isa"], c.meta["packed_version"] = p.ISA, strconv.Itoa(p.Version)
		for _, name := range slices.Sorted(maps.Keys(p.Tensors)) {
			c.add("packed/"+name, p.Tensors[name])
		}
	}
	e := &encoder{}
	text := e.model(&small)
	if e.err == nil && text.size > maxFile {
		e.err = fmt.Errorf("the model without large weights takes %d bytes, expected at most %d", text.size, maxFile)
	}
	var proto writtenBytes
	if e.err == nil {
		e.err = text.writeTo(&proto)
	}
	if e.err == nil {
		c.bytes("graph", proto)
	}
	for _, name := range large {
		c.weight(name, m.Weights[name])
	}
	c.add("checksum", nil) // for its place in the header
	if e.err == nil {
		e.err = c.err
	}
	if e.err != nil {
		return fmt.Errorf("%s: %w", path, e.err)
	}
	last := len(c.list) - 1
	var header []byte
	// The checksums are part of what the header tells, and their number depends
	// on its length, which can grow by a digit.
	for n := 0; n < sums(len(header)+c.at+sumBytes*n); {
		n = sums(len(header) + c.at + sumBytes*n)
		c.list[last].Tensor = graph.FromInts(graph.Uint32, []int{n}, make([]int64, n))
		var err error
		if header, err = encodeHeader(c.list, c.meta, compiledAlign); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return atomicfile.Write(path, func(w io.Writer) error {
		sum := &blockSums{}
		if err := writeTensors(io.MultiWriter(w, sum), header, c.list[:last]); err != nil {
			return err
		}
		_, err := w.Write(sum.end())
		return err
	})
}

const (
	sumBytes  = 4
	sumBlock  = 1 << 20
	sumStride = sumBlock + sumBytes
)

// sums returns how many checksums a file of size bytes ends with.
func sums(size int) int { return (size + sumStride - 1) / sumStride }

// blockSums makes the checksums of what is written to it.
type blockSums struct {
	sum   uint32
	bytes int // of the block so far
	done  []byte
}

func (b *blockSums) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		part := p[:min(len(p), sumBlock-b.bytes)]
		b.sum, b.bytes, p = crc32.Update(b.sum, castagnoli, part), b.bytes+len(part), p[len(part):]
		if b.bytes == sumBlock {
			b.done = binary.LittleEndian.AppendUint32(b.done, b.sum)
			b.sum, b.bytes = 0, 0
		}
	}
	return n, nil
}

func (b *blockSums) end() []byte {
	if b.bytes == 0 {
		return b.done
	}
	return binary.LittleEndian.AppendUint32(b.done, b.sum)
}

// checkSums compares the blocks of a file with the checksums that it ends with,
// on all processors: this is most of the time that reading takes.
func checkSums(ctx context.Context, data []byte) error {
	n := sums(len(data))
	end := len(data) - sumBytes*n
	if end <= sumBlock*(n-1) {
		return formatError(0, "expected a .nnz file, got %d bytes", len(data))
	}
	damaged := make([]bool, n)
	if err := parallel(ctx, n, func(i int) {
		block := data[i*sumBlock : min((i+1)*sumBlock, end)]
		damaged[i] = crc32.Checksum(block, castagnoli) != binary.LittleEndian.Uint32(data[end+sumBytes*i:])
	}); err != nil {
		return err
	}
	if i := slices.Index(damaged, true); i >= 0 {
		return formatError(i*sumBlock, "the file is damaged: its checksum does not fit the %d bytes from here on; copy it again, or write it with nnz compile", min(sumBlock, end-i*sumBlock))
	}
	return nil
}

type writtenBytes []byte

func (b *writtenBytes) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

func isStored(dt graph.DType) bool {
	for _, known := range safetensorsTypes {
		if dt == known {
			return true
		}
	}
	return false
}

// A compiledWriter lines the tensors of a file up.
type compiledWriter struct {
	list []namedTensor
	meta map[string]string
	at   int // bytes so far
	err  error
}

// add appends a tensor where it is aligned.
func (c *compiledWriter) add(name string, t *graph.Tensor) {
	align := 4
	if t != nil {
		align = max(t.DType.Bits()/8, 1)
		if t.DType == graph.Float32 {
			align = compiledAlign
		}
	}
	if pad := -c.at & (align - 1); pad > 0 {
		c.put(fmt.Sprintf("pad/%d", len(c.list)), graph.FromInts(graph.Uint8, []int{pad}, make([]int64, pad)))
	}
	c.put(name, t)
}

func (c *compiledWriter) put(name string, t *graph.Tensor) {
	c.list = append(c.list, namedTensor{name, t})
	if t != nil {
		c.at += t.DType.Size(t.Len())
	}
}

func (c *compiledWriter) bytes(name string, b []byte) {
	t, err := graph.NewTensor(graph.Uint8, []int{len(b)}, b)
	if err != nil {
		c.err = err
	}
	c.add(name, t)
}

// weight appends a weight. Only real ones of several dimensions are ever packed,
// and have a key.
func (c *compiledWriter) weight(name string, w *graph.Tensor) {
	if w.DType != graph.Float32 || len(w.Shape) < 2 {
		c.add("weight/"+name, w)
		return
	}
	c.meta["key/"+name] = w.Key()
	if w.Sparse() == nil {
		c.add("weight/"+name, w)
		return
	}
	nonzeros := make([]byte, (w.Len()+7)/8)
	var values []float32
	for i, v := range w.Floats() {
		if v != 0 {
			nonzeros[i/8] |= 1 << (i % 8)
			values = append(values, v)
		}
	}
	extents := make([]int64, len(w.Shape))
	for i, d := range w.Shape {
		extents[i] = int64(d)
	}
	c.add("extents/"+name, graph.FromInts(graph.Int64, []int{len(extents)}, extents))
	c.bytes("nonzeros/"+name, nonzeros)
	c.add("values/"+name, graph.FromFloats([]int{len(values)}, values))
}

// parseCompiled reads a .nnz file. Tensors are views of data; elements that only
// the checksum has looked at are given to release.
func parseCompiled(ctx context.Context, name string, data []byte, o Options, release func([]byte)) (*graph.Model, error) {
	m, err := readCompiled(ctx, name, data, o, release)
	if err != nil {
		return nil, inFile(name, err)
	}
	return m, finish(ctx, name, m, release)
}

func readCompiled(ctx context.Context, name string, data []byte, o Options, release func([]byte)) (*graph.Model, error) {
	damage := checkSums(ctx, data)
	if err := stopped(ctx, name); err != nil {
		return nil, err
	}
	tensors, meta, err := parseSafetensors(data)
	switch {
	// What has no checksums, or has them elsewhere, is not damaged.
	case err == nil && meta["format"] != compiledFormat:
		return nil, formatError(8, "expected a .nnz file, got a safetensors file of format %.80q, which holds weights without the graph that uses them: export the model to ONNX", meta["format"])
	case err == nil && meta["version"] != compiledVersion:
		return nil, formatError(8, "expected version %s of the .nnz format, got %.80q: write the file again with this version's nnz compile", compiledVersion, meta["version"])
	case damage != nil:
		return nil, damage
	case err != nil:
		return nil, err
	}
	proto := tensors["graph"]
	if proto == nil || proto.DType != graph.Uint8 {
		return nil, formatError(8, "expected a tensor \"graph\" of bytes")
	}
	d := newDecoder(ctx, name, proto.Raw(), o)
	d.external = nil
	if o.MaxBytes == 0 {
		d.left = max(d.left, 40*int64(len(data))) // a bit may stand for an element
	}
	m := d.model()
	if d.err != nil {
		var f *FormatError
		if errors.As(d.err, &f) && f.Offset >= 0 { // which counts from where the graph begins
			f.Offset, f.Msg = -1, fmt.Sprintf("graph: at byte %d: %s", f.Offset, f.Msg)
		}
		return nil, d.err
	}
	if err := addPacked(m, tensors, meta); err != nil {
		return nil, err
	}
	for _, full := range slices.Sorted(maps.Keys(tensors)) {
		if !d.alive() {
			return nil, d.err
		}
		kind, weight, _ := strings.Cut(full, "/")
		var w *graph.Tensor
		switch kind {
		case "weight":
			w = tensors[full]
			d.charge(0, w.Bytes())
			if key := meta["key/"+weight]; key != "" && w.DType == graph.Float32 {
				w = w.Keyed(key)
			}
			release(tensors[full].Raw())
		case "extents":
			if w, err = unfolded(d, weight, tensors, meta["key/"+weight]); err != nil {
				return nil, err
			}
			release(tensors["nonzeros/"+weight].Raw())
			release(tensors["values/"+weight].Raw())
		default:
			continue
		}
		d.addWeight(m, weight, w, 0)
	}
	return m, d.err
}

func addPacked(m *graph.Model, tensors map[string]*graph.Tensor, meta map[string]string) error {
	version, ok := meta["packed_version"]
	if !ok {
		return nil
	}
	m.Packed = &graph.Packed{ISA: meta["packed_isa"], Tensors: make(map[string]*graph.Tensor)}
	var err error
	if m.Packed.Version, err = strconv.Atoi(version); err != nil {
		return formatError(8, "packed_version %.80q, expected a number", version)
	}
	for full, t := range tensors {
		if name, ok := strings.CutPrefix(full, "packed/"); ok {
			m.Packed.Tensors[name] = t
		}
	}
	return nil
}

// unfolded returns a weight of which the file has the elements that are not zero.
func unfolded(d *decoder, name string, tensors map[string]*graph.Tensor, key string) (*graph.Tensor, error) {
	extents, nonzeros, values := tensors["extents/"+name], tensors["nonzeros/"+name], tensors["values/"+name]
	if nonzeros == nil || nonzeros.DType != graph.Uint8 || values == nil || values.DType != graph.Float32 || extents.DType != graph.Int64 || key == "" {
		return nil, formatError(8, "weight %.80q: expected a key, a shape, bits and values", name)
	}
	var shape []int
	for _, n := range extents.Ints() {
		if n < 0 || n > math.MaxInt32 {
			return nil, formatError(8, "weight %.80q: extent %d", name, n)
		}
		shape = append(shape, int(n))
	}
	elements, err := graph.Elements(shape)
	if err != nil || len(shape) < 2 {
		return nil, formatError(8, "weight %.80q: shape %v", name, shape)
	}
	set, rest := 0, nonzeros.Raw()
	for ; len(rest) >= 8; rest = rest[8:] {
		set += bits.OnesCount64(binary.LittleEndian.Uint64(rest))
	}
	for _, b := range rest {
		set += bits.OnesCount8(b)
	}
	if nonzeros.Len() != (elements+7)/8 || set != values.Len() {
		return nil, formatError(8, "weight %.80q of shape %v: %d bits are set in %d bytes, for %d values", name, shape, set, nonzeros.Len(), values.Len())
	}
	if n := elements % 8; n > 0 && nonzeros.Raw()[elements/8]>>n != 0 {
		return nil, formatError(8, "weight %.80q of shape %v: bits after the last", name, shape)
	}
	if !d.charge(0, 4*elements) {
		return nil, d.err
	}
	return graph.Later(shape, key, func() *graph.Tensor {
		dense, left := make([]float32, elements), values.Floats()
		for i, b := range nonzeros.Raw() {
			for ; b != 0; b &= b - 1 {
				dense[i*8+bits.TrailingZeros8(b)], left = left[0], left[1:]
			}
		}
		return graph.FromFloats(shape, dense).Compact()
	}), nil
}
