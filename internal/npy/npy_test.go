package npy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// file makes a .npy file of a header's dictionary and data.
func file(version byte, dict, data string) []byte {
	out := append([]byte(magic), version, 0)
	if version == 1 {
		out = binary.LittleEndian.AppendUint16(out, uint16(len(dict)))
	} else {
		out = binary.LittleEndian.AppendUint32(out, uint32(len(dict)))
	}
	return append(append(out, dict...), data...)
}

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		name    string
		version byte
		dict    string
		data    string
		want    Array
	}{
		{"as numpy writes it", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }          \n", "abcdefgh", Array{Float32, []int{2}, []byte("abcdefgh")}},
		{"other order and quotes", 2, `{"shape":(1,2),"fortran_order":False,"descr":"|u1"}`, "ab", Array{Uint8, []int{1, 2}, []byte("ab")}},
		{"scalar", 3, "{'descr': '<i8', 'fortran_order': False, 'shape': ()}", "abcdefgh", Array{Int64, []int{}, []byte("abcdefgh")}},
		{"big endian", 1, "{'descr': '>i2', 'fortran_order': False, 'shape': (2,)}", "abcd", Array{Int16, []int{2}, []byte("badc")}},
		{"big endian byte", 1, "{'descr': '>i1', 'fortran_order': False, 'shape': (2,)}", "ab", Array{Int8, []int{2}, []byte("ab")}},
		{"fortran", 1, "{'descr': '|b1', 'fortran_order': True, 'shape': (2, 3)}", "adbecf", Array{Bool, []int{2, 3}, []byte("abcdef")}},
		{"fortran of rank 3", 1, "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 2)}", "agciekbhdjfl", Array{Uint8, []int{2, 3, 2}, []byte("abcdefghijkl")}},
		{"fortran, big endian", 1, "{'descr': '>u2', 'fortran_order': True, 'shape': (2, 2)}", "BAFEDCHG", Array{Uint16, []int{2, 2}, []byte("ABCDEFGH")}},
		{"empty", 1, "{'descr': '<f8', 'fortran_order': True, 'shape': (3, 0, 2), }", "", Array{Float64, []int{3, 0, 2}, []byte{}}},
		{"bytes", 1, "{'descr': '|S3', 'fortran_order': False, 'shape': (2,), }", "csrbsr", Array{"S3", []int{2}, []byte("csrbsr")}},
		{"big endian text", 1, "{'descr': '>U2', 'fortran_order': False, 'shape': (), }", "\x00\x00\x00a\x00\x01\xf6\x00", Array{"U2", []int{}, []byte("a\x00\x00\x00\x00\xf6\x01\x00")}},
		{"python 2", 1, "{'descr': '<f2', 'fortran_order': False, 'shape': (1L, 2L), }", "abcd", Array{Float16, []int{1, 2}, []byte("abcd")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Decode(file(tt.version, tt.dict, tt.data))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	dict := func(descr, order, shape string) []byte {
		return file(1, "{'descr': "+descr+", 'fortran_order': "+order+", 'shape': "+shape+"}", "")
	}
	for _, tt := range []struct {
		name string
		file []byte
		want string
	}{
		{"nothing", nil, "at byte 0: expected a .npy file"},
		{"another format", []byte("\x89PNG\r\n\x1a\n"), "at byte 0: expected a .npy file"},
		{"version", file(4, "", ""), "at byte 6: expected format version 1, 2 or 3, got 4"},
		{"no length", []byte(magic + "\x02\x00\x01"), "at byte 9: expected the length"},
		{"header beyond the file", []byte(magic + "\x01\x00\xff\x00{}"), "got a length of 255"},
		{"huge header", file(2, strings.Repeat(" ", maxHeader+1), ""), "got a length of 10001"},
		{"no dictionary", file(1, "()", ""), "at byte 10: expected a dictionary"},
		{"no end", file(1, "{", ""), "expected a string"},
		{"no end of string", file(1, "{'descr", ""), "expected a plain string"},
		{"no colon", file(1, "{'descr'}", ""), "expected : after"},
		{"no comma", file(1, "{'shape': () 'descr': '<f4'}", ""), "expected , or }"},
		{"after the end", file(1, "{'descr': '<f4', 'fortran_order': False, 'shape': ()} x", ""), "expected nothing after"},
		{"missing entry", file(1, "{'descr': '<f4', 'shape': ()}", ""), `expected an entry "fortran_order"`},
		{"unknown entry", file(1, "{'order': 1}", ""), `got "order"`},
		{"entry twice", file(1, "{'shape': (), 'shape': ()}", ""), `"shape" occurs twice`},
		{"type", dict("'<c8'", "False", "()"), `at byte 20: element type "<c8" is not supported`},
		{"string of no length", dict("'|S0'", "False", "()"), `"|S0" is not supported`},
		{"string of a huge length", dict("'|S9999999999999999999'", "False", "()"), "is not supported"},
		{"no type", dict("''", "False", "()"), "is not supported"},
		{"named fields", dict("[('a', '<f4')]", "False", "()"), "named fields"},
		{"no byte order", dict("'|f4'", "False", "()"), "lacks a byte order"},
		{"odd byte order", dict("'?f4'", "False", "()"), "has no byte order"},
		{"order", dict("'<f4'", "None", "()"), "expected True or False"},
		{"shape is a number", dict("'<f4'", "False", "3"), "expected a tuple"},
		{"shape is no tuple", dict("'<f4'", "False", "(3)"), "expected , after the first extent"},
		{"negative extent", dict("'<f4'", "False", "(-1,)"), "expected an extent"},
		{"extent of 30 digits", dict("'<f4'", "False", "("+strings.Repeat("9", 30)+",)"), "expected an extent"},
		{"overflow", dict("'<f4'", "False", "(2147483647, 2147483647, 2147483647)"), "overflows"},
		{"overflow beside zero", dict("'<f4'", "False", "(2147483647, 2147483647, 2147483647, 0)"), "overflows"},
		{"rank", dict("'<f4'", "False", "("+strings.Repeat("1,", 65)+")"), "at most 64 extents"},
		{"little data", file(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "abcd"), "expected 8 bytes for shape [2] of type f4, got 4"},
		{"more data", file(1, "{'descr': '<f4', 'fortran_order': False, 'shape': ()}", "abcde"), "expected 4 bytes for shape [] of type f4, got 5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Decode(tt.file)
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestEncode(t *testing.T) {
	for _, tt := range []struct {
		a    Array
		want string // the header, without padding
	}{
		{Array{Float32, []int{1, 2}, []byte("abcdefgh")}, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }"},
		{Array{Bool, []int{3}, []byte("abc")}, "{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }"},
		{Array{Uint64, []int{}, []byte("abcdefgh")}, "{'descr': '<u8', 'fortran_order': False, 'shape': (), }"},
		{Array{Int8, slices.Repeat([]int{1}, maxRank), []byte("a")}, "{'descr': '|i1', 'fortran_order': False, 'shape': (1, 1,"},
	} {
		var buf bytes.Buffer
		if err := Encode(&buf, tt.a); err != nil {
			t.Fatal(err)
		}
		start := buf.Len() - len(tt.a.Data)
		if header := buf.String()[10:start]; !strings.HasPrefix(header, tt.want) || header[len(header)-1] != '\n' || start%align != 0 {
			t.Errorf("header %q, want %q padded to a multiple of %d bytes", header, tt.want, align)
		}
		if got, err := Decode(buf.Bytes()); err != nil || !reflect.DeepEqual(got, tt.a) {
			t.Errorf("read back as %+v, %v", got, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, tt := range []struct {
		a    Array
		want string
	}{
		{Array{"c8", nil, make([]byte, 8)}, `no element type "c8"`},
		{Array{Float32, []int{-1}, nil}, "0 bytes do not fill shape [-1]"},
		{Array{Float32, []int{2}, make([]byte, 4)}, "4 bytes do not fill shape [2] of type f4"},
		{Array{Uint8, slices.Repeat([]int{1}, maxRank+1), []byte("a")}, "rank 65"},
	} {
		if err := Encode(&bytes.Buffer{}, tt.a); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want one with %q", err, tt.want)
		}
	}
}

func TestStrings(t *testing.T) {
	for _, tt := range []struct {
		a    Array
		want []string
	}{
		{Array{"S3", []int{}, []byte("csr")}, []string{"csr"}},
		{Array{"S5", []int{2}, []byte("csr\x00\x00a\x00b\x00\x00")}, []string{"csr", "a\x00b"}},
		{Array{"U2", nil, []byte("a\x00\x00\x00\x00\xf6\x01\x00")}, []string{"a😀"}},
		{Array{"S3", []int{0}, nil}, []string{}},
		{Array{Uint8, nil, []byte("c")}, nil},
	} {
		if got := tt.a.Strings(); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("strings of %+v are %q, want %q", tt.a, got, tt.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(file(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }\n", "abcdefgh"))
	f.Add(file(2, "{'descr': '>u2', 'fortran_order': True, 'shape': (2, 2)}", "abcdefgh"))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Decode(b)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > int64(len(b)) {
				t.Errorf("error %v outside of %d bytes", err, len(b))
			}
			return
		}
		var buf bytes.Buffer
		if err := Encode(&buf, a); err != nil {
			t.Fatal(err)
		}
		back, err := Decode(buf.Bytes())
		if err != nil || !reflect.DeepEqual(a, back) {
			t.Errorf("%+v read back as %+v, %v", a, back, err)
		}
	})
}
