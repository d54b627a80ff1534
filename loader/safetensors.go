package loader

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/atomicfile"
	"github.com/nnz-dev/nnz/internal/mmap"
)

// safetensorsTypes are the element types of the safetensors format,
// https://github.com/huggingface/safetensors#format, apart from those of less
// than a byte.
var safetensorsTypes = map[string]graph.DType{
	"F64": graph.Float64, "F32": graph.Float32, "F16": graph.Float16, "BF16": graph.BFloat16,
	"F8_E4M3": graph.Float8E4M3, "F8_E5M2": graph.Float8E5M2, "F8_E8M0": graph.Float8E8M0, "C64": graph.Complex64,
	"I64": graph.Int64, "I32": graph.Int32, "I16": graph.Int16, "I8": graph.Int8,
	"U64": graph.Uint64, "U32": graph.Uint32, "U16": graph.Uint16, "U8": graph.Uint8, "BOOL": graph.Bool,
}

// ReadSafetensors maps a safetensors file. Its tensors are views, so the file
// must be closed after them; Meta is its __metadata__. A file that is not sound
// gives a [*FormatError].
func ReadSafetensors(path string) (*TensorFile, error) {
	file, err := mmap.Open(path)
	if err != nil {
		return nil, err
	}
	tensors, meta, err := parseSafetensors(file.Bytes())
	if err != nil {
		if err = inFile(path, err); !isCompiled(file.Bytes()) { // whose header is there
			err = orForeign(err, path, "a safetensors file", file.Bytes())
		}
		file.Close()
		return nil, err
	}
	return &TensorFile{Tensors: tensors, Meta: meta, file: file}, nil
}

// maxSafetensorsHeader is the bound that the reference implementation sets.
const maxSafetensorsHeader = 100_000_000

// parseSafetensors reads a file: the length of the header in eight bytes, the
// header in JSON, and the elements. Errors are [*FormatError]s without a file.
func parseSafetensors(data []byte) (map[string]*graph.Tensor, map[string]string, error) {
	if len(data) < 8 {
		return nil, nil, formatError(0, "expected the 8 bytes of a header's length, got the end of the file")
	}
	n := binary.LittleEndian.Uint64(data)
	if n > maxSafetensorsHeader || n > uint64(len(data)-8) {
		return nil, nil, formatError(0, "expected a header of at most %d bytes, got a length of %d", min(maxSafetensorsHeader, len(data)-8), n)
	}
	start := 8 + int(n)
	h, err := parseHeader(data[8:start])
	if err != nil {
		return nil, nil, formatError(8, "header: %v", err)
	}
	elements := data[start:]
	// The elements must be covered without gap and overlap.
	slices.SortFunc(h.entries, func(a, b *safetensorsEntry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	tensors := make(map[string]*graph.Tensor, len(h.entries))
	at := 0
	for _, e := range h.entries {
		if e.begin != at || e.end < e.begin || e.end > len(elements) {
			return nil, nil, formatError(start+at, "expected a tensor, and tensor %q lies at %d:%d of %d bytes", e.name, e.begin, e.end, len(elements))
		}
		dt, ok := safetensorsTypes[e.dtype]
		if !ok {
			return nil, nil, formatError(8, "header: tensor %q has element type %q, which is not supported", e.name, e.dtype)
		}
		t, err := graph.NewTensor(dt, e.shape, elements[e.begin:e.end:e.end])
		if err != nil {
			return nil, nil, formatError(start+at, "tensor %q: %v", e.name, err)
		}
		tensors[e.name] = t
		at = e.end
	}
	if at != len(elements) {
		return nil, nil, formatError(start+at, "expected the end of the file, got %d bytes that belong to no tensor", len(elements)-at)
	}
	return tensors, h.meta, nil
}

// WriteSafetensors writes tensors to a safetensors file, sparse ones as dense.
// The file appears complete or not at all. Strings and types that the format
// lacks are an error.
func WriteSafetensors(path string, tensors map[string]*graph.Tensor) error {
	// Wide elements first, as the reference implementation has it, which
	// aligns every tensor.
	names := slices.SortedFunc(maps.Keys(tensors), func(a, b string) int {
		return cmp.Or(cmp.Compare(tensors[b].DType.Bits(), tensors[a].DType.Bits()), strings.Compare(a, b))
	})
	list := make([]namedTensor, len(names))
	for i, name := range names {
		list[i] = namedTensor{name, tensors[name]}
	}
	header, err := encodeHeader(list, nil, 8)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return atomicfile.Write(path, func(w io.Writer) error { return writeTensors(w, header, list) })
}

// A namedTensor is a tensor of a safetensors file.
type namedTensor struct {
	name string
	*graph.Tensor
}

// encodeHeader returns the header of a safetensors file, its length before it,
// with spaces after it so that the elements begin at a multiple of align.
func encodeHeader(list []namedTensor, meta map[string]string, align int) ([]byte, error) {
	type description struct {
		DType   string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	header := make(map[string]any, len(list)+1)
	if meta != nil {
		header[metadataKey] = meta
	}
	at := 0
	for _, t := range list {
		code := ""
		for c, dt := range safetensorsTypes {
			if dt == t.DType {
				code = c
			}
		}
		if code == "" || t.name == "" || t.name == metadataKey {
			return nil, fmt.Errorf("safetensors cannot hold a %s tensor of name %q", t.DType, t.name)
		}
		size := t.DType.Size(t.Len())
		header[t.name] = description{code, append([]int{}, t.Shape...), [2]int{at, at + size}}
		at += size
	}
	text, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	text = append(text, strings.Repeat(" ", -(8+len(text))&(align-1))...)
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), nil
}

// writeTensors writes a header and the elements, those of sparse tensors dense.
func writeTensors(w io.Writer, header []byte, list []namedTensor) error {
	if _, err := w.Write(header); err != nil {
		return err
	}
	for _, t := range list {
		if s := t.Sparse(); s != nil {
			if err := writeDense(w, s); err != nil {
				return err
			}
		} else if _, err := w.Write(t.Raw()); err != nil {
			return err
		}
	}
	return nil
}
