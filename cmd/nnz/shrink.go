package main

import (
	"fmt"
	"strings"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/prune"
)

// channelGranularity is the granularity of whole channels, which leave the
// model.
const channelGranularity = "channel"

// shrinkFlags say how channels leave a model.
type shrinkFlags struct {
	RoundTo     int  `placeholder:"8" help:"Keep so many channels more that what is left of each layer is a multiple."`
	Approximate bool `help:"Take out channels that hold a constant where that is right but for the border of a padded convolution, too."`
	Explain     bool `help:"List the layers whose channels stay, too, and why they do."`
}

// channelFlags are the flags of prune that belong to channels.
type channelFlags struct {
	KeepShape bool `help:"Only set channels to zero, so that all shapes stay."`
	shrinkFlags
}

// options returns how channels leave a model of shapes that are said for what it
// leaves open.
func (f shrinkFlags) options(dims map[string]int, shapes []string) (prune.ShrinkOptions, error) {
	o := prune.ShrinkOptions{RoundTo: f.RoundTo, Approximate: f.Approximate, Shapes: prune.Shapes{Dims: dims}}
	var err error
	o.Shapes.Inputs, err = parseShapes(shapes)
	return o, err
}

// channelFloor is the fraction of its channels that a layer keeps where --floor
// says nothing.
const channelFloor = 0.1

// pruneChannels is prune with --granularity channel: it sets channels to zero
// and takes them out.
func (c *pruneCmd) pruneChannels(e *env) error {
	if c.Sparsity == nil || len(c.amounts()) > 1 || c.OfLeft || c.Schedule != "one-shot" || c.Steps != 1 || c.SaveMasks != "" || c.Recover != "none" || c.ActivationSparsity != nil {
		return usagef("--granularity channel: expected --sparsity, and none of --count, --of-left, --threshold, --layer, --masks, --save-masks, --budget, --max-drop, --schedule, --steps, --recover and --activation-sparsity")
	}
	f := c.Channels
	weights := *c
	weights.Granularity, weights.Floor = prune.Weight{}.String(), nil // the other options are the same
	o, err := weights.options()
	if err != nil {
		return err
	}
	s, err := f.options(c.Dim, c.Shape)
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
	if c.KeepEnds {
		o.Exclude = append(o.Exclude, prune.Ends(m.Model)...)
	}
	var data prune.Calibration
	if c.looksAtData() {
		if data, err = c.calibration(e, m.Model); err != nil {
			return err
		}
	}
	closeFiles, err := c.criterion(e, m.Model, data, &o)
	if err != nil {
		return err
	}
	defer closeFiles()
	floor := channelFloor
	if c.Floor != nil {
		floor = *c.Floor
	}
	if o.Criterion == prune.Criterion(prune.Magnitude{}) {
		o.Criterion = nil // scales of normalisations count, too
	}
	pruned, report, err := prune.MaskChannels(e.ctx, m.Model, prune.ChannelOptions{
		Shapes: s.Shapes, Sparsity: o.Sparsity, Scope: o.Scope, Norm: o.Norm, Floor: floor, RoundTo: f.RoundTo,
		Criterion: o.Criterion, Include: o.Include, Exclude: o.Exclude,
	})
	if err != nil {
		// Patterns that match nothing, a model whose channels all stay.
		return usageError{fmt.Errorf("%s: %w", c.Model, err)}
	}
	if !f.KeepShape {
		if pruned, report, err = prune.Shrink(pruned, s); err != nil {
			return fmt.Errorf("%s: %w", c.Model, err)
		}
	}
	return f.finish(e, c.Out, c.jsonFlag, pruned, report)
}

// shrinkCmd takes channels out of a model that was pruned before.
type shrinkCmd struct {
	Model string         `arg:"" help:"ONNX or .nnz file, or builtin:NAME."`
	Dim   map[string]int `placeholder:"NAME=N" help:"Size of a symbolic extent, such as batch=8, where no size that is tried fits."`
	Shape []string       `sep:"none" placeholder:"INPUT=1x3x224x224" help:"Shape of an input that the model leaves open, where none that is tried fits."`
	shrinkFlags
	Out saveFlags `embed:""`
	jsonFlag
}

func (c *shrinkCmd) Run(e *env) error {
	o, err := c.options(c.Dim, c.Shape)
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
	small, report, err := prune.Shrink(m.Model, o)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Model, err)
	}
	return c.finish(e, c.Out, c.jsonFlag, small, report)
}

// finish writes the model and prints the report.
func (f shrinkFlags) finish(e *env, out saveFlags, j jsonFlag, m *graph.Model, r prune.ShrinkReport) error {
	if err := out.save(e, m); err != nil {
		return err
	}
	if err := j.write(e, r); err != nil || j.stdout() {
		return err
	}
	t := newTable("layer<", "outputs", "left", "note<")
	stay, before, after := 0, 0, 0
	for _, g := range r.Groups {
		if g.Reason != "" {
			if stay++; !f.Explain {
				continue
			}
		}
		before, after = before+g.Before*g.Width, after+g.After*g.Width
		t.AppendRow(row(g.Name, count(g.Before*g.Width), count(g.After*g.Width), note(g)))
	}
	t.AppendFooter(row("total", count(before), count(after), fmt.Sprintf("%s of %s parameters", count(r.ParametersAfter), count(r.ParametersBefore))))
	if err := e.print(t); err != nil {
		return err
	}
	if stay > 0 && !f.Explain {
		fmt.Fprintf(e.err, "The channels of %d more layers stay; --explain says why.\n", stay)
	}
	return nil
}

// note says what is special about a group.
func note(g prune.GroupReport) string {
	var notes []string
	if len(g.Nodes) > 1 {
		notes = append(notes, fmt.Sprintf("%d layers", len(g.Nodes)))
	}
	if g.Width > 1 {
		notes = append(notes, fmt.Sprintf("%d at a time", g.Width))
	}
	if g.Constant > 0 {
		notes = append(notes, fmt.Sprintf("%d constant ones stay: %s", g.Constant, g.Stays))
	}
	if g.Reason != "" {
		notes = append(notes, g.Reason)
	}
	return strings.Join(notes, ", ")
}
