package mmap

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpen(t *testing.T) {
	for _, tt := range []struct {
		name string
		data []byte
	}{
		{"empty", []byte{}},
		{"one byte", []byte{42}},
		{"over a page", bytes.Repeat([]byte("0123456"), 10000)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, tt.data, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(f.Bytes(), tt.data) {
				t.Error("the contents differ")
			}
			for range 2 {
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}
			if f.Bytes() != nil {
				t.Error("bytes remain after Close")
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
	for _, path := range []string{dir, os.DevNull} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path+": not a regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestRelease(t *testing.T) {
	want := bytes.Repeat([]byte("0123456"), 200_000)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	other := bytes.Clone(want)
	for _, part := range [][]byte{nil, f.Bytes(), f.Bytes()[1:], f.Bytes()[100:600_000], f.Bytes()[1_000_000:], other} {
		f.Release(part)
		if !bytes.Equal(f.Bytes(), want) || !bytes.Equal(other, want) {
			t.Fatal("contents changed")
		}
	}
}
