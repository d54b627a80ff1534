package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime"
)

// compileCmd writes a model with its weights packed.
type compileCmd struct {
	Model  string `arg:"" help:"ONNX or .nnz file, or builtin:NAME."`
	Output string `short:"o" required:"" placeholder:"OUT.nnz" help:"File to write."`
	Mode   string `default:"auto" enum:"auto,dense,sparse" help:"Which layers run on sparse kernels: the ones that are faster so (auto), none (dense) or all (sparse)."`
	compileFlags
	jsonFlag
}

// A compileReport is what `nnz compile --json` writes.
type compileReport struct {
	File    string   `json:"file"`
	Bytes   int64    `json:"bytes"`
	ISA     string   `json:"isa"`
	Threads int      `json:"threads"`
	Bound   []string `json:"bound,omitempty"` // extents that were open and are 1
}

func (c *compileCmd) Run(e *env) error {
	config, err := c.configIn(c.Mode)
	if err != nil {
		return err
	}
	m, err := c.open(e.ctx, c.Model)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := m.apart(c.Output); err != nil {
		return err
	}
	bound := bind(&config, m.Model)
	packed, err := runtime.Pack(e.ctx, m.Model, config)
	if err != nil {
		return m.named(err)
	}
	if err := e.ctx.Err(); err != nil {
		return err
	}
	if err := loader.SaveCompiled(c.Output, packed); err != nil {
		return err
	}
	info, err := os.Stat(c.Output)
	if err != nil {
		return err
	}
	r := compileReport{File: c.Output, Bytes: info.Size(), ISA: config.ISA.String(), Threads: c.threads(), Bound: bound}
	if c.JSON != "" {
		return c.write(e, r)
	}
	with := ""
	if bound != nil {
		with = ", with " + strings.Join(bound, ", ")
	}
	fmt.Fprintf(e.out, "wrote %s, %s: packed for %s and %s%s\n", r.File, size(r.Bytes), r.ISA, plural(r.Threads, "thread"), with)
	return nil
}
