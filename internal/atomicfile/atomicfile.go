// Package atomicfile writes files that are never seen half-written.
package atomicfile

import (
	"bufio"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Write makes the file at path of what write gives it, or leaves what was
// there: the contents go to a temporary file beside it, which is synced and then
// renamed. Where anything fails, nothing stays behind.
//
// A file that is there must be one that may be written to, and keeps its
// permissions. A symbolic link stays, and what it leads to is replaced. What is
// no file, such as a pipe or a terminal, is written to as it is.
//
// A process that is killed leaves its temporary file, NAME.RANDOM.tmp. The next
// Write of the same path removes those that nobody has written to for an hour.
func Write(path string, write func(w io.Writer) error) error {
	old, err := existing(path)
	if err != nil {
		return err
	}
	perm := fs.FileMode(0o666)
	if old != nil {
		info, err := old.Stat()
		if err == nil && !info.Mode().IsRegular() {
			return fill(old, write)
		}
		old.Close()
		if err != nil {
			return err
		}
		perm = info.Mode().Perm()
	}
	if path, err = target(path); err != nil {
		return err
	}
	sweep(path)
	// Not os.CreateTemp, whose files only their owner may read.
	f, err := os.OpenFile(path+"."+random()+suffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return renamed("create a temporary file for", path, err)
	}
	if old != nil { // of whose permissions a mask has taken some away
		if err = f.Chmod(perm); errors.Is(err, errors.ErrUnsupported) {
			err = nil
		}
	}
	if err != nil {
		f.Close()
	} else if err = fill(f, write); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return renamed("write", path, err)
	}
	// So that the name survives a loss of power. Not all systems sync folders;
	// either way it is the old file that is there or the new one.
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync()
		dir.Close()
	}
	return nil
}

// existing opens the file at path to be written to, without writing: what
// speaks against that is told before the work begins. It returns nil where there
// is no file.
func existing(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

// target follows symbolic links to what they lead to, there or not.
func target(path string) (string, error) {
	const most = 40 // as Linux has it
	for range most {
		link, err := os.Readlink(path)
		if err != nil {
			return path, nil
		}
		if !filepath.IsAbs(link) { // not Join: what .. is, a link may decide
			link = filepath.Dir(path) + string(filepath.Separator) + link
		}
		path = link
	}
	return "", &fs.PathError{Op: "write", Path: path, Err: errors.New("too many symbolic links")}
}

// fill has write fill a file, syncs and closes it.
func fill(f *os.File, write func(w io.Writer) error) error {
	w := bufio.NewWriterSize(f, 1<<20)
	err := write(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		if info, e := f.Stat(); e == nil && info.Mode().IsRegular() {
			err = f.Sync()
		}
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// renamed names the file that was to be written in errors of the system, in
// place of the temporary one.
func renamed(op, path string, err error) error {
	var (
		file *fs.PathError
		link *os.LinkError
	)
	switch {
	case errors.As(err, &file):
		err = file.Err
	case errors.As(err, &link):
		err = link.Err
	default:
		return err
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// Names of temporary files end so, after letters and digits of base32.
const (
	suffix  = ".tmp"
	letters = 26
	base32  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)

func random() string { return rand.Text()[:letters] }

// stale is how long nobody has written to a temporary file that is taken for
// left behind.
const stale = time.Hour

// sweep removes the temporary files of a path that were left behind.
func sweep(path string) {
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		name, ours := strings.CutPrefix(e.Name(), filepath.Base(path)+".")
		name, temp := strings.CutSuffix(name, suffix)
		if !ours || !temp || len(name) != letters || strings.Trim(name, base32) != "" {
			continue
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > stale {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
