// Package testdata finds the reference files that tests compare against. They
// are not part of the repository.
package testdata

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Dir returns the folder of the reference files: $NNZ_TESTDATA, or
// ../shared/testdata beside the module. Where there is none the test is
// skipped, or fails where the environment variable CI is set.
func Dir(t testing.TB) string {
	t.Helper()
	dir := dir(t)
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	const reason = "no reference files at %s: set NNZ_TESTDATA to the folder that holds them"
	if os.Getenv("CI") != "" {
		t.Fatalf(reason, dir)
	} else {
		t.Skipf(reason, dir)
	}
	return ""
}

// Path returns the path of a reference file: elems are the folders that lead
// to it and its name.
func Path(t testing.TB, elems ...string) string {
	t.Helper()
	return filepath.Join(append([]string{Dir(t)}, elems...)...)
}

// Small returns the paths of the reference files below a pattern of
// [filepath.Glob] that have at most most bytes, as seeds that tests and fuzz
// targets can do without: none where there are no reference files.
func Small(t testing.TB, most int64, pattern ...string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(append([]string{dir(t)}, pattern...)...))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(path string) bool {
		info, err := os.Stat(path)
		return err != nil || info.Size() > most
	})
}

// dir returns where the reference files are if there are any.
func dir(t testing.TB) string {
	if dir := os.Getenv("NNZ_TESTDATA"); dir != "" {
		return dir
	}
	return filepath.Join(moduleRoot(t), "..", "shared", "testdata")
}

// moduleRoot returns the folder of go.mod. A test runs in the folder of its
// package, which lies below.
func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("the test does not run inside of the module")
		}
		dir = parent
	}
}
