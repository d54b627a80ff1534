package loader

import (
	"bufio"
	"crypto/rand"
	"io"
	"os"
)

// writeFile makes the file at path from what write gives it, or leaves what was
// there: the contents go to a temporary name beside it, are synced, and are
// then renamed.
func writeFile(path string, write func(w io.Writer) error) (err error) {
	temp := path + "." + rand.Text() + ".tmp"
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
