package loader

import (
	"context"
	"os"

	"github.com/nnz-dev/nnz/graph"
)

// ReadTensor reads a TensorProto: a tensor in a file of its own, as the ONNX
// backend tests have for inputs and outputs, and the name that the file gives
// it. The tensor owns its memory.
func ReadTensor(path string) (name string, t *graph.Tensor, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", nil, err
	}
	return parseTensor(path, data)
}

func parseTensor(file string, data []byte) (name string, t *graph.Tensor, err error) {
	if len(data) == 0 {
		return "", nil, &FormatError{File: file, Offset: 0, Msg: "expected a TensorProto, the file is empty"}
	}
	d := newDecoder(context.Background(), file, data, Options{})
	name, t = d.tensor(span{0, len(data)})
	return name, t, orForeign(d.err, file, "a TensorProto", data)
}
