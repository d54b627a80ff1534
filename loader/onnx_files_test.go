package loader

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/nnz-dev/nnz/internal/testdata"
)

// modelFiles returns the path of every model.onnx below the folders of the
// reference files.
func modelFiles(t testing.TB, folders ...string) []string {
	t.Helper()
	var paths []string
	for _, folder := range folders {
		err := filepath.WalkDir(testdata.Path(t, folder), func(path string, e fs.DirEntry, err error) error {
			if e != nil && e.Name() == "model.onnx" {
				paths = append(paths, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

// TestConformanceModels loads every model of the conformance suite: each gives
// a model or a clear error.
func TestConformanceModels(t *testing.T) {
	loaded, refused := 0, 0
	for _, path := range modelFiles(t, "conformance") {
		_, err := Load(path)
		var format *FormatError
		switch {
		case err == nil:
			loaded++
		case errors.As(err, &format):
			refused++
			t.Log(err)
		default:
			t.Error(err)
		}
	}
	if loaded != 876 || refused != 68 { // operator sets before 7
		t.Errorf("%d models loaded and %d refused", loaded, refused)
	}
}
