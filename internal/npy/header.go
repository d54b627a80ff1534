package npy

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// maxHeader bounds the header: NumPy itself refuses to parse more than 10,000
// bytes that it does not trust.
const maxHeader = 10000

// A header is what the dictionary at the start of a file says.
type header struct {
	typ                Type
	bigEndian, fortran bool
	shape              []int
}

// decodeHeader reads the start of a file, of which the elements begin at byte
// n.
func decodeHeader(file []byte) (h header, n int, err error) {
	if len(file) < len(magic)+2 || string(file[:len(magic)]) != magic {
		return h, 0, &Error{0, `expected a .npy file, which starts with "\x93NUMPY"`}
	}
	start := len(magic) + 4
	switch version := file[len(magic)]; version {
	case 1:
	case 2, 3:
		start += 2
	default:
		return h, 0, &Error{int64(len(magic)), fmt.Sprintf("expected format version 1, 2 or 3, got %d", version)}
	}
	if len(file) < start {
		return h, 0, &Error{int64(len(file)), "expected the length of the header, got the end of the file"}
	}
	length := uint64(binary.LittleEndian.Uint16(file[len(magic)+2:]))
	if start == len(magic)+6 {
		length = uint64(binary.LittleEndian.Uint32(file[len(magic)+2:]))
	}
	if length > maxHeader || length > uint64(len(file)-start) {
		return h, 0, &Error{int64(len(magic) + 2), fmt.Sprintf("expected a header of at most %d bytes, got a length of %d", min(maxHeader, len(file)-start), length)}
	}
	n = start + int(length)
	p := &parser{text: string(file[start:n]), base: start}
	h, err = p.header()
	return h, n, err
}

// A parser reads the header, which is a Python dictionary of three entries:
//
//	{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
type parser struct {
	text string
	pos  int
	base int // of text in the file
}

func (p *parser) fail(format string, args ...any) error {
	return &Error{int64(p.base + p.pos), fmt.Sprintf(format, args...)}
}

// next reports whether token s follows, and steps over it and the space around
// it if so.
func (p *parser) next(s string) bool {
	p.space()
	if !strings.HasPrefix(p.text[p.pos:], s) {
		return false
	}
	p.pos += len(s)
	p.space()
	return true
}

func (p *parser) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\n\r", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

func (p *parser) header() (h header, err error) {
	if !p.next("{") {
		return h, p.fail("expected a dictionary")
	}
	seen := map[string]bool{}
	for !p.next("}") {
		if len(seen) > 0 && !p.next(",") {
			return h, p.fail("expected , or } after an entry")
		}
		if p.next("}") {
			break
		}
		key, err := p.str()
		if err != nil {
			return h, err
		}
		if seen[key] {
			return h, p.fail("entry %q occurs twice", key)
		}
		seen[key] = true
		if !p.next(":") {
			return h, p.fail("expected : after %q", key)
		}
		switch key {
		case "descr":
			err = p.descr(&h)
		case "fortran_order":
			h.fortran = p.next("True")
			if !h.fortran && !p.next("False") {
				err = p.fail("expected True or False")
			}
		case "shape":
			h.shape, err = p.shape()
		default:
			err = p.fail("expected descr, fortran_order or shape, got %q", key)
		}
		if err != nil {
			return h, err
		}
	}
	if p.pos != len(p.text) {
		return h, p.fail("expected nothing after the dictionary")
	}
	for _, key := range []string{"descr", "fortran_order", "shape"} {
		if !seen[key] {
			return h, p.fail("expected an entry %q", key)
		}
	}
	return h, nil
}

// str reads a string in single or double quotes, without escapes.
func (p *parser) str() (string, error) {
	p.space()
	rest := p.text[p.pos:]
	if rest == "" || rest[0] != '\'' && rest[0] != '"' {
		return "", p.fail("expected a string")
	}
	s, _, found := strings.Cut(rest[1:], rest[:1])
	if !found || strings.Contains(s, `\`) {
		return "", p.fail("expected a plain string")
	}
	p.pos += len(s) + 2
	p.space()
	return s, nil
}

// descr reads an element type with its byte order, such as '<f4'.
func (p *parser) descr(h *header) error {
	at := *p // errors point to the start
	if p.next("[") {
		return at.fail("element types with named fields are not supported")
	}
	s, err := p.str()
	if err != nil {
		return err
	}
	if s == "" || !Type(s[1:]).Valid() {
		return at.fail("element type %q is not supported", s)
	}
	h.typ = Type(s[1:])
	h.bigEndian = s[0] == '>'
	switch s[0] {
	case '<', '>':
	case '|':
		if h.typ.word() > 1 {
			return at.fail("element type %q lacks a byte order", s)
		}
	default:
		return at.fail("element type %q has no byte order < > or |", s)
	}
	return nil
}

// shape reads a tuple of extents: (), (3,) or (3, 4).
func (p *parser) shape() ([]int, error) {
	if !p.next("(") {
		return nil, p.fail("expected a tuple")
	}
	shape := []int{}
	for comma := true; !p.next(")"); {
		digits := 0
		for p.pos+digits < len(p.text) && p.text[p.pos+digits] >= '0' && p.text[p.pos+digits] <= '9' {
			digits++
		}
		d, err := strconv.Atoi(p.text[p.pos : p.pos+digits])
		if err != nil || !comma {
			return nil, p.fail("expected an extent of the shape")
		}
		if len(shape) == maxRank {
			return nil, p.fail("expected at most %d extents", maxRank)
		}
		shape = append(shape, d)
		p.pos += digits
		p.next("L") // which Python 2 wrote after a long integer
		comma = p.next(",")
		if !comma && len(shape) == 1 {
			return nil, p.fail("expected , after the first extent")
		}
	}
	return shape, nil
}
