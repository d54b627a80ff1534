package main

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nnz-dev/nnz/bench/verify"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime"
)

// runCmd runs a model once.
type runCmd struct {
	Model  string   `arg:"" help:"ONNX or .nnz file, or builtin:NAME."`
	Input  []string `short:"i" sep:"none" placeholder:"NAME=FILE" help:"File of an input: .npy, .npz, .pb (TensorProto), .png, .jpg, or raw float32 under any other name. NAME= may be left out where there is one input."`
	Output []string `short:"o" sep:"none" placeholder:"NAME=FILE" help:"File to write an output to: .npy, .pb, or raw float32. NAME= may be left out where there is one output."`
	Top    int      `placeholder:"N" help:"Show the N most probable classes of the first output."`
	Mode   string   `default:"auto" enum:"auto,dense,sparse" help:"Which layers run on sparse kernels: the ones that are faster so (auto), none (dense) or all (sparse)."`
	imageFlags
	compileFlags
	jsonFlag
}

// A runReport is what `nnz run --json` writes.
type runReport struct {
	Outputs []outputReport `json:"outputs"`
	Top     [][]class      `json:"top,omitempty"` // the most probable classes of each example
}

// An outputReport summarizes an output. NaN and infinities are counted and
// take no part in the rest.
type outputReport struct {
	Name      string  `json:"name"`
	DType     string  `json:"type"`
	Shape     []int   `json:"shape"`
	Min       float64 `json:"min"`
	Max       float64 `json:"max"`
	Mean      float64 `json:"mean"`
	NotFinite int     `json:"not_finite"`
	File      string  `json:"file,omitempty"` // that it was written to
}

// A class is an index of an output and its probability.
type class struct {
	Index       int     `json:"class"`
	Probability float64 `json:"probability"`
}

func (c *runCmd) Run(e *env) error {
	config, err := c.configIn(c.Mode)
	if err != nil {
		return err
	}
	if c.Top < 0 {
		return usagef("--top %d: expected a positive number", c.Top)
	}
	m, err := c.open(e.ctx, c.Model)
	if err != nil {
		return err
	}
	defer m.Close()
	outputs, err := assign("output", c.Output, m.Outputs)
	if err != nil {
		return err
	}
	for _, file := range outputs {
		if err := m.apart(file); err != nil {
			return err
		}
	}
	inputs, err := c.inputs(m.Model)
	if err != nil {
		return err
	}
	for name, t := range inputs {
		config.Shapes[name] = t.Shape
	}
	plan, err := runtime.Compile(e.ctx, m.Model, config)
	if err != nil {
		return m.named(err)
	}
	s := plan.NewSession()
	defer s.Close()
	for name, t := range inputs {
		in, err := s.Input(name)
		if err != nil {
			return err
		}
		if err := verify.Fill(in, t); err != nil {
			return usagef("input %q: %w", name, err)
		}
	}
	if err := s.Run(e.ctx); err != nil {
		return m.named(err)
	}
	return c.report(e, m.Model, s, outputs)
}

// inputs reads the file of every input.
func (c *runCmd) inputs(m *graph.Model) (map[string]*graph.Tensor, error) {
	files, err := assign("input", c.Input, m.Inputs)
	if err != nil {
		return nil, err
	}
	tensors := make(map[string]*graph.Tensor)
	var missing []string
	for _, v := range m.Inputs {
		file, ok := files[v.Name]
		if !ok {
			missing = append(missing, describeInput(v))
			continue
		}
		t, err := c.read(file, v)
		if err != nil {
			return nil, err
		}
		if err := fits(t, v); err != nil {
			return nil, usagef("%s does not fit input %s: %w", file, describeInput(v), err)
		}
		tensors[v.Name] = t
	}
	if len(missing) > 0 {
		return nil, usagef("no file for %s: give each with -i NAME=FILE", strings.Join(missing, ", "))
	}
	return tensors, nil
}

// assign reads NAME=FILE flags. A file alone belongs to the only value.
func assign(kind string, flags []string, values []*graph.Value) (map[string]string, error) {
	files := make(map[string]string)
	for _, flag := range flags {
		name, file, named := strings.Cut(flag, "=")
		known := func(v *graph.Value) bool { return v.Name == name }
		switch {
		case named && slices.ContainsFunc(values, known):
		case !named && len(values) == 1:
			name, file = values[0].Name, flag
		default:
			return nil, usagef("%s %s: expected NAME=FILE with the name of one of the model's %ss: %s", kind, flag, kind, describeInputs(values))
		}
		if files[name] != "" {
			return nil, usagef("%s %s: a second file for it", kind, flag)
		}
		files[name] = file
	}
	return files, nil
}

// fits checks a tensor against what the model says of an input.
func fits(t *graph.Tensor, v *graph.Value) error {
	if t.DType != v.DType {
		return fmt.Errorf("it holds %s", t.DType)
	}
	ok := v.Shape == nil || len(v.Shape) == len(t.Shape)
	for i, d := range v.Shape {
		ok = ok && (!d.Known() || d.Size == t.Shape[i])
	}
	if !ok {
		return fmt.Errorf("it has shape %s", shape(t.Shape))
	}
	return nil
}

// report writes the outputs and prints what they are like.
func (c *runCmd) report(e *env, m *graph.Model, s *runtime.Session, files map[string]string) error {
	var r runReport
	for i, v := range m.Outputs {
		out, err := s.Output(v.Name)
		if err != nil {
			return err
		}
		o := summarize(v.Name, out)
		if file, ok := files[v.Name]; ok {
			if err := writeTensor(file, v.Name, out); err != nil {
				return err
			}
			o.File = file
		}
		r.Outputs = append(r.Outputs, o)
		if i == 0 && c.Top > 0 {
			if r.Top, err = top(out, c.Top); err != nil {
				return err
			}
		}
	}
	if err := c.write(e, r); err != nil || c.stdout() {
		return err
	}
	if c.Top > 0 {
		return printTop(e, r.Top)
	}
	t := newTable("output<", "type<", "shape", "min", "max", "mean", "not finite", "written to<")
	for _, o := range r.Outputs {
		t.AppendRow(row(o.Name, o.DType, shape(o.Shape), number(o.Min), number(o.Max), number(o.Mean), count(o.NotFinite), o.File))
	}
	return e.print(t)
}

func summarize(name string, t runtime.Tensor) outputReport {
	o := outputReport{Name: name, DType: t.DType.String(), Shape: t.Shape}
	lo, hi, sum, n := math.Inf(1), math.Inf(-1), 0.0, 0
	add := func(v float64) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			o.NotFinite++
			return
		}
		lo, hi, sum, n = min(lo, v), max(hi, v), sum+v, n+1
	}
	for _, v := range t.F {
		add(float64(v))
	}
	for _, v := range t.I {
		add(float64(v))
	}
	if n > 0 {
		o.Min, o.Max, o.Mean = lo, hi, sum/float64(n)
	}
	return o
}

// top finds the n most probable classes of every example of an output, whose
// last extent of more than one element are the classes. Scores that are no
// probabilities are made such by softmax.
func top(t runtime.Tensor, n int) ([][]class, error) {
	classes := 1
	for _, d := range slices.Backward(t.Shape) {
		if classes = d; classes != 1 {
			break
		}
	}
	if len(t.F) == 0 || classes < 1 {
		return nil, usagef("--top: the first output is no list of scores, but %s of shape %s", t.DType, shape(t.Shape))
	}
	var all [][]class
	for scores := range slices.Chunk(t.F, classes) {
		p := probabilities(scores)
		list := make([]class, len(p))
		for i := range p {
			list[i] = class{i, p[i]}
		}
		slices.SortStableFunc(list, func(a, b class) int {
			switch {
			case a.Probability > b.Probability:
				return -1
			case a.Probability < b.Probability:
				return 1
			}
			return 0
		})
		all = append(all, list[:min(n, len(list))])
	}
	return all, nil
}

// probabilities returns scores that are probabilities as they are, and the
// softmax of any others.
func probabilities(scores []float32) []float64 {
	p := make([]float64, len(scores))
	sum, lowest, largest := 0.0, math.Inf(1), math.Inf(-1)
	for i, v := range scores {
		p[i] = float64(v)
		sum, lowest, largest = sum+p[i], min(lowest, p[i]), max(largest, p[i])
	}
	if lowest >= 0 && math.Abs(sum-1) < 1e-3 {
		return p
	}
	sum = 0
	for i, v := range p {
		p[i] = math.Exp(v - largest)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

func printTop(e *env, examples [][]class) error {
	for i, list := range examples {
		if len(examples) > 1 {
			fmt.Fprintf(e.out, "example %d\n", i)
		}
		t := newTable("class", "probability")
		for _, c := range list {
			t.AppendRow(row(fmt.Sprint(c.Index), fmt.Sprintf("%.2f %%", 100*c.Probability)))
		}
		if err := e.print(t); err != nil {
			return err
		}
	}
	return nil
}

// extension returns how a file name ends, in lower case.
func extension(path string) string { return strings.ToLower(filepath.Ext(path)) }
