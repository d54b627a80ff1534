package main

import (
	"fmt"
	"strings"

	"github.com/nnz-dev/nnz/bench/sweep"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/prune"
)

// pruneCmd sets weights of a model to zero.
type pruneCmd struct {
	Model    string   `arg:"" help:"ONNX or .nnz file, or builtin:NAME."`
	Sparsity *float64 `group:"How much" placeholder:"0.9" help:"Fraction of the weights, or units, that are zero afterwards."`
	Count    int      `group:"How much" placeholder:"N" help:"Number of weights, or units, instead of a fraction."`
	OfLeft   bool     `group:"How much" help:"Count the sparsity, or number, among what is not zero yet."`

	Method    string `group:"What goes first" default:"magnitude" enum:"${methods}" placeholder:"NAME" help:"${method_help}"`
	Threshold string `group:"What goes first" placeholder:"T" help:"Take the weights, or scores, below a number, or below a multiple of the standard deviation of each layer such as 1.5std."`
	Scores    string `group:"What goes first" placeholder:"FILE" help:"Of the method scores: .npz, .npy or .safetensors with an array for each weight, of its name."`
	Gradients string `group:"What goes first" placeholder:"FILE" help:"Of the method taylor: the same with gradients of the loss."`
	Statistic string `group:"What goes first" default:"mean" enum:"mean,rms,variance" help:"Of the method activation: what is taken of an output: the mean of its absolute values, or ${enum}."`
	Seed      uint64 `group:"What goes first" default:"1" help:"Of methods that use chance."`

	Granularity string `group:"What goes as a whole" default:"weight" placeholder:"G" help:"weight; RxC, a block of outputs x inputs such as 4x1; N:M, which keeps N of each M inputs; row or filter, an output; column, an input; head or head:SIZE, the outputs of an attention head; dim:AXIS, slices of the tensor; channel, an output with all that is coupled to it, which then leaves the model."`
	Norm        string `group:"What goes as a whole" default:"l1" enum:"l0,l1,l2,inf,-inf" help:"How such a unit is measured: ${enum}."`

	Scope string             `group:"Where" placeholder:"S" help:"Which weights compete: global, those of all layers; global-normalized, the same with scores over the mean of their layer; lamp, over the sum of what is larger in it; local, each layer loses the same fraction; erk, large layers lose more; owl, layers with outliers lose less. Default: global."`
	Floor *float64           `group:"Where" placeholder:"F" help:"Fraction of each layer that stays where layers compete. Default: 0.001, at least one."`
	Layer map[string]float64 `group:"Where" placeholder:"WEIGHT=0.9" help:"Sparsity of one layer, by name of its weight; others stay as they are."`

	Schedule string `group:"In steps" default:"one-shot" enum:"one-shot,linear,cubic,geometric" help:"How sparsity rises over the steps: ${enum}."`
	Steps    int    `group:"In steps" default:"1" help:"Steps; scores are made again before each."`

	Include  []string `group:"Which layers" placeholder:"PATTERN" help:"Only layers whose weight, node or operator matches; * stands for anything."`
	Exclude  []string `group:"Which layers" placeholder:"PATTERN" help:"Not the layers that match."`
	KeepEnds bool     `group:"Which layers" help:"Leave the first convolution and the last layer as they are."`

	Masks     string `group:"Masks" placeholder:"FILE" help:"Set to zero what masks say, instead of choosing: .npz, .npy or .safetensors with 0 and 1 for each weight, named as it is or with _mask after it as PyTorch has it; or a model, whose zeros they are."`
	SaveMasks string `group:"Masks" placeholder:"FILE" help:"Write which weights are not zero to a .npz file, or with the weights before as PyTorch has it, NAME_mask and NAME_orig, to a .safetensors file."`

	Channels channelFlags `embed:"" group:"Channels that leave"`

	calibrateFlags  `embed:"" group:"Data"`
	activationFlags `embed:"" group:"Data"`

	Out saveFlags `embed:""`
	budgetFlags
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

// defaultFloor keeps a layer from being emptied, without deciding anything else.
const defaultFloor = 0.001

// options turns the flags into options, for any model. Files and what else
// depends on the model come after it.
func (c *pruneCmd) options() (prune.Options, error) {
	o := prune.Options{Count: c.Count, OfLeft: c.OfLeft, Include: c.Include, Exclude: c.Exclude}
	var err error
	if o.Granularity, err = prune.ParseGranularity(c.Granularity); err != nil {
		return o, usageError{err}
	}
	if err := c.checkAmount(); err != nil {
		return o, err
	}
	if c.Sparsity != nil {
		o.Sparsity = *c.Sparsity
	}
	if o.Norm, err = prune.ParseNorm(c.Norm); err != nil {
		return o, usageError{err}
	}
	if o.Schedule, err = prune.ParseSchedule(c.Schedule, c.Steps); err != nil {
		return o, usageError{err}
	}
	if o.Scope, err = c.scope(); err != nil {
		return o, err
	}
	return o, nil
}

// amounts are the flags that say how much goes, of which one is given.
func (c *pruneCmd) amounts() []string {
	var given []string
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"--sparsity", c.Sparsity != nil},
		{"--count", c.Count != 0},
		{"--threshold", c.Threshold != ""},
		{"--granularity " + c.Granularity, c.pattern()},
		{"--layer", c.Layer != nil},
		{"--masks", c.Masks != ""},
		{"--budget", c.Budget != 0},
		{"--max-drop", c.MaxDrop != ""},
	} {
		if f.given {
			given = append(given, f.name)
		}
	}
	return given
}

// pattern reports whether the granularity is N:M.
func (c *pruneCmd) pattern() bool {
	_, err := prune.ParsePattern(c.Granularity)
	return err == nil
}

func (c *pruneCmd) checkAmount() error {
	switch given := c.amounts(); {
	case c.Method == "threshold" && c.Threshold == "" && len(given) == 0:
		return usagef("--method threshold: expected --threshold with a number, or a multiple such as 1.5std")
	case len(given) == 0 && c.ActivationSparsity != nil: // weights stay
	case len(given) == 0:
		return usagef("expected how much goes: --sparsity 0.9, or one of --count, --threshold, --layer, --granularity 2:4, --masks, --budget and --max-drop")
	case len(given) > 1:
		return usagef("%s: expected one of them, as each says how much goes", strings.Join(given, " and "))
	case c.Count < 0:
		return usagef("--count %d: expected a positive number", c.Count)
	case c.OfLeft && c.Sparsity == nil && c.Count == 0:
		return usagef("--of-left with %s: expected --sparsity or --count", given[0])
	}
	if c.Sparsity == nil {
		return nil
	}
	s := *c.Sparsity
	if s > 1 && s <= 100 {
		return usagef("--sparsity %g: expected a fraction: %g, not %g", s, s/100, s)
	}
	if !(s >= 0 && s <= 1) {
		return usagef("--sparsity %g: expected a fraction between 0 and 1, such as 0.9", s)
	}
	return nil
}

// scope returns which layers compete, nil where something else says what each
// loses.
func (c *pruneCmd) scope() (prune.Scope, error) {
	var fixed string
	switch {
	case c.Layer != nil:
		fixed = "--layer"
	case c.Threshold != "":
		fixed = "--threshold"
	case c.Masks != "":
		fixed = "--masks"
	case c.Budget != 0:
		fixed = "--budget"
	case c.MaxDrop != "":
		fixed = "--max-drop"
	case c.pattern():
		fixed = "--granularity " + c.Granularity
	}
	if fixed != "" && (c.Scope != "" || c.Floor != nil) {
		return nil, usagef("--scope or --floor with %s: expected neither, as it says what each layer loses", fixed)
	}
	switch {
	case c.Layer != nil:
		return prune.Layerwise(c.Layer), nil
	case c.Threshold != "":
		t, err := prune.ParseThreshold(c.Threshold)
		if err != nil {
			return nil, usageError{err}
		}
		return t, nil
	case fixed != "":
		return nil, nil
	}
	name := c.Scope
	switch {
	case c.Method == "lamp" && (name == "" || name == "global"):
		name = "lamp"
	case name == "":
		name = "global"
	}
	floor := 0.0
	if c.Floor != nil {
		floor = *c.Floor
	} else if name == "global" || name == "global-normalized" || name == "lamp" {
		floor = defaultFloor
	}
	scope, err := prune.ParseScope(name, floor)
	if err != nil {
		return nil, usageError{err}
	}
	return scope, nil
}

// A pruneReport is what became of a model.
type pruneReport struct {
	prune.Report
	Activations *prune.ActivationReport `json:"activations,omitempty"`
	Choice      *sweep.Choice           `json:"choice,omitempty"` // where a budget decided
}

func (c *pruneCmd) Run(e *env) error {
	if err := c.checkMethod(); err != nil {
		return err
	}
	if c.Granularity == channelGranularity {
		return c.pruneChannels(e)
	}
	o, err := c.options()
	if err != nil {
		return err
	}
	m, err := openModel(e.ctx, c.Model)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := m.apart(c.Out.Output); err != nil {
		return err
	}
	if err := m.apart(c.SaveMasks); err != nil {
		return err
	}
	if c.KeepEnds {
		o.Exclude = append(o.Exclude, prune.Ends(m.Model)...)
	}
	var data prune.Calibration
	if c.looksAtData() {
		if data, err = c.calibration(e, m.Model); err != nil {
			return err
		}
	}
	pruned, report := m.Model, prune.Report{}
	var plan *planned // where a budget decides
	if len(c.amounts()) > 0 {
		closeFiles, err := c.criterion(e, m.Model, data, &o)
		if err != nil {
			return err
		}
		defer closeFiles()
		if c.asked() {
			if plan, err = c.choose(e, c.Model, m.Model, o, c.dataFlags); err != nil {
				return err
			}
			o.Exclude, o.Scope, o.Sparsity = plan.options.Prune.Exclude, plan.Sparsity, 0
		}
		if pruned, report, err = prune.Apply(e.ctx, m.Model, o); err != nil {
			return usageError{err} // patterns that match nothing, a model without weights
		}
		if pruned, err = c.recover(e, c.Method, m.Model, pruned, data, o); err != nil {
			return err
		}
	}
	pruned, activations, err := c.sparsify(e, pruned, data, o)
	if err != nil {
		return err
	}
	if err := c.Out.save(e, pruned); err != nil {
		return err
	}
	if c.SaveMasks != "" {
		if err := saveMasks(c.SaveMasks, m.Model, pruned); err != nil {
			return err
		}
	}
	if plan != nil {
		if err := plan.measure(e, m.Model, pruned); err != nil {
			return err
		}
		if err := c.HTML.write(plan.Page()); err != nil {
			return err
		}
	}
	if err := c.write(e, pruneReport{report, activations, plan.choice()}); err != nil || c.stdout() {
		return err
	}
	if activations != nil {
		if err := printActivations(e, activations); err != nil || report.Layers == nil {
			return err
		}
		fmt.Fprintln(e.out)
	}
	fmt.Fprintf(e.out, "by %s, granularity %s, scope %s, %s\n", report.Criterion, report.Granularity, report.Scope, report.Schedule)
	t := newTable("layer<", "op<", "shape", "parameters", "zeros before", "zeros", "sparsity", "largest removed", "error")
	for _, l := range report.Layers {
		t.AppendRow(row(l.Weight, l.Kind, shape(l.Shape), count(l.Weights), count(l.ZerosBefore), count(l.ZerosAfter),
			percent(ratio(l.ZerosAfter, l.Weights)), number(float64(l.Threshold)), percent(l.Error)))
	}
	t.AppendFooter(row("total", "", "", count(report.Weights), count(report.ZerosBefore), count(report.ZerosAfter), percent(report.Sparsity), "", ""))
	if err := e.print(t); err != nil || plan == nil {
		return err
	}
	return plan.print(e)
}
