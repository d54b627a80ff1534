package loader_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/loader"
)

func TestLoadReader(t *testing.T) {
	path := testdata.Path(t, "trained", "lenet_300_100_dense.opset17", "model.onnx")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := loader.Load(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := loader.LoadReader(t.Context(), "upload", iotest.OneByteReader(bytes.NewReader(data)), loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Nodes) != len(want.Nodes) || len(got.Weights) != len(want.Weights) {
		t.Errorf("%d nodes and %d weights, want %d and %d", len(got.Nodes), len(got.Weights), len(want.Nodes), len(want.Weights))
	}
	for name, w := range want.Weights {
		if g := got.Weights[name]; g == nil || !bytes.Equal(g.Raw(), w.Raw()) {
			t.Errorf("weight %q is another", name)
		}
	}
}

func TestLoadReaderRefuses(t *testing.T) {
	var format *loader.FormatError
	if _, err := loader.LoadReader(t.Context(), "upload", strings.NewReader("not a model"), loader.Options{}); !errors.As(err, &format) || format.File != "upload" {
		t.Errorf("no model: %v", err)
	}
	endless := iotest.ErrReader(errors.New("read too far"))
	_, err := loader.LoadReader(t.Context(), "upload", io.MultiReader(strings.NewReader(strings.Repeat("x", 101)), endless), loader.Options{MaxBytes: 100})
	if !errors.As(err, &format) || !strings.Contains(err.Error(), "at most 100 bytes") {
		t.Errorf("a model of more than MaxBytes: %v", err)
	}
	if _, err := loader.LoadReader(t.Context(), "upload", endless, loader.Options{}); err == nil || !strings.Contains(err.Error(), "upload: read too far") {
		t.Errorf("a reader that fails: %v", err)
	}
}
