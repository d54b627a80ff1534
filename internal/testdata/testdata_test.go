package testdata

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDir(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("NNZ_TESTDATA", dir)
	if got := Path(t, "a", "b.txt"); got != filepath.Join(dir, "a", "b.txt") {
		t.Errorf("path %s", got)
	}
	t.Setenv("NNZ_TESTDATA", filepath.Join(dir, "absent"))
	for _, ci := range []string{"", "true"} {
		t.Setenv("CI", ci)
		r := &recorder{TB: t}
		Dir(r)
		if r.skipped != (ci == "") || r.failed == r.skipped {
			t.Errorf("CI=%q: skipped %t, failed %t", ci, r.skipped, r.failed)
		}
	}
}

func TestModuleRoot(t *testing.T) {
	if _, err := os.Stat(filepath.Join(moduleRoot(t), "go.mod")); err != nil {
		t.Error(err)
	}
}

// A recorder notes how a test would have ended.
type recorder struct {
	testing.TB
	skipped, failed bool
}

func (r *recorder) Skipf(string, ...any)  { r.skipped = true }
func (r *recorder) Fatalf(string, ...any) { r.failed = true }
