//go:build unix

package loader

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestExternalSpecialFiles: external data is a regular file in the model's
// folder, whatever links say. Nothing waits for a pipe or reads a device, and a
// file of holes takes no memory.
func TestExternalSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	folder, other := filepath.Join(dir, "model"), filepath.Join(dir, "other")
	for _, d := range []string{folder, other, filepath.Join(folder, "sub")} {
		if err := os.Mkdir(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	weights := make([]byte, 32)
	for _, path := range []string{filepath.Join(other, "w.bin"), filepath.Join(folder, "sub", "w.bin")} {
		if err := os.WriteFile(path, weights, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(folder, "pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{
		"device": "/dev/zero", "folder": other, "up": "../other/w.bin", "chain": "up", "self": "self",
		"inside": "sub/w.bin", "piped": "pipe",
	} {
		if err := os.Symlink(to, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	holes, err := os.Create(filepath.Join(folder, "holes"))
	if err != nil {
		t.Fatal(err)
	}
	defer holes.Close()
	if err := holes.Truncate(1 << 32); err != nil {
		t.Skip("no file of holes: ", err)
	}
	for location, want := range map[string]string{
		"inside":                "", // a link that stays in the folder
		"holes":                 "",
		"device":                "escapes",
		"folder/w.bin":          "escapes",
		"up":                    "escapes",
		"chain":                 "escapes",
		"self":                  "too many",
		"pipe":                  "not a regular file",
		"piped":                 "not a regular file",
		"sub/../../other/w.bin": "expected a path below the folder of the model",
		"":                      "not a regular file",
		"w.bin\x00":             "",
	} {
		path := filepath.Join(folder, "m.onnx")
		if err := os.WriteFile(path, externalModel("location", location), 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := Load(t.Context(), path)
		var format *FormatError
		switch sound := want == "" && location != "w.bin\x00"; {
		case sound && err != nil:
			t.Errorf("%q: %v", location, err)
		case !sound && (!errors.As(err, &format) || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: error %v, want %s", location, err, want)
		}
	}
	// And neither is the model itself read from one.
	for _, name := range []string{"pipe", "piped", "device", "sub"} {
		if _, err := Open(t.Context(), filepath.Join(folder, name), Options{}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("a model in %s: error %v", name, err)
		}
	}
}
