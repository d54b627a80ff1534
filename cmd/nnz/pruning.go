package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/bench/mnist"
	"github.com/nnz-dev/nnz/bench/verify"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/prune"
	"github.com/nnz-dev/nnz/runtime"
)

// pruningCmd compares methods of pruning by what they keep of a model.
type pruningCmd struct {
	Model    []string  `arg:"" help:"ONNX or .nnz files, or builtin:lenet5."`
	MNIST    string    `name:"mnist" placeholder:"DIR" help:"Folder of the MNIST files: models are judged by their accuracy over its test images and calibrated on training images. Without it they are judged by the relative error of their outputs for the inputs in test_data_set_0, test_data_set_1, … beside the file, and calibrated on random crops of those."`
	Samples  int       `default:"0" placeholder:"N" help:"Inputs to calibrate on. Default: 1024 digits, 32 crops."`
	Columns  int       `placeholder:"N" help:"Pixels, or tokens, of each run that are looked at of each layer. Default: 512."`
	Sparsity []float64 `default:"0.5,0.7,0.8,0.9,0.95" help:"Fractions of zeros."`
	Units    []string  `default:"weight,2:4,4x1,channel" help:"What goes as a whole: weight, blocks of outputs x inputs such as 4x1, patterns such as 2:4, whose sparsity is their own, and channel, of which 25 and 50 %% leave the model."`
	Method   []string  `placeholder:"NAME" help:"Methods: magnitude, magnitude+bias, wanda, magnitude+refit, sparsegpt and sparsegpt+refit; obs, too, with +bias, +refit or +sparsegpt after any of them. Default: those named first."`
	Scope    string    `default:"local" enum:"global,local" help:"Whether every layer loses the same fraction (local), or weights compete (global)."`
	Include  []string  `placeholder:"PATTERN" help:"Only layers whose weight, node or operator matches; * stands for anything."`
	Exclude  []string  `placeholder:"PATTERN" help:"Not the layers that match."`
	KeepEnds bool      `help:"Leave the first convolution and the last layer as they are."`
	jsonFlag
}

func (c *pruningCmd) Run(e *env) error {
	methods := c.Method
	if methods == nil {
		methods = bench.PruningMethods
	}
	for _, s := range c.Sparsity {
		if !(s >= 0 && s <= 1) {
			return usagef("--sparsity %g: expected a fraction between 0 and 1, such as 0.9", s)
		}
	}
	if c.Samples < 0 || c.Columns < 0 {
		return usagef("--samples %d, --columns %d: expected positive numbers", c.Samples, c.Columns)
	}
	for _, m := range methods {
		if err := bench.CheckPruningMethod(m); err != nil {
			return usageError{err}
		}
	}
	var reports []*bench.PruningReport
	for _, name := range c.Model {
		r, err := c.compare(e, name, methods)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		reports = append(reports, r)
		if !c.stdout() {
			if err := printPruning(e, r, methods); err != nil {
				return err
			}
		}
	}
	return c.write(e, reports)
}

// compare prunes one model in all ways.
func (c *pruningCmd) compare(e *env, name string, methods []string) (*bench.PruningReport, error) {
	m, err := openModel(e.ctx, name)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	t, err := c.task(name, m.Model)
	if err != nil {
		return nil, err
	}
	if t.Options.Scope, err = prune.ParseScope(c.Scope, 0); err != nil {
		return nil, usageError{err}
	}
	t.Options.Include, t.Options.Exclude = c.Include, slices.Clone(c.Exclude)
	if c.KeepEnds {
		t.Options.Exclude = append(t.Options.Exclude, prune.Ends(m.Model)...)
	}
	t.Calibration.Columns = c.Columns
	p := newProgress(e, t.Name+" ")
	defer p.end()
	total := 0
	for _, u := range c.Units {
		if strings.Contains(u, ":") {
			total += len(methods)
		} else {
			total += len(methods) * len(c.Sparsity)
		}
	}
	done := 0
	return bench.Pruning(e.ctx, t, c.Units, c.Sparsity, methods, func(bench.PruningCell) {
		done++
		p.update(float64(done) / float64(total))
	})
}

// task finds data for a model.
func (c *pruningCmd) task(name string, m *graph.Model) (bench.PruningTask, error) {
	title := filepath.Base(name)
	if title == "model.onnx" {
		title = filepath.Base(filepath.Dir(name))
	}
	samples := c.Samples
	if c.MNIST != "" {
		if err := fitsDigits(m); err != nil {
			return bench.PruningTask{}, err
		}
		train, test, err := mnist.Read(c.MNIST)
		if err != nil {
			return bench.PruningTask{}, err
		}
		if samples == 0 {
			samples = 1024
		}
		return bench.DigitsTask(title, m, train, test, samples, runtime.Config{}), nil
	}
	dir := filepath.Dir(name)
	if !isFolder(filepath.Join(dir, "test_data_set_0")) {
		return bench.PruningTask{}, usagef("no test_data_set_0 beside the file, and no --mnist: expected one of them to judge it by")
	}
	inputs, err := verify.ReadInputs(dir, m)
	if err != nil {
		return bench.PruningTask{}, err
	}
	if samples == 0 {
		samples = 32
	}
	return bench.InputsTask(title, m, inputs, samples, runtime.Config{}), nil
}

// fitsDigits reports a model that does not take images of MNIST.
func fitsDigits(m *graph.Model) error {
	if len(m.Inputs) == 1 {
		s := m.Inputs[0].Shape
		if len(s) == 4 && m.Inputs[0].DType == graph.Float32 && (!s[0].Known() || s[0].Size > 0) &&
			s[1] == (graph.Dim{Size: 1}) && s[2] == (graph.Dim{Size: mnist.Size}) && s[3] == (graph.Dim{Size: mnist.Size}) {
			return nil
		}
	}
	return usagef("--mnist: expected a model of one float32 input of Nx1x28x28")
}

// printPruning prints a report: a row for each sparsity, a column for each
// method.
func printPruning(e *env, r *bench.PruningReport, methods []string) error {
	fmt.Fprintf(e.out, "%s: %s, dense %s\n", r.Model, r.Metric, percent(r.Dense))
	t := newTable(append([]string{"units<", "sparsity"}, methods...)...)
	for some := range slices.Chunk(r.Cells, len(methods)) {
		cells := []string{some[0].Units, strconv.FormatFloat(some[0].Sparsity, 'g', 3, 64)}
		for _, c := range some {
			cells = append(cells, fmt.Sprintf("%.2f %%", 100*c.Value))
		}
		t.AppendRow(row(cells...))
	}
	if err := e.print(t); err != nil {
		return err
	}
	_, err := fmt.Fprintln(e.out)
	return err
}
