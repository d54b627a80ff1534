package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// text returns what writes a text.
func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

// holds checks what a file holds, and that the folder has n entries.
func holds(t *testing.T, path, want string, n int) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("the file holds %q, %v; want %q", got, err, want)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != n {
		t.Errorf("the folder holds %v, %v; want %d entries", entries, err, n)
	}
}

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	broken := errors.New("broken")
	for _, test := range []struct {
		text string
		fail error
		want string // in the file afterwards
	}{
		{"first", nil, "first"},
		{"second", nil, "second"},
		{"half of the thi", broken, "second"},
	} {
		err := Write(path, func(w io.Writer) error {
			if _, err := io.WriteString(w, test.text); err != nil {
				return err
			}
			return test.fail
		})
		if !errors.Is(err, test.fail) {
			t.Errorf("writing %q: got error %v, want %v", test.text, err, test.fail)
		}
		holds(t, path, test.want, 1)
	}
}

// TestRefused has paths that cannot be written to: nothing is asked for what it
// would write, and the error names the path.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "folder")
	locked := filepath.Join(dir, "locked")
	for _, d := range []string{folder, locked} {
		if err := os.Mkdir(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	readOnly := filepath.Join(dir, "readonly")
	if err := os.WriteFile(readOnly, []byte("old"), 0o444); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(locked, 0o555); err != nil {
		t.Fatal(err)
	}
	loop := filepath.Join(dir, "loop")
	links := os.Symlink(loop, loop) == nil
	for _, test := range []struct {
		path string
		err  error // nil where systems differ
		skip bool
	}{
		{filepath.Join(dir, "none", "file"), fs.ErrNotExist, false},
		{folder, nil, false},
		{loop, nil, !links},
		// Who may do everything may do this, too.
		{readOnly, fs.ErrPermission, os.Geteuid() == 0},
		{filepath.Join(locked, "file"), fs.ErrPermission, os.Geteuid() == 0 || runtime.GOOS == "windows"},
	} {
		if test.skip {
			continue
		}
		called := false
		err := Write(test.path, func(io.Writer) error { called = true; return nil })
		if err == nil || called || !strings.Contains(err.Error(), test.path+": ") || test.err != nil && !errors.Is(err, test.err) {
			t.Errorf("%s: error %v, asked for contents: %t", test.path, err, called)
		}
		if strings.Contains(err.Error(), suffix) {
			t.Errorf("the error names a temporary file: %v", err)
		}
	}
	holds(t, readOnly, "old", 4)
}

// TestKeeps writes over files with permissions that a new one would not have,
// and through links.
func TestKeeps(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "wasip1" {
		t.Skip("no permissions, and links only for some")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, perm := range []fs.FileMode{0o600, 0o666, 0o777} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, perm); err != nil {
			t.Fatal(err)
		}
		if err := Write(path, text(perm.String())); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != perm {
			t.Errorf("a file of mode %v becomes one of %v, %v", perm, info.Mode(), err)
		}
		holds(t, path, perm.String(), 1)
	}

	elsewhere := t.TempDir()
	file := filepath.Join(elsewhere, "file")
	if err := os.Symlink(file, filepath.Join(dir, "absolute")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("absolute", filepath.Join(dir, "relative")); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"new", "newer"} { // the link leads nowhere at first
		if err := Write(filepath.Join(dir, "relative"), text(s)); err != nil {
			t.Fatal(err)
		}
		holds(t, file, s, 1)
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
			t.Errorf("the folder of the link holds %v, %v", entries, err)
		}
		if link, err := os.Readlink(filepath.Join(dir, "relative")); err != nil || link != "absolute" {
			t.Errorf("the link is %q, %v", link, err)
		}
	}
}

// TestNoFile writes into a device, which must stay one.
func TestNoFile(t *testing.T) {
	if err := Write(os.DevNull, text("nothing")); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("%s is now %v, %v", os.DevNull, info.Mode(), err)
	}
}

// TestSweep leaves temporary files behind, of which the next write removes those
// that are old and its own.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	long := time.Now().Add(-2 * stale)
	for name, mtime := range map[string]time.Time{
		"file." + random() + suffix:                long,
		"file." + random() + suffix:                time.Now(), // somebody writes to it
		"other." + random() + suffix:               long,
		"file.old" + suffix:                        long,
		"file.abcdefghijklmnopqrstuvwxyz" + suffix: long,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, name), mtime, mtime); err != nil {
			t.Fatal(err)
		}
	}
	if err := Write(path, text("new")); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "new", 5)
}
