package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
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
		if got, err := os.ReadFile(path); err != nil || string(got) != test.want {
			t.Errorf("after writing %q: the file holds %q, %v; want %q", test.text, got, err, test.want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v; want the file alone", entries, err)
	}
}

func TestWriteNowhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "file")
	called := false
	err := Write(path, func(io.Writer) error { called = true; return nil })
	if !errors.Is(err, os.ErrNotExist) || called {
		t.Errorf("got error %v, written: %v", err, called)
	}
}
