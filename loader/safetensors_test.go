package loader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/minio/simdjson-go"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/sparse"
)

// safetensors makes a file of a header and n bytes of elements.
func safetensors(header string, n int) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	out = append(out, header...)
	for i := range n {
		out = append(out, byte(i))
	}
	return out
}

// writeTemp writes data to a file of the given name and returns its path.
func writeTemp(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantFormatError checks that err is a FormatError for path, in one line that
// holds want.
func wantFormatError(t *testing.T, err error, path, want string) {
	t.Helper()
	var f *FormatError
	if !errors.As(err, &f) || f.File != path || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want a FormatError for %s with %q", err, path, want)
	}
}

func TestReadSafetensors(t *testing.T) {
	path := writeTemp(t, "a.safetensors", safetensors(`{
		"b": {"data_offsets": [0, 8], "shape": [2, 1], "dtype": "F32"},
		"__metadata__": {"format": "pt", "note": "caf\u00e9 \"x\""},
		"empty": {"dtype": "BF16", "shape": [3, 0], "data_offsets": [8, 8]},
		"a.ü": {"dtype":"I64","shape":[],"data_offsets":[8,16]}}   `, 16))
	f, err := ReadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"format": "pt", "note": `café "x"`}; !maps.Equal(f.Meta, want) {
		t.Errorf("metadata %v, want %v", f.Meta, want)
	}
	for _, tt := range []struct {
		name  string
		dt    graph.DType
		shape []int
		raw   []byte
	}{
		{"b", graph.Float32, []int{2, 1}, []byte{0, 1, 2, 3, 4, 5, 6, 7}},
		{"empty", graph.BFloat16, []int{3, 0}, []byte{}},
		{"a.ü", graph.Int64, []int{}, []byte{8, 9, 10, 11, 12, 13, 14, 15}},
	} {
		got := f.Tensors[tt.name]
		if got == nil || got.DType != tt.dt || !slices.Equal(got.Shape, tt.shape) || !slices.Equal(got.Raw(), tt.raw) {
			t.Errorf("%s: got %+v", tt.name, got)
		}
	}
	if len(f.Tensors) != 3 {
		t.Errorf("%d tensors, want 3", len(f.Tensors))
	}
	for range 2 {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// unsoundHeaders are headers that no parser may accept, and what the error
// says.
var unsoundHeaders = []struct{ name, header, want string }{
	{"empty", ``, "expected {"},
	{"leading space", ` {}`, "expected {"},
	{"a list", `[]`, "expected {"},
	{"not closed", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`, "header: "},
	{"two objects", `{}{}`, "header: "},
	{"a vertical tab for space", "{}\v", "header: "},
	{"a no-break space", "{\u00a0}", "header: "},
	{"trailing comma", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},}`, "header: "},
	{"not UTF-8", "{\"a\xff\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "not UTF-8"},
	{"no name", `{"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, `name "" is empty`},
	{"name twice", `{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}`, `name "a" is empty or occurs twice`},
	{"same name escaped", `{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"\u0061":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}`, `name "a" is empty or occurs twice`},
	{"metadata twice", `{"__metadata__":{},"__metadata__":{}}`, "occurs twice"},
	{"key twice", `{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, `key "dtype" occurs twice`},
	{"metadata key twice", `{"__metadata__":{"a":"","a":""}}`, `key "a" occurs twice`},
	{"unknown key", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"extra":"x"}}`, `unexpected text "extra"`},
	{"unknown list", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"extra":[]}}`, `unexpected list "extra"`},
	{"missing key", `{"a":{"dtype":"F32","shape":[1]}}`, `tensor "a" lacks "data_offsets"`},
	{"not an object", `{"a":[1]}`, `"a" is not an object`},
	{"metadata of lists", `{"__metadata__":{"a":[1]}}`, `metadata "a" is not a text`},
	{"metadata of numbers", `{"__metadata__":{"a":1}}`, `"a" is neither a text nor a list`},
	{"nested", `{"a":{"b":{"c":{}}}}`, `"b" is neither a text nor a list`},
	{"deeply nested", `{"a":` + strings.Repeat(`{"a":`, 1e5) + strings.Repeat("}", 1e5) + "}", `"a" is neither a text nor a list`},
	{"deep lists", `{"a":{"shape":` + strings.Repeat("[", 1e5) + strings.Repeat("]", 1e5) + "}}", `"shape" does not hold integers`},
	{"three offsets", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}}`, `unexpected list "data_offsets" of length 3`},
	{"negative", `{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, `"shape" holds -1`},
	{"fraction", `{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}`, `"shape" holds 1.0`},
	{"exponent", `{"a":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}}`, `"shape" holds 1e0`},
	{"above 64 bits", `{"a":{"dtype":"F32","shape":[18446744073709551617],"data_offsets":[0,4]}}`, `"shape" holds 18446744073709551617`},
	{"text in a list", `{"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}}`, `"shape" does not hold integers`},
	{"rank", `{"a":{"dtype":"F32","shape":[` + strings.Repeat("1,", maxRank) + `1],"data_offsets":[0,4]}}`, "more than 64 integers"},
}

func TestReadSafetensorsRefuses(t *testing.T) {
	const one = `{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`
	type test struct {
		name string
		file []byte
		want string
	}
	tests := []test{
		{"empty", nil, "at byte 0: expected the 8 bytes of a header's length"},
		{"zeros", make([]byte, 64), "at byte 8: header: expected {"},
		{"picture", []byte("\x89PNG\r\n\x1a\n and so on"), "expected a safetensors file, got a PNG picture"},
		{"header above the bound", binary.LittleEndian.AppendUint64(nil, maxSafetensorsHeader+1), "a length of 100000001"},
		{"length of 64 bits", binary.LittleEndian.AppendUint64(nil, math.MaxUint64), "a length of 18446744073709551615"},
		{"truncated", safetensors(`{"a":`+one+`}`, 3), `tensor "a" lies at 0:4 of 3 bytes`},
		{"trailing bytes", safetensors(`{"a":`+one+`}`, 5), "1 bytes that belong to no tensor"},
		{"overlap", safetensors(`{"a":`+one+`,"b":`+one+`}`, 8), `tensor "b" lies at 0:4`},
		{"gap", safetensors(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8), `tensor "a" lies at 4:8`},
		{"backwards", safetensors(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 4), `tensor "b" lies at 4:0`},
		{"type", safetensors(`{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}`, 4), `element type "F31"`},
		{"size", safetensors(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 4), `float32 tensor of shape [2] takes 8 bytes, got 4`},
		{"overflow", safetensors(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0), "overflows"},
	}
	for _, u := range unsoundHeaders {
		tests = append(tests, test{u.name + " header", safetensors(u.header, 4), u.want})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := writeTemp(t, "a.safetensors", tt.file)
			_, err := ReadSafetensors(path)
			wantFormatError(t, err, path, tt.want)
		})
	}
	if _, err := ReadSafetensors(t.TempDir()); err == nil {
		t.Error("a folder was accepted")
	}
}

// Every parser must refuse an unsound header by itself.
func TestHeaderParsers(t *testing.T) {
	parsers := map[string]func([]byte) (*safetensorsHeader, error){"std": parseHeaderStd}
	if simdjson.SupportedCPU() {
		parsers["simd"] = parseHeaderSIMD
	}
	for name, parse := range parsers {
		for _, u := range unsoundHeaders {
			if _, err := parse([]byte(u.header)); err == nil {
				t.Errorf("%s accepts a header that is unsound: %s", name, u.name)
			}
		}
	}
}

func FuzzHeaderParsers(f *testing.F) {
	if !simdjson.SupportedCPU() {
		f.Skip("this CPU has one parser only")
	}
	for _, u := range unsoundHeaders {
		if len(u.header) < 1000 {
			f.Add([]byte(u.header), false)
		}
	}
	f.Add([]byte(`{"__metadata__":{"a\n":"\ud83d\ude00"},"b":{"dtype":"F32","shape":[2, 3],"data_offsets":[0,24]}}  `), true)
	f.Fuzz(func(t *testing.T, text []byte, long bool) {
		if long { // simdjson takes another way from 8 KiB on
			text = append(text, strings.Repeat(" ", 5000)+`,"z":{"dtype":"F32","shape":[2, 3],"data_offsets":[0,24]}}`+strings.Repeat("\n", 5000)...)
		}
		std, err := parseHeaderStd(text)
		simd, err2 := parseHeaderSIMD(text)
		if err == nil && err2 == nil && !reflect.DeepEqual(std, simd) {
			t.Errorf("the parsers differ: %+v and %+v", std, simd)
		}
		if err != nil && err2 == nil {
			t.Errorf("simd accepts what std refuses with %v", err)
		}
	})
}

func FuzzSafetensors(f *testing.F) {
	f.Add(safetensors(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[2,2],"data_offsets":[4,8]}}`, 8))
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, '{', '}'})
	f.Fuzz(func(t *testing.T, data []byte) {
		tensors, _, err := parseSafetensors(data)
		if err != nil {
			var e *FormatError
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > max(8, int64(len(data))) {
				t.Errorf("error %v for a file of %d bytes", err, len(data))
			}
			return
		}
		size := 0
		for _, tensor := range tensors {
			size += tensor.Bytes()
		}
		if size > len(data) {
			t.Errorf("%d bytes of tensors in a file of %d", size, len(data))
		}
	})
}

func TestWriteSafetensors(t *testing.T) {
	m, err := sparse.FromDense(2, 3, []float32{0, 1, 0, 2, 0, 3})
	if err != nil {
		t.Fatal(err)
	}
	s, err := graph.NewSparse([]int{2, 3, 1}, m)
	if err != nil {
		t.Fatal(err)
	}
	tensors := map[string]*graph.Tensor{
		"sparse":   s,
		"scalar":   graph.FromInts(graph.Int64, nil, []int64{-5}),
		"bools":    graph.FromInts(graph.Bool, []int{3}, []int64{1, 0, 1}),
		"empty":    graph.FromFloats([]int{0, 4}, nil),
		`"quoted"`: graph.FromFloats([]int{1}, []float32{1.5}),
	}
	for code, dt := range safetensorsTypes {
		raw := make([]byte, dt.Size(3))
		tensors[code], err = graph.NewTensor(dt, []int{3}, raw)
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "out.safetensors")
	for range 2 { // the second time over the first
		if err := WriteSafetensors(path, tensors); err != nil {
			t.Fatal(err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("files left over: %v", entries)
	}
	f, err := ReadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(f.Tensors) != len(tensors) {
		t.Errorf("%d tensors, want %d", len(f.Tensors), len(tensors))
	}
	for name, want := range tensors {
		got := f.Tensors[name]
		if got == nil || got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) ||
			!slices.Equal(got.Floats(), want.Floats()) || !slices.Equal(got.Ints(), want.Ints()) {
			t.Errorf("%s: wrote %+v, read %+v", name, want, got)
		}
	}
}

func TestWriteSafetensorsRefuses(t *testing.T) {
	text, err := graph.NewStrings([]int{1}, []string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	one := graph.FromFloats([]int{1}, []float32{1})
	dir := t.TempDir()
	for name, tensors := range map[string]map[string]*graph.Tensor{
		"strings":  {"a": text},
		"nibbles":  {"a": graph.FromInts(graph.Int4, []int{2}, []int64{1, 2})},
		"no name":  {"": one},
		"metadata": {metadataKey: one},
	} {
		if err := WriteSafetensors(filepath.Join(dir, "out"), tensors); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := WriteSafetensors(dir, map[string]*graph.Tensor{"a": one}); err == nil {
		t.Error("a folder was overwritten")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("files left over: %v", entries)
	}
}

func TestSafetensorsReference(t *testing.T) {
	for _, tt := range []struct {
		file     []string
		tensors  int
		name     string
		shape    []int
		sparsity float64
	}{
		{[]string{"safetensors", "silero_vad_16k.safetensors"}, 15, "lstm_cell.weight_hh", []int{512, 128}, 0},
		{[]string{"trained", "lenet5_dense.safetensors"}, 8, "conv2.weight", []int{50, 20, 5, 5}, 0},
		{[]string{"trained", "lenet5_pruned90_global.safetensors"}, 8, "fc1.weight", []int{500, 800}, 0.91},
		{[]string{"trained", "resnet8_dense.safetensors"}, 56, "l3.c2.weight", []int{64, 64, 3, 3}, 0},
	} {
		t.Run(tt.file[1], func(t *testing.T) {
			f, err := ReadSafetensors(testdata.Path(t, tt.file...))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			w := f.Tensors[tt.name]
			if len(f.Tensors) != tt.tensors || w == nil || !slices.Equal(w.Shape, tt.shape) {
				t.Fatalf("%d tensors, %s is %+v", len(f.Tensors), tt.name, w)
			}
			s := sparse.Measure(w.Shape[0], w.Len()/w.Shape[0], w.Floats())
			if math.Abs(s.Sparsity-tt.sparsity) > 0.01 {
				t.Errorf("sparsity %g, want about %g", s.Sparsity, tt.sparsity)
			}
			for name, w := range f.Tensors {
				for _, v := range w.Floats() {
					if math.IsNaN(float64(v)) || math.Abs(float64(v)) > 1e4 {
						t.Fatalf("%s holds %g", name, v)
					}
				}
			}
		})
	}
}

func BenchmarkHeaderParsers(b *testing.B) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, `,"model.layers.%d.self_attn.q_proj.weight":{"dtype":"F32","shape":[512,512],"data_offsets":[%d,%d]}`, i, i<<20, (i+1)<<20)
	}
	input := []byte("{" + text.String()[1:] + "}")
	for name, parse := range map[string]func([]byte) (*safetensorsHeader, error){"std": parseHeaderStd, "simd": parseHeaderSIMD} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(input)))
			for b.Loop() {
				if _, err := parse(input); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
