package loader

import (
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

// TestConformanceModels loads every model of the conformance suite.
func TestConformanceModels(t *testing.T) {
	paths := modelFiles(t, "conformance")
	if len(paths) < 944 {
		t.Errorf("%d models, expected the whole suite", len(paths))
	}
	for _, path := range paths {
		if _, err := Load(t.Context(), path); err != nil {
			t.Error(err)
		}
	}
}
