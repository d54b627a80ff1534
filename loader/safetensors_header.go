package loader

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/minio/simdjson-go"
)

// metadataKey is the one key of the header that is no tensor's name.
const metadataKey = "__metadata__"

// maxRank bounds the shape of a tensor.
const maxRank = 64

// A safetensorsHeader is what the JSON at the start of a safetensors file says.
// The parsers fill it in the order of the file:
//
//	enter("conv1.weight")
//	text("dtype", "F32"), ints("shape", [20 1 5 5]), ints("data_offsets", [0 2000])
//	leave()
type safetensorsHeader struct {
	entries []*safetensorsEntry
	meta    map[string]string
	names   map[string]bool
	fields  map[string]bool   // of the open entry
	open    *safetensorsEntry // nil inside of the metadata
}

// A safetensorsEntry is the description of one tensor.
type safetensorsEntry struct {
	name, dtype string
	shape       []int
	begin, end  int // of the elements, from the end of the header
}

// parseHeader reads the header with the fastest parser for this machine. What
// that one refuses the standard library decides on, which can say what is wrong.
func parseHeader(text []byte) (*safetensorsHeader, error) {
	if simdjson.SupportedCPU() {
		if h, err := parseHeaderSIMD(text); err == nil {
			return h, nil
		}
	}
	return parseHeaderStd(text)
}

func newHeader(text []byte) (*safetensorsHeader, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("not UTF-8")
	}
	if len(text) == 0 || text[0] != '{' {
		return nil, errors.New("expected {")
	}
	return &safetensorsHeader{names: map[string]bool{}, fields: map[string]bool{}}, nil
}

func (h *safetensorsHeader) enter(name string) error {
	if name == "" || h.names[name] {
		return fmt.Errorf("name %q is empty or occurs twice", name)
	}
	h.names[name] = true
	clear(h.fields)
	h.open = nil
	if name == metadataKey {
		h.meta = map[string]string{}
	} else {
		h.open = &safetensorsEntry{name: name}
	}
	return nil
}

func (h *safetensorsHeader) field(key string) error {
	if h.fields[key] {
		return fmt.Errorf("key %q occurs twice", key)
	}
	h.fields[key] = true
	return nil
}

func (h *safetensorsHeader) text(key, value string) error {
	if err := h.field(key); err != nil {
		return err
	}
	switch {
	case h.open == nil:
		h.meta[key] = value
	case key == "dtype":
		h.open.dtype = value
	default:
		return fmt.Errorf("tensor %q has an unexpected text %q", h.open.name, key)
	}
	return nil
}

func (h *safetensorsHeader) ints(key string, values []int) error {
	if err := h.field(key); err != nil {
		return err
	}
	switch {
	case h.open == nil:
		return fmt.Errorf("metadata %q is not a text", key)
	case key == "shape":
		h.open.shape = values
	case key == "data_offsets" && len(values) == 2:
		h.open.begin, h.open.end = values[0], values[1]
	default:
		return fmt.Errorf("tensor %q has an unexpected list %q of length %d", h.open.name, key, len(values))
	}
	return nil
}

func (h *safetensorsHeader) leave() error {
	if h.open == nil {
		return nil
	}
	for _, key := range []string{"dtype", "shape", "data_offsets"} {
		if !h.fields[key] {
			return fmt.Errorf("tensor %q lacks %q", h.open.name, key)
		}
	}
	h.entries = append(h.entries, h.open)
	return nil
}

// parseHeaderSIMD reads the header with simdjson.
func parseHeaderSIMD(text []byte) (*safetensorsHeader, error) {
	h, err := newHeader(text)
	if err != nil {
		return nil, err
	}
	if err := checkSIMD(text); err != nil {
		return nil, err
	}
	parsed, err := simdjson.Parse(text, nil)
	if err != nil {
		return nil, err
	}
	iter := parsed.Iter()
	iter.Advance()
	_, root, err := iter.Root(nil)
	if err != nil {
		return nil, err
	}
	top, err := root.Object(nil)
	if err != nil {
		return nil, err
	}
	var value simdjson.Iter
	var fields simdjson.Object
	for {
		name, typ, err := top.NextElement(&value)
		if err != nil || typ == simdjson.TypeNone {
			return h, err
		}
		if err := h.enter(name); err != nil {
			return nil, err
		}
		if _, err := value.Object(&fields); err != nil {
			return nil, fmt.Errorf("%q is not an object", name)
		}
		for {
			key, typ, err := fields.NextElement(&value)
			if err != nil {
				return nil, err
			}
			if typ == simdjson.TypeNone {
				break
			}
			if err := h.simdField(key, typ, &value); err != nil {
				return nil, err
			}
		}
		if err := h.leave(); err != nil {
			return nil, err
		}
	}
}

func (h *safetensorsHeader) simdField(key string, typ simdjson.Type, value *simdjson.Iter) error {
	switch typ {
	case simdjson.TypeString:
		text, err := value.String()
		if err != nil {
			return err
		}
		return h.text(key, text)
	case simdjson.TypeArray:
		array, err := value.Array(nil)
		if err != nil {
			return err
		}
		values := []int{}
		for iter := array.Iter(); ; {
			switch iter.Advance() {
			case simdjson.TypeNone:
				return h.ints(key, values)
			case simdjson.TypeInt:
				v, err := iter.Int()
				if err != nil || v < 0 || v > math.MaxInt {
					return fmt.Errorf("%q holds %d", key, v)
				}
				values = append(values, int(v))
			default:
				return fmt.Errorf("%q does not hold integers", key)
			}
		}
	}
	return fmt.Errorf("%q is neither a text nor a list", key)
}

// checkSIMD refuses what is not to be given to simdjson. That has no limits of
// its own and takes 8 to 16 bytes for each bracket and number before anyone can
// look at them, so objects may be nested two deep, and lists are short and
// flat. It also accepts escapes that are none, and more kinds of space than JSON
// has.
func checkSIMD(text []byte) error {
	depth, commas := 0, 0
	quoted, list := false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '"':
			quoted = !quoted
		case c == '\\':
			return errors.New("escapes, which simdjson does not check")
		case quoted:
		case c < ' ' && c != '\t' && c != '\n' && c != '\r', c > '~':
			return fmt.Errorf("byte %#x outside of a text", c)
		case c == '{' || c == '[':
			if c == '{' {
				depth++
			}
			if list || depth > 2 {
				return errors.New("nested too deeply")
			}
			list = c == '['
			commas = 0
		case c == '}':
			depth--
		case c == ']':
			list = false
		case c == ',' && list:
			commas++
			if commas >= maxRank {
				return fmt.Errorf("a list of more than %d integers", maxRank)
			}
		}
	}
	return nil
}

// parseHeaderStd reads the header with the standard library.
func parseHeaderStd(text []byte) (*safetensorsHeader, error) {
	h, err := newHeader(text)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if _, err := d.Token(); err != nil { // the {
		return nil, err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		if err := h.enter(name.(string)); err != nil {
			return nil, err
		}
		if t, err := d.Token(); err != nil || t != json.Delim('{') {
			return nil, fmt.Errorf("%q is not an object", name)
		}
		for d.More() {
			if err := h.stdField(d); err != nil {
				return nil, err
			}
		}
		if _, err := d.Token(); err != nil { // the }
			return nil, err
		}
		if err := h.leave(); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil { // the last }
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("expected nothing after the last }")
	}
	return h, nil
}

func (h *safetensorsHeader) stdField(d *json.Decoder) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	key := token.(string)
	if token, err = d.Token(); err != nil {
		return err
	}
	if text, ok := token.(string); ok {
		return h.text(key, text)
	}
	if token != json.Delim('[') {
		return fmt.Errorf("%q is neither a text nor a list", key)
	}
	values := []int{}
	for d.More() {
		if token, err = d.Token(); err != nil {
			return err
		}
		number, ok := token.(json.Number)
		if !ok {
			return fmt.Errorf("%q does not hold integers", key)
		}
		v, err := strconv.Atoi(number.String())
		if err != nil || v < 0 {
			return fmt.Errorf("%q holds %s", key, number)
		}
		if len(values) == maxRank {
			return fmt.Errorf("a list of more than %d integers", maxRank)
		}
		values = append(values, v)
	}
	if _, err := d.Token(); err != nil { // the ]
		return err
	}
	return h.ints(key, values)
}
