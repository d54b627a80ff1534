package nnz_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurity checks that each limit of SECURITY.md has a test, and that the
// tests that it names exist.
func TestSecurity(t *testing.T) {
	text, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| --- | --- | --- |\n")
	if !ok {
		t.Fatal("there is no table of limits")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	name := regexp.MustCompile("`([a-z0-9/]+)\\.((Test|Fuzz)[A-Za-z0-9]+)`")
	rows := strings.Split(strings.TrimSpace(table), "\n")
	if len(rows) < 20 {
		t.Errorf("%d limits", len(rows))
	}
	sources := make(map[string]string) // tests of a package
	for _, row := range rows {
		tests := name.FindAllStringSubmatch(row, -1)
		if len(tests) == 0 {
			t.Errorf("no test proves: %s", row)
		}
		for _, m := range tests {
			pkg, test := m[1], m[2]
			if sources[pkg] == "" {
				sources[pkg] = testsOf(t, pkg)
			}
			if !strings.Contains(sources[pkg], "\nfunc "+test+"(") {
				t.Errorf("package %s has no %s, which is to prove: %s", pkg, test, row)
			}
		}
	}
}

// testsOf returns the text of a package's tests.
func testsOf(t *testing.T, pkg string) string {
	files, err := filepath.Glob(path.Join(pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
