package loader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// foreignFiles are files that people often have where they expect a model, by
// how they begin, with what to do about each.
var foreignFiles = []struct{ begin, is string }{
	{"version https://git-lfs.github.com/spec/", "a Git LFS pointer, which stands for the file: run git lfs pull in its repository"},
	{"<!doctype html", "a web page: download the file itself, such as by the link named raw"},
	{"<html", "a web page: download the file itself, such as by the link named raw"},
	{"<?xml", "an XML document: if it was downloaded, it tells why that failed"},
	{"{", "a JSON document: if it was downloaded, it tells why that failed"},
	{"\x80\x02", pytorch},
	{"\x89HDF\r\n", "an HDF5 file, as Keras writes: convert it to ONNX with tf2onnx"},
	{"\x1f\x8b", "a file packed by gzip: unpack it first"},
	{"\x28\xb5\x2f\xfd", "a file packed by zstd: unpack it first"},
	{"\xfd7zXZ\x00", "a file packed by xz: unpack it first"},
	{"BZh", "a file packed by bzip2: unpack it first"},
	{"GGUF", "a GGUF file of llama.cpp, which holds no graph: export the original to ONNX"},
	{"\x89PNG", "a PNG picture"},
	{"\xff\xd8\xff", "a JPEG picture"},
	{"\x93NUMPY", "a NumPy array"},
}

const (
	pytorch    = "a PyTorch file: export it to ONNX with torch.onnx.export"
	tensorflow = "a TensorFlow file: convert it to ONNX with tf2onnx"
)

// foreign says what a file is that could not be read, and what to do about it:
// "" where it is nothing that people are known to confuse.
func foreign(data []byte) string {
	head := data[:min(len(data), 1<<10)]
	text := ""
	if !bytes.ContainsAny(head, "\x00\x01\x02\x03\x04\x05\x06\x07\x08") {
		text = strings.ToLower(strings.TrimLeft(string(head), "\ufeff \t\r\n"))
	}
	for _, f := range foreignFiles {
		if strings.HasPrefix(text, f.begin) || bytes.HasPrefix(head, []byte(f.begin)) {
			return f.is
		}
	}
	at := func(i int, magic string) bool { return len(head) > i && bytes.HasPrefix(head[i:], []byte(magic)) }
	switch {
	case at(0, "PK\x03\x04"):
		return zipArchive(head)
	case at(4, "TFL3"):
		return "a TensorFlow Lite file: convert it to ONNX with tf2onnx"
	case at(8, `{"`):
		return "a .nnz or safetensors file that is cut off: copy or write it again"
	case isTensorFlow(head):
		return tensorflow
	}
	return ""
}

// zipArchive tells zip archives apart by the name of their first file.
func zipArchive(head []byte) string {
	const header = 30 // bytes, the length of the name in the last but one word
	first := ""
	if len(head) > header {
		name := head[header:]
		first = string(name[:min(len(name), int(binary.LittleEndian.Uint16(head[26:])))])
	}
	switch {
	case strings.HasSuffix(first, "data.pkl"):
		return pytorch
	case strings.HasSuffix(first, ".npy"):
		return "an .npz archive of NumPy arrays"
	}
	return "a zip archive: unpack it first"
}

// isTensorFlow knows a SavedModel, which begins with its version, 1, and a
// message within a message, and a GraphDef, whose first node has an element type
// among its attributes.
func isTensorFlow(head []byte) bool {
	if rest, ok := bytes.CutPrefix(head, []byte("\x08\x01\x12")); ok {
		_, n := protowire.ConsumeVarint(rest)
		return n > 0 && bytes.HasPrefix(rest[n:], []byte("\x0a"))
	}
	return bytes.HasPrefix(head, []byte("\x0a")) && bytes.Contains(head, []byte("\x0a\x05dtype"))
}

// orForeign returns err, the error of reading a file as what was expected, or
// one that says what the file is instead. That it was not read to the end for want
// of time tells nothing of the file.
func orForeign(err error, file, expected string, data []byte) error {
	if is := foreign(data); is != "" && errors.As(err, new(*FormatError)) {
		return &FormatError{File: file, Offset: -1, Msg: "expected " + expected + ", got " + is}
	}
	return err
}
