package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/nnz-dev/nnz/bench/builtin"
)

// exportCmd writes a builtin network as an ONNX file.
type exportCmd struct {
	Network string    `arg:"" placeholder:"BUILTIN" help:"Network, as nnz --help lists them, with @0.9, @0.9:4x1 or @2:4 behind it to prune it."`
	Batch   int       `default:"1" help:"Images at a time."`
	Out     saveFlags `embed:""`
}

func (c *exportCmd) Run(e *env) error {
	m, err := builtin.LoadBatch(strings.TrimPrefix(c.Network, builtinPrefix), c.Batch)
	if err != nil {
		return usageError{err}
	}
	if err := c.Out.save(e, m); err != nil {
		return err
	}
	info, err := os.Stat(c.Out.Output)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "wrote %s, %s\n", c.Out.Output, size(info.Size()))
	return nil
}
