package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/nnz-dev/nnz/bench/builtin"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime"
)

// builtinPrefix begins the name of a network that needs no file.
const builtinPrefix = "builtin:"

// A model is what MODEL names.
type model struct {
	*graph.Model
	name  string
	bytes int64 // of the file, 0 where there is none
	file  *loader.File
}

// openModel opens what MODEL names.
func openModel(ctx context.Context, name string) (*model, error) {
	if network, ok := strings.CutPrefix(name, builtinPrefix); ok {
		m, err := builtin.Load(network)
		if err != nil {
			return nil, usageError{err}
		}
		return &model{Model: m, name: name}, nil
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && isBuiltin(name):
		return nil, usagef("%s: no such file; the network is %s%s", name, builtinPrefix, name)
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s: a folder, expected an ONNX or .nnz file", name)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	f, err := loader.Open(ctx, name, loader.Options{})
	if err != nil {
		return nil, err
	}
	return &model{Model: f.Model, name: name, bytes: info.Size(), file: f}, nil
}

// isBuiltin reports whether a builtin network has a name.
func isBuiltin(name string) bool {
	network, _, _ := strings.Cut(name, "@")
	return slices.Contains(builtin.Names(), network)
}

// named adds the name of the model to an error that only names a node.
func (m *model) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", m.name, err)
}

// apart refuses to write over the file that the model is read from.
func (m *model) apart(output string) error {
	from, err := os.Stat(m.name)
	if err != nil || m.file == nil {
		return nil
	}
	if to, err := os.Stat(output); err == nil && os.SameFile(from, to) {
		return usagef("%s: that is the model itself, expected another file to write to", output)
	}
	return nil
}

// Close unmaps the file: nothing of the model may be used after it.
func (m *model) Close() error {
	if m.file == nil {
		return nil
	}
	return m.file.Close()
}

// compileFlags are the flags of commands that compile a model.
type compileFlags struct {
	Threads int            `placeholder:"N" help:"Goroutines that work on one inference. Default: physical cores, or what GOMAXPROCS or a quota allows."`
	ISA     string         `name:"isa" placeholder:"NAME" help:"Instruction set: generic, avx2, avx512 or neon. Default: NNZ_ISA, else the best of this CPU."`
	Dim     map[string]int `placeholder:"NAME=N" help:"Size of a symbolic extent, such as batch=8."`
	Passes  string         `default:"all" placeholder:"LIST" help:"Rewritings of the model that run: all, none, names with commas between, or names to leave out with a minus before each, such as -gelu,-qkv. Inspect lists what each one does. Default: all."`
	Shape   []string       `sep:"none" placeholder:"INPUT=1x3x224x224" help:"Shape of an input that the model leaves open."`
}

// open opens what MODEL names, which must have the inputs and extents that the
// flags name.
func (f compileFlags) open(ctx context.Context, name string) (*model, error) {
	m, err := openModel(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := f.fit(m.Inputs); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// fit checks the flags against the inputs of a model.
func (f compileFlags) fit(inputs []*graph.Value) error {
	symbols := make(map[string]bool)
	for _, v := range inputs {
		for _, d := range v.Shape {
			symbols[d.Symbol] = true
		}
	}
	for name := range f.Dim {
		if name == "" || !symbols[name] {
			return usagef("--dim %s: no such extent, the model's inputs are %s", name, describeInputs(inputs))
		}
	}
	for _, flag := range f.Shape {
		name, list, _ := strings.Cut(flag, "=")
		i := slices.IndexFunc(inputs, func(v *graph.Value) bool { return v.Name == name })
		if i < 0 {
			return usagef("--shape %s: no such input, the model's inputs are %s", flag, describeInputs(inputs))
		}
		// Exporters also write an empty shape for one that they do not know.
		if extents, err := parseShape(list); err != nil || len(inputs[i].Shape) > 0 && len(extents) != len(inputs[i].Shape) {
			return usagef("--shape %s: expected %s of input %s", flag, plural(len(inputs[i].Shape), "extent"), describeInput(inputs[i]))
		}
	}
	return nil
}

// configIn is config in a mode.
func (f compileFlags) configIn(mode string) (runtime.Config, error) {
	c, err := f.config()
	if err != nil {
		return c, err
	}
	if c.Mode, err = runtime.ParseMode(mode); err != nil {
		return c, usageError{err}
	}
	return c, nil
}

// config turns the flags into a Config.
func (f compileFlags) config() (runtime.Config, error) {
	c := runtime.Config{Threads: f.Threads, Dims: f.Dim}
	if f.Threads < 0 {
		return c, usagef("--threads %d: expected a positive number", f.Threads)
	}
	var err error
	if f.ISA == "" {
		c.ISA, err = isa.FromEnv()
	} else if c.ISA, err = isa.Parse(f.ISA); err == nil {
		err = c.ISA.Check()
	}
	if err != nil {
		return c, usageError{err}
	}
	for name, n := range f.Dim {
		if n < 1 {
			return c, usagef("--dim %s=%d: expected a positive number", name, n)
		}
	}
	if c.SkipPasses, err = runtime.ParsePasses(f.Passes); err != nil {
		return c, usageError{err}
	}
	c.Shapes, err = parseShapes(f.Shape)
	return c, err
}

// parseShapes reads the values of --shape.
func parseShapes(list []string) (map[string][]int, error) {
	shapes := make(map[string][]int)
	for _, s := range list {
		name, extents, _ := strings.Cut(s, "=")
		var err error
		if shapes[name], err = parseShape(extents); err != nil {
			return nil, usagef("--shape %s: expected NAME=1x3x224x224", s)
		}
	}
	return shapes, nil
}

// bind gives a size of 1 to every extent of the inputs that neither the model
// nor the flags give, so that a model can be looked at without any flag. It
// returns the symbols and inputs that it did that for.
func bind(c *runtime.Config, m *graph.Model) []string {
	var bound []string
	for _, in := range m.Inputs {
		if _, ok := c.Shapes[in.Name]; ok || in.Shape == nil {
			continue
		}
		extents, open := make([]int, len(in.Shape)), false
		for i, d := range in.Shape {
			n, given := c.Dims[d.Symbol]
			switch {
			case d.Known():
				extents[i] = d.Size
			case d.Symbol != "" && given:
				extents[i] = n
			default:
				extents[i], open = 1, true
			}
		}
		if open {
			c.Shapes[in.Name] = extents
			bound = append(bound, in.Name+" "+shape(extents))
		}
	}
	return bound
}

// parseShape reads 1x3x224x224, or the same with commas.
func parseShape(s string) ([]int, error) {
	var extents []int
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return r == 'x' || r == ',' }) {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, strconv.ErrSyntax
		}
		extents = append(extents, n)
	}
	if extents == nil {
		return nil, strconv.ErrSyntax
	}
	return extents, nil
}

// describeInput writes an input as its name, type and shape.
func describeInput(v *graph.Value) string {
	parts := make([]string, len(v.Shape))
	for i, d := range v.Shape {
		switch {
		case d.Known():
			parts[i] = strconv.Itoa(d.Size)
		case d.Symbol != "":
			parts[i] = d.Symbol
		default:
			parts[i] = "?"
		}
	}
	extents := strings.Join(parts, "x")
	switch {
	case v.Shape == nil:
		extents = "of unknown rank"
	case len(v.Shape) == 0:
		extents = "scalar"
	}
	return v.Name + " " + v.DType.String() + " " + extents
}

// describeInputs describes all of them.
func describeInputs(values []*graph.Value) string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = describeInput(v)
	}
	return strings.Join(all, ", ")
}

// threads is how many goroutines work on an inference: what runtime.Config
// takes for the same flag.
func (f compileFlags) threads() int {
	if f.Threads > 0 {
		return f.Threads
	}
	return runtime.DefaultThreads()
}
