package loader

import (
	"archive/zip"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
)

func zipped(t *testing.T, names ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range names {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("content")); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const lfsPointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 102442450\n"

// TestForeign loads what people have where they expect a model.
func TestForeign(t *testing.T) {
	dir := t.TempDir()
	weights := filepath.Join(dir, "weights.safetensors")
	if err := WriteSafetensors(weights, map[string]*graph.Tensor{"w": graph.FromFloats([]int{3}, []float32{1, 2, 3})}); err != nil {
		t.Fatal(err)
	}
	safetensors, err := os.ReadFile(weights)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, data, want string }{
		{"LFS pointer", lfsPointer, "a Git LFS pointer, which stands for the file: run git lfs pull in its repository"},
		{"web page", "\n <!DOCTYPE html>\n<html lang=\"en\">", "a web page: download the file itself"},
		{"older web page", "<HTML><body>404", "a web page"},
		{"answer of a store", "\ufeff<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>", "an XML document"},
		{"answer of a service", `{"message": "Not Found"}`, "a JSON document"},
		{"PyTorch", zipped(t, "archive/data.pkl", "archive/data/0"), "a PyTorch file: export it to ONNX with torch.onnx.export"},
		{"PyTorch before 1.6", "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "a PyTorch file"},
		{"arrays", zipped(t, "x.npy"), "an .npz archive of NumPy arrays"},
		{"archive", zipped(t, "model.onnx"), "a zip archive: unpack it first"},
		{"HDF5", "\x89HDF\r\n\x1a\n\x00\x00", "an HDF5 file, as Keras writes"},
		{"SavedModel", "\x08\x01\x12\x83\x80\x04\x0a\x82\x7f\x12\x05\x0a\x03Add", "a TensorFlow file: convert it to ONNX with tf2onnx"},
		{"GraphDef", "\x0a\x20\x0a\x01x\x12\x0bPlaceholder*\x0e\x0a\x05dtype\x12\x020\x01", "a TensorFlow file"},
		{"GraphDef that looks like text", "\x0a{\x0a\x01x\x12\x0bPlaceholder*\x0e\x0a\x05dtype\x12\x020\x01", "a TensorFlow file"},
		{"TFLite", "\x1c\x00\x00\x00TFL3\x14\x00", "a TensorFlow Lite file"},
		{"gzip", "\x1f\x8b\x08\x00", "packed by gzip"},
		{"picture", "\x89PNG\r\n\x1a\n", "a PNG picture"},
		{"safetensors", string(safetensors), "got a safetensors file"},
		{"half of it", string(safetensors[:40]), "a .nnz or safetensors file that is cut off"},
	} {
		_, err := LoadReader(t.Context(), "model", strings.NewReader(tt.data), Options{})
		var f *FormatError
		if !errors.As(err, &f) || f.File != "model" || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
	// What is none of them is told by where reading failed.
	for _, data := range []string{"not a model", "\x00", "PK", "\x08\x08\x12\x07pytorch"} {
		_, err := LoadReader(t.Context(), "model", strings.NewReader(data), Options{})
		if err == nil || !strings.HasPrefix(err.Error(), "model: at byte ") {
			t.Errorf("%q: %v", data, err)
		}
	}
	// Other readers know the same files.
	pointer := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(lfsPointer), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, read := range map[string]func(path string) error{
		"x.npy": func(path string) error { _, err := ReadArrays(path, 0); return err },
		"x.npz": func(path string) error { _, err := ReadArrays(path, 0); return err },
		"x.pb":  func(path string) error { _, _, err := ReadTensor(path); return err },
		"x.st":  func(path string) error { _, err := ReadSafetensors(path); return err },
	} {
		path := pointer(name)
		var f *FormatError
		if err := read(path); !errors.As(err, &f) || f.File != path || !strings.Contains(err.Error(), "a Git LFS pointer") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
