// Package nnz runs neural networks on CPUs, and pruned ones faster than dense
// ones.
//
// It is what a service imports; everything it offers lives in the packages
// below it. A model is loaded once, compiled once into a [Plan] that all
// goroutines share, and run through a [Session] for each goroutine:
//
//	model, err := nnz.Load(ctx, "model.onnx")
//	plan, err := nnz.Compile(ctx, model, nnz.Config{})
//	session := plan.NewSession()
//	defer session.Close()
//
//	in, err := session.Input("x")
//	copy(in.F, pixels)
//	err = session.Run(ctx)
//	out, err := session.Output("y")
//
// Where batches or sequences vary in length, [Plans] holds a plan for each of
// the last shapes, and lends sessions:
//
//	plans := nnz.NewPlans(model, nnz.Config{})
//	session, err := plans.Session(ctx, map[string][]int{"ids": {1, length}})
//	defer plans.Release(session)
//
// Weights with enough zeros are kept and multiplied in sparse form, layer by
// layer where that is faster than dense; [Plan.Explain] says what was chosen
// and why. The environment variable NNZ_ISA (generic, avx2, avx512, neon) makes
// it use a lesser instruction set than the CPU has.
package nnz

import (
	"context"
	"io"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime"
)

// The types of a service's way through nnz.
type (
	// Model is a computation graph with its weights.
	Model = graph.Model
	// Config says how to compile; the zero value is right for most uses.
	Config = runtime.Config
	// Plan is a compiled model, shared by goroutines.
	Plan = runtime.Plan
	// Session runs a Plan, for one goroutine at a time.
	Session = runtime.Session
	// Plans compiles a model for each shape that comes, and keeps the last few.
	Plans = runtime.Plans
	// Value describes an input or an output of a Plan.
	Value = graph.Value
	// Tensor is a view of an input or an output of a Session.
	Tensor = runtime.Tensor
	// Mode says which layers may run on sparse kernels.
	Mode = runtime.Mode
	// LoadOptions say how to read a model.
	LoadOptions = loader.Options
	// FormatError tells of a file that is not what it should be.
	FormatError = loader.FormatError
	// UnsupportedError lists the nodes of a model that cannot be run.
	UnsupportedError = runtime.UnsupportedError
)

// Errors of a [Session] that two goroutines use at once, and of one that is closed.
var (
	ErrBusy   = runtime.ErrBusy
	ErrClosed = runtime.ErrClosed
)

// The modes of [Config].
const (
	Auto   = runtime.Auto
	Dense  = runtime.Dense
	Sparse = runtime.Sparse
)

// Load reads an ONNX model, or a .nnz file that nnz compile wrote: the same model,
// with weights that are packed already. A damaged file gives a *[FormatError]. It
// stops with ctx's error when ctx ends.
func Load(ctx context.Context, path string) (*Model, error) { return loader.Load(ctx, path) }

// LoadReader reads a model like [Load] does, to the end of r: from an upload, or
// an embedded file. name stands for a file's name in errors. The zero
// [LoadOptions] are right for most uses; a service that takes models from others
// sets MaxBytes. The context is looked at before each Read of r: one that blocks is
// for whoever made r to end.
func LoadReader(ctx context.Context, name string, r io.Reader, o LoadOptions) (*Model, error) {
	return loader.LoadReader(ctx, name, r, o)
}

// NewPlans returns the plans of a model, each of which is compiled when inputs
// of its shapes first come.
func NewPlans(m *Model, c Config) *Plans { return runtime.NewPlans(m, c) }

// Compile turns a model into a plan for concrete shapes. A model with nodes
// that have no operator gives an *[UnsupportedError] that lists them all.
func Compile(ctx context.Context, m *Model, c Config) (*Plan, error) {
	return runtime.Compile(ctx, m, c)
}
