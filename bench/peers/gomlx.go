package peers

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/graph"
)

// GoMLXName is the name of gomlx.
const GoMLXName = "gomlx"

// GoMLX is the backend in Go of gomlx, by way of onnx-gomlx: a program of the
// folder drivers, a module of its own, built by `make peers`.
type GoMLX struct {
	Folder  string   // of the program
	Model   string   // path of the ONNX file to load
	Threads int      // 1 or more
	Files   []string // of the elements of all inputs
}

// Start starts the engine and loads the model. Inputs must have known shapes.
func (g GoMLX) Start(ctx context.Context, inputs []graph.Value) (bench.Peer, error) {
	program := filepath.Join(g.Folder, GoMLXName)
	if _, err := os.Stat(program); err != nil {
		return nil, ErrNotBuilt
	}
	arg, err := ORT{Model: g.Model, Threads: g.Threads, Files: g.Files}.argument(inputs)
	if err != nil {
		return nil, err
	}
	p, err := start(exec.CommandContext(ctx, program, arg))
	if err != nil {
		return nil, err
	}
	p.name = GoMLXName
	return p, nil
}
