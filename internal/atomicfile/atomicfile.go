// Package atomicfile writes files that are never seen half-written.
package atomicfile

import (
	"bufio"
	"crypto/rand"
	"io"
	"os"
)

// Write makes the file at path of what write gives it, or leaves what was
// there: the contents go to a temporary name beside it, are synced, and are
// then renamed. Where anything fails, nothing stays behind.
func Write(path string, write func(w io.Writer) error) (err error) {
	temp := path + "." + rand.Text() + ".tmp"
	// Not os.CreateTemp, whose files only their owner may read.
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temp)
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	return err
}
