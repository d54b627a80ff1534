package main

import (
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/prune"
)

// pruneCmd sets weights of a model to zero.
type pruneCmd struct {
	Model       string       `arg:"" help:"ONNX or .nnz file, or builtin:NAME."`
	Sparsity    float64      `required:"" placeholder:"0.9" help:"Fraction of the weights that are zero afterwards."`
	Method      string       `default:"magnitude" enum:"magnitude" help:"How weights are judged: ${enum}."`
	Scope       string       `default:"global" enum:"global,local" help:"Whether weights compete with those of all layers (global) or of their own (local)."`
	Granularity string       `default:"weight" help:"What goes as a whole: weight, a block of outputs x inputs such as 4x1, or channel, with all that is coupled to it."`
	Norm        string       `default:"l1" enum:"l1,l2" help:"How a block is measured: l1 or l2."`
	Include     []string     `placeholder:"PATTERN" help:"Only layers whose weight, node or operator matches; * stands for anything."`
	Exclude     []string     `placeholder:"PATTERN" help:"Not the layers that match."`
	KeepEnds    bool         `help:"Leave the first convolution and the last layer as they are."`
	Channels    channelFlags `embed:""`
	Out         saveFlags    `embed:""`
	jsonFlag
}

// saveFlags are the flags of commands that write a model.
type saveFlags struct {
	Output             string `short:"o" required:"" placeholder:"OUT.onnx" help:"File to write."`
	SparseInitializers bool   `help:"Write sparse weights as SparseTensor initializers: smaller, but few other programs read them."`
}

// save writes the model.
func (f saveFlags) save(e *env, m *graph.Model) error {
	if err := e.ctx.Err(); err != nil {
		return err
	}
	return loader.Save(f.Output, m, loader.SaveOptions{Sparse: f.SparseInitializers})
}

// options turns the flags into options, for any model.
func (c *pruneCmd) options() (prune.Options, error) {
	o := prune.Options{Sparsity: c.Sparsity, Include: c.Include, Exclude: c.Exclude}
	if !(c.Sparsity >= 0 && c.Sparsity <= 1) {
		if c.Sparsity > 1 && c.Sparsity <= 100 {
			return o, usagef("--sparsity %g: expected a fraction: %g, not %g", c.Sparsity, c.Sparsity/100, c.Sparsity)
		}
		return o, usagef("--sparsity %g: expected a fraction between 0 and 1, such as 0.9", c.Sparsity)
	}
	var err error
	if o.Scope, err = prune.ParseScope(c.Scope); err != nil {
		return o, usageError{err}
	}
	if o.Granularity, err = prune.ParseGranularity(c.Granularity); err != nil {
		return o, usageError{err}
	}
	if o.Norm, err = prune.ParseNorm(c.Norm); err != nil {
		return o, usageError{err}
	}
	return o, nil
}

func (c *pruneCmd) Run(e *env) error {
	if c.Granularity == channelGranularity {
		return c.pruneChannels(e)
	}
	o, err := c.options()
	if err != nil {
		return err
	}
	m, err := openModel(c.Model)
	if err != nil {
		return err
	}
	defer m.Close()
	if c.KeepEnds {
		o.Exclude = append(o.Exclude, prune.Ends(m.Model)...)
	}
	pruned, report, err := prune.Magnitude(m.Model, o)
	if err != nil {
		return usageError{err} // patterns that match nothing, a model without weights
	}
	if err := c.Out.save(e, pruned); err != nil {
		return err
	}
	if err := c.write(e, report); err != nil || c.stdout() {
		return err
	}
	t := newTable("layer<", "op<", "shape", "parameters", "zeros before", "zeros", "sparsity", "largest removed")
	for _, l := range report.Layers {
		t.AppendRow(row(l.Weight, l.Kind, shape(l.Shape), count(l.Weights), count(l.ZerosBefore), count(l.ZerosAfter),
			percent(ratio(l.ZerosAfter, l.Weights)), number(float64(l.Threshold))))
	}
	t.AppendFooter(row("total", "", "", count(report.Weights), count(report.ZerosBefore), count(report.ZerosAfter), percent(report.Sparsity), ""))
	return e.print(t)
}
