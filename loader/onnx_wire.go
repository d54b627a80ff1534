package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/nnz-dev/nnz/graph"
)

// A decoder walks protocol buffers in place. The first fault is kept in err
// and ends every walk, so callers read on with zero values and look at err
// where it matters.
type decoder struct {
	ctx      context.Context
	file     string
	data     []byte
	left     int64 // bytes that the model may still take
	perByte  int64 // by how much a byte of external data raises that
	external func(location string) ([]byte, error)
	files    map[string][]byte                 // external data by location
	depth    int                               // of nested graphs
	refs     map[*graph.Node]map[string]string // of the function that is being read, nil outside of one
	err      error
}

// A span is a message, a string or a packed list: data[at:end].
type span struct{ at, end int }

func (s span) len() int { return s.end - s.at }

// A field is one field of a message.
type field struct {
	num  protowire.Number
	typ  protowire.Type
	at   int    // offset of the value
	body span   // of a length-delimited value
	bits uint64 // of a varint or a fixed-width value
}

func newDecoder(ctx context.Context, file string, data []byte, o Options) *decoder {
	d := &decoder{ctx: ctx, file: file, data: data, left: o.MaxBytes, external: o.External, files: make(map[string][]byte)}
	if d.left == 0 {
		d.perByte = 16
		d.left = max(256<<20, int64(len(data))*d.perByte)
	}
	return d
}

// alive reports whether reading goes on. It looks at the context, and so is for
// what is large or what there may be many of, and not for each field.
func (d *decoder) alive() bool {
	if d.err == nil {
		d.err = stopped(d.ctx, d.file)
	}
	return d.err == nil
}

// fail keeps the first fault. The end of the context comes before what may
// follow from it, such as a file that could not be had.
func (d *decoder) fail(at int, format string, args ...any) {
	if d.alive() {
		d.err = &FormatError{File: d.file, Offset: int64(at), Msg: fmt.Sprintf(format, args...)}
	}
}

// malformed fails for what protowire does not read; n is what it returned.
func (d *decoder) malformed(at, n int, want string) {
	if errors.Is(protowire.ParseError(n), io.ErrUnexpectedEOF) {
		d.fail(at, "expected %s, but it is cut off", want)
	} else {
		d.fail(at, "expected %s, got bytes % x", want, d.data[at:min(at+4, len(d.data))])
	}
}

// fits reports whether the model may take n bytes more.
func (d *decoder) fits(at, n int) bool {
	if int64(n) > d.left {
		d.fail(at, "the model takes more than the limit: %d bytes here, %d left", n, d.left)
	}
	return d.err == nil
}

// charge takes n bytes from what the model may still take.
func (d *decoder) charge(at, n int) bool {
	if !d.fits(at, n) {
		return false
	}
	d.left -= int64(n)
	return true
}

// fields walks the fields of a message.
func (d *decoder) fields(m span) iter.Seq[field] {
	return func(yield func(field) bool) {
		for at := m.at; at < m.end; {
			f, next := d.field(at, m.end)
			if d.err != nil || !yield(f) || d.err != nil {
				return
			}
			at = next
		}
	}
}

// field reads the field at offset at of a message that reaches to end, and
// returns where the next one begins.
func (d *decoder) field(at, end int) (f field, next int) {
	num, typ, n := protowire.ConsumeTag(d.data[at:end])
	if n < 0 {
		d.malformed(at, n, "a protocol buffer field")
		return field{}, end
	}
	f = field{num: num, typ: typ, at: at + n}
	rest := d.data[f.at:end]
	switch typ {
	case protowire.VarintType:
		f.bits, n = protowire.ConsumeVarint(rest)
	case protowire.Fixed32Type:
		var v uint32
		v, n = protowire.ConsumeFixed32(rest)
		f.bits = uint64(v)
	case protowire.Fixed64Type:
		f.bits, n = protowire.ConsumeFixed64(rest)
	case protowire.BytesType:
		size, prefix := protowire.ConsumeVarint(rest)
		if prefix >= 0 && size > uint64(len(rest)-prefix) {
			d.fail(f.at, "field %d has %d bytes, but only %d are left: the file is cut off or damaged", num, size, len(rest)-prefix)
			return field{}, end
		}
		n = prefix + int(size)
		if prefix < 0 {
			n = prefix
		}
		f.body = span{f.at + prefix, f.at + n}
	default:
		n = protowire.ConsumeFieldValue(num, typ, rest)
	}
	if n < 0 {
		d.malformed(at, n, fmt.Sprintf("the value of field %d", num))
		return field{}, end
	}
	return f, f.at + n
}

func (d *decoder) wireType(f field, want protowire.Type) bool {
	if f.typ != want {
		d.fail(f.at, "field %d has wire type %d, expected %d", f.num, f.typ, want)
	}
	return f.typ == want
}

func (d *decoder) int(f field) int64 {
	d.wireType(f, protowire.VarintType)
	return int64(f.bits)
}

func (d *decoder) float(f field) float32 {
	d.wireType(f, protowire.Fixed32Type)
	return math.Float32frombits(uint32(f.bits))
}

func (d *decoder) message(f field) span {
	if !d.wireType(f, protowire.BytesType) {
		return span{}
	}
	return f.body
}

func (d *decoder) bytes(f field) []byte {
	m := d.message(f)
	return d.data[m.at:m.end:m.end]
}

// str copies, so that names outlive the mapped file.
func (d *decoder) str(f field) string {
	b := d.bytes(f)
	if !d.charge(f.at, wordBytes+len(b)) {
		return ""
	}
	return string(b)
}

// varints walks the values of a repeated integer field: one value, or a packed
// list of them.
func (d *decoder) varints(f field) iter.Seq2[int, uint64] {
	return func(yield func(at int, v uint64) bool) {
		if f.typ == protowire.VarintType {
			yield(f.at, f.bits)
			return
		}
		m := d.message(f)
		for at := m.at; at < m.end; {
			v, n := protowire.ConsumeVarint(d.data[at:m.end])
			if n < 0 {
				d.malformed(at, n, "an integer")
				return
			}
			if !yield(at, v) {
				return
			}
			at += n
		}
	}
}

// fixed returns the bytes of a repeated field of little-endian elements of
// size 4 or 8: one value, or a packed list of them.
func (d *decoder) fixed(f field, size int) []byte {
	single := protowire.Fixed32Type
	if size == 8 {
		single = protowire.Fixed64Type
	}
	if f.typ == single {
		return d.data[f.at : f.at+size : f.at+size]
	}
	b := d.bytes(f)
	if len(b)%size != 0 {
		d.fail(f.at, "expected elements of %d bytes, got %d bytes", size, len(b))
		return nil
	}
	return b
}
