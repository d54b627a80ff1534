package verify

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// modelFile is the name of the model in the folder of a case.
const modelFile = "model.onnx"

// Find lists the cases of folders, in the order of their paths: a folder with
// a model.onnx is a case, any other is searched for cases.
func Find(dirs []string, t Tolerance) ([]Case, error) {
	var cases []Case
	for _, dir := range dirs {
		before := len(cases)
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			if !isFile(filepath.Join(path, modelFile)) {
				return nil
			}
			cases = append(cases, Case{Name: path, Dir: path, Tolerance: t})
			return filepath.SkipDir
		})
		if err != nil {
			return nil, err
		}
		if len(cases) == before {
			return nil, fmt.Errorf("%s: no case there, expected a folder of %s and test_data_set_0, or one that holds such folders", dir, modelFile)
		}
	}
	return cases, nil
}

// Manifest lists the cases that dir/manifest.json names, with the tolerance of
// each: a list of objects with a folder below dir as "test", and "rtol", "atol"
// and "int_lsb". A case whose "ort130" is "mismatch", so that ONNX Runtime 1.30
// gave other outputs than the expected ones, is disputed.
func Manifest(dir string) ([]Case, error) {
	path := filepath.Join(dir, "manifest.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var entries []struct {
		Test string `json:"test"`
		ORT  string `json:"ort130"`
		Tolerance
	}
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	cases := make([]Case, len(entries))
	for i, e := range entries {
		if !filepath.IsLocal(e.Test) {
			return nil, fmt.Errorf("%s: test %q is not a folder below %s", path, e.Test, dir)
		}
		cases[i] = Case{Name: e.Test, Dir: filepath.Join(dir, e.Test), Tolerance: e.Tolerance, Disputed: e.ORT == "mismatch"}
	}
	return cases, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
