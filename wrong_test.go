package nnz_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/loader"
)

// TestWrongUse holds what a programmer reads who has made a mistake. $ is the
// folder of the files, and … what follows from the CPU or a longer list.
func TestWrongUse(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(isa.Env, "")
	whole, err := os.ReadFile(tinyFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	compile := func(m *nnz.Model, c nnz.Config) error {
		_, err := nnz.Compile(context.Background(), m, c)
		return err
	}
	load := func(data string, o nnz.LoadOptions) error {
		_, err := nnz.LoadReader(t.Context(), "upload", strings.NewReader(data), o)
		return err
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	session := func() *nnz.Session {
		plan, err := nnz.Compile(context.Background(), tinyModel(), nnz.Config{})
		if err != nil {
			t.Fatal(err)
		}
		s := plan.NewSession()
		t.Cleanup(s.Close)
		return s
	}
	broken := func(change func(m *nnz.Model)) *nnz.Model {
		m := tinyModel()
		change(m)
		return m
	}
	var (
		format      *nnz.FormatError
		unsupported *nnz.UnsupportedError
	)
	for _, test := range []struct {
		name string
		do   func() error
		want string
		as   any // the type of the error, or what it is
	}{
		{"no file", func() error { _, err := nnz.Load(t.Context(), filepath.Join(dir, "none.onnx")); return err }, `stat $/none.onnx: no such file or directory`, os.ErrNotExist},
		{"a folder", func() error { _, err := nnz.Load(t.Context(), dir); return err }, `open $: not a regular file`, nil},
		{"nothing", func() error { return load("", nnz.LoadOptions{}) }, `upload: at byte 0: expected an ONNX model, the file is empty`, &format},
		{"half a model", func() error { return load(string(whole[:len(whole)/2]), nnz.LoadOptions{}) }, `upload: at byte 3: field 7 has 148 bytes, but only 74 are left: the file is cut off or damaged`, &format},
		{"a web page", func() error { return load("<html>", nnz.LoadOptions{}) }, `upload: expected an ONNX or .nnz model, got a web page: download the file itself, such as by the link named raw`, &format},
		{"too large a model", func() error { return load(string(whole), nnz.LoadOptions{MaxBytes: 64}) }, `upload: at byte 64: expected a model of at most 64 bytes`, &format},
		{"a load whose context has ended", func() error { _, err := nnz.Load(ended, filepath.Join(dir, "model.onnx")); return err }, `$/model.onnx: context canceled`, context.Canceled},
		{"nowhere to save to", func() error {
			return loader.Save(filepath.Join(dir, "none", "m.onnx"), tinyModel(), loader.SaveOptions{})
		}, `create a temporary file for $/none/m.onnx: no such file or directory`, os.ErrNotExist},

		{"no operator", func() error {
			return compile(broken(func(m *nnz.Model) { m.Nodes[0].Op, m.Nodes[1].Op = "Gemmm", "Relo" }), nnz.Config{})
		}, `2 unsupported nodes: node "linear": Gemmm (opset 17): operator Gemmm is not supported; node "relu": Relo (opset 17): operator Relo is not supported`, &unsupported},
		{"too old an operator set", func() error { return compile(broken(func(m *nnz.Model) { m.Nodes[1].Op = "Gelu" }), nnz.Config{}) }, `unsupported node "relu": Gelu (opset 17): version 17 of operator Gelu is not supported, only 20 and later`, &unsupported},
		{"shapes that do not fit", func() error { return compile(broken(func(m *nnz.Model) { m.Nodes[0].Inputs[2] = "w" }), nnz.Config{}) }, `node Gemm "linear": input C: shape [3 2] does not broadcast to [1 2]`, nil},
		{"an open shape", func() error { return compile(batches(), nnz.Config{}) }, `the model leaves the shapes of inputs open: "x": extent 0, "batch": expected sizes for them in Shapes or Dims`, nil},
		{"a shape for no input", func() error { return compile(batches(), nnz.Config{Shapes: map[string][]int{"z": {1, 3}}}) }, `shapes for inputs ["z"], the model has inputs "x"`, nil},
		{"a shape of another rank", func() error { return compile(batches(), nnz.Config{Shapes: map[string][]int{"x": {3}}}) }, `input "x": shape [3], expected 2 extents`, nil},
		{"a negative extent", func() error { return compile(batches(), nnz.Config{Dims: map[string]int{"batch": -1}}) }, `input "x": shape [-1 3] has a negative extent`, nil},
		{"negative threads", func() error { return compile(tinyModel(), nnz.Config{Threads: -1}) }, `-1 threads: expected a positive number`, nil},
		{"too little memory", func() error { return compile(tinyModel(), nnz.Config{MaxBytes: 10}) }, `node "linear" (Linear): the plan takes 24 bytes of memory, expected at most the limit of 10, MaxBytes`, nil},
		{"no such pass", func() error { return compile(tinyModel(), nnz.Config{SkipPasses: []string{"geru"}}) }, `no pass "geru" to skip: there are branch, fold, …`, nil},
		{"no such instruction set", func() error {
			t.Setenv(isa.Env, "mmx")
			defer t.Setenv(isa.Env, "")
			return compile(tinyModel(), nnz.Config{})
		}, `NNZ_ISA: isa: unknown instruction set "mmx": want one of auto, generic, avx2, avx512, neon`, nil},
		{"a shape for no input of plans", func() error {
			_, err := nnz.NewPlans(batches(), nnz.Config{}).Session(context.Background(), map[string][]int{"z": {1, 3}})
			return err
		}, `a shape for input "z", which the model does not have`, nil},
		{"a context that has ended", func() error {
			_, err := nnz.Compile(ended, tinyModel(), nnz.Config{})
			return err
		}, `context canceled`, context.Canceled},

		{"no such input", func() error { _, err := session().Input("z"); return err }, `no input "z": the model has ["x"]`, nil},
		{"no such output", func() error { _, err := session().Output("x"); return err }, `no output "x": the model has ["y"]`, nil},
		{"a closed session", func() error {
			s := session()
			s.Close()
			return s.Run(context.Background())
		}, `the session is closed`, nnz.ErrClosed},
		{"a session of two", func() error {
			s := session()
			var inner error
			if err := s.Run(whileRunning{context.Background(), func() { inner = s.Run(context.Background()) }}); err != nil {
				return err
			}
			return inner
		}, `the session runs in another goroutine: each needs a session of its own`, nnz.ErrBusy},
	} {
		err := test.do()
		if err == nil {
			t.Errorf("%s: no error", test.name)
			continue
		}
		got := strings.ReplaceAll(err.Error(), dir, "$")
		if begin, cut := strings.CutSuffix(test.want, "…"); got != test.want && !(cut && strings.HasPrefix(got, begin)) {
			t.Errorf("%s:\n%s\nwant\n%s", test.name, got, test.want)
		}
		switch as := test.as.(type) {
		case nil:
		case error:
			if !errors.Is(err, as) {
				t.Errorf("%s: %T is not %v", test.name, err, as)
			}
		default:
			if !errors.As(err, as) {
				t.Errorf("%s: an error of type %T", test.name, err)
			}
		}
	}
}

// whileRunning calls do when a run looks whether it has ended.
type whileRunning struct {
	context.Context
	do func()
}

func (c whileRunning) Err() error {
	c.do()
	return nil
}
