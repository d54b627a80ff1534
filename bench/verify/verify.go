// Package verify runs models on inputs whose outputs are known and compares.
//
// A case is a folder in the form of the ONNX backend tests: model.onnx, and
// beside it test_data_set_0, test_data_set_1, … with input_0.pb, input_1.pb, …
// and output_0.pb, …, each a TensorProto.
package verify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/runtime"
)

// A Case is a model with inputs and the outputs that belong to them.
type Case struct {
	Name      string
	Dir       string
	Tolerance Tolerance
	// Disputed says that another authority than the expected outputs has other
	// numbers, see [Manifest].
	Disputed bool
	// RoundTrip has the model written and read again first.
	RoundTrip bool
}

// An Outcome is how a case ended.
type Outcome string

// The outcomes.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped" // the model has nodes that cannot be run
	// Disputed is what a disputed case comes to where the outputs are not the
	// expected ones: neither right nor wrong.
	Disputed Outcome = "disputed"
)

// A Result is the outcome of a case.
type Result struct {
	Case    string  `json:"case"`
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason,omitempty"` // why it did not pass
	// Rounded is how many elements lie a step of the output's quantisation off
	// and pass for that, see [Tolerance].
	Rounded int     `json:"rounded,omitempty"`
	Sets    int     `json:"sets"`          // data sets that were compared
	MaxAbs  float64 `json:"max_abs_error"` // largest finite absolute error of all outputs compared
}

// Run runs every data set of a case. The error is ctx's, where ctx ended
// before the case did; all else that goes wrong is in the result.
func (c Case) Run(ctx context.Context, config runtime.Config) (Result, error) {
	r := Result{Case: c.Name, Outcome: Passed}
	err := c.run(ctx, config, &r)
	if ctx.Err() != nil {
		return Result{}, ctx.Err()
	}
	var (
		unsupported *runtime.UnsupportedError
		differs     differsError
	)
	switch {
	case c.Disputed && errors.As(err, &differs):
		r.Outcome, r.Reason = Disputed, err.Error()
	case errors.As(err, &unsupported):
		r.Outcome, r.Reason = Skipped, reasons(unsupported)
	case err != nil:
		r.Outcome, r.Reason = Failed, err.Error()
	}
	return r, nil
}

// A differsError tells of an output that is not the expected one.
type differsError struct {
	output string
	Difference
}

func (e differsError) Error() string { return fmt.Sprintf("output %q: %s", e.output, e.Difference) }

// load reads the model of a case.
func (c Case) load(ctx context.Context) (*graph.Model, error) {
	m, err := loader.Load(ctx, filepath.Join(c.Dir, modelFile))
	if err != nil || !c.RoundTrip {
		return m, err
	}
	dir, err := os.MkdirTemp("", "nnz-verify-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, modelFile)
	if err := loader.Save(path, m, loader.SaveOptions{}); err != nil {
		return nil, err
	}
	return loader.Load(ctx, path)
}

func (c Case) run(ctx context.Context, config runtime.Config, r *Result) error {
	m, err := c.load(ctx)
	if err != nil {
		return err
	}
	plans := runtime.NewPlans(m, config)
	defer plans.Close()
	for {
		set := fmt.Sprintf("test_data_set_%d", r.Sets)
		dir := filepath.Join(c.Dir, set)
		if _, err := os.Stat(dir); os.IsNotExist(err) && r.Sets > 0 {
			return nil
		}
		if err := c.runSet(ctx, m, dir, plans, r); err != nil {
			return fmt.Errorf("%s: %w", set, err)
		}
		r.Sets++
	}
}

// runSet runs the model for the shapes of one data set and compares.
func (c Case) runSet(ctx context.Context, m *graph.Model, dir string, plans *runtime.Plans, r *Result) error {
	inputs, err := readTensors(dir, "input", m.Inputs)
	if err != nil {
		return err
	}
	want, err := readTensors(dir, "output", m.Outputs)
	if err != nil {
		return err
	}
	if len(want) == 0 {
		return errors.New("no output_0.pb to compare with")
	}
	shapes := make(map[string][]int)
	for name, t := range inputs {
		shapes[name] = t.Shape
	}
	s, err := plans.Session(ctx, shapes)
	if err != nil {
		return err
	}
	defer plans.Release(s)
	for _, v := range m.Inputs {
		if err := setInput(s, v.Name, inputs[v.Name]); err != nil {
			return err
		}
	}
	if err := s.Run(ctx); err != nil {
		return err
	}
	for _, v := range m.Outputs {
		w := want[v.Name]
		if w == nil {
			continue
		}
		got, err := s.Output(v.Name)
		if err != nil {
			return err
		}
		d, err := c.Tolerance.Compare(got, w, stepOf(m, v.Name))
		if err != nil {
			return fmt.Errorf("output %q: %w", v.Name, err)
		}
		r.MaxAbs = max(r.MaxAbs, d.MaxAbs)
		if !d.OK() {
			return differsError{v.Name, d}
		}
		r.Rounded += d.Rounded
	}
	return nil
}

// reasons lists why nodes cannot be run, each reason once with the number of
// its nodes.
func reasons(e *runtime.UnsupportedError) string {
	var list []string
	nodes := make(map[string]int)
	for _, n := range e.Nodes {
		if nodes[n.Reason] == 0 {
			list = append(list, n.Reason)
		}
		nodes[n.Reason]++
	}
	for i, reason := range list {
		if n := nodes[reason]; n > 1 {
			list[i] = fmt.Sprintf("%s (%d nodes)", reason, n)
		}
	}
	return strings.Join(list, "; ")
}

func setInput(s *runtime.Session, name string, t *graph.Tensor) error {
	if t == nil {
		return fmt.Errorf("no file for input %q", name)
	}
	in, err := s.Input(name)
	if err != nil {
		return err
	}
	if err := Fill(in, t); err != nil {
		return fmt.Errorf("input %q: %w", name, err)
	}
	return nil
}
